//! Statistics as JSON, a line per second.

use std::net::SocketAddr;
use std::time::Duration;

use serde::Serialize;
use strata_media::bond::{BondStats, LinkStats};
use strata_media::net::{LinkConfig, SenderConfig, TunnelStats};
use strata_media::rist::{PathStats, ReceiverStats};

/// What has come in by UDP.
#[derive(Debug, Clone, Copy, Default, Serialize)]
pub(super) struct InputStats {
    pub(super) datagrams: u64,
    pub(super) bytes: u64,
    /// Empty, or too long for a packet.
    pub(super) refused: u64,
}

/// What has gone out by UDP.
#[derive(Debug, Clone, Copy, Default, Serialize)]
pub(super) struct OutputStats {
    pub(super) datagrams: u64,
    pub(super) bytes: u64,
    /// Not taken by the system, over all outputs.
    pub(super) refused: u64,
}

/// A sender's line.
#[derive(Debug, Serialize)]
pub(super) struct SenderLine {
    role: &'static str,
    uptime_ms: u64,
    input_addr: SocketAddr,
    input: InputStats,
    latency_ms: u64,
    packets: u64,
    payload_bytes: u64,
    critical: u64,
    retransmitted: u64,
    copied: u64,
    requested: u64,
    refused: u64,
    discarded: u64,
    pending: u64,
    pending_ms: f64,
    capacity_bps: u64,
    rejected_datagrams: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    tunnel: Option<TunnelLine>,
    links: Vec<LinkLine>,
}

#[derive(Debug, Serialize)]
struct LinkLine {
    id: u32,
    remote: SocketAddr,
    #[serde(skip_serializing_if = "Option::is_none")]
    interface: Option<String>,
    state: String,
    rtt_ms: f64,
    loss_rate: f64,
    capacity_bps: u64,
    capacity_confidence: f64,
    sent_packets: u64,
    sent_bytes: u64,
    spent_bytes: u64,
    sent_bps: u64,
    retransmitted: u64,
    copied: u64,
    lost: u64,
    in_flight_bytes: u64,
    queue_ms: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
}

/// A receiver's line.
#[derive(Debug, Serialize)]
pub(super) struct ReceiverLine {
    role: &'static str,
    uptime_ms: u64,
    idle_ms: Option<u64>,
    latency_ms: u64,
    ssrc: Option<u32>,
    delivered_packets: u64,
    delivered_bytes: u64,
    lost_packets: u64,
    recovered_packets: u64,
    duplicate_packets: u64,
    late_packets: u64,
    requested_packets: u64,
    rejected_datagrams: u64,
    overflowed_packets: u64,
    restarts: u64,
    buffered_packets: u64,
    tunnel: TunnelLine,
    output: OutputStats,
    links: Vec<PathLine>,
}

#[derive(Debug, Serialize)]
struct PathLine {
    addr: SocketAddr,
    packets: u64,
    bytes: u64,
    rtcp_packets: u64,
    rtt_ms: Option<f64>,
}

#[derive(Debug, Serialize)]
struct TunnelLine {
    taken: u64,
    keep_alives: u64,
    other: u64,
    rejected: u64,
    undecryptable: u64,
    unencrypted: u64,
    unauthenticated: u64,
    throttled: u64,
    crowded: u64,
}

impl SenderLine {
    pub(super) fn new(
        uptime: Duration,
        (input_addr, input): (SocketAddr, InputStats),
        config: &SenderConfig,
        stats: BondStats,
        tunnel: Option<TunnelStats>,
    ) -> Self {
        Self {
            role: "sender",
            uptime_ms: ms(uptime),
            input_addr,
            input,
            latency_ms: ms(config.latency),
            packets: stats.packets,
            payload_bytes: stats.payload_bytes,
            critical: stats.critical,
            retransmitted: stats.retransmitted,
            copied: stats.copied,
            requested: stats.requested,
            refused: stats.refused,
            discarded: stats.discarded,
            pending: stats.pending,
            pending_ms: stats.pending_ms,
            capacity_bps: stats.capacity_bps,
            rejected_datagrams: stats.rejected_datagrams,
            tunnel: tunnel.map(TunnelLine::new),
            links: config
                .links
                .iter()
                .zip(stats.links)
                .map(|(link, stats)| LinkLine::new(link, stats))
                .collect(),
        }
    }
}

impl LinkLine {
    fn new(link: &LinkConfig, stats: LinkStats) -> Self {
        Self {
            id: stats.id,
            remote: link.remote,
            interface: stats.interface,
            state: format!("{:?}", stats.state),
            rtt_ms: stats.rtt_ms,
            loss_rate: stats.loss_rate,
            capacity_bps: stats.capacity_bps,
            capacity_confidence: stats.capacity_confidence,
            sent_packets: stats.sent_packets,
            sent_bytes: stats.sent_bytes,
            spent_bytes: stats.spent_bytes,
            sent_bps: stats.sent_bps,
            retransmitted: stats.retransmitted,
            copied: stats.copied,
            lost: stats.lost,
            in_flight_bytes: stats.in_flight_bytes,
            queue_ms: stats.queue_ms,
            error: stats.error,
        }
    }
}

impl ReceiverLine {
    pub(super) fn new(
        uptime: Duration,
        addrs: &[SocketAddr],
        stats: &ReceiverStats,
        output: OutputStats,
    ) -> Self {
        let path = |(&addr, path): (&SocketAddr, &PathStats)| PathLine {
            addr,
            packets: path.packets,
            bytes: path.bytes,
            rtcp_packets: path.rtcp_packets,
            rtt_ms: path.rtt.map(|rtt| rtt.as_secs_f64() * 1000.0),
        };
        Self {
            role: "receiver",
            uptime_ms: ms(uptime),
            idle_ms: stats.idle.map(ms),
            latency_ms: ms(stats.latency),
            ssrc: stats.ssrc,
            delivered_packets: stats.delivered_packets,
            delivered_bytes: stats.delivered_bytes,
            lost_packets: stats.lost_packets,
            recovered_packets: stats.recovered_packets,
            duplicate_packets: stats.duplicate_packets,
            late_packets: stats.late_packets,
            requested_packets: stats.requested_packets,
            rejected_datagrams: stats.rejected_datagrams,
            overflowed_packets: stats.overflowed_packets,
            restarts: stats.restarts,
            buffered_packets: stats.buffered_packets,
            tunnel: TunnelLine::new(stats.tunnel),
            output,
            links: addrs.iter().zip(&stats.paths).map(path).collect(),
        }
    }
}

impl TunnelLine {
    fn new(counters: TunnelStats) -> Self {
        Self {
            taken: counters.taken,
            keep_alives: counters.keep_alives,
            other: counters.other,
            rejected: counters.rejected,
            undecryptable: counters.undecryptable,
            unencrypted: counters.unencrypted,
            unauthenticated: counters.unauthenticated,
            throttled: counters.throttled,
            crowded: counters.crowded,
        }
    }
}

fn ms(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}
