//! How far apart packets of different links arrive.

use std::time::{Duration, Instant};

/// The most of one to two of these counts.
const WINDOW: Duration = Duration::from_secs(5);

/// The longest time that packets were missing which then came by themselves: they were late, not lost. What comes
/// no later is not to be asked for.
#[derive(Debug)]
pub(super) struct Skew {
    started: Instant,
    current: Duration,
    previous: Duration,
}

impl Skew {
    pub(super) fn new(now: Instant) -> Self {
        Self { started: now, current: Duration::ZERO, previous: Duration::ZERO }
    }

    /// A packet that was missing came, not repeated.
    pub(super) fn observe(&mut self, now: Instant, missing: Duration) {
        self.turn(now);
        self.current = self.current.max(missing);
    }

    /// How long to wait for what is missing: a bit longer than the most.
    pub(super) fn wait(&mut self, now: Instant) -> Duration {
        self.turn(now);
        self.current.max(self.previous) * 9 / 8
    }

    fn turn(&mut self, now: Instant) {
        if now >= self.started + WINDOW {
            *self = Self { started: now, current: Duration::ZERO, previous: self.current };
        }
    }
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "any instant will do")]
mod tests {
    use super::*;

    #[test]
    fn the_most_is_remembered_and_forgotten() {
        let now = Instant::now();
        let mut skew = Skew::new(now);
        skew.observe(now, Duration::from_millis(80));
        skew.observe(now, Duration::from_millis(20));
        assert_eq!(skew.wait(now + WINDOW), Duration::from_millis(90));
        assert_eq!(skew.wait(now + WINDOW * 2), Duration::ZERO);
    }
}
