//! The receiving machine: one stream out of everything that comes in by any number of socket pairs.
//!
//! Packets are merged by the upper 31 bits of their SSRC. The machine locks to a stream; another one is taken up
//! when the first has fallen silent and was put out to its end.

use std::collections::VecDeque;
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use bytes::Bytes;

use super::arrivals::Source;
use super::error::DecodeError;
use super::extension::Extension;
use super::flow::{Flow, Outcome, Packet};
use super::missing::{self, MAX_ENTRIES};
use super::peers::{FORGET, Peer, Peers};
use super::rtcp::{self, Compound, Loss, RELAYED, Run, TAKES_FEEDBACK, Writer};
use super::rtp::{self, Header, RETRANSMISSION_BIT};
use super::seed::Seed;
use super::sequence::Sequence;
use super::stats::{PathStats, ReceiverStats};

/// Time between two reports: at most 100 ms (TR-06-1, 5.2.1), and timers are late.
const REPORT_INTERVAL: Duration = Duration::from_millis(90);
/// Requests are collected this long before they are sent, so that neighbours share a datagram.
const REQUEST_TICK: Duration = Duration::from_millis(2);
/// Datagrams of requests at a time.
const MAX_REQUEST_DATAGRAMS: usize = 8;
/// Requests per packet that fit into the latency (TR-06-1, appendix B), when the round-trip time is not known.
const REQUESTS: u32 = 7;
/// Shortest time between two requests for one packet.
const MIN_RETRY: Duration = Duration::from_millis(20);
/// Shortest reorder section.
const MIN_REORDER: Duration = Duration::from_millis(3);
/// A stream that is silent for so long, and put out to its end, may be replaced.
const SILENCE: Duration = Duration::from_millis(500);
/// Packets another stream must have sent before it is taken up.
const PROBATION: u64 = 2;
/// Source addresses of the stream that are remembered.
const MAX_SOURCES: usize = 32;

/// Longest datagram of feedback, bytes: it passes through any tunnel whole.
const MAX_FEEDBACK: usize = 1200;

/// How packets are asked for; senders support both (TR-06-1, 5.3.2).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum NackForm {
    /// Bitmasks to several links of a sender that is none of Strata's, ranges to others, and where masks do not
    /// suffice. GStreamer's `ristsink` takes a range, whatever link it came by, for the one added last: what was lost
    /// on others would not come again.
    #[default]
    Auto,
    /// RIST's own packet: first number and how many more.
    Range,
    /// RFC 4585: first number and a mask of the next 16.
    Bitmask,
}

/// What a receiver is made of.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct ReceiverConfig {
    /// How many local socket pairs there are.
    pub links: usize,
    /// Constant time from the arrival of an undelayed packet to its playout.
    pub latency: Duration,
    /// How long a packet may be out of order before it is asked for; 7 % of the latency, at most 70 ms, when `None`
    /// (TR-06-1, appendix B: 70 ms of 1000).
    pub reorder: Option<Duration>,
    /// How packets are asked for.
    pub nack: NackForm,
    /// Canonical name.
    pub cname: String,
    /// Where the SSRC comes from; to be random outside of tests.
    pub seed: u64,
}

impl ReceiverConfig {
    /// `links` socket pairs, 1000 ms.
    #[must_use]
    pub fn new(links: usize, seed: u64) -> Self {
        Self {
            links,
            latency: Duration::from_millis(1000),
            reorder: None,
            nack: NackForm::Auto,
            cname: "strata".to_owned(),
            seed,
        }
    }
}

/// What happens to a receiver.
#[derive(Debug)]
#[non_exhaustive]
pub enum Input<'a> {
    /// A datagram came in on an RTP port.
    Rtp {
        /// The socket pair.
        link: usize,
        /// Where from.
        from: SocketAddr,
        /// The datagram.
        data: Bytes,
    },
    /// A datagram came in on an RTCP port.
    Rtcp {
        /// The socket pair.
        link: usize,
        /// Where from.
        from: SocketAddr,
        /// The datagram.
        data: &'a [u8],
    },
    /// The time of [`Output::Timeout`] has come.
    Timeout,
}

/// What a receiver wants.
#[derive(Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Output {
    /// Send this datagram from an RTCP port.
    Transmit {
        /// The socket pair.
        link: usize,
        /// Where to.
        to: SocketAddr,
        /// The datagram.
        data: Vec<u8>,
    },
    /// The next packet of the stream, at its time.
    Packet(Packet),
    /// Nothing more until then, or until the next input.
    Timeout(Instant),
}

/// When to ask again: a round trip and some.
fn retry_after(rtt: Duration) -> Duration {
    rtt + rtt / 16 + Duration::from_millis(4)
}

/// The receiving machine.
#[derive(Debug)]
pub struct Receiver {
    config: ReceiverConfig,
    ssrc: u32,
    current: Option<Flow>,
    /// What comes instead of `current`, once that is silent.
    candidate: Option<Flow>,
    /// Where packets of the current stream came from.
    sources: Vec<Source>,
    peers: Peers,
    started: Instant,
    /// Requests are not sent before.
    next_request: Instant,
    next_forget: Instant,
    now: Instant,
    /// Lost packets of streams before the current one.
    lost_before: u64,
    stats: ReceiverStats,
    out: VecDeque<Output>,
}

impl Receiver {
    /// A receiver that starts at `now`.
    #[must_use]
    pub fn new(now: Instant, config: ReceiverConfig) -> Self {
        let mut seed = Seed::new(config.seed);
        let stats = ReceiverStats {
            latency: config.latency,
            paths: vec![PathStats::default(); config.links],
            ..ReceiverStats::default()
        };
        Self {
            ssrc: seed.next() as u32 & !RETRANSMISSION_BIT,
            peers: Peers::new(seed.next()),
            config,
            current: None,
            candidate: None,
            sources: Vec::new(),
            started: now,
            next_request: now,
            next_forget: now + FORGET,
            now,
            lost_before: 0,
            stats,
            out: VecDeque::new(),
        }
    }

    /// What was counted.
    #[must_use]
    pub fn stats(&self, now: Instant) -> ReceiverStats {
        let mut stats = self.stats.clone();
        stats.lost_packets = self.lost_before;
        if let Some(flow) = &self.current {
            stats.lost_packets += flow.lost();
            stats.buffered_packets = flow.held();
            stats.idle = Some(flow.silence(now));
            stats.ssrc = Some(flow.ssrc());
        }
        for (link, path) in stats.paths.iter_mut().enumerate() {
            path.rtt = self.peers.rtt(link);
        }
        stats
    }

    /// Whether packets of its stream come from this address.
    pub(super) fn hears(&self, link: usize, ip: IpAddr) -> bool {
        self.sources.iter().any(|source| source.link == link && source.ip == ip)
    }

    /// Whether everything that came was put out.
    pub(super) fn is_empty(&self) -> bool {
        [&self.current, &self.candidate].into_iter().flatten().all(|flow| flow.held() == 0)
    }

    /// Takes what happened. Then [`Receiver::poll_output`] until it gives a timeout.
    pub fn handle_input(&mut self, now: Instant, input: Input<'_>) {
        self.now = self.now.max(now);
        match input {
            Input::Rtp { link, from, data } => {
                if self.rtp(link, from, data).is_err() {
                    self.stats.rejected_datagrams += 1;
                }
            }
            Input::Rtcp { link, from, data } => {
                if self.rtcp(link, from, data).is_err() {
                    self.stats.rejected_datagrams += 1;
                }
            }
            Input::Timeout => {}
        }
        self.request();
        self.report();
        self.feed_back();
        if self.now >= self.next_forget {
            self.next_forget = self.now + FORGET;
            self.peers.forget_old(self.now);
        }
    }

    /// What is to be done next.
    pub fn poll_output(&mut self) -> Output {
        if let Some(output) = self.out.pop_front() {
            return output;
        }
        self.replace();
        if let Some(packet) = self.current.as_mut().and_then(|flow| flow.pop(self.now)) {
            self.stats.delivered_packets += 1;
            self.stats.delivered_bytes += packet.payload.len() as u64;
            return Output::Packet(packet);
        }
        Output::Timeout(self.timeout())
    }

    fn timeout(&self) -> Instant {
        let flow = self.current.as_ref();
        let due = flow.and_then(Flow::due);
        let request = flow.and_then(Flow::request_due).map(|at| at.max(self.next_request));
        let request = request.filter(|_| self.peers.confirmed().next().is_some());
        let report = self.peers.confirmed().map(|peer| peer.next_report).min();
        // A stream that waits to be taken up is looked at again when it would be put out.
        let candidate = self.candidate.as_ref().and_then(Flow::due).map(|at| at.max(self.now + REQUEST_TICK));
        let feedback =
            self.sources.iter().filter(|source| self.is_fed_back(source)).filter_map(Source::due).min();
        [due, request, report, candidate, feedback].into_iter().flatten().fold(self.next_forget, Instant::min)
    }

    /// How long a packet may be out of order. Less, where the latency is short of two requests and their answers.
    fn reorder(&self) -> Duration {
        if let Some(reorder) = self.config.reorder {
            return reorder;
        }
        let usual = (self.config.latency * 7 / 100).min(Duration::from_millis(70));
        let requests = self.slowest().map_or(Duration::ZERO, |rtt| retry_after(rtt) * 2);
        usual.min(self.config.latency.saturating_sub(requests)).max(MIN_REORDER)
    }

    fn slowest(&self) -> Option<Duration> {
        self.peers.confirmed().filter_map(|peer| peer.echo.srtt()).max()
    }

    /// Time between two requests for one packet: a round trip by the slowest path and some, so that what was
    /// repeated has had the time to come.
    fn retry(&self) -> Duration {
        let most = self.config.latency.saturating_sub(self.reorder()) / REQUESTS;
        self.slowest().map_or(most, retry_after).max(MIN_RETRY)
    }

    fn rtp(&mut self, link: usize, from: SocketAddr, data: Bytes) -> Result<(), DecodeError> {
        let (header, payload) = Header::decode(&data)?;
        if let Some(path) = self.stats.paths.get_mut(link) {
            path.packets += 1;
            path.bytes += data.len() as u64;
        }
        let extension = Extension::find(&data).unwrap_or_default();
        let sequence = Sequence { lower: header.sequence, upper: extension.sequence };
        let (now, payload) = (self.now, extension.restored(&data, payload));
        if self.current.is_none() {
            self.current = Some(Flow::new(now, &header, sequence, self.config.latency, self.reorder()));
        }
        match &mut self.current {
            Some(flow) if flow.fits(now, &header, sequence) => {
                let outcome = flow.insert(now, &header, sequence, payload);
                self.count(outcome);
                self.note_arrival(link, from, &header, data.len());
            }
            _ => self.other(header, sequence, payload),
        }
        Ok(())
    }

    fn note_arrival(&mut self, link: usize, from: SocketAddr, header: &Header, len: usize) {
        let (now, ip) = (self.now, from.ip());
        let known = self.sources.iter().position(|source| source.link == link && source.ip == ip);
        let index = known.unwrap_or_else(|| {
            if self.sources.len() == MAX_SOURCES {
                // A link that moved leaves the address it had.
                let oldest = (0..MAX_SOURCES).min_by_key(|&index| self.sources[index].heard);
                oldest.map(|index| self.sources.swap_remove(index));
            }
            self.sources.push(Source::new(now, link, ip));
            self.sources.len() - 1
        });
        self.sources[index].arrived(now, header.ssrc, header.sequence, len);
    }

    fn count(&mut self, outcome: Outcome) {
        match outcome {
            Outcome::Stored => {}
            Outcome::Recovered => self.stats.recovered_packets += 1,
            Outcome::Duplicate => self.stats.duplicate_packets += 1,
            Outcome::Late => self.stats.late_packets += 1,
            Outcome::Overflow => self.stats.overflowed_packets += 1,
        }
    }

    /// Takes a packet that is not of the current stream.
    fn other(&mut self, header: Header, sequence: Sequence, payload: Bytes) {
        let now = self.now;
        if self.candidate.as_ref().is_none_or(|flow| flow.silence(now) >= SILENCE) {
            self.candidate = Some(Flow::new(now, &header, sequence, self.config.latency, self.reorder()));
        }
        let candidate = self.candidate.as_mut().filter(|flow| flow.fits(now, &header, sequence));
        let outcome = candidate.map(|flow| flow.insert(now, &header, sequence, payload));
        if outcome.is_none_or(|outcome| outcome == Outcome::Overflow) {
            self.stats.rejected_datagrams += 1;
        }
    }

    /// Lets another stream take the current one's place, when that has ended.
    fn replace(&mut self) {
        let (Some(current), Some(candidate)) = (&self.current, &mut self.candidate) else { return };
        let patience = SILENCE.min(self.config.latency);
        let ended = current.held() == 0 && current.silence(self.now) >= patience;
        if ended && candidate.came() >= PROBATION {
            self.lost_before += current.lost();
            self.current = self.candidate.take();
            self.sources.clear();
            self.peers.doubt_all();
            self.stats.restarts += 1;
        } else if candidate.due().is_some_and(|due| due <= self.now) {
            // The current stream goes on; the other one's packets are not wanted.
            while candidate.pop(self.now).is_some() {
                self.stats.rejected_datagrams += 1;
            }
        }
    }

    fn rtcp(&mut self, link: usize, from: SocketAddr, data: &[u8]) -> Result<(), DecodeError> {
        let compound = Compound::parse(data)?;
        if let Some(path) = self.stats.paths.get_mut(link) {
            path.rtcp_packets += 1;
        }
        let stream = self.current.as_ref().map(Flow::ssrc);
        let known = self.hears(link, from.ip());
        let (now, ssrc) = (self.now, self.ssrc);
        let Some(peer) = self.peers.hear(now, link, from) else { return Ok(()) };
        peer.confirmed |= known;
        for packet in compound {
            match packet? {
                rtcp::Packet::SenderReport { ssrc, ntp, .. } => {
                    peer.confirmed |= stream.is_some_and(|stream| rtp::stream(ssrc) == stream);
                    peer.report = Some(((ntp >> 16) as u32, now));
                }
                rtcp::Packet::EchoRequest { timestamp, padding, .. } if peer.may_answer(now) => {
                    let mut writer = Writer::new();
                    writer.receiver_report(ssrc, None);
                    writer.source_description(ssrc, &self.config.cname);
                    writer.echo_response(ssrc, timestamp, 0, padding);
                    self.out.push_back(Output::Transmit { link, to: from, data: writer.finish() });
                }
                rtcp::Packet::Capabilities { capabilities, .. } => {
                    peer.takes_feedback = capabilities & TAKES_FEEDBACK != 0;
                }
                rtcp::Packet::EchoResponse { timestamp, processing_us, .. } => {
                    peer.echo.answer(now, timestamp, processing_us);
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// Sends the reports that are due: RR, SDES, echo request.
    fn report(&mut self) {
        let (now, reorder) = (self.now, self.reorder());
        let Some(flow) = &mut self.current else { return };
        flow.set_reorder(now, reorder);
        let mut block = None;
        for peer in self.peers.confirmed_mut().filter(|peer| peer.next_report <= now) {
            peer.next_report = now + REPORT_INTERVAL;
            let block = block.get_or_insert_with(|| flow.report());
            (block.last_report, block.delay) = peer.report.map_or((0, 0), |(ntp, at)| {
                let since = now.saturating_duration_since(at).as_nanos();
                (ntp, ((since << 16) / 1_000_000_000) as u32)
            });
            let mut writer = Writer::new();
            writer.receiver_report(self.ssrc, Some(block));
            writer.source_description(self.ssrc, &self.config.cname);
            if peer.may_ask() {
                writer.echo_request(self.ssrc, peer.echo.request(now));
            }
            let (link, to) = (peer.link, peer.addr);
            self.out.push_back(Output::Transmit { link, to, data: writer.finish() });
        }
    }

    /// Whether there is a peer that is to be told what arrives from `source`.
    fn is_fed_back(&self, source: &Source) -> bool {
        self.peers.confirmed().any(|peer| peer.takes_feedback && peer.is_at(source))
    }

    /// Tells each link of a sender that wants to know what arrived on it (RFC 8888).
    fn feed_back(&mut self) {
        let now = self.now;
        let is_due = |source: &Source| source.due().is_some_and(|due| due <= now);
        if !self.sources.iter().any(is_due) {
            return;
        }
        let since = now.saturating_duration_since(self.started).as_nanos();
        let timestamp = ((since << 16) / 1_000_000_000) as u32;
        for source in self.sources.iter_mut().filter(|source| is_due(source)) {
            let to = |peer: &&Peer| peer.takes_feedback && peer.is_at(source);
            let peers: Vec<_> =
                self.peers.confirmed().filter(to).map(|peer| (peer.link, peer.addr)).collect();
            if peers.is_empty() {
                source.turn(now);
                continue;
            }
            let runs = source.report(now);
            let start = |relayed: bool| {
                let mut writer = Writer::new();
                writer.receiver_report(self.ssrc, None);
                writer.source_description(self.ssrc, &self.config.cname);
                if relayed {
                    writer.capabilities(self.ssrc, RELAYED);
                }
                writer
            };
            let parts = rtcp::parts(runs, MAX_FEEDBACK - start(true).len() - Writer::FEEDBACK_LEN);
            let write = |relayed: bool, part: &[Run]| {
                let mut writer = start(relayed);
                writer.congestion_feedback(self.ssrc, part, timestamp);
                writer.finish()
            };
            for (link, to) in peers {
                let data = parts.iter().map(|part| write(false, part));
                self.out.extend(data.map(|data| Output::Transmit { link, to, data }));
            }
            // By the fastest other link too: reports are lost, and a slow link's come late.
            let other = |peer: &&Peer| peer.takes_feedback && !peer.is_at(source) && peer.is_well(now);
            let other = self.peers.confirmed().filter(other).min_by_key(|peer| peer.echo.srtt());
            if let Some(peer) = other {
                let (link, to) = (peer.link, peer.addr);
                let data = parts.iter().map(|part| write(true, part));
                self.out.extend(data.map(|data| Output::Transmit { link, to, data }));
            }
        }
    }

    /// Asks for what is missing, on every path.
    fn request(&mut self) {
        let now = self.now;
        let retry = self.retry();
        let Some(flow) = &mut self.current else { return };
        let due = flow.request_due().is_some_and(|due| due <= now);
        if !due || now < self.next_request || self.peers.confirmed().next().is_none() {
            return;
        }
        self.next_request = now + REQUEST_TICK;
        let mut requests = Vec::new();
        let (count, urgent) = flow.requests(now, retry, MAX_ENTRIES * MAX_REQUEST_DATAGRAMS, &mut requests);
        self.stats.requested_packets += count as u64;
        let (media, long) = (flow.ssrc(), flow.is_long());
        let datagrams: Vec<_> = if long {
            let halves = missing::long_losses(&requests);
            halves
                .iter()
                .flat_map(|(upper, losses)| self.write_requests(media, Some(*upper), losses))
                .collect()
        } else {
            self.write_requests(media, None, &missing::losses(&requests))
        };
        // One path is not enough for a request that may be the last one.
        let copies = if urgent && self.peers.confirmed().count() == 1 { 2 } else { 1 };
        for datagram in datagrams {
            for peer in std::iter::repeat_n((), copies).flat_map(|()| self.peers.confirmed()) {
                let (link, to) = (peer.link, peer.addr);
                self.out.push_back(Output::Transmit { link, to, data: datagram.clone() });
            }
        }
    }

    /// Writes requests, whose numbers have this upper half if they have one.
    fn write_requests(&self, media: u32, upper: Option<u16>, losses: &[Loss]) -> Vec<Vec<u8>> {
        let compound = |write: &dyn Fn(&mut Writer)| {
            let mut writer = Writer::new();
            writer.receiver_report(self.ssrc, None);
            writer.source_description(self.ssrc, &self.config.cname);
            if let Some(upper) = upper {
                writer.extended_sequence(media, upper);
            }
            write(&mut writer);
            writer.finish()
        };
        match self.nack_form(losses) {
            NackForm::Auto | NackForm::Range => losses
                .chunks(MAX_ENTRIES)
                .map(|losses| compound(&|writer| writer.range_nack(media, losses)))
                .collect(),
            NackForm::Bitmask => missing::bitmasks(losses, MAX_ENTRIES * MAX_REQUEST_DATAGRAMS)
                .chunks(MAX_ENTRIES)
                .map(|entries| compound(&|writer| writer.bitmask_nack(self.ssrc, media, entries)))
                .collect(),
        }
    }
    fn nack_form(&self, losses: &[Loss]) -> NackForm {
        if self.config.nack != NackForm::Auto {
            return self.config.nack;
        }
        let several = self.peers.confirmed().count() > 1;
        let foreign = !self.peers.confirmed().any(|peer| peer.takes_feedback);
        let masks: usize = losses.iter().map(|run| usize::from(run.additional) / missing::MASKED + 1).sum();
        let fit = masks <= MAX_ENTRIES * MAX_REQUEST_DATAGRAMS;
        if several && foreign && fit { NackForm::Bitmask } else { NackForm::Range }
    }
}
