//! The sender reports of one path, and the round trips that its receiver's reports tell (RFC 3550, 6.4.1).

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use super::echo::{LONGEST, Sample};

/// Reports that are remembered: those of [`LONGEST`], one every 50 ms.
const MOST: usize = 100;

/// Which reports were sent on a path. Times in reports start anywhere ([`super::Sender`]), so that nobody can name one
/// who has not seen it.
#[derive(Debug, Default)]
pub(super) struct Reports {
    sent: VecDeque<(u32, Instant)>,
    /// When the newest report that a receiver told of was sent, and how long after it came that was.
    heard: Option<(Instant, Duration)>,
}

impl Reports {
    /// A report with this time is sent now.
    pub(super) fn report(&mut self, now: Instant, ntp: u64) {
        if self.sent.len() == MOST {
            self.sent.pop_front();
        }
        self.sent.push_back((middle(ntp), now));
    }

    /// Takes what a receiver tells of the last report that came to it: how long ago that was, 1/65536 s. `None` when no such report
    /// was sent, or not so long ago, or long ago; and when this is not newer than what was heard.
    pub(super) fn heard(&mut self, now: Instant, last_report: u32, delay: u32) -> Option<Sample> {
        let &(_, sent_at) = self.sent.iter().rev().find(|(middle, _)| *middle == last_report)?;
        let delay = Duration::from_nanos((u64::from(delay) * 1_000_000_000) >> 16);
        let elapsed = now.saturating_duration_since(sent_at);
        let rtt = elapsed.checked_sub(delay)?;
        if elapsed > LONGEST || self.heard.is_some_and(|(at, after)| sent_at + delay <= at + after) {
            return None;
        }
        self.heard = Some((sent_at, delay));
        Some(Sample { sent_at, rtt })
    }
}

/// The part of a time that receivers tell again.
fn middle(ntp: u64) -> u32 {
    (ntp >> 16) as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    #[expect(clippy::disallowed_methods, reason = "any instant will do")]
    fn start() -> Instant {
        Instant::now()
    }

    #[test]
    fn only_what_was_sent_is_believed_and_only_once() {
        let (now, mut reports) = (start(), Reports::default());
        reports.report(now, 0x1111_2222_3333_4444);
        reports.report(now + MS * 50, 0x1111_2223_3333_4444);
        let mut heard = |ms: u32, last: u32, delay_ms: u32| {
            reports.heard(now + MS * ms, last, delay_ms * 65_536 / 1000).map(|sample| sample.rtt.as_millis())
        };
        assert_eq!(heard(100, 0x2222_3334, 0), None, "no such report");
        assert_eq!(heard(100, 0x2222_3333, 101), None, "it was not sent yet");
        assert_eq!(heard(100, 0x2222_3333, 64), Some(36));
        assert_eq!(heard(120, 0x2222_3333, 64), None, "again");
        assert_eq!(heard(120, 0x2222_3333, 32), None, "older");
        assert_eq!(heard(5000, 0x2223_3333, 4900), Some(50));
        assert_eq!(heard(5051, 0x2223_3333, 5000), None, "longer ago than counts");
    }

    #[test]
    fn reports_are_remembered_within_bounds() {
        let (now, mut reports) = (start(), Reports::default());
        for number in 0..=MOST as u64 {
            reports.report(now, number << 16);
        }
        assert_eq!(reports.sent.len(), MOST);
        assert!(reports.heard(now + MS, 0, 0).is_none() && reports.heard(now + MS, 1, 0).is_some());
    }
}
