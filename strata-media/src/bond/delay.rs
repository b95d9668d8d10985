//! Delay of a link, and how much of it is queue.

use std::time::{Duration, Instant};

/// How long a least delay counts: one to two of these. A clock that is 200 ppm off moves it by 6 ms meanwhile.
const WINDOW: Duration = Duration::from_secs(15);
/// The least of so many delays shows the queue that stands: it is in all of them, and jitter is not.
const RECENT: usize = 4;

/// Delays measured, from an arbitrary origin, µs.
#[derive(Debug)]
pub(super) struct Delay {
    recent: [i64; RECENT],
    next: usize,
    least: i64,
    least_before: i64,
    window_started: Instant,
    /// Of the last delay.
    queue: i64,
}

impl Delay {
    pub(super) fn new(now: Instant, sample: i64) -> Self {
        let (least, least_before) = (sample, sample);
        Self { recent: [sample; RECENT], next: 0, least, least_before, window_started: now, queue: 0 }
    }

    pub(super) fn observe(&mut self, now: Instant, sample: i64) {
        self.least = self.least.min(sample);
        if now >= self.window_started + WINDOW {
            (self.least_before, self.least, self.window_started) = (self.least, sample, now);
        }
        self.recent[self.next] = sample;
        self.next = (self.next + 1) % RECENT;
        self.queue = sample - self.least();
    }

    /// The least delay is this one: there was no queue.
    pub(super) fn rebase(&mut self, now: Instant, sample: i64) {
        *self = Self::new(now, sample);
    }

    /// What all recent ones were above the least was no queue.
    pub(super) fn lengthen(&mut self, now: Instant) {
        self.rebase(now, self.recent.iter().min().copied().unwrap_or_default());
    }

    /// The least delay lately, µs.
    pub(super) fn least(&self) -> i64 {
        self.least.min(self.least_before)
    }

    /// How much the last delay was above the least.
    pub(super) fn queue(&self) -> Duration {
        micros(self.queue)
    }

    /// How much all recent ones were.
    pub(super) fn standing(&self) -> Duration {
        micros(self.recent.iter().min().copied().unwrap_or_default() - self.least())
    }
}

fn micros(micros: i64) -> Duration {
    Duration::from_micros(u64::try_from(micros).unwrap_or(0))
}
