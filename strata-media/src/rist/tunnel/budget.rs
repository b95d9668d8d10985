//! How often strangers may make this end derive a key.

use std::time::{Duration, Instant};

/// At once, and per second: a derivation takes about half a millisecond, so this is under one percent of a core.
const MOST: u32 = 16;
const EVERY: Duration = Duration::from_millis(1000 / MOST as u64);

/// A bucket of tokens.
#[derive(Debug)]
pub(super) struct Budget {
    left: u32,
    filled: Instant,
}

impl Budget {
    pub(super) fn new(now: Instant) -> Self {
        Self { left: MOST, filled: now }
    }

    /// Takes one, if there is one.
    pub(super) fn take(&mut self, now: Instant) -> bool {
        let due = now.saturating_duration_since(self.filled).as_nanos() / EVERY.as_nanos();
        let due = u32::try_from(due).unwrap_or(u32::MAX);
        if due > 0 {
            self.left = self.left.saturating_add(due).min(MOST);
            self.filled = if self.left == MOST { now } else { self.filled + EVERY * due };
        }
        let may = self.left > 0;
        self.left -= u32::from(may);
        may
    }
}
