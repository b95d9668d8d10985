//! The owner's end of a live connection: its generation, its bounded outbox, the answers it owes.

use std::collections::{HashMap, VecDeque};
use std::sync::{Mutex, PoisonError};

use strata_proto::control::{CommandKind, Reply};
use strata_proto::id::MessageId;
use tokio::sync::{Notify, oneshot};

/// Why the server closes a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Close {
    /// No login in time, a first message that is not `auth.login`, or a failed login (1008).
    Policy(&'static str),
    /// The sender was decommissioned (1008).
    Revoked,
    /// A newer login of the same sender took over (4001).
    Replaced,
    /// The server shuts down (1001).
    GoingAway,
    /// The peer does not read (1008).
    SlowPeer,
    /// Nothing was heard for too long (1001).
    Silent,
    /// A message over the size limit (1009).
    TooBig,
    /// A binary frame (1003).
    Binary,
    /// A text frame that is not UTF-8 (1007).
    NotText,
    /// Every place for agents was taken meanwhile (1013).
    Full,
    /// Something broke here (1011).
    Internal,
}

impl Close {
    /// The WebSocket close code.
    #[must_use]
    pub fn code(self) -> u16 {
        match self {
            Self::Policy(_) | Self::Revoked | Self::SlowPeer => 1008,
            Self::Replaced => 4001,
            Self::GoingAway | Self::Silent => 1001,
            Self::TooBig => 1009,
            Self::Binary => 1003,
            Self::NotText => 1007,
            Self::Full => 1013,
            Self::Internal => 1011,
        }
    }

    /// The WebSocket close reason, for people.
    #[must_use]
    pub fn reason(self) -> &'static str {
        match self {
            Self::Policy(reason) => reason,
            Self::Revoked => "sender was decommissioned",
            Self::Replaced => "replaced by a newer login of the same sender",
            Self::GoingAway => "server is shutting down",
            Self::SlowPeer => "too slow: messages were not read in time",
            Self::Silent => "nothing heard for too long",
            Self::TooBig => "message over the size limit",
            Self::Binary => "binary frames are not part of this protocol",
            Self::NotText => "text frame is not UTF-8",
            Self::Full => "too many agents are connected; try again later",
            Self::Internal => "internal error",
        }
    }

    /// The presence cause the closing leaves behind.
    #[must_use]
    pub fn cause(self) -> &'static str {
        match self {
            Self::Policy(_) => "policy",
            Self::Revoked => "revoked",
            Self::Replaced => "replaced",
            Self::GoingAway => "server_shutdown",
            Self::SlowPeer => "slow_peer",
            Self::Silent => "heartbeat_timeout",
            Self::TooBig => "message_too_big",
            Self::Binary => "binary_frame",
            Self::NotText => "not_text",
            Self::Full => "server_full",
            Self::Internal => "internal",
        }
    }
}

/// One logged-in connection of one sender.
#[derive(Debug)]
pub(crate) struct Connection {
    /// Grows with every login of any sender; a late event of an older one changes nothing.
    pub(crate) generation: u64,
    capabilities: Option<Vec<String>>,
    limits: Limits,
    state: Mutex<State>,
    wake: Notify,
}

/// How much may wait on one connection.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    pub(crate) outgoing: usize,
    pub(crate) outgoing_bytes: usize,
    pub(crate) pending: usize,
}

#[derive(Debug, Default)]
struct State {
    outgoing: VecDeque<String>,
    outgoing_bytes: usize,
    pending: HashMap<MessageId, (CommandKind, oneshot::Sender<Reply>)>,
    closing: Option<Close>,
    gone: bool,
}

impl State {
    /// Whether a message of so many bytes has no room; alone every one has.
    fn is_full(&self, limits: Limits, bytes: usize) -> bool {
        let many = self.outgoing.len() >= limits.outgoing;
        many || (!self.outgoing.is_empty() && self.outgoing_bytes + bytes > limits.outgoing_bytes)
    }
}

/// What the driver of a connection finds in its outbox.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Outgoing {
    /// Write this text frame.
    Text(String),
    /// Close.
    Close(Close),
}

/// Why a command cannot be put into the outbox.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// The connection is closing or closed.
    Gone,
    /// Too many commands wait for this agent's answers.
    Busy,
}

impl Connection {
    pub(crate) fn new(generation: u64, capabilities: Option<Vec<String>>, limits: Limits) -> Self {
        let (state, wake) = (Mutex::default(), Notify::new());
        Self { generation, capabilities, limits, state, wake }
    }

    /// Whether the agent said it can do `kind`. One that lists nothing is asked.
    pub(crate) fn supports(&self, kind: CommandKind) -> bool {
        self.capabilities.as_ref().is_none_or(|list| list.iter().any(|name| name == kind.as_str()))
    }

    pub(crate) fn capabilities(&self) -> Option<&Vec<String>> {
        self.capabilities.as_ref()
    }

    /// Queues a command and gives the end its reply comes out of; the end is dropped with the connection.
    pub(crate) fn send(
        &self,
        id: &MessageId,
        kind: CommandKind,
        text: String,
    ) -> Result<oneshot::Receiver<Reply>, Refusal> {
        let mut state = self.lock();
        if state.gone || state.closing.is_some() {
            return Err(Refusal::Gone);
        }
        if state.pending.len() >= self.limits.pending {
            return Err(Refusal::Busy);
        }
        if state.is_full(self.limits, text.len()) {
            state.closing = Some(Close::SlowPeer);
            drop(state);
            self.wake.notify_one();
            return Err(Refusal::Gone);
        }
        let (reply, answer) = oneshot::channel();
        state.pending.insert(id.clone(), (kind, reply));
        state.outgoing_bytes += text.len();
        state.outgoing.push_back(text);
        drop(state);
        self.wake.notify_one();
        Ok(answer)
    }

    /// Gives a reply to whoever waits for it; false when nobody does.
    pub(crate) fn answer(&self, id: &MessageId, kind: Option<CommandKind>, reply: Reply) -> bool {
        let mut state = self.lock();
        match state.pending.get(id) {
            Some((wanted, _)) if kind.is_none_or(|kind| kind == *wanted) => {}
            _ => return false,
        }
        let waiting = state.pending.remove(id);
        drop(state);
        waiting.is_some_and(|(_, end)| end.send(reply).is_ok())
    }

    /// Nobody waits for this reply any more.
    pub(crate) fn forget(&self, id: &MessageId) {
        self.lock().pending.remove(id);
    }

    /// Asks the driver to close; the first reason counts.
    pub(crate) fn close(&self, why: Close) {
        self.lock().closing.get_or_insert(why);
        self.wake.notify_one();
    }

    /// The driver has ended: whoever waits is told.
    pub(crate) fn ended(&self) {
        let mut state = self.lock();
        state.gone = true;
        state.pending = HashMap::new();
        state.outgoing = VecDeque::new();
        state.outgoing_bytes = 0;
    }

    /// The next thing to write. A wish to close goes before everything that waits. Cancel safe.
    pub(crate) async fn outgoing(&self) -> Outgoing {
        loop {
            if let Some(out) = self.take() {
                return out;
            }
            self.wake.notified().await;
        }
    }

    fn take(&self) -> Option<Outgoing> {
        let mut state = self.lock();
        if let Some(why) = state.closing {
            return Some(Outgoing::Close(why));
        }
        let text = state.outgoing.pop_front()?;
        state.outgoing_bytes -= text.len();
        if state.outgoing.is_empty() {
            state.outgoing = VecDeque::new();
        }
        Some(Outgoing::Text(text))
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;
    use strata_proto::time::Timestamp;

    use super::*;

    fn send(connection: &Connection, n: u8, bytes: usize) -> Result<(), Refusal> {
        let id = MessageId::generate(Timestamp::from_unix_millis(0), [n; 10]);
        connection.send(&id, CommandKind::InterfacesScan, "x".repeat(bytes)).map(drop)
    }

    #[test]
    fn what_waits_is_bounded_by_bytes_and_one_message_alone_always_has_room() {
        let limits = Limits { outgoing: 64, outgoing_bytes: 100, pending: 32 };
        let connection = Connection::new(1, None, limits);
        assert_eq!(send(&connection, 1, 500), Ok(()));
        assert!(matches!(connection.outgoing().now_or_never(), Some(Outgoing::Text(_))));
        assert_eq!((send(&connection, 2, 60), send(&connection, 3, 40)), (Ok(()), Ok(())));
        assert!(matches!(connection.outgoing().now_or_never(), Some(Outgoing::Text(_))));
        assert_eq!(send(&connection, 4, 61), Err(Refusal::Gone));
        assert_eq!(connection.outgoing().now_or_never(), Some(Outgoing::Close(Close::SlowPeer)));
    }
}
