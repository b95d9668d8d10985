//! When a packet is to be put out: constant latency by RTP time stamps, while two clocks drift apart.

use std::time::{Duration, Instant};

use super::rtp::CLOCK_HZ;
use super::sequence::extend_timestamp;

/// The least transit time is taken from the last one to two of these: long enough that a queue on a link, which
/// comes and goes, is not taken for drift.
const WINDOW: Duration = Duration::from_secs(10);
/// How fast playout may be moved: 500 µs per second. Crystals differ by up to 200.
const SLEW_PER_SECOND: i64 = 500_000;
/// How long after the first output playout may come nearer faster, until it has, and how fast that is, ns per second: the first
/// packets may all have met queues, of links that nobody knows yet, and what they were late is not to last.
const START: Duration = Duration::from_secs(10);
const SLEW_AT_START_PER_SECOND: i64 = 20_000_000;

/// Maps time stamps of one source to playout times.
///
/// *Transit* is arrival minus time stamp, from an arbitrary origin: it grows with delay. Playout is at time stamp
/// + `offset` + latency, where `offset` follows the least transit, which is that of an undelayed packet.
#[derive(Debug)]
pub(super) struct Clock {
    reference: Instant,
    /// Extended time stamp of the first packet, and of the newest.
    first: i64,
    newest: i64,
    /// ns.
    offset: i64,
    window: Window,
    /// When the first was put out, and until when `offset` was moved since; `None` while it still follows at once.
    settled: Option<Settled>,
    /// Interarrival jitter (RFC 3550, 6.4.1), ns, and the transit it was last computed from.
    jitter: i64,
    last_transit: i64,
}

#[derive(Debug, Clone, Copy)]
struct Settled {
    at: Instant,
    slewed: Instant,
    /// Whether it came as near then as it could.
    near: bool,
}

#[derive(Debug)]
struct Window {
    started: Instant,
    current: i64,
    previous: i64,
}

impl Clock {
    /// A clock set by its first packet.
    pub(super) fn new(now: Instant, timestamp: u32) -> Self {
        Self {
            reference: now,
            first: timestamp.into(),
            newest: timestamp.into(),
            offset: 0,
            window: Window { started: now, current: 0, previous: 0 },
            settled: None,
            jitter: 0,
            last_transit: 0,
        }
    }

    /// The time stamp beyond its wraps.
    pub(super) fn extend(&self, timestamp: u32) -> i64 {
        extend_timestamp(self.newest, timestamp)
    }

    /// How much later than an undelayed packet this one arrives, ns; negative when earlier.
    pub(super) fn delay(&self, now: Instant, timestamp: u32) -> i64 {
        self.transit(now, self.extend(timestamp)) - self.offset
    }

    fn transit(&self, now: Instant, timestamp: i64) -> i64 {
        let arrival = now.saturating_duration_since(self.reference).as_nanos() as i64;
        arrival - ticks_to_ns(timestamp - self.first)
    }

    /// Takes the arrival of a packet that was not repeated.
    pub(super) fn observe(&mut self, now: Instant, timestamp: i64) {
        self.newest = self.newest.max(timestamp);
        let transit = self.transit(now, timestamp);
        self.jitter += ((transit - self.last_transit).abs() - self.jitter) / 16;
        self.last_transit = transit;
        let window = &mut self.window;
        window.current = window.current.min(transit);
        if now >= window.started + WINDOW {
            *window = Window { started: now, current: transit, previous: window.current };
        }
        let target = window.current.min(window.previous);
        match &mut self.settled {
            None => self.offset = target,
            Some(settled) => {
                let elapsed = now.saturating_duration_since(settled.slewed).as_nanos() as i64;
                let step = |per_second: i64| elapsed.min(1_000_000_000) * per_second / 1_000_000_000;
                let later = step(SLEW_PER_SECOND);
                let nearer = if settled.near { later } else { step(SLEW_AT_START_PER_SECOND) };
                // Short steps would round to nothing; they are saved up.
                if later > 0 {
                    self.offset += (target - self.offset).clamp(-nearer, later);
                    settled.slewed = now;
                    settled.near |= now >= settled.at + START && self.offset <= target;
                }
            }
        }
    }

    /// When the first packet came, and its time stamp.
    pub(super) fn first(&self) -> (Instant, u32) {
        (self.reference, self.first as u32)
    }

    /// Ticks from the first packet to the newest, and from that to a time stamp.
    pub(super) fn ticks(&self, timestamp: u32) -> (i64, i64) {
        (self.newest - self.first, self.extend(timestamp) - self.newest)
    }

    /// From now on playout moves only slowly: something was put out.
    pub(super) fn settle(&mut self, now: Instant) {
        self.settled.get_or_insert(Settled { at: now, slewed: now, near: false });
    }

    /// When a packet is to be put out.
    pub(super) fn due(&self, timestamp: i64, latency: Duration) -> Instant {
        let after = ticks_to_ns(timestamp - self.first) + self.offset + latency.as_nanos() as i64;
        let magnitude = Duration::from_nanos(after.unsigned_abs());
        if after >= 0 {
            self.reference + magnitude
        } else {
            self.reference.checked_sub(magnitude).unwrap_or(self.reference)
        }
    }

    /// Interarrival jitter in ticks.
    pub(super) fn jitter(&self) -> u32 {
        (self.jitter * CLOCK_HZ as i64 / 1_000_000_000).clamp(0, u32::MAX.into()) as u32
    }
}

fn ticks_to_ns(ticks: i64) -> i64 {
    // 1 000 000 000 / 90 000 = 100 000 / 9; a stream's ticks fit for 32 years.
    ticks.saturating_mul(100_000) / 9
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "any instant will do")]
mod tests {
    use super::*;

    const LATENCY: Duration = Duration::from_millis(1000);

    fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    #[test]
    fn playout_is_latency_after_the_least_delayed_packet() {
        let start = Instant::now();
        let mut clock = Clock::new(start, u32::MAX - 100);
        clock.observe(start, clock.first);
        // 20 ms of stream later, by a link that is 15 ms faster; the time stamp wraps.
        let next = clock.extend((u32::MAX - 100).wrapping_add(1800));
        clock.observe(start + ms(5), next);
        assert_eq!(clock.due(next, LATENCY), start + ms(1005));
        // Settled: a packet that is faster still moves nothing at once.
        clock.settle(start + ms(5));
        clock.observe(start + ms(6), next + 900);
        let moved = clock.due(next, LATENCY).duration_since(start).abs_diff(ms(1005));
        assert!(moved <= Duration::from_micros(20), "{moved:?}");
    }

    /// How long packets that are made every 10 ms take until they are put out, ms, when they are so long on their way; from the 30th on
    /// something was put out.
    fn latencies(packets: u32, way: impl Fn(u32) -> Duration) -> Vec<u128> {
        let start = Instant::now();
        let mut clock = Clock::new(start + way(0), 0);
        let latency = |i| {
            let (sent, now) = (start + ms(10) * i, start + ms(10) * i + way(i));
            let timestamp = clock.extend(i * 900);
            clock.observe(now, timestamp);
            if i == 30 {
                clock.settle(now);
            }
            clock.due(timestamp, LATENCY).duration_since(sent).as_millis()
        };
        (0..packets).map(latency).collect()
    }

    /// The first 300 ms of a stream come 40 ms late each, then every tenth does not: 2 s later that is made up for. A
    /// way that gets shorter a minute later moves playout by half a millisecond a second.
    #[test]
    fn a_late_start_does_not_last() {
        let latencies = latencies(9_000, |i| {
            let late = if i <= 30 || i % 10 > 0 { 40 } else { 0 };
            ms(late + if i >= 6_000 { 40 } else { 60 })
        });
        assert_eq!((latencies[30], latencies[240], latencies[5_999]), (1100, 1060, 1060));
        assert_eq!(latencies[8_000], 1050);
        assert!(latencies[30..].windows(2).all(|pair| pair[0].abs_diff(pair[1]) <= 1));
    }

    /// The first 300 ms come 1.5 s late, as they waited for a link: it is made up for within 75 s, and then playout is as slow as ever.
    #[test]
    fn a_start_that_is_very_late_does_not_last_either() {
        let latencies = latencies(10_000, |i| {
            let late = if i <= 30 { 1500 } else { 0 };
            ms(late + if i >= 9_000 { 40 } else { 60 })
        });
        assert_eq!((latencies[30], latencies[7_800], latencies[8_999]), (2560, 1060, 1060));
        assert!(latencies[9_999] >= 1055, "{}", latencies[9_999]);
        assert!(latencies[30..].windows(2).all(|pair| pair[0].abs_diff(pair[1]) <= 1));
    }

    /// Sender's clock 100 ppm fast or slow for an hour: the latency stays within 3 ms.
    #[test]
    fn drift_is_followed() {
        for ppm in [100i64, -100] {
            let start = Instant::now();
            let mut clock = Clock::new(start, 0);
            clock.settle(start);
            for i in 0..360_000i64 {
                let now = start + ms(10) * i as u32;
                let timestamp = (i * 900) + i * 900 * ppm / 1_000_000;
                let extended = clock.extend(timestamp as u32);
                clock.observe(now, extended);
                let error = clock.due(extended, LATENCY).duration_since(now).as_micros() as i64 - 1_000_000;
                assert!(error.abs() < 3000, "{ppm} ppm, after {i}: {error} µs");
            }
        }
    }
}
