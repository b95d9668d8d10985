//! How agents' words about streams reach whoever runs streams, without `fleet` knowing them.

use std::sync::Arc;

use async_trait::async_trait;
use strata_proto::control::{DeviceStatus, Fault, Presence, StreamEnded, StreamStats, StreamView};
use strata_proto::id::{SenderId, StreamId};

use super::Scope;
use crate::store::StoreError;

/// Implemented by `control`; handed to [`super::Fleet::observe`].
///
/// The synchronous methods are called on the connection's own task for every message: they must not
/// block and must not wait for the database.
#[async_trait]
pub trait Observer: Send + Sync + 'static {
    /// `stream.stats` came. The stream may not be this sender's: check.
    fn on_stream_stats(&self, sender: &SenderId, stats: &Arc<StreamStats>);

    /// `stream.ended` came. The agent is told `success` when this returns `Ok`, and forgets the message:
    /// return only after it is stored. A repeated message must be `Ok` again. A stream that is not known
    /// or not this sender's is `Ok` too, for the agent would repeat it for ever.
    ///
    /// # Errors
    /// A [`Fault`] for the agent, which will send the message again.
    async fn on_stream_ended(&self, sender: &SenderId, ended: StreamEnded) -> Result<(), Fault>;

    /// `device.status` came; `running_streams` lists what runs on the device.
    fn on_device_status(&self, sender: &SenderId, status: &Arc<DeviceStatus>);

    /// A sender came, went, or was given up. Told of one change after the other, in order: look at the
    /// fleet as you like, but do not call [`super::Fleet::disconnect`] or [`super::Fleet::settle`] from
    /// here, nor hold a lock around those that this needs.
    fn on_presence(&self, sender: &SenderId, presence: Presence, cause: &str);

    /// The stream of a sender that is not over yet, from memory.
    fn active_stream(&self, sender: &SenderId) -> Option<StreamId>;

    /// A sender is about to be decommissioned and disconnected: end its stream.
    async fn on_sender_removed(&self, sender: &SenderId);

    /// Streams to be shown to somebody of `scope`: the one asked for, or all that are not over.
    /// Statistics are included only when one is asked for. One that must not be seen is left out.
    ///
    /// # Errors
    /// [`StoreError`].
    async fn stream_views(
        &self,
        scope: &Scope,
        stream: Option<&StreamId>,
    ) -> Result<Vec<StreamView>, StoreError>;
}
