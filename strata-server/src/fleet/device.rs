//! What is known of one sender in memory.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use strata_proto::control::{DeviceStatus, Presence, StreamStats};
use strata_proto::id::{SenderId, UserId};
use strata_proto::time::Timestamp;

use crate::session::connection::Connection;

#[derive(Debug)]
pub(super) struct Device {
    pub(super) id: SenderId,
    pub(super) owner: UserId,
    live: Mutex<Live>,
    telling: Mutex<()>,
}

#[derive(Debug)]
pub(super) struct Live {
    pub(super) connection: Option<Arc<Connection>>,
    pub(super) presence: Presence,
    /// Why it is not online.
    pub(super) cause: Option<&'static str>,
    pub(super) last_seen: Option<Timestamp>,
    pub(super) status: Option<Arc<DeviceStatus>>,
    pub(super) stats: Option<Arc<StreamStats>>,
    /// When it was decommissioned: no login may open it again, not even one that was checked just before.
    pub(super) revoked: Option<Timestamp>,
    /// Last seen since the last batch was written.
    pub(super) dirty: bool,
    /// No longer in the fleet's map: whoever still holds it takes a new one instead.
    pub(super) forgotten: bool,
}

impl Live {
    /// Whether nothing would be lost without it: it is offline for `keep`, and all of it is in the database.
    pub(super) fn is_idle(&self, now: Timestamp, keep: Duration) -> bool {
        let offline = self.connection.is_none() && self.presence == Presence::Offline;
        let (since, keep) = match self.revoked {
            Some(at) => (Some(at), REVOKED),
            None => (self.last_seen, keep),
        };
        offline && !self.dirty && since.is_none_or(|since| now.since(since) >= keep)
    }
}

impl Device {
    pub(super) fn new(id: SenderId, owner: UserId) -> Self {
        let live = Live {
            connection: None,
            presence: Presence::Offline,
            cause: None,
            last_seen: None,
            status: None,
            stats: None,
            revoked: None,
            dirty: false,
            forgotten: false,
        };
        Self { id, owner, live: Mutex::new(live), telling: Mutex::new(()) }
    }

    /// Held from before the presence changes until everybody was told, so that they are told in order.
    ///
    /// Not the lock of what is known: who is told may look at that.
    pub(super) fn turn(&self) -> MutexGuard<'_, ()> {
        self.telling.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, Live> {
        self.live.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// How long a decommissioned sender is remembered: longer than any login takes from the database's word
/// to its connection. The next one asks the database again.
const REVOKED: Duration = Duration::from_secs(60);
