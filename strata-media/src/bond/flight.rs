//! What is under way on one link, and what a receiver's word of its arrivals tells of it.
//!
//! A link keeps the order of packets: one that did not arrive though a later one did is lost, unless the link is
//! known to reorder; then it is given as long as that took before.

use std::collections::{BTreeSet, VecDeque};
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
    /// Number, whether repeated, and place in `sent` counted from the first packet ever sent. What a peer names is found
    /// by it, or not, at the same cost.
    places: BTreeSet<(u64, bool, u64)>,
    /// Packets that are no longer in `sent`.
    popped: u64,
    bytes: u64,
    /// Nothing is known of packets from here on.
    frontier: usize,
    /// Arrivals of repeated packets that were told of lately.
    repeats: VecDeque<(u64, Duration)>,
    /// The newest arrival by the receiver's clock.
    last_arrival: Option<Duration>,
    /// Bytes that arrived after that, as far as is known.
    unmeasured: u64,
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
    /// Other links carry it too: now and then one does, to be known.
    shared: bool,
    /// The same, as many do: what a relayed word leaves open must not be guessed.
    copied: bool,
    /// It arrived by this link or by another that carries it.
    told: bool,
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
    /// What arrived.
    pub(super) bytes: u64,
    /// Time from the newest arrival before to the newest one now, and what arrived meanwhile; nothing while that is not
    /// known.
    pub(super) span: Duration,
    pub(super) carried: u64,
}

impl Flight {
    pub(super) fn new(now: Instant) -> Self {
        Self {
            epoch: now,
            sent: VecDeque::new(),
            places: BTreeSet::new(),
            popped: 0,
            bytes: 0,
            frontier: 0,
            repeats: VecDeque::new(),
            last_arrival: None,
            unmeasured: 0,
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
        self.places.insert((number, repeat, self.popped + self.sent.len() as u64));
        self.bytes += u64::from(bytes);
        self.sent.push_back(Sent {
            number,
            repeat,
            at,
            bytes,
            queued,
            alone,
            shared: false,
            copied: false,
            told: false,
            fate: Fate::UnderWay,
        });
    }

    /// What was sent last is sent on other links too.
    pub(super) fn share_last(&mut self) {
        if let Some(sent) = self.sent.back_mut() {
            sent.shared = true;
        }
    }

    /// What was sent as `number` for the first time is copied to other links.
    pub(super) fn copy(&mut self, number: u64) {
        let places = self.places.range((number, false, 0)..=(number, false, u64::MAX));
        if let Some(&(.., place)) = places.last() {
            self.sent[(place - self.popped) as usize].copied = true;
        }
    }

    /// When a packet was sent whose fate is open.
    pub(super) fn open(&self, number: u64) -> Option<Instant> {
        let places = self.places.range((number, false, 0)..=(number, true, u64::MAX));
        let sent = places.map(|&(.., place)| &self.sent[(place - self.popped) as usize]);
        sent.filter(|sent| sent.fate.is_open()).map(|sent| sent.at).max()
    }

    fn pop(&mut self) {
        if let Some(sent) = self.sent.pop_front() {
            if sent.fate.is_open() {
                self.bytes -= u64::from(sent.bytes);
            }
            self.places.remove(&(sent.number, sent.repeat, self.popped));
            self.popped += 1;
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
        self.pass_before(now, self.frontier + count, false);
    }

    /// What arrived by some link may yet turn out to have arrived by this one, when the link's own word comes.
    fn pass_before(&mut self, now: Instant, end: usize, relayed: bool) {
        for sent in self.sent.range_mut(self.frontier.min(end)..end) {
            if sent.fate == Fate::UnderWay && !(relayed && sent.told) {
                sent.fate = Fate::Passed(now);
            }
        }
        self.advance();
    }

    /// Takes a receiver's word of what arrived.
    pub(super) fn digest(&mut self, now: Instant, received: &[Received], relayed: bool) -> Digest {
        let mut digest = Digest::default();
        let (mut newest, mut last) = (None, 0);
        let mut latest = self.last_arrival;
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
            if relayed && (sent.shared || sent.copied) {
                sent.told = sent.copied;
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
            latest = latest.max(Some(packet.at));
            if newest.is_none_or(|(newest, _)| index > newest) {
                newest = Some((index, packet));
            }
        }
        self.unmeasured += digest.bytes;
        // What arrived meanwhile is not all known while the fate of copies is open: it is measured when it is.
        let open = |sent: &Sent| sent.copied && sent.fate == Fate::UnderWay;
        if !(relayed && self.sent.range(self.frontier.min(last)..last).any(open)) {
            self.last_arrival = latest;
            digest.carried = std::mem::take(&mut self.unmeasured);
            if let (Some(before), Some(last)) = (before, latest) {
                digest.span = last.saturating_sub(before);
            }
        }
        if let Some((index, packet)) = newest {
            digest.newest = Some(self.prove(now, index, packet));
        }
        self.pass_before(now, last, relayed);
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

    /// Of repeated ones with the same number the first that is waited for is taken.
    fn find(&self, packet: &Received) -> Option<usize> {
        let (number, repeat) = (packet.number, packet.repeat);
        let places = self.places.range((number, repeat, 0)..=(number, repeat, u64::MAX));
        let mut indices = places.map(|&(.., place)| (place - self.popped) as usize);
        indices.find(|&index| !repeat || self.sent[index].fate != Fate::Arrived)
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

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "any instant will do")]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    fn received(number: u64, repeat: bool) -> Received {
        Received { number, repeat, at: MS * number as u32, held: MS }
    }

    /// A full link, of which a forged report tells what was never sent on it, over and over.
    #[test]
    fn what_was_never_sent_costs_little_to_look_for() {
        let now = Instant::now();
        let mut flight = Flight::new(now);
        for number in 0..MAX_PACKETS as u64 + 500 {
            flight.push(number * 2, false, now + MS * number as u32, 1344, Duration::ZERO);
        }
        assert_eq!(flight.places.len(), MAX_PACKETS);
        let forged: Vec<_> = (0..2000).map(|i| received(i * 2 + 1, i % 2 == 0)).collect();
        for _ in 0..1000 {
            assert!(flight.digest(now, &forged, true).proven.is_none());
        }
        assert_eq!(flight.bytes(), MAX_PACKETS as u64 * 1344);
    }

    #[test]
    fn packets_are_found_by_number_and_copies_in_their_order() {
        let now = Instant::now();
        let mut flight = Flight::new(now);
        for (number, repeat) in [(7, false), (8, false), (7, true), (9, false), (7, true)] {
            flight.push(number, repeat, now, 100, Duration::ZERO);
        }
        assert_eq!(flight.find(&received(9, false)), Some(3));
        assert_eq!(flight.find(&received(9, true)), None);
        // Twice the same copy is one.
        flight.digest(now, &[received(7, false), received(7, true)], false);
        assert_eq!(flight.find(&received(7, true)), Some(3));
        flight.digest(now, &[Received { at: MS * 70, ..received(7, true) }], false);
        assert_eq!((flight.find(&received(7, true)), flight.bytes()), (None, 200));
    }
}
