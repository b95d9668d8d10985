//! Repair packets of a bond ([`crate::fec`]): whether there are any, when they go, and by which link.

use std::collections::VecDeque;
use std::ops::Range;
use std::time::{Duration, Instant};

use bytes::Bytes;

use super::super::Cost;
use super::super::params::Fec;
use super::super::scheduler::candidates;
use super::Sender;
use crate::fec::{Block, Encoder, Losses, MAX_SOURCES, Rate};
use crate::rist::sender::REPAIRS;

/// How often losses are looked at.
const LOOK: Duration = Duration::from_millis(100);
/// From so much on there are repair packets, and until less than a fifth of it is left: one in two thousand.
const LEAST_SHARE: f64 = 5e-4;
const LEAST_SHARE_STILL: f64 = 1e-4;
/// It may take so long until a packet is known to be lost, beside the round trip.
const KNOWN: Duration = Duration::from_millis(150);
/// Parts of the latency, less [`MARGIN`]: time of a block, and over which its repair packets are sent, so that a burst that hits
/// its end does not hit all of them. What is left is for queues and jitter.
const SPAN: f64 = 0.5;
const SPREAD: f64 = 0.3;
const MARGIN: Duration = Duration::from_millis(10);
/// With less, a block is hardly more than a packet.
const LEAST_SPAN: Duration = Duration::from_millis(10);
/// Repair packets that wait; the oldest gives way.
const MAX_WAITING: usize = 256;
/// Repair packets go by a link only while it has less than that ahead, so that fresh packets hardly wait for them, and is given
/// less than this share of what it carries.
const AHEAD: Duration = Duration::from_millis(10);
const BUSY: f64 = 0.9;
/// The same for one that no queue has confirmed, which is tried out.
const AHEAD_UNCONFIRMED: Duration = Duration::from_millis(20);
const BUSY_UNCONFIRMED: f64 = 1.5;
/// Blocks remembered, whose losses repair packets may make up for.
const MAX_BLOCKS: usize = 64;
/// Bytes of a block that may be saved up for its repair packets.
const SAVED: f64 = (2 * MAX_SOURCES * 1500) as f64;

/// What is known of losses, and what waits to be sent.
#[derive(Debug, Default)]
pub(super) struct Repairs {
    encoder: Encoder,
    losses: Losses,
    /// How packets are lost that are to be repaired; `None` when there are no repair packets.
    rate: Option<Rate>,
    /// Whether there could be.
    taken: bool,
    next_look: Option<Instant>,
    waiting: VecDeque<Waiting>,
    /// Bytes that may be spent, by the largest ratio.
    budget: f64,
    blocks: VecDeque<Protected>,
    last_link: usize,
}

#[derive(Debug)]
struct Waiting {
    payload: Bytes,
    /// First number of its block.
    block: u64,
    due: Instant,
    /// When it should have arrived, and when it is too late for all of its block.
    wanted: Instant,
    until: Instant,
}

/// A block whose repair packets were made.
#[derive(Debug)]
struct Protected {
    first: u64,
    sources: u64,
    /// Numbers of its repair packets that were sent: they are sent one after the other.
    numbers: Range<u64>,
    /// Those of them that are known to be lost, or were under way on a link that is no more; a bit for each.
    gone: u64,
    /// Packets known to be lost.
    lost: u32,
}

impl Protected {
    /// How many repair packets were sent and may arrive.
    fn sent(&self) -> u32 {
        (self.numbers.end - self.numbers.start) as u32 - self.gone.count_ones()
    }
}

impl Repairs {
    /// Of packets whose null packets the links leave out, or not; repair packets have payloads of so many bytes at most.
    pub(super) fn new(nulls: bool, max_payload: usize) -> Self {
        Self { encoder: Encoder::new(nulls, max_payload), ..Self::default() }
    }

    fn block(&mut self, number: u64) -> Option<&mut Protected> {
        self.blocks.iter_mut().find(|block| (block.first..block.first + block.sources).contains(&number))
    }

    /// Whether its block's repair packets are expected to make up for a packet that [was seen to be lost](Sender::note_lost): no more
    /// than half of them are needed. Nothing makes up for what was not counted, nor where nothing was sent.
    pub(super) fn cover(&mut self, number: u64) -> bool {
        self.block(number)
            .is_some_and(|block| block.sent() > 0 && block.lost > 0 && block.lost * 2 <= block.sent())
    }

    /// A repair packet was lost, and makes up for nothing.
    pub(super) fn lost_repair(&mut self, number: u64) {
        if let Some(block) = self.blocks.iter_mut().find(|block| block.numbers.contains(&number)) {
            block.gone |= 1 << (number - block.numbers.start);
        }
    }

    pub(super) fn stop(&mut self) {
        self.rate = None;
        self.encoder.clear();
        self.blocks.clear();
        self.budget = 0.0;
    }
}

impl Sender {
    /// A packet was given to be sent.
    pub(super) fn protect(&mut self, number: u64) {
        if !self.repairs.taken {
            return;
        }
        self.repairs.losses.sent(self.now, number);
        if self.repairs.rate.is_none() {
            return;
        }
        self.close_due();
        if let Some((payload, timestamp)) = self.flow.source(number) {
            let ratio = self.scheduler.params().fec.max_ratio;
            self.repairs.budget = (self.repairs.budget + payload.len() as f64 * ratio).min(SAVED * ratio);
            self.repairs.encoder.push(self.now, number, timestamp, payload);
        }
    }

    /// A packet was lost on its way; told before it is sent again, if it is.
    pub(super) fn note_lost(&mut self, path: usize, number: u64, sent_at: Instant) {
        if !self.repairs.taken || !self.flow.is_lost(number, path, sent_at) {
            return;
        }
        if let Some(block) = self.repairs.block(number) {
            block.lost += 1;
        }
        // What is known so late was told of in reports that were lost, or by a link that was down, which no block gets over.
        let is_told = self.now <= sent_at + self.links[path].round() + KNOWN;
        let Some(created) = self.flow.created(number).filter(|_| is_told) else { return };
        if self.now + self.fastest() > created + self.config.latency + self.base() {
            self.repairs.losses.lost(number);
        }
    }

    /// What a link had under way is not waited for: its repair packets make up for nothing.
    pub(super) fn lose_repairs(&mut self, link: usize) {
        let numbers = self.links[link].unproven().filter(|&number| is_repair(number));
        numbers.for_each(|number| self.repairs.lost_repair(number));
    }

    /// Time until a packet sent now arrives by the fastest link.
    fn fastest(&self) -> Duration {
        let delays = candidates(&self.links).into_iter().map(|link| self.links[link].delay(self.now));
        delays.min().unwrap_or(self.config.latency)
    }

    /// The way of an undelayed packet.
    fn base(&self) -> Duration {
        let ways = candidates(&self.links).into_iter().map(|link| self.links[link].one_way());
        ways.min().unwrap_or_default()
    }

    /// Lets time pass.
    pub(super) fn tick_repairs(&mut self) {
        let now = self.now;
        self.close_due();
        if self.repairs.next_look.is_some_and(|at| now < at) {
            return;
        }
        self.repairs.next_look = Some(now + LOOK);
        let Fec { enabled, .. } = self.scheduler.params().fec;
        let span = self.span();
        self.repairs.taken = enabled
            && span >= LEAST_SPAN
            && (0..self.links.len())
                .any(|link| self.links[link].trusted() && self.flow.takes_repairs(now, link));
        if !self.repairs.taken {
            self.repairs.losses = Losses::default();
            self.repairs.waiting.clear();
            return self.repairs.stop();
        }
        let slowest = self.links.iter().filter(|link| link.trusted()).map(|link| link.round()).max();
        let rate = self.repairs.losses.rate(now, slowest.unwrap_or_default() + KNOWN);
        let least = if self.repairs.rate.is_some() { LEAST_SHARE_STILL } else { LEAST_SHARE };
        match rate.filter(|rate| rate.share >= least) {
            None => self.repairs.stop(),
            some => self.repairs.rate = some,
        }
    }

    /// Time of a block.
    fn span(&self) -> Duration {
        self.config.latency.saturating_sub(MARGIN).mul_f64(SPAN)
    }

    fn close_due(&mut self) {
        let Some(rate) = self.repairs.rate else { return };
        let (now, span) = (self.now, self.span());
        if !self.repairs.encoder.is_due(now, span) {
            return;
        }
        let sources = self.repairs.encoder.len();
        let mean = self.repairs.encoder.mean_len().max(1.0);
        let affordable = (self.repairs.budget / mean) as usize;
        let repairs = rate.repairs(sources).min(affordable);
        if let Some(block) = self.repairs.encoder.close(repairs) {
            self.queue(block, span);
        }
    }

    fn queue(&mut self, block: Block, span: Duration) {
        let Block { first, sources, started, repairs } = block;
        let latest = self.config.latency + self.base();
        let (spread, count) = (span.mul_f64(SPREAD / SPAN), repairs.len().max(1) as u32);
        let state = &mut self.repairs;
        for (index, payload) in repairs.into_iter().enumerate() {
            if state.waiting.len() == MAX_WAITING {
                state.waiting.pop_front();
            }
            state.budget -= payload.len() as f64;
            state.waiting.push_back(Waiting {
                payload,
                block: first,
                due: self.now + spread * index as u32 / count,
                wanted: started + latest,
                until: self.now + latest,
            });
        }
        if state.blocks.len() == MAX_BLOCKS {
            state.blocks.pop_front();
        }
        state.blocks.push_back(Protected { first, sources: sources as u64, numbers: 0..0, gone: 0, lost: 0 });
    }

    /// Whether a repair packet waits.
    pub(super) fn repairs_wait(&self) -> bool {
        self.repairs.waiting.front().is_some_and(|waiting| waiting.due <= self.now)
    }

    /// Sends repair packets that are due, as far as nothing else wants the links.
    pub(super) fn dispatch_repairs(&mut self) {
        while let Some(waiting) = self.repairs.waiting.front().filter(|waiting| waiting.due <= self.now) {
            let link = self.way_of(waiting);
            if link.is_none() && self.now + self.fastest() < waiting.until {
                return;
            }
            let Some(waiting) = self.repairs.waiting.pop_front() else { return };
            let Some(link) = link else { continue };
            let (number, media) = self.flow.repair(self.now, waiting.payload);
            if let Some(block) = self.repairs.block(waiting.block) {
                let first = if block.numbers.is_empty() { number } else { block.numbers.start };
                block.numbers = first..number + 1;
            }
            self.repairs.last_link = link;
            self.counts[link].repairs += 1;
            self.copies.spent(self.now, media.len());
            self.hand_over(number, link, false, media);
        }
    }

    /// The link by which a repair packet goes now, if there is room: another one than the last, the least loaded one, and one by
    /// which it comes in time for its whole block.
    fn way_of(&self, waiting: &Waiting) -> Option<usize> {
        let usable = candidates(&self.links);
        let alone = self.links.iter().filter(|link| link.available()).count() == 1;
        let roomy = |&index: &usize| {
            let link = &self.links[index];
            let found = link.capacity.is_found();
            let (busy, ahead) = if found { (BUSY, AHEAD) } else { (BUSY_UNCONFIRMED, AHEAD_UNCONFIRMED) };
            link.cost != Cost::Metered
                && self.flow.takes_repairs(self.now, index)
                && link.load(self.now) < busy
                && link.has_room(self.now, ahead, ahead, alone)
                && self.now + link.delay(self.now) < waiting.until
        };
        let order = |&index: &usize| {
            let link = &self.links[index];
            let late = self.now + link.delay(self.now) > waiting.wanted;
            let again = usable.len() > 1 && index == self.repairs.last_link;
            (link.cost != Cost::Free, late, again, (link.load(self.now) * 1e3) as u64)
        };
        usable.iter().copied().filter(roomy).min_by_key(order)
    }
}

/// Whether this is the number of a repair packet.
pub(super) fn is_repair(number: u64) -> bool {
    number >= REPAIRS
}

#[cfg(test)]
mod tests {
    use super::super::super::{BondConfig, BondLink};
    use super::super::Input;
    use super::*;

    /// A bond that has sent three of a block's repair packets by the first of two links, of which one is known to be lost, and a fourth
    /// by the other; it has lost two packets.
    fn protected() -> (Sender, Instant) {
        #[expect(clippy::disallowed_methods, reason = "any instant will do")]
        let now = Instant::now();
        let mut sender = Sender::new(now, BondConfig::new(vec![BondLink::default(); 2], 1));
        for (link, number) in [(0, REPAIRS), (0, REPAIRS + 1), (0, REPAIRS + 2), (1, REPAIRS + 3)] {
            sender.links[link].sent(now, number, false, 1316);
        }
        // Whether there are to be any is not asked.
        sender.repairs.next_look = Some(now + KNOWN * 100);
        let numbers = REPAIRS..REPAIRS + 4;
        sender.repairs.blocks.push_back(Protected { first: 7, sources: 40, numbers, gone: 0, lost: 2 });
        assert!(sender.repairs.cover(9));
        sender.links.iter_mut().for_each(|link| link.proof(now, now, LOOK));
        (sender, now)
    }

    #[test]
    fn what_a_link_had_under_way_makes_up_for_nothing() {
        for input in [Input::Remove { link: 0 }, Input::Readdress { link: 0 }] {
            let (mut sender, now) = protected();
            sender.repairs.lost_repair(REPAIRS);
            sender.repairs.lost_repair(REPAIRS);
            assert_eq!(sender.repairs.blocks[0].sent(), 3, "told twice, it counts once");
            sender.handle_input(now, input);
            assert_eq!(sender.repairs.blocks[0].sent(), 1);
            assert!(!sender.repairs.cover(9));
        }
    }

    #[test]
    fn nor_does_what_a_link_had_that_died() {
        let (mut sender, now) = protected();
        for ms in 1..1000 {
            let now = now + Duration::from_millis(ms);
            sender.links[1].proof(now, now - Duration::from_millis(1), Duration::from_millis(1));
            sender.handle_input(now, Input::Timeout);
        }
        assert!(!sender.links[0].trusted() && sender.links[1].trusted());
        assert_eq!(sender.repairs.blocks[0].sent(), 1);
    }

    /// It was told of in reports that were lost themselves, or by a link that stood still.
    #[test]
    fn what_is_known_to_be_lost_so_late_calls_for_no_repair_packets() {
        #[expect(clippy::disallowed_methods, reason = "any instant will do")]
        let start = Instant::now();
        for (beyond, counts) in [(Duration::ZERO, true), (Duration::from_millis(1), false)] {
            let mut config = BondConfig::new(vec![BondLink::default()], 1);
            // No time to send any of it again.
            config.latency = Duration::from_millis(100);
            let mut sender = Sender::new(start, config);
            (sender.repairs.taken, sender.repairs.next_look) = (true, Some(start + KNOWN * 100));
            (0..64).for_each(|_| sender.handle_input(start, Input::Payload(Bytes::from_static(&[0; 1316]))));
            let sent: Vec<_> = sender.links[0].unproven().collect();
            sender.now = start + sender.links[0].round() + KNOWN + beyond;
            sent.iter().for_each(|&number| sender.note_lost(0, number, start));
            let rate = sender.repairs.losses.rate(sender.now, Duration::ZERO);
            assert_eq!(rate.is_some(), counts, "{beyond:?}: {rate:?} of {sent:?}");
        }
    }
}
