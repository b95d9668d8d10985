//! How often a peer may make this end derive a key.

use std::time::{Duration, Instant};

/// At once, and per second: a derivation takes about half a millisecond, so this is under one percent of a core.
const STRANGER: u32 = 16;
/// The same for a peer that has shown its key: it may change keys often, and what comes with a key that was not derived
/// is lost. As nonces are in clear, someone who takes its address can use it up: a tenth of a core.
const TRUSTED: u32 = 200;

/// A bucket of tokens.
#[derive(Debug)]
pub(super) struct Budget {
    most: u32,
    left: u32,
    filled: Instant,
}

impl Budget {
    /// For strangers.
    pub(super) fn new(now: Instant) -> Self {
        Self { most: STRANGER, left: STRANGER, filled: now }
    }

    /// For who is none, from now on.
    pub(super) fn trust(&mut self) {
        self.most = TRUSTED;
    }

    /// Takes one, if there is one.
    pub(super) fn take(&mut self, now: Instant) -> bool {
        let every = Duration::from_secs(1) / self.most;
        let due = now.saturating_duration_since(self.filled).as_nanos() / every.as_nanos();
        let due = u32::try_from(due).unwrap_or(u32::MAX);
        if due > 0 {
            self.left = self.left.saturating_add(due).min(self.most);
            self.filled = if self.left == self.most { now } else { self.filled + every * due };
        }
        let may = self.left > 0;
        self.left -= u32::from(may);
        may
    }
}
