//! What a delay above the least is: a queue, or a way that has become longer.
//!
//! A queue moves: it grows while more is sent than the link carries, by no more at a time than one packet takes, and it
//! drains while less is. A way that becomes longer does so between one packet and the next, and then stands, however
//! little is sent. So only a delay that moves shows what the link carries; one that stands shows no more than that what
//! was sent arrived. And one that came at once, and did not drain when a queue would have, is the way's own.

use std::time::Duration;

/// A delay that moves by more has moved: arrival times are known to 1 ms, at both ends of a difference, and so are the
/// times at which packets are sent.
const GRAIN: Duration = Duration::from_millis(3);
/// So many mean deviations of a delay that jitters are no move. Where delays are independent of each other, that of a
/// second difference is twice their standard deviation, so this is four times that of what two of them differ by: a
/// few in a minute. More would hide queues on a mobile link, whose delay jitters by what waits there.
const JITTER_FACTOR: u32 = 3;
/// Part of a new deviation that is taken: one of the last eight looks, 200 ms.
const JITTER_PART: u32 = 8;
/// A larger deviation counts as one of so much: it is no jitter that goes on.
const MOST_JITTER: Duration = Duration::from_millis(10);
/// One packet takes no more than that, of a link that carries the least that is assumed, 200 kbit/s: 54 ms for 1350 bytes.
const LONGEST_PACKET: Duration = Duration::from_millis(55);
/// A jump is seen in the least of the last few delays so much later, at most; and another one after it is that of a link
/// that jitters, or stands still now and then, under which a queue may grow.
const ONE_JUMP: Duration = Duration::from_secs(1);
/// A queue that should have drained by so much more than it did is none: more than one packet takes.
const OVERDUE: Duration = Duration::from_millis(60);
/// The same while the link is full: another one may have filled the same queue at once, and fill it up while it drains.
const OVERDUE_FULL: Duration = Duration::from_millis(200);
/// The same for one that has not come at once.
const LONG_OVERDUE: Duration = Duration::from_millis(500);
/// Share of what it is taken to carry from which on a link is full, though nothing had to wait.
const FULL_SHARE: f64 = 0.9;
/// It is seen so often that it did not drain: the least of the last four delays is new all through, twice.
const LOOKS: u32 = 8;
/// An estimate may be too high by so much, of one, when a queue stands because just what the link carries is sent.
const MARGIN: f64 = 0.05;

/// What is seen of a delay.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Seen {
    /// It grows or drains: it is that of a queue.
    Moves,
    /// It stands while as much is sent as the link is believed to carry, or there is none.
    Full,
    /// It stands while less is sent, or has come at once.
    Stands,
    /// It is the way's own.
    Way,
}

/// What was measured since the last look.
#[derive(Debug, Clone, Copy)]
pub(super) struct Look {
    /// Time that it took by the receiver's clock, and what would have been needed of it for what arrived.
    pub(super) span: Duration,
    pub(super) busy: Duration,
    /// How much all recent delays are above the least.
    pub(super) above: Duration,
    /// By how much the delay grew at most from one packet to the next.
    pub(super) jump: Duration,
    /// Less above the least is jitter.
    pub(super) threshold: Duration,
    /// Whether the link was full when that was sent, so that something had to wait.
    pub(super) full: bool,
}

/// Looks at what is above the least delay of one link.
#[derive(Debug, Default)]
pub(super) struct Standing {
    /// Where it was when it last moved.
    level: Duration,
    /// By how much it may have grown at once.
    jump: Duration,
    /// Time since it jumped; nothing when it did not, or has grown by and by since.
    since: Option<Duration>,
    /// Whether what it is has come at once.
    stepped: bool,
    /// By how much a queue would have drained since, s, as so many looks have shown.
    due: f64,
    looks: u32,
    /// Share that arrived of what the link is taken to carry, over the last eight looks or so.
    share: f64,
    /// The last two, of the oldest first, and the mean deviation of the next from the line through them.
    last: [Duration; 2],
    deviation: Duration,
}

impl Standing {
    /// Takes a look, one after every report.
    pub(super) fn look(&mut self, look: Look) -> Seen {
        self.note_jump(&look);
        self.note_jitter(look.above);
        self.note_share(&look);
        if look.above <= look.threshold {
            (self.level, self.stepped) = (look.above, false);
            self.wait();
            return if look.full { Seen::Full } else { Seen::Stands };
        }
        let tolerance = GRAIN.max(self.deviation * JITTER_FACTOR);
        let grown = look.above.saturating_sub(self.level);
        if grown > tolerance && grown <= self.jump + tolerance {
            (self.level, self.stepped, self.jump) = (look.above, true, Duration::ZERO);
            self.wait();
            return Seen::Stands;
        }
        let moved = look.above.abs_diff(self.level);
        if self.stepped && moved > GRAIN * 2 {
            // What has drained may stand now; what grows by and by is a queue.
            self.stepped = grown.is_zero();
            self.level = look.above;
            self.wait();
        }
        if moved > tolerance {
            self.level = look.above;
            return Seen::Moves;
        }
        self.judge(&look)
    }

    /// What a delay is that stands.
    fn judge(&mut self, look: &Look) -> Seen {
        if look.full && !self.stepped {
            self.wait();
            return Seen::Full;
        }
        if self.share > FULL_SHARE && !self.stepped {
            return Seen::Full;
        }
        // While nothing at all arrived, nothing drained.
        let time = look.span.saturating_sub(look.jump).as_secs_f64();
        self.due += time * (1.0 - MARGIN) - look.busy.as_secs_f64();
        self.looks += 1;
        let overdue = match (self.stepped, look.full) {
            (true, false) => OVERDUE,
            (true, true) => OVERDUE_FULL,
            (false, _) => LONG_OVERDUE,
        };
        if self.looks < LOOKS || self.due <= overdue.as_secs_f64() {
            return Seen::Stands;
        }
        *self = Self { deviation: self.deviation, share: self.share, ..Self::default() };
        Seen::Way
    }

    /// A queue has the time to drain again.
    fn wait(&mut self) {
        (self.due, self.looks) = (0.0, 0);
    }

    fn note_jump(&mut self, look: &Look) {
        self.since = self.since.map(|since| since + look.span).filter(|&since| since < ONE_JUMP);
        if self.since.is_none() {
            self.jump = Duration::ZERO;
        }
        if self.since.is_none() && look.jump > LONGEST_PACKET {
            (self.since, self.jump) = (Some(Duration::ZERO), look.jump);
        }
    }

    fn note_share(&mut self, look: &Look) {
        let span = look.span.max(GRAIN).as_secs_f64();
        self.share += (look.busy.as_secs_f64() / span - self.share) / f64::from(LOOKS);
    }

    fn note_jitter(&mut self, above: Duration) {
        let [first, second] = self.last;
        self.last = [second, above];
        let deviation = (above + first).abs_diff(second * 2).min(MOST_JITTER);
        self.deviation = (self.deviation * (JITTER_PART - 1) + deviation) / JITTER_PART;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    /// What is seen at 25 ms each of a link taken to carry four times what it is given, of which the delay is `above` a base that
    /// moves when the way is found to be longer.
    fn seen(full: bool, jump: Duration, above: impl Fn(u32) -> Duration) -> Vec<Seen> {
        let (mut standing, mut base) = (Standing::default(), Duration::ZERO);
        let look = |i: u32| {
            let seen = standing.look(Look {
                span: MS * 25,
                busy: MS * 25 / 4,
                above: above(i).saturating_sub(base),
                jump: if i == 10 { jump } else { Duration::ZERO },
                threshold: MS * 15,
                full,
            });
            if seen == Seen::Way {
                base = (i - 3..=i).map(&above).min().unwrap();
            }
            seen
        };
        (0..100).map(look).collect()
    }

    fn after(seen: &[Seen], wanted: Seen) -> Option<usize> {
        seen.iter().position(|&seen| seen == wanted)
    }

    /// It is seen in the least of four delays three looks later.
    fn step(i: u32) -> Duration {
        if i < 13 { Duration::ZERO } else { MS * (100 + i % 2) }
    }

    #[test]
    fn what_came_at_once_and_stands_is_the_way() {
        let seen = seen(false, MS * 100, step);
        assert_eq!(after(&seen, Seen::Way), Some(13 + LOOKS as usize));
        assert_eq!(after(&seen, Seen::Moves), None);
    }

    /// A full link may share a queue with another, which is given more time.
    #[test]
    fn what_stands_on_a_full_link_is_given_more_time() {
        let seen = seen(true, MS * 100, step);
        let needed = OVERDUE_FULL.as_secs_f64() / (0.025 * (1.0 - MARGIN - 0.25));
        assert_eq!(after(&seen, Seen::Way), Some(13 + needed.ceil() as usize));
    }

    /// It was no jump, or nothing is known of one.
    #[test]
    fn what_stands_on_a_full_link_and_came_by_and_by_is_a_queue() {
        let seen = seen(true, Duration::ZERO, |i| MS * (i * 5).min(100));
        assert!(!seen.contains(&Seen::Way) && !seen.contains(&Seen::Stands));
    }

    #[test]
    fn what_grows_or_drains_moves() {
        let grows = seen(false, Duration::ZERO, |i| MS * 20 + MS * 5 * i);
        assert!(grows[20..].iter().all(|&seen| seen == Seen::Moves), "{grows:?}");
        // The link stood still for 300 ms, and what waited meanwhile drains.
        let drains =
            seen(false, MS * 300, |i| if i < 13 { MS } else { (MS * 460).saturating_sub(MS * 12 * i) });
        assert_eq!(after(&drains, Seen::Way), None);
        assert!(drains[20..30].iter().all(|&seen| seen == Seen::Moves), "{drains:?}");
    }

    #[test]
    fn jitter_is_no_move() {
        let seen = seen(false, Duration::ZERO, |i| MS * (30 + i * 7 % 20));
        assert!(!seen[10..].contains(&Seen::Moves), "{seen:?}");
    }
}
