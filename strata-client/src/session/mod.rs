//! The session as a machine without I/O: one connection to a control plane, kept for a lifetime.
//!
//! Two verbs. [`Session::handle_input`] tells it what happened and what time it is;
//! [`Session::poll_output`] says what to do, and is to be called until it answers
//! [`Output::Timeout`]. It reads no clock, no file and no randomness of its own.
//!
//! ```text
//!                  ┌───────────────────────────────────────────────────────────────┐
//!                  ▼                                                               │
//!  new ───────► Dialing ──Connected──► LoggingIn ──challenge──► Proving            │ backoff
//!                  │                     │      │                  │  │            │ is over
//!                  │ DialFailed,         │      │ success          │  │ refused    │
//!                  │ timeout             │      ▼                  │  │            │
//!                  │             refused,│    Ready ◄──────success─┘  │            │
//!                  │             timeout │    │  ▲  │                 │            │
//!                  │                     │    │  │  │ closed, broken, │            │
//!                  │       token expired │    ▼  │  │ silent          │            │
//!                  │       or about to   │  Renewing│                 │            │
//!                  │                     │    │     │                 │            │
//!                  └────────────────────►└────┴───► Waiting ◄─────────┘────────────┘
//!
//!  Shutdown in Ready or Renewing ──► Closing ──handed over, or too late──► Closed ◄── Shutdown elsewhere
//! ```
//!
//! **Nothing that counts is lost.** A `stream.ended` stays in the journal until the server has
//! answered it, a command's answer until a later ping was answered; both survive a lost connection
//! and, through [`Session::journal`], a lost process. A message refused because the session token
//! had expired is sent again after the login that follows on the same connection. Telemetry waits
//! for such a login too, but not for a new connection: by then it is stale.
//!
//! **Nothing is done twice.** A command whose id was seen before is answered from the record, or,
//! while it still runs, not at all: its one answer is yet to come.
//!
//! **Everything is bounded** by [`Config`]: messages, journal, record, running commands, times.

mod backoff;
mod config;
mod event;
mod heartbeat;
mod incoming;
mod input;
mod journal;
mod login;
mod outbox;
mod outgoing;
mod record;
mod status;
#[cfg(test)]
mod tests;
mod timers;

use std::collections::VecDeque;
use std::fmt;
use std::time::Instant;

use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use strata_proto::control::CommandKind;
use strata_proto::id::MessageId;
use strata_proto::token::EnrollmentToken;

use self::backoff::Backoff;
use self::heartbeat::Heartbeat;
use self::login::{Grant, Login};
use self::outbox::Outbox;
use self::record::Record;
use self::status::StatusClock;
use crate::config::About;
use crate::{Error, Identity};

pub use config::Config;
pub use event::{Disconnect, Event};
pub use input::{Input, Now, Output, Report, Transmit};
pub use journal::Restored;

/// Where a session is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum State {
    /// The transport is opening.
    Dialing,
    /// The login is sent.
    LoggingIn,
    /// The server's challenge is answered.
    Proving,
    /// The session is open.
    Ready,
    /// The session is open, and a login for a new session token is under way; what is to be sent waits.
    Renewing,
    /// There is no connection; the next attempt comes after a while.
    Waiting,
    /// What must not be lost is being handed over before the end.
    Closing,
    /// The session is over.
    Closed,
}

/// One connection to a control plane, kept for a lifetime.
pub struct Session {
    config: Config,
    about: About,
    identity: Identity,
    /// The token to enrol with, until it is used or found useless.
    enrollment: Option<EnrollmentToken>,
    capabilities: Vec<String>,
    rng: StdRng,
    phase: Phase,
    backoff: Backoff,
    heartbeat: Heartbeat,
    outbox: Outbox,
    record: Record,
    status: StatusClock,
    grant: Option<Grant>,
    generation: u64,
    /// When the login of this connection succeeded.
    opened_at: Option<Instant>,
    /// When session tokens were refused lately.
    refusals: VecDeque<Instant>,
    /// Until when to hand over, once the caller wants to end.
    shutdown: Option<Instant>,
    outputs: VecDeque<Output>,
    journal_changed: bool,
}

enum Phase {
    Dialing { deadline: Instant },
    LoggingIn(Login),
    Ready,
    Renewing(Login),
    Waiting { until: Instant },
    Closed,
}

impl Session {
    /// A session of the device `identity`; its first output is to dial.
    ///
    /// `seed` makes message ids and jitter: random bytes in a program, fixed ones in a simulation.
    ///
    /// # Errors
    /// [`Error::NotEnrolled`] when the device has neither enrolled nor a token to enrol with.
    pub fn new(config: &crate::Config, identity: Identity, seed: [u8; 32], now: Now) -> Result<Self, Error> {
        let enrollment = config.enrollment_token.clone().filter(|token| !identity.has_used(token));
        if identity.sender_id().is_none() && enrollment.is_none() {
            return Err(Error::NotEnrolled);
        }
        let about = config.about.clone();
        let config = config.session.clone().within_reason();
        let mut session = Self {
            about,
            identity,
            enrollment,
            capabilities: Vec::new(),
            rng: StdRng::from_seed(seed),
            phase: Phase::Closed,
            backoff: Backoff::new(config.backoff_min, config.backoff_max),
            heartbeat: Heartbeat::new(config.ping_interval, config.silence_limit),
            outbox: Outbox::new(config.journal_max_messages, config.journal_max_bytes),
            record: Record::new(config.record_max_replies, config.record_max_bytes, config.max_running),
            status: StatusClock::new(config.status_interval, config.status_debounce),
            grant: None,
            generation: 0,
            opened_at: None,
            refusals: VecDeque::new(),
            shutdown: None,
            outputs: VecDeque::new(),
            journal_changed: false,
            config,
        };
        session.dial(now);
        Ok(session)
    }

    /// What the agent can do, told to the server at the next login.
    pub fn set_capabilities(&mut self, capabilities: impl IntoIterator<Item = CommandKind>) {
        self.capabilities = capabilities.into_iter().map(|kind| kind.as_str().to_owned()).collect();
    }

    /// Who the device is; changed by [`Event::Enrolled`].
    #[must_use]
    pub fn identity(&self) -> &Identity {
        &self.identity
    }

    /// Where the session is.
    #[must_use]
    pub fn state(&self) -> State {
        match &self.phase {
            Phase::Dialing { .. } => State::Dialing,
            Phase::LoggingIn(login) if login.is_proved() => State::Proving,
            Phase::LoggingIn(_) => State::LoggingIn,
            Phase::Ready | Phase::Renewing(_) if self.shutdown.is_some() => State::Closing,
            Phase::Ready => State::Ready,
            Phase::Renewing(_) => State::Renewing,
            Phase::Waiting { .. } => State::Waiting,
            Phase::Closed => State::Closed,
        }
    }

    /// Something happened, or the time came. Never fails: what does not fit the state is ignored,
    /// and what a server does wrong becomes an event.
    pub fn handle_input(&mut self, now: Now, input: Input<'_>) {
        match input {
            Input::Connected => self.on_connected(now),
            Input::DialFailed(reason) => self.on_dial_failed(now, reason),
            Input::Text(text) => self.on_text(now, text),
            Input::Binary => self.abort(now, 1003, "binary frame", "it sent a binary frame"),
            Input::TooBig => {
                self.abort(now, 1009, "message too big", "it sent a message over the size limit")
            }
            Input::Ping => self.heartbeat.heard(now.monotonic),
            Input::Pong(payload) => self.on_pong(now, payload),
            Input::Closed { code, reason } => self.on_closed(now, code, reason),
            Input::Broken(reason) => self.on_gone(now, Disconnect::Broken(shortened(reason))),
            Input::Send(report) => self.on_send(now, report),
            Input::Reply { id, reply } => self.on_reply(now, id, reply),
            Input::StatusChanged => self.status.changed(now.monotonic),
            Input::Shutdown => self.on_shutdown(now),
            Input::Timeout => {}
        }
        self.on_time(now);
        self.flush(now);
        if self.shutdown.is_some() && matches!(self.phase, Phase::Ready) && self.outbox.is_handed_over() {
            self.finish();
        }
    }

    /// What to do next; to be called after every input until it answers [`Output::Timeout`].
    pub fn poll_output(&mut self) -> Output {
        if self.take_journal_changed() {
            return Output::Event(Event::JournalChanged);
        }
        self.outputs.pop_front().unwrap_or_else(|| Output::Timeout(self.timeout()))
    }

    /// Whether the journal changed since it was last asked for.
    pub(crate) fn take_journal_changed(&mut self) -> bool {
        std::mem::take(&mut self.journal_changed)
    }

    fn on_connected(&mut self, now: Now) {
        if matches!(self.phase, Phase::Dialing { .. }) {
            self.heartbeat.start(now.monotonic);
            self.log_in(now);
        }
    }

    fn on_dial_failed(&mut self, now: Now, reason: &str) {
        if matches!(self.phase, Phase::Dialing { .. }) {
            self.wait(now, Disconnect::Unreachable(shortened(reason)));
        }
    }

    fn on_pong(&mut self, now: Now, payload: &[u8]) {
        self.heartbeat.heard(now.monotonic);
        if let Some(number) = self.heartbeat.answered(payload) {
            self.journal_changed |= self.outbox.confirm(number);
        }
    }

    fn on_closed(&mut self, now: Now, code: u16, reason: &str) {
        if code == 1009 && self.is_connected() {
            // Sent again it would only close the next connection too.
            if let Some(entry) = self.outbox.remove_largest_sent() {
                self.dropped(&entry, "the server finds it too big");
            }
        }
        let cause = match code {
            1001 => Disconnect::GoingAway,
            1008 => Disconnect::Policy(shortened(reason)),
            1009 => Disconnect::TooBig,
            4001 => Disconnect::Replaced,
            _ => Disconnect::Closed { code, reason: shortened(reason) },
        };
        self.on_gone(now, cause);
    }

    /// The transport is gone by itself.
    fn on_gone(&mut self, now: Now, cause: Disconnect) {
        if self.is_connected() || matches!(self.phase, Phase::Dialing { .. }) {
            self.wait(now, cause);
        }
    }

    fn on_shutdown(&mut self, now: Now) {
        match self.phase {
            Phase::Closed => {}
            Phase::Ready | Phase::Renewing(_) => {
                let deadline = now.monotonic + self.config.shutdown_timeout;
                self.shutdown = Some(self.shutdown.map_or(deadline, |earlier| earlier.min(deadline)));
                self.status.stop();
            }
            _ => self.finish(),
        }
    }

    fn dial(&mut self, now: Now) {
        self.phase = Phase::Dialing { deadline: now.monotonic + self.config.dial_timeout };
        self.transmit(Transmit::Dial);
    }

    /// The server broke a rule of the transport.
    fn abort(&mut self, now: Now, code: u16, reason: &'static str, what: &'static str) {
        if self.is_connected() {
            self.close(now, code, reason, Disconnect::Protocol(what));
        }
    }

    /// Lets go of the transport, and waits.
    fn close(&mut self, now: Now, code: u16, reason: &'static str, cause: Disconnect) {
        self.transmit(Transmit::Close { code, reason });
        self.wait(now, cause);
    }

    /// There is no transport any more: the next attempt comes after a while.
    fn wait(&mut self, now: Now, cause: Disconnect) {
        let was_good = self.opened_at.take().is_some_and(|at| at + self.config.good_session <= now.monotonic);
        if was_good && cause != Disconnect::Replaced {
            self.backoff.reset();
        }
        let is_slow = match &cause {
            Disconnect::Refused(fault) => login::is_lasting(fault),
            Disconnect::Policy(_) | Disconnect::Replaced => true,
            _ => false,
        };
        let retry_in =
            if is_slow { self.backoff.slow(&mut self.rng) } else { self.backoff.next(&mut self.rng) };
        self.let_go();
        if self.shutdown.is_some() {
            self.over();
        } else {
            self.phase = Phase::Waiting { until: now.monotonic + retry_in };
            self.event(Event::Disconnected { cause, retry_in });
        }
    }

    /// Forgets all that belonged to the connection.
    fn let_go(&mut self) {
        self.heartbeat.stop();
        self.status.stop();
        self.outbox.disconnect();
        self.grant = None;
        self.opened_at = None;
    }

    /// Ends the session for good.
    fn finish(&mut self) {
        if self.is_connected() || matches!(self.phase, Phase::Dialing { .. }) {
            self.transmit(Transmit::Close { code: 1000, reason: "shutdown" });
        }
        self.let_go();
        self.over();
    }

    fn over(&mut self) {
        self.phase = Phase::Closed;
        self.shutdown = None;
        self.event(Event::Closed);
    }

    fn is_connected(&self) -> bool {
        matches!(self.phase, Phase::LoggingIn(_) | Phase::Ready | Phase::Renewing(_))
    }

    fn message_id(&mut self, now: Now) -> MessageId {
        MessageId::generate(now.wall, self.rng.random())
    }

    fn event(&mut self, event: Event) {
        self.outputs.push_back(Output::Event(event));
    }

    fn transmit(&mut self, transmit: Transmit) {
        self.outputs.push_back(Output::Transmit(transmit));
    }
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Session")
            .field("state", &self.state())
            .field("sender_id", &self.identity.sender_id())
            .finish_non_exhaustive()
    }
}

/// A stranger's words, at a length that may be logged.
fn shortened(text: &str) -> String {
    text.chars().take(256).collect()
}
