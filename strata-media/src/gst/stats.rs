//! Statistics as a `GstStructure`, by the names that `strata rist --stats` has.

use std::net::SocketAddr;
use std::time::Duration;

use gstreamer as gst;
use gstreamer::glib;
use gstreamer::prelude::*;

use crate::bond::{BondStats, LinkStats, rounded};
use crate::net::{GroupStats, TunnelStats};
use crate::rist::{PathStats, ReceiverStats};

/// Name of the property's structure, and of the message on the bus.
pub(super) const NAME: &str = "strata-stats";

/// Of a sink. `target_bps` is what its source should make.
pub(super) fn of_sink(
    bond: &BondStats,
    (tunnel, group): (&TunnelStats, &GroupStats),
    latency: Duration,
    target_bps: u32,
) -> gst::Structure {
    gst::Structure::builder(NAME)
        .field("role", "sender")
        .field("latency_ms", ms(latency))
        .field("target_bps", target_bps)
        .field("packets", bond.packets)
        .field("payload_bytes", bond.payload_bytes)
        .field("critical", bond.critical)
        .field("retransmitted", bond.retransmitted)
        .field("requested", bond.requested)
        .field("refused", bond.refused)
        .field("unknown_requests", bond.unknown_requests)
        .field("copied", bond.copied)
        .field("fec_packets", bond.fec_packets)
        .field("discarded", bond.discarded)
        .field("discarded_fresh", bond.discarded_fresh)
        .field("pending", bond.pending)
        .field("pending_ms", rounded(bond.pending_ms))
        .field("capacity_bps", bond.capacity_bps)
        .field("keyframe_requests", bond.keyframe_requests)
        .field("rtcp_datagrams", bond.rtcp_datagrams)
        .field("rejected_datagrams", bond.rejected_datagrams)
        .field("throttled_datagrams", bond.throttled_datagrams)
        .field("foreign_requests", bond.foreign_requests)
        .field("throttled_echoes", bond.throttled_echoes)
        .field("unknown_echoes", bond.unknown_echoes)
        .field("unknown_arrivals", bond.unknown_arrivals)
        .field("unknown_reports", bond.unknown_reports)
        .field("unproven_feedback", bond.unproven_feedback)
        .field("links", gst::Array::new(bond.links.iter().map(link)))
        .field("tunnel", of_tunnel(tunnel))
        .field("group", of_group(group))
        .build()
}

fn link(link: &LinkStats) -> glib::SendValue {
    let structure = gst::Structure::builder("link")
        .field("id", link.id)
        .field_if_some("interface", link.interface.as_ref())
        .field("state", format!("{:?}", link.state))
        .field_if_some("rtt_ms", link.rtt_ms.map(rounded))
        .field_if_some("rtt_min_ms", link.rtt_min_ms.map(rounded))
        .field("loss_rate", rounded(link.loss_rate))
        .field_if_some("capacity_bps", link.known_capacity_bps())
        .field("capacity_confidence", rounded(link.capacity_confidence))
        .field("sent_packets", link.sent_packets)
        .field("sent_bytes", link.sent_bytes)
        .field("spent_bytes", link.spent_bytes)
        .field("sent_bps", link.sent_bps)
        .field("delivery_bps", link.delivery_bps)
        .field("lost", link.lost)
        .field("retransmitted", link.retransmitted)
        .field("copied", link.copied)
        .field("fec_packets", link.fec_packets)
        .field("in_flight_bytes", link.in_flight_bytes)
        .field("queue_ms", rounded(link.queue_ms))
        .field_if_some("group", link.group)
        .field_if_some("error", link.error.as_ref())
        .build();
    structure.to_send_value()
}

/// Of a source that listens at `addrs`.
pub(super) fn of_source(stats: &ReceiverStats, latency: Duration, addrs: &[SocketAddr]) -> gst::Structure {
    let links = addrs.iter().zip(&stats.paths).map(|(addr, stats)| path(*addr, stats));
    gst::Structure::builder(NAME)
        .field("role", "receiver")
        .field("latency_ms", ms(latency))
        .field("delivered_packets", stats.delivered_packets)
        .field("delivered_bytes", stats.delivered_bytes)
        .field("lost_packets", stats.lost_packets)
        .field("recovered_packets", stats.recovered_packets)
        .field("fec_packets", stats.fec_packets)
        .field("fec_recovered", stats.fec_recovered)
        .field("fec_useless", stats.fec_useless)
        .field("fec_throttled", stats.fec_throttled)
        .field("duplicate_packets", stats.duplicate_packets)
        .field("late_packets", stats.late_packets)
        .field("requested_packets", stats.requested_packets)
        .field("rejected_datagrams", stats.rejected_datagrams)
        .field("unproven_datagrams", stats.unproven_datagrams)
        .field("crowded_datagrams", stats.crowded_datagrams)
        .field("throttled_echoes", stats.throttled_echoes)
        .field("throttled_datagrams", stats.throttled_datagrams)
        .field("refused_datagrams", stats.refused_datagrams)
        .field("overflowed_packets", stats.overflowed_packets)
        .field("restarts", stats.restarts)
        .field("buffered_packets", stats.buffered_packets)
        .field_if_some("idle_ms", stats.idle.map(ms))
        .field_if_some("ssrc", stats.ssrc)
        .field("links", gst::Array::new(links))
        .field("tunnel", of_tunnel(&stats.tunnel))
        .build()
}

fn path(addr: SocketAddr, path: &PathStats) -> glib::SendValue {
    let structure = gst::Structure::builder("link")
        .field("addr", addr.to_string())
        .field("packets", path.packets)
        .field("bytes", path.bytes)
        .field("rtcp_packets", path.rtcp_packets)
        .field_if_some("rtt_ms", path.rtt.map(|rtt| rounded(rtt.as_secs_f64() * 1e3)))
        .build();
    structure.to_send_value()
}

fn of_tunnel(counters: &TunnelStats) -> gst::Structure {
    gst::Structure::builder("tunnel")
        .field("taken", counters.taken)
        .field("keep_alives", counters.keep_alives)
        .field("other", counters.other)
        .field("rejected", counters.rejected)
        .field("undecryptable", counters.undecryptable)
        .field("unencrypted", counters.unencrypted)
        .field("throttled", counters.throttled)
        .field("replayed", counters.replayed)
        .field("unauthenticated", counters.unauthenticated)
        .field("crowded", counters.crowded)
        .build()
}

/// What was heard of multicast groups.
fn of_group(group: &GroupStats) -> gst::Structure {
    gst::Structure::builder("group")
        .field("members", group.members)
        .field("rejected", group.rejected)
        .field("unproven", group.unproven)
        .field("crowded", group.crowded)
        .field("feedback", group.feedback)
        .field("throttled_echoes", group.throttled_echoes)
        .build()
}

fn ms(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}
