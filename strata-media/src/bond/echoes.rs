//! What a round trip above the least is, where nothing else is told: a queue, or a way that has become longer.
//!
//! As with the delays that a receiver tells of ([`super::standing`]): a queue moves. It grows while more is sent than the link
//! carries, until it is full and loses; it drains while less is. Round trips are measured seldom, so that one which has grown
//! may be either; what follows tells. One that stands, though it should have drained by what the link was taken to carry, and
//! nothing is missing, is the way's own; and all that was measured by it was not.

use std::time::Duration;

use super::capacity::Known;

/// A round trip that differs by more has moved: both ends keep time to 1 ms, and a packet of a slow link may be before it.
const GRAIN: Duration = Duration::from_millis(3);
/// So many mean deviations of round trips that jitter are no move, as of one-way delays.
const JITTER_FACTOR: u32 = 3;
/// Part of a new deviation that is taken: one of the last eight.
const JITTER_PART: u32 = 8;
/// A larger deviation counts as one of so much: it is no jitter that goes on.
const MOST_JITTER: Duration = Duration::from_millis(30);
/// Both directions of a way become longer one after the other, as an answer under way shows, and one more change may come
/// meanwhile. A queue that grows does so more often, as what is sent is not lowered before the first of its echoes is back.
const STEPS: u32 = 3;
/// A queue that should have drained by so much more than it did is none: more than one packet takes.
const OVERDUE: Duration = Duration::from_millis(60);
/// The same for one that came by and by: another stream may fill it up.
const LONG_OVERDUE: Duration = Duration::from_millis(200);
/// It is seen so often that it did not drain: what they have in common is new all through.
const LOOKS: u32 = 4;
/// An estimate may be too high by so much, of one, when a queue stands because just what the link carries is sent.
const MARGIN: f64 = 0.05;
/// A link that loses such a share more than it did before there was a queue has one that is full.
const OVERFLOW: f64 = 0.1;

/// What lies between two echoes.
#[derive(Debug, Clone, Copy)]
pub(super) struct Echo {
    /// From one request to the next.
    pub(super) time: Duration,
    /// How much the round trip is above the least.
    pub(super) above: Duration,
    /// Less above the least is jitter.
    pub(super) threshold: Duration,
    /// Bytes sent meanwhile, and those that were told to be lost, whenever they were sent.
    pub(super) bytes: u64,
    pub(super) lost: u64,
    /// Share of packets lost, 0 to 1.
    pub(super) loss: f64,
    /// Whether something had to wait, as the link was full.
    pub(super) full: bool,
    /// What the link is taken to carry, and its part of that beside others behind the same bottleneck.
    pub(super) known: Known,
    pub(super) part: f64,
}

/// What is heard of a link.
#[derive(Debug, Clone, Copy)]
pub(super) enum Heard {
    /// What it carries, if it has a queue.
    Carried,
    /// No more than that what was sent passed.
    Passed,
    /// What is above the least is the way's own, and this is known of what it carries.
    Way(Known),
}

/// Looks at the round trips of one link.
#[derive(Debug, Default)]
pub(super) struct Echoes {
    /// What was known when there was no queue, and when the round trip last moved.
    before: Option<Known>,
    at_level: Option<Known>,
    /// Where the round trip was when it last moved.
    level: Duration,
    /// How often it grew since there was no queue, and whether it drained.
    grown: u32,
    drained: bool,
    /// Share of packets lost when there was no queue; bytes sent lately, in about two echoes' time, and told to be lost.
    loss: f64,
    sent: f64,
    lost: f64,
    /// By how much a queue would have drained since it moved, s, as so many looks have shown.
    due: f64,
    looks: u32,
    /// The last two, of the older first, and the mean deviation of the next from the line through them.
    last: [Duration; 2],
    deviation: Duration,
}

impl Echoes {
    /// Takes an echo.
    pub(super) fn hear(&mut self, echo: Echo) -> Heard {
        self.note_jitter(echo.above);
        if echo.above <= echo.threshold {
            self.settle(&echo);
            return Heard::Carried;
        }
        self.sent = self.sent / 2.0 + echo.bytes as f64;
        self.lost = self.lost / 2.0 + echo.lost as f64;
        let tolerance = GRAIN.max(self.deviation * JITTER_FACTOR);
        if echo.above.abs_diff(self.level) > tolerance {
            self.move_to(&echo);
            return Heard::Carried;
        }
        if self.overflows() {
            self.wait();
            return Heard::Carried;
        }
        self.judge(&echo, tolerance)
    }

    /// What a round trip is that stands.
    fn judge(&mut self, echo: &Echo, tolerance: Duration) -> Heard {
        let known = self.at_level.filter(|level| level.bps > echo.known.bps).unwrap_or(echo.known);
        self.at_level = Some(known);
        let needed = echo.bytes as f64 * 8.0 / (known.bps * echo.part);
        self.due += (echo.time.as_secs_f64() * (1.0 - MARGIN) - needed).max(0.0);
        self.looks += 1;
        let overdue = if self.stepped() { OVERDUE } else { LONG_OVERDUE } + tolerance;
        if self.looks >= LOOKS && self.due > overdue.as_secs_f64() {
            let before = self.before.filter(|before| self.stepped() && before.bps > known.bps);
            *self = Self { last: self.last, deviation: self.deviation, ..Self::default() };
            return Heard::Way(before.unwrap_or(known));
        }
        if echo.full && !self.stepped() { Heard::Carried } else { Heard::Passed }
    }

    /// There is no queue.
    fn settle(&mut self, echo: &Echo) {
        (self.before, self.at_level, self.level) = (Some(echo.known), Some(echo.known), echo.above);
        (self.grown, self.drained) = (0, false);
        (self.loss, self.sent, self.lost) = (echo.loss, 0.0, 0.0);
        self.wait();
    }

    fn move_to(&mut self, echo: &Echo) {
        if echo.above > self.level {
            self.grown += 1;
        } else {
            self.drained = true;
        }
        (self.level, self.at_level) = (echo.above, Some(echo.known));
        self.wait();
    }

    /// A queue has the time to drain again.
    fn wait(&mut self) {
        (self.due, self.looks) = (0.0, 0);
    }

    /// Whether what it is has come at once.
    fn stepped(&self) -> bool {
        (1..=STEPS).contains(&self.grown) && !self.drained
    }

    fn overflows(&self) -> bool {
        self.lost > self.sent * (self.loss + OVERFLOW)
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
    use super::super::capacity::Capacity;
    use super::*;

    const MS: Duration = Duration::from_millis(1);
    const BPS: u64 = 4_000_000;

    /// What is heard of a link taken to carry 4 Mbit/s, at 50 ms each, when `above(i)` is what the round trip is above the least,
    /// `bps(i)` is sent, and `lost` of that is lost.
    fn heard(above: impl Fn(u32) -> Duration, bps: impl Fn(u32) -> u64, lost: f64) -> Vec<Heard> {
        let mut echoes = Echoes::default();
        let hear = |i: u32| {
            let bytes = bps(i) / 8 / 20;
            echoes.hear(Echo {
                time: MS * 50,
                above: above(i),
                threshold: MS * 15,
                bytes,
                lost: if above(i) > MS * 15 { (bytes as f64 * lost) as u64 } else { 0 },
                loss: 0.0,
                full: true,
                known: Capacity::of(BPS as f64).known(),
                part: 1.0,
            })
        };
        (0..60).map(hear).collect()
    }

    /// A queue of a link that carries `carried`, bit/s.
    fn queue(
        start: u32,
        first: Duration,
        carried: u64,
        bps: impl Fn(u32) -> u64,
    ) -> impl Fn(u32) -> Duration {
        move |i| {
            let grow = |queue: i64, i: u32| (queue + 50_000 * bps(i) as i64 / carried as i64 - 50_000).max(0);
            let micros = (start..i).fold(first.as_micros() as i64, grow);
            if i < start { Duration::ZERO } else { Duration::from_micros(micros as u64) }
        }
    }

    fn way(heard: &[Heard]) -> Option<usize> {
        heard.iter().position(|heard| matches!(heard, Heard::Way(_)))
    }

    /// What is sent is less than the link is taken to carry from the fifth echo on, and a queue would drain.
    #[test]
    fn what_stands_while_less_is_sent_is_the_way() {
        let bps = |i: u32| if i < 15 { BPS } else { BPS * 6 / 10 };
        let heard = heard(|i| if i < 10 { MS * (i % 2) } else { MS * (100 + i % 2) }, bps, 0.0);
        assert!(way(&heard).is_some_and(|at| (15..26).contains(&at)), "{heard:?}");
        // Until then nothing but the step itself shows what is carried.
        assert!(heard[11..way(&heard).unwrap()].iter().all(|heard| matches!(heard, Heard::Passed)));
        let Heard::Way(known) = heard[way(&heard).unwrap()] else { unreachable!() };
        assert!((known.bps - BPS as f64).abs() < 1.0);
    }

    #[test]
    fn what_drains_is_a_queue() {
        let bps = |_: u32| BPS * 85 / 100;
        let heard = heard(queue(10, MS * 100, BPS, bps), bps, 0.0);
        assert!(way(&heard).is_none(), "{heard:?}");
    }

    #[test]
    fn what_grows_is_a_queue() {
        let bps = |i: u32| if i < 16 { BPS * 3 / 4 } else { BPS / 5 };
        let heard = heard(queue(10, Duration::ZERO, BPS / 4, bps), bps, 0.0);
        assert!(way(&heard).is_none() && matches!(heard[12], Heard::Carried), "{heard:?}");
    }

    /// It stands, as it is full.
    #[test]
    fn what_loses_is_a_queue() {
        let heard = heard(|i| if i < 10 { Duration::ZERO } else { MS * 200 }, |_| BPS / 2, 0.5);
        assert!(heard.iter().all(|heard| matches!(heard, Heard::Carried)), "{heard:?}");
    }

    /// Nothing is to be seen of a way on a link that is given all it carries.
    #[test]
    fn what_stands_on_a_full_link_may_be_a_queue() {
        let heard = heard(|i| if i < 10 { Duration::ZERO } else { MS * 100 }, |_| BPS, 0.0);
        assert!(way(&heard).is_none(), "{heard:?}");
    }
}
