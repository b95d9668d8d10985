//! Devices and people: who they are, whether they are there, what they are asked.
//!
//! | file | what it holds |
//! |---|---|
//! | `scope` | who may see what |
//! | `registry` | senders: create, list, rename, decommission |
//! | `login` | how an agent proves who it is: enrolment token, device key, Ed25519 challenge |
//! | `presence` | online, unobserved, offline; last seen; the fence between old and new connections |
//! | `command` | a request to an agent, with a deadline |
//! | `users`, `password` | people: argon2id, access and refresh tokens |
//! | `observer` | how agents' words about streams reach `control` |
//!
//! Live state is in memory; the database is asked at login and by the REST API, never for a message.

mod command;
mod device;
mod driver;
mod login;
mod observer;
mod password;
mod presence;
mod registry;
mod scope;
mod users;

use std::collections::HashMap;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, OnceLock, PoisonError, RwLock, Weak};
use std::time::Duration;

use strata_proto::control::{DeviceStatus, StreamStats};
use strata_proto::id::{SenderId, StreamId, UserId};
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::config::Config;
use crate::event::Events;
use crate::session::Tokens;
use crate::session::connection::Limits;
use crate::store::{Store, StoreError};

pub use command::CommandError;
pub use driver::FleetDriver;
pub use observer::Observer;
pub use presence::PresenceView;
pub use registry::NewSender;
pub use scope::Scope;
pub use users::{NewUser, UserEntry, UserError, Users};

use device::Device;

/// Handle to the fleet; cheap to clone.
#[derive(Clone)]
pub struct Fleet {
    inner: Arc<Inner>,
}

struct Inner {
    store: Store,
    events: Events,
    tokens: Tokens,
    settings: Settings,
    generation: AtomicU64,
    devices: RwLock<HashMap<SenderId, Arc<Device>>>,
    observer: OnceLock<Weak<dyn Observer>>,
    /// Tells the driver that every handle is gone.
    _alive: DropGuard,
}

#[derive(Debug, Clone)]
struct Settings {
    limits: Limits,
    token_ttl: Duration,
    enrollment_ttl: Duration,
    offline_memory: Duration,
    agent: strata_proto::control::AgentSettings,
}

impl std::fmt::Debug for Fleet {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Fleet").finish_non_exhaustive()
    }
}

/// Why the fleet did not do what it was asked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FleetError {
    /// There is no such sender, or the caller must not see it.
    #[error("there is no sender {0}")]
    NotFound(SenderId),
    /// A value cannot be taken.
    #[error("{field}: {reason}")]
    Invalid {
        /// Which field.
        field: &'static str,
        /// What is wrong and what was expected.
        reason: String,
    },
    /// The database failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Fleet {
    /// A fleet on a store, and the driver that writes its batches. Dropping every handle ends the driver.
    #[must_use]
    pub fn new(config: &Config, store: Store, events: Events, tokens: Tokens) -> (Self, FleetDriver) {
        let settings = Settings {
            limits: Limits {
                outgoing: config.session.outgoing_queue,
                outgoing_bytes: config.session.outgoing_queue_bytes,
                pending: config.session.pending_requests,
            },
            token_ttl: Duration::from_secs(config.session.token_ttl_s),
            enrollment_ttl: Duration::from_secs(config.fleet.enrollment_ttl_s),
            offline_memory: Duration::from_secs(config.fleet.offline_memory_s),
            agent: strata_proto::control::AgentSettings {
                status_interval_s: Some(config.session.status_interval_s),
                stats_interval_s: Some(config.session.stats_interval_s),
            },
        };
        let alive = CancellationToken::new();
        let gone = alive.clone();
        let inner = Arc::new(Inner {
            store,
            events,
            tokens,
            settings,
            generation: AtomicU64::new(0),
            devices: RwLock::default(),
            observer: OnceLock::new(),
            _alive: alive.drop_guard(),
        });
        let interval = Duration::from_secs(config.fleet.flush_interval_s);
        let driver = FleetDriver::new(Arc::downgrade(&inner), gone, interval);
        (Self { inner }, driver)
    }

    /// Tells the fleet who runs streams. Only the first call counts. The observer is held weakly, so it
    /// may hold the fleet.
    pub fn observe(&self, observer: Weak<dyn Observer>) {
        let _ = self.inner.observer.set(observer);
    }

    /// The last `device.status` of a sender, since this process started; forgotten when the sender is
    /// offline for `fleet.offline_memory_s`.
    #[must_use]
    pub fn status(&self, sender: &SenderId) -> Option<Arc<DeviceStatus>> {
        self.device(sender)?.lock().status.clone()
    }

    /// The last `stream.stats` of a sender's running stream.
    #[must_use]
    pub fn stats(&self, sender: &SenderId) -> Option<Arc<StreamStats>> {
        let stats = self.device(sender)?.lock().stats.clone()?;
        (self.active_stream(sender).as_ref() == Some(&stats.stream_id)).then_some(stats)
    }

    /// The commands a connected sender can carry out; `None` when it is offline or listed none.
    #[must_use]
    pub fn capabilities(&self, sender: &SenderId) -> Option<Vec<String>> {
        self.device(sender)?.lock().connection.as_ref()?.capabilities().cloned()
    }

    /// The owner of a sender that is connected, or was within `fleet.offline_memory_s`.
    #[must_use]
    pub fn owner(&self, sender: &SenderId) -> Option<UserId> {
        Some(self.device(sender)?.owner.clone())
    }

    /// The stream of a sender that is not over yet.
    #[must_use]
    pub fn active_stream(&self, sender: &SenderId) -> Option<StreamId> {
        self.inner.observer()?.active_stream(sender)
    }

    /// The live events of this control plane.
    #[must_use]
    pub fn events(&self) -> &Events {
        &self.inner.events
    }

    pub(crate) fn observer(&self) -> Option<Arc<dyn Observer>> {
        self.inner.observer()
    }

    fn device(&self, sender: &SenderId) -> Option<Arc<Device>> {
        self.inner.devices.read().unwrap_or_else(PoisonError::into_inner).get(sender).cloned()
    }

    /// The live entry of a sender, made when missing.
    fn device_or_new(&self, sender: &SenderId, owner: &UserId) -> Arc<Device> {
        if let Some(device) = self.device(sender) {
            return device;
        }
        let mut devices = self.inner.devices.write().unwrap_or_else(PoisonError::into_inner);
        let new = || Arc::new(Device::new(sender.clone(), owner.clone()));
        Arc::clone(devices.entry(sender.clone()).or_insert_with(new))
    }
}

impl Inner {
    fn observer(&self) -> Option<Arc<dyn Observer>> {
        self.observer.get()?.upgrade()
    }

    fn all_devices(&self) -> Vec<Arc<Device>> {
        self.devices.read().unwrap_or_else(PoisonError::into_inner).values().cloned().collect()
    }
}

#[cfg(test)]
mod tests;
