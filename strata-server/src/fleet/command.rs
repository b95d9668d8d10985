//! A request to an agent: one question, one answer, one deadline.

use std::time::Duration;

use strata_proto::control::{Command, CommandKind, ControlMessage, Envelope, Reply};
use strata_proto::id::{MessageId, SenderId};
use thiserror::Error;

use super::Fleet;
use crate::session::connection::{Connection, Refusal};

/// Why a command has no answer. That the agent refused it is an answer: a [`Reply`] without success.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum CommandError {
    /// The sender is not connected; nothing was sent.
    #[error("sender is not connected")]
    Offline,
    /// The agent does not list this command; nothing was sent.
    #[error("the agent does not support {0}")]
    Unsupported(CommandKind),
    /// Too many commands wait for this agent's answers; nothing was sent.
    #[error("too many commands wait for this sender; try again later")]
    Busy,
    /// The connection ended before the answer came; the command may have been carried out.
    #[error("connection to the sender was lost before it answered")]
    Gone,
    /// The answer did not come in time; the command may have been carried out.
    #[error("sender did not answer in time")]
    Timeout,
}

impl Fleet {
    /// Sends a command to a sender and waits for its reply, at most `deadline`.
    ///
    /// # Errors
    /// [`CommandError`]; before sending for `Offline`, `Unsupported` and `Busy`.
    pub async fn request(
        &self,
        sender: &SenderId,
        command: impl Into<Command>,
        deadline: Duration,
    ) -> Result<Reply, CommandError> {
        let command = command.into();
        let kind = command.kind();
        let device = self.device(sender).ok_or(CommandError::Offline)?;
        let connection = device.lock().connection.clone().ok_or(CommandError::Offline)?;
        if !connection.supports(kind) {
            return Err(CommandError::Unsupported(kind));
        }
        let now = crate::clock::wall();
        let id = crate::entropy::message_id(now);
        let message = ControlMessage::Command(command);
        let text = Envelope::new(id.clone(), now, message).encode().map_err(|error| {
            tracing::error!(%error, %kind, "command cannot be written as JSON");
            CommandError::Unsupported(kind)
        })?;
        let answer = connection.send(&id, kind, text).map_err(|refusal| match refusal {
            Refusal::Gone => CommandError::Gone,
            Refusal::Busy => CommandError::Busy,
        })?;
        let _forget = Forget { connection: &connection, id: &id };
        match tokio::time::timeout(deadline, answer).await {
            Ok(Ok(reply)) => Ok(reply),
            Ok(Err(_)) => Err(CommandError::Gone),
            Err(_) => Err(CommandError::Timeout),
        }
    }
}

/// Frees the place of a request whose caller went away.
struct Forget<'a> {
    connection: &'a Connection,
    id: &'a MessageId,
}

impl Drop for Forget<'_> {
    fn drop(&mut self) {
        self.connection.forget(self.id);
    }
}
