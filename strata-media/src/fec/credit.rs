//! How much a receiver may be made to compute.

use std::time::Instant;

/// Work is counted in bytes of shards. Whatever its size, solving costs as much as so many of them: 0.35 ms, of which the longest
/// block adds as much again (`reed-solomon-simd` 3, a Xeon).
const FIXED: u64 = 256 << 10;
/// Work per second without a byte of the stream: a hundred small blocks, which is one per 10 ms, the shortest there are; about one part
/// in twenty of a core.
const PER_SECOND: u64 = 32 << 20;
/// Work per byte of the stream: half as much again as a full block of long packets needs. Where packets are short, what is
/// allowed per second does for 100 full blocks of them.
const PER_BYTE: u64 = 4;
/// What is saved up at most: six of the largest blocks.
pub(super) const MOST: u64 = 4 << 20;

/// Work that may be done.
#[derive(Debug)]
pub(super) struct Credit {
    left: u64,
    filled: Option<Instant>,
    /// How often it did not suffice.
    pub(super) refused: u64,
    /// What was done.
    #[cfg(test)]
    pub(super) spent: u64,
}

impl Default for Credit {
    fn default() -> Self {
        Self {
            left: MOST,
            filled: None,
            refused: 0,
            #[cfg(test)]
            spent: 0,
        }
    }
}

impl Credit {
    /// So many bytes of the stream came.
    pub(super) fn earn(&mut self, bytes: usize) {
        self.left = (self.left + bytes as u64 * PER_BYTE).min(MOST);
    }

    /// Takes what solving a block costs, if there is so much.
    pub(super) fn spend(&mut self, now: Instant, work: u64) -> bool {
        let since = now.saturating_duration_since(*self.filled.get_or_insert(now));
        let grown = (since.as_secs_f64() * PER_SECOND as f64) as u64;
        if grown > 0 {
            self.left = (self.left + grown).min(MOST);
            self.filled = Some(now);
        }
        let Some(left) = self.left.checked_sub(work) else {
            self.refused += 1;
            return false;
        };
        self.left = left;
        #[cfg(test)]
        {
            self.spent += work;
        }
        true
    }
}

/// What it costs to solve a block of so many shards of `len` bytes: the code fills their numbers up to powers of two.
pub(super) fn work(sources: usize, repairs: usize, len: usize) -> u64 {
    let shards = sources.next_power_of_two() + repairs.next_power_of_two();
    FIXED + (shards * len) as u64
}
