//! Datagrams that come close to each other are passed on together: to be woken for one costs more than to pass it on.

use std::time::Duration;

use tokio::time::{Instant, sleep_until};

/// How long datagrams gather that come closer to each other than that.
const GATHER: Duration = Duration::from_millis(1);

/// Until when what comes in is left where it is, to be passed on together.
#[derive(Debug, Default)]
pub(super) struct Gathering {
    until: Option<Instant>,
    passed: Option<Instant>,
}

impl Gathering {
    /// So many datagrams were passed on, and `more` may be there; whether those that follow gather.
    pub(super) fn passed(&mut self, now: Instant, taken: usize, more: bool) -> bool {
        let before = self.passed.replace(now);
        // A single one does not keep the next waiting, but if it follows another closely.
        let is_close =
            taken > 0 && self.until.is_none() && before.is_some_and(|before| now < before + GATHER);
        self.until = (taken > 1 || is_close).then(|| if more { now } else { now + GATHER });
        self.until.is_some()
    }

    /// Waits until something may have come in, as `readable` says, or enough has gathered.
    pub(super) async fn over(&self, readable: impl Future<Output = ()>) {
        match self.until {
            Some(until) => sleep_until(until).await,
            None => readable.await,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Datagrams that are passed on at once.
    const AT_ONCE: usize = 64;

    /// How long each of these datagrams, at so many microseconds, waits to be passed on, and how many wake-ups that takes.
    fn waits(came: &[u64]) -> (Vec<u64>, usize) {
        let start = Instant::now();
        let (mut gathering, mut at, mut wakes) = (Gathering::default(), 0, 0);
        let (mut waits, mut left) = (Vec::new(), came);
        while let Some(first) = left.first() {
            at = gathering.until.map_or(*first, |until| (until - start).as_micros() as u64).max(at);
            let taken = left.partition_point(|came| *came <= at).min(AT_ONCE);
            waits.extend(left[..taken].iter().map(|came| at - came));
            left = &left[taken..];
            wakes += 1;
            gathering.passed(start + Duration::from_micros(at), taken, taken == AT_ONCE);
        }
        (waits, wakes)
    }

    /// 100 Mbit/s, and 6: what comes often waits for a millisecond at most, what comes seldom not at all.
    #[tokio::test]
    async fn datagrams_gather_where_many_come() {
        let (often, wakes) = waits(&(0..1000).map(|i| i * 105).collect::<Vec<_>>());
        assert!(often.iter().all(|wait| *wait <= 1000) && wakes <= 108, "{wakes}: {often:?}");
        let (seldom, wakes) = waits(&(0..1000).map(|i| i * 1754).collect::<Vec<_>>());
        assert_eq!((seldom, wakes), (vec![0; 1000], 1000));
        // More than are passed on at once.
        let (fast, wakes) = waits(&(0..10_000).map(|i| i * 10).collect::<Vec<_>>());
        assert!(fast.iter().all(|wait| *wait <= 1000) && wakes <= 210, "{wakes}: {fast:?}");
        // A picture at a time: those that come with the first wait for nobody.
        let (pictures, wakes) = waits(&(0..1000).map(|i| i / 10 * 33_333).collect::<Vec<_>>());
        assert_eq!((pictures, wakes), (vec![0; 1000], 199));
    }
}
