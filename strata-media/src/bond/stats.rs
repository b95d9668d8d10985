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
    /// Payloads found critical: keyframes, parameter sets, tables ([`crate::ts`]).
    pub critical: u64,
    /// Packets sent again, on all links.
    pub retransmitted: u64,
    /// Copies sent beforehand, on all links.
    pub copied: u64,
    /// Repair packets sent, on all links ([`crate::fec`]).
    pub fec_packets: u64,
    /// Sequence numbers the receiver asked for, each request counted.
    pub requested: u64,
    /// Requests that were not served: too old, too soon after the last copy, or over the rate limit.
    pub refused: u64,
    /// Requests for packets that were never given to the sender.
    pub unknown_requests: u64,
    /// Packets not sent, or not sent again, because they could not have arrived in time.
    pub discarded: u64,
    /// Those of them that were never sent: there is more to send than the links carry. The others were lost, and asked for
    /// when it was too late.
    pub discarded_fresh: u64,
    /// Packets that were to be sent again, and were told to have arrived before their turn came.
    pub withdrawn: u64,
    /// Packets that wait in the sender now.
    pub pending: u64,
    /// How long the oldest waiting packet has waited, ms.
    pub pending_ms: f64,
    /// Estimated capacity of all usable links together, bit/s; a bottleneck that several share counts once.
    pub capacity_bps: u64,
    /// How often the receiver asked for a keyframe: Strata's does so, when it is told, of a sender with
    /// [`BondConfig::keyframes`](super::BondConfig::keyframes).
    pub keyframe_requests: u64,
    /// RTCP datagrams that came, of whatever kind.
    pub rtcp_datagrams: u64,
    /// Those of them that were not understood.
    pub rejected_datagrams: u64,
    /// Those of them that were not read, as more came by a link than a peer has to say: 4 MB in a second.
    pub throttled_datagrams: u64,
    /// Requests that named another stream.
    pub foreign_requests: u64,
    /// Echo requests that came too soon after others to be answered.
    pub throttled_echoes: u64,
    /// Answers to echo requests that were not made, or long ago.
    pub unknown_echoes: u64,
    /// Packets told to have arrived that were never sent, or are of another stream.
    pub unknown_arrivals: u64,
    /// Round trips told by reports that are not believed: none of the last sender reports on that link is the one they name.
    pub unknown_reports: u64,
    /// Feedback of peers that have not shown that anything reaches them; not taken.
    pub unproven_feedback: u64,
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
    /// Smoothed round-trip time, ms; `None` before the first answer.
    pub rtt_ms: Option<f64>,
    /// The least round-trip time lately, ms: its baseline, without a queue; `None` before the first answer.
    pub rtt_min_ms: Option<f64>,
    /// Share of packets lost in the last seconds, 0 to 1.
    pub loss_rate: f64,
    /// Estimated capacity, bit/s; its part when it shares a bottleneck with others ([`LinkStats::group`]).
    pub capacity_bps: u64,
    /// How well that is founded, 0 to 1: 1 when a queue just showed it, less the longer that is ago. Without a queue it
    /// is the most that passed, or a guess.
    pub capacity_confidence: f64,
    /// Bytes of RTP packets sent.
    pub sent_bytes: u64,
    /// Bytes carried both ways as they are billed, headers of IP, UDP and tunnel included, with those of before
    /// ([`BondLink::spent_bytes`]): what a cap counts. Until the machine is [told](super::sender::Input::Carried), RTP and RTCP that
    /// was sent, with headers of IPv4 and UDP.
    ///
    /// [`BondLink::spent_bytes`]: super::BondLink::spent_bytes
    pub spent_bytes: u64,
    /// RTP packets sent.
    pub sent_packets: u64,
    /// Rate of RTP packets in the last second, bit/s.
    pub sent_bps: u64,
    /// Rate of RTP packets that arrived in the last second, bit/s: as the receiver tells, and else of those that were not
    /// asked for in the time that takes.
    pub delivery_bps: u64,
    /// Packets sent on this link that the receiver asked for again.
    pub lost: u64,
    /// Packets sent again on this link.
    pub retransmitted: u64,
    /// Copies sent beforehand on this link, of packets that another one carries.
    pub copied: u64,
    /// Repair packets sent on this link.
    pub fec_packets: u64,
    /// Bytes sent within the latency and not yet known to have had the time to arrive: what has had no answer for longer is not
    /// under way any more.
    pub in_flight_bytes: u64,
    /// How much the delay on the link is above the least lately, ms: queue, jitter, and what the way has become longer by.
    pub queue_ms: f64,
    /// What of that is a queue for certain, ms: as soon as it has been seen for 100 ms, or, where the peer does not tell what
    /// arrives, in four round trips.
    pub waiting_ms: f64,
    /// Number of the first of the links with which it shares a bottleneck, as their queues show; `None` when it is not known
    /// to share any.
    pub group: Option<u32>,
    /// Why the link cannot be used, such as an interface that does not exist, a cap that is used up, or that it is disabled;
    /// `None` when it can.
    pub error: Option<String>,
}

impl LinkStats {
    /// [`capacity_bps`](Self::capacity_bps), once anything has come back by the link. Before that it is what would be tried.
    #[must_use]
    pub fn known_capacity_bps(&self) -> Option<u64> {
        self.rtt_ms.map(|_| self.capacity_bps)
    }
}

/// A time in ms or a share as it is shown: without digits that mean nothing, such as those of 0.13999999999999999.
#[must_use]
pub fn rounded(value: f64) -> f64 {
    (value * SHOWN).round() / SHOWN
}

/// Parts of one that are shown.
const SHOWN: f64 = 10_000.0;

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
