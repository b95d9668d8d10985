//! The receiving machine: one stream out of everything that comes in by any number of socket pairs.
//!
//! Packets are merged by the upper 31 bits of their SSRC. The machine locks to a stream; another one is taken up
//! when the first has fallen silent and was put out to its end.

mod feedback;

use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use bytes::Bytes;

use super::arrivals::Source;
use super::error::DecodeError;
use super::extension::{Extension, Memory};
use super::flow::{Flow, Outcome, Packet};
use super::keyframe::Wish;
use super::missing::{self, Asking, MAX_ENTRIES, Pace};
use super::outbox::Outbox;
use super::peers::{FORGET, Peer, Peers};
use super::repairs::{self, Repairs};
use super::rtcp::{self, Compound, Loss, RESTS, TAKES_FEEDBACK, TAKES_PICTURE_LOSS, Writer};
use super::rtp::{self, Header, RETRANSMISSION_BIT};
use super::seed::Seed;
use super::sequence::Sequence;
use super::stats::{PathStats, ReceiverStats};
use super::succession::Succession;
use feedback::Reports;

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
/// Source addresses of the stream that are remembered.
const MAX_SOURCES: usize = 32;

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
    /// By socket pair, the RTCP address of the multicast group it is in; `None`, or nothing, for one in no group.
    pub groups: Vec<Option<SocketAddr>>,
    /// Constant time from the arrival of an undelayed packet to its playout.
    pub latency: Duration,
    /// How long a packet may be out of order before it is asked for; 7 % of the latency, at most 70 ms, when `None`
    /// (TR-06-1, appendix B: 70 ms of 1000).
    pub reorder: Option<Duration>,
    /// How packets are asked for.
    pub nack: NackForm,
    /// Whether repair packets are taken, and Strata's senders told so ([`crate::fec`]).
    pub fec: bool,
    /// Canonical name.
    pub cname: String,
    /// Where the SSRC comes from; to be random outside of tests.
    pub seed: Seed,
}

impl ReceiverConfig {
    /// `links` socket pairs, 1000 ms.
    #[must_use]
    pub fn new(links: usize, seed: impl Into<Seed>) -> Self {
        Self {
            links,
            groups: Vec::new(),
            latency: Duration::from_millis(1000),
            reorder: None,
            nack: NackForm::Auto,
            fec: true,
            cname: "strata".to_owned(),
            seed: seed.into(),
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
    /// Somebody wants a keyframe of the stream. Its sender is asked twice in a second at most, if it takes that.
    KeyframeWanted,
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
        data: Bytes,
    },
    /// The next packet of the stream, at its time.
    Packet(Packet),
    /// Nothing more until then, or until the next input.
    Timeout(Instant),
}

/// Whether it is RTCP of the stream's sender, where others speak too: a report of its SSRC, and not one on it.
fn is_of_sender(data: &[u8], stream: u32) -> bool {
    let first = Compound::parse(data).ok().and_then(|mut compound| compound.next()?.ok());
    match first {
        Some(rtcp::Packet::SenderReport { ssrc, .. }) => rtp::stream(ssrc) == stream,
        Some(rtcp::Packet::ReceiverReport { ssrc, mut blocks }) => {
            rtp::stream(ssrc) == stream && blocks.next().is_none()
        }
        _ => false,
    }
}

/// When to ask again: a round trip and some.
fn retry_after(rtt: Duration) -> Duration {
    rtt + rtt / 16 + Duration::from_millis(4)
}

/// By which of its paths a sender is asked: by a few, or by all; and how often by each.
#[derive(Debug, Clone, Copy)]
struct Paths {
    few: bool,
    copies: usize,
}

/// The receiving machine.
#[derive(Debug)]
pub struct Receiver {
    config: ReceiverConfig,
    ssrc: u32,
    current: Option<Flow>,
    /// What comes instead of `current`, once that is silent.
    succession: Succession,
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
    repairs: Repairs,
    keyframe: Wish,
    stats: ReceiverStats,
    /// Memory that is used again.
    writer: Writer,
    memory: Memory,
    asking: Asking,
    told: Reports,
    outbox: Outbox,
}

impl Receiver {
    /// A receiver that starts at `now`.
    #[must_use]
    pub fn new(now: Instant, config: ReceiverConfig) -> Self {
        let mut seed = config.seed.clone();
        let stats = ReceiverStats {
            latency: config.latency,
            paths: vec![PathStats::default(); config.links],
            ..ReceiverStats::default()
        };
        Self {
            ssrc: seed.next() as u32 & !RETRANSMISSION_BIT,
            peers: Peers::new(seed.child()),
            writer: Writer::lasting(),
            memory: Memory::default(),
            asking: Asking::default(),
            told: Reports::default(),
            config,
            current: None,
            succession: Succession::default(),
            sources: Vec::new(),
            started: now,
            next_request: now,
            next_forget: now + FORGET,
            now,
            lost_before: 0,
            repairs: Repairs::default(),
            keyframe: Wish::default(),
            stats,
            outbox: Outbox::default(),
        }
    }

    /// What was counted.
    #[must_use]
    pub fn stats(&self, now: Instant) -> ReceiverStats {
        let mut stats = self.stats.clone();
        stats.lost_packets = self.lost_before;
        stats.fec_packets = self.repairs.packets;
        stats.fec_recovered = self.repairs.recovered;
        stats.fec_useless = self.repairs.useless();
        stats.fec_throttled = self.repairs.throttled();
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
        self.current.as_ref().is_none_or(|flow| flow.held() == 0) && self.succession.held() == 0
    }

    /// Takes what happened. Then [`Receiver::poll_output`] until it gives a timeout.
    pub fn handle_input(&mut self, now: Instant, input: Input<'_>) {
        self.now = self.now.max(now);
        match input {
            Input::Rtp { link, from, data } => {
                self.outbox.allowances.came(self.now, from.ip(), data.len());
                if self.rtp(link, from, data).is_err() {
                    self.stats.rejected_datagrams += 1;
                }
            }
            Input::Rtcp { link, from, data } => {
                self.outbox.allowances.came(self.now, from.ip(), data.len());
                if self.rtcp(link, from, data).is_err() {
                    self.stats.rejected_datagrams += 1;
                }
            }
            Input::KeyframeWanted => self.keyframe.want(),
            Input::Timeout => {}
        }
        if let Some(flow) = &self.current {
            self.repairs.expire(self.now, flow);
        }
        self.request();
        self.request_keyframe();
        self.report();
        self.feed_back();
        if self.now >= self.next_forget {
            self.next_forget = self.now + FORGET;
            self.peers.forget_old(self.now);
        }
    }

    /// What is to be done next.
    pub fn poll_output(&mut self) -> Output {
        if let Some(output) = self.outbox.pop() {
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
        let request = request.filter(|_| self.peers.told(self.now).next().is_some());
        let report = self.peers.told(self.now).map(|peer| peer.next_report).min();
        // A stream that waits to be taken up is looked at again when it would be put out.
        let candidate = self.succession.due().map(|at| at.max(self.now + REQUEST_TICK));
        let feedback =
            self.sources.iter().filter(|source| self.is_fed_back(source)).filter_map(Source::due).min();
        let repairs = self.repairs.due();
        let keyframe = self.keyframe.due();
        [due, request, report, candidate, feedback, repairs, keyframe]
            .into_iter()
            .flatten()
            .fold(self.next_forget, Instant::min)
    }

    /// How long a packet may be out of order. Less, where the latency is short of two requests and their answers.
    fn reorder(&self) -> Duration {
        if let Some(reorder) = self.config.reorder {
            return reorder;
        }
        let usual = (self.config.latency * 7 / 100).min(Duration::from_millis(70));
        let requests = self.round_trips().map_or(Duration::ZERO, |(_, slowest)| retry_after(slowest) * 2);
        usual.min(self.config.latency.saturating_sub(requests)).max(MIN_REORDER)
    }

    /// Round-trip times of the fastest and of the slowest path by which a packet can come again.
    fn round_trips(&self) -> Option<(Duration, Duration)> {
        self.peers.round_trips(self.now, self.config.latency)
    }

    /// How often packets are asked for: after a round trip by the slowest path and some, so that what was repeated has had the time
    /// to come; and at last by the fastest.
    fn pace(&self) -> Pace {
        let latency = self.config.latency;
        let unknown = latency.saturating_sub(self.reorder()) / REQUESTS;
        let (fastest, slowest) = self.round_trips().unzip();
        let after = |rtt: Option<Duration>| rtt.map_or(unknown, retry_after).max(MIN_RETRY);
        Pace { retry: after(slowest), hurry: after(fastest), latency }
    }

    fn rtp(&mut self, link: usize, from: SocketAddr, data: Bytes) -> Result<(), DecodeError> {
        let (header, payload) = Header::decode(&data)?;
        if let Some(path) = self.stats.paths.get_mut(link) {
            path.packets += 1;
            path.bytes += data.len() as u64;
        }
        if repairs::repaired(&header).is_some()
            && self.repair(link, from, &header, &data.slice(payload.clone()))
        {
            return Ok(());
        }
        let extension = Extension::find(&data).unwrap_or_default();
        let sequence = Sequence { lower: header.sequence, upper: extension.sequence };
        let now = self.now;
        // Only of a packet that is kept.
        let restored = |memory: &mut Memory| extension.restored(&data, payload, memory);
        // What the one before this receiver had asked for may come first, from long before what comes now.
        let makes_room = |flow: &Flow| {
            let is_same = flow.ssrc() == header.stream() && !header.is_retransmission();
            is_same && flow.is_left_over() && !flow.fits(now, &header, sequence)
        };
        if self.current.as_ref().is_none_or(makes_room) {
            self.current = Some(Flow::new(now, &header, sequence, self.config.latency, self.reorder()));
        }
        let later = self.succession.continues(now, &header, sequence);
        match &mut self.current {
            Some(flow) if !later && flow.fits(now, &header, sequence) => {
                let outcome = flow.insert(now, &header, sequence, || restored(&mut self.memory));
                self.repairs.source(now, flow, sequence);
                self.count(outcome);
                self.note_arrival(link, from, &header, data.len());
            }
            _ => self.other(link, from, &header, (sequence, data.len()), restored),
        }
        Ok(())
    }

    /// Takes a repair packet; `false` when it is none.
    fn repair(&mut self, link: usize, from: SocketAddr, header: &Header, payload: &Bytes) -> bool {
        let stream = repairs::repaired(header);
        // Who sends them sends the stream as well.
        let known = self.config.fec && self.hears(link, from.ip());
        let flow = self.current.as_mut().filter(|flow| known && stream == Some(flow.ssrc()));
        let Some(flow) = flow else {
            // Of a stream that is not received: it must not be taken for one.
            let is_repair = repairs::is_repair(payload);
            self.stats.rejected_datagrams += u64::from(is_repair);
            return is_repair;
        };
        match self.repairs.repair((self.now, self.config.latency), flow, (link, from.ip()), payload) {
            Ok(()) => self.note_arrival(link, from, header, payload.len()),
            Err(_) => self.stats.rejected_datagrams += 1,
        }
        true
    }

    fn note_arrival(&mut self, link: usize, from: SocketAddr, header: &Header, len: usize) {
        self.outbox.share.earn(len);
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
    fn other(
        &mut self,
        link: usize,
        from: SocketAddr,
        header: &Header,
        (sequence, len): (Sequence, usize),
        payload: impl FnOnce(&mut Memory) -> Bytes,
    ) {
        let (now, latency, reorder) = (self.now, self.config.latency, self.reorder());
        let known = self.hears(link, from.ip());
        let lives = |flow: &&Flow| flow.ssrc() == header.stream() && flow.silence(now) < latency;
        if let Some(flow) = self.current.as_ref().filter(lives) {
            if flow.is_past(now, header, sequence) {
                self.count(Outcome::Late);
                return;
            }
            // Behind a gap that is not believed yet: its sender must not take its links for dead.
            if known && flow.is_timely(now, header.timestamp) {
                self.note_arrival(link, from, header, len);
            }
        }
        let insert = |flow: &mut Flow| {
            let payload = || payload(&mut self.memory);
            flow.fits(now, header, sequence).then(|| flow.insert(now, header, sequence, payload))
        };
        let fresh = || Flow::new(now, header, sequence, latency, reorder);
        let who = (header.stream(), (link, from.ip()), known);
        self.stats.rejected_datagrams += self.succession.packet(now, who, fresh, insert);
    }

    /// Lets another stream take the current one's place, when that has ended.
    fn replace(&mut self) {
        let (now, latency) = (self.now, self.config.latency);
        let Self { current: Some(current), succession, peers, sources, .. } = self else { return };
        // Who speaks for the stream from where its packets come: others might say so.
        let lives = |window| {
            let names = |peer: &Peer| {
                peer.named.is_some_and(|(ssrc, at)| ssrc == current.ssrc() && now < at + window)
            };
            peers.confirmed().any(|peer| names(peer) && sources.iter().any(|source| peer.is_at(source)))
        };
        if let Some(mut next) = succession.next(now, current, latency, sources, lives) {
            next.follow(current);
            self.lost_before += current.lost();
            self.stats.rejected_datagrams += current.held();
            self.current = Some(next);
            self.sources.clear();
            self.repairs.clear();
            self.peers.doubt_all();
            self.stats.restarts += 1;
        } else {
            self.stats.rejected_datagrams += self.succession.refuse(now);
        }
    }

    fn rtcp(&mut self, link: usize, from: SocketAddr, data: &[u8]) -> Result<(), DecodeError> {
        if !self.peers.reads(self.now, link, from, data.len()) {
            self.stats.throttled_datagrams += 1;
            return Ok(());
        }
        let compound = Compound::parse(data)?;
        if let Some(path) = self.stats.paths.get_mut(link) {
            path.rtcp_packets += 1;
        }
        let stream = self.current.as_ref().map(Flow::ssrc);
        let known = self.hears(link, from.ip());
        let (now, ssrc) = (self.now, self.ssrc);
        let group = self.config.groups.get(link).copied().flatten();
        // In a group, other members speak as well.
        if group.is_some() && !stream.is_some_and(|stream| known && is_of_sender(data, stream)) {
            return Ok(());
        }
        if let Some(group) = group {
            self.peers.hear_group(now, link, group);
        }
        let belongs = known || stream.is_some_and(|stream| is_of_sender(data, stream));
        let Some(peer) = self.peers.hear(now, link, from, belongs) else {
            self.stats.crowded_datagrams += 1;
            return Ok(());
        };
        peer.confirmed |= known;
        let mut answered = None;
        for packet in compound {
            match packet? {
                rtcp::Packet::SenderReport { ssrc, ntp, .. } => {
                    peer.confirmed |= stream.is_some_and(|stream| rtp::stream(ssrc) == stream);
                    peer.report = Some(((ntp >> 16) as u32, now));
                    peer.named = Some((rtp::stream(ssrc), now));
                }
                rtcp::Packet::ReceiverReport { ssrc, .. } => peer.named = Some((rtp::stream(ssrc), now)),
                rtcp::Packet::EchoRequest { timestamp, padding, .. } if peer.may_answer(now) => {
                    let writer = &mut self.writer;
                    writer.receiver_report(ssrc, None);
                    writer.source_description(ssrc, &self.config.cname);
                    writer.echo_response(ssrc, timestamp, 0, padding);
                    // In a group too: librist (0.2.7) takes what others answer for an answer to itself.
                    let told = self.outbox.tell(peer, writer.finish());
                    self.stats.throttled_echoes += u64::from(!told);
                }
                rtcp::Packet::EchoRequest { .. } => self.stats.throttled_echoes += 1,
                // What arrives at one of many is not told: a sender could not take it for all.
                rtcp::Packet::Capabilities { capabilities, .. } if group.is_none() => {
                    peer.takes_feedback = capabilities & TAKES_FEEDBACK != 0;
                    peer.rests = capabilities & RESTS != 0;
                    peer.takes_picture_loss = capabilities & TAKES_PICTURE_LOSS != 0;
                }
                rtcp::Packet::EchoResponse { timestamp, processing_us, .. } if group.is_none() => {
                    peer.answer(now, timestamp, processing_us);
                }
                rtcp::Packet::EchoResponse { timestamp, processing_us, .. } => {
                    answered = Some((timestamp, processing_us));
                }
                _ => {}
            }
        }
        self.stats.unproven_datagrams += u64::from(!peer.confirmed);
        let report = peer.report;
        if group.is_some() {
            self.peers.report_to_group(link, report);
        }
        if let Some((timestamp, processing_us)) = answered {
            self.peers.answer_in_group(now, link, timestamp, processing_us);
        }
        Ok(())
    }

    /// Asks for what is missing, on every path; on a few, when there is little room and feedback tells of it as well.
    fn request(&mut self) {
        let now = self.now;
        let pace = self.pace();
        let Some(flow) = &mut self.current else { return };
        let due = flow.request_due().is_some_and(|due| due <= now);
        if !due || now < self.next_request || self.peers.told(now).next().is_none() {
            return;
        }
        self.next_request = now + REQUEST_TICK;
        let few = self.outbox.share.is_scarce();
        let mut asking = std::mem::take(&mut self.asking);
        asking.requests.clear();
        let (count, urgent) =
            flow.requests(now, pace, MAX_ENTRIES * MAX_REQUEST_DATAGRAMS, &mut asking.requests);
        self.stats.requested_packets += count as u64;
        let (media, long) = (flow.ssrc(), flow.is_long());
        asking.written.take(&asking.requests, long);
        // One path is not enough for a request that may be the last one.
        let copies = if urgent && self.peers.asked(now, few).count() == 1 { 2 } else { 1 };
        let paths = Paths { few, copies };
        for (upper, losses) in asking.written.halves() {
            self.ask(media, long.then_some(upper), losses, paths, &mut asking.masks);
        }
        self.asking = asking;
    }

    /// Asks for a keyframe that is wanted, on every path of a sender that takes it: one that is lost is not repeated.
    fn request_keyframe(&mut self) {
        let Some(media) = self.current.as_ref().map(Flow::ssrc) else { return };
        if !self.keyframe.take(self.now) {
            return;
        }
        for peer in self.peers.told(self.now).filter(|peer| peer.takes_picture_loss) {
            let writer = &mut self.writer;
            writer.receiver_report(self.ssrc, None);
            writer.source_description(self.ssrc, &self.config.cname);
            writer.picture_loss(self.ssrc, media);
            self.outbox.tell(peer, writer.finish());
        }
    }

    /// Asks for packets, whose numbers have this upper half if they have one.
    fn ask(
        &mut self,
        media: u32,
        upper: Option<u16>,
        losses: &[Loss],
        paths: Paths,
        masks: &mut Vec<(u16, u16)>,
    ) {
        let ssrc = self.ssrc;
        match self.nack_form(losses) {
            NackForm::Auto | NackForm::Range => {
                for losses in losses.chunks(MAX_ENTRIES) {
                    self.tell_asked(media, upper, paths, |writer| writer.range_nack(media, losses));
                }
            }
            NackForm::Bitmask => {
                missing::bitmasks(losses, MAX_ENTRIES * MAX_REQUEST_DATAGRAMS, masks);
                for masks in masks.chunks(MAX_ENTRIES) {
                    self.tell_asked(media, upper, paths, |writer| writer.bitmask_nack(ssrc, media, masks));
                }
            }
        }
    }

    /// Sends a request.
    fn tell_asked(&mut self, media: u32, upper: Option<u16>, paths: Paths, write: impl Fn(&mut Writer)) {
        self.writer.receiver_report(self.ssrc, None);
        self.writer.source_description(self.ssrc, &self.config.cname);
        if let Some(upper) = upper {
            self.writer.extended_sequence(media, upper);
        }
        write(&mut self.writer);
        let datagram = self.writer.finish();
        for _ in 0..paths.copies {
            for peer in self.peers.asked(self.now, paths.few) {
                self.outbox.tell(peer, datagram.clone());
            }
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
