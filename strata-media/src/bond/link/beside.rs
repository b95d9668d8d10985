//! A link beside others with which it may share a bottleneck.

use std::time::{Duration, Instant};

use super::{HELD, Link};

impl Link {
    /// What it carries beside those that share its bottleneck, bit/s.
    pub(in crate::bond) fn carried_bps(&self) -> f64 {
        self.capacity.bps() * self.part
    }

    /// The newest queueing delay that was not taken yet, and when the packet was sent that showed it.
    pub(in crate::bond) fn take_sample(&mut self) -> Option<(Instant, Duration)> {
        self.sample.take()
    }

    /// Whether something had to wait, as it was full, when that was sent.
    pub(super) fn was_held(&self, sent_at: Instant) -> bool {
        self.held.is_some_and(|held| sent_at <= held + HELD)
    }

    /// Whether what arrived since [`Link::shown`] shows what it carries: a queue did while something had to wait.
    pub(in crate::bond) fn shows(&self) -> bool {
        self.shows
    }

    /// What it has shown was made use of.
    pub(in crate::bond) fn shown(&mut self) {
        self.shows = false;
    }

    /// Whether it shares a bottleneck with another one.
    pub(in crate::bond) fn is_beside(&self, other: &Self) -> bool {
        self.group.is_some() && self.group == other.group
    }
}
