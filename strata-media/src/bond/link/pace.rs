//! How fast a link is given what is there at once: a few packets, and then twice what it is believed to carry, in batches of a
//! millisecond. A queue on the way that is too short for a whole keyframe takes it then.

use std::time::{Duration, Instant};

use super::{Link, LinkState, OVERHEAD};

/// What is given at a time.
const BATCH: Duration = Duration::from_millis(1);
/// Packets that are given at once to a link that was given nothing lately (RFC 9002, 7.7).
const BURST: u32 = 10;
/// Times what the link is believed to carry: nothing comes later by that than the link itself would have it, even if it carries
/// twice as much.
const GAIN: f64 = 2.0;
/// Who wakes late makes up for so much: timers have a grain of 1 ms, and fire up to as much later.
const CATCH_UP: Duration = Duration::from_millis(4);

/// When a link may be given more.
#[derive(Debug)]
pub(super) struct Pace {
    /// What it was given has been handed out by then.
    until: Instant,
    /// When it may be given the next batch, after a whole one.
    next: Option<Instant>,
}

impl Pace {
    pub(super) fn new(now: Instant) -> Self {
        Self { until: now, next: None }
    }

    /// It is given what takes so much time.
    fn give(&mut self, now: Instant, time: Duration) {
        let goes_on = self.next.is_some_and(|next| now <= next + CATCH_UP);
        self.until = if goes_on { self.until } else { self.until.max(now) } + time;
        let burst = BATCH.max(time * BURST);
        self.next = (self.until >= now + burst).then(|| self.until + BATCH - burst);
    }
}

impl Link {
    /// When it may be given more, if that is not now.
    pub(in crate::bond) fn paced_until(&self, now: Instant) -> Option<Instant> {
        self.pace.next.filter(|&next| next > now)
    }

    /// Whether it may be given more now: it is not full ([`Link::is_full`]), and was not just given a whole batch.
    pub(in crate::bond) fn has_room(
        &self,
        now: Instant,
        ahead: Duration,
        queue: Duration,
        alone: bool,
    ) -> bool {
        !self.is_full(now, ahead, queue, alone) && self.paced_until(now).is_none()
    }

    /// It is given a datagram. What it carries is not known before it has answered: until then, everything is sent by it; nor
    /// in the first second, when there is nothing to tell it by but echoes.
    pub(super) fn pace(&mut self, now: Instant, len: usize) {
        if self.state == LinkState::Probe || self.state == LinkState::Warm && self.transit.is_none() {
            return;
        }
        let time = Duration::from_secs_f64((len + OVERHEAD) as f64 * 8.0 / (self.carried_bps() * GAIN));
        // Towards a peer that tells nothing, it is sent as fast as finds out what the link carries.
        self.pace.give(now, time.min(self.airtime(len)));
    }
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "any instant will do")]
mod tests {
    use super::*;

    const PACKET: Duration = Duration::from_micros(250);

    /// How many packets may be given at a time.
    fn given(pace: &mut Pace, now: Instant) -> u32 {
        let mut count = 0;
        while pace.next.is_none_or(|next| next <= now) {
            pace.give(now, PACKET);
            count += 1;
        }
        count
    }

    /// Ten packets, then four in each millisecond; who comes late makes up for it, but for no more than a timer's delay.
    #[test]
    fn a_burst_and_then_batches() {
        let start = Instant::now();
        let at = |ms: u64| start + Duration::from_millis(ms);
        let mut pace = Pace::new(start);
        let counts: Vec<_> = (0..5).map(|ms| given(&mut pace, at(ms))).collect();
        assert_eq!(counts, [10, 4, 4, 4, 4]);
        assert_eq!((given(&mut pace, at(6)), given(&mut pace, at(7))), (8, 4), "1 ms late");
        assert_eq!(given(&mut pace, at(1000)), 10, "nothing was given lately");
        assert_eq!(given(&mut pace, at(1000)), 0);
    }
}
