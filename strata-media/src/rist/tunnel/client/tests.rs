use bytes::BytesMut;

use super::super::super::gre::{Capabilities, Header, KEEP_ALIVE, KeepAlive};
use super::super::super::psk::Passphrase;
use super::super::super::rtcp::Writer;
use super::super::seal::Seal;
use super::super::{ABOUT, Psk};
use super::*;

#[expect(clippy::disallowed_methods, reason = "virtual time starts anywhere")]
fn start() -> Instant {
    Instant::now()
}

fn report() -> Vec<u8> {
    let mut writer = Writer::new();
    writer.receiver_report(7, None);
    writer.source_description(7, "test");
    writer.finish().to_vec()
}

fn configs() -> [Config; 2] {
    [Config::default(), Config::new(Some(Psk::new(Passphrase::new("secret").unwrap())))]
}

fn drain(client: &mut Client) -> Vec<Output> {
    std::iter::from_fn(|| match client.poll_output() {
        Output::Timeout(_) => None,
        output => Some(output),
    })
    .collect()
}

/// A client and its server, which has sent a report.
struct Rig {
    client: Client,
    server: Session,
    config: Config,
    now: Instant,
    /// Keep-alive messages that were said, each with a nonce of its own.
    said: u64,
}

impl Rig {
    fn new(config: &Config) -> Self {
        let now = start();
        let client = Client::new(now, config.clone(), 1);
        let server = Session::new(now, config, Role::Server, 2);
        let mut rig = Self { client, server, config: config.clone(), now, said: 0 };
        let greetings = drain(&mut rig.client);
        assert_eq!(greetings.len(), 3);
        for greeting in greetings {
            let Output::Transmit(data) = greeting else { panic!("{greeting:?}") };
            rig.server.handle_input(now, session::Input::Datagram(BytesMut::from(&data[..])));
        }
        assert_eq!(rig.hear(), [Output::Rtcp(report().into())]);
        rig
    }

    fn give(&mut self, datagram: &[u8]) -> Vec<Output> {
        self.client.handle_input(self.now, session::Input::Datagram(BytesMut::from(datagram)));
        drain(&mut self.client)
    }

    /// A report of the server's.
    fn hear(&mut self) -> Vec<Output> {
        let mut datagram = Vec::new();
        self.server.rtcp(&report(), &mut datagram);
        self.give(&datagram)
    }

    /// A keep-alive message of the server's.
    fn say(&mut self, capabilities: Capabilities, json: &[u8]) -> Vec<Output> {
        let (mut message, mut datagram) = (Vec::new(), Vec::new());
        KeepAlive { mac: [2; 6], capabilities, json }.encode(&mut message);
        self.said += 1;
        Seal::new(self.config.psk.as_ref(), 8 + self.said).datagram(KEEP_ALIVE, &[&message], &mut datagram);
        self.give(&datagram)
    }

    fn pass(&mut self, time: Duration) -> Vec<Output> {
        self.now += time;
        self.client.handle_input(self.now, session::Input::Timeout);
        drain(&mut self.client)
    }
}

fn transmits(outputs: &[Output]) -> usize {
    outputs.iter().filter(|output| matches!(output, Output::Transmit(_))).count()
}

/// It is answered (TR-06-2), rests, and is called again after five seconds.
#[test]
fn who_leaves_is_called_again_after_a_rest() {
    for config in configs() {
        let mut rig = Rig::new(&config);
        let left = rig.say(Capabilities::DISCONNECT, ABOUT);
        assert!(transmits(&left) == 1 && left.contains(&Output::Left) && left.len() == 2, "{left:?}");
        let again = rig.say(Capabilities::DISCONNECT, ABOUT);
        assert!(transmits(&again) == again.len(), "said three times: {again:?}");
        let Output::Timeout(at) = rig.client.poll_output() else { panic!() };
        assert_eq!(at, rig.now + REST);
        let resting = rig.pass(REST - Duration::from_millis(1));
        assert!(!resting.contains(&Output::Back), "{resting:?}");
        let called = rig.pass(Duration::from_millis(1));
        assert!(called[0] == Output::Back && transmits(&called) >= 3, "{called:?}");
        assert_eq!(rig.hear(), [Output::Rtcp(report().into())]);
        assert!(rig.client.counters().taken >= 2, "of both sessions");
    }
}

/// A farewell may be forged, where nothing is encrypted: the next report shows it.
#[test]
fn who_still_speaks_has_not_left() {
    for config in configs() {
        let mut rig = Rig::new(&config);
        assert!(rig.say(Capabilities::DISCONNECT, ABOUT).contains(&Output::Left));
        assert_eq!(rig.hear(), [Output::Back, Output::Rtcp(report().into())]);
        assert!(!rig.pass(REST).contains(&Output::Back));
    }
}

/// Another session: it greets, and with a key has another nonce; at most once in five seconds.
#[test]
fn a_client_connects_anew_when_asked_to() {
    for config in configs() {
        let mut rig = Rig::new(&config);
        let asked = rig.say(Capabilities::RECONNECT, ABOUT);
        assert_eq!(asked, [], "too soon after the start");
        rig.pass(REST);
        rig.hear();
        let nonce = |client: &mut Client| {
            let mut datagram = Vec::new();
            client.rtcp(&report(), &mut datagram);
            Header::decode(&datagram).unwrap().0.nonce
        };
        let before = nonce(&mut rig.client);
        let empty = rig.say(Capabilities::RECONNECT, b"{}");
        assert_eq!(transmits(&empty), if config.psk.is_some() { 0 } else { 3 }, "noise may have the bit set");
        rig.pass(REST);
        rig.hear();
        let asked = rig.say(Capabilities::RECONNECT.with(Capabilities::DISCONNECT), ABOUT);
        assert!(transmits(&asked) == 3 && asked.len() == 3, "{asked:?}");
        assert_eq!(nonce(&mut rig.client) != before, config.psk.is_some());
        assert_eq!(rig.hear(), [Output::Rtcp(report().into())]);
        assert_eq!(rig.say(Capabilities::RECONNECT, ABOUT), [], "too soon after the last time");
    }
}

/// What came to a session is not taken by the one after it.
#[test]
fn a_client_that_connects_anew_takes_nothing_twice() {
    let [_, config] = configs();
    let mut rig = Rig::new(&config);
    let mut heard = Vec::new();
    rig.server.rtcp(&report(), &mut heard);
    assert_eq!(rig.give(&heard), [Output::Rtcp(report().into())]);
    for renewals in 1..=3 {
        rig.pass(REST);
        rig.hear();
        let asked = rig.say(Capabilities::RECONNECT, ABOUT);
        assert_eq!(transmits(&asked), 3, "{asked:?}");
        assert_eq!(rig.give(&heard), []);
        assert_eq!(rig.client.counters().replayed, renewals);
        assert_eq!(rig.hear(), [Output::Rtcp(report().into())]);
    }
}

/// Who is called is told to call by nobody.
#[test]
fn a_server_does_not_connect() {
    let mut server = Session::new(start(), &Config::default(), Role::Server, 2);
    let now = start() + REST * 2;
    let mut datagram = Vec::new();
    Session::new(start(), &Config::default(), Role::Client, 1).rtcp(&report(), &mut datagram);
    server.handle_input(now, session::Input::Datagram(BytesMut::from(&datagram[..])));
    let mut message = Vec::new();
    KeepAlive { mac: [2; 6], capabilities: Capabilities::RECONNECT, json: ABOUT }.encode(&mut message);
    Seal::new(None, 9).datagram(KEEP_ALIVE, &[&message], &mut datagram);
    server.handle_input(now, session::Input::Datagram(BytesMut::from(&datagram[..])));
    while let output @ (session::Output::Rtcp(_) | session::Output::Transmit(_)) = server.poll_output() {
        assert_ne!(output, session::Output::Reconnect);
    }
    assert!(matches!(server.poll_output(), session::Output::Timeout(_)));
    assert_eq!(server.counters().keep_alives, 1);
}
