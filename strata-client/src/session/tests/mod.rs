//! The machine in virtual time: one file per behaviour.

#![expect(clippy::disallowed_methods, reason = "virtual time starts somewhere")]

mod commands;
mod expiry;
mod journal;
mod liveness;
mod random;
mod strangers;
mod table;

use std::time::{Duration, Instant};

use strata_proto::control::{
    AgentMessage, AgentSettings, Challenge, Command, ControlMessage, EndReason, Envelope, Fault,
    LoginResponse, Message as _, Reply, StreamEnded, StreamStats, StreamStop,
};
use strata_proto::id::MessageId;
use strata_proto::time::Timestamp;
use strata_proto::token::Secret;

use super::{Config, Disconnect, Event, Input, Now, Output, Report, Session, State, Transmit};
use crate::Identity;

/// A session, its clock, and what it said.
pub(super) struct Rig {
    pub(super) session: Session,
    pub(super) now: Now,
    start: Instant,
}

/// What a session does in answer to an input, in order.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Did {
    Dial,
    Sent(Box<Envelope<AgentMessage>>),
    Ping([u8; 8]),
    Close(u16),
    Event(Event),
}

impl Rig {
    /// A device that has enrolled as `snd_1`.
    pub(super) fn enrolled() -> Self {
        Self::with(Config::default())
    }

    pub(super) fn with(session: Config) -> Self {
        let mut identity = Identity::from_seed([1; 32]);
        identity.enrol("snd_1".parse().unwrap(), None, None);
        Self::of(session, identity, None)
    }

    /// A device that has only a token.
    pub(super) fn fresh() -> Self {
        Self::of(Config::default(), Identity::from_seed([1; 32]), Some("enr_first"))
    }

    pub(super) fn of(session: Config, identity: Identity, token: Option<&str>) -> Self {
        let mut config = crate::Config::new("wss://control.example/agent/ws".parse().unwrap());
        config.enrollment_token = token.map(|token| token.parse().unwrap());
        config.session = session;
        let now = Now { monotonic: Instant::now(), wall: Timestamp::from_unix_millis(1_771_064_000_000) };
        Self::starting(now, &config, identity)
    }

    fn starting(now: Now, config: &crate::Config, identity: Identity) -> Self {
        let session = Session::new(config, identity, [5; 32], now).unwrap();
        Self { session, now, start: now.monotonic }
    }

    /// Like [`Rig::enrolled`], logged in, its first outputs drained.
    pub(super) fn ready() -> Self {
        let mut rig = Self::enrolled();
        rig.log_in();
        rig
    }

    /// The process dies; another one takes over what is on disk.
    pub(super) fn restart(&mut self) -> Vec<Did> {
        let mut config = crate::Config::new("wss://control.example/agent/ws".parse().unwrap());
        config.session = self.session.config.clone();
        let journal = self.session.journal();
        let start = self.start;
        *self = Self::starting(self.now, &config, self.session.identity().clone());
        self.start = start;
        let restored = self.session.restore(&journal);
        assert_eq!(restored.damaged, 0, "it reads what it wrote");
        self.drain()
    }

    /// Gives an input and collects what follows from it.
    pub(super) fn input(&mut self, input: Input<'_>) -> Vec<Did> {
        self.session.handle_input(self.now, input);
        self.drain()
    }

    pub(super) fn drain(&mut self) -> Vec<Did> {
        let mut did = Vec::new();
        loop {
            did.push(match self.session.poll_output() {
                Output::Timeout(_) => return did,
                Output::Transmit(Transmit::Dial) => Did::Dial,
                Output::Transmit(Transmit::Text(text)) => {
                    Did::Sent(Box::new(Envelope::decode(&text).unwrap()))
                }
                Output::Transmit(Transmit::Ping(payload)) => Did::Ping(payload),
                Output::Transmit(Transmit::Close { code, .. }) => Did::Close(code),
                Output::Event(event) => Did::Event(event),
            });
        }
    }

    /// The server says something.
    pub(super) fn hear(&mut self, id: &str, message: ControlMessage) -> Vec<Did> {
        let text = Envelope::new(self::id(id), self.now.wall, message).encode().unwrap();
        self.input(Input::Text(&text))
    }

    /// Lets time pass, stopping wherever the session wants to be asked.
    pub(super) fn pass(&mut self, time: Duration) -> Vec<Did> {
        let end = self.now.monotonic + time;
        let mut did = self.drain();
        loop {
            let Output::Timeout(at) = self.session.poll_output() else { panic!("drained") };
            let at = at.filter(|at| *at <= end);
            self.jump(at.unwrap_or(end).saturating_duration_since(self.now.monotonic));
            did.extend(self.input(Input::Timeout));
            if at.is_none() {
                return did;
            }
        }
    }

    /// Lets time pass with a server that answers pings and statuses.
    pub(super) fn pass_alive(&mut self, time: Duration) -> Vec<Did> {
        let end = self.now.monotonic + time;
        let mut did = self.drain();
        while self.now.monotonic < end {
            let Output::Timeout(at) = self.session.poll_output() else { panic!("drained") };
            let at = at.map_or(end, |at| at.min(end));
            self.jump(at.saturating_duration_since(self.now.monotonic));
            let mut todo = self.input(Input::Timeout);
            while !todo.is_empty() {
                let answers: Vec<Did> = todo.iter().flat_map(|did| self.answer(did)).collect();
                did.append(&mut todo);
                todo = answers;
            }
        }
        did
    }

    fn answer(&mut self, did: &Did) -> Vec<Did> {
        match did {
            Did::Ping(payload) => self.input(Input::Pong(payload)),
            Did::Sent(sent) => match &sent.message {
                AgentMessage::DeviceStatus(_) => {
                    self.hear(sent.id.as_str(), ControlMessage::DeviceStatusReply(Reply::ok()))
                }
                _ => Vec::new(),
            },
            _ => Vec::new(),
        }
    }

    /// Both clocks go on.
    pub(super) fn jump(&mut self, time: Duration) {
        self.now.monotonic += time;
        self.now.wall = self.now.wall.after(time);
    }

    pub(super) fn elapsed(&self) -> Duration {
        self.now.monotonic - self.start
    }

    /// Opens the transport and logs in by challenge; what the session did at the end of it.
    pub(super) fn log_in(&mut self) -> Vec<Did> {
        self.drain();
        let did = self.input(Input::Connected);
        self.accept(&did, "token-1")
    }

    /// Answers the login among `did` with a challenge and then with `token`.
    pub(super) fn accept(&mut self, did: &[Did], token: &str) -> Vec<Did> {
        let login = login_id(did);
        let did = self.hear("ch", challenge());
        assert!(matches!(sent(&did)[..], [Envelope { message: AgentMessage::ChallengeResponse(_), .. }]));
        self.hear(login.as_str(), accepted(token))
    }
}

pub(super) fn id(text: &str) -> MessageId {
    text.parse().unwrap()
}

/// The messages among `did`.
pub(super) fn sent(did: &[Did]) -> Vec<&Envelope<AgentMessage>> {
    did.iter().filter_map(|did| if let Did::Sent(sent) = did { Some(&**sent) } else { None }).collect()
}

/// The events among `did`.
pub(super) fn events(did: &[Did]) -> Vec<&Event> {
    did.iter().filter_map(|did| if let Did::Event(event) = did { Some(event) } else { None }).collect()
}

pub(super) fn disconnect(did: &[Did]) -> Option<(&Disconnect, Duration)> {
    events(did).into_iter().find_map(|event| match event {
        Event::Disconnected { cause, retry_in } => Some((cause, *retry_in)),
        _ => None,
    })
}

pub(super) fn login_id(did: &[Did]) -> MessageId {
    let login = sent(did).into_iter().find(|sent| matches!(sent.message, AgentMessage::Login(_)));
    login.expect("a login").id.clone()
}

pub(super) fn challenge() -> ControlMessage {
    ControlMessage::Challenge(Challenge { challenge: "nonce".into(), sender_id: None })
}

pub(super) fn accepted(token: &str) -> ControlMessage {
    ControlMessage::LoginResponse(LoginResponse {
        success: true,
        sender_id: Some("snd_1".parse().unwrap()),
        session_token: Some(Secret::new(token)),
        config: Some(AgentSettings::default()),
        ..LoginResponse::default()
    })
}

pub(super) fn refused(fault: Fault) -> ControlMessage {
    ControlMessage::LoginResponse(LoginResponse { error: Some(fault), ..LoginResponse::default() })
}

pub(super) fn stop() -> Command {
    StreamStop { stream_id: "str_1".parse().unwrap(), reason: None }.into()
}

pub(super) fn status() -> Input<'static> {
    Input::Send(Report::Status(Box::default()))
}

pub(super) fn stats(uptime_s: u64) -> Input<'static> {
    Input::Send(Report::Stats(StreamStats {
        stream_id: "str_1".parse().unwrap(),
        uptime_s,
        encoder_bitrate_kbps: 5000,
        target_bitrate_kbps: None,
        links: Vec::new(),
    }))
}

pub(super) fn ended(number: u64) -> Input<'static> {
    Input::Send(Report::Ended(StreamEnded {
        stream_id: format!("str_{number}").parse().unwrap(),
        reason: EndReason::UserStop,
        duration_s: number,
        total_bytes: 0,
        error: None,
    }))
}

/// Types of the messages among `did`.
pub(super) fn types(did: &[Did]) -> Vec<String> {
    sent(did).iter().map(|sent| sent.message.message_type().into_owned()).collect()
}

pub(super) const SECOND: Duration = Duration::from_secs(1);
