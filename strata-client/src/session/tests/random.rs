//! Random operations: it never panics, never spins, never grows beyond its limits.

use proptest::collection::vec;
use proptest::prelude::*;
use strata_proto::control::ErrorCode;

use super::*;

/// One thing that may happen.
#[derive(Debug, Clone)]
enum Op {
    Connected,
    DialFailed,
    Garbage(String),
    Challenge,
    /// Answers the last login.
    Login(bool),
    Command(u8),
    Repeat(u8),
    /// Answers the nth newest message of ours.
    Answer(u8),
    /// Refuses it.
    Fault(u8, u8),
    Pong,
    Close(u16),
    Broken,
    Binary,
    Status,
    Stats,
    Ended,
    Changed,
    Restart,
    Pass(u32),
    Wall(i64),
    Shutdown,
}

fn op() -> impl Strategy<Value = Op> {
    let often = prop_oneof![
        4 => Just(Op::Connected),
        2 => Just(Op::Challenge),
        4 => Just(Op::Login(true)),
        4 => (0..40_000u32).prop_map(Op::Pass),
        3 => any::<u8>().prop_map(Op::Command),
        2 => any::<u8>().prop_map(Op::Repeat),
        3 => any::<u8>().prop_map(Op::Answer),
        3 => (any::<u8>(), any::<u8>()).prop_map(|(n, code)| Op::Fault(n, code)),
        3 => Just(Op::Pong),
        3 => Just(Op::Stats),
        3 => Just(Op::Ended),
        2 => Just(Op::Status),
    ];
    let seldom = prop_oneof![
        Just(Op::DialFailed),
        ".{0,40}".prop_map(Op::Garbage),
        Just(Op::Login(false)),
        prop_oneof![Just(1000u16), Just(1001), Just(1008), Just(1009), Just(4001), any::<u16>()]
            .prop_map(Op::Close),
        Just(Op::Broken),
        Just(Op::Binary),
        Just(Op::Changed),
        Just(Op::Restart),
        any::<i64>().prop_map(Op::Wall),
    ];
    prop_oneof![20 => often, 6 => seldom, 1 => Just(Op::Shutdown)]
}

/// A session with small limits, and a careless server.
struct World {
    rig: Rig,
    login: MessageId,
    sent: Vec<MessageId>,
    pings: Vec<[u8; 8]>,
    /// Commands the session handed out, and that were not answered.
    handed_out: Vec<MessageId>,
}

fn limits() -> Config {
    Config {
        journal_max_messages: 8,
        journal_max_bytes: 2000,
        record_max_replies: 4,
        record_max_bytes: 1000,
        max_running: 4,
        ..Config::default()
    }
}

impl World {
    fn apply(&mut self, op: &Op) {
        let nth = |n: u8, ids: &[MessageId]| {
            ids.iter().rev().nth(usize::from(n) % ids.len().max(1)).map_or_else(|| id("none"), Clone::clone)
        };
        let did = match op {
            Op::Connected => self.rig.input(Input::Connected),
            Op::DialFailed => self.rig.input(Input::DialFailed("x")),
            Op::Garbage(text) => self.rig.input(Input::Text(text)),
            Op::Challenge => self.rig.hear("ch", challenge()),
            Op::Login(true) => self.rig.hear(self.login.clone().as_str(), accepted("t")),
            Op::Login(false) => {
                self.rig.hear(self.login.clone().as_str(), refused(Fault::new(ErrorCode::REVOKED, "x")))
            }
            Op::Command(n) => self.rig.hear(&format!("c{n}"), ControlMessage::Command(stop())),
            Op::Repeat(n) => {
                let id = nth(*n, &self.handed_out);
                self.handed_out.retain(|known| *known != id);
                self.rig.input(Input::Reply { id, reply: Reply::ok() })
            }
            Op::Answer(n) => {
                self.rig.hear(nth(*n, &self.sent).as_str(), ControlMessage::StreamEndedReply(Reply::ok()))
            }
            Op::Fault(n, code) => {
                let codes = [
                    ErrorCode::TOKEN_EXPIRED,
                    ErrorCode::TOKEN_INVALID,
                    ErrorCode::INTERNAL,
                    ErrorCode::NOT_FOUND,
                ];
                let fault = Fault::new(codes[usize::from(*code) % 4].clone(), "x");
                self.rig.hear(nth(*n, &self.sent).as_str(), ControlMessage::Error(fault))
            }
            Op::Pong => {
                let payload = self.pings.last().copied().unwrap_or_default();
                self.rig.input(Input::Pong(&payload))
            }
            Op::Close(code) => self.rig.input(Input::Closed { code: *code, reason: "x" }),
            Op::Broken => self.rig.input(Input::Broken("x")),
            Op::Binary => self.rig.input(Input::Binary),
            Op::Status => self.rig.input(status()),
            Op::Stats => self.rig.input(stats(1)),
            Op::Ended => self.rig.input(ended(1)),
            Op::Changed => self.rig.input(Input::StatusChanged),
            Op::Restart => {
                self.handed_out.clear();
                self.rig.restart()
            }
            Op::Pass(ms) => self.rig.pass(Duration::from_millis(u64::from(*ms))),
            Op::Wall(ms) => {
                self.rig.now.wall = Timestamp::from_unix_millis(*ms);
                Vec::new()
            }
            Op::Shutdown => self.rig.input(Input::Shutdown),
        };
        self.watch(&did);
    }

    fn watch(&mut self, did: &[Did]) {
        // The largest burst: everything kept, and an event for each.
        assert!(did.len() < 2000, "{} outputs at once", did.len());
        for did in did {
            match did {
                Did::Sent(sent) => {
                    if matches!(sent.message, AgentMessage::Login(_)) {
                        self.login = sent.id.clone();
                    }
                    self.sent.push(sent.id.clone());
                }
                Did::Ping(payload) => self.pings.push(*payload),
                Did::Event(Event::Command { id, .. }) => {
                    assert!(!self.handed_out.contains(id), "handed out twice while it runs");
                    self.handed_out.push(id.clone());
                }
                _ => {}
            }
        }
        let (messages, bytes) = self.rig.session.outbox.size();
        let (running, answers, recorded) = self.rig.session.record.size();
        assert!(messages <= 8 && bytes <= 2000, "outbox: {messages}, {bytes} bytes");
        assert!(running <= 4 && answers <= 4 && recorded <= 1000, "record: {running}, {answers}, {recorded}");
        // It does not want to be asked at once again.
        if let Output::Timeout(Some(at)) = self.rig.session.poll_output() {
            assert!(at > self.rig.now.monotonic, "it spins in {:?}", self.rig.session.state());
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn survives_anything(ops in vec(op(), 1..200)) {
        let rig = Rig::with(limits());
        let (sent, pings, handed_out) = (Vec::new(), Vec::new(), Vec::new());
        let mut world = World { rig, login: id("none"), sent, pings, handed_out };
        for op in &ops {
            world.apply(op);
        }
    }

    #[test]
    fn survives_any_journal(bytes in vec(any::<u8>(), 0..300)) {
        let mut rig = Rig::with(limits());
        rig.session.restore(&bytes);
        rig.log_in();
    }
}
