//! Round-trip times by echo (TR-06-1:2020, 5.2.6).

use std::time::{Duration, Instant};

use super::seed::Seed;

/// Requests whose answer is waited for: at one per 20 ms, the longest round trip is 640 ms; at 100 ms, 3.2 s.
const OUTSTANDING: usize = 32;

/// A round trip is as long as those before it when it differs by less than this part of them (one n-th): what is
/// smoothed by an eighth follows anyway.
const STEADY: u32 = 8;

/// What one answer told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Sample {
    /// When the request was sent.
    pub(super) sent_at: Instant,
    /// Round-trip time without the peer's processing.
    pub(super) rtt: Duration,
}

/// The echo of one path. A time stamp is a random number remembered here, so that an answer cannot be forged
/// by someone who has not seen the request.
#[derive(Debug)]
pub(super) struct Echo {
    stamps: Seed,
    outstanding: [Option<(u64, Instant)>; OUTSTANDING],
    next: usize,
    srtt: Option<Duration>,
    steady: bool,
}

impl Echo {
    pub(super) fn new(seed: u64) -> Self {
        Self { stamps: Seed::new(seed), outstanding: [None; OUTSTANDING], next: 0, srtt: None, steady: false }
    }

    /// Smoothed round-trip time.
    pub(super) fn srtt(&self) -> Option<Duration> {
        self.srtt
    }

    /// Whether the last round trip was as long as those before it.
    pub(super) fn is_steady(&self) -> bool {
        self.steady
    }

    /// The time stamp of a request sent now.
    pub(super) fn request(&mut self, now: Instant) -> u64 {
        let stamp = self.stamps.next();
        self.outstanding[self.next] = Some((stamp, now));
        self.next = (self.next + 1) % OUTSTANDING;
        stamp
    }

    /// Takes an answer; `None` when it answers no request.
    pub(super) fn answer(&mut self, now: Instant, stamp: u64, processing_us: u32) -> Option<Sample> {
        let slot = self.outstanding.iter_mut().find(|slot| slot.is_some_and(|(s, _)| s == stamp))?;
        let (_, sent_at) = slot.take()?;
        let elapsed = now.saturating_duration_since(sent_at);
        let rtt = elapsed.saturating_sub(Duration::from_micros(processing_us.into()));
        self.smooth(rtt);
        Some(Sample { sent_at, rtt })
    }

    /// Takes a round-trip time measured otherwise, by the reports (RFC 3550, 6.4.1).
    pub(super) fn smooth(&mut self, rtt: Duration) {
        self.steady = self.srtt.is_some_and(|srtt| rtt.abs_diff(srtt) < srtt / STEADY);
        // RFC 6298, 2.3: one eighth of the new value.
        self.srtt = Some(self.srtt.map_or(rtt, |srtt| (srtt * 7 + rtt) / 8));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[expect(clippy::disallowed_methods, reason = "any instant will do")]
    fn only_answers_to_requests_count_and_only_once() {
        let now = Instant::now();
        let mut echo = Echo::new(1);
        let stamp = echo.request(now);
        let later = now + Duration::from_millis(30);
        assert_eq!(echo.answer(later, stamp ^ 1, 0), None);
        let sample = echo.answer(later, stamp, 10_000).unwrap();
        assert_eq!(sample, Sample { sent_at: now, rtt: Duration::from_millis(20) });
        assert_eq!(echo.answer(later, stamp, 0), None);
        assert_eq!(echo.srtt(), Some(Duration::from_millis(20)));
        let old = echo.request(now);
        for _ in 0..OUTSTANDING {
            echo.request(now);
        }
        assert_eq!(echo.answer(later, old, 0), None);
    }
}
