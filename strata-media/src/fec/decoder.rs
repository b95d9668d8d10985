//! Repair packets at the receiver: kept until their block is whole, or gone.

use std::net::IpAddr;
use std::time::Instant;

use bytes::Bytes;

use super::code::Solver;
use super::credit::{Credit, work};
use super::kept::{Block, Kept};
use super::wire::{Repair, read_shard, write_shard};

/// A block must not begin further ahead of the newest packet than that.
const MAX_AHEAD: u64 = 1024;

/// Keeps repair packets, and gives back packets that were lost. What a flood of repair packets costs is bounded: some work per second,
/// and some per byte of the stream; blocks and bytes at a time; and the time they are kept.
#[derive(Debug, Default)]
pub struct Decoder {
    solver: Solver,
    kept: Kept,
    pub(super) credit: Credit,
    /// Repair packets that did not belong to a block that is wanted.
    unwanted: u64,
    /// Memory of source shards.
    shards: Vec<(usize, Vec<u8>)>,
}

/// What came with a repair packet, beside its bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Arrived {
    /// When it came.
    pub now: Instant,
    /// When all packets of its block were put out.
    pub until: Instant,
    /// The local socket pair, and where from.
    pub from: (usize, IpAddr),
    /// The number of the first packet of its block, extended.
    pub first: u64,
}

/// A packet that was lost.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Repaired {
    /// Its number, extended.
    pub number: u64,
    /// Its RTP time stamp.
    pub timestamp: u32,
    /// Its payload.
    pub payload: Bytes,
}

/// Looks packets of the stream up by number: payload and time stamp of one that came.
type Lookup<'a> = &'a dyn Fn(u64) -> Option<(&'a Bytes, u32)>;

impl Decoder {
    /// Repair packets that were of no use: their block was whole, or could not be made so.
    #[must_use]
    pub fn useless(&self) -> u64 {
        self.unwanted + self.kept.useless
    }

    /// How often a block was not solved when enough of it came, because too much was computed lately. It is tried again with the next
    /// of its packets.
    #[must_use]
    pub fn throttled(&self) -> u64 {
        self.credit.refused
    }

    /// Takes a repair packet; packets from `next` to before `end` may have come. Gives packets that were lost.
    pub fn repair(
        &mut self,
        arrived: &Arrived,
        repair: &Repair,
        (next, end): (u64, u64),
        lookup: Lookup<'_>,
    ) -> Vec<Repaired> {
        self.kept.expire(arrived.now, next);
        let first = arrived.first;
        if first + u64::from(repair.sources) <= next || first > end + MAX_AHEAD {
            self.unwanted += 1;
            return Vec::new();
        }
        let place = self.kept.take(repair, arrived, |number| lookup(number).is_some());
        let place = place.filter(|&place| self.kept.get(place).is_some_and(Block::is_enough));
        place.and_then(|place| self.solve(arrived.now, place, lookup)).unwrap_or_default()
    }

    /// A packet of the stream came. Gives others of its blocks that were lost. Packets below `next` are not wanted any more.
    pub fn source(&mut self, now: Instant, number: u64, next: u64, lookup: Lookup<'_>) -> Vec<Repaired> {
        self.kept.expire(now, next);
        let Some((payload, _)) = lookup(number) else { return Vec::new() };
        self.credit.earn(payload.len());
        self.kept.note(number);
        let mut from = 0;
        // More than one only if they are forged: blocks of a sender have no packets in common.
        while let Some(place) = self.kept.enough(from) {
            match self.solve(now, place, lookup) {
                Some(lost) if lost.is_empty() => from = place + 1,
                lost => return lost.unwrap_or_default(),
            }
        }
        Vec::new()
    }

    /// Forgets blocks whose time is over; those whose packets are all below `next`, too.
    pub fn expire(&mut self, now: Instant, next: u64) {
        self.kept.expire(now, next);
    }

    /// When blocks are to be [forgotten](Self::expire) next; `None` when there are none.
    #[must_use]
    pub fn due(&self) -> Option<Instant> {
        self.kept.due()
    }

    /// Forgets all blocks: it is another stream.
    pub fn clear(&mut self) {
        self.kept.clear();
    }

    /// Gives back what a block has lost; `None` when that would be too much work now.
    fn solve(&mut self, now: Instant, place: usize, lookup: Lookup<'_>) -> Option<Vec<Repaired>> {
        let block = self.kept.get(place)?;
        let mut lost = Vec::new();
        if !block.is_complete() {
            if !self.credit.spend(now, work(block.sources, block.repairs, block.len)) {
                return None;
            }
            lost = compute(&mut self.solver, &mut self.shards, block, lookup);
        }
        // What was kept is of no more use, whether it was of any or not.
        self.kept.finish(place, lost.len());
        lost.iter().for_each(|packet| self.kept.note(packet.number));
        Some(lost)
    }

    #[cfg(test)]
    pub(super) fn memory(&self) -> (usize, usize, usize) {
        self.kept.memory()
    }
}

/// Solves a block. All or nothing: what does not fit together is not the sender's.
fn compute(
    solver: &mut Solver,
    shards: &mut Vec<(usize, Vec<u8>)>,
    block: &Block,
    lookup: Lookup<'_>,
) -> Vec<Repaired> {
    if shards.len() < block.sources {
        shards.resize_with(block.sources, || (0, Vec::new()));
    }
    let mut have = 0;
    for index in 0..block.sources {
        let Some((payload, timestamp)) = lookup(block.first + index as u64) else { continue };
        let (place, shard) = &mut shards[have];
        // Longer than the longest of its block: it is not the sender's.
        if !write_shard(payload, timestamp, block.nulls, shard) || shard.len() > block.len {
            return Vec::new();
        }
        shard.resize(block.len, 0);
        *place = index;
        have += 1;
    }
    let have = shards[..have].iter().map(|(index, shard)| (*index, &shard[..]));
    let coded = block.came.iter().map(|(index, shard)| (*index, &shard[..]));
    let solved = solver.solve((block.sources, block.repairs, block.len), have, coded);
    let packet = |(index, shard): (usize, Vec<u8>)| {
        let (payload, timestamp) = read_shard(&shard)?;
        Some(Repaired { number: block.first + index as u64, timestamp, payload })
    };
    solved.ok().and_then(|shards| shards.into_iter().map(packet).collect()).unwrap_or_default()
}
