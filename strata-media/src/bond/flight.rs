//! What is under way on one link, and what a receiver's word of its arrivals tells of it.
//!
//! A link keeps the order of packets: one that did not arrive though a later one did is lost, unless the link is
//! known to reorder; then it is given as long as that took before.

use std::collections::hash_map::Entry;
use std::collections::{HashMap, VecDeque};
use std::hash::{BuildHasherDefault, DefaultHasher};
use std::num::NonZeroU32;
use std::time::{Duration, Instant};

use super::reorder::Reorder;
use crate::rist::{Received, history};

/// Packets remembered when the oldest has arrived or is lost: 1 s of 100 Mbit/s.
const REMEMBERED: usize = 10_000;
/// Packets remembered, whatever became of them: as many as are kept to be repeated. What is under way beyond that, 1.7 s of
/// 800 Mbit/s, could not be made up for.
const MAX_PACKETS: usize = history::MAX_PACKETS;
/// A lost packet is remembered so long: if it comes after all, the link reorders.
const REMEMBER: Duration = Duration::from_secs(3);

/// Grain of arrival times (RFC 8888: 1/1024 s).
const GRAIN: Duration = Duration::from_millis(1);
/// A delay that grows by so many times the time between two packets does not do so for what others send meanwhile: that
/// would be more than so many times what the link carries.
const AT_ONCE: u32 = 4;
/// Arrivals of repeated packets remembered: an arrival is told of for about 100 ms.
const MAX_REPEATS: usize = 256;

/// Packets of one link, in the order they were sent.
#[derive(Debug)]
pub(super) struct Flight {
    epoch: Instant,
    sent: VecDeque<Sent>,
    /// By number, and whether repeated, the last place in `sent`, counted from the first packet ever sent. What a peer names
    /// is found by it, or not, at the same cost. The numbers are ours: nobody chooses what is put in.
    places: HashMap<(u64, bool), u64, BuildHasherDefault<DefaultHasher>>,
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
    /// When the newest original that arrived was sent, and arrived.
    newest: Option<(Instant, Duration)>,
    reorder: Reorder,
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
    /// How far before it the same was sent, if it was.
    twin: Option<NonZeroU32>,
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
    /// By how much the delay grew at most from one packet to the next.
    pub(super) jump: Duration,
}

impl Flight {
    pub(super) fn new(now: Instant) -> Self {
        Self {
            epoch: now,
            sent: VecDeque::new(),
            places: HashMap::default(),
            popped: 0,
            bytes: 0,
            frontier: 0,
            repeats: VecDeque::new(),
            last_arrival: None,
            unmeasured: 0,
            newest: None,
            reorder: Reorder::new(now),
        }
    }

    /// Bytes whose fate is open.
    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// The same of what was sent until then.
    pub(super) fn bytes_until(&self, until: Instant) -> u64 {
        let sent = self.sent.iter().take_while(|sent| sent.at <= until);
        sent.filter(|sent| sent.fate.is_open()).map(|sent| u64::from(sent.bytes)).sum()
    }

    pub(super) fn push(&mut self, number: u64, repeat: bool, at: Instant, bytes: u32, queued: Duration) {
        let settled = |sent: &Sent| !sent.fate.is_open();
        while self.sent.len() == MAX_PACKETS
            || self.sent.len() >= REMEMBERED && self.sent.front().is_some_and(settled)
        {
            self.pop();
        }
        let alone = self.bytes == 0;
        let place = self.popped + self.sent.len() as u64;
        let before = self.places.insert((number, repeat), place);
        let twin = before.and_then(|before| NonZeroU32::new((place - before) as u32));
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
            twin,
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
        let last = self.indices(number, false).next();
        if let Some(index) = last {
            self.sent[index].copied = true;
        }
    }

    /// When a packet was sent whose fate is open.
    pub(super) fn open(&self, number: u64) -> Option<Instant> {
        let sent = [false, true].into_iter().flat_map(|repeat| self.indices(number, repeat));
        let sent = sent.map(|index| &self.sent[index]);
        sent.filter(|sent| sent.fate.is_open()).map(|sent| sent.at).max()
    }

    /// Where it is in `sent`, the last one first.
    fn indices(&self, number: u64, repeat: bool) -> impl Iterator<Item = usize> {
        let last = self.places.get(&(number, repeat)).map(|place| (place - self.popped) as usize);
        std::iter::successors(last, |&index| {
            // One that was sent before it may be gone.
            self.sent[index].twin.and_then(|twin| index.checked_sub(twin.get() as usize))
        })
    }

    fn pop(&mut self) {
        if let Some(sent) = self.sent.pop_front() {
            if sent.fate.is_open() {
                self.bytes -= u64::from(sent.bytes);
            }
            // It may have been sent again since.
            if let Entry::Occupied(last) = self.places.entry((sent.number, sent.repeat))
                && *last.get() == self.popped
            {
                last.remove();
            }
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
                    self.reorder.observe(now, now.saturating_duration_since(at));
                }
                Fate::Abandoned => {}
                Fate::Lost(at) => self.reorder.observe(now, now.saturating_duration_since(at)),
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
            let here = (sent.at, packet.at);
            match self.newest {
                Some((at, _)) if at > here.0 => {}
                before => {
                    digest.jump =
                        digest.jump.max(before.map_or(Duration::ZERO, |before| grown(before, here)));
                    self.newest = Some(here);
                }
            }
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
        self.newest = None;
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
        let waited = |&index: &usize| !repeat || self.sent[index].fate != Fate::Arrived;
        self.indices(number, repeat).filter(waited).last()
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
        let allowance = self.reorder.allowance(now);
        for sent in &mut self.sent {
            if let Fate::Passed(at) = sent.fate
                && now >= at + allowance
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

    /// Numbers of packets that are not known to have arrived, nor to be lost: whether they are waited for or not.
    pub(super) fn unproven(&self) -> impl Iterator<Item = u64> {
        let unproven = |sent: &&Sent| sent.fate.is_open() || sent.fate == Fate::Abandoned;
        self.sent.iter().filter(unproven).map(|sent| sent.number)
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

/// How much longer than the one before it a packet took, if it was sent so soon after that no others can have filled a
/// queue meanwhile.
fn grown(before: (Instant, Duration), packet: (Instant, Duration)) -> Duration {
    let sent = packet.0.saturating_duration_since(before.0);
    let grown = packet.1.saturating_sub(before.1).saturating_sub(sent);
    if grown > sent * AT_ONCE { grown } else { Duration::ZERO }
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

    /// Sends a packet a millisecond; each arrives, but for those `missing`, of which `late` come by so much after
    /// that is known. How long each of the others is waited for until it is lost.
    fn waits(missing: &[u64], late: &[(u64, u64)], count: u64) -> Vec<(u64, Duration)> {
        let start = Instant::now();
        let at = |number: u64| start + MS * number as u32;
        let mut flight = Flight::new(start);
        let (mut lost, mut waits) = (Vec::new(), Vec::new());
        for number in 0..count {
            let now = at(number);
            flight.push(number, false, now, 1344, Duration::ZERO);
            let come = late.iter().filter(|(of, by)| of + 1 + by == number).map(|&(of, _)| of);
            let here = come.chain((!missing.contains(&number)).then_some(number));
            let here: Vec<_> = here.map(|number| received(number, false)).collect();
            flight.digest(now, &here, false);
            flight.lose(now, &mut lost);
            waits.extend(lost.drain(..).map(|(number, sent)| (number, now - sent)));
        }
        waits
    }

    /// One that came 60 ms late lets those after it be waited for longer, and after some time no longer.
    #[test]
    fn a_packet_that_was_late_is_forgotten() {
        let window = super::super::reorder::WINDOW.as_millis() as u64;
        let missing = [500, 1000, 2000, 2000 + window * 3];
        let waits = waits(&missing, &[(1000, 60)], 3000 + window * 3);
        let of = |number: u64| waits.iter().find(|(of, _)| *of == number).map(|&(_, wait)| wait.as_millis());
        // 5 ms and a quarter at first, as is seen a millisecond after it was passed.
        assert_eq!(missing.map(of), [Some(8), Some(8), Some(76), Some(8)]);
    }

    /// 800 Mbit/s for 250 ms, until it is told what arrived: one in a hundred did not. Each is known to be lost, and none is
    /// under way that is not.
    #[test]
    fn what_is_under_way_for_long_is_not_lost_sight_of() {
        let start = Instant::now();
        let mut flight = Flight::new(start);
        let (count, round) = (19_000, MS * 250);
        let at = |number: u64| start + round * number as u32 / count as u32;
        for number in 0..count {
            flight.push(number, false, at(number), 1344, Duration::ZERO);
        }
        assert_eq!(flight.bytes(), count * 1344);
        let arrived: Vec<_> =
            (0..count).filter(|number| number % 100 != 50).map(|n| received(n, false)).collect();
        flight.digest(start + round, &arrived, false);
        let mut lost = Vec::new();
        flight.lose(start + round * 2, &mut lost);
        assert_eq!((lost.len() as u64, flight.bytes()), (count / 100, 0));
        // What is lost gives way to what is not.
        for number in count..count * 2 {
            flight.push(number, false, start + round * 2, 1344, Duration::ZERO);
        }
        assert_eq!((flight.sent.len() as u64, flight.bytes()), (count, count * 1344));
    }
}
