//! Writes last-seen times in batches and forgets what expired.

use std::sync::Weak;
use std::time::Duration;

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
        let mut batch = Vec::new();
        for device in self.inner.all_devices() {
            let mut live = device.lock();
            if !std::mem::take(&mut live.dirty) {
                continue;
            }
            if let Some(at) = live.last_seen {
                batch.push(LastSeen { id: device.id.clone(), at, cause: live.cause.map(str::to_owned) });
            }
        }
        if batch.is_empty() {
            return;
        }
        if let Err(error) = self.inner.store.save_last_seen(&batch).await {
            tracing::warn!(%error, senders = batch.len(), "last-seen times not written");
        }
    }

    async fn clean(&self) {
        let kept_since = crate::clock::wall().unix_millis().saturating_sub(KEEP_EXPIRED.as_millis() as i64);
        let before = strata_proto::time::Timestamp::from_unix_millis(kept_since);
        if let Err(error) = self.inner.store.forget_expired(before).await {
            tracing::warn!(%error, "expired tokens not deleted");
        }
    }
}

/// Rounds between two cleanings: an hour at the default interval.
const CLEAN_EVERY: u64 = 120;
/// How long an expired token is kept, so that its late user is told `expired` or `used`, not `unknown`.
const KEEP_EXPIRED: Duration = Duration::from_secs(30 * 24 * 3600);
