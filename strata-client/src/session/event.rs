//! What the machine tells its owner.

use std::borrow::Cow;
use std::time::Duration;

use strata_proto::DecodeError;
use strata_proto::control::{AgentSettings, Command, Fault};
use strata_proto::id::{MessageId, SenderId};
use strata_proto::token::Secret;
use thiserror::Error;

/// What happened in a session.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Event {
    /// The journal changed: write [`Session::journal`](super::Session::journal) to disk *before*
    /// carrying out the outputs that follow.
    JournalChanged,
    /// The device has enrolled: write the identity to disk, the token cannot be used again.
    Enrolled {
        /// Who the device is from now on.
        sender_id: SenderId,
        /// Key for later logins, if the server issued one.
        device_key: Option<Secret>,
    },
    /// The session is open.
    LoggedIn {
        /// Who the device is.
        sender_id: SenderId,
        /// What the server wants of it.
        settings: AgentSettings,
    },
    /// The session token was renewed on the open connection.
    Renewed,
    /// The server did not accept the login. The session tries again, slowly.
    Refused(Fault),
    /// There is no connection now.
    Disconnected {
        /// Why.
        cause: Disconnect,
        /// When the next attempt begins.
        retry_in: Duration,
    },
    /// Carry out a command and answer with [`Input::Reply`](super::Input::Reply), once.
    Command {
        /// The request's id, for the answer.
        id: MessageId,
        /// What is asked.
        command: Box<Command>,
    },
    /// Send a `device.status` now.
    StatusDue,
    /// The server reported a fault in a message of ours, or refused it.
    Faulted {
        /// The message's type; unknown if it is no longer in flight.
        message_type: Option<String>,
        /// What the server said.
        fault: Fault,
    },
    /// The server did not answer in time.
    Unanswered {
        /// Type of the request.
        message_type: String,
    },
    /// The server sent what does not decode. The connection lives.
    Misbehaved(DecodeError),
    /// A message was given up.
    Dropped {
        /// Its type.
        message_type: String,
        /// Why.
        reason: Cow<'static, str>,
    },
    /// The session is over after [`Input::Shutdown`](super::Input::Shutdown).
    Closed,
}

/// Why a connection ended, or was not made.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum Disconnect {
    /// The transport did not open.
    #[error("cannot connect: {0}")]
    Unreachable(String),
    /// The transport did not open in time.
    #[error("cannot connect: no answer in time")]
    DialTimeout,
    /// The server did not answer the login in time.
    #[error("no answer to the login in time")]
    LoginTimeout,
    /// The server refused the login.
    #[error("login refused: {} ({})", .0.message, .0.code.as_str())]
    Refused(Fault),
    /// The server closed the connection with a code that has no meaning of its own here.
    #[error("closed by the server ({code}: {reason})")]
    Closed {
        /// WebSocket close code (RFC 6455 §7.4).
        code: u16,
        /// Its reason, if it gave one.
        reason: String,
    },
    /// Close code 1001: the server shuts down or restarts.
    #[error("the server is going away")]
    GoingAway,
    /// Close code 1008: the server's policy forbids the connection.
    #[error("closed by the server's policy ({0})")]
    Policy(String),
    /// Close code 1009: a message of ours was too big for the server.
    #[error("a message was too big for the server")]
    TooBig,
    /// Close code 4001: somebody else logged in as this sender.
    #[error("replaced by a newer login of the same sender: is its state directory copied to another device?")]
    Replaced,
    /// The connection broke without a close.
    #[error("connection lost: {0}")]
    Broken(String),
    /// The server said nothing for too long.
    #[error("connection lost: silent for too long")]
    Silent,
    /// The server broke the rules in a way that cannot be lived with.
    #[error("the server broke the protocol: {0}")]
    Protocol(&'static str),
}
