//! Sequence numbers of 32 bits (TR-06-2): as many packets in a second as 16 bits cannot tell apart.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use strata_media::rist::rtcp::{Compound, Packet};
use strata_media::rist::tunnel::{self, Role, Session};
use strata_media::rist::{self, receiver, sender};

/// 50 000 packets per second.
const INTERVAL: Duration = Duration::from_micros(20);
const COUNT: u32 = 150_000;
/// More than half of what 16 bits tell apart are lost, one after another.
const LOST: std::ops::Range<u32> = 60_000..100_000;

/// A sender, a tunnel, and a receiver, between which nothing takes time.
struct Stream {
    now: Instant,
    sender: rist::Sender,
    client: Session,
    server: Session,
    receiver: rist::Receiver,
    given: u32,
    received: Vec<u32>,
    lost: u64,
    /// Whether numbers have 32 bits, and how many requests there were.
    extended: bool,
    asked: u64,
}

impl Stream {
    fn new(sequence_extension: bool) -> Self {
        #[expect(clippy::disallowed_methods, reason = "virtual time starts anywhere")]
        let now = Instant::now();
        let mut config = tunnel::Config::new(None);
        config.sequence_extension = sequence_extension;
        let mut receiving = rist::ReceiverConfig::new(1, 4);
        receiving.latency = Duration::from_millis(1500);
        let mut sending = rist::SenderConfig::new(1, 1);
        sending.latency = receiving.latency;
        Self {
            now,
            sender: rist::Sender::new(now, sending),
            client: Session::new(now, &config, Role::Client, 2),
            server: Session::new(now, &tunnel::Config::new(None), Role::Server, 3),
            receiver: rist::Receiver::new(now, receiving),
            given: 0,
            received: Vec::new(),
            lost: 0,
            extended: sequence_extension,
            asked: 0,
        }
    }

    /// Lets time pass, with or without a payload.
    fn step(&mut self) {
        self.now += INTERVAL;
        if self.given < COUNT {
            let payload = Bytes::copy_from_slice(&self.given.to_be_bytes());
            self.sender.handle_input(self.now, sender::Input::Payload(payload));
            self.given += 1;
        }
        if self.given.is_multiple_of(100) || self.given == COUNT {
            self.sender.handle_input(self.now, sender::Input::Timeout);
            self.receiver.handle_input(self.now, receiver::Input::Timeout);
        }
        self.drain_sender();
        self.drain_receiver();
    }

    fn drain_sender(&mut self) {
        loop {
            match self.sender.poll_output() {
                sender::Output::Send { number, repeat, .. } => {
                    let media = self.sender.take(self.now, number, 0, repeat).expect("it is kept");
                    if repeat || !LOST.contains(&(self.given - 1)) {
                        self.carry(&media);
                    }
                }
                sender::Output::Rtcp { data, .. } => {
                    let input = receiver::Input::Rtcp { link: 0, from: from(), data: &data };
                    self.receiver.handle_input(self.now, input);
                }
                sender::Output::Timeout(_) => return,
                _ => {}
            }
        }
    }

    fn carry(&mut self, media: &rist::Media) {
        let mut datagram = Vec::new();
        self.client.rtp(&media.header, media.upper, &media.payload, &mut datagram);
        self.server.handle_input(self.now, tunnel::Input::Datagram(BytesMut::from(&datagram[..])));
        loop {
            match self.server.poll_output() {
                tunnel::Output::Rtp(data) => {
                    let input = receiver::Input::Rtp { link: 0, from: from(), data };
                    self.receiver.handle_input(self.now, input);
                }
                tunnel::Output::Timeout(_) => return,
                _ => {}
            }
        }
    }

    fn drain_receiver(&mut self) {
        loop {
            match self.receiver.poll_output() {
                receiver::Output::Packet(packet) => {
                    self.lost += packet.lost_before;
                    let bytes = packet.payload.first_chunk().expect("four bytes");
                    self.received.push(u32::from_be_bytes(*bytes));
                }
                receiver::Output::Transmit { data, .. } => {
                    self.asked += u64::from(is_request(&data, self.extended));
                    self.sender.handle_input(self.now, sender::Input::Rtcp { path: 0, data: &data });
                }
                receiver::Output::Timeout(_) => return,
                _ => {}
            }
        }
    }
}

/// Whether a compound is a request: reports come before it, and right before it the upper half of its numbers if they have one
/// (TR-06-2, EXTSEQ).
fn is_request(data: &[u8], extended: bool) -> bool {
    let name = |packet: Result<Packet<'_>, _>| match packet.expect("it is well-formed") {
        Packet::ReceiverReport { .. } => "RR",
        Packet::SourceDescription { .. } => "SDES",
        Packet::ExtendedSequence { .. } => "EXTSEQ",
        Packet::Nack { .. } => "NACK",
        _ => "other",
    };
    let names: Vec<_> = Compound::parse(data).expect("it is well-formed").map(name).collect();
    let is_request = names.contains(&"NACK");
    if is_request {
        let expected: &[_] =
            if extended { &["RR", "SDES", "EXTSEQ", "NACK"] } else { &["RR", "SDES", "NACK"] };
        assert_eq!(names, expected);
    }
    is_request
}

fn from() -> SocketAddr {
    SocketAddr::from(([10, 0, 0, 1], 5000))
}

/// The stream, and its latency.
fn run(sequence_extension: bool) -> Stream {
    let mut stream = Stream::new(sequence_extension);
    (0..COUNT + 100_000).for_each(|_| stream.step());
    stream
}

#[test]
fn forty_thousand_packets_lost_at_once_are_repeated() {
    let stream = run(true);
    assert_eq!((stream.lost, stream.received.len()), (0, COUNT as usize));
    assert!(stream.asked > 0);
    assert!(stream.received.iter().copied().eq(0..COUNT));
}

/// Numbers of 16 bits cannot name them all, and it is known how many they are.
#[test]
fn without_the_extension_packets_are_gone() {
    let stream = run(false);
    assert!(
        stream.received.len() < (COUNT - (LOST.end - LOST.start) / 2) as usize,
        "{}",
        stream.received.len()
    );
    assert_eq!(stream.lost as usize + stream.received.len(), COUNT as usize);
}
