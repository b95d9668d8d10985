//! The end of a stream: its row, its index entry, its ports; also when its task broke off.

#![expect(clippy::disallowed_methods, reason = "this is a driver: it waits between attempts to write")]

use std::sync::Arc;
use std::time::Duration;

use serde_json::json;
use strata_proto::control::{EndReason, StreamLife, StreamStop};

use super::active::Active;
use super::receiver::{Receiver, ReceiverError};
use super::recover::{GREETING, dismiss};
use super::streams::Shared;

impl Shared {
    /// Gives a stream's ports back, once: afterwards they may be another stream's.
    pub(super) fn release_of(&self, active: &Active) {
        let ports = {
            let mut now = active.lock();
            std::mem::take(&mut now.holds_ports).then(|| now.row.ports.clone())
        };
        if let Some(ports) = ports {
            self.release(&ports);
        }
    }

    /// Tells those who wait and the dashboards of a stream's state.
    pub(super) fn announce(&self, active: &Active) {
        let row = active.row();
        if row.ended_at.is_some() {
            self.tidy_log(&row);
        }
        active.state.send_replace(row.state);
        self.publish(&row, "stream.state", &active.view(false));
        if row.ended_at.is_some() {
            self.fleet.settle(&row.sender);
        }
        if row.state == StreamLife::Failed {
            let message = row.error.clone().unwrap_or_default();
            let alert = json!({"code": "stream_failed", "message": message, "sender_id": row.sender});
            self.publish(&row, "alert", &alert);
        }
    }

    /// Writes the end of a stream down, however long the database refuses it, and lets go of it. Until
    /// then the stream keeps its place: its sender could not start another one anyway, since the
    /// unfinished row is in the way.
    pub(super) async fn write_end(&self, active: &Arc<Active>) {
        let row = active.row();
        let mut pause = FIRST_PAUSE;
        while let Err(error) = self.store.update_stream(&row).await {
            tracing::error!(stream = %row.id, %error, ?pause, "end of a stream was not written down; trying again");
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
        self.forget(active);
        self.fleet.settle(&row.sender);
    }

    /// Ends a stream whose task broke off: nobody else would.
    pub(super) async fn broken_off(self: Arc<Self>, active: Arc<Active>) {
        let row = {
            let mut now = active.lock();
            if now.row.ended_at.is_none() {
                now.row.state = StreamLife::Failed;
                now.row.reason = Some(EndReason::Error);
                now.row.error = Some("control plane: the task of the stream broke off".to_owned());
                now.row.presumed = false;
                now.row.ended_at = Some(crate::clock::wall());
            }
            now.row.clone()
        };
        let stop = StreamStop { stream_id: row.id.clone(), reason: Some("failed".to_owned()) };
        let told = Arc::clone(&self).tell_stop(row.sender.clone(), stop);
        let closed = async {
            if self.store.update_stream(&row).await.is_ok() {
                self.forget(&active);
                return self.announce(&active);
            }
            self.announce(&active);
            self.write_end(&active).await;
        };
        let freed = async {
            self.dismiss_of(&active).await;
            self.release_of(&active);
        };
        tokio::join!(told, closed, freed);
    }

    /// Ends the receiver that a broken off task left.
    async fn dismiss_of(&self, active: &Active) {
        let id = active.row().id;
        match Receiver::connect(&self.socket(&id), GREETING).await {
            Ok(receiver) => dismiss(receiver).await,
            Err(ReceiverError::Stale) => {}
            Err(error) => tracing::error!(stream = %id, %error, "receiver cannot be reached"),
        }
    }
}

/// A database that was busy answers again soon; a full disk is not cleared by asking often.
const FIRST_PAUSE: Duration = Duration::from_millis(500);
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

#[cfg(test)]
mod tests;
