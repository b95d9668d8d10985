//! The sending machine: numbers and keeps packets, reports, measures, and answers requests.
//!
//! RIST leaves open which path carries which packet (TR-06-1, 5.4), and so does this machine: it says that a
//! packet is to be sent ([`Output::Send`]), and the caller [takes](Sender::take) it for a path of its choice,
//! now or later. [`crate::bond`] is such a caller.

mod early;
mod nack;
mod proof;

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use bytes::Bytes;

use super::error::DecodeError;
use super::history::{Entry, History};
use super::keyframe::Heard;
use super::media::Media;
pub(crate) use super::path::REST_INTERVAL;
use super::path::{Feedback, Path, Question};
use super::rtcp::{Arrival, Arrivals, Compound, Packet, RELAYED, RESTS, TAKES_FEEDBACK, Writer};
use super::rtp::{self, CLOCK_HZ, Header, RETRANSMISSION_BIT};
use super::seed::Seed;
use super::sequence::{Sequence, extend, extend_timestamp};
use super::share::Share;
use super::stats::SenderCounters;
use crate::fec;
use early::Requests;
use nack::Begged;

/// Time between two reports: at most 100 ms (TR-06-1, 5.2.1), and timers are late.
pub const REPORT_INTERVAL: Duration = Duration::from_millis(90);
/// How often a packet is sent, the first time included (librist's max-retries is 20).
const MAX_SENDS: u8 = 21;
/// Sequence numbers of one datagram that are looked at; 4 s of 10 Mbit/s. A receiver asks again for the rest.
const MAX_NUMBERS: usize = 4096;
/// Entries of one datagram that are looked at; librist's list has up to 200.
const MAX_ENTRIES: usize = 256;
/// A packet is not repeated sooner than a round trip after it was last sent, nor sooner than this.
const MIN_REPEAT: Duration = Duration::from_millis(5);
/// The same, while the round-trip time is not known.
const DEFAULT_REPEAT: Duration = Duration::from_millis(50);
/// A packet that was sent so often and did not arrive is short of time, and worth two copies at once.
const URGENT_SENDS: u8 = 3;
/// A request for a packet whose fate feedback will tell is put off for two round trips and so long: as long as a link
/// is not suspect. But only with time for so many more.
const UNHURRIED: u32 = 8;
const PATIENCE: Duration = Duration::from_millis(150);
/// Bytes that may be repeated however little was sent.
const MIN_ALLOWANCE: usize = 64 << 10;
/// The first reports of a path, until there is feedback, say that this sender takes it.
const FIRST_WORDS: u32 = 20;
/// So does one report of these, about one per second, since the receiver may start anew; to a receiver that gives
/// feedback only these have counts and an echo request.
const FULL_EVERY: u32 = 11;
/// Where the receiver's clock is taken to start, 1/65536 s, so that earlier times are not negative.
const CLOCK_ORIGIN: i64 = 1 << 32;
/// Numbers of repair packets, which have their own, start here.
pub(crate) const REPAIRS: u64 = 1 << 62;
/// Shortest time between two answers to echo requests on one path.
const MIN_ECHO: Duration = Duration::from_millis(2);

/// What a sender is made of.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct SenderConfig {
    /// How many paths there are.
    pub paths: usize,
    /// How long packets are kept after they were given.
    pub latency: Duration,
    /// Canonical name.
    pub cname: String,
    /// Whether the source can be asked for a keyframe, which Strata's receivers are told.
    pub keyframes: bool,
    /// Time between two reports of a path, at most 100 ms; [`REPORT_INTERVAL`] when there is no reason for less.
    pub report_interval: Duration,
    /// Where SSRC and first sequence number and time stamp come from; to be random outside of tests.
    pub seed: Seed,
}

impl SenderConfig {
    /// `paths` paths, 1000 ms, a report every 90 ms.
    #[must_use]
    pub fn new(paths: usize, seed: impl Into<Seed>) -> Self {
        let (latency, cname) = (Duration::from_millis(1000), "strata".to_owned());
        Self { paths, latency, cname, keyframes: false, report_interval: REPORT_INTERVAL, seed: seed.into() }
    }
}

/// What happens to a sender.
#[derive(Debug)]
#[non_exhaustive]
pub enum Input<'a> {
    /// A payload is to be sent.
    Payload(Bytes),
    /// An RTCP datagram came in by a path.
    Rtcp {
        /// The path.
        path: usize,
        /// The datagram.
        data: &'a [u8],
    },
    /// Send again what was sent on a path from `since` on.
    Reclaim {
        /// The path.
        path: usize,
        /// The first time that counts.
        since: Instant,
    },
    /// A packet that was sent on a path did not arrive, as what came after it shows.
    Missing {
        /// The path.
        path: usize,
        /// Extended sequence number.
        number: u64,
        /// When it was sent.
        sent_at: Instant,
    },
    /// There is one more path, or one that is closed or has led elsewhere starts anew.
    OpenPath {
        /// The path: one there is or was, or one beyond the last.
        path: usize,
    },
    /// A path is no more; nothing is sent on it.
    ClosePath {
        /// The path.
        path: usize,
    },
    /// The stream is at its end; paths are told.
    Bye,
    /// The time of [`Output::Timeout`] has come.
    Timeout,
}

/// What a sender wants.
#[derive(Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Output {
    /// [Take](Sender::take) this packet and send it, on any path.
    Send {
        /// Extended sequence number.
        number: u64,
        /// When it was given to the sender.
        created: Instant,
        /// Payload bytes.
        len: usize,
        /// Whether it is to be sent again.
        repeat: bool,
        /// Whether two copies would be better, if possible on different paths: it was lost more than once.
        urgent: bool,
    },
    /// Send this datagram to the RTCP port of a path.
    Rtcp {
        /// The path.
        path: usize,
        /// The datagram.
        data: Bytes,
    },
    /// An RTCP datagram came in by a path, from a peer that knows the rules.
    Heard {
        /// The path.
        path: usize,
    },
    /// A path answered: what was sent on it until `sent_at` had the time to arrive.
    Echo {
        /// The path.
        path: usize,
        /// When the question was sent.
        sent_at: Instant,
        /// Round-trip time.
        rtt: Duration,
    },
    /// A receiver told what arrived on a path (RFC 8888). Packets are told of more than once.
    Feedback {
        /// The path.
        path: usize,
        /// Whether it is not this path's own arrivals, but another's.
        relayed: bool,
        /// The packets, whether they are still kept or not.
        received: Vec<Received>,
    },
    /// A packet last sent on a path at `sent_at` did not arrive, says the receiver.
    Lost {
        /// The path.
        path: usize,
        /// When it was sent.
        sent_at: Instant,
        /// Payload bytes.
        len: usize,
    },
    /// Nothing more until then, or until the next input.
    Timeout(Instant),
}

/// A packet that arrived on a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Received {
    /// Extended sequence number.
    pub number: u64,
    /// Whether it was sent as a retransmission.
    pub repeat: bool,
    /// When it arrived by the receiver's clock, whose start is arbitrary.
    pub at: Duration,
    /// Time from its arrival to the report.
    pub held: Duration,
}

/// The sending machine.
#[derive(Debug)]
pub struct Sender {
    config: SenderConfig,
    epoch: Instant,
    ssrc: u32,
    first_timestamp: u32,
    /// Where its time starts, in 1/2^32 s: who can name one of its times has seen it.
    origin: u64,
    history: History,
    paths: Vec<Path>,
    /// For further paths.
    seed: Seed,
    /// Payload bytes that may be repeated: as many as were given, and no more saved up than are kept. Every copy is
    /// charged, the first when it is asked for, so that nobody can make a sender repeat more than its stream.
    allowance: usize,
    /// Number of the next repair packet.
    next_repair: u64,
    counters: SenderCounters,
    keyframes: Heard,
    requests: Requests,
    begged: Begged,
    /// What comes before that may have waited here.
    read_late: Instant,
    /// What is left of the share of RTCP.
    share: Share,
    /// Memory that is used again.
    writer: Writer,
    spare: Vec<Received>,
    out: VecDeque<Output>,
}

impl Sender {
    /// A sender that starts at `now`.
    #[must_use]
    pub fn new(now: Instant, config: SenderConfig) -> Self {
        let mut seed = config.seed.clone();
        Self {
            ssrc: seed.next() as u32 & !RETRANSMISSION_BIT,
            first_timestamp: seed.next() as u32,
            history: History::new(seed.next() as u16),
            paths: (0..config.paths).map(|_| Path::new(now, seed.next())).collect(),
            origin: seed.next(),
            seed,
            epoch: now,
            allowance: MIN_ALLOWANCE,
            next_repair: REPAIRS,
            counters: SenderCounters::default(),
            keyframes: Heard::new(config.keyframes),
            requests: Requests::default(),
            begged: Begged::default(),
            read_late: now,
            share: Share::default(),
            writer: Writer::lasting(),
            spare: Vec::new(),
            out: VecDeque::new(),
            config,
        }
    }

    /// The stream's SSRC, with the retransmission bit 0.
    #[must_use]
    pub fn ssrc(&self) -> u32 {
        self.ssrc
    }

    /// What was counted.
    #[must_use]
    pub fn counters(&self) -> SenderCounters {
        self.counters
    }

    /// Smoothed round-trip time of a path, once measured.
    #[must_use]
    pub fn rtt(&self, path: usize) -> Option<Duration> {
        self.paths.get(path)?.echo.srtt()
    }

    /// Packets kept.
    #[must_use]
    pub fn kept(&self) -> usize {
        self.history.len()
    }

    /// Time between two reports of a path from now on.
    pub(crate) fn set_report_interval(&mut self, interval: Duration) {
        self.config.report_interval = interval;
    }

    /// Lets a path rest that carries nothing, or not: it is reported on and asked seldom, and so is its receiver to do, if
    /// it is one of Strata's.
    pub(crate) fn rest(&mut self, now: Instant, path: usize, rests: bool) {
        if let Some(path) = self.paths.get_mut(path) {
            path.rest(now, rests);
        }
    }

    /// The same of a path to a receiver of another kind, which counts on a report each 100 ms: they come no more often, say no more than
    /// that there is a sender, and one in [`FULL_EVERY`] asks for an answer.
    pub(crate) fn idle(&mut self, now: Instant, path: usize, idles: bool) {
        if let Some(path) = self.paths.get_mut(path) {
            path.idle(now, idles);
        }
    }

    /// Whether the last report of a path to a receiver that does not tell what arrives was one with [`REPORT_INTERVAL`] after it
    /// for want of room for more.
    pub(crate) fn is_spaced(&self, path: usize) -> bool {
        self.paths.get(path).is_some_and(|path| path.spaced)
    }

    /// Whether the receiver told what arrives by any path, no longer than a second before `at`.
    pub(crate) fn is_told(&self, at: Instant) -> bool {
        self.paths.iter().any(|path| path.is_told(at))
    }

    fn open_path(&mut self, now: Instant, path: usize) {
        let new = Path::new(now, self.seed.next());
        if path == self.paths.len() {
            self.paths.push(new);
        } else if let Some(path) = self.paths.get_mut(path) {
            *path = new;
        }
    }

    /// What was sent on the path says nothing of the one that will be in its place.
    fn close_path(&mut self, path: usize) {
        if let Some(state) = self.paths.get_mut(path) {
            state.open = false;
        }
        for (_, entry) in self.history.iter_mut() {
            if let Some((_, on)) = entry.last.as_mut().filter(|(_, on)| *on == Some(path)) {
                *on = None;
            }
        }
    }

    /// Keeps packets this long from now on.
    pub fn set_latency(&mut self, latency: Duration) {
        self.config.latency = latency;
    }

    /// Takes what happened. Then [`Sender::poll_output`] until it gives a timeout.
    pub fn handle_input(&mut self, now: Instant, input: Input<'_>) {
        match input {
            Input::Payload(payload) => self.push(now, payload),
            Input::Rtcp { path, data } => {
                if self.rtcp(now, path, data).is_err() {
                    self.counters.rejected += 1;
                }
            }
            Input::Reclaim { path, since } => self.reclaim(path, since),
            Input::Missing { path, number, sent_at } => {
                self.missing(path, number, sent_at);
            }
            Input::OpenPath { path } => self.open_path(now, path),
            Input::ClosePath { path } => self.close_path(path),
            Input::Bye => self.bye(),
            Input::Timeout => self.report(now),
        }
    }

    /// Takes the memory of [`Output::Feedback`] back, for the next one.
    pub(crate) fn take_back(&mut self, mut received: Vec<Received>) {
        received.clear();
        self.spare = received;
    }

    /// What is to be done next.
    pub fn poll_output(&mut self) -> Output {
        self.out.pop_front().or_else(|| self.serve_begged()).unwrap_or_else(|| {
            let next = self.paths.iter().filter(|path| path.open).map(|path| path.next_report).min();
            Output::Timeout(next.unwrap_or(self.epoch + Duration::from_secs(u32::MAX.into())))
        })
    }

    /// The packet `number` for the wire, to be sent on `path` now; `None` when it is no longer kept, and when it is a
    /// `repeat` and as much as was given has been repeated.
    pub fn take(&mut self, now: Instant, number: u64, path: usize, repeat: bool) -> Option<Media> {
        let entry = self.history.get_mut(number)?;
        // What was asked for is charged already; another copy is not.
        if repeat && !entry.asked {
            self.allowance = self.allowance.checked_sub(entry.payload.len())?;
        }
        self.take_unasked(now, number, path, repeat)
    }

    /// The same for a copy that nothing a peer does brings about, and that is not counted.
    pub(crate) fn take_unasked(
        &mut self,
        now: Instant,
        number: u64,
        path: usize,
        repeat: bool,
    ) -> Option<Media> {
        let ssrc = self.ssrc | if repeat { RETRANSMISSION_BIT } else { 0 };
        let entry = self.history.get_mut(number)?;
        entry.last = Some((now, Some(path)));
        (entry.expected, entry.early) = (None, 0);
        entry.sends = entry.sends.saturating_add(1);
        entry.asked = false;
        let media = Media::of(ssrc, number, entry);
        self.share.earn(media.len());
        Some(media)
    }

    /// One more copy of a packet that was sent already, for a path that does not carry it, before anything is known of
    /// its fate; `None` when it is no longer kept, arrived, or is to be sent again anyway. It does not count as a try.
    pub(crate) fn copy(&mut self, number: u64) -> Option<Media> {
        let ssrc = self.ssrc;
        let entry = self.history.get_mut(number)?;
        let wanted = entry.last.is_some() && entry.arrived.is_none() && !entry.asked;
        let media = wanted.then(|| Media::of(ssrc, number, entry))?;
        self.share.earn(media.len());
        Some(media)
    }

    /// Whether the receiver has said after `since` that a packet arrived.
    pub(crate) fn has_arrived(&self, number: u64, since: Instant) -> bool {
        self.history.get(number).and_then(|entry| entry.arrived).is_some_and(|at| at > since)
    }

    /// When a packet was given, if it is still kept.
    pub(crate) fn created(&self, number: u64) -> Option<Instant> {
        self.history.get(number).map(|entry| entry.created)
    }

    /// Takes the newest packets to be as if they were given now and never sent: those after the last one that arrived, or
    /// that is `settled`, of which is told when and by which path it was sent last. Their numbers and bytes.
    pub(crate) fn renew(
        &mut self,
        now: Instant,
        settled: impl Fn(Instant, Option<usize>) -> bool,
    ) -> Vec<(u64, usize)> {
        self.history.renew(now, self.timestamp(now), settled)
    }

    /// The path that a packet was sent on last, if there still is that path.
    pub(crate) fn last_path(&self, number: u64) -> Option<usize> {
        self.history.get(number)?.last?.1
    }

    /// A packet that is lost on the path it was sent on last is under way on this one too: its fate is decided there.
    pub(crate) fn under_way(&mut self, number: u64, path: usize, sent_at: Instant) {
        if let Some(entry) = self.history.get_mut(number) {
            entry.last = Some((sent_at, Some(path)));
        }
    }

    /// Whether the receiver at the end of a path takes repair packets.
    pub(crate) fn takes_repairs(&self, now: Instant, path: usize) -> bool {
        self.paths.get(path).is_some_and(|path| path.takes_repairs(now))
    }

    /// A packet as it was given, with its time stamp, if it is still kept.
    pub(crate) fn source(&self, number: u64) -> Option<(Bytes, u32)> {
        self.history.get(number).map(|entry| (entry.payload.clone(), entry.timestamp))
    }

    /// Whether a packet that was lost as it was sent on a path at `sent_at` is lost: no other copy arrived or is under way.
    pub(crate) fn is_lost(&self, number: u64, path: usize, sent_at: Instant) -> bool {
        let lost = |entry: &Entry| entry.last == Some((sent_at, Some(path))) && entry.arrived.is_none();
        self.history.get(number).is_some_and(lost)
    }

    /// A repair packet for the wire, and its number.
    pub(crate) fn repair(&mut self, now: Instant, payload: Bytes) -> (u64, Media) {
        let number = self.next_repair;
        self.next_repair += 1;
        let header = Header {
            marker: false,
            payload_type: fec::PAYLOAD_TYPE,
            sequence: number as u16,
            timestamp: self.timestamp(now),
            ssrc: fec::repair_ssrc(self.ssrc),
        };
        let media = Media { header: header.encode(), upper: (number >> 16) as u16, payload };
        self.share.earn(media.len());
        (number, media)
    }

    /// The number of a packet that arrived, if it is of this stream, and there was one.
    fn number_of(&self, arrival: &Arrival) -> Option<u64> {
        if rtp::stream(arrival.ssrc) == self.ssrc {
            let number = self.history.number(Sequence { lower: arrival.sequence, upper: None });
            return self.history.was_given(number).then_some(number);
        }
        let repair = arrival.ssrc == fec::repair_ssrc(self.ssrc);
        let number = repair.then(|| extend(self.next_repair, arrival.sequence))?;
        (REPAIRS..self.next_repair).contains(&number).then_some(number)
    }

    fn timestamp(&self, now: Instant) -> u32 {
        let ticks =
            now.saturating_duration_since(self.epoch).as_nanos() * u128::from(CLOCK_HZ) / 1_000_000_000;
        self.first_timestamp.wrapping_add(ticks as u32)
    }

    /// Time since the origin, in 1/2^32 s: what sender reports carry, from a clock that is not set (RFC 3550, 4).
    fn ntp(&self, now: Instant) -> u64 {
        let elapsed = now.saturating_duration_since(self.epoch);
        let units = (elapsed.as_secs() << 32) | ((u64::from(elapsed.subsec_nanos()) << 32) / 1_000_000_000);
        // Receivers take 0 to mean that there is no time.
        Some(self.origin.wrapping_add(units)).filter(|ntp| ntp << 16 >> 32 != 0).unwrap_or(1 << 16)
    }

    fn push(&mut self, now: Instant, payload: Bytes) {
        // The receiver's latency starts with the first arrival, half a round trip later.
        let open = self.paths.iter().filter(|path| path.open);
        let way = open.filter_map(|path| path.echo.srtt()).max().unwrap_or_default();
        if let Some(oldest) = now.checked_sub(self.config.latency + way) {
            self.history.expire(oldest);
        }
        let len = payload.len();
        self.counters.packets += 1;
        self.counters.bytes += len as u64;
        let timestamp = self.timestamp(now);
        let number = self.history.push(Entry {
            payload,
            timestamp,
            created: now,
            last: None,
            expected: None,
            requested: None,
            early: 0,
            sends: 0,
            asked: false,
            arrived: None,
        });
        self.allowance = (self.allowance + len).min(self.history.bytes().max(MIN_ALLOWANCE));
        self.out.push_back(Output::Send { number, created: now, len, repeat: false, urgent: false });
    }

    fn reclaim(&mut self, path: usize, since: Instant) {
        for (number, entry) in self.history.iter_mut() {
            let there = entry.last.is_some_and(|(at, on)| on == Some(path) && at >= since);
            let len = entry.payload.len();
            if there && !entry.asked && entry.arrived.is_none() && self.allowance >= len {
                entry.asked = true;
                self.allowance -= len;
                let created = entry.created;
                self.out.push_back(Output::Send { number, created, len, repeat: true, urgent: false });
            }
        }
    }

    fn bye(&mut self) {
        for path in (0..self.paths.len()).filter(|&path| self.paths[path].open) {
            let writer = &mut self.writer;
            writer.receiver_report(self.ssrc, None);
            writer.source_description(self.ssrc, &self.config.cname);
            writer.bye(self.ssrc);
            self.out.push_back(Output::Rtcp { path, data: writer.finish() });
        }
    }

    /// Sends the reports that are due: SR or empty RR, SDES, echoes. A receiver that gives feedback shows by it what
    /// reports and echoes are for, so that it gets fewer of them; and so does any other once the share of RTCP is used up.
    fn report(&mut self, now: Instant) {
        let (ntp, timestamp) = (self.ntp(now), self.timestamp(now));
        for (index, path) in
            self.paths.iter_mut().enumerate().filter(|(_, path)| path.open && path.next_report <= now)
        {
            path.reports = path.reports.saturating_add(1);
            // A report of a path that rests has all there is.
            let fed_back = path.is_known(now, self.epoch) && !path.rests;
            path.spaced = !fed_back && (self.share.is_used_up() || path.idles);
            let usual = if path.spaced { REPORT_INTERVAL } else { self.config.report_interval };
            path.next_report = now + path.interval(fed_back, usual);
            let writer = &mut self.writer;
            let brief = fed_back || path.spaced && !path.rests && path.reports > FIRST_WORDS;
            if brief && path.reports % FULL_EVERY != 0 {
                writer.receiver_report(self.ssrc, None);
            } else {
                path.told.report(now, ntp);
                let (packets, bytes) = (self.counters.packets as u32, self.counters.bytes as u32);
                writer.sender_report(self.ssrc, ntp, timestamp, packets, bytes);
            }
            writer.source_description(self.ssrc, &self.config.cname);
            // One that gave feedback and gives none may have started anew.
            let unknown = path.feedback.is_some() || path.reports <= FIRST_WORDS;
            let says_rest = path.says_rest();
            if !path.is_fed_back(now) && unknown || path.reports % FULL_EVERY == 0 || says_rest {
                let rests = if path.rests { RESTS } else { 0 };
                writer.capabilities(self.ssrc, TAKES_FEEDBACK | rests | self.keyframes.capability());
            }
            if let Some(question) = path.question.take() {
                let delay = now.saturating_duration_since(question.at).as_micros() as u32;
                writer.echo_response(self.ssrc, question.timestamp, delay, &question.padding);
            }
            if !fed_back && !path.idles || path.reports % FULL_EVERY == 0 {
                writer.echo_request(self.ssrc, path.echo.request(now));
            }
            let data = writer.finish();
            self.share.spend(data.len());
            self.out.push_back(Output::Rtcp { path: index, data });
        }
    }

    fn rtcp(&mut self, now: Instant, path: usize, data: &[u8]) -> Result<(), DecodeError> {
        if !self.paths.get(path).is_some_and(|path| path.open) {
            return Ok(());
        }
        self.counters.rtcp_datagrams += 1;
        if !self.paths[path].intake.takes(now, data.len()) {
            self.counters.throttled += 1;
            return Ok(());
        }
        let compound = Compound::parse(data)?;
        self.out.push_back(Output::Heard { path });
        let (mut entries, mut numbers) = (MAX_ENTRIES, MAX_NUMBERS);
        let (mut relayed, mut upper) = (false, None);
        for packet in compound {
            match packet? {
                Packet::Nack { media_ssrc, losses } if rtp::stream(media_ssrc) == self.ssrc => {
                    self.nack(now, path, losses, upper, &mut entries, &mut numbers);
                }
                Packet::ExtendedSequence { media_ssrc, upper: half }
                    if rtp::stream(media_ssrc) == self.ssrc =>
                {
                    upper = Some(half);
                }
                Packet::Nack { .. } | Packet::ExtendedSequence { .. } => self.counters.foreign_requests += 1,
                Packet::EchoRequest { timestamp, padding, .. } => self.answer(now, path, timestamp, padding),
                Packet::EchoResponse { timestamp, processing_us, .. } => {
                    let state = &mut self.paths[path];
                    if now < self.read_late {
                        let known = state.echo.answer_read_late(timestamp);
                        state.proven |= known;
                        self.counters.unknown_echoes += u64::from(!known);
                        continue;
                    }
                    let Some(sample) = state.echo.answer(now, timestamp, processing_us) else {
                        self.counters.unknown_echoes += 1;
                        continue;
                    };
                    (state.echoes, state.proven) = (true, true);
                    self.out.push_back(Output::Echo { path, sent_at: sample.sent_at, rtt: sample.rtt });
                }
                Packet::Feedback { .. } if !self.paths[path].proven => self.counters.unproven_feedback += 1,
                Packet::Feedback { ssrc, arrivals, timestamp } => {
                    self.feedback(now, path, relayed, ssrc, arrivals, timestamp);
                }
                Packet::Capabilities { ssrc, capabilities } => {
                    relayed = capabilities & RELAYED != 0;
                    self.paths[path].taker.announce(ssrc, capabilities);
                }
                Packet::PictureLoss { media_ssrc } if rtp::stream(media_ssrc) == self.ssrc => {
                    let proven = self.paths[path].proven;
                    self.counters.keyframe_requests += u64::from(self.keyframes.takes(now, proven));
                }
                // It does not name the stream, and who sends it may never have reported on one. What can be asked for
                // is bounded as ever.
                Packet::Remnant { losses } => self.nack(now, path, losses, None, &mut entries, &mut numbers),
                Packet::ReceiverReport { ssrc, blocks } => {
                    self.paths[path].taker.report(now, ssrc);
                    for block in blocks {
                        self.round_trip(now, path, &block);
                    }
                }
                _ => {}
            }
        }
        Ok(())
    }

    fn answer(&mut self, now: Instant, path: usize, timestamp: u64, padding: &[u8]) {
        let state = &mut self.paths[path];
        if state.last_answer.is_some_and(|at| now < at + MIN_ECHO) {
            self.counters.throttled_echoes += 1;
            return;
        }
        state.last_answer = Some(now);
        // The delay is told, so that it does not count. Of several in a group one is answered so.
        let waits = (self.share.is_used_up() || state.idles) && state.question.is_none();
        if waits || state.is_fed_back(now) {
            state.question = Some(Question { timestamp, padding: padding.to_vec(), at: now });
            return;
        }
        let writer = &mut self.writer;
        writer.receiver_report(self.ssrc, None);
        writer.source_description(self.ssrc, &self.config.cname);
        writer.echo_response(self.ssrc, timestamp, 0, padding);
        let data = writer.finish();
        self.share.spend(data.len());
        self.out.push_back(Output::Rtcp { path, data });
    }

    /// Takes a receiver's word of what arrived on a path.
    fn feedback(
        &mut self,
        now: Instant,
        path: usize,
        relayed: bool,
        ssrc: u32,
        arrivals: Arrivals<'_>,
        timestamp: u32,
    ) {
        let state = &mut self.paths[path].feedback;
        // A receiver that started anew has another clock.
        let before = state.as_ref().filter(|feedback| feedback.ssrc == ssrc).map(|feedback| feedback.newest);
        let time =
            before.map_or(CLOCK_ORIGIN + i64::from(timestamp), |newest| extend_timestamp(newest, timestamp));
        let own = !relayed || state.as_ref().is_some_and(|feedback| feedback.own);
        let newest = before.map_or(time, |newest| newest.max(time));
        *state = Some(Feedback { ssrc, at: now, own, newest });
        let (mut received, mut rtt) = (std::mem::take(&mut self.spare), None);
        for arrival in arrivals {
            let Some(number) = self.number_of(&arrival) else {
                self.counters.unknown_arrivals += 1;
                continue;
            };
            let offset = i64::from(arrival.offset) * 64;
            let units =
                |units: i64| Duration::from_nanos(((units.max(0) as u128 * 1_000_000_000) >> 16) as u64);
            let held = units(offset);
            if let Some(entry) = self.history.get_mut(number) {
                entry.arrived.get_or_insert(now);
                if let Some((sent_at, _)) =
                    entry.last.filter(|&(_, on)| on == Some(path) && entry.sends == 1 && !relayed)
                {
                    rtt = Some(now.saturating_duration_since(sent_at).saturating_sub(held));
                }
            }
            received.push(Received {
                number,
                repeat: arrival.ssrc & RETRANSMISSION_BIT != 0,
                at: units(time - offset),
                held,
            });
        }
        // The newest one, once per report.
        if let Some(rtt) = rtt {
            self.paths[path].echo.smooth(rtt);
        }
        self.out.push_back(Output::Feedback { path, relayed, received });
    }

    /// Lets a packet be sent again that was lost on its way, if no other copy is under way.
    fn missing(&mut self, path: usize, number: u64, sent_at: Instant) {
        if !self.is_lost(number, path, sent_at) {
            return;
        }
        let Some(entry) = self.history.get_mut(number) else { return };
        let len = entry.payload.len();
        if entry.asked || entry.sends >= MAX_SENDS || self.allowance < len {
            return;
        }
        entry.asked = true;
        self.allowance -= len;
        let (created, urgent) = (entry.created, entry.sends >= URGENT_SENDS);
        self.out.push_back(Output::Send { number, created, len, repeat: true, urgent });
    }
}
