//! What agents say about their streams, and what is done about streams nobody here knows.

use std::sync::Arc;

use async_trait::async_trait;
use serde_json::json;
use strata_proto::control::{
    DeviceStatus, EndReason, ErrorCode, Fault, Presence, StreamEnded, StreamLife, StreamStats, StreamStop,
    StreamView,
};
use strata_proto::id::{SenderId, StreamId};

use super::active::full_view;
use super::driver::Job;
use super::life::Life;
use super::streams::Shared;
use super::task::Task;
use crate::fleet::{Observer, Scope};
use crate::store::{StoreError, StreamRow};

#[async_trait]
impl Observer for Shared {
    fn on_stream_stats(&self, sender: &SenderId, stats: &Arc<StreamStats>) {
        let Some(active) = self.by_id(&stats.stream_id) else { return };
        let row = active.row();
        if row.sender == *sender {
            active.lock().sender_stats = Some(Arc::clone(stats));
            self.publish(&row, "stream.stats", &**stats);
        }
    }

    async fn on_stream_ended(&self, sender: &SenderId, ended: StreamEnded) -> Result<(), Fault> {
        let StreamEnded { stream_id, reason, error, .. } = ended;
        self.store.note_stream_end(sender, &stream_id, reason, error.as_deref()).await.map_err(|e| {
            tracing::error!(stream = %stream_id, error = %e, "end of a stream was not written down");
            Fault::new(ErrorCode::INTERNAL, "the end of the stream could not be stored")
        })?;
        self.forwards.forget(sender, &stream_id);
        if let Some(active) = self.by_id(&stream_id).filter(|active| active.row().sender == *sender) {
            active.inbox.ended(reason, error);
        }
        Ok(())
    }

    fn on_device_status(&self, sender: &SenderId, status: &Arc<DeviceStatus>) {
        // An agent that does not list its streams leaves them to `stream.ended`.
        let Some(running) = &status.running_streams else { return };
        let own = self.of_sender(sender);
        let own_id = own.as_ref().map(|active| active.row().id);
        if let (Some(active), Some(id)) = (&own, &own_id) {
            active.inbox.listed(running.contains(id));
        }
        for strange in running.iter().filter(|id| Some(*id) != own_id.as_ref()).take(MOST_STRANGE) {
            if self.begin_lookup(strange)
                && self.jobs.try_send(Job::Reconcile(sender.clone(), strange.clone())).is_err()
            {
                // The agent reports it again in some seconds.
                self.end_lookup(strange);
            }
        }
    }

    fn on_presence(&self, sender: &SenderId, presence: Presence, _cause: &str) {
        if let Some(active) = self.of_sender(sender) {
            active.inbox.presence(presence == Presence::Online);
        }
    }

    fn active_stream(&self, sender: &SenderId) -> Option<StreamId> {
        self.of_sender(sender).map(|active| active.row().id)
    }

    async fn on_sender_removed(&self, sender: &SenderId) {
        self.forwards.remove(sender);
        let Some(active) = self.of_sender(sender) else { return };
        active.inbox.stop(EndReason::ControlPlaneStop);
        let mut state = active.state.subscribe();
        let stopping = |state: &StreamLife| !matches!(state, StreamLife::Starting | StreamLife::Live);
        // The sender of the state lives as long as the stream: an error means that it is over.
        drop(tokio::time::timeout(self.command_timeout(), state.wait_for(stopping)).await);
    }

    async fn stream_views(
        &self,
        scope: &Scope,
        stream: Option<&StreamId>,
    ) -> Result<Vec<StreamView>, StoreError> {
        let Some(id) = stream else {
            let mut views: Vec<StreamView> = self
                .all()
                .into_iter()
                .filter(|active| scope.sees(&active.row().owner))
                .map(|active| active.view(false))
                .collect();
            // Ids are in the order of creation.
            views.sort_unstable_by(|a, b| b.id.cmp(&a.id));
            return Ok(views);
        };
        if let Some(active) = self.by_id(id) {
            return Ok(scope.sees(&active.row().owner).then(|| active.view(true)).into_iter().collect());
        }
        let row = self.store.stream(id).await?;
        Ok(row.filter(|row| scope.sees(&row.owner)).map(full_view).into_iter().collect())
    }
}

impl Shared {
    /// An agent runs a stream that is not running here: take it up again, or have it stopped.
    pub(super) async fn reconcile(self: Arc<Self>, sender: SenderId, stream: StreamId) {
        if let Err(error) = self.clone().settle(&sender, &stream).await {
            tracing::error!(%stream, %error, "a reported stream could not be looked up");
        }
        self.end_lookup(&stream);
    }

    async fn settle(self: Arc<Self>, sender: &SenderId, stream: &StreamId) -> Result<(), StoreError> {
        if self.by_id(stream).is_some() {
            return Ok(());
        }
        let row = self.store.stream(stream).await?.filter(|row| row.sender == *sender);
        if let Some(row) = row.filter(|row| row.presumed)
            && self.clone().revive(row).await?
        {
            return Ok(());
        }
        tracing::info!(%stream, %sender, "sender runs a stream that is over here; it is told to stop");
        let stop = StreamStop { stream_id: stream.clone(), reason: Some("not_running".to_owned()) };
        self.tell_stop(sender.clone(), stop).await;
        Ok(())
    }

    async fn revive(self: Arc<Self>, mut row: StreamRow) -> Result<bool, StoreError> {
        if !self.claim(&row.ports) {
            return Ok(false);
        }
        let recording = row.recording.as_ref().map(|_| self.recording(&row.id));
        let revived = self.store.revive_stream(&row.sender, &row.id, recording.as_deref()).await;
        if !matches!(revived, Ok(true)) {
            self.release(&row.ports);
            return revived;
        }
        tracing::info!(stream = %row.id, sender = %row.sender, "stream presumed dead is taken up again");
        row.state = StreamLife::Starting;
        row.recording = recording;
        (row.ended_at, row.reason, row.error, row.presumed) = (None, None, None, false);
        let life = Life::revive(self.graces(&row), crate::clock::mono());
        let launch = self.launch(&row);
        let forward = self.forwards.of(&row.sender, &row.id);
        if row.forwards && forward.is_none() {
            self.forward_lost(&row);
        }
        let active = self.enlist(row, true);
        let task = Task::new(Arc::clone(&self), active, life, launch).forwarding(forward);
        // Nobody receives jobs any more when the control plane shuts down: the next one takes it up.
        drop(self.jobs.send(Job::Run(Box::new(task))).await);
        Ok(true)
    }

    /// The destination was known to an earlier control plane only.
    fn forward_lost(&self, row: &StreamRow) {
        tracing::warn!(
            stream = %row.id, sender = %row.sender,
            "stream is taken up again, but no longer forwarded: where to was lost with a restart"
        );
        let message = "the stream runs again, but is no longer forwarded: stop it and start it anew";
        let alert = json!({"code": "forward_lost", "message": message, "sender_id": row.sender});
        self.publish(row, "alert", &alert);
    }
}

/// An agent runs one stream, or a few when something went wrong; the rest is reported again.
const MOST_STRANGE: usize = 8;
