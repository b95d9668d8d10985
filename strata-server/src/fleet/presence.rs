//! Whether a sender is there: online, unobserved (its stream may still run), offline.
//!
//! A login gets a generation. What an older connection says or does afterwards, closing late included,
//! changes nothing.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use serde_json::json;
use strata_proto::control::{CommandProgress, DeviceStatus, Presence, StreamStats, Topic};
use strata_proto::id::{SenderId, UserId};
use strata_proto::time::Timestamp;

use super::Fleet;
use super::device::Device;
use crate::session::Close;
use crate::session::connection::Connection;

/// Presence of one sender.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PresenceView {
    /// Whether it is connected.
    pub presence: Presence,
    /// Why it is not.
    pub cause: Option<String>,
    /// When it was last heard.
    pub last_seen: Option<Timestamp>,
}

/// A live entry that is in the fleet's map no longer.
struct Forgotten;

impl Fleet {
    /// Presence of a sender as far as this process has seen it; see [`Fleet::sender`] for the stored part.
    #[must_use]
    pub fn presence(&self, sender: &SenderId) -> PresenceView {
        let Some(device) = self.device(sender) else {
            return PresenceView { presence: Presence::Offline, cause: None, last_seen: None };
        };
        let live = device.lock();
        PresenceView {
            presence: live.presence,
            cause: live.cause.map(str::to_owned),
            last_seen: live.last_seen,
        }
    }

    /// Whether a sender is connected.
    #[must_use]
    pub fn is_online(&self, sender: &SenderId) -> bool {
        self.device(sender).is_some_and(|device| device.lock().connection.is_some())
    }

    /// Closes a sender's connection; it is offline at once, whatever its socket does.
    pub fn disconnect(&self, sender: &SenderId, why: Close) {
        let Some(device) = self.device(sender) else { return };
        let Some(connection) = device.lock().connection.clone() else { return };
        connection.close(why);
        self.connection_lost(sender, connection.generation, why.cause(), crate::clock::wall());
    }

    /// A stream of this sender was found running when the control plane came back, before agents connect:
    /// the sender is not there, but not given up either. Nobody listens yet who would have to be told.
    pub(crate) fn unobserved(&self, sender: &SenderId, owner: &UserId) {
        loop {
            let device = self.device_or_new(sender, owner);
            let mut live = device.lock();
            if !live.forgotten {
                if live.connection.is_none() && live.revoked.is_none() {
                    live.presence = Presence::Unobserved;
                }
                return;
            }
        }
    }

    /// Looks again whether an unobserved sender's stream still runs; to be called when a stream is over.
    pub fn settle(&self, sender: &SenderId) {
        let Some(device) = self.device(sender) else { return };
        let _turn = device.turn();
        if self.active_stream(sender).is_some() {
            return;
        }
        let mut live = device.lock();
        live.stats = None;
        if live.presence != Presence::Unobserved {
            return;
        }
        live.presence = Presence::Offline;
        live.dirty = true;
        let cause = live.cause.unwrap_or("closed");
        drop(live);
        self.tell_presence(&device, Presence::Offline, cause, crate::clock::wall());
    }

    /// Closes every connection; for shutdown.
    pub fn disconnect_all(&self, why: Close) {
        for device in self.inner.all_devices() {
            if let Some(connection) = &device.lock().connection {
                connection.close(why);
            }
        }
    }

    /// How many senders are connected.
    #[must_use]
    pub fn online_count(&self) -> usize {
        self.inner.all_devices().iter().filter(|device| device.lock().connection.is_some()).count()
    }

    /// A login succeeded: the new connection is the sender's only one from now on. None when the sender was
    /// decommissioned meanwhile.
    pub(crate) fn connected(
        &self,
        sender: &SenderId,
        owner: &UserId,
        capabilities: Option<Vec<String>>,
        now: Timestamp,
    ) -> Option<Arc<Connection>> {
        loop {
            let device = self.device_or_new(sender, owner);
            if let Ok(connection) = self.connect(&device, capabilities.clone(), now) {
                return connection;
            }
        }
    }

    /// The same with the sender's live entry, unless that was forgotten meanwhile.
    fn connect(
        &self,
        device: &Device,
        capabilities: Option<Vec<String>>,
        now: Timestamp,
    ) -> Result<Option<Arc<Connection>>, Forgotten> {
        let _turn = device.turn();
        let mut live = device.lock();
        if live.forgotten {
            return Err(Forgotten);
        }
        if live.revoked.is_some() {
            return Ok(None);
        }
        let generation = self.inner.generation.fetch_add(1, Ordering::Relaxed) + 1;
        let connection = Arc::new(Connection::new(generation, capabilities, self.inner.settings.limits));
        let old = live.connection.replace(Arc::clone(&connection));
        live.presence = Presence::Online;
        live.cause = None;
        live.last_seen = Some(now);
        live.dirty = true;
        drop(live);
        if let Some(old) = old {
            old.close(Close::Replaced);
        }
        self.tell_presence(device, Presence::Online, "connected", now);
        Ok(Some(connection))
    }

    /// A connection ended. Only the newest one's end means anything.
    pub(crate) fn connection_lost(
        &self,
        sender: &SenderId,
        generation: u64,
        cause: &'static str,
        now: Timestamp,
    ) {
        let Some(device) = self.device(sender) else { return };
        let _turn = device.turn();
        let presence = match self.active_stream(sender) {
            Some(_) if cause != Close::Revoked.cause() => Presence::Unobserved,
            _ => Presence::Offline,
        };
        let mut live = device.lock();
        if live.connection.as_ref().is_none_or(|current| current.generation != generation) {
            return;
        }
        live.connection = None;
        live.presence = presence;
        live.cause = Some(cause);
        live.last_seen = Some(now);
        live.dirty = true;
        drop(live);
        self.tell_presence(&device, presence, cause, now);
    }

    /// Any frame came: the sender is alive.
    pub(crate) fn heard(&self, sender: &SenderId, generation: u64, now: Timestamp) {
        self.with_current(sender, generation, |live| {
            live.last_seen = Some(now);
            live.dirty = true;
        });
    }

    /// `device.status` came.
    pub(crate) fn on_status(
        &self,
        sender: &SenderId,
        generation: u64,
        status: Box<DeviceStatus>,
        now: Timestamp,
    ) {
        let status: Arc<DeviceStatus> = status.into();
        let current = self.with_current(sender, generation, |live| live.status = Some(Arc::clone(&status)));
        let Some(device) = current else { return };
        let topic = Topic::Sender(sender.clone());
        self.inner.events.publish(now, &device.owner, topic, "sender.status", &*status);
        if let Some(observer) = self.inner.observer() {
            observer.on_device_status(sender, &status);
        }
    }

    /// `stream.stats` came.
    pub(crate) fn on_stats(&self, sender: &SenderId, generation: u64, stats: StreamStats) {
        let stats = Arc::new(stats);
        let current = self.with_current(sender, generation, |live| live.stats = Some(Arc::clone(&stats)));
        if current.is_some()
            && let Some(observer) = self.inner.observer()
        {
            observer.on_stream_stats(sender, &stats);
        }
    }

    /// `command.progress` came.
    pub(crate) fn on_progress(
        &self,
        sender: &SenderId,
        generation: u64,
        progress: &CommandProgress,
        now: Timestamp,
    ) {
        let Some(device) = self.with_current(sender, generation, |_| ()) else { return };
        let topic = Topic::Sender(sender.clone());
        self.inner.events.publish(now, &device.owner, topic, "command.progress", progress);
    }

    fn with_current(
        &self,
        sender: &SenderId,
        generation: u64,
        change: impl FnOnce(&mut super::device::Live),
    ) -> Option<Arc<Device>> {
        let device = self.device(sender)?;
        let mut live = device.lock();
        if live.connection.as_ref().is_none_or(|current| current.generation != generation) {
            return None;
        }
        change(&mut live);
        drop(live);
        Some(device)
    }

    /// To be called in the device's turn.
    fn tell_presence(&self, device: &Device, presence: Presence, cause: &str, now: Timestamp) {
        let data = json!({ "sender_id": &device.id, "presence": presence, "cause": cause });
        let topic = Topic::Sender(device.id.clone());
        self.inner.events.publish(now, &device.owner, topic, "sender.presence", &data);
        if let Some(observer) = self.inner.observer() {
            observer.on_presence(&device.id, presence, cause);
        }
    }
}
