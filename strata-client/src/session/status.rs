//! When the next `device.status` is due: after login, at each interval, soon after a change.

use std::time::{Duration, Instant};

/// The clock of `device.status`.
#[derive(Debug)]
pub(super) struct StatusClock {
    interval: Duration,
    debounce: Duration,
    last: Option<Instant>,
    due: Option<Instant>,
}

impl StatusClock {
    pub(super) fn new(interval: Duration, debounce: Duration) -> Self {
        Self { interval: interval.max(SHORTEST), debounce, last: None, due: None }
    }

    /// What the server's settings ask for; zero is taken as the shortest interval there is.
    pub(super) fn set_interval(&mut self, interval: Duration) {
        self.interval = interval.clamp(SHORTEST, LONGEST);
    }

    /// The session opened: the first one is due at once.
    pub(super) fn start(&mut self, now: Instant) {
        self.due = Some(now);
    }

    /// The session is gone.
    pub(super) fn stop(&mut self) {
        self.due = None;
    }

    /// The device changed. Further changes do not move the time: a device that changes without
    /// end is still heard, though not more than once a second.
    pub(super) fn changed(&mut self, now: Instant) {
        if let Some(due) = &mut self.due {
            let earliest = self.last.map_or(now, |last| last + SHORTEST);
            *due = (*due).min((now + self.debounce).max(earliest));
        }
    }

    /// Whether it is time; the next one is an interval away then.
    pub(super) fn fire(&mut self, now: Instant) -> bool {
        let is_due = self.due.is_some_and(|due| due <= now);
        if is_due {
            self.last = Some(now);
            self.due = Some(now + self.interval);
        }
        is_due
    }

    /// When the next one is due.
    pub(super) fn timeout(&self) -> Option<Instant> {
        self.due
    }
}

/// However often the device changes or the server asks.
const SHORTEST: Duration = Duration::from_secs(1);
/// However seldom the server asks: the fleet's view must not be older.
const LONGEST: Duration = Duration::from_secs(3600);
