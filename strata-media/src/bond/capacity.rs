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
const KEPT_BUSY: f64 = 0.7;
/// The confidence in an estimate halves in two thirds of this, s: the capacity of a mobile link moves in seconds.
const CONFIDENCE_TIME: f64 = 10.0;
/// Part of a new measurement that is taken when it is lower, and when it is higher.
const LOWER: f64 = 0.4;
const HIGHER: f64 = 0.5;

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
    queue_before: Duration,
}

/// What lies between two echoes.
#[derive(Debug, Clone, Copy)]
pub(super) struct Span {
    /// From one request to the next.
    pub(super) time: Duration,
    /// Bytes sent meanwhile.
    pub(super) bytes: u64,
    /// Queueing delay at its end.
    pub(super) queue: Duration,
    /// More than that is a queue, and not jitter.
    pub(super) threshold: Duration,
    /// Share of packets lost, 0 to 1.
    pub(super) loss: f64,
}

impl Default for Capacity {
    fn default() -> Self {
        Self {
            bps: INITIAL_BPS,
            found: false,
            measured: None,
            span: Duration::ZERO,
            bits: 0.0,
            queue_before: Duration::ZERO,
        }
    }
}

impl Capacity {
    /// The estimate, bit/s.
    pub(super) fn bps(&self) -> f64 {
        self.bps
    }

    /// Whether a queue was ever seen: else the link may carry much more.
    pub(super) fn is_found(&self) -> bool {
        self.found
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

    /// Takes what arrived in `span`, by the receiver's clock, at the end of which a queue of `queue` stood.
    pub(super) fn observe_arrivals(
        &mut self,
        now: Instant,
        span: Duration,
        bytes: u64,
        queue: Duration,
        threshold: Duration,
    ) {
        self.span += span;
        self.bits += bytes as f64 * 8.0;
        if self.span < MIN_SPAN {
            return;
        }
        let (time, bits, before) = (self.span, self.bits, self.queue_before);
        (self.span, self.bits, self.queue_before) = (Duration::ZERO, 0.0, queue);
        let carried = bits / time.as_secs_f64();
        if before > threshold && queue > threshold {
            self.found = true;
            self.measured = Some(now);
            let part = if carried > self.bps { HIGHER } else { LOWER };
            self.bps += (carried - self.bps) * part;
        } else if time <= MAX_SPAN {
            self.bps = self.bps.max(carried);
        }
        self.bps = self.bps.max(FLOOR_BPS);
    }

    /// Takes what happened between two echoes.
    pub(super) fn observe(&mut self, span: Span) {
        self.span += span.time;
        self.bits += span.bytes as f64 * 8.0;
        if self.span < MIN_SPAN {
            return;
        }
        let (time, bits, before) = (self.span, self.bits, self.queue_before);
        (self.span, self.bits, self.queue_before) = (Duration::ZERO, 0.0, span.queue);
        if time > MAX_SPAN {
            return;
        }
        let queued = |queue: Duration| queue > span.threshold;
        let seconds = time.as_secs_f64();
        if queued(before) && queued(span.queue) {
            self.found = true;
            let growth = span.queue.as_secs_f64() - before.as_secs_f64();
            // The end of a queue that shrinks faster than time passes was jitter.
            let carried = bits * (1.0 - span.loss) / (seconds + growth).max(seconds / 4.0);
            let ours = bits / seconds >= self.bps * KEPT_BUSY || span.queue > span.threshold * 4;
            if carried > self.bps {
                self.bps += (carried - self.bps) * HIGHER;
            } else if ours {
                self.bps += (carried - self.bps) * LOWER;
            }
        } else if !queued(span.queue) {
            let carried = bits * (1.0 - span.loss) / seconds;
            self.bps = self.bps.max(carried);
        } else if span.queue > span.threshold * 4 {
            // A queue out of nothing: too much was tried.
            self.found = true;
        }
        self.bps = self.bps.max(FLOOR_BPS);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    fn span(bps: u64, queue: Duration) -> Span {
        Span { time: MS * 50, bytes: bps / 8 / 20, queue, threshold: MS * 15, loss: 0.0 }
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
        capacity.observe(span(9_000_000, MS));
        assert!((capacity.bps() - 9e6).abs() < 1e5);
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
