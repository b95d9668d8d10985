//! Bonded senders, emulated links and receivers, in virtual time.
#![allow(dead_code, unreachable_pub, clippy::allow_attributes, reason = "each test file uses its part")]

pub mod report;
pub mod traces;

use std::net::SocketAddr;
use std::ops::{Deref, DerefMut};
use std::time::{Duration, Instant};

use bytes::{BufMut, Bytes, BytesMut};
use strata_media::bond::{self, Adaptation, BondConfig, BondLink, SchedulerParams, sender as bond_sender};
use strata_media::rist::{self, ReceiverStats, receiver as rist_receiver};
use strata_media::testing::netem::{Config, Link, Packet};

pub const MS: Duration = Duration::from_millis(1);
pub const SECOND: Duration = Duration::from_secs(1);

/// What travels on an emulated link.
#[derive(Clone)]
pub struct Datagram {
    stream: usize,
    rtcp: bool,
    data: Bytes,
}

impl Packet for Datagram {
    fn size(&self) -> usize {
        self.data.len()
    }
}

/// Links, and the streams that share them; most have one, and stand for it.
pub struct World {
    pub start: Instant,
    pub now: Instant,
    pub links: Vec<(Link<Datagram>, Link<Datagram>)>,
    /// How often the sender's address on a link has changed.
    pub moved: Vec<u8>,
    pub streams: Vec<Stream>,
}

/// A stream of constant rate, and its end.
pub struct Stream {
    pub sender: bond::Sender,
    pub receiver: rist::Receiver,
    pub seen: Seen,
    /// How much faster the receiver's clock runs, parts per million.
    pub receiver_ppm: i64,
    /// How much longer than this world the receiver's clock has run.
    pub receiver_ahead: Duration,
    /// Payloads are given only while the oldest has waited less in the sender, as the driver does.
    pub patience: Option<Duration>,
    /// How long payloads were held back for that.
    pub held_back: Duration,
    /// What the payload of a number is, but for its last eight bytes, which are the number; zeros otherwise.
    pub content: Option<fn(u64) -> Vec<u8>>,
    /// Numbers that were reported lost.
    pub lost: Vec<u64>,
    /// Sets the rate of the source, every 50 ms.
    pub adaptation: Option<Adaptation>,
    next_adaptation: Instant,
    interval: Duration,
    next_payload: Instant,
    sender_due: Instant,
    receiver_due: Instant,
    created: Vec<Instant>,
    last_delivery: Option<Instant>,
    /// From creation to delivery, of every packet delivered, in order.
    latencies: Vec<Duration>,
    /// Bytes of RTP sent per link.
    sent: Vec<u64>,
    seed: u64,
}

impl Deref for World {
    type Target = Stream;

    fn deref(&self) -> &Stream {
        &self.streams[0]
    }
}

impl DerefMut for World {
    fn deref_mut(&mut self) -> &mut Stream {
        &mut self.streams[0]
    }
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
    /// Longest RTCP datagram, towards the receiver, and back.
    pub longest_rtcp: (usize, usize),
    /// Longest time between two deliveries.
    pub longest_gap: Duration,
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

impl Stream {
    fn new(
        now: Instant,
        seed: u64,
        links: usize,
        bps: u64,
        latency: Duration,
        change: impl FnOnce(&mut rist::ReceiverConfig),
    ) -> Self {
        let mut receiver = rist::ReceiverConfig::new(links, seed + 1);
        receiver.latency = latency;
        change(&mut receiver);
        Self {
            sender: bond::Sender::new(now, bond(seed, links, latency)),
            receiver: rist::Receiver::new(now, receiver),
            receiver_ppm: 0,
            receiver_ahead: Duration::ZERO,
            patience: None,
            held_back: Duration::ZERO,
            content: None,
            lost: Vec::new(),
            adaptation: None,
            next_adaptation: now,
            interval: interval(bps),
            next_payload: now,
            sender_due: now,
            receiver_due: now,
            created: Vec::new(),
            last_delivery: None,
            latencies: Vec::new(),
            sent: vec![0; links],
            seen: Seen {
                sent: 0,
                delivered: 0,
                lost: 0,
                latency: (Duration::MAX, Duration::ZERO),
                wire: 0,
                rtcp: (0, 0),
                longest_rtcp: (0, 0),
                longest_gap: Duration::ZERO,
                digest: 0xcbf2_9ce4_8422_2325,
                next: 0,
            },
            seed,
        }
    }
}

/// Time between two payloads.
fn interval(bps: u64) -> Duration {
    Duration::from_nanos(PAYLOAD as u64 * 8 * 1_000_000_000 / bps)
}

fn bond(seed: u64, links: usize, latency: Duration) -> BondConfig {
    let links = (0..links).map(|id| BondLink { id: id as u32, ..BondLink::default() }).collect();
    let mut bond = BondConfig::new(links, seed);
    bond.latency = latency;
    bond
}

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
        let link = |(i, config): (usize, &Config)| {
            let seed = seed * 100 + i as u64 * 2;
            (Link::new(config.clone(), seed), Link::new(config.clone(), seed + 1))
        };
        Self {
            start,
            now: start,
            links: links.iter().enumerate().map(link).collect(),
            moved: vec![0; links.len()],
            streams: vec![Stream::new(start, seed, links.len(), bps, latency, change)],
        }
    }

    /// One more stream over the same links.
    pub fn add_stream(&mut self, seed: u64, bps: u64, latency: Duration) {
        let stream = Stream::new(self.now, seed, self.links.len(), bps, latency, |_| {});
        self.streams.push(stream);
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
        for stream in &mut self.streams {
            stream.next_payload = self.now;
        }
        self
    }

    /// Changes a link in both directions from now on.
    pub fn configure(&mut self, link: usize, config: &Config) {
        self.links[link].0.configure(self.now, config.clone());
        self.links[link].1.configure(self.now, config.clone());
    }

    /// Gives the sender other parameters.
    pub fn schedule(&mut self, params: SchedulerParams) -> &mut Self {
        self.tell(bond_sender::Input::Scheduler(params))
    }

    /// Tells the sender something of its links.
    pub fn tell(&mut self, input: bond_sender::Input<'_>) -> &mut Self {
        let now = self.now;
        self.sender.handle_input(now, input);
        self.poll_sender(0);
        self
    }

    /// Starts the sender anew, as after a crash.
    pub fn restart_sender(&mut self, latency: Duration) {
        let (now, links) = (self.now, self.links.len());
        self.seed += 1000;
        self.sender = bond::Sender::new(now, bond(self.seed, links, latency));
        self.sender_due = now;
    }

    /// Starts the receiver anew.
    pub fn restart_receiver(&mut self, latency: Duration) {
        let now = self.now;
        let mut receiver = rist::ReceiverConfig::new(self.links.len(), self.seed + 2000);
        receiver.latency = latency;
        self.receiver = rist::Receiver::new(now, receiver);
        self.receiver_due = now;
        self.seen.next = u64::MAX;
    }

    /// Puts another receiver in place of this one, which has run for `uptime`.
    pub fn replace_receiver(&mut self, latency: Duration, uptime: Duration) {
        self.receiver_ahead = uptime;
        self.restart_receiver(latency);
    }

    pub fn stats(&self) -> ReceiverStats {
        self.receiver.stats(self.receiver_time(0))
    }

    /// What the receiver's clock shows now.
    fn receiver_time(&self, stream: usize) -> Instant {
        let since = self.now - self.start;
        let drift = since.as_nanos() as i64 / 1_000_000 * self.streams[stream].receiver_ppm;
        let drifted = (since.as_nanos() as i64 + drift) as u64;
        self.start + Duration::from_nanos(drifted) + self.streams[stream].receiver_ahead
    }

    /// When the receiver's clock will show `at`, or a bit later.
    fn world_time(&self, stream: usize, at: Instant) -> Instant {
        let since = (at - self.start).saturating_sub(self.streams[stream].receiver_ahead).as_nanos() as i64;
        let drift = since / 1_000_000 * self.streams[stream].receiver_ppm;
        let slack = if drift == 0 { 0 } else { 1_000_000 };
        self.start + Duration::from_nanos((since - drift + slack) as u64)
    }

    fn step(&mut self, end: Instant, streaming: bool) -> bool {
        let mut next = end;
        for stream in &self.streams {
            next = next.min(stream.sender_due).min(stream.receiver_due);
            if streaming {
                next = next.min(stream.next_payload);
            }
        }
        for (up, down) in &self.links {
            next = [up.next_event(), down.next_event()].into_iter().flatten().fold(next, Instant::min);
        }
        // A machine that wants to be called again at once would stop time.
        self.now = self.now.max(next);
        if self.now >= end {
            return false;
        }
        for index in 0..self.streams.len() {
            if streaming && self.now >= self.streams[index].next_payload {
                self.give(index);
            }
            if self.now >= self.streams[index].sender_due {
                self.streams[index].sender.handle_input(self.now, bond_sender::Input::Timeout);
                self.poll_sender(index);
            }
            if self.now >= self.streams[index].receiver_due {
                let now = self.receiver_time(index);
                self.streams[index].receiver.handle_input(now, rist_receiver::Input::Timeout);
                self.poll_receiver(index);
            }
        }
        self.carry();
        true
    }

    fn give(&mut self, index: usize) {
        let stream = &mut self.streams[index];
        if let Some(adaptation) = stream.adaptation.as_mut().filter(|_| self.now >= stream.next_adaptation) {
            let target = adaptation.handle_stats(self.now, &stream.sender.stats(self.now));
            (stream.interval, stream.next_adaptation) = (interval(target), self.now + MS * 50);
        }
        if stream.patience.is_some_and(|patience| stream.sender.wait(self.now) >= patience) {
            stream.next_payload = self.now + MS;
            stream.held_back += MS;
            return;
        }
        stream.next_payload += stream.interval;
        let mut payload = BytesMut::zeroed(PAYLOAD);
        if let Some(content) = stream.content {
            payload.copy_from_slice(&content(stream.seen.sent));
        }
        (&mut payload[PAYLOAD - 8..]).put_u64(stream.seen.sent);
        stream.seen.sent += 1;
        stream.created.push(self.now);
        stream.sender.handle_input(self.now, bond_sender::Input::Payload(payload.freeze()));
        self.poll_sender(index);
    }

    fn carry(&mut self) {
        for link in 0..self.links.len() {
            while let Some(arrived) = self.links[link].0.poll(self.now) {
                let Datagram { stream, rtcp, data } = arrived.packet;
                let from =
                    SocketAddr::from(([10, 0, self.moved[link], link as u8], if rtcp { 6001 } else { 6000 }));
                let input = if rtcp {
                    rist_receiver::Input::Rtcp { link, from, data: &data }
                } else {
                    rist_receiver::Input::Rtp { link, from, data: data.clone() }
                };
                let now = self.receiver_time(stream);
                self.streams[stream].receiver.handle_input(now, input);
                self.poll_receiver(stream);
            }
            while let Some(arrived) = self.links[link].1.poll(self.now) {
                let Datagram { stream, data, .. } = arrived.packet;
                let input = bond_sender::Input::Rtcp { link, data: &data };
                self.streams[stream].sender.handle_input(self.now, input);
                self.poll_sender(stream);
            }
        }
    }

    fn poll_sender(&mut self, index: usize) {
        let stream = &mut self.streams[index];
        loop {
            match stream.sender.poll_output() {
                bond_sender::Output::Rtp { link, media } => {
                    let mut data = BytesMut::with_capacity(media.len());
                    data.extend_from_slice(&media.header);
                    data.extend_from_slice(&media.payload);
                    stream.seen.wire += media.len() as u64;
                    stream.sent[link] += media.len() as u64;
                    let datagram = Datagram { stream: index, rtcp: false, data: data.freeze() };
                    self.links[link].0.push(self.now, datagram);
                }
                bond_sender::Output::Rtcp { link, data } => {
                    stream.seen.rtcp.0 += data.len() as u64;
                    stream.seen.longest_rtcp.0 = stream.seen.longest_rtcp.0.max(data.len());
                    let datagram = Datagram { stream: index, rtcp: true, data: data.into() };
                    self.links[link].0.push(self.now, datagram);
                }
                bond_sender::Output::Timeout(at) => {
                    stream.sender_due = at;
                    return;
                }
                other => panic!("{other:?}"),
            }
        }
    }

    fn poll_receiver(&mut self, index: usize) {
        loop {
            match self.streams[index].receiver.poll_output() {
                rist_receiver::Output::Transmit { link, to, data } => {
                    assert_eq!(to.port(), 6001, "RTCP goes where RTCP came from");
                    let seen = &mut self.streams[index].seen;
                    seen.rtcp.1 += data.len() as u64;
                    seen.longest_rtcp.1 = seen.longest_rtcp.1.max(data.len());
                    let datagram = Datagram { stream: index, rtcp: true, data: data.into() };
                    self.links[link].1.push(self.now, datagram);
                }
                rist_receiver::Output::Packet(packet) => {
                    let (now, since) = (self.now, self.now - self.start);
                    self.streams[index].see(now, since, &packet);
                }
                rist_receiver::Output::Timeout(at) => {
                    self.streams[index].receiver_due = self.world_time(index, at);
                    return;
                }
                other => panic!("{other:?}"),
            }
        }
    }
}

impl Stream {
    /// In order, nothing twice, and what is not there was reported lost.
    fn see(&mut self, now: Instant, since: Duration, packet: &rist::Packet) {
        let mut number = &packet.payload[PAYLOAD - 8..];
        let number = bytes::Buf::get_u64(&mut number);
        let seen = &mut self.seen;
        if seen.next == u64::MAX {
            seen.next = number;
        }
        assert_eq!(number, seen.next + packet.lost_before, "out of order, twice, or lost without a word");
        self.lost.extend(number - packet.lost_before..number);
        seen.next = number + 1;
        seen.delivered += 1;
        seen.lost += packet.lost_before;
        let latency = now - self.created[number as usize];
        seen.latency = (seen.latency.0.min(latency), seen.latency.1.max(latency));
        self.latencies.push(latency);
        let gap = self.last_delivery.map_or(Duration::ZERO, |last| now - last);
        seen.longest_gap = seen.longest_gap.max(gap);
        self.last_delivery = Some(now);
        for value in [number, since.as_nanos() as u64] {
            seen.digest = (seen.digest ^ value).wrapping_mul(0x0100_0000_01b3);
        }
    }
}
