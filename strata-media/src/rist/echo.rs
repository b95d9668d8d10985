//! Round-trip times by echo (TR-06-1:2020, 5.2.6).

use std::time::{Duration, Instant};

use super::seed::Seed;

/// Requests whose answer is waited for: at one per 20 ms, the longest round trip is 640 ms; at 100 ms, 3.2 s.
const OUTSTANDING: usize = 32;

/// An answer that comes later than this tells of a path that is of no use, or was held back on purpose: buffers of mobile networks
/// hold seconds, and a latency is seldom longer.
pub(super) const LONGEST: Duration = Duration::from_secs(5);

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
    /// When the newest request was sent that was answered.
    answered: Option<Instant>,
}

impl Echo {
    pub(super) fn new(seed: u64) -> Self {
        Self {
            stamps: seed.into(),
            outstanding: [None; OUTSTANDING],
            next: 0,
            srtt: None,
            steady: false,
            answered: None,
        }
    }

    /// Smoothed round-trip time.
    pub(super) fn srtt(&self) -> Option<Duration> {
        self.srtt
    }

    /// Whether the last round trip was as long as those before it.
    pub(super) fn is_steady(&self) -> bool {
        self.steady
    }

    /// When the oldest request was sent that has no answer, nor has one after it.
    pub(super) fn unanswered(&self) -> Option<Instant> {
        let asked = self.outstanding.iter().flatten().map(|&(_, sent_at)| sent_at);
        asked.filter(|&sent_at| self.answered.is_some_and(|answered| sent_at > answered)).min()
    }

    /// The time stamp of a request sent now.
    pub(super) fn request(&mut self, now: Instant) -> u64 {
        let stamp = self.stamps.next();
        self.outstanding[self.next] = Some((stamp, now));
        self.next = (self.next + 1) % OUTSTANDING;
        stamp
    }

    /// Takes an answer; `None` when it answers no request, or one of long ago.
    pub(super) fn answer(&mut self, now: Instant, stamp: u64, processing_us: u32) -> Option<Sample> {
        let sent_at = self.take(stamp)?;
        let elapsed = now.saturating_duration_since(sent_at);
        if elapsed > LONGEST {
            return None;
        }
        let rtt = elapsed.saturating_sub(Duration::from_micros(processing_us.into()));
        self.smooth(rtt);
        self.answered = self.answered.max(Some(sent_at));
        Some(Sample { sent_at, rtt })
    }

    /// Takes an answer that has waited here to be read: there was one, and it tells no round trip. Whether it was asked for.
    pub(super) fn answer_read_late(&mut self, stamp: u64) -> bool {
        let sent_at = self.take(stamp);
        self.answered = self.answered.max(sent_at);
        sent_at.is_some()
    }

    /// When the request of this stamp was sent, if it has no answer yet.
    fn take(&mut self, stamp: u64) -> Option<Instant> {
        let slot = self.outstanding.iter_mut().find(|slot| slot.is_some_and(|(s, _)| s == stamp))?;
        slot.take().map(|(_, sent_at)| sent_at)
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
        assert_eq!(echo.unanswered(), None);
        let old = echo.request(now + Duration::from_millis(1));
        assert_eq!(echo.unanswered(), Some(now + Duration::from_millis(1)));
        for _ in 0..OUTSTANDING {
            echo.request(now);
        }
        assert_eq!(echo.answer(later, old, 0), None);
        let late = echo.request(later);
        assert!(echo.answer_read_late(late) && !echo.answer_read_late(late));
        assert_eq!((echo.unanswered(), echo.answer(later, late, 0)), (None, None));
        assert_eq!(echo.srtt(), Some(Duration::from_millis(20)));
        for (age, counts) in [(LONGEST, true), (LONGEST + Duration::from_millis(1), false)] {
            let stamp = echo.request(later);
            assert_eq!(echo.answer(later + age, stamp, 0).is_some(), counts);
        }
    }
}
