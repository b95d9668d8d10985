//! From the engine's statistics to the ones of the control socket.

use std::net::SocketAddr;
use std::time::Duration;

use strata_media::bond::rounded;
use strata_media::pipeline::ReceiveStats;
use strata_proto::control::{ReceiverLinkStats, ReceiverStats};

/// The statistics of a receiver that runs for `uptime` and listens at `addrs`.
pub(crate) fn stats(uptime: Duration, addrs: &[SocketAddr], stats: &ReceiveStats) -> ReceiverStats {
    let net = &stats.net;
    let link = |(addr, path): (&SocketAddr, &strata_media::rist::PathStats)| ReceiverLinkStats {
        port: addr.port(),
        packets: path.packets,
        bytes: path.bytes,
        rtt_ms: path.rtt.map(|rtt| rounded(rtt.as_secs_f64() * 1e3)),
    };
    ReceiverStats {
        uptime_ms: ms(uptime),
        idle_ms: net.idle.map(ms),
        delivered_packets: net.delivered_packets,
        delivered_bytes: net.delivered_bytes,
        lost_packets: net.lost_packets,
        recovered_packets: net.recovered_packets,
        duplicate_packets: net.duplicate_packets,
        late_packets: net.late_packets,
        latency_ms: u32::try_from(net.latency.as_millis()).unwrap_or(u32::MAX),
        links: addrs.iter().zip(&net.paths).map(link).collect(),
    }
}

fn ms(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}
