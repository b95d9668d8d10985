//! Queueing delay of one link over time.

use std::ops::RangeInclusive;
use std::time::{Duration, Instant};

/// Time of one bin: a Strata receiver reports as often.
const BIN: Duration = Duration::from_millis(25);
/// Bins that are kept, 3.2 s.
pub(super) const BINS: usize = 128;
/// What was sent so long ago has been told of, by any link.
const KNOWN: Duration = Duration::from_millis(1000);

/// The newest queueing delay per bin, by when the packet was sent that showed it.
#[derive(Debug)]
pub(super) struct Series {
    bins: [(u64, Duration); BINS],
}

impl Default for Series {
    fn default() -> Self {
        Self { bins: [(u64::MAX, Duration::ZERO); BINS] }
    }
}

impl Series {
    pub(super) fn put(&mut self, bin: u64, queue: Duration) {
        self.bins[bin as usize % BINS] = (bin, queue);
    }

    pub(super) fn get(&self, bin: u64) -> Option<Duration> {
        let (of, queue) = self.bins[bin as usize % BINS];
        (of == bin).then_some(queue)
    }

    /// The least and the most of a bin and those beside it: links are reported on at different times, and a queue moves
    /// meanwhile.
    pub(super) fn around(&self, bin: u64) -> Option<RangeInclusive<Duration>> {
        let near = || (bin.saturating_sub(1)..=bin + 1).filter_map(|bin| self.get(bin));
        Some(near().min()?..=near().max()?)
    }
}

/// The bin of a time.
pub(super) fn bin(epoch: Instant, at: Instant) -> u64 {
    (at.saturating_duration_since(epoch).as_micros() / BIN.as_micros()) as u64
}

/// Bins before this one are known by now.
pub(super) fn known(epoch: Instant, now: Instant) -> u64 {
    now.checked_sub(KNOWN).map_or(0, |at| bin(epoch, at))
}
