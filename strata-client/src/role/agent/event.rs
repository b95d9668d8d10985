//! What a program can watch an agent's session do.

use std::time::Duration;

use strata_proto::control::{AgentSettings, Fault};
use strata_proto::id::SenderId;
use tokio::sync::broadcast;

use crate::session::Disconnect;

/// What happened to the session, for logs, lamps and tests.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Event {
    /// The device has enrolled; its identity is on disk.
    Enrolled {
        /// Who it is from now on.
        sender_id: SenderId,
    },
    /// The session is open.
    LoggedIn {
        /// Who the device is.
        sender_id: SenderId,
        /// What the server wants of it.
        settings: AgentSettings,
    },
    /// The server did not accept the login; the session tries again, slowly.
    Refused(Fault),
    /// There is no connection now.
    Disconnected {
        /// Why.
        cause: Disconnect,
        /// When the next attempt begins.
        retry_in: Duration,
    },
    /// A message was given up: the journal is full, or the server does not take it.
    Dropped {
        /// Its type.
        message_type: String,
        /// Why.
        reason: String,
    },
    /// The session is over.
    Closed,
}

/// A view of the session's events, from the moment it was made.
#[derive(Debug)]
pub struct Events(pub(super) broadcast::Receiver<Event>);

impl Events {
    /// The next event; `None` after the driver has ended. A reader that is more than
    /// 64 events behind misses the oldest.
    pub async fn next(&mut self) -> Option<Event> {
        loop {
            match self.0.recv().await {
                Ok(event) => return Some(event),
                Err(broadcast::error::RecvError::Lagged(_)) => {}
                Err(broadcast::error::RecvError::Closed) => return None,
            }
        }
    }
}
