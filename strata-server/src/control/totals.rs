//! Sums over all streams, for metrics: a handful of numbers, however many streams there are.

use std::sync::atomic::{AtomicU64, Ordering};

use strata_proto::control::{ReceiverStats, StreamLife};

/// What one receiver counted since its start.
pub(super) type Counts = [u64; PACKETS.len()];

/// What receivers counted since this process started, all streams together.
#[derive(Debug, Default)]
pub(super) struct Totals {
    packets: [AtomicU64; PACKETS.len()],
}

/// How many streams there are, and what their receivers counted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Summary {
    /// Streams in the state `starting`.
    pub starting: u64,
    /// Streams in the state `live`.
    pub live: u64,
    /// Streams in the state `stopping`.
    pub stopping: u64,
    /// Receiver processes.
    pub receivers: u64,
    /// Packets by what became of them, since this process started.
    pub packets: [(&'static str, u64); PACKETS.len()],
}

impl Totals {
    /// Adds what one receiver counted between two of its words.
    pub(super) fn add(&self, before: &Counts, now: &Counts) {
        for (total, (now, before)) in self.packets.iter().zip(now.iter().zip(before)) {
            total.fetch_add(now.saturating_sub(*before), Ordering::Relaxed);
        }
    }

    /// The sums, with the streams that are not over in these states.
    pub(super) fn summary(&self, streams: impl Iterator<Item = (StreamLife, bool)>) -> Summary {
        let mut summary = Summary::default();
        for (state, receiving) in streams {
            summary.receivers += u64::from(receiving);
            match state {
                StreamLife::Starting => summary.starting += 1,
                StreamLife::Live => summary.live += 1,
                StreamLife::Stopping => summary.stopping += 1,
                StreamLife::Ended | StreamLife::Failed => {}
            }
        }
        let totals = PACKETS.iter().zip(&self.packets);
        for (shown, (name, total)) in summary.packets.iter_mut().zip(totals) {
            *shown = (name, total.load(Ordering::Relaxed));
        }
        summary
    }
}

/// A receiver's counters, in the order of their names in [`Summary::packets`].
pub(super) fn counts(stats: &ReceiverStats) -> Counts {
    [
        stats.delivered_packets,
        stats.lost_packets,
        stats.recovered_packets,
        stats.duplicate_packets,
        stats.late_packets,
    ]
}

/// What becomes of a packet, in the order of [`counts`].
const PACKETS: [&str; 5] = ["delivered", "lost", "recovered", "duplicate", "late"];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_receivers_count_adds_up() {
        let totals = Totals::default();
        totals.add(&[0; 5], &[100, 2, 7, 1, 0]);
        totals.add(&[100, 2, 7, 1, 0], &[150, 2, 9, 1, 4]);
        totals.add(&[0; 5], &[1, 1, 1, 1, 1]);
        let streams = [(StreamLife::Live, true), (StreamLife::Starting, false), (StreamLife::Live, true)];
        let summary = totals.summary(streams.into_iter());
        assert_eq!((summary.starting, summary.live, summary.stopping, summary.receivers), (1, 2, 0, 2));
        let expected = [("delivered", 151), ("lost", 3), ("recovered", 10), ("duplicate", 2), ("late", 5)];
        assert_eq!(summary.packets, expected);
    }
}
