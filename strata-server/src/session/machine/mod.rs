//! The server's end of one connection, without I/O.
//!
//! ```text
//!            auth.login            Verdict::Challenge        auth.challenge.response
//!  New ───────────────► Checking ───────────────► Challenged ───────────► Checking
//!   │ 10 s, anything else  │ Verdict::Refused        │ 10 s, bad signature    │ Verdict::Accepted
//!   ▼                      ▼                         ▼                        ▼
//!  Closed                Closed                    Closed                   Open ──► the same again,
//!                                                                                    for a new token
//! ```
//! Once open, a login on the same socket runs beside the traffic and never interrupts it.

mod login;

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use strata_proto::control::{
    AgentMessage, Challenge, ChallengeResponse, CommandKind, CommandProgress, ControlMessage, DeviceStatus,
    Envelope, ErrorCode, Fault, LoginResponse, Message as _, RawEnvelope, Reply, StreamEnded, StreamStats,
};
use strata_proto::id::{MessageId, SenderId};
use strata_proto::time::Timestamp;
use strata_proto::token::Secret;
use subtle::ConstantTimeEq as _;

pub(crate) use login::{Accepted, Attempt, Verdict, decode_base64};
use login::{Asks, attempt_of, signed};

use super::Close;
use super::bucket::{Admission, Flood};
use crate::clock::Now;
use crate::config::SessionConfig;
use crate::store::DeviceInfo;

/// What happened to the connection.
#[derive(Debug)]
pub(crate) enum Input<'a> {
    /// A text frame came.
    Text(&'a str),
    /// A binary frame came.
    Binary,
    /// A message over the size limit came.
    TooBig,
    /// A ping or pong came.
    Alive,
    /// What the fleet says to an [`Attempt`].
    Verdict(Verdict),
    /// `stream.ended` was stored, or not.
    EndStored(MessageId, Result<(), Fault>),
    /// The time of [`Output::Timeout`] has come.
    Timeout,
}

/// What is to be done.
#[derive(Debug, PartialEq)]
pub(crate) enum Output {
    /// Write a text frame.
    Transmit(String),
    /// Write a ping.
    Ping,
    /// Ask the fleet, and give the answer back as [`Input::Verdict`] before anything else.
    Authenticate(Attempt),
    /// Tell the fleet.
    Report(MessageId, Report),
    /// Close; nothing else follows.
    Close(Close),
    /// Nothing more until then, or until something happens.
    Timeout(Instant),
}

/// What a logged-in agent said. Already answered, unless it says otherwise.
#[derive(Debug, PartialEq)]
pub(crate) enum Report {
    /// `device.status`.
    Status(Box<DeviceStatus>),
    /// `stream.stats`.
    Stats(StreamStats),
    /// `stream.ended`; answered after [`Input::EndStored`].
    Ended(StreamEnded),
    /// `command.progress`.
    Progress(CommandProgress),
    /// The answer to a command; of no kind when the agent answered `error`.
    Reply(Option<CommandKind>, Reply),
}

/// The machine.
#[derive(Debug)]
pub(crate) struct Session {
    limits: Limits,
    login: Login,
    open: Option<Open>,
    closed: bool,
    flood: Flood,
    last_heard: Instant,
    next_ping: Instant,
    random: u64,
    out: VecDeque<Output>,
}

/// The part of [`SessionConfig`] the machine needs.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    login_timeout: Duration,
    ping_interval: Duration,
    silence_timeout: Duration,
    burst: u32,
    per_second: u32,
}

impl From<&SessionConfig> for Limits {
    fn from(config: &SessionConfig) -> Self {
        Self {
            login_timeout: Duration::from_secs(config.login_timeout_s),
            ping_interval: Duration::from_secs(config.ping_interval_s),
            silence_timeout: Duration::from_secs(config.silence_timeout_s),
            burst: config.message_burst,
            per_second: config.messages_per_s,
        }
    }
}

#[derive(Debug)]
enum Login {
    /// None is going on; at first until the deadline.
    None,
    /// The fleet is asked.
    Checking(Box<Checking>),
    /// The agent is asked to sign.
    Challenged(Box<Challenged>),
}

#[derive(Debug)]
struct Checking {
    login: MessageId,
    /// Nothing if it cannot be challenged.
    asks: Option<Asks>,
}

#[derive(Debug)]
struct Challenged {
    login: MessageId,
    id: MessageId,
    sender: SenderId,
    challenge: String,
    public_key: [u8; 32],
    info: DeviceInfo,
}

#[derive(Debug)]
struct Open {
    sender: SenderId,
    token: Issued,
    /// Still good after a new login: messages with it may be on their way.
    previous: Option<Issued>,
}

#[derive(Debug)]
struct Issued {
    token: Secret,
    expires_at: Timestamp,
}

impl Session {
    /// A connection just opened. `seed` makes message ids differ between connections; it is no secret.
    pub(crate) fn new(now: Now, limits: Limits, seed: u64) -> Self {
        Self {
            limits,
            login: Login::None,
            open: None,
            closed: false,
            flood: Flood::new(now.mono, limits.burst, limits.per_second),
            last_heard: now.mono,
            next_ping: now.mono + limits.ping_interval,
            random: seed,
            out: VecDeque::new(),
        }
    }

    /// The sender that logged in.
    pub(crate) fn sender(&self) -> Option<&SenderId> {
        self.open.as_ref().map(|open| &open.sender)
    }

    /// Takes one input; drain [`Session::poll_output`] afterwards.
    pub(crate) fn handle_input(&mut self, now: Now, input: Input<'_>) {
        if self.closed {
            return;
        }
        match input {
            Input::Text(text) => {
                self.last_heard = now.mono;
                self.on_text(now, text);
            }
            Input::Alive => self.last_heard = now.mono,
            Input::Binary => self.close(Close::Binary),
            Input::TooBig => self.close(Close::TooBig),
            Input::Verdict(verdict) => self.on_verdict(now, verdict),
            Input::EndStored(id, result) => {
                let reply = result.map_or_else(Reply::failed, |()| Reply::ok());
                self.send(now, id, ControlMessage::StreamEndedReply(reply));
            }
            Input::Timeout => self.on_timeout(now),
        }
    }

    /// The next thing to do; ends with [`Output::Timeout`] or [`Output::Close`].
    pub(crate) fn poll_output(&mut self) -> Output {
        match self.out.pop_front() {
            Some(output) => output,
            None => Output::Timeout(self.deadline()),
        }
    }

    fn deadline(&self) -> Instant {
        let silent = self.last_heard + self.limits.silence_timeout;
        match self.open {
            None => self.login_deadline(),
            Some(_) => silent.min(self.next_ping),
        }
    }

    /// `next_ping` stands still at its first value until the session is open.
    fn login_deadline(&self) -> Instant {
        self.next_ping - self.limits.ping_interval + self.limits.login_timeout
    }

    fn on_timeout(&mut self, now: Now) {
        if self.open.is_none() {
            if now.mono >= self.login_deadline() {
                let fault = Fault::new(ErrorCode::LOGIN_REQUIRED, "no login in time");
                self.fail(now, None, fault);
                self.close(Close::Policy("no login in time"));
            }
            return;
        }
        if now.mono >= self.last_heard + self.limits.silence_timeout {
            self.close(Close::Silent);
        } else if now.mono >= self.next_ping {
            self.next_ping = now.mono + self.limits.ping_interval;
            self.out.push_back(Output::Ping);
        }
    }

    fn on_text(&mut self, now: Now, text: &str) {
        match self.flood.admit(now.mono) {
            Admission::Served => {}
            Admission::Refused if self.open.is_some() => return self.on_too_many(now, text),
            Admission::Refused | Admission::Flooding => {
                return self.close(Close::Policy("too many messages"));
            }
        }
        let raw = match RawEnvelope::decode(text) {
            Ok(raw) => raw,
            Err(error) => {
                self.fail(now, id_of(text), Fault::from(&error));
                return self.first_must_be_login();
            }
        };
        match (&self.open, &*raw.message_type) {
            (_, "auth.login" | "auth.challenge.response") => self.on_auth(now, raw),
            (None, _) => {
                let fault = Fault::new(ErrorCode::LOGIN_REQUIRED, "the first message must be auth.login");
                self.fail(now, Some(raw.id), fault.with_field("type"));
                self.first_must_be_login();
            }
            (Some(open), _) => match open.check(now.wall, raw.token.as_ref()) {
                Ok(()) => self.on_message(now, raw),
                Err(fault) => self.fail(now, Some(raw.id), fault),
            },
        }
    }

    fn first_must_be_login(&mut self) {
        if self.open.is_none() {
            self.close(Close::Policy("the first message must be auth.login"));
        }
    }

    fn on_too_many(&mut self, now: Now, text: &str) {
        self.fail(
            now,
            id_of(text),
            Fault::new(ErrorCode::RATE_LIMITED, "too many messages; wait before sending more"),
        );
    }

    fn on_message(&mut self, now: Now, raw: RawEnvelope<'_>) {
        let id = raw.id.clone();
        let message = match raw.open::<AgentMessage>() {
            Ok(envelope) => envelope.message,
            Err(error) => return self.fail(now, Some(id), Fault::from(&error)),
        };
        let report = match message {
            AgentMessage::DeviceStatus(status) => {
                self.send(now, id.clone(), ControlMessage::DeviceStatusReply(Reply::ok()));
                Report::Status(status)
            }
            AgentMessage::StreamStats(stats) => Report::Stats(stats),
            AgentMessage::StreamEnded(ended) => Report::Ended(ended),
            AgentMessage::Progress(progress) => Report::Progress(progress),
            AgentMessage::Reply(kind, reply) => Report::Reply(Some(kind), reply),
            AgentMessage::Error(fault) => Report::Reply(None, Reply::failed(fault)),
            other => {
                let kind = other.message_type();
                let fault = Fault::new(ErrorCode::UNSUPPORTED, format!("{kind} is not served here"));
                return self.fail(now, Some(id), fault.with_field("type"));
            }
        };
        self.out.push_back(Output::Report(id, report));
    }

    fn on_auth(&mut self, now: Now, raw: RawEnvelope<'_>) {
        let id = raw.id.clone();
        match (raw.open::<AgentMessage>().map(|envelope| envelope.message), &self.login) {
            (Ok(AgentMessage::Login(login)), Login::None | Login::Challenged(_)) => {
                self.on_login(now, id, login);
            }
            (Ok(AgentMessage::ChallengeResponse(response)), Login::Challenged(challenged)) => {
                let fits = challenged.id == id && challenged.sender == response.sender_id;
                self.on_signature(now, fits, &response);
            }
            (Ok(_), _) => {
                let fault = Fault::new(ErrorCode::LOGIN_REQUIRED, "nothing was challenged; send auth.login");
                self.fail(now, Some(id), fault.with_field("type"));
                self.first_must_be_login();
            }
            (Err(error), _) => {
                self.fail(now, Some(id), Fault::from(&error));
                self.first_must_be_login();
            }
        }
    }

    fn on_login(&mut self, now: Now, id: MessageId, login: strata_proto::control::Login) {
        let (attempt, asks) = match attempt_of(login) {
            Ok(attempt) => attempt,
            Err(fault) => return self.refuse(now, id, fault),
        };
        if let Some(open) = &self.open
            && attempt.sender() != Some(&open.sender)
        {
            let fault = Fault::new(ErrorCode::INVALID_CREDENTIALS, "this connection is another sender's");
            return self.refuse(now, id, fault.with_field("payload.sender_id"));
        }
        self.login = Login::Checking(Box::new(Checking { login: id, asks }));
        self.out.push_back(Output::Authenticate(attempt));
    }

    fn on_signature(&mut self, now: Now, fits: bool, response: &ChallengeResponse) {
        let Login::Challenged(asked) = std::mem::replace(&mut self.login, Login::None) else { return };
        let asked = *asked;
        if !fits || !signed(&asked.public_key, &asked.challenge, &response.signature) {
            let fault =
                Fault::new(ErrorCode::INVALID_CREDENTIALS, "the signature does not prove the device key");
            return self.refuse(now, asked.login, fault.with_field("payload.signature"));
        }
        self.login = Login::Checking(Box::new(Checking { login: asked.login, asks: None }));
        let (sender, public_key, info) = (asked.sender, asked.public_key, asked.info);
        self.out.push_back(Output::Authenticate(Attempt::Proven { sender, public_key, info }));
    }

    fn on_verdict(&mut self, now: Now, verdict: Verdict) {
        let Login::Checking(checking) = std::mem::replace(&mut self.login, Login::None) else { return };
        let Checking { login, asks } = *checking;
        match verdict {
            Verdict::Refused(fault) => self.refuse(now, login, fault),
            Verdict::Challenge { sender, challenge, public_key } => {
                let Some(Asks { info, is_enrollment }) = asks else {
                    return self.close(Close::Internal);
                };
                let id = self.new_id(now.wall);
                let sender_id = is_enrollment.then(|| sender.clone());
                let message = Challenge { challenge: challenge.clone(), sender_id };
                self.send(now, id.clone(), ControlMessage::Challenge(message));
                let asked = Challenged { login, id, sender, challenge, public_key, info };
                self.login = Login::Challenged(Box::new(asked));
            }
            Verdict::Accepted(accepted) => self.on_accepted(now, login, accepted),
        }
    }

    fn on_accepted(&mut self, now: Now, login: MessageId, accepted: Accepted) {
        let Accepted { sender, token, expires_at, device_key, settings } = accepted;
        let previous = self.open.take().map(|open| open.token);
        if previous.is_none() {
            self.next_ping = now.mono + self.limits.ping_interval;
        }
        let response = LoginResponse {
            success: true,
            error: None,
            sender_id: Some(sender.clone()),
            session_token: Some(token.clone()),
            device_key,
            config: Some(settings),
        };
        self.open = Some(Open { sender, token: Issued { token, expires_at }, previous });
        self.send(now, login, ControlMessage::LoginResponse(response));
    }

    fn refuse(&mut self, now: Now, login: MessageId, fault: Fault) {
        let response = LoginResponse { success: false, error: Some(fault), ..LoginResponse::default() };
        self.send(now, login, ControlMessage::LoginResponse(response));
        self.close(Close::Policy("login failed"));
    }

    fn fail(&mut self, now: Now, id: Option<MessageId>, fault: Fault) {
        let id = id.unwrap_or_else(|| self.new_id(now.wall));
        self.send(now, id, ControlMessage::Error(fault));
    }

    fn send(&mut self, now: Now, id: MessageId, message: ControlMessage) {
        match Envelope::new(id, now.wall, message).encode() {
            Ok(text) => self.out.push_back(Output::Transmit(text)),
            Err(_) => self.close(Close::Internal),
        }
    }

    fn close(&mut self, why: Close) {
        if !self.closed {
            self.closed = true;
            self.out.push_back(Output::Close(why));
        }
    }

    fn new_id(&mut self, now: Timestamp) -> MessageId {
        let mut random = [0; 10];
        random[..8].copy_from_slice(&splitmix(&mut self.random).to_le_bytes());
        random[8..].copy_from_slice(&splitmix(&mut self.random).to_le_bytes()[..2]);
        MessageId::generate(now, random)
    }
}

impl Open {
    fn check(&self, now: Timestamp, token: Option<&Secret>) -> Result<(), Fault> {
        let invalid = |message| Fault::new(ErrorCode::TOKEN_INVALID, message).with_field("token");
        let token = token.ok_or_else(|| invalid("the session token is missing"))?;
        let issued = [Some(&self.token), self.previous.as_ref()];
        let issued = issued.into_iter().flatten().find(|issued| issued.is(token));
        let issued = issued.ok_or_else(|| invalid("not the session token of this connection"))?;
        if now >= issued.expires_at {
            let fault = Fault::new(ErrorCode::TOKEN_EXPIRED, "the session token has expired; log in again");
            return Err(fault.with_field("token"));
        }
        Ok(())
    }
}

impl Issued {
    fn is(&self, token: &Secret) -> bool {
        self.token.expose().as_bytes().ct_eq(token.expose().as_bytes()).into()
    }
}

/// The id of a message whose envelope is otherwise broken, so that its sender can tell which it was.
fn id_of(text: &str) -> Option<MessageId> {
    #[derive(serde::Deserialize)]
    struct Id {
        id: MessageId,
    }
    serde_json::from_str::<Id>(text).ok().map(|found| found.id)
}

/// SplitMix64 (Steele, Lea, Flood 2014): ids that differ, not secrets.
fn splitmix(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut z = *state;
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests;
