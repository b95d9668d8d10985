//! The caller's end of an agent's session.

use strata_proto::control::{CommandKind, CommandProgress, StreamEnded, StreamStats};
use strata_proto::id::MessageId;
use thiserror::Error;
use tokio::sync::{broadcast, mpsc, oneshot};

use super::event::{Event, Events};

/// Owns a session: dropping it ends the driver, [`Handle::shutdown`] does so in good order.
#[derive(Debug)]
pub struct Handle {
    pub(super) reporter: Reporter,
    pub(super) events: broadcast::Sender<Event>,
    /// Closed when the handle is dropped, which is how the driver knows.
    pub(super) alive: mpsc::Sender<()>,
}

impl Handle {
    /// Tells the control plane about streams and the device. May be cloned and kept.
    #[must_use]
    pub fn reporter(&self) -> &Reporter {
        &self.reporter
    }

    /// What happens to the session from now on.
    #[must_use]
    pub fn events(&self) -> Events {
        Events(self.events.subscribe())
    }

    /// Hands over what must not be lost (for 3 s at most; the journal keeps the rest), closes the
    /// connection, and returns when the driver has ended. The driver must be running.
    pub async fn shutdown(self) {
        let Self { reporter, events, alive } = self;
        let ended = reporter.ops.clone();
        drop((reporter, events, alive));
        ended.closed().await;
    }
}

/// Tells the control plane about streams and the device.
#[derive(Debug, Clone)]
pub struct Reporter {
    pub(super) ops: mpsc::Sender<Op>,
}

impl Reporter {
    /// `stream.stats`. Telemetry: dropped when there is no connection or the queue is full.
    pub fn stats(&self, stats: StreamStats) {
        let _ = self.ops.try_send(Op::Stats(stats));
    }

    /// The device changed: [`Agent::status`](super::Agent::status) is asked soon. Many changes in a
    /// short time make one `device.status`.
    pub fn status_changed(&self) {
        let _ = self.ops.try_send(Op::StatusChanged);
    }

    /// `stream.ended`. Never lost: when this returns `Ok` the message is in the journal, on disk (of an
    /// [`Identity`](crate::Identity) that has a directory), and stays there until the server has
    /// acknowledged it.
    ///
    /// # Errors
    /// [`EndedError`] says what became of the message instead.
    pub async fn ended(&self, ended: StreamEnded) -> Result<(), EndedError> {
        let (done, journalled) = oneshot::channel();
        self.ops.send(Op::Ended(ended, done)).await.map_err(|_| EndedError::Gone)?;
        journalled.await.map_err(|_| EndedError::Gone)?
    }
}

/// Why the end of a stream is not on disk.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum EndedError {
    /// The driver has ended: nobody is told.
    #[error("the session's driver has ended")]
    Gone,
    /// The journal could not be written. The message is sent as ever while the process lives; it need
    /// not be reported again, but is lost if the process ends before a later change of the journal
    /// gets to the disk.
    #[error("it is not on disk and would not survive a restart: {reason}")]
    NotSaved {
        /// Which file, and why.
        reason: String,
    },
}

/// What a command's method gets beside the command.
#[derive(Debug, Clone)]
pub struct Context {
    pub(super) reporter: Reporter,
    pub(super) id: MessageId,
    pub(super) kind: CommandKind,
}

impl Context {
    /// The request's id.
    #[must_use]
    pub fn id(&self) -> &MessageId {
        &self.id
    }

    /// Which command it is.
    #[must_use]
    pub fn kind(&self) -> CommandKind {
        self.kind
    }

    /// Tells the control plane about streams and the device.
    #[must_use]
    pub fn reporter(&self) -> &Reporter {
        &self.reporter
    }

    /// `command.progress` of this command: `percent` from 0 to 100. Telemetry.
    pub fn progress(&self, percent: f64, message: Option<String>) {
        let progress = CommandProgress { command_id: self.id.clone(), percent, message };
        let _ = self.reporter.ops.try_send(Op::Progress(progress));
    }
}

/// What the caller's end asks of the driver.
#[derive(Debug)]
pub(super) enum Op {
    Stats(StreamStats),
    Progress(CommandProgress),
    StatusChanged,
    Ended(StreamEnded, oneshot::Sender<Result<(), EndedError>>),
}
