//! What a sender keeps, to repeat it.

use std::collections::VecDeque;
use std::time::Instant;

use bytes::Bytes;

use super::sequence::{ORIGIN, Sequence};

/// Most packets kept: 1 s of 1 Gbit/s. A request with a sequence number of 16 bits can name the last 32768 of them, one
/// with the upper half too (TR-06-2) all.
pub(crate) const MAX_PACKETS: usize = 1 << 17;

/// One packet and what became of it.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) payload: Bytes,
    pub(super) timestamp: u32,
    /// When it was given to the sender.
    pub(super) created: Instant,
    /// When and on which path it was last sent; on none of these when that path is no more.
    pub(super) last: Option<(Instant, Option<usize>)>,
    /// Until when that should have arrived, as far as whoever chose the path knows.
    pub(super) expected: Option<Instant>,
    /// When it was last asked for.
    pub(super) requested: Option<Instant>,
    /// How many requests came before it could have arrived.
    pub(super) early: u8,
    /// How often it was sent.
    pub(super) sends: u8,
    /// When the receiver said that it arrived.
    pub(super) arrived: Option<Instant>,
    /// Already to be sent again.
    pub(super) asked: bool,
}

/// Packets by sequence number, oldest first.
#[derive(Debug)]
pub(super) struct History {
    entries: VecDeque<Entry>,
    /// Number of the first packet of all.
    start: u64,
    /// Number of the next packet.
    next: u64,
    bytes: usize,
}

impl History {
    /// An empty history whose first packet gets the number `first`.
    pub(super) fn new(first: u16) -> Self {
        let start = ORIGIN + u64::from(first);
        Self { entries: VecDeque::new(), start, next: start, bytes: 0 }
    }

    pub(super) fn push(&mut self, entry: Entry) -> u64 {
        if self.entries.len() == MAX_PACKETS {
            self.pop();
        }
        self.bytes += entry.payload.len();
        self.entries.push_back(entry);
        self.next += 1;
        self.next - 1
    }

    fn pop(&mut self) {
        if let Some(entry) = self.entries.pop_front() {
            self.bytes -= entry.payload.len();
        }
    }

    /// Forgets what was created before `oldest`.
    pub(super) fn expire(&mut self, oldest: Instant) {
        while self.entries.front().is_some_and(|entry| entry.created < oldest) {
            self.pop();
        }
    }

    /// Payload bytes kept.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Packets kept.
    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there was a packet of that number, be it kept or not.
    pub(super) fn was_given(&self, number: u64) -> bool {
        (self.start..self.next).contains(&number)
    }

    /// Whether the newest packet was sent.
    pub(super) fn is_sent(&self) -> bool {
        self.entries.back().is_some_and(|entry| entry.last.is_some())
    }

    fn first(&self) -> u64 {
        self.next - self.entries.len() as u64
    }

    /// The number that `sequence` stands for, seen from the last packet sent.
    pub(super) fn number(&self, sequence: Sequence) -> u64 {
        sequence.near(self.next - 1)
    }

    pub(super) fn get(&self, number: u64) -> Option<&Entry> {
        let index = usize::try_from(number.checked_sub(self.first())?).ok()?;
        self.entries.get(index)
    }

    pub(super) fn get_mut(&mut self, number: u64) -> Option<&mut Entry> {
        let index = usize::try_from(number.checked_sub(self.first())?).ok()?;
        self.entries.get_mut(index)
    }

    /// Takes the newest packets, after the last one that arrived or is `settled`, to be given now and never sent.
    pub(super) fn renew(
        &mut self,
        now: Instant,
        timestamp: u32,
        settled: impl Fn(Instant, Option<usize>) -> bool,
    ) -> Vec<(u64, usize)> {
        let is_settled =
            |entry: &Entry| entry.arrived.is_some() || entry.last.is_some_and(|(at, path)| settled(at, path));
        let newest = self.iter_mut().rev().take_while(|(_, entry)| !is_settled(entry));
        let renew = |(number, entry): (u64, &mut Entry)| {
            (entry.created, entry.timestamp) = (now, timestamp);
            (entry.last, entry.sends, entry.asked) = (None, 0, false);
            (entry.expected, entry.requested, entry.early) = (None, None, 0);
            (number, entry.payload.len())
        };
        newest.map(renew).collect()
    }

    /// Every packet with its number.
    pub(super) fn iter_mut(&mut self) -> impl DoubleEndedIterator<Item = (u64, &mut Entry)> {
        let first = self.first();
        self.entries.iter_mut().enumerate().map(move |(index, entry)| (first + index as u64, entry))
    }
}
