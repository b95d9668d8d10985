//! Bonded senders, emulated links and receivers, in virtual time.

pub(crate) mod frames;
pub(crate) mod inside;
pub(crate) mod links;
pub(crate) mod oracle;
pub(crate) mod report;
pub(crate) mod spoken;
pub(crate) mod standard;
pub(crate) mod traces;
pub(crate) mod tunnels;

use std::net::SocketAddr;
use std::ops::{Deref, DerefMut};
use std::time::{Duration, Instant};

use bytes::{BufMut, Bytes, BytesMut};
use strata_media::bond::{self, Adaptation, BondConfig, BondLink, SchedulerParams, sender as bond_sender};
use strata_media::fec;
use strata_media::rist::rtp::PAYLOAD_TYPE_TS;
use strata_media::rist::{self, ReceiverStats, receiver as rist_receiver};
use strata_media::testing::netem::{Config, Link, Packet};

use frames::Frames;
use inside::Machine;
use spoken::Spoken;
use standard::Kind;
use tunnels::Tunnels;

pub(crate) const MS: Duration = Duration::from_millis(1);
pub(crate) const SECOND: Duration = Duration::from_secs(1);

/// What travels on an emulated link.
#[derive(Clone)]
pub(crate) struct Datagram {
    stream: usize,
    link: usize,
    rtcp: bool,
    data: Bytes,
}

impl Packet for Datagram {
    fn size(&self) -> usize {
        self.data.len()
    }
}

/// Links, and the streams that share them; most have one, and stand for it.
pub(crate) struct World {
    pub(crate) start: Instant,
    pub(crate) now: Instant,
    pub(crate) links: Vec<(Link<Datagram>, Link<Datagram>)>,
    /// Links that have one queue before their own, and that.
    pub(crate) shared: Option<(Vec<usize>, Link<Datagram>)>,
    /// How often the sender's address on a link has changed.
    pub(crate) moved: Vec<u8>,
    pub(crate) streams: Vec<Stream>,
}

/// A stream of constant rate, or of pictures, and its end.
pub(crate) struct Stream {
    pub(crate) sender: bond::Sender,
    pub(crate) receiver: rist::Receiver,
    /// What receives in its place, if it is to be one that knows nothing beyond the standard.
    pub(crate) standard: Option<standard::Receiver>,
    /// What they speak through, if it is the Main Profile.
    pub(crate) tunnels: Option<Tunnels>,
    pub(crate) seen: Seen,
    /// How much faster the receiver's clock runs, parts per million.
    pub(crate) receiver_ppm: i64,
    /// How much longer than this world the receiver's clock has run.
    pub(crate) receiver_ahead: Duration,
    /// How long payloads were held back as the sender had no room for them: of a source that waits.
    pub(crate) held_back: Duration,
    /// What the payload of a number is, but for its last eight bytes, which are the number; zeros otherwise.
    pub(crate) content: Option<fn(u64) -> Vec<u8>>,
    /// The pictures of which it is one.
    pub(crate) frames: Option<Frames>,
    /// How many payloads are given at a time.
    pub(crate) burst: u32,
    /// By which links each payload was sent, repeats left out: one bit each.
    pub(crate) carried: Vec<u64>,
    /// When media was sent, if that is to be noted.
    pub(crate) departures: Option<Vec<Instant>>,
    /// What came to the sender while its process stands still, and by which link.
    pub(crate) waiting: Option<Vec<(usize, Bytes)>>,
    /// RTCP of the sender, and of the receiver.
    pub(crate) spoken: [Spoken; 2],
    /// Numbers that were reported lost.
    pub(crate) lost: Vec<u64>,
    /// Sets the rate of the source, every 50 ms.
    pub(crate) adaptation: Option<Adaptation>,
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
    /// For payloads.
    memory: BytesMut,
    latency: Duration,
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
pub(crate) struct Seen {
    /// Payloads put in, and put out.
    pub(crate) sent: u64,
    pub(crate) delivered: u64,
    /// Sum of `lost_before`.
    pub(crate) lost: u64,
    /// From creation to delivery.
    pub(crate) latency: (Duration, Duration),
    /// Media bytes on all links, headers included.
    pub(crate) wire: u64,
    /// RTCP bytes towards the receiver, and back.
    pub(crate) rtcp: (u64, u64),
    /// Datagrams towards the receiver: RTP and RTCP.
    pub(crate) datagrams: (u64, u64),
    /// Longest RTCP datagram, towards the receiver, and back.
    pub(crate) longest_rtcp: (usize, usize),
    /// Longest time between two deliveries.
    pub(crate) longest_gap: Duration,
    /// Depends on every delivery and its time.
    pub(crate) digest: u64,
    /// Number expected next.
    next: u64,
    /// Number of the first one that was put out.
    pub(crate) first: u64,
}

impl Seen {
    /// The first packets may be lost, as nobody knows of them: the next one that comes is the first.
    pub(crate) fn unsynced(&mut self) {
        self.next = u64::MAX;
    }

    /// Whether the last packet that was put in was put out: by order, all before it were, or were reported lost. Of those at the
    /// end that its sender has discarded, nobody else knows.
    pub(crate) fn complete(&self, discarded: u64) -> bool {
        self.next <= self.sent && self.sent - self.next <= discarded
    }

    /// Packets put out or reported lost.
    pub(crate) fn accounted(&self) -> u64 {
        self.delivered + self.lost
    }
}

/// Bytes of a payload.
pub(crate) const PAYLOAD: usize = 1316;
/// One that is its number alone.
const ZEROS: [u8; PAYLOAD - 8] = [0; PAYLOAD - 8];

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
            standard: None,
            tunnels: None,
            receiver_ppm: 0,
            receiver_ahead: Duration::ZERO,
            held_back: Duration::ZERO,
            content: None,
            frames: None,
            burst: 1,
            carried: Vec::new(),
            departures: None,
            waiting: None,
            spoken: Default::default(),
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
                datagrams: (0, 0),
                longest_rtcp: (0, 0),
                longest_gap: Duration::ZERO,
                digest: 0xcbf2_9ce4_8422_2325,
                next: 0,
                first: 0,
            },
            memory: BytesMut::new(),
            latency,
            seed,
        }
    }
}

/// Puts a datagram of the sender into the first queue of its link.
fn enter(
    shared: &mut Option<(Vec<usize>, Link<Datagram>)>,
    links: &mut [(Link<Datagram>, Link<Datagram>)],
    now: Instant,
    datagram: Datagram,
) {
    match shared {
        Some((members, queue)) if members.contains(&datagram.link) => queue.push(now, datagram),
        _ => links[datagram.link].0.push(now, datagram),
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
    pub(crate) fn new(seed: u64, links: &[Config], bps: u64, latency: Duration) -> Self {
        Self::with(seed, links, bps, latency, |_| {})
    }

    pub(crate) fn with(
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
            shared: None,
            moved: vec![0; links.len()],
            streams: vec![Stream::new(start, seed, links.len(), bps, latency, change)],
        }
    }

    /// The stream goes to a receiver of this kind.
    pub(crate) fn towards(mut self, kind: Kind) -> Self {
        let stream = self.streams.remove(0);
        self.streams.insert(0, stream.towards(self.now, kind));
        self
    }

    /// The same to a standard one that waits so long for what is out of order: as its user has set it for the skew of the links.
    pub(crate) fn towards_reordering(mut self, reorder: Duration) -> Self {
        self = self.towards(Kind::Standard);
        self.standard.iter_mut().for_each(|receiver| receiver.reorder = reorder);
        self
    }

    /// The source waits for the sender, as a file does.
    pub(crate) fn wait_for_sender(&mut self) -> &mut Self {
        let mut bond = bond(self.seed, self.links.len(), self.latency);
        bond.live = false;
        self.sender = bond::Sender::new(self.now, bond);
        self
    }

    /// Changes the rate of the stream from now on.
    pub(crate) fn set_rate(&mut self, bps: u64) {
        self.interval = interval(bps);
    }

    /// One more stream over the same links, to a receiver of this kind.
    pub(crate) fn add_stream(&mut self, seed: u64, bps: u64, latency: Duration, kind: Kind) {
        let stream = Stream::new(self.now, seed, self.links.len(), bps, latency, |_| {});
        self.streams.push(stream.towards(self.now, kind));
    }

    /// Streams for `time`.
    pub(crate) fn run(&mut self, time: Duration) -> &mut Self {
        let end = self.now + time;
        while self.step(end, true) {}
        self
    }

    /// Stops the stream and lets `time` pass.
    pub(crate) fn drain(&mut self, time: Duration) -> &mut Self {
        let end = self.now + time;
        while self.step(end, false) {}
        let now = self.now;
        for stream in &mut self.streams {
            stream.next_payload = now;
            // Whatever the links do, who keeps to the rules has no more to say than is read.
            assert_eq!(stream.sender.stats(now).throttled_datagrams, 0);
            assert_eq!(stream.receiver.stats(now).throttled_datagrams, 0);
        }
        self
    }

    /// Lets `time` pass while the process of the sender, and its source, stand still.
    pub(crate) fn stand_still(&mut self, time: Duration) {
        let end = self.now + time;
        self.waiting = Some(Vec::new());
        self.sender_due = end;
        self.drain(time);
        self.tell(bond_sender::Input::Timeout);
        for (link, data) in self.waiting.take().unwrap_or_default() {
            self.tell(bond_sender::Input::Rtcp { link, data: &data });
        }
    }

    /// Gives so many payloads at once, beside those of the stream.
    pub(crate) fn give_at_once(&mut self, payloads: u64) {
        for _ in 0..payloads {
            let now = self.now;
            self.streams[0].give(now);
            self.poll_sender(0);
        }
    }

    /// Changes a link in both directions from now on.
    pub(crate) fn configure(&mut self, link: usize, config: &Config) {
        self.links[link].0.configure(self.now, config.clone());
        self.links[link].1.configure(self.now, config.clone());
    }

    /// Changes the way back of a link from now on.
    pub(crate) fn configure_return(&mut self, link: usize, config: &Config) {
        self.links[link].1.configure(self.now, config.clone());
    }

    /// Lets links have one more queue, which they share; without links there is none any more.
    pub(crate) fn share(&mut self, links: &[usize], config: Config) {
        let seed = self.seed * 100 + 99;
        self.shared = (!links.is_empty()).then(|| (links.to_vec(), Link::new(config, seed)));
    }

    /// Gives the sender other parameters.
    pub(crate) fn schedule(&mut self, params: SchedulerParams) -> &mut Self {
        self.tell(bond_sender::Input::Scheduler(params))
    }

    /// Tells the sender something of its links.
    pub(crate) fn tell(&mut self, input: bond_sender::Input<'_>) -> &mut Self {
        let now = self.now;
        self.sender.handle_input(now, input);
        self.poll_sender(0);
        self
    }

    /// Starts the sender anew, as after a crash.
    pub(crate) fn restart_sender(&mut self, latency: Duration) {
        let (now, links) = (self.now, self.links.len());
        self.seed += 1000;
        self.sender = bond::Sender::new(now, bond(self.seed, links, latency));
        self.sender_due = now;
    }

    /// Starts the receiver anew.
    pub(crate) fn restart_receiver(&mut self, latency: Duration) {
        let now = self.now;
        let mut receiver = rist::ReceiverConfig::new(self.links.len(), self.seed + 2000);
        receiver.latency = latency;
        self.receiver = rist::Receiver::new(now, receiver);
        self.receiver_due = now;
        if self.standard.is_some() {
            let (clock, links) = (self.receiver_time(0), self.links.len());
            self.standard = Some(standard::Receiver::new(clock, links, latency));
        }
        self.tunnels.iter_mut().for_each(|tunnels| tunnels.restart_receiver(now));
        self.seen.next = u64::MAX;
    }

    /// Puts another receiver in place of this one, which has run for `uptime`.
    pub(crate) fn replace_receiver(&mut self, latency: Duration, uptime: Duration) {
        self.receiver_ahead = uptime;
        self.restart_receiver(latency);
    }

    pub(crate) fn stats(&self) -> ReceiverStats {
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
        next = self.shared.iter().filter_map(|(_, queue)| queue.next_event()).fold(next, Instant::min);
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
                self.streams[index].happened(self.now, bond_sender::Input::Timeout);
                self.poll_sender(index);
            }
            if self.now >= self.streams[index].receiver_due {
                let now = self.receiver_time(index);
                self.streams[index].came(now, rist_receiver::Input::Timeout);
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
        if !stream.sender.has_room(self.now) {
            stream.next_payload = self.now + MS;
            stream.held_back += MS;
            return;
        }
        let (payloads, time) = match &stream.frames {
            Some(frames) => (frames.payloads(stream.seen.sent), frames::PERIOD),
            None => (stream.burst.into(), stream.interval * stream.burst),
        };
        stream.next_payload += time;
        for _ in 0..payloads {
            self.streams[index].give(self.now);
            self.poll_sender(index);
        }
    }

    fn carry(&mut self) {
        while let Some(arrived) = self.shared.as_mut().and_then(|(_, queue)| queue.poll(self.now)) {
            self.links[arrived.packet.link].0.push(self.now, arrived.packet);
        }
        for link in 0..self.links.len() {
            while let Some(arrived) = self.links[link].0.poll(self.now) {
                let Datagram { stream, rtcp, data, .. } = arrived.packet;
                let Some((rtcp, data)) = self.streams[stream].came_out(self.now, link, false, (rtcp, data))
                else {
                    continue;
                };
                let from =
                    SocketAddr::from(([10, 0, self.moved[link], link as u8], if rtcp { 6001 } else { 6000 }));
                let input = if rtcp {
                    rist_receiver::Input::Rtcp { link, from, data: &data }
                } else {
                    rist_receiver::Input::Rtp { link, from, data: data.clone() }
                };
                let now = self.receiver_time(stream);
                self.streams[stream].came(now, input);
                self.poll_receiver(stream);
            }
            while let Some(arrived) = self.links[link].1.poll(self.now) {
                let Datagram { stream, rtcp, data, .. } = arrived.packet;
                let Some((_, data)) = self.streams[stream].came_out(self.now, link, true, (rtcp, data))
                else {
                    continue;
                };
                if let Some(waiting) = &mut self.streams[stream].waiting {
                    waiting.push((link, data));
                    continue;
                }
                let input = bond_sender::Input::Rtcp { link, data: &data };
                self.streams[stream].happened(self.now, input);
                self.poll_sender(stream);
            }
        }
    }

    fn poll_sender(&mut self, index: usize) {
        let stream = &mut self.streams[index];
        loop {
            match inside::work(Machine::Sender, || stream.sender.poll_output()) {
                bond_sender::Output::Rtp { link, media } => {
                    stream.note(link, &media.header, &media.payload);
                    stream.departures.iter_mut().for_each(|all| all.push(self.now));
                    let data = match &mut stream.tunnels {
                        Some(tunnels) => tunnels.media(link, &media),
                        None => [&media.header[..], &media.payload[..]].concat().into(),
                    };
                    stream.seen.wire += media.len() as u64;
                    stream.seen.datagrams.0 += 1;
                    stream.sent[link] += media.len() as u64;
                    let datagram = Datagram { stream: index, link, rtcp: false, data };
                    enter(&mut self.shared, &mut self.links, self.now, datagram);
                }
                bond_sender::Output::Rtcp { link, data } => {
                    stream.spoken[0].note(self.now, link, data.len());
                    stream.seen.rtcp.0 += data.len() as u64;
                    stream.seen.datagrams.1 += 1;
                    stream.seen.longest_rtcp.0 = stream.seen.longest_rtcp.0.max(data.len());
                    let data = stream.enclosed(link, true, data);
                    let datagram = Datagram { stream: index, link, rtcp: true, data };
                    enter(&mut self.shared, &mut self.links, self.now, datagram);
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
            if self.streams[index].standard.is_some() {
                return self.poll_standard(index);
            }
            let receiver = &mut self.streams[index].receiver;
            match inside::work(Machine::Receiver, || receiver.poll_output()) {
                rist_receiver::Output::Transmit { link, to, data } => {
                    assert_eq!(to.port(), 6001, "RTCP goes where RTCP came from");
                    self.streams[index].spoken[1].note(self.now, link, data.len());
                    let seen = &mut self.streams[index].seen;
                    seen.rtcp.1 += data.len() as u64;
                    seen.longest_rtcp.1 = seen.longest_rtcp.1.max(data.len());
                    let data = self.streams[index].enclosed(link, false, data);
                    let datagram = Datagram { stream: index, link, rtcp: true, data };
                    self.links[link].1.push(self.now, datagram);
                }
                rist_receiver::Output::Packet(packet) => {
                    let (now, since) = (self.now, self.now - self.start);
                    self.streams[index].see(now, since, &packet.payload, packet.lost_before);
                }
                rist_receiver::Output::Timeout(at) => {
                    self.streams[index].receiver_due = self.world_time(index, at);
                    return;
                }
                other => panic!("{other:?}"),
            }
        }
    }

    fn poll_standard(&mut self, index: usize) {
        while let Some(standard) = &mut self.streams[index].standard {
            match standard.poll_output() {
                standard::Output::Transmit { link, data } => {
                    self.streams[index].seen.rtcp.1 += data.len() as u64;
                    let data = self.streams[index].enclosed(link, false, data);
                    let datagram = Datagram { stream: index, link, rtcp: true, data };
                    self.links[link].1.push(self.now, datagram);
                }
                standard::Output::Packet { payload, lost_before } => {
                    let (now, since) = (self.now, self.now - self.start);
                    self.streams[index].see(now, since, &payload, lost_before);
                }
                standard::Output::Timeout(at) => {
                    self.streams[index].receiver_due = self.world_time(index, at);
                    return;
                }
            }
        }
    }
}

impl Stream {
    /// The same, to a receiver of this kind.
    fn towards(mut self, now: Instant, kind: Kind) -> Self {
        if kind == Kind::Standard {
            self.standard = Some(standard::Receiver::new(now, self.sent.len(), self.latency));
            // It takes the first packet that comes for the first.
            self.seen.unsynced();
        }
        self
    }

    /// Zeros, cut out of memory that payloads share, as those are that are read.
    fn payload(&mut self) -> BytesMut {
        if self.memory.is_empty() {
            self.memory = BytesMut::zeroed(PAYLOAD * 50);
        }
        self.memory.split_to(PAYLOAD)
    }

    /// RTCP of the sender, or of the receiver, in its tunnel if there is one.
    fn enclosed(&mut self, link: usize, of_sender: bool, data: Bytes) -> Bytes {
        match &mut self.tunnels {
            Some(tunnels) => tunnels.rtcp(link, of_sender, &data),
            None => data,
        }
    }

    /// What arrived, out of its tunnel if there is one: whether it is RTCP, and the packet.
    fn came_out(
        &mut self,
        now: Instant,
        link: usize,
        at_sender: bool,
        (rtcp, data): (bool, Bytes),
    ) -> Option<(bool, Bytes)> {
        match &mut self.tunnels {
            Some(tunnels) => tunnels.arrived(now, link, at_sender, &data),
            None => Some((rtcp, data)),
        }
    }

    /// The payload of a number, but for its last eight bytes; zeros when `None`.
    fn content_of(&self, number: u64) -> Option<Vec<u8>> {
        let content = self.frames.map(|frames| frames.content(number));
        content.or_else(|| self.content.map(|content| content(number)))
    }

    /// Gives the sender the next payload.
    fn give(&mut self, now: Instant) {
        let mut payload = self.payload();
        let number = self.seen.sent;
        if let Some(content) = self.content_of(number) {
            payload.copy_from_slice(&content);
        }
        (&mut payload[PAYLOAD - 8..]).put_u64(number);
        self.seen.sent += 1;
        self.created.push(now);
        self.carried.push(0);
        self.happened(now, bond_sender::Input::Payload(payload.freeze()));
    }

    /// Notes by which link a payload is sent; repeats have an odd SSRC, and repair packets another type. Nothing else is sent: links
    /// are tried with what the stream needs.
    fn note(&mut self, link: usize, header: &[u8], payload: &[u8]) {
        let payload_type = header[1] & 0x7f;
        assert!([PAYLOAD_TYPE_TS, fec::PAYLOAD_TYPE].contains(&payload_type), "payload type {payload_type}");
        if payload_type != PAYLOAD_TYPE_TS {
            return;
        }
        assert_eq!(payload.len(), PAYLOAD, "what was not given, on link {link}");
        let Some(&number) = payload.last_chunk() else { return };
        let number = u64::from_be_bytes(number);
        assert!(number < self.seen.sent, "what was not given, on link {link}");
        if header[11] & 1 == 0 {
            self.carried[number as usize] |= 1 << link;
        }
    }

    fn happened(&mut self, now: Instant, input: bond_sender::Input<'_>) {
        inside::work(Machine::Sender, || self.sender.handle_input(now, input));
    }

    fn came(&mut self, now: Instant, input: rist_receiver::Input<'_>) {
        match (&mut self.standard, input) {
            (Some(standard), rist_receiver::Input::Rtp { link, data, .. }) => standard.rtp(now, link, &data),
            (Some(standard), rist_receiver::Input::Rtcp { link, data, .. }) => standard.rtcp(now, link, data),
            (Some(standard), _) => standard.tick(now),
            (None, input) => inside::work(Machine::Receiver, || self.receiver.handle_input(now, input)),
        }
    }

    /// In order, nothing twice, byte for byte what was given, and what is not there was reported lost.
    fn see(&mut self, now: Instant, since: Duration, payload: &Bytes, lost_before: u64) {
        assert_eq!(payload.len(), PAYLOAD, "what was not given");
        let (content, mut number) = payload.split_at(PAYLOAD - 8);
        let number = bytes::Buf::get_u64(&mut number);
        assert!(number < self.seen.sent, "what was not given");
        let given = self.content_of(number);
        let given = given.as_ref().map_or(&ZEROS[..], |given| &given[..PAYLOAD - 8]);
        assert!(content == given, "{number} is not what was given: {content:x?}, not {given:x?}");
        let seen = &mut self.seen;
        if seen.next == u64::MAX {
            seen.next = number;
        }
        if seen.delivered == 0 {
            seen.first = number;
        }
        assert_eq!(number, seen.next + lost_before, "out of order, twice, or lost without a word");
        self.lost.extend(number - lost_before..number);
        seen.next = number + 1;
        seen.delivered += 1;
        seen.lost += lost_before;
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
