//! What is under way on one link, and what a receiver's word of its arrivals tells of it.
//!
//! A link keeps the order of packets: one that did not arrive though a later one did is lost, unless the link is
//! known to reorder; then it is given as long as that took before.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use crate::rist::Received;

/// Packets remembered; 1 s of 100 Mbit/s.
const MAX_PACKETS: usize = 10_000;
/// Time that a packet which others passed is given at first: the grain of arrival times is 1 ms, of reports 25.
const FIRST_REORDER: Duration = Duration::from_millis(5);
/// The most that is given: beyond it, a repeated packet comes sooner.
const MOST_REORDER: Duration = Duration::from_millis(100);
/// A lost packet is remembered so long: if it comes after all, the link reorders.
const REMEMBER: Duration = Duration::from_secs(3);

/// Grain of arrival times (RFC 8888: 1/1024 s).
const GRAIN: Duration = Duration::from_millis(1);
/// Arrivals of repeated packets remembered: an arrival is told of for about 100 ms.
const MAX_REPEATS: usize = 256;

/// Packets of one link, in the order they were sent.
#[derive(Debug)]
pub(super) struct Flight {
    epoch: Instant,
    sent: VecDeque<Sent>,
    bytes: u64,
    /// Where the search for the next arrival starts.
    cursor: usize,
    /// Nothing is known of packets from here on.
    frontier: usize,
    /// Arrivals of repeated packets that were told of lately.
    repeats: VecDeque<(u64, Duration)>,
    /// The newest arrival by the receiver's clock.
    last_arrival: Option<Duration>,
    reorder: Duration,
}

/// A packet handed to the link.
#[derive(Debug, Clone, Copy)]
pub(super) struct Sent {
    pub(super) number: u64,
    pub(super) repeat: bool,
    pub(super) at: Instant,
    /// With the headers of the layers below.
    pub(super) bytes: u32,
    /// Queue that was expected before it.
    pub(super) queued: Duration,
    /// Nothing else was under way.
    alone: bool,
    /// Other links carry it too.
    shared: bool,
    fate: Fate,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    UnderWay,
    /// A later one arrived, as became known then.
    Passed(Instant),
    Arrived,
    Lost(Instant),
    /// No longer waited for, as the link is dead.
    Abandoned,
}

impl Fate {
    fn is_open(self) -> bool {
        matches!(self, Self::UnderWay | Self::Passed(_))
    }
}

/// The newest packet known to have arrived that was not repeated.
#[derive(Debug, Clone, Copy)]
pub(super) struct Proof {
    pub(super) sent_at: Instant,
    /// By the receiver's clock.
    pub(super) arrived: Duration,
    /// Arrival by the receiver's clock less sending by ours, µs.
    pub(super) transit: i64,
    pub(super) rtt: Duration,
    /// Nothing else was under way, so that it met no queue of ours.
    pub(super) alone: bool,
}

/// What a report told that was not known.
#[derive(Debug, Default)]
pub(super) struct Digest {
    pub(super) newest: Option<Proof>,
    /// When the newest of all was sent, repeated ones included.
    pub(super) proven: Option<Instant>,
    /// Time from the newest arrival before to the newest one now, and what arrived.
    pub(super) span: Duration,
    pub(super) bytes: u64,
}

impl Flight {
    pub(super) fn new(now: Instant) -> Self {
        Self {
            epoch: now,
            sent: VecDeque::new(),
            bytes: 0,
            cursor: 0,
            frontier: 0,
            repeats: VecDeque::new(),
            last_arrival: None,
            reorder: FIRST_REORDER,
        }
    }

    /// Bytes whose fate is open.
    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }

    pub(super) fn push(&mut self, number: u64, repeat: bool, at: Instant, bytes: u32, queued: Duration) {
        if self.sent.len() == MAX_PACKETS {
            self.pop();
        }
        let alone = self.bytes == 0;
        self.bytes += u64::from(bytes);
        self.sent.push_back(Sent {
            number,
            repeat,
            at,
            bytes,
            queued,
            alone,
            shared: false,
            fate: Fate::UnderWay,
        });
    }

    /// What was sent last is sent on other links too.
    pub(super) fn share_last(&mut self) {
        if let Some(sent) = self.sent.back_mut() {
            sent.shared = true;
        }
    }

    fn pop(&mut self) {
        if let Some(sent) = self.sent.pop_front() {
            if sent.fate.is_open() {
                self.bytes -= u64::from(sent.bytes);
            }
            self.cursor = self.cursor.saturating_sub(1);
            self.frontier = self.frontier.saturating_sub(1);
        }
    }

    /// What was sent until `until` had the time to arrive, as the peer's answer shows: bytes of that. For a peer
    /// that tells no more.
    pub(super) fn land(&mut self, until: Instant) -> u64 {
        let before = self.bytes;
        while self.sent.front().is_some_and(|sent| sent.at <= until) {
            self.pop();
        }
        before - self.bytes
    }

    /// The same for a peer that tells what arrived: what it does not name was passed.
    pub(super) fn pass(&mut self, now: Instant, until: Instant) {
        let count = self.sent.iter().skip(self.frontier).take_while(|sent| sent.at < until).count();
        self.pass_before(now, self.frontier + count);
    }

    fn pass_before(&mut self, now: Instant, end: usize) {
        for sent in
            self.sent.range_mut(self.frontier.min(end)..end).filter(|sent| sent.fate == Fate::UnderWay)
        {
            sent.fate = Fate::Passed(now);
        }
        self.frontier = self.frontier.max(end);
    }

    /// Takes a receiver's word of what arrived.
    pub(super) fn digest(&mut self, now: Instant, received: &[Received], relayed: bool) -> Digest {
        let mut digest = Digest::default();
        let (mut newest, mut last) = (None, 0);
        let before = self.last_arrival;
        if before.is_none() {
            self.start(received);
        }
        for packet in received {
            if packet.repeat && (relayed || self.is_known(packet)) {
                continue;
            }
            let Some(index) = self.find(packet) else { continue };
            let sent = &mut self.sent[index];
            if relayed && sent.shared {
                continue;
            }
            match sent.fate {
                Fate::Arrived => continue,
                Fate::UnderWay => self.bytes -= u64::from(sent.bytes),
                Fate::Passed(at) => {
                    self.bytes -= u64::from(sent.bytes);
                    self.reorder = self.reorder.max(now.saturating_duration_since(at));
                }
                Fate::Abandoned => {}
                Fate::Lost(at) => {
                    self.reorder = self.reorder.max(now.saturating_duration_since(at)).min(MOST_REORDER);
                }
            }
            sent.fate = Fate::Arrived;
            digest.proven = digest.proven.max(Some(sent.at));
            digest.bytes += u64::from(sent.bytes);
            last = last.max(index + 1);
            // It may have been sent again and again: which one came, and so how long it took, is not known.
            if sent.repeat {
                continue;
            }
            self.last_arrival = self.last_arrival.max(Some(packet.at));
            if newest.is_none_or(|(newest, _)| index > newest) {
                newest = Some((index, packet));
            }
        }
        if let (Some(before), Some(last)) = (before, self.last_arrival) {
            digest.span = last.saturating_sub(before);
        }
        if let Some((index, packet)) = newest {
            digest.newest = Some(self.prove(now, index, packet));
        }
        self.pass_before(now, last);
        self.forget(now);
        self.advance();
        digest
    }

    /// What was sent before the first packet that is told of was not told of: its fate is not known.
    fn start(&mut self, received: &[Received]) {
        let originals = received.iter().filter(|packet| !packet.repeat);
        if let Some(first) = originals.filter_map(|packet| self.find(packet)).min() {
            for _ in 0..first {
                self.pop();
            }
        }
    }

    fn prove(&self, now: Instant, index: usize, packet: &Received) -> Proof {
        let sent = &self.sent[index];
        let left = sent.at.saturating_duration_since(self.epoch);
        Proof {
            sent_at: sent.at,
            arrived: packet.at,
            transit: packet.at.as_micros() as i64 - left.as_micros() as i64,
            rtt: now.saturating_duration_since(sent.at).saturating_sub(packet.held),
            alone: sent.alone,
        }
    }

    /// The receiver's clock is another one, by which the newest packet arrived at `arrived`.
    pub(super) fn other_clock(&mut self, arrived: Duration) {
        self.last_arrival = Some(arrived);
    }

    /// Whether this arrival of a repeated packet was told of before. The same time is told with different roundings.
    fn is_known(&mut self, packet: &Received) -> bool {
        let same =
            |&(number, at): &(u64, Duration)| number == packet.number && at.abs_diff(packet.at) < GRAIN * 2;
        if self.repeats.iter().any(same) {
            return true;
        }
        if self.repeats.len() == MAX_REPEATS {
            self.repeats.pop_front();
        }
        self.repeats.push_back((packet.number, packet.at));
        false
    }

    /// Packets arrive mostly in the order they were sent: the search goes on where it ended. Of repeated ones with the
    /// same number the first that is waited for is taken.
    fn find(&mut self, packet: &Received) -> Option<usize> {
        if packet.repeat {
            return self
                .sent
                .iter()
                .position(|sent| sent.repeat && sent.number == packet.number && sent.fate != Fate::Arrived);
        }
        let is = |sent: &Sent| sent.number == packet.number && sent.repeat == packet.repeat;
        let start = self.cursor.min(self.sent.len());
        let mut indices = (start..self.sent.len()).chain((0..start).rev());
        let index = indices.find(|&index| is(&self.sent[index]))?;
        self.cursor = index + 1;
        Some(index)
    }

    fn forget(&mut self, now: Instant) {
        while let Some(front) = self.sent.front() {
            let done = match front.fate {
                Fate::Arrived => true,
                Fate::Lost(_) | Fate::Abandoned => now >= front.at + REMEMBER,
                _ => false,
            };
            if !done {
                return;
            }
            self.pop();
        }
    }

    /// Packets that were passed long enough ago to be lost: puts them into `lost`.
    pub(super) fn lose(&mut self, now: Instant, lost: &mut Vec<(u64, Instant)>) {
        for sent in &mut self.sent {
            if let Fate::Passed(at) = sent.fate
                && now >= at + self.reorder.mul_f64(1.25).min(MOST_REORDER)
            {
                sent.fate = Fate::Lost(at);
                self.bytes -= u64::from(sent.bytes);
                lost.push((sent.number, sent.at));
            }
        }
        self.forget(now);
        self.advance();
    }

    fn advance(&mut self) {
        while self.sent.get(self.frontier).is_some_and(|sent| sent.fate != Fate::UnderWay) {
            self.frontier += 1;
        }
    }

    /// Waits for nothing any more.
    pub(super) fn abandon(&mut self) {
        for sent in self.sent.iter_mut().filter(|sent| sent.fate.is_open()) {
            sent.fate = Fate::Abandoned;
        }
        (self.bytes, self.frontier) = (0, self.sent.len());
    }

    /// The oldest packet of which nothing is known, nor of any after it.
    pub(super) fn oldest(&self) -> Option<Sent> {
        self.sent.get(self.frontier).copied()
    }

    /// When a link that was busy until `busy`, at `bps`, has sent what came after `since`.
    pub(super) fn replay(&self, since: Instant, busy: Instant, bps: f64) -> Instant {
        let after = self.sent.iter().rev().take_while(|sent| sent.at > since);
        let (mut first, mut bytes) = (None, 0);
        for sent in after {
            first = Some(sent.at);
            bytes += u64::from(sent.bytes);
        }
        let start = first.map_or(busy, |first| busy.max(first));
        start + Duration::from_secs_f64(bytes as f64 * 8.0 / bps)
    }
}
