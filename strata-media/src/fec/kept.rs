//! Repair packets that are kept, by block, bounded in number, bytes and time.

use std::collections::VecDeque;
use std::net::IpAddr;
use std::time::Instant;

use bytes::Bytes;

use super::decoder::Arrived;
use super::wire::Repair;

/// Blocks at a time.
const MAX_BLOCKS: usize = 64;
/// Bytes of repair packets at a time; 64 blocks of 20, of 1.3 KB each, fit.
const MAX_BYTES: usize = 2 << 20;

/// Blocks, by their first number.
#[derive(Debug, Default)]
pub(super) struct Kept {
    blocks: VecDeque<Block>,
    bytes: usize,
    /// Repair packets that were of no use.
    pub(super) useless: u64,
    begun: u64,
}

#[derive(Debug)]
pub(super) struct Block {
    pub(super) first: u64,
    pub(super) sources: usize,
    pub(super) repairs: usize,
    pub(super) nulls: bool,
    pub(super) len: usize,
    /// Source packets that came, a bit for each.
    pub(super) there: u128,
    /// Repair packets that came, by index; nothing more once the block is whole. Copies: what they came in may be much larger.
    pub(super) came: Vec<(usize, Bytes)>,
    pub(super) whole: bool,
    /// When all of it was put out.
    until: Instant,
    /// Where its first repair packet came from, and which block that began.
    from: (usize, IpAddr),
    order: u64,
}

impl Block {
    fn is_of(&self, first: u64, repair: &Repair) -> bool {
        let Repair { sources, repairs, nulls, shard, .. } = repair;
        (self.first, self.nulls, self.len) == (first, *nulls, shard.len())
            && (self.sources, self.repairs) == (usize::from(*sources), usize::from(*repairs))
    }

    /// Whether all source packets came.
    pub(super) fn is_complete(&self) -> bool {
        self.there.count_ones() as usize == self.sources
    }

    /// Whether enough came to give back the rest.
    pub(super) fn is_enough(&self) -> bool {
        !self.whole && self.there.count_ones() as usize + self.came.len() >= self.sources
    }

    fn bytes(&self) -> usize {
        self.len * self.came.len()
    }
}

impl Kept {
    /// Takes a repair packet; the place of its block, unless the packet is of no use or had to give way.
    pub(super) fn take(
        &mut self,
        repair: &Repair,
        arrived: &Arrived,
        there: impl Fn(u64) -> bool,
    ) -> Option<usize> {
        let (first, index) = (arrived.first, usize::from(repair.index));
        let known = self.blocks.iter().position(|block| block.is_of(first, repair));
        let place = known.unwrap_or_else(|| self.begin(repair, arrived, there));
        let block = &mut self.blocks[place];
        if block.whole || block.came.iter().any(|&(other, _)| other == index) {
            self.useless += 1;
            return None;
        }
        block.came.push((index, Bytes::copy_from_slice(&repair.shard)));
        self.bytes += block.len;
        let order = block.order;
        while self.bytes > MAX_BYTES {
            self.evict();
        }
        self.blocks.iter().position(|block| block.order == order)
    }

    fn begin(&mut self, repair: &Repair, arrived: &Arrived, there: impl Fn(u64) -> bool) -> usize {
        if self.blocks.len() == MAX_BLOCKS {
            self.evict();
        }
        let (first, sources) = (arrived.first, usize::from(repair.sources));
        let came = (0..sources).filter(|&index| there(first + index as u64));
        self.begun += 1;
        let block = Block {
            first,
            sources,
            repairs: usize::from(repair.repairs),
            nulls: repair.nulls,
            len: repair.shard.len(),
            there: came.fold(0, |mask, index| mask | 1 << index),
            came: Vec::new(),
            whole: false,
            until: arrived.until,
            from: arrived.from,
            order: self.begun,
        };
        let place = self.blocks.partition_point(|other| other.first <= first);
        self.blocks.insert(place, block);
        place
    }

    /// Makes room. What is whole goes first. Then who has sent most makes it, so that a flood of blocks takes no other sender's
    /// place: of its blocks the one of which least came, the latest one.
    fn evict(&mut self) {
        let heaviest = |block: &&Block| {
            let of_it = self.blocks.iter().filter(|other| other.from == block.from);
            of_it.map(|block| block.came.len().max(1)).sum::<usize>()
        };
        let from = self.blocks.iter().max_by_key(heaviest).map(|block| block.from);
        let mut blocks = self.blocks.iter().enumerate();
        let whole = blocks.find(|(_, block)| block.whole).map(|(place, _)| place);
        let lightest = || {
            let of_it = self.blocks.iter().enumerate().filter(|(_, block)| Some(block.from) == from);
            let latest = |block: &Block| std::cmp::Reverse(block.order);
            of_it.min_by_key(|(_, block)| (block.came.len(), latest(block))).map(|(place, _)| place)
        };
        if let Some(place) = whole.or_else(lightest) {
            self.remove(place);
        }
    }

    fn remove(&mut self, place: usize) {
        self.discard(place);
        self.blocks.remove(place);
    }

    /// The repair packets of a block are of no more use.
    fn discard(&mut self, place: usize) {
        let Some(block) = self.blocks.get_mut(place) else { return };
        self.useless += block.came.len() as u64;
        self.bytes -= block.bytes();
        block.came = Vec::new();
    }

    /// The block at a place is whole, or never will be; `used` of its repair packets were needed for it.
    pub(super) fn finish(&mut self, place: usize, used: usize) {
        let Some(block) = self.blocks.get_mut(place) else { return };
        block.whole = true;
        let used = used.min(block.came.len()) as u64;
        self.discard(place);
        self.useless -= used;
    }

    /// A source packet is there.
    pub(super) fn note(&mut self, number: u64) {
        for block in &mut self.blocks {
            let index = number.checked_sub(block.first).filter(|&index| index < block.sources as u64);
            block.there |= index.map_or(0, |index| 1 << index);
        }
    }

    /// The first block, from `place` on, of which enough came.
    pub(super) fn enough(&self, place: usize) -> Option<usize> {
        let found = self.blocks.iter().skip(place).position(Block::is_enough)?;
        Some(place + found)
    }

    pub(super) fn get(&self, place: usize) -> Option<&Block> {
        self.blocks.get(place)
    }

    /// Forgets blocks whose packets are all below `next`, and those whose time is over.
    pub(super) fn expire(&mut self, now: Instant, next: u64) {
        for place in (0..self.blocks.len()).rev() {
            let block = &self.blocks[place];
            if block.first + block.sources as u64 <= next || block.until <= now {
                self.remove(place);
            }
        }
    }

    /// When the next block's time is over.
    pub(super) fn due(&self) -> Option<Instant> {
        self.blocks.iter().map(|block| block.until).min()
    }

    pub(super) fn clear(&mut self) {
        while !self.blocks.is_empty() {
            self.remove(self.blocks.len() - 1);
        }
    }

    /// How many blocks there are; bytes of their repair packets, as counted, and as they are.
    #[cfg(test)]
    pub(super) fn memory(&self) -> (usize, usize, usize) {
        let shards = self.blocks.iter().flat_map(|block| &block.came);
        (self.blocks.len(), self.bytes, shards.map(|(_, shard)| shard.len()).sum())
    }
}
