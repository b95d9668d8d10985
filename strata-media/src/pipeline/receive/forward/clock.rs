//! When each packet of a transport stream is, by the stream's own clock.
//!
//! What a receiver gives comes at its time, but not when the machine stood still: then packets come late, and many at
//! once. A demultiplexer that is told when they came takes that for a fault of the sender's clock, and mends it in the
//! times of pictures and sound.

use std::time::{Duration, Instant};

use crate::ts::{CLOCK_PERIOD, ClockReader};

/// A clock that goes ahead by more than this, and the time that passed, has been set anew: no stream leaves out so much.
const MOST_AHEAD: Duration = Duration::from_secs(10);

/// How far a stream that begins anew lies behind the last one at least: `tsdemux` begins anew with it when the clock and its
/// packets' times differ by more than 1 s, and takes what is less for jitter.
const APART: Duration = Duration::from_secs(2);

/// Tells the time of packets, counted from when it began. It never goes back.
#[derive(Debug)]
pub(super) struct Clock {
    reader: ClockReader,
    began: Instant,
    line: Option<Line>,
}

/// A clock that goes on.
#[derive(Debug, Clone, Copy)]
struct Line {
    /// Where it began: its ticks, and the time of that.
    base: (u64, Duration),
    /// Ticks that were told last, counted on over the end of the clock's period.
    ticks: u64,
    /// When they came.
    seen: Instant,
}

impl Clock {
    pub(super) fn new(now: Instant) -> Self {
        Self { reader: ClockReader::new(), began: now, line: None }
    }

    /// The time of the next payload, that comes now.
    pub(super) fn time(&mut self, now: Instant, payload: &[u8]) -> Duration {
        let arrival = now.saturating_duration_since(self.began);
        let Some(told) = self.reader.read(payload) else {
            return self.line.map_or(arrival, |line| line.time());
        };
        let line = match self.line {
            None => Line { base: (told, arrival), ticks: told, seen: now },
            Some(line) => line.goes_on(now, told).unwrap_or_else(|| {
                let time = arrival.max(line.time() + APART);
                tracing::debug!(?time, "the stream's clock was set anew");
                Line { base: (told, time), ticks: told, seen: now }
            }),
        };
        self.line = Some(line);
        line.time()
    }
}

impl Line {
    fn time(&self) -> Duration {
        // As `tsdemux` rounds, so that it finds no difference.
        self.base.1 + Duration::from_nanos(nanos(self.ticks) - nanos(self.base.0))
    }

    /// The same with what is told now, unless it is another clock.
    fn goes_on(self, now: Instant, told: u64) -> Option<Self> {
        let step = (CLOCK_PERIOD + told - self.ticks % CLOCK_PERIOD) % CLOCK_PERIOD;
        let most = now.saturating_duration_since(self.seen) + MOST_AHEAD;
        let near = Duration::from_nanos(nanos(step)) <= most;
        near.then_some(Self { ticks: self.ticks + step, seen: now, ..self })
    }
}

/// Ticks of 27 MHz as nanoseconds; they are enough for 20 years.
fn nanos(ticks: u64) -> u64 {
    ticks * 1000 / 27
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ts::CLOCK_RATE;

    const PERIOD_S: f64 = CLOCK_PERIOD as f64 / CLOCK_RATE as f64;

    /// Tables of one program, and its clock at `seconds` of its period.
    fn payload(seconds: f64) -> Vec<u8> {
        let ticks = (seconds * CLOCK_RATE as f64).rem_euclid(CLOCK_PERIOD as f64) as u64;
        let mut pat = vec![0x47, 0x40, 0, 0x10, 0, 0, 0xb0, 13, 0, 1, 0xc1, 0, 0, 0, 1, 0xe1, 0, 0, 0, 0, 0];
        let mut map =
            vec![0x47, 0x41, 0, 0x10, 0, 2, 0xb0, 13, 0, 1, 0xc1, 0, 0, 0xe1, 1, 0xf0, 0, 0, 0, 0, 0];
        let base = (((ticks / 300) << 15) | 0x7e00 | (ticks % 300)).to_be_bytes();
        let mut clock = vec![0x47, 1, 1, 0x20, 183, 0x10];
        clock.extend_from_slice(&base[2..]);
        [&mut pat, &mut map, &mut clock].into_iter().for_each(|packet| packet.resize(188, 0xff));
        [pat, map, clock].concat()
    }

    /// Times of a stream whose clock tells so many seconds when so many have passed.
    fn times(told: &[(f64, f64)]) -> Vec<f64> {
        #[expect(clippy::disallowed_methods, reason = "virtual time starts anywhere")]
        let begin = Instant::now();
        let mut clock = Clock::new(begin);
        let mut time = |&(passed, seconds): &(f64, f64)| {
            let time = clock.time(begin + Duration::from_secs_f64(passed), &payload(seconds));
            (time.as_secs_f64() * 1e6).round() / 1e6
        };
        told.iter().map(&mut time).collect()
    }

    #[test]
    fn times_are_the_streams_whenever_it_comes() {
        let even = times(&[(1.0, 50.0), (1.04, 50.04), (1.08, 50.08), (1.12, 50.12)]);
        assert_eq!(even, [1.0, 1.04, 1.08, 1.12]);
        assert_eq!(times(&[(1.0, 50.0), (4.0, 50.04), (4.0, 50.08), (4.0, 50.12)]), even);
        assert_eq!(times(&[(1.0, 50.0), (1.0, 50.04), (1.0, 50.08), (1.0, 50.12)]), even);
    }

    #[test]
    fn what_is_not_told_is_what_was_told_last() {
        #[expect(clippy::disallowed_methods, reason = "virtual time starts anywhere")]
        let now = Instant::now();
        let (mut clock, later) = (Clock::new(now), now + Duration::from_secs(3));
        assert_eq!(clock.time(later, &[0xff; 188]), Duration::from_secs(3));
        assert_eq!(clock.time(later, &payload(9.0)), Duration::from_secs(3));
        assert_eq!(clock.time(later + APART, &[0xff; 188]), Duration::from_secs(3));
    }

    #[test]
    fn the_end_of_the_period_is_no_end() {
        assert_eq!(times(&[(0.0, PERIOD_S - 0.5), (1.0, 0.5), (2.0, 1.5)]), [0.0, 1.0, 2.0]);
    }

    #[test]
    fn a_gap_is_one_and_another_clock_is_not() {
        // As long as what passed, and as what is left out at most.
        assert_eq!(times(&[(0.0, 5.0), (60.0, 65.0), (60.0, 75.0)]), [0.0, 60.0, 70.0]);
        // Farther ahead, or back by anything: by 2 s at least, and at the time it comes.
        assert_eq!(times(&[(0.0, 5.0), (60.0, 75.1), (60.1, 75.2)]), [0.0, 60.0, 60.1]);
        assert_eq!(times(&[(0.0, 5.0), (0.0, 15.1)]), [0.0, 2.0]);
        for back in [0.04, 0.5, 5.0, 1000.0] {
            let again = 5000.0 - back;
            let told = [(0.0, 5000.0), (0.1, again), (0.14, again + 0.04), (9.0, again - 1.0)];
            assert_eq!(times(&told), [0.0, 2.0, 2.04, 9.0], "{back}");
        }
    }
}
