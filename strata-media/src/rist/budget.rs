//! How often others may make this end do something.

use std::time::{Duration, Instant};

/// A bucket of tokens.
#[derive(Debug)]
pub(super) struct Budget {
    most: u32,
    left: u32,
    filled: Instant,
}

impl Budget {
    /// So many at once, and per second.
    pub(super) fn new(now: Instant, most: u32) -> Self {
        Self { most, left: most, filled: now }
    }

    /// So many per second from now on, and at once when they have come together.
    pub(super) fn allow(&mut self, most: u32) {
        self.most = most;
    }

    /// Takes one, the less often the fewer are left: `number` is a random one. Who asks seldom has its chance beside who asks all the time.
    pub(super) fn take_by_chance(&mut self, now: Instant, number: u64) -> bool {
        self.fill(now);
        number % u64::from(self.most) < u64::from(self.left) && self.take(now)
    }

    /// Takes one, if there is one.
    pub(super) fn take(&mut self, now: Instant) -> bool {
        self.take_above(now, 0)
    }

    /// Takes one, if there are more than so many.
    pub(super) fn take_above(&mut self, now: Instant, keeps: u32) -> bool {
        self.fill(now);
        let may = self.left > keeps;
        self.left -= u32::from(may);
        may
    }

    /// Takes so many, if there are.
    pub(super) fn take_all(&mut self, now: Instant, count: u32) -> bool {
        self.fill(now);
        let left = self.left.checked_sub(count);
        self.left = left.unwrap_or(self.left);
        left.is_some()
    }

    /// Takes as many as this, or all there are; how many.
    pub(super) fn take_some(&mut self, now: Instant, most: u32) -> u32 {
        self.fill(now);
        let taken = most.min(self.left);
        self.left -= taken;
        taken
    }

    fn fill(&mut self, now: Instant) {
        let every = Duration::from_secs(1) / self.most;
        let due = now.saturating_duration_since(self.filled).as_nanos() / every.as_nanos();
        let due = u32::try_from(due).unwrap_or(u32::MAX);
        if due > 0 {
            self.left = self.left.saturating_add(due).min(self.most);
            self.filled = if self.left == self.most { now } else { self.filled + every * due };
        }
    }
}
