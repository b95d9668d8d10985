//! What a terminal shows while a stream runs.

use std::net::SocketAddr;
use std::time::Duration;

use strata::screen::{LinkRow, megabits, megabytes, table};
use strata_media::bond::{BondStats, LinkStats};
use strata_media::rist::ReceiverStats;

/// Streams by where they come in, if there are several.
pub(super) fn senders(
    uptime: Duration,
    streams: impl ExactSizeIterator<Item = (SocketAddr, BondStats)>,
) -> String {
    let several = streams.len() > 1;
    let one = |(input, stats): (SocketAddr, BondStats)| {
        let head = if several { format!("from {input}\n") } else { String::new() };
        head + &sender(uptime, &stats)
    };
    streams.map(one).collect::<Vec<_>>().join("\n")
}

/// A sender's links, why those that cannot be used cannot, and two lines about the stream.
fn sender(uptime: Duration, stats: &BondStats) -> String {
    let rows = stats.links.iter().map(|link| row(link).cells());
    // Not in the table: it would be wider than a terminal, which then has no room for the numbers.
    let errors =
        stats.links.iter().filter_map(|link| Some(format!("{}: {}\n", name(link), link.error.as_ref()?)));
    format!(
        "{}\n{}{:>4} s  in {}, {} resent of {} asked for, {} discarded\n        {} waiting ({:.0} ms), capacity {}",
        table(LinkRow::HEADS, rows, 2),
        errors.collect::<String>(),
        uptime.as_secs(),
        megabytes(stats.payload_bytes),
        stats.retransmitted,
        stats.requested,
        stats.discarded,
        stats.pending,
        stats.pending_ms,
        megabits(stats.capacity_bps),
    )
}

/// Its number, and its interface if it is bound to one.
fn name(stats: &LinkStats) -> String {
    let interface = stats.interface.iter().map(|name| format!(" {name}"));
    stats.id.to_string() + &interface.collect::<String>()
}

fn row(stats: &LinkStats) -> LinkRow {
    LinkRow {
        link: name(stats),
        state: format!("{:?}", stats.state),
        rate_bps: Some(stats.sent_bps),
        rtt_ms: stats.rtt_ms,
        loss_rate: stats.loss_rate,
        capacity_bps: stats.known_capacity_bps(),
        sent_bytes: stats.sent_bytes,
        resent: Some(stats.retransmitted),
    }
}

/// The table of one of several streams.
pub(super) fn stream(from: SocketAddr, port: Option<u16>, table: &str) -> String {
    let port = port.map(|port| format!(", stream-id {port}"));
    format!("from {from}{}\n{table}", port.unwrap_or_default())
}

/// A receiver's ports, and what became of the stream. Rates are those since `before`, so long ago.
pub(super) fn receiver(
    uptime: Duration,
    addrs: &[SocketAddr],
    stats: &ReceiverStats,
    (before, ago): (&ReceiverStats, Duration),
) -> String {
    let rows = addrs.iter().zip(&stats.paths).enumerate().map(|(index, (addr, path))| {
        let bytes = path.bytes - before.paths.get(index).map_or(0, |path| path.bytes).min(path.bytes);
        let rate = if ago.is_zero() { 0.0 } else { bytes as f64 * 8.0 / ago.as_secs_f64() };
        [
            addr.to_string(),
            path.packets.to_string(),
            format!("{:.2} Mbit/s", rate / 1e6),
            path.rtt.map_or_else(|| "–".to_owned(), |rtt| format!("{:.0} ms", rtt.as_secs_f64() * 1e3)),
            megabytes(path.bytes),
        ]
    });
    format!(
        "{}\n{:>4} s  out {}, {} recovered, {} by FEC, {} lost, {} too late\n        {} twice, {} waiting, latency {} ms",
        table(["port", "packets", "rate", "RTT", "received"], rows, 1),
        uptime.as_secs(),
        megabytes(stats.delivered_bytes),
        stats.recovered_packets,
        stats.fec_recovered,
        stats.lost_packets,
        stats.late_packets,
        stats.duplicate_packets,
        stats.buffered_packets,
        stats.latency.as_millis(),
    )
}
