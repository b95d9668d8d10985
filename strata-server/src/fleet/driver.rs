//! Writes last-seen times in batches, and forgets what expired and who is long gone.

use std::sync::{PoisonError, Weak};
use std::time::Duration;

use strata_proto::time::Timestamp;
use tokio_util::sync::CancellationToken;

use super::{Fleet, Inner};
use crate::store::LastSeen;

/// The fleet's background work; run it beside the server. Ends when every [`Fleet`] handle is gone.
#[derive(Debug)]
pub struct FleetDriver {
    fleet: Weak<Inner>,
    gone: CancellationToken,
    interval: Duration,
}

impl FleetDriver {
    pub(super) fn new(fleet: Weak<Inner>, gone: CancellationToken, interval: Duration) -> Self {
        Self { fleet, gone, interval }
    }

    /// Runs until every handle is gone.
    pub async fn run(self) {
        let mut tick = tokio::time::interval(self.interval);
        tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut rounds = 0_u64;
        loop {
            tokio::select! {
                _ = tick.tick() => {}
                () = self.gone.cancelled() => return,
            }
            let Some(inner) = self.fleet.upgrade() else { return };
            let fleet = Fleet { inner };
            fleet.flush().await;
            fleet.forget_idle(crate::clock::wall());
            if rounds.is_multiple_of(CLEAN_EVERY) {
                fleet.clean().await;
            }
            rounds += 1;
        }
    }
}

impl Fleet {
    /// Writes the last-seen times that changed since the last batch.
    pub async fn flush(&self) {
        let (mut batch, mut devices) = (Vec::new(), self.inner.all_devices());
        devices.retain(|device| {
            let mut live = device.lock();
            let changed = std::mem::take(&mut live.dirty);
            if let (true, Some(at)) = (changed, live.last_seen) {
                batch.push(LastSeen { id: device.id.clone(), at, cause: live.cause.map(str::to_owned) });
            }
            changed
        });
        if batch.is_empty() {
            return;
        }
        if let Err(error) = self.inner.store.save_last_seen(&batch).await {
            tracing::warn!(%error, senders = batch.len(), "last-seen times not written; the next batch has them");
            devices.iter().for_each(|device| device.lock().dirty = true);
        }
    }

    /// Drops the live entries of senders that are offline for long or decommissioned. What the database
    /// does not hold yet, and what is connected or may still stream, stays.
    pub(super) fn forget_idle(&self, now: Timestamp) {
        let keep = self.inner.settings.offline_memory;
        let mut devices = self.inner.devices.write().unwrap_or_else(PoisonError::into_inner);
        devices.retain(|_, device| {
            let mut live = device.lock();
            live.forgotten = live.is_idle(now, keep);
            !live.forgotten
        });
        let len = devices.len();
        devices.shrink_to(2 * len);
    }

    async fn clean(&self) {
        let kept_since = crate::clock::wall().unix_millis().saturating_sub(KEEP_EXPIRED.as_millis() as i64);
        let before = Timestamp::from_unix_millis(kept_since);
        if let Err(error) = self.inner.store.forget_expired(before).await {
            tracing::warn!(%error, "expired tokens not deleted");
        }
    }
}

/// Rounds between two cleanings: an hour at the default interval.
const CLEAN_EVERY: u64 = 120;
/// How long an expired token is kept, so that its late user is told `expired` or `used`, not `unknown`.
const KEEP_EXPIRED: Duration = Duration::from_secs(30 * 24 * 3600);
