//! What a bond counts and estimates, for who asks.

use std::time::{Duration, Instant};

use super::super::scheduler::candidates;
use super::super::stats::{BondStats, LinkState, LinkStats, Rate};
use super::Sender;

/// What is counted per link.
#[derive(Debug, Default)]
pub(super) struct Counts {
    pub(super) packets: u64,
    pub(super) bytes: u64,
    pub(super) lost: u64,
    pub(super) retransmitted: u64,
    pub(super) copied: u64,
    pub(super) repairs: u64,
    pub(super) rate: Rate,
    pub(super) delivery: Rate,
}

impl Sender {
    /// What was counted and estimated.
    #[must_use]
    pub fn stats(&self, now: Instant) -> BondStats {
        let flow = self.flow.counters();
        let usable = candidates(&self.links);
        let all = || self.counts.iter().chain([&self.gone]);
        BondStats {
            packets: flow.packets,
            payload_bytes: flow.bytes,
            critical: self.priorities.critical,
            retransmitted: all().map(|counts| counts.retransmitted).sum(),
            copied: all().map(|counts| counts.copied).sum(),
            fec_packets: all().map(|counts| counts.repairs).sum(),
            requested: flow.requested,
            refused: flow.refused,
            unknown_requests: flow.unknown_requests,
            discarded: self.scheduler.discarded.fresh + self.scheduler.discarded.repeats,
            discarded_fresh: self.scheduler.discarded.fresh,
            withdrawn: self.withdrawn,
            pending: self.scheduler.len() as u64,
            pending_ms: self.scheduler.wait(now).as_secs_f64() * 1e3,
            capacity_bps: usable.iter().map(|&link| self.links[link].carried_bps() as u64).sum(),
            keyframe_requests: flow.keyframe_requests,
            rtcp_datagrams: flow.rtcp_datagrams,
            rejected_datagrams: flow.rejected,
            throttled_datagrams: flow.throttled,
            foreign_requests: flow.foreign_requests,
            throttled_echoes: flow.throttled_echoes,
            unknown_echoes: flow.unknown_echoes,
            unknown_arrivals: flow.unknown_arrivals,
            unknown_reports: flow.unknown_reports,
            unproven_feedback: flow.unproven_feedback,
            links: (0..self.links.len())
                .filter(|&index| !self.removed[index])
                .map(|index| self.link_stats(now, index))
                .collect(),
        }
    }

    fn link_stats(&self, now: Instant, index: usize) -> LinkStats {
        let (link, counts, config) = (&self.links[index], &self.counts[index], &self.config.links[index]);
        let ms = |duration: Duration| duration.as_secs_f64() * 1e3;
        LinkStats {
            id: config.id,
            interface: config.interface.clone(),
            state: if link.available() { link.state } else { LinkState::Dead },
            rtt_ms: link.rtt().map(ms),
            rtt_min_ms: link.rtt_min().map(ms),
            loss_rate: link.loss.rate(),
            capacity_bps: link.carried_bps() as u64,
            capacity_confidence: link.capacity.confidence(self.now),
            sent_bytes: counts.bytes,
            sent_packets: counts.packets,
            sent_bps: counts.rate.bps(),
            delivery_bps: counts.delivery.bps(),
            lost: counts.lost,
            retransmitted: counts.retransmitted,
            copied: counts.copied,
            fec_packets: counts.repairs,
            in_flight_bytes: link.in_flight_bytes(now.checked_sub(self.config.latency)),
            queue_ms: ms(link.queue()),
            waiting_ms: ms(link.waiting()),
            error: link.error.clone().or_else(|| link.refusal().map(|refusal| refusal.to_string())),
            spent_bytes: link.spent(),
            group: link.group.map(|first| self.config.links[first].id),
        }
    }
}
