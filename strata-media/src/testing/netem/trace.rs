//! Recorded capacity in Mahimahi's format.

use std::str::FromStr;
use std::time::Duration;

use thiserror::Error;

/// Bytes that one line of a trace can carry.
pub(super) const OPPORTUNITY: usize = 1500;

/// Lines that a trace may have: 40 minutes at 100 Mbit/s.
const MAX_LINES: usize = 20_000_000;

/// A link's recorded capacity: one line per chance to send 1500 bytes, its time in ms from the start.
///
/// Times do not decrease and may repeat. The last one is also the length: the trace starts over there.
/// A chance that nothing uses is gone; a packet may span several, and several packets may share one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trace {
    times: Vec<u32>,
}

impl Trace {
    /// Time after which it starts over.
    #[must_use]
    pub fn length(&self) -> Duration {
        Duration::from_millis(u64::from(self.last()))
    }

    /// Mean rate, bit/s.
    #[must_use]
    pub fn mean_rate_bps(&self) -> u64 {
        self.times.len() as u64 * (OPPORTUNITY as u64) * 8 * 1000 / u64::from(self.last())
    }

    /// Bytes that it can carry from the start until `offset`, if every chance is used.
    #[must_use]
    pub fn bytes_until(&self, offset: Duration) -> u64 {
        self.first_at(offset) * OPPORTUNITY as u64
    }

    /// Number of the first chance at or after `offset` from the start, counted over all repetitions.
    pub(super) fn first_at(&self, offset: Duration) -> u64 {
        let ms = u64::try_from(offset.as_nanos().div_ceil(1_000_000)).unwrap_or(u64::MAX);
        let (round, within) = (ms / u64::from(self.last()), ms % u64::from(self.last()));
        // The end of a round is the start of the next: what is noted for the last ms comes before what is noted for 0.
        if within == 0 && round > 0 {
            let index = self.times.partition_point(|&t| t < self.last());
            return (round - 1) * self.len() + index as u64;
        }
        round * self.len() + self.times.partition_point(|&t| u64::from(t) < within) as u64
    }

    /// Time of a chance, from the start.
    pub(super) fn time_of(&self, number: u64) -> Duration {
        let (round, index) = (number / self.len(), number % self.len());
        let within = self.times[usize::try_from(index).unwrap_or(0)];
        Duration::from_millis(round * u64::from(self.last()) + u64::from(within))
    }

    fn last(&self) -> u32 {
        self.times.last().copied().unwrap_or(1)
    }

    fn len(&self) -> u64 {
        self.times.len() as u64
    }
}

impl FromStr for Trace {
    type Err = TraceError;

    fn from_str(text: &str) -> Result<Self, TraceError> {
        let mut times: Vec<u32> = Vec::new();
        for (index, line) in text.lines().enumerate() {
            let (number, line) = (index + 1, line.trim());
            if line.is_empty() {
                continue;
            }
            let time: u32 = line
                .parse()
                .map_err(|_| TraceError::NotATime { line: number, text: line.chars().take(32).collect() })?;
            if let Some(&previous) = times.last().filter(|&&previous| previous > time) {
                return Err(TraceError::Decreases { line: number, time, previous });
            }
            if times.len() == MAX_LINES {
                return Err(TraceError::TooLong { limit: MAX_LINES });
            }
            times.push(time);
        }
        match times.last() {
            None => Err(TraceError::Empty),
            Some(0) => Err(TraceError::NoLength),
            Some(_) => Ok(Self { times }),
        }
    }
}

/// A text that is not a trace.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum TraceError {
    /// A line is not a time.
    #[error("line {line}: {text:?} is not a time in whole milliseconds")]
    NotATime {
        /// Line, from 1.
        line: usize,
        /// Its text, cut at 32 characters.
        text: String,
    },
    /// Time runs backwards.
    #[error("line {line}: {time} comes after {previous}, but times must not decrease")]
    Decreases {
        /// Line, from 1.
        line: usize,
        /// Its time, ms.
        time: u32,
        /// The time before it, ms.
        previous: u32,
    },
    /// No line holds a time.
    #[error("the trace is empty: expected one time in milliseconds per line")]
    Empty,
    /// The last time is 0, so that the trace has no length.
    #[error("the last time is 0: it is also the trace's length, and must be at least 1 ms")]
    NoLength,
    /// More lines than any use can have.
    #[error("more than {limit} lines")]
    TooLong {
        /// The limit.
        limit: usize,
    },
}
