//! A token bucket: how many messages one connection may send.

use std::time::Instant;

/// Starts full.
#[derive(Debug, Clone, Copy)]
pub(super) struct Bucket {
    /// Thousandths of messages, so that slow refills are not rounded away.
    level: u64,
    burst: u64,
    per_second: u64,
    filled_at: Instant,
}

impl Bucket {
    pub(super) fn new(now: Instant, burst: u32, per_second: u32) -> Self {
        let burst = u64::from(burst) * 1000;
        Self { level: burst, burst, per_second: per_second.into(), filled_at: now }
    }

    /// Takes one message's worth; false when there is none left.
    pub(super) fn take(&mut self, now: Instant) -> bool {
        let elapsed_ms = now.saturating_duration_since(self.filled_at).as_millis();
        let gained = u64::try_from(elapsed_ms).unwrap_or(u64::MAX).saturating_mul(self.per_second);
        if gained > 0 {
            self.level = self.level.saturating_add(gained).min(self.burst);
            self.filled_at = now;
        }
        if self.level < 1000 {
            return false;
        }
        self.level -= 1000;
        true
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    #[expect(clippy::disallowed_methods, reason = "any instant will do")]
    fn refills_at_its_rate_up_to_its_burst() {
        let start = Instant::now();
        let mut bucket = Bucket::new(start, 2, 4);
        assert!(bucket.take(start) && bucket.take(start) && !bucket.take(start));
        assert!(!bucket.take(start + Duration::from_millis(249)));
        assert!(bucket.take(start + Duration::from_millis(250)));
        let later = start + Duration::from_secs(60);
        assert!(bucket.take(later) && bucket.take(later) && !bucket.take(later));
    }
}
