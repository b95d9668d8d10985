//! Blocks at the sender: packets are gathered for some time, then repair packets are computed.

use std::time::{Duration, Instant};

use bytes::Bytes;

use super::code::Coder;
use super::wire::{HEADER_LEN, MAX_SHARD, Repair, write_shard};
use super::{MAX_REPAIRS, MAX_SOURCES};
use crate::rist::rtp::MAX_PAYLOAD;

/// Gathers packets into blocks.
#[derive(Debug)]
pub struct Encoder {
    coder: Coder,
    /// Longest shard, bytes.
    max_shard: usize,
    /// Whether null packets are left out.
    nulls: bool,
    /// When the first packet of the block was given.
    started: Option<Instant>,
    first: u64,
    sources: Vec<(Bytes, u32)>,
    /// Memory of source shards.
    shards: Vec<Vec<u8>>,
}

/// A block that is complete.
#[derive(Debug)]
pub struct Block {
    /// Number of its first packet.
    pub first: u64,
    /// How many packets it has.
    pub sources: usize,
    /// When the first packet was given.
    pub started: Instant,
    /// Its repair packets, to be sent as payloads of RTP packets.
    pub repairs: Vec<Bytes>,
}

impl Default for Encoder {
    /// One that leaves nothing out, of the Simple Profile.
    fn default() -> Self {
        Self::new(false, MAX_PAYLOAD)
    }
}

impl Encoder {
    /// An encoder that leaves null packets out (`nulls`), since links do: what these were filled with is not known to the receiver.
    /// No repair packet is longer than `max_payload` bytes, nor than 1440.
    #[must_use]
    pub fn new(nulls: bool, max_payload: usize) -> Self {
        Self {
            coder: Coder::default(),
            max_shard: max_payload.saturating_sub(HEADER_LEN).min(MAX_SHARD),
            nulls,
            started: None,
            first: 0,
            sources: Vec::new(),
            shards: Vec::new(),
        }
    }

    /// The next packet of the stream; it is to be asked whether the block [is due](Self::is_due) before.
    pub fn push(&mut self, now: Instant, number: u64, timestamp: u32, payload: Bytes) {
        if self.first + self.sources.len() as u64 != number {
            self.clear();
        }
        if self.sources.is_empty() {
            (self.first, self.started) = (number, Some(now));
        }
        self.sources.push((payload, timestamp));
    }

    /// Whether the block is to be closed: it has lasted `span`, or is full.
    #[must_use]
    pub fn is_due(&self, now: Instant, span: Duration) -> bool {
        let lasted = self.started.is_some_and(|started| now >= started + span);
        lasted || self.sources.len() >= MAX_SOURCES
    }

    /// How many packets the block has.
    #[must_use]
    pub fn len(&self) -> usize {
        self.sources.len()
    }

    /// Mean length of its payloads, bytes; 0 when there are none.
    #[must_use]
    pub fn mean_len(&self) -> f64 {
        let bytes: usize = self.sources.iter().map(|(payload, _)| payload.len()).sum();
        bytes as f64 / self.sources.len().max(1) as f64
    }

    /// Whether the block has no packets.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.sources.is_empty()
    }

    /// Forgets the block.
    pub fn clear(&mut self) {
        self.sources.clear();
        self.started = None;
    }

    /// Closes the block, with so many repair packets, 64 at most; `None` when it is empty or cannot be coded, which a payload
    /// brings about that is too long: its repair packets, 16 bytes longer, would be longer than the links carry whole.
    pub fn close(&mut self, repairs: usize) -> Option<Block> {
        let (sources, repairs) = (self.sources.len(), repairs.min(MAX_REPAIRS));
        let block = Block { first: self.first, sources, started: self.started?, repairs: Vec::new() };
        let coded = if repairs > 0 { self.code(repairs) } else { Some(Vec::new()) };
        self.clear();
        let (count, nulls) = (repairs as u8, self.nulls);
        let repair = |(index, shard): (usize, Vec<u8>)| {
            let (first, sources) = (block.first as u32, sources as u8);
            Repair { first, sources, repairs: count, index: index as u8, nulls, shard: shard.into() }.encode()
        };
        Some(Block { repairs: coded?.into_iter().enumerate().map(repair).collect(), ..block })
    }

    fn code(&mut self, repairs: usize) -> Option<Vec<Vec<u8>>> {
        self.shards.resize_with(self.sources.len(), Vec::new);
        for ((payload, timestamp), shard) in self.sources.iter().zip(&mut self.shards) {
            if !write_shard(payload, *timestamp, self.nulls, shard) {
                return None;
            }
        }
        let longest = self.shards.iter().map(Vec::len).max()?.next_multiple_of(2);
        if longest > self.max_shard {
            return None;
        }
        self.shards.iter_mut().for_each(|shard| shard.resize(longest, 0));
        self.coder.encode(&self.shards, repairs).ok()
    }
}
