//! A token bucket: how many messages one connection may send, and how many more end it.

use std::time::Instant;

/// A bucket, and how often in a row it was empty.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Flood {
    bucket: Bucket,
    refused: u32,
    burst: u32,
}

/// What becomes of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Admission {
    /// It is served.
    Served,
    /// It is answered `rate_limited`.
    Refused,
    /// As many as may come at once were refused in a row: its sender does not listen, and is closed.
    Flooding,
}

impl Flood {
    pub(crate) fn new(now: Instant, burst: u32, per_second: u32) -> Self {
        Self { bucket: Bucket::new(now, burst, per_second), refused: 0, burst }
    }

    /// Counts one message.
    pub(crate) fn admit(&mut self, now: Instant) -> Admission {
        if self.bucket.take(now) {
            self.refused = 0;
            return Admission::Served;
        }
        self.refused += 1;
        if self.refused > self.burst { Admission::Flooding } else { Admission::Refused }
    }
}

/// Starts full.
#[derive(Debug, Clone, Copy)]
struct Bucket {
    /// Thousandths of messages, so that slow refills are not rounded away.
    level: u64,
    burst: u64,
    per_second: u64,
    filled_at: Instant,
}

impl Bucket {
    fn new(now: Instant, burst: u32, per_second: u32) -> Self {
        let burst = u64::from(burst) * 1000;
        Self { level: burst, burst, per_second: per_second.into(), filled_at: now }
    }

    /// Takes one message's worth; false when there is none left.
    fn take(&mut self, now: Instant) -> bool {
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
    fn as_many_refused_in_a_row_as_may_come_at_once_are_a_flood() {
        let start = Instant::now();
        let mut flood = Flood::new(start, 2, 1);
        let next = |flood: &mut Flood, ms| flood.admit(start + Duration::from_millis(ms));
        let admitted: Vec<_> = [0, 0, 0, 1000, 1000, 1000].map(|ms| next(&mut flood, ms)).to_vec();
        use Admission::{Flooding, Refused, Served};
        assert_eq!(admitted, [Served, Served, Refused, Served, Refused, Refused]);
        assert_eq!(next(&mut flood, 1000), Flooding);
    }

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
