//! What a link carries.
//!
//! Two facts, and nothing else, move the estimate. A link whose queue stood all the time between two echoes was
//! busy, so it carried just what it can: what was sent, less what the queue grew by. A link without a queue
//! carried all that was sent: it can carry at least that. The second never lowers the estimate, however little
//! was sent.

use std::time::{Duration, Instant};

/// Before anything is known, bit/s: a poor mobile uplink, found to be more within a few round trips.
const INITIAL_BPS: f64 = 4e6;
/// Least estimate, bit/s: enough for echoes and some packets, by which a recovery is seen.
const FLOOR_BPS: f64 = 200e3;
/// A shorter time between two echoes says too little.
const MIN_SPAN: Duration = Duration::from_millis(40);
/// A longer one is not of one piece.
const MAX_SPAN: Duration = Duration::from_millis(500);
/// A link that was given less than this share of its estimate was not kept busy by us, whatever its delay says.
pub(super) const KEPT_BUSY: f64 = 0.7;
/// The confidence in an estimate halves in two thirds of this, s: the capacity of a mobile link moves in seconds.
const CONFIDENCE_TIME: f64 = 10.0;
/// Part of a new measurement that is taken when it is lower, and when it is higher.
const LOWER: f64 = 0.4;
const HIGHER: f64 = 0.5;
/// The same when it is lower, of a link that we keep busy and that has a tall queue: it has collapsed.
const COLLAPSED: f64 = 0.6;
/// A queue that grows by so much between two echoes, and by more than jitter, has grown as it seems, s: by less, one late answer
/// may do.
const JUMP: f64 = 0.06;

/// Estimated capacity of one link.
#[derive(Debug)]
pub(super) struct Capacity {
    bps: f64,
    /// Whether a queue was ever seen: until then more is tried, faster.
    found: bool,
    /// When a queue last showed what the link carries.
    measured: Option<Instant>,
    span: Duration,
    bits: f64,
    lost: f64,
    queue_before: Duration,
    /// Whether anything since then shows what the link carries.
    lowers: bool,
    /// The estimate before answers that did not come lowered it.
    doubted: Option<f64>,
}

/// What a receiver told that arrived.
#[derive(Debug, Clone, Copy)]
pub(super) struct Arrivals {
    /// In so much time, by the receiver's clock.
    pub(super) span: Duration,
    pub(super) bytes: u64,
    /// Queueing delay at its end.
    pub(super) queue: Duration,
    /// More than that is a queue, and not jitter.
    pub(super) threshold: Duration,
    /// Whether that shows what the link carries. If not, no more may have arrived as no more was sent.
    pub(super) lowers: bool,
}

/// What lies between two echoes.
#[derive(Debug, Clone, Copy)]
pub(super) struct Span {
    /// When it is known.
    pub(super) at: Instant,
    /// From one request to the next.
    pub(super) time: Duration,
    /// Bytes sent meanwhile.
    pub(super) bytes: u64,
    /// Queueing delay at its end.
    pub(super) queue: Duration,
    /// More than that is a queue, and not jitter.
    pub(super) threshold: Duration,
    /// What queueing delays above the least may be by jitter, as far as was known before.
    pub(super) jitter: Duration,
    /// Share of packets lost, 0 to 1.
    pub(super) loss: f64,
    /// Bytes that were told meanwhile to be lost, whenever they were sent.
    pub(super) lost: u64,
    /// Whether nothing better than echoes will come.
    pub(super) inferred: bool,
    /// Whether a queue at its end shows what the link carries. If not, no more may have passed as no more was sent.
    pub(super) lowers: bool,
}

/// What is known of a link at a time.
#[derive(Debug, Clone, Copy)]
pub(super) struct Known {
    /// The estimate, bit/s.
    pub(super) bps: f64,
    found: bool,
    measured: Option<Instant>,
}

impl Default for Capacity {
    fn default() -> Self {
        Self {
            bps: INITIAL_BPS,
            found: false,
            measured: None,
            span: Duration::ZERO,
            bits: 0.0,
            lost: 0.0,
            queue_before: Duration::ZERO,
            lowers: false,
            doubted: None,
        }
    }
}

impl Capacity {
    /// One that is taken to be so much, bit/s.
    pub(super) fn of(bps: f64) -> Self {
        Self { bps, ..Self::default() }
    }

    /// The estimate, bit/s.
    pub(super) fn bps(&self) -> f64 {
        self.bps
    }

    /// Whether a queue was ever seen: else the link may carry much more.
    pub(super) fn is_found(&self) -> bool {
        self.found
    }

    /// What is known now.
    pub(super) fn known(&self) -> Known {
        Known { bps: self.bps, found: self.found, measured: self.measured }
    }

    /// What was measured since was no queue's.
    pub(super) fn take_back(&mut self, known: Known) {
        if known.bps >= self.bps {
            (self.bps, self.found, self.measured) = (known.bps, known.found, known.measured);
        }
        self.queue_before = Duration::ZERO;
    }

    /// How fast to send when there is enough to send, bit/s: a bit more than the estimate while there is no
    /// queue, to find out; less while one stands, so that it drains.
    pub(super) fn pacing_bps(&self, queue: Duration, standing: Duration, threshold: Duration) -> f64 {
        let gain = if !self.found && queue < threshold {
            2.0
        } else if queue < threshold / 2 {
            1.2
        } else if standing < threshold * 2 {
            1.0
        } else if standing < threshold * 6 {
            0.85
        } else {
            0.6
        };
        self.bps * gain
    }

    /// How well the estimate is founded, 0 to 1: how long ago a queue showed it. Without a queue it is the most that
    /// passed, or a guess.
    pub(super) fn confidence(&self, now: Instant) -> f64 {
        let age = |at: Instant| now.saturating_duration_since(at).as_secs_f64();
        self.measured.map_or(0.0, |at| (-age(at) / CONFIDENCE_TIME).exp())
    }

    /// Takes what arrived in a time, at the end of which a queue stood.
    pub(super) fn observe_arrivals(&mut self, now: Instant, arrivals: Arrivals) {
        let Arrivals { span, bytes, queue, threshold, lowers } = arrivals;
        self.span += span;
        self.bits += bytes as f64 * 8.0;
        self.lowers |= lowers;
        if self.span < MIN_SPAN {
            return;
        }
        let (time, bits, before) = (self.span, self.bits, self.queue_before);
        (self.span, self.bits, self.queue_before) = (Duration::ZERO, 0.0, queue);
        let lowers = std::mem::take(&mut self.lowers);
        let carried = bits / time.as_secs_f64();
        if before > threshold && queue > threshold {
            if carried > self.bps {
                self.bps += (carried - self.bps) * HIGHER;
            } else if lowers {
                self.bps += (carried - self.bps) * LOWER;
            }
            if lowers || carried > self.bps {
                self.found = true;
                self.measured = Some(now);
            }
        } else if time <= MAX_SPAN {
            self.bps = self.bps.max(carried);
        }
        self.bps = self.bps.max(FLOOR_BPS);
    }

    /// What was seen since the last measurement says nothing.
    pub(super) fn start_over(&mut self) {
        (self.span, self.bits, self.lost, self.queue_before) = (Duration::ZERO, 0.0, 0.0, Duration::ZERO);
    }

    /// Takes what happened between two echoes.
    pub(super) fn observe(&mut self, span: Span) {
        self.span += span.time;
        self.bits += span.bytes as f64 * 8.0;
        self.lost += span.lost as f64 * 8.0;
        if self.span < MIN_SPAN {
            return;
        }
        let (time, bits, before) = (self.span, self.bits, self.queue_before);
        let lost = std::mem::take(&mut self.lost);
        (self.span, self.bits, self.queue_before) = (Duration::ZERO, 0.0, span.queue);
        let queued = |queue: Duration| queue > span.threshold;
        // Only the answers were lost, or the link stood still: it carries what it did.
        if let Some(before) = self.doubted.take().filter(|_| !queued(span.queue)) {
            self.bps = self.bps.max(before);
        }
        if time > MAX_SPAN {
            return;
        }
        let tall = span.lowers && span.queue > span.threshold * 4;
        let seconds = time.as_secs_f64();
        let growth = span.queue.as_secs_f64() - before.as_secs_f64();
        let busy = span.lowers && bits / seconds >= self.bps * KEPT_BUSY;
        // A queue out of nothing: too much was tried.
        self.found |= tall;
        let jumped = growth > JUMP.max(span.jitter.as_secs_f64());
        let collapsed = busy && (tall || jumped) && span.inferred;
        let certain = !span.inferred || before.min(span.queue) > span.jitter;
        if queued(before) && queued(span.queue) && certain || collapsed {
            self.found |= span.lowers;
            // The end of a queue that shrinks faster than time passes was jitter. A queue that is full does not grow, it loses.
            let passed = if span.inferred { (bits - lost).max(0.0) } else { bits * (1.0 - span.loss) };
            let carried = passed / (seconds + growth).max(seconds / 4.0);
            if carried > self.bps {
                self.bps += (carried - self.bps) * HIGHER;
            } else if busy || tall {
                self.bps += (carried - self.bps) * if collapsed { COLLAPSED } else { LOWER };
            }
            if carried > self.bps || busy || tall {
                self.measured = Some(span.at);
            }
        } else if !queued(span.queue) {
            // What is too little to be a queue, and no jitter, has not passed either.
            let waiting = if span.inferred { growth.max(0.0) } else { 0.0 };
            let carried = bits * (1.0 - span.loss) / (seconds + waiting);
            self.bps = self.bps.max(carried);
        }
        self.bps = self.bps.max(FLOOR_BPS);
    }

    /// What was sent in `time`, so many bytes, takes longer than it usually does by `waited`, or more.
    pub(super) fn limit(&mut self, now: Instant, bytes: u64, time: Duration, waited: Duration) {
        let bits = bytes as f64 * 8.0;
        let most = bits / (time + waited).as_secs_f64();
        if bits >= self.bps * KEPT_BUSY * time.as_secs_f64() && most < self.bps {
            self.doubted.get_or_insert(self.bps);
            (self.bps, self.found, self.measured) = (most.max(FLOOR_BPS), true, Some(now));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    fn span(bps: u64, queue: Duration) -> Span {
        #[expect(clippy::disallowed_methods, reason = "any instant will do")]
        let at = Instant::now();
        Span {
            at,
            time: MS * 50,
            bytes: bps / 8 / 20,
            queue,
            threshold: MS * 15,
            jitter: Duration::ZERO,
            loss: 0.0,
            lost: 0,
            inferred: true,
            lowers: true,
        }
    }

    #[test]
    fn sending_little_does_not_lower() {
        let mut capacity = Capacity::default();
        for _ in 0..100 {
            capacity.observe(span(100_000, MS));
        }
        assert!(capacity.bps() >= INITIAL_BPS);
    }

    #[test]
    fn more_that_passes_without_a_queue_raises() {
        let mut capacity = Capacity::default();
        // The first one ends later than it started, by 1 ms.
        capacity.observe(span(9_000_000, MS));
        capacity.observe(span(9_000_000, MS));
        assert!((capacity.bps() - 9e6).abs() < 1e5);
    }

    /// 6 Mbit/s into 4 for 50 ms: 25 ms of queue, too little to be told from jitter.
    #[test]
    fn what_waits_has_not_passed() {
        let mut capacity = Capacity::default();
        capacity.observe(Span { threshold: MS * 30, ..span(6_000_000, MS * 25) });
        assert!((capacity.bps() - INITIAL_BPS).abs() < 1e5, "{}", capacity.bps());
    }

    /// 5 Mbit/s into 1.5 whose queue of 200 ms is full: what is lost was not carried.
    #[test]
    fn a_full_queue_loses() {
        let mut capacity = Capacity::of(5_000_000.0);
        for _ in 0..5 {
            capacity.observe(Span { lost: 3_500_000 / 8 / 20, ..span(5_000_000, MS * 200) });
        }
        assert!(capacity.bps() < 1.7e6, "{}", capacity.bps());
    }

    #[test]
    fn answers_that_were_only_lost_change_nothing() {
        let mut capacity = Capacity::of(8_000_000.0);
        let at = span(0, MS).at;
        capacity.limit(at, 100_000, MS * 100, MS * 200);
        assert!(capacity.bps() < 3e6, "{}", capacity.bps());
        capacity.observe(span(0, MS));
        assert!((capacity.bps() - 8e6).abs() < 1.0, "{}", capacity.bps());
    }

    /// 6 Mbit/s into 5: the queue grows by 10 ms in 50 ms.
    #[test]
    fn a_queue_shows_what_is_carried() {
        let mut capacity = Capacity::default();
        for i in 0..12 {
            capacity.observe(span(6_000_000, MS * (20 + 10 * i)));
        }
        assert!((capacity.bps() - 5e6).abs() < 1e5, "{}", capacity.bps());
        assert!(capacity.pacing_bps(MS * 100, MS * 50, MS * 15) < 5e6);
    }
}
