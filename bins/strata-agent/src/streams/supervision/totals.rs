//! Counters of a stream over all its children: a child that was started anew counts from zero.

use std::collections::BTreeMap;
use std::time::Duration;

use strata_proto::control::{LinkStats, StreamStats};

/// What dead children have sent, and the living one.
#[derive(Debug, Default)]
pub(super) struct Totals {
    before: BTreeMap<u32, Link>,
    now: BTreeMap<u32, Link>,
    /// What the child itself said it sent, at its end.
    said: Option<u64>,
    ended_before: u64,
}

#[derive(Debug, Clone, Copy, Default)]
struct Link {
    bytes: u64,
    lost: u64,
    retransmitted: u64,
}

impl Totals {
    /// The child's statistics, with the stream's counters and uptime in place of the child's.
    pub(super) fn add(&mut self, mut stats: StreamStats, uptime: Duration) -> StreamStats {
        stats.uptime_s = uptime.as_secs();
        for link in &mut stats.links {
            self.now.insert(link.id, counters(link));
            if let Some(before) = self.before.get(&link.id) {
                link.sent_bytes = link.sent_bytes.saturating_add(before.bytes);
                link.lost_packets = link.lost_packets.map(|n| n.saturating_add(before.lost));
                link.retransmitted_packets =
                    link.retransmitted_packets.map(|n| n.saturating_add(before.retransmitted));
            }
        }
        stats
    }

    /// The child has ended and says what it sent, which is more exact than its last statistics.
    pub(super) fn end(&mut self, total_bytes: u64) {
        self.said = Some(total_bytes);
    }

    /// The child is gone; the next one counts from zero.
    pub(super) fn child_gone(&mut self) {
        self.ended_before = self.bytes();
        self.said = None;
        for (id, link) in std::mem::take(&mut self.now) {
            let before = self.before.entry(id).or_default();
            before.bytes = before.bytes.saturating_add(link.bytes);
            before.lost = before.lost.saturating_add(link.lost);
            before.retransmitted = before.retransmitted.saturating_add(link.retransmitted);
        }
    }

    /// Bytes sent since the start of the stream, over all links.
    pub(super) fn bytes(&self) -> u64 {
        let seen = self.now.values().fold(0, |sum: u64, link| sum.saturating_add(link.bytes));
        self.ended_before.saturating_add(self.said.unwrap_or(0).max(seen))
    }
}

fn counters(link: &LinkStats) -> Link {
    Link {
        bytes: link.sent_bytes,
        lost: link.lost_packets.unwrap_or(0),
        retransmitted: link.retransmitted_packets.unwrap_or(0),
    }
}
