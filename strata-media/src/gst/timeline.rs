//! Time stamps of what is received: as evenly as the sender made them, while its clock and this machine's drift apart.
//!
//! A packet is put out at a constant time after it would have arrived without delay, but never before, and now and then
//! later, when the machine is busy. What was put out earliest lately is therefore what its time stamp is told from.

use std::time::Duration;

use crate::rist::rtp::CLOCK_HZ;

/// How fast time stamps follow packets that come later than they say: 1 ms per second, five times what crystals drift.
const SLEW: f64 = 1e-3;
/// A packet this far from where it is expected begins anew: another source, or a clock that was set.
const JUMP_NS: i64 = 500_000_000;

/// Running times of packets, from their RTP time stamps and when they were put out.
#[derive(Debug, Default)]
pub(super) struct Timeline {
    last: Option<Last>,
}

#[derive(Debug)]
struct Last {
    timestamp: u32,
    /// Running time it came at without delay, as far as is known now, ns.
    time: i64,
    /// What was told.
    told: Duration,
}

/// When a packet was, and whether that has nothing to do with the one before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Stamp {
    pub(super) time: Duration,
    pub(super) jump: bool,
}

impl Timeline {
    /// The time of a packet that was put out at the running time `now`, `latency` after it came.
    pub(super) fn stamp(&mut self, now: Duration, latency: Duration, timestamp: u32) -> Stamp {
        let came = nanoseconds(now) - nanoseconds(latency);
        let expected = self.last.as_ref().map(|last| {
            let ticks = timestamp.wrapping_sub(last.timestamp) as i32;
            let since = i64::from(ticks) * 1_000_000_000 / CLOCK_HZ as i64;
            let late = (came - last.time - since).max(0);
            let slew = (since.max(0) as f64 * SLEW) as i64;
            last.time + since + late.min(slew)
        });
        let near = expected.filter(|expected| (came - expected).abs() < JUMP_NS);
        // Not before it came.
        let time = near.map_or(came, |expected| expected.min(came));
        let jump = near.is_none();
        let told = Duration::from_nanos(time.max(0).unsigned_abs());
        // What is better known now is no way back.
        let told = self.last.as_ref().filter(|_| !jump).map_or(told, |last| told.max(last.told));
        self.last = Some(Last { timestamp, time, told });
        Stamp { time: told, jump }
    }

    /// Begins anew with the next packet.
    pub(super) fn reset(&mut self) {
        self.last = None;
    }
}

fn nanoseconds(time: Duration) -> i64 {
    i64::try_from(time.as_nanos()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const LATENCY: Duration = Duration::from_secs(1);
    const US: Duration = Duration::from_micros(1);

    /// What packets are told that are put out at these running times, in µs, and made every 10 ms.
    fn times(put_out: &[u64]) -> Vec<(u64, bool)> {
        let mut timeline = Timeline::default();
        let stamp = |(index, &at): (usize, &u64)| {
            let timestamp = (u32::MAX - 1000).wrapping_add(900 * index as u32);
            let stamp = timeline.stamp(US * at as u32, LATENCY, timestamp);
            (stamp.time.as_micros() as u64, stamp.jump)
        };
        put_out.iter().enumerate().map(stamp).collect()
    }

    #[test]
    fn packets_are_as_even_as_they_were_made() {
        let late = [1_500_000, 1_510_000, 1_527_000, 1_530_003, 1_540_000];
        let told = [(500_000, true), (510_000, false), (520_010, false), (530_003, false), (540_000, false)];
        assert_eq!(times(&late), told);
    }

    #[test]
    fn who_comes_late_at_first_is_not_told_of_a_way_back() {
        let told = [(520_000, true), (520_000, false), (520_000, false), (530_000, false)];
        assert_eq!(times(&[1_520_000, 1_510_000, 1_520_000, 1_530_000]), told);
    }

    #[test]
    fn clocks_that_drift_apart_are_followed() {
        for ppm in [-200, 200] {
            let put_out: Vec<u64> =
                (0..6000).map(|n| (1_500_000 + 10_000 * n + n * ppm / 100) as u64).collect();
            let told = times(&put_out);
            let far =
                told.iter().zip(&put_out).map(|(told, at)| (told.0 as i64 - (*at as i64 - 1_000_000)).abs());
            assert!(far.max() <= Some(2), "{ppm} ppm");
            assert_eq!(told.iter().filter(|(_, jump)| *jump).count(), 1);
        }
    }

    #[test]
    fn another_source_begins_anew_and_nothing_is_before_zero() {
        let mut timeline = Timeline::default();
        assert_eq!(timeline.stamp(LATENCY / 2, LATENCY, 0), Stamp { time: Duration::ZERO, jump: true });
        assert_eq!(timeline.stamp(LATENCY * 2, LATENCY, 135_000), Stamp { time: LATENCY, jump: false });
        assert_eq!(timeline.stamp(LATENCY * 3, LATENCY, 7), Stamp { time: LATENCY * 2, jump: true });
        timeline.reset();
        assert!(timeline.stamp(LATENCY * 4, LATENCY, 90_007).jump);
    }
}
