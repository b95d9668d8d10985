//! How long what is sent waits on a link: not all that is above the least delay is a queue ([`Standing`]).

use std::time::{Duration, Instant};

use super::super::delay::Delay;
use super::super::echoes::{Echo, Echoes, Heard};
use super::super::flight::Digest;
use super::super::standing::{Look, Seen, Standing};
use super::Link;

/// A queue is one that so many looks in a row have shown, 100 ms: the least of the last four delays is new all through. A way
/// that jitters shows one now and then.
const LOOKS: u32 = 4;
/// Delays above the least by up to so many mean deviations may be jitter. Of a way that keeps the order of packets, and jitters
/// evenly by less than 200 ms, the usual delay is above the least by four of them, and more by another one.
const JITTER_FACTOR: u32 = 5;
/// The same of round trips, which are apart further than a packet waits for those before it.
const ECHO_JITTER_FACTOR: u32 = 3;
/// Part of a new deviation that is taken: one of the last eight.
const JITTER_PART: u32 = 8;

/// What was seen of the delays of one link.
#[derive(Debug, Default)]
pub(super) struct Queueing {
    standing: Standing,
    echoes: Echoes,
    /// How many looks in a row have shown a queue.
    looks: u32,
    /// The last two delays, of the older first, and the mean deviation of the next from the line through them.
    last: [Duration; 2],
    deviation: Duration,
}

impl Queueing {
    /// Takes a delay.
    pub(super) fn note(&mut self, delay: Duration) {
        let [first, second] = self.last;
        self.last = [second, delay];
        let deviation = (delay + first).abs_diff(second * 2);
        self.deviation = (self.deviation * (JITTER_PART - 1) + deviation) / JITTER_PART;
    }

    /// Round trips above the least by so much may be jitter.
    pub(super) fn echo_jitter(&self) -> Duration {
        self.deviation * ECHO_JITTER_FACTOR
    }
}

impl Link {
    /// Sees whether what is above the least delay is a queue, which shows what the link carries.
    pub(super) fn look(&mut self, now: Instant, sent_at: Instant, digest: &Digest) -> bool {
        // A queue that others fill stands, however little this one sends.
        if self.resting {
            return true;
        }
        let delay = self.queue();
        self.queueing.note(delay);
        let look = Look {
            span: digest.span,
            busy: Duration::from_secs_f64(digest.carried as f64 * 8.0 / self.carried_bps()),
            above: self.delay_measured().map_or(Duration::ZERO, Delay::standing),
            jump: digest.jump,
            threshold: self.threshold(),
            full: self.was_held(sent_at),
        };
        let seen = self.queueing.standing.look(look);
        if seen == Seen::Way {
            self.transit.iter_mut().for_each(|delay| delay.lengthen(now));
            self.rtt.iter_mut().for_each(|rtt| rtt.delay.lengthen(now));
        }
        // What had to wait shows that a queue is one.
        let jitters = !look.full && look.above <= self.queueing.deviation * JITTER_FACTOR;
        let queue = matches!(seen, Seen::Moves | Seen::Full) && !jitters;
        self.queueing.looks = if queue { self.queueing.looks.saturating_add(1) } else { 0 };
        queue
    }

    /// The same by the echo of a request sent at `sent_at`, `time` after the one before: `bytes` were sent meanwhile, and `lost` told
    /// to be lost.
    pub(super) fn hear(
        &mut self,
        now: Instant,
        sent_at: Instant,
        time: Duration,
        bytes: u64,
        lost: u64,
    ) -> bool {
        // A queue that others fill stands, however little this one sends.
        if self.resting {
            return true;
        }
        let heard = self.queueing.echoes.hear(Echo {
            time,
            above: self.queue(),
            threshold: self.threshold(),
            bytes,
            lost,
            loss: self.loss.rate(),
            full: self.was_held(sent_at),
            known: self.capacity.known(),
            part: self.part,
        });
        if let Heard::Way(known) = heard {
            self.rtt.iter_mut().for_each(|rtt| rtt.delay.lengthen(now));
            self.capacity.take_back(known);
        }
        matches!(heard, Heard::Carried)
    }

    /// How long what is sent waits in a queue of the link. A way that is longer than it was, or that jitters, is none.
    pub(in crate::bond) fn waiting(&self) -> Duration {
        let Some(delay) = self.delay_measured() else { return Duration::ZERO };
        if self.transit.is_none() {
            return delay.standing().saturating_sub(self.queueing.echo_jitter());
        }
        if self.queueing.looks < LOOKS { Duration::ZERO } else { delay.standing() }
    }
}
