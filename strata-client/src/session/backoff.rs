//! How long to wait before the next attempt: 1, 2, 4, … 30 s with full jitter (control-facts, *Sender agent*).

use std::time::Duration;

use rand::RngExt as _;
use rand::rngs::StdRng;

/// Doubling steps with full jitter.
#[derive(Debug)]
pub(super) struct Backoff {
    min: Duration,
    max: Duration,
    failures: u32,
}

impl Backoff {
    pub(super) fn new(min: Duration, max: Duration) -> Self {
        Self { min, max: max.max(min), failures: 0 }
    }

    /// The next wait: between nothing and the step, so that a fleet does not come back as one.
    pub(super) fn next(&mut self, rng: &mut StdRng) -> Duration {
        let step = self.step();
        self.failures = self.failures.saturating_add(1);
        step.mul_f64(rng.random_range(0.0..=1.0))
    }

    /// The wait after a refusal: between half of the longest step and all of it.
    pub(super) fn slow(&mut self, rng: &mut StdRng) -> Duration {
        self.failures = self.failures.saturating_add(1);
        self.max.mul_f64(rng.random_range(0.5..=1.0))
    }

    /// After a good session: the next failure is a first one.
    pub(super) fn reset(&mut self) {
        self.failures = 0;
    }

    fn step(&self) -> Duration {
        2u32.checked_pow(self.failures)
            .and_then(|factor| self.min.checked_mul(factor))
            .map_or(self.max, |d| d.min(self.max))
    }
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng as _;

    use super::*;

    #[test]
    fn steps_double_to_the_maximum_and_jitter_fills_them() {
        let mut steps = Vec::new();
        let mut widest = [0.0f64; 8];
        for seed in 0..500 {
            let mut rng = StdRng::seed_from_u64(seed);
            let mut backoff = Backoff::new(Duration::from_secs(1), Duration::from_secs(30));
            steps.clear();
            for widest in &mut widest {
                let step = backoff.step();
                let wait = backoff.next(&mut rng);
                assert!(wait <= step, "{wait:?} is over the step {step:?}");
                *widest = widest.max(wait.as_secs_f64() / step.as_secs_f64());
                steps.push(step.as_secs());
            }
        }
        assert_eq!(steps, [1, 2, 4, 8, 16, 30, 30, 30]);
        assert!(widest.iter().all(|w| *w > 0.98), "jitter does not fill the step: {widest:?}");
    }

    #[test]
    fn a_thousand_failures_overflow_nothing() {
        let mut rng = StdRng::seed_from_u64(1);
        let mut backoff = Backoff::new(Duration::from_secs(1), Duration::from_secs(30));
        for _ in 0..1000 {
            assert!(backoff.next(&mut rng) <= Duration::from_secs(30));
        }
        backoff.reset();
        assert!(backoff.next(&mut rng) <= Duration::from_secs(1));
    }

    #[test]
    fn slow_waits_are_in_the_upper_half() {
        let mut rng = StdRng::seed_from_u64(1);
        let mut backoff = Backoff::new(Duration::from_secs(1), Duration::from_secs(30));
        for _ in 0..100 {
            let wait = backoff.slow(&mut rng);
            assert!((15..=30).contains(&wait.as_secs()), "{wait:?}");
        }
    }
}
