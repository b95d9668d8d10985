//! What a bond counts, per link and in all.

use std::time::{Duration, Instant};

/// Statistics of a bonded sender, since its start unless a field says otherwise.
#[derive(Debug, Clone, Default, PartialEq)]
#[non_exhaustive]
pub struct BondStats {
    /// Payloads given to the sender.
    pub packets: u64,
    /// Payload bytes given to the sender.
    pub payload_bytes: u64,
    /// Payloads found critical, while that mattered ([`SchedulerParams`](super::SchedulerParams)).
    pub critical: u64,
    /// Packets sent again, on all links.
    pub retransmitted: u64,
    /// Copies sent beforehand, on all links.
    pub copied: u64,
    /// Sequence numbers the receiver asked for, each request counted.
    pub requested: u64,
    /// Requests that were not served: unknown, too old, too soon after the last copy, or over the rate limit.
    pub refused: u64,
    /// Packets not sent because they could not have arrived in time.
    pub discarded: u64,
    /// Packets that wait in the sender now.
    pub pending: u64,
    /// How long the oldest waiting packet has waited, ms.
    pub pending_ms: f64,
    /// Estimated capacity of all usable links together, bit/s.
    pub capacity_bps: u64,
    /// RTCP datagrams that were not understood.
    pub rejected_datagrams: u64,
    /// Every link, in the order of the configuration.
    pub links: Vec<LinkStats>,
}

/// Statistics of one link, since the start unless a field says otherwise.
#[derive(Debug, Clone, Default, PartialEq)]
#[non_exhaustive]
pub struct LinkStats {
    /// Number of the link in the configuration.
    pub id: u32,
    /// Interface it is bound to.
    pub interface: Option<String>,
    /// State of the link.
    pub state: LinkState,
    /// Smoothed round-trip time, ms; 0 before the first answer.
    pub rtt_ms: f64,
    /// Share of packets lost in the last seconds, 0 to 1.
    pub loss_rate: f64,
    /// Estimated capacity, bit/s.
    pub capacity_bps: u64,
    /// How well that is founded, 0 to 1: 1 when a queue just showed it, less the longer that is ago. Without a queue it
    /// is the most that passed, or a guess.
    pub capacity_confidence: f64,
    /// Bytes of RTP packets sent.
    pub sent_bytes: u64,
    /// Bytes of RTP and RTCP sent, headers of IP and UDP included: what a cap counts.
    pub spent_bytes: u64,
    /// RTP packets sent.
    pub sent_packets: u64,
    /// Rate of RTP packets in the last second, bit/s.
    pub sent_bps: u64,
    /// Packets sent on this link that the receiver asked for again.
    pub lost: u64,
    /// Packets sent again on this link.
    pub retransmitted: u64,
    /// Copies sent beforehand on this link, of packets that another one carries.
    pub copied: u64,
    /// Bytes sent and not yet known to have had the time to arrive.
    pub in_flight_bytes: u64,
    /// Estimated queueing delay on the link, ms.
    pub queue_ms: f64,
    /// Why the link cannot be used, such as an interface that does not exist or a cap that is used up; `None` when it
    /// can.
    pub error: Option<String>,
}

/// State of one link.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum LinkState {
    /// Nothing has come back yet.
    #[default]
    Probe,
    /// Answers come; its capacity is being found.
    Warm,
    /// Carries its share.
    Live,
    /// Carries less: loss or delay is high.
    Degraded,
    /// Was dead, answers again, and waits to be trusted.
    Cooldown,
    /// Nothing comes back.
    Dead,
}

/// Time of one part of a rate, and how many count: the last second.
const PART: Duration = Duration::from_millis(100);
const PARTS: usize = 10;

/// Rate over the last second, from a count that grows.
#[derive(Debug, Default)]
pub(super) struct Rate {
    parts: [u64; PARTS],
    index: usize,
    last: u64,
    next: Option<Instant>,
}

impl Rate {
    /// Tells the count, at least every 100 ms.
    pub(super) fn turn(&mut self, now: Instant, count: u64) {
        let next = *self.next.get_or_insert(now + PART);
        if now >= next {
            self.parts[self.index] = count - self.last;
            self.index = (self.index + 1) % PARTS;
            self.last = count;
            self.next = Some((next + PART).max(now));
        }
    }

    /// Of a count of bytes, bit/s.
    pub(super) fn bps(&self) -> u64 {
        self.parts.iter().sum::<u64>() * 8
    }
}
