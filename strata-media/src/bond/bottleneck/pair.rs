//! What is known of two links: do they share a bottleneck?

use std::ops::RangeInclusive;
use std::time::{Duration, Instant};

/// Less is jitter, and no queue.
const QUEUE: Duration = Duration::from_millis(20);
/// Two delays of one queue differ by no more than this, or this part of the longer one: they were not measured at the
/// very same time.
const GRAIN: Duration = Duration::from_millis(8);
const PART: f64 = 0.25;
/// Queues that were alike four times in five, of about the last 12 times, are suspected to be one.
const MEMORY: f64 = 12.0;
const SUSPECTED: f64 = 0.8;
/// Queues that differ as often as not are two.
const APART: f64 = 0.5;
/// What one trial adds to the confidence, or takes from it.
const STEP: f64 = 0.5;
/// Time from one trial to the next: while they agree; while they have shown nothing; when a group has been found; and
/// when it was found that there is none, at first, doubled each time up to the most.
const AGAIN: Duration = Duration::from_millis(500);
const UNDECIDED: Duration = Duration::from_secs(2);
const CONFIRMED: Duration = Duration::from_secs(20);
const REFUTED: Duration = Duration::from_secs(5);
const MOST_REFUTED: Duration = Duration::from_secs(160);

/// Two links.
#[derive(Debug, Clone, Copy)]
pub(super) struct Pair {
    /// Share of times that their queues were alike, 0 to 1.
    alike: f64,
    /// How sure it is that they share a bottleneck, 0 to 1.
    pub(super) confidence: f64,
    /// Whether they are taken to.
    pub(super) shared: bool,
    next_trial: Option<Instant>,
    patience: Duration,
    trials: u32,
}

impl Default for Pair {
    fn default() -> Self {
        Self { alike: 0.0, confidence: 0.0, shared: false, next_trial: None, patience: REFUTED, trials: 0 }
    }
}

/// Whether a queueing delay may be that of a queue that was within `around` then; nothing without a queue.
pub(super) fn alike(queue: Duration, around: &RangeInclusive<Duration>) -> Option<bool> {
    let longest = queue.max(*around.end());
    let tolerance = GRAIN.max(longest.mul_f64(PART));
    let within = around.start().saturating_sub(tolerance)..=*around.end() + tolerance;
    (longest >= QUEUE).then(|| within.contains(&queue))
}

impl Pair {
    /// Takes the queueing delay of one, and that of the other about the same time.
    pub(super) fn compare(&mut self, queue: Duration, around: &RangeInclusive<Duration>) {
        let Some(alike) = alike(queue, around) else { return };
        self.alike += (f64::from(u8::from(alike)) - self.alike) / MEMORY;
        if self.shared && self.alike < APART {
            *self = Self { next_trial: self.next_trial, trials: self.trials, ..Self::default() };
        }
    }

    /// Whether a trial would tell something.
    pub(super) fn is_due(&self, now: Instant) -> bool {
        let suspected = self.shared || self.alike >= SUSPECTED;
        suspected && self.next_trial.is_none_or(|at| now >= at)
    }

    /// Whose turn it is to rest.
    pub(super) fn turn(&self) -> bool {
        self.trials % 2 == 1
    }

    /// A trial has shown that the links share a queue, or that they do not, or nothing.
    pub(super) fn conclude(&mut self, now: Instant, shared: Option<bool>) {
        let wait = match shared {
            None => UNDECIDED,
            Some(true) => {
                self.trials += 1;
                self.confidence = (self.confidence + STEP).min(1.0);
                self.shared |= self.confidence >= 1.0;
                self.patience = REFUTED;
                if self.shared { CONFIRMED } else { AGAIN }
            }
            Some(false) => {
                self.trials += 1;
                self.confidence = (self.confidence - STEP).max(0.0);
                self.refute()
            }
        };
        self.next_trial = Some(now + wait);
    }

    fn refute(&mut self) -> Duration {
        if self.confidence > 0.0 {
            return AGAIN;
        }
        self.shared = false;
        let wait = self.patience;
        self.patience = (self.patience * 2).min(MOST_REFUTED);
        wait
    }
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "any instant will do")]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    #[test]
    fn what_is_alike_is_suspected_and_no_more() {
        let now = Instant::now();
        let mut pair = Pair::default();
        (0..1000).for_each(|_| pair.compare(MS * 19, &(MS * 19..=MS * 19)));
        assert!(!pair.is_due(now), "no queue, no suspicion");
        (0..100).for_each(|_| pair.compare(MS * 80, &(MS * 90..=MS * 90)));
        assert!(pair.is_due(now) && !pair.shared);
        (0..10).for_each(|_| pair.compare(MS * 80, &(MS * 20..=MS * 20)));
        assert!(!pair.is_due(now));
    }

    #[test]
    fn two_trials_join_and_two_part() {
        let now = Instant::now();
        let mut pair = Pair::default();
        let shared =
            [(true, false), (false, false), (true, false), (true, true), (false, true), (false, false)];
        for (shown, then) in shared {
            pair.conclude(now, Some(shown));
            assert_eq!(pair.shared, then);
        }
    }

    #[test]
    fn queues_that_differ_part() {
        let now = Instant::now();
        let mut pair = Pair::default();
        (0..200).for_each(|_| pair.compare(MS * 80, &(MS * 90..=MS * 90)));
        (0..2).for_each(|_| pair.conclude(now, Some(true)));
        (0..40).for_each(|_| pair.compare(MS * 80, &(MS * 10..=MS * 10)));
        assert!(!pair.shared && pair.confidence == 0.0);
    }

    #[test]
    fn what_is_refuted_is_tried_more_and_more_seldom() {
        let mut now = Instant::now();
        let mut pair = Pair::default();
        (0..200).for_each(|_| pair.compare(MS * 80, &(MS * 90..=MS * 90)));
        for seconds in [5, 10, 20, 40, 80, 160, 160] {
            pair.conclude(now, Some(false));
            assert!(!pair.is_due(now + MS * (seconds * 1000 - 1)));
            now += MS * (seconds * 1000);
            assert!(pair.is_due(now));
        }
    }
}
