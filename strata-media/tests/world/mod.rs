//! A bonded sender, emulated links and a receiver, in virtual time.
#![allow(dead_code, unreachable_pub, clippy::allow_attributes, reason = "each test file uses its part")]

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use bytes::{BufMut, Bytes, BytesMut};
use strata_media::bond::{self, BondConfig, BondLink, sender as bond_sender};
use strata_media::rist::{self, ReceiverStats, receiver as rist_receiver};
use strata_media::testing::netem::{Config, Link, Packet};

pub const MS: Duration = Duration::from_millis(1);
pub const SECOND: Duration = Duration::from_secs(1);

/// What travels on an emulated link.
#[derive(Clone)]
pub struct Datagram {
    rtcp: bool,
    data: Bytes,
}

impl Packet for Datagram {
    fn size(&self) -> usize {
        self.data.len()
    }
}

/// A stream of constant rate, its way, and its end.
pub struct World {
    pub start: Instant,
    pub now: Instant,
    pub sender: bond::Sender,
    pub receiver: rist::Receiver,
    pub links: Vec<(Link<Datagram>, Link<Datagram>)>,
    interval: Duration,
    next_payload: Instant,
    sender_due: Instant,
    receiver_due: Instant,
    created: Vec<Instant>,
    pub seen: Seen,
    seed: u64,
}

/// What came out at the end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen {
    /// Payloads put in, and put out.
    pub sent: u64,
    pub delivered: u64,
    /// Sum of `lost_before`.
    pub lost: u64,
    /// From creation to delivery.
    pub latency: (Duration, Duration),
    /// Media bytes on all links, headers included.
    pub wire: u64,
    /// RTCP bytes towards the receiver, and back.
    pub rtcp: (u64, u64),
    /// Depends on every delivery and its time.
    pub digest: u64,
    /// Number expected next.
    next: u64,
}

impl Seen {
    /// The first packets may be lost, as nobody knows of them: the next one that comes is the first.
    pub fn unsynced(&mut self) {
        self.next = u64::MAX;
    }

    /// Packets put out or reported lost.
    pub fn accounted(&self) -> u64 {
        self.delivered + self.lost
    }
}

/// Bytes of a payload.
pub const PAYLOAD: usize = 1316;

impl World {
    /// Links alike in both directions, a stream of `bps`.
    pub fn new(seed: u64, links: &[Config], bps: u64, latency: Duration) -> Self {
        Self::with(seed, links, bps, latency, |_| {})
    }

    pub fn with(
        seed: u64,
        links: &[Config],
        bps: u64,
        latency: Duration,
        change: impl FnOnce(&mut rist::ReceiverConfig),
    ) -> Self {
        #[expect(clippy::disallowed_methods, reason = "time starts anywhere")]
        let start = Instant::now();
        let bond_links =
            (0..links.len()).map(|id| BondLink { id: id as u32, ..BondLink::default() }).collect();
        let mut bond = BondConfig::new(bond_links, seed);
        bond.latency = latency;
        let mut receiver = rist::ReceiverConfig::new(links.len(), seed + 1);
        receiver.latency = latency;
        change(&mut receiver);
        let link = |(i, config): (usize, &Config)| {
            let seed = seed * 100 + i as u64 * 2;
            (Link::new(config.clone(), seed), Link::new(config.clone(), seed + 1))
        };
        Self {
            start,
            now: start,
            sender: bond::Sender::new(start, bond),
            receiver: rist::Receiver::new(start, receiver),
            links: links.iter().enumerate().map(link).collect(),
            interval: Duration::from_nanos(PAYLOAD as u64 * 8 * 1_000_000_000 / bps),
            next_payload: start,
            sender_due: start,
            receiver_due: start,
            created: Vec::new(),
            seen: Seen {
                sent: 0,
                delivered: 0,
                lost: 0,
                latency: (Duration::MAX, Duration::ZERO),
                wire: 0,
                rtcp: (0, 0),
                digest: 0xcbf2_9ce4_8422_2325,
                next: 0,
            },
            seed,
        }
    }

    /// Streams for `time`.
    pub fn run(&mut self, time: Duration) -> &mut Self {
        let end = self.now + time;
        while self.step(end, true) {}
        self
    }

    /// Stops the stream and lets `time` pass.
    pub fn drain(&mut self, time: Duration) -> &mut Self {
        let end = self.now + time;
        while self.step(end, false) {}
        self.next_payload = self.now;
        self
    }

    /// Starts the sender anew, as after a crash.
    pub fn restart_sender(&mut self, latency: Duration) {
        self.seed += 1000;
        let links =
            (0..self.links.len()).map(|id| BondLink { id: id as u32, ..BondLink::default() }).collect();
        let mut bond = BondConfig::new(links, self.seed);
        bond.latency = latency;
        self.sender = bond::Sender::new(self.now, bond);
        self.sender_due = self.now;
    }

    /// Starts the receiver anew.
    pub fn restart_receiver(&mut self, latency: Duration) {
        let mut receiver = rist::ReceiverConfig::new(self.links.len(), self.seed + 2000);
        receiver.latency = latency;
        self.receiver = rist::Receiver::new(self.now, receiver);
        self.receiver_due = self.now;
        self.seen.next = u64::MAX;
    }

    pub fn stats(&self) -> ReceiverStats {
        self.receiver.stats(self.now)
    }

    fn step(&mut self, end: Instant, streaming: bool) -> bool {
        let mut next = end.min(self.sender_due).min(self.receiver_due);
        if streaming {
            next = next.min(self.next_payload);
        }
        for (up, down) in &self.links {
            next = [up.next_event(), down.next_event()].into_iter().flatten().fold(next, Instant::min);
        }
        // A machine that wants to be called again at once would stop time.
        self.now = self.now.max(next);
        if self.now >= end {
            return false;
        }
        if streaming && self.now >= self.next_payload {
            self.next_payload += self.interval;
            self.give();
        }
        if self.now >= self.sender_due {
            self.sender.handle_input(self.now, bond_sender::Input::Timeout);
            self.poll_sender();
        }
        if self.now >= self.receiver_due {
            self.receiver.handle_input(self.now, rist_receiver::Input::Timeout);
            self.poll_receiver();
        }
        self.carry();
        true
    }

    fn give(&mut self) {
        let mut payload = BytesMut::zeroed(PAYLOAD);
        (&mut payload[..]).put_u64(self.seen.sent);
        self.seen.sent += 1;
        self.created.push(self.now);
        self.sender.handle_input(self.now, bond_sender::Input::Payload(payload.freeze()));
        self.poll_sender();
    }

    fn carry(&mut self) {
        for index in 0..self.links.len() {
            while let Some(arrived) = self.links[index].0.poll(self.now) {
                let Datagram { rtcp, data } = arrived.packet;
                let from = SocketAddr::from(([10, 0, 0, index as u8], if rtcp { 6001 } else { 6000 }));
                let input = if rtcp {
                    rist_receiver::Input::Rtcp { link: index, from, data: &data }
                } else {
                    rist_receiver::Input::Rtp { link: index, from, data: data.clone() }
                };
                self.receiver.handle_input(self.now, input);
                self.poll_receiver();
            }
            while let Some(arrived) = self.links[index].1.poll(self.now) {
                let input = bond_sender::Input::Rtcp { link: index, data: &arrived.packet.data };
                self.sender.handle_input(self.now, input);
                self.poll_sender();
            }
        }
    }

    fn poll_sender(&mut self) {
        loop {
            match self.sender.poll_output() {
                bond_sender::Output::Rtp { link, media } => {
                    let mut data = BytesMut::with_capacity(media.len());
                    data.extend_from_slice(&media.header);
                    data.extend_from_slice(&media.payload);
                    self.seen.wire += media.len() as u64;
                    self.links[link].0.push(self.now, Datagram { rtcp: false, data: data.freeze() });
                }
                bond_sender::Output::Rtcp { link, data } => {
                    self.seen.rtcp.0 += data.len() as u64;
                    self.links[link].0.push(self.now, Datagram { rtcp: true, data: data.into() });
                }
                bond_sender::Output::Timeout(at) => {
                    self.sender_due = at;
                    return;
                }
                other => panic!("{other:?}"),
            }
        }
    }

    fn poll_receiver(&mut self) {
        loop {
            match self.receiver.poll_output() {
                rist_receiver::Output::Transmit { link, to, data } => {
                    assert_eq!(to.port(), 6001, "RTCP goes where RTCP came from");
                    self.seen.rtcp.1 += data.len() as u64;
                    self.links[link].1.push(self.now, Datagram { rtcp: true, data: data.into() });
                }
                rist_receiver::Output::Packet(packet) => self.see(&packet),
                rist_receiver::Output::Timeout(at) => {
                    self.receiver_due = at;
                    return;
                }
                other => panic!("{other:?}"),
            }
        }
    }

    /// In order, nothing twice, and what is not there was reported lost.
    fn see(&mut self, packet: &rist::Packet) {
        let mut number = &packet.payload[..8];
        let number = bytes::Buf::get_u64(&mut number);
        let seen = &mut self.seen;
        if seen.next == u64::MAX {
            seen.next = number;
        }
        assert_eq!(number, seen.next + packet.lost_before, "out of order, twice, or lost without a word");
        seen.next = number + 1;
        seen.delivered += 1;
        seen.lost += packet.lost_before;
        let latency = self.now - self.created[number as usize];
        seen.latency = (seen.latency.0.min(latency), seen.latency.1.max(latency));
        let time = (self.now - self.start).as_nanos() as u64;
        for value in [number, time] {
            seen.digest = (seen.digest ^ value).wrapping_mul(0x0100_0000_01b3);
        }
    }
}
