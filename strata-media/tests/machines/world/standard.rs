//! A receiver that knows nothing beyond the standard: no feedback (RFC 8888), no capabilities, no repair packets, a reorder section
//! of fixed length. It bears nothing else than the standard has, but packets of an application it does not know, which RFC 3550
//! has it ignore. When it asks, and by which link, is as of librist 0.2.7. Of what comes through a tunnel it puts null packets back,
//! and goes by the lower half of numbers, as that does.

use std::collections::{BTreeMap, VecDeque};
use std::ops::Range;
use std::time::{Duration, Instant};

use bytes::Bytes;
use strata_media::rist::extension::Extension;
use strata_media::rist::rtcp::{Compound, Loss, Packet, Writer};
use strata_media::rist::rtp::{Header, PAYLOAD_TYPE_TS, RETRANSMISSION_BIT};

/// Which kind of receiver a stream goes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Strata's own.
    Strata,
    /// The one of this module.
    Standard,
}

impl Kind {
    pub(crate) const BOTH: [Self; 2] = [Self::Strata, Self::Standard];
}

/// How often packets are asked for and put out.
const TICK: Duration = Duration::from_millis(5);
const REPORT_INTERVAL: Duration = Duration::from_millis(100);
/// librist's own reorder buffer, unless its user sets another one.
const REORDER: Duration = Duration::from_millis(25);
/// Entries of a request (TR-06-1, 5.3.2).
const ENTRIES: usize = 16;
/// Who is not heard for so long is not asked.
const SESSION_TIMEOUT: Duration = Duration::from_secs(2);
/// How often a packet is asked for.
const MAX_RETRIES: u32 = 20;
/// Limits of the round-trip time by which it is asked for again.
const RTT_MIN: Duration = Duration::from_millis(50);
const RTT_MAX: Duration = Duration::from_millis(500);
/// Samples by which the clock is corrected.
const CLOCK_SAMPLES: usize = 2048;

/// What it wants.
pub(crate) enum Output {
    /// Send this by the RTCP port of a link.
    Transmit {
        link: usize,
        data: Bytes,
    },
    /// The next payload, and how many before it were lost.
    Packet {
        payload: Bytes,
        lost_before: u64,
    },
    Timeout(Instant),
}

struct Peer {
    rtt: Duration,
    last_rtt: Duration,
    heard: Option<Instant>,
    next_report: Instant,
    asked: VecDeque<(u64, Instant)>,
}

struct Gap {
    number: u64,
    since: Instant,
    due: Instant,
    link: usize,
    asked: u32,
}

/// The machine.
pub(crate) struct Receiver {
    latency: Duration,
    /// How long what is missing is waited for before it is asked for.
    pub(crate) reorder: Duration,
    ssrc: u32,
    peers: Vec<Peer>,
    /// Payloads, and when they were made by this clock.
    held: BTreeMap<u64, (Bytes, Instant)>,
    /// The same of streams that were followed by another one, and how many before each are lost.
    leaving: VecDeque<(u64, (Bytes, Instant))>,
    /// Streams, the last of which is the present one.
    past: Vec<u32>,
    /// Number of the next one to be put out, and the highest one that came.
    next: u64,
    last: Option<(u64, Instant)>,
    /// First time stamp, and when it was made by this clock.
    clock: Option<(u32, Instant)>,
    offsets: Vec<i64>,
    missing: Vec<Gap>,
    next_tick: Instant,
    stamp: u64,
    now: Instant,
    out: VecDeque<Output>,
    /// How many packets it asked for, each time counted.
    pub(crate) requested: u64,
    /// Packets of RTCP of an application it does not know.
    pub(crate) unknown: u64,
}

impl Receiver {
    pub(crate) fn new(now: Instant, links: usize, latency: Duration) -> Self {
        let peer = |_| Peer {
            rtt: RTT_MIN,
            last_rtt: RTT_MIN,
            heard: None,
            next_report: now,
            asked: VecDeque::new(),
        };
        Self {
            latency,
            reorder: REORDER,
            ssrc: 0,
            peers: (0..links).map(peer).collect(),
            held: BTreeMap::new(),
            leaving: VecDeque::new(),
            past: Vec::new(),
            next: 0,
            last: None,
            clock: None,
            offsets: Vec::new(),
            missing: Vec::new(),
            next_tick: now,
            stamp: 0,
            now,
            out: VecDeque::new(),
            requested: 0,
            unknown: 0,
        }
    }

    pub(crate) fn rtp(&mut self, now: Instant, link: usize, data: &Bytes) {
        self.now = now;
        let (header, payload) = Header::decode(data).expect("it is well-formed");
        assert_eq!(header.payload_type, PAYLOAD_TYPE_TS, "nothing else is sent: {header:?}");
        let ssrc = header.ssrc & !RETRANSMISSION_BIT;
        if self.ssrc != ssrc {
            self.join(ssrc);
        }
        // Which one is the first is not known by one that is sent again.
        if self.last.is_none() && header.is_retransmission() {
            return;
        }
        let (number, made) = self.place(&header);
        if number < self.next || self.held.contains_key(&number) {
            return;
        }
        self.held.insert(number, (restored(data, payload), made));
        if header.is_retransmission() {
            return;
        }
        match self.last {
            None => self.next = number,
            // Out of order.
            Some((last, last_made)) if made < last_made || number <= last => return,
            Some((last, _)) if number == last + 1 => self.sample(made),
            Some((last, last_made)) => self.miss(link, last, last_made, number, made),
        }
        self.last = Some((number, made));
    }

    /// Another stream begins; what is held of the one before is put out when it is due.
    fn join(&mut self, ssrc: u32) {
        assert!(!self.past.contains(&ssrc), "a stream that has ended");
        self.past.push(ssrc);
        let held = std::mem::take(&mut self.held);
        self.leaving.extend(held.into_iter().map(|(number, held)| {
            let lost = number - std::mem::replace(&mut self.next, number + 1);
            (lost, held)
        }));
        (self.ssrc, self.next, self.last, self.clock) = (ssrc, 0, None, None);
        self.offsets.clear();
        self.missing.clear();
    }

    /// Number without wraps, and when it was made by this clock.
    fn place(&mut self, header: &Header) -> (u64, Instant) {
        let near = self.last.map_or(1 << 20, |(last, _)| last);
        let distance = i64::from(header.sequence.wrapping_sub(near as u16) as i16);
        let &mut (first, at) = self.clock.get_or_insert((header.timestamp, self.now));
        let ticks = i64::from(header.timestamp.wrapping_sub(first) as i32);
        let since = Duration::from_nanos(ticks.unsigned_abs() * 1_000_000 / 90);
        (near.wrapping_add_signed(distance), if ticks < 0 { at - since } else { at + since })
    }

    /// Packets in order show how late the first one was.
    fn sample(&mut self, made: Instant) {
        let late = self.now.saturating_duration_since(made).as_micros() as i64;
        self.offsets.push(late - made.saturating_duration_since(self.now).as_micros() as i64);
        if self.offsets.len() == CLOCK_SAMPLES {
            self.offsets.sort_unstable();
            let median = self.offsets[CLOCK_SAMPLES / 2];
            self.offsets.clear();
            let (_, at) = self.clock.as_mut().expect("it is well-formed");
            let by = Duration::from_micros(median.unsigned_abs());
            *at = if median < 0 { *at - by } else { *at + by };
        }
    }

    fn miss(&mut self, link: usize, last: u64, last_made: Instant, number: u64, made: Instant) {
        let between = (made - last_made) / (number - last) as u32;
        let first = self.reorder.max(self.peers[link].rtt.clamp(RTT_MIN, RTT_MAX) / 2);
        for missing in last + 1..number {
            let since = (last_made + between * (missing - last) as u32).min(self.now);
            self.missing.push(Gap { number: missing, since, due: self.now + first, link, asked: 0 });
        }
    }

    pub(crate) fn rtcp(&mut self, now: Instant, link: usize, data: &[u8]) {
        self.now = now;
        let peer = &mut self.peers[link];
        peer.heard = Some(now);
        let mut speaker = None;
        for packet in Compound::parse(data).expect("it is well-formed") {
            match packet.expect("it is well-formed") {
                Packet::EchoRequest { ssrc, timestamp, padding } => {
                    assert_eq!(Some(ssrc), speaker, "the stream's");
                    let mut writer = begin();
                    writer.echo_response(1, timestamp, 0, padding);
                    self.out.push_back(Output::Transmit { link, data: writer.finish() });
                }
                Packet::EchoResponse { timestamp, processing_us, .. } => {
                    if let Some(&(_, at)) = peer.asked.iter().find(|&&(stamp, _)| stamp == timestamp) {
                        let rtt = (now - at).saturating_sub(Duration::from_micros(processing_us.into()));
                        peer.last_rtt = rtt;
                        peer.rtt = (peer.rtt * 7 + rtt) / 8;
                    }
                }
                Packet::ReceiverReport { ssrc, mut blocks } => {
                    assert!(blocks.next().is_none(), "it is empty");
                    speaker = Some(ssrc);
                }
                Packet::SenderReport { ssrc, .. } => speaker = Some(ssrc),
                Packet::SourceDescription { .. } | Packet::Bye { .. } => {}
                // Of its own name.
                Packet::Capabilities { .. } => self.unknown += 1,
                other => panic!("no sender of the standard says this: {other:?}"),
            }
        }
    }

    pub(crate) fn tick(&mut self, now: Instant) {
        self.now = now;
        while self.next_tick <= now {
            self.next_tick += TICK;
        }
        for link in 0..self.peers.len() {
            let peer = &mut self.peers[link];
            if peer.heard.is_some() && now >= peer.next_report {
                peer.next_report = now + REPORT_INTERVAL;
                self.stamp += 1;
                peer.asked.push_back((self.stamp, now));
                if peer.asked.len() == 32 {
                    peer.asked.pop_front();
                }
                let mut writer = begin();
                writer.echo_request(1, self.stamp);
                self.out.push_back(Output::Transmit { link, data: writer.finish() });
            }
        }
        self.put_out();
        self.ask();
    }

    fn put_out(&mut self) {
        while let Some((_, (_, made))) = self.leaving.front()
            && *made + self.latency <= self.now
            && let Some((lost_before, (payload, _))) = self.leaving.pop_front()
        {
            self.out.push_back(Output::Packet { payload, lost_before });
        }
        while let Some(first) = self.held.first_entry() {
            if first.get().1 + self.latency > self.now {
                return;
            }
            let (number, (payload, _)) = first.remove_entry();
            self.out.push_back(Output::Packet { payload, lost_before: number - self.next });
            self.next = number + 1;
        }
    }

    fn ask(&mut self) {
        let Self { missing, held, peers, next, now, latency, .. } = self;
        let mut asked: Vec<Loss> = Vec::new();
        missing.retain_mut(|gap| {
            let over = gap.asked >= MAX_RETRIES || *now > gap.since + *latency * 11 / 10;
            if over || gap.number < *next || held.contains_key(&gap.number) {
                return false;
            }
            if gap.due <= *now {
                gap.asked += 1;
                gap.due = *now + peers[gap.link].rtt.clamp(RTT_MIN, RTT_MAX) * 11 / 10;
                let number = gap.number as u16;
                match asked.last_mut() {
                    Some(loss) if loss.first.wrapping_add(loss.additional + 1) == number => {
                        loss.additional += 1;
                    }
                    _ => asked.push(Loss { first: number, additional: 0 }),
                }
                self.requested += 1;
            }
            true
        });
        // By the shortest way.
        let heard = (0..self.peers.len())
            .filter(|&link| self.peers[link].heard.is_some_and(|at| self.now < at + SESSION_TIMEOUT));
        let Some(link) = heard.min_by_key(|&link| self.peers[link].last_rtt) else { return };
        for losses in asked.chunks(ENTRIES) {
            let mut writer = begin();
            writer.range_nack(self.ssrc, losses);
            self.out.push_back(Output::Transmit { link, data: writer.finish() });
        }
    }

    pub(crate) fn poll_output(&mut self) -> Output {
        self.out.pop_front().unwrap_or(Output::Timeout(self.next_tick))
    }
}

/// A payload with the null packets that it came without.
fn restored(packet: &Bytes, payload: Range<usize>) -> Bytes {
    match Extension::find(packet).and_then(|extension| extension.nulls) {
        Some(nulls) => nulls.restore(&packet[payload]),
        None => packet.slice(payload),
    }
}

fn begin() -> Writer {
    let mut writer = Writer::new();
    writer.receiver_report(1, None);
    writer.source_description(1, "standard");
    writer
}
