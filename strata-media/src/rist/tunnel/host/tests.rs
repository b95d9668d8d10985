use super::super::session::{self, Role, Session};
use super::super::{AesType, Passphrase, Psk};
use super::*;

const MS: Duration = Duration::from_millis(1);
const SSRC: u32 = 8;

fn start() -> Instant {
    #[expect(clippy::disallowed_methods, reason = "virtual time starts anywhere")]
    Instant::now()
}

fn at(port: u16) -> SocketAddr {
    SocketAddr::from(([10, 0, 0, 1], port))
}

/// A receiver that calls, and answers echo requests if it is where it says it is.
struct Caller {
    addr: SocketAddr,
    session: Session,
    answers: bool,
    /// The stamp of the last question.
    asked: Option<u64>,
    media: usize,
}

impl Caller {
    fn new(now: Instant, port: u16, config: &Config) -> Self {
        let session = Session::new(now, config, Role::Client, u64::from(port));
        Self { addr: at(port), session, answers: true, asked: None, media: 0 }
    }

    /// What it sends now.
    fn drain(&mut self) -> Vec<Vec<u8>> {
        let mut out = Vec::new();
        loop {
            match self.session.poll_output() {
                session::Output::Transmit(data) => out.push(data),
                session::Output::Rtp(_) => self.media += 1,
                session::Output::Rtcp(data) => out.extend(self.answer(&data)),
                session::Output::Closed | session::Output::Reconnect => {}
                session::Output::Timeout(_) => return out,
            }
        }
    }

    fn answer(&mut self, data: &[u8]) -> Option<Vec<u8>> {
        let mut packets = Compound::parse(data).unwrap().map(Result::unwrap);
        let stamp = packets.find_map(|packet| match packet {
            Packet::EchoRequest { timestamp, .. } => Some(timestamp),
            _ => None,
        })?;
        self.asked = Some(stamp);
        self.answers.then(|| self.response(stamp))
    }

    fn response(&mut self, stamp: u64) -> Vec<u8> {
        let (mut writer, mut out) = (Writer::new(), Vec::new());
        writer.receiver_report(2, None);
        writer.source_description(2, "caller");
        writer.echo_response(2, stamp, 0, &[]);
        self.session.rtcp(&writer.finish(), &mut out);
        out
    }
}

/// Lets them speak until nobody has anything to say; what the host told.
fn talk(now: Instant, host: &mut Host, callers: &mut [&mut Caller]) -> Vec<Output> {
    let mut told = Vec::new();
    loop {
        let mut quiet = true;
        for caller in &mut *callers {
            for data in caller.drain() {
                quiet = false;
                host.handle_input(now, Input::Datagram { from: caller.addr, data: data[..].into() });
            }
        }
        loop {
            match host.poll_output() {
                Output::Timeout(_) => break,
                Output::Transmit { to, data } => {
                    let caller = callers.iter_mut().find(|caller| caller.addr == to).unwrap();
                    caller.session.handle_input(now, session::Input::Datagram(data[..].into()));
                }
                output => told.push(output),
            }
        }
        if quiet {
            return told;
        }
    }
}

fn send(now: Instant, host: &mut Host, caller: &mut Caller) {
    let header = super::super::super::rtp::Header {
        marker: false,
        payload_type: 33,
        sequence: 1,
        timestamp: 1,
        ssrc: SSRC,
    };
    let mut out = Vec::new();
    // Two, so that they are taken although encrypted.
    for _ in 0..2 {
        if host.rtp(&header.encode(), 0, b"TS", &mut out) == Some(caller.addr) {
            caller.session.handle_input(now, session::Input::Datagram(out[..].into()));
        }
    }
    caller.drain();
}

fn greet(now: Instant, host: &mut Host, caller: &mut Caller) -> Vec<Output> {
    caller.session.greet();
    talk(now, host, &mut [caller])
}

fn configs() -> [Config; 2] {
    let psk = Psk { aes_type: AesType::Aes128, ..Psk::new(Passphrase::new("secret").unwrap()) };
    [Config::default(), Config::new(Some(psk))]
}

#[test]
fn who_answers_is_sent_the_stream() {
    for config in configs() {
        let now = start();
        let mut host = Host::new(now, config.clone(), SSRC, 1);
        let mut caller = Caller::new(now, 1000, &config);
        send(now, &mut host, &mut caller);
        assert_eq!(caller.media, 0);
        let told = greet(now, &mut host, &mut caller);
        assert_eq!(told, [Output::Called(caller.addr)]);
        send(now, &mut host, &mut caller);
        assert!(caller.media > 0);
    }
}

/// Else a forged address would be flooded.
#[test]
fn who_does_not_answer_is_asked_and_nothing_more() {
    let now = start();
    let mut host = Host::new(now, Config::default(), SSRC, 1);
    let mut caller = Caller::new(now, 1000, &Config::default());
    caller.answers = false;
    for i in 0..100 {
        assert_eq!(greet(now + MS * i, &mut host, &mut caller), []);
        send(now, &mut host, &mut caller);
    }
    assert_eq!(caller.media, 0);
    assert_eq!(host.listener.peers(), 1);
}

#[test]
fn another_receiver_is_refused_until_the_first_is_silent() {
    let now = start();
    let mut host = Host::new(now, Config::default(), SSRC, 1);
    let mut first = Caller::new(now, 1000, &Config::default());
    let mut second = Caller::new(now, 2000, &Config::default());
    assert_eq!(greet(now, &mut host, &mut first), [Output::Called(first.addr)]);
    assert_eq!(greet(now + MS, &mut host, &mut second), []);
    assert_eq!(host.counters().crowded, 1);
    greet(now + MS * 500, &mut host, &mut first);
    assert_eq!(greet(now + MS * 2499, &mut host, &mut second), []);
    assert_eq!(greet(now + MS * 2500, &mut host, &mut second), [Output::Called(second.addr)]);
    // The first one comes back too late.
    assert_eq!(greet(now + MS * 2501, &mut host, &mut first), []);
}

#[test]
fn a_receiver_that_is_silent_has_left() {
    let now = start();
    let mut host = Host::new(now, Config::default(), SSRC, 1);
    let mut caller = Caller::new(now, 1000, &Config::default());
    greet(now, &mut host, &mut caller);
    host.handle_input(now + LEFT - MS, Input::Timeout);
    assert!(
        !std::iter::from_fn(|| match host.poll_output() {
            Output::Timeout(_) => None,
            output => Some(output),
        })
        .any(|output| output == Output::Left)
    );
    host.handle_input(now + LEFT, Input::Timeout);
    assert_eq!(talk(now + LEFT, &mut host, &mut [&mut caller]), [Output::Left]);
    assert_eq!(greet(now + LEFT, &mut host, &mut caller), [Output::Called(caller.addr)]);
}

#[test]
fn callers_are_bounded() {
    let now = start();
    let mut host = Host::new(now, Config::default(), SSRC, 1);
    for port in 1..100 {
        let mut caller = Caller::new(now, port, &Config::default());
        caller.answers = false;
        greet(now, &mut host, &mut caller);
    }
    assert_eq!(host.listener.peers(), MAX_CALLERS);
    let mut caller = Caller::new(now, 1000, &Config::default());
    assert_eq!(greet(now, &mut host, &mut caller), [Output::Called(caller.addr)]);
}

/// Addresses that are forged speak as if they were receivers, and never answer: as many as there is room for, all the time, or another
/// one with each datagram. Who answers is the receiver at once, or within seconds, and stays it.
#[test]
fn forged_addresses_keep_no_receiver_out() {
    let at_once = kept_out(32, 1);
    // Half of all are asked.
    assert!(at_once <= MS * 1000, "{at_once:?}");
    let later = kept_out(60_000, 10);
    // One in twenty.
    assert!(later <= MS * 6000, "{later:?}");
}

/// How long a receiver is kept out by so many forged addresses, and by so many datagrams of them per millisecond.
fn kept_out(forged: u32, rate: u32) -> Duration {
    let begin = start();
    let mut host = Host::new(begin, Config::default(), SSRC, 1);
    let mut caller = Caller::new(begin, 1000, &Config::default());
    let (mut called, mut sent, mut asked) = (None, 0, 0);
    for ms in 0..10_000 {
        let now = begin + MS * ms;
        for _ in 0..rate {
            sent += 1;
            let mut stranger = Caller::new(now, 2000 + (sent % forged) as u16, &Config::default());
            stranger.session.greet();
            stranger.answers = false;
            for data in stranger.drain() {
                host.handle_input(now, Input::Datagram { from: stranger.addr, data: data[..].into() });
            }
        }
        // What the host has to say goes where nobody is.
        asked += std::iter::from_fn(|| match host.poll_output() {
            Output::Timeout(_) => None,
            output => Some(output),
        })
        .filter(|output| matches!(output, Output::Transmit { .. }))
        .count();
        assert!(host.listener.peers() <= MAX_CALLERS);
        if ms >= 3000 && ms % 100 == 0 {
            for output in greet(now, &mut host, &mut caller) {
                match output {
                    Output::Called(addr) => called = called.or(Some((addr, now))),
                    Output::Rtcp(_) => {}
                    output => panic!("{output:?}"),
                }
            }
        }
        if called.is_some() {
            send(now, &mut host, &mut caller);
        }
    }
    let (addr, at) = called.expect("it is heard");
    assert_eq!(addr, caller.addr);
    println!("{forged} addresses, {rate} per ms: {:?}, {asked} asked, {} media", at - begin, caller.media);
    println!("{:?}", host.counters());
    let served = (begin + MS * 10_000 - at).as_millis() as usize;
    assert!(caller.media >= served * 2, "{} in {served} ms", caller.media);
    // 500 per second at most, and that many at once, until the receiver is known.
    assert!(asked <= 500 * (10 + 1), "{asked}");
    at - begin - MS * 3000
}

/// The steps of SplitMix64, which mixes and can be unmixed: whoever numbers time stamps by it tells them all.
fn mix(mut number: u64) -> u64 {
    number = (number ^ (number >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    number = (number ^ (number >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    number ^ (number >> 31)
}

fn unmix(number: u64) -> u64 {
    let unshift = |number: u64, by| (0..64 / by).fold(number, |found, _| number ^ (found >> by));
    let undo = |number: u64, factor: u64| {
        let two = |inverse: u64| 2u64.wrapping_sub(factor.wrapping_mul(inverse));
        number.wrapping_mul((0..6).fold(1u64, |inverse, _| inverse.wrapping_mul(two(inverse))))
    };
    let number = undo(unshift(number, 31), 0x94d0_49bb_1331_11eb);
    unshift(undo(unshift(number, 27), 0xbf58_476d_1ce4_e5b9), 30)
}

/// One that was asked knows nothing of what another one is asked: it could answer in the name of a forged address.
#[test]
fn the_stamp_of_one_caller_does_not_tell_that_of_another() {
    const STEP: u64 = 0x9e37_79b9_7f4a_7c15;
    assert_eq!(unmix(mix(STEP)), STEP);
    let now = start();
    let mut host = Host::new(now, Config::default(), SSRC, 1);
    let mut honest = Caller::new(now, 1000, &Config::default());
    let mut forged = Caller::new(now, 2000, &Config::default());
    (honest.answers, forged.answers) = (false, false);
    greet(now, &mut host, &mut honest);
    greet(now, &mut host, &mut forged);
    let state = unmix(unmix(honest.asked.unwrap()).wrapping_sub(STEP));
    for next in 1..4u64 {
        let guess = mix(mix(state.wrapping_add(STEP.wrapping_mul(next))).wrapping_add(STEP));
        let data = forged.response(guess);
        host.handle_input(now, Input::Datagram { from: forged.addr, data: data[..].into() });
        assert_eq!(talk(now, &mut host, &mut [&mut forged]), []);
    }
}
