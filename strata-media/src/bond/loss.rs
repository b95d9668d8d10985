//! What share of packets a link lost in the last seconds.

use std::time::{Duration, Instant};

/// Time of one bucket, and how many count.
const BUCKET: Duration = Duration::from_millis(500);
const BUCKETS: usize = 8;
/// Fewer packets than that say nothing about a share.
const MIN_PACKETS: u32 = 20;

/// Packets sent and lost, of the last 4 s.
#[derive(Debug)]
pub(super) struct LossWindow {
    buckets: [(u32, u32); BUCKETS],
    index: usize,
    started: Instant,
    rate: f64,
}

impl LossWindow {
    pub(super) fn new(now: Instant) -> Self {
        Self { buckets: [(0, 0); BUCKETS], index: 0, started: now, rate: 0.0 }
    }

    /// Share of packets lost, 0 to 1.
    pub(super) fn rate(&self) -> f64 {
        self.rate
    }

    pub(super) fn sent(&mut self, now: Instant) {
        self.turn(now);
        self.buckets[self.index].0 += 1;
    }

    /// A packet sent on the link did not arrive. Counted when it becomes known, not when it was sent.
    pub(super) fn lost(&mut self, now: Instant) {
        self.turn(now);
        self.buckets[self.index].1 += 1;
        self.update();
    }

    fn turn(&mut self, now: Instant) {
        if now < self.started + BUCKET {
            return;
        }
        let passed = now.saturating_duration_since(self.started).as_millis() / BUCKET.as_millis();
        for _ in 0..passed.min(BUCKETS as u128) {
            self.index = (self.index + 1) % BUCKETS;
            self.buckets[self.index] = (0, 0);
        }
        self.started += BUCKET * u32::try_from(passed).unwrap_or(u32::MAX);
        self.update();
    }

    fn update(&mut self) {
        let (sent, lost) = self.buckets.iter().fold((0, 0), |sum, b| (sum.0 + b.0, sum.1 + b.1));
        self.rate = if sent < MIN_PACKETS { 0.0 } else { (f64::from(lost) / f64::from(sent)).min(1.0) };
    }
}
