//! How late packets come that others passed, and so how long one that was passed is waited for.

use std::time::{Duration, Instant};

/// Time that a packet which others passed is given at first: the grain of arrival times is 1 ms, of reports 25.
const FIRST: Duration = Duration::from_millis(5);
/// The most that is given: beyond it, a repeated packet comes sooner.
pub(super) const MOST: Duration = Duration::from_millis(100);
/// How long a late packet counts: one to two of these. A link that reorders one packet in ten thousand of a stream of 5 Mbit/s
/// does so as often; one that did so once is as good as any other after that.
pub(super) const WINDOW: Duration = Duration::from_secs(30);

/// What is known of the order of one link.
#[derive(Debug)]
pub(super) struct Reorder {
    /// The latest packet of this window, and of the one before.
    latest: Duration,
    latest_before: Duration,
    since: Instant,
}

impl Reorder {
    pub(super) fn new(now: Instant) -> Self {
        Self { latest: FIRST, latest_before: FIRST, since: now }
    }

    /// A packet came so much later than one that was sent after it.
    pub(super) fn observe(&mut self, now: Instant, late: Duration) {
        self.turn(now);
        self.latest = self.latest.max(late.min(MOST));
    }

    /// How long a packet that was passed is waited for: a quarter longer than any took lately.
    pub(super) fn allowance(&mut self, now: Instant) -> Duration {
        self.turn(now);
        self.latest.max(self.latest_before).mul_f64(1.25).min(MOST)
    }

    fn turn(&mut self, now: Instant) {
        let age = now.saturating_duration_since(self.since);
        if age >= WINDOW {
            self.latest_before = if age < WINDOW * 2 { self.latest } else { FIRST };
            (self.latest, self.since) = (FIRST, now);
        }
    }
}
