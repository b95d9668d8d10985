//! What is known of one sender in memory.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

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
    /// Decommissioned: no login may open it again, not even one that was checked just before.
    pub(super) revoked: bool,
    /// Last seen since the last batch was written.
    pub(super) dirty: bool,
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
            revoked: false,
            dirty: false,
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
