//! Statistics as JSON, a line per second.

use std::net::SocketAddr;
use std::time::Duration;

use serde::Serialize;
use strata_media::bond::{BondStats, LinkStats, rounded};
use strata_media::net::{GroupStats, LinkConfig, SenderConfig, TunnelStats};
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
    fec_packets: u64,
    requested: u64,
    refused: u64,
    unknown_requests: u64,
    discarded: u64,
    pending: u64,
    pending_ms: f64,
    capacity_bps: u64,
    /// What the source should make.
    #[serde(skip_serializing_if = "Option::is_none")]
    target_bps: Option<u64>,
    rtcp_datagrams: u64,
    rejected_datagrams: u64,
    throttled_datagrams: u64,
    foreign_requests: u64,
    throttled_echoes: u64,
    unknown_echoes: u64,
    unknown_arrivals: u64,
    unknown_reports: u64,
    unproven_feedback: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    tunnel: Option<TunnelLine>,
    #[serde(skip_serializing_if = "Option::is_none")]
    group: Option<GroupLine>,
    links: Vec<LinkLine>,
}

#[derive(Debug, Serialize)]
struct LinkLine {
    id: u32,
    remote: SocketAddr,
    #[serde(skip_serializing_if = "Option::is_none")]
    interface: Option<String>,
    state: String,
    rtt_ms: Option<f64>,
    rtt_min_ms: Option<f64>,
    loss_rate: f64,
    capacity_bps: Option<u64>,
    capacity_confidence: f64,
    sent_packets: u64,
    sent_bytes: u64,
    spent_bytes: u64,
    sent_bps: u64,
    delivery_bps: u64,
    retransmitted: u64,
    copied: u64,
    fec_packets: u64,
    lost: u64,
    in_flight_bytes: u64,
    queue_ms: f64,
    /// The first of the links that share a bottleneck with it.
    #[serde(skip_serializing_if = "Option::is_none")]
    group: Option<u32>,
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
    /// Of several streams: where its first packet came from, and the port within its tunnel that it came to.
    #[serde(skip_serializing_if = "Option::is_none")]
    from: Option<SocketAddr>,
    #[serde(skip_serializing_if = "Option::is_none")]
    stream_id: Option<u16>,
    delivered_packets: u64,
    delivered_bytes: u64,
    lost_packets: u64,
    recovered_packets: u64,
    fec_packets: u64,
    fec_recovered: u64,
    fec_useless: u64,
    fec_throttled: u64,
    duplicate_packets: u64,
    late_packets: u64,
    requested_packets: u64,
    rejected_datagrams: u64,
    unproven_datagrams: u64,
    crowded_datagrams: u64,
    throttled_echoes: u64,
    throttled_datagrams: u64,
    refused_datagrams: u64,
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

/// What was heard of multicast groups.
#[derive(Debug, Serialize)]
struct GroupLine {
    members: u64,
    rejected: u64,
    unproven: u64,
    crowded: u64,
    feedback: u64,
    throttled_echoes: u64,
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
    replayed: u64,
    crowded: u64,
}

impl SenderLine {
    pub(super) fn new(
        uptime: Duration,
        (input_addr, input): (SocketAddr, InputStats),
        config: &SenderConfig,
        stats: BondStats,
        (tunnel, group): (Option<TunnelStats>, Option<GroupStats>),
        target_bps: Option<u64>,
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
            fec_packets: stats.fec_packets,
            requested: stats.requested,
            refused: stats.refused,
            unknown_requests: stats.unknown_requests,
            discarded: stats.discarded,
            pending: stats.pending,
            pending_ms: rounded(stats.pending_ms),
            capacity_bps: stats.capacity_bps,
            target_bps,
            rtcp_datagrams: stats.rtcp_datagrams,
            rejected_datagrams: stats.rejected_datagrams,
            throttled_datagrams: stats.throttled_datagrams,
            foreign_requests: stats.foreign_requests,
            throttled_echoes: stats.throttled_echoes,
            unknown_echoes: stats.unknown_echoes,
            unknown_arrivals: stats.unknown_arrivals,
            unknown_reports: stats.unknown_reports,
            unproven_feedback: stats.unproven_feedback,
            tunnel: tunnel.map(TunnelLine::new),
            group: group.map(GroupLine::new),
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
        let capacity_bps = stats.known_capacity_bps();
        Self {
            id: stats.id,
            remote: link.remote,
            interface: stats.interface,
            state: format!("{:?}", stats.state),
            rtt_ms: stats.rtt_ms.map(rounded),
            rtt_min_ms: stats.rtt_min_ms.map(rounded),
            loss_rate: rounded(stats.loss_rate),
            capacity_bps,
            capacity_confidence: rounded(stats.capacity_confidence),
            sent_packets: stats.sent_packets,
            sent_bytes: stats.sent_bytes,
            spent_bytes: stats.spent_bytes,
            sent_bps: stats.sent_bps,
            delivery_bps: stats.delivery_bps,
            retransmitted: stats.retransmitted,
            copied: stats.copied,
            fec_packets: stats.fec_packets,
            lost: stats.lost,
            in_flight_bytes: stats.in_flight_bytes,
            queue_ms: rounded(stats.queue_ms),
            group: stats.group,
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
        // Of a stream that has yet to come nothing is counted, but where it may come is known.
        let none = PathStats::default();
        let paths = stats.paths.iter().chain(std::iter::repeat(&none));
        let path = |(&addr, path): (&SocketAddr, &PathStats)| PathLine {
            addr,
            packets: path.packets,
            bytes: path.bytes,
            rtcp_packets: path.rtcp_packets,
            rtt_ms: path.rtt.map(|rtt| rounded(rtt.as_secs_f64() * 1e3)),
        };
        Self {
            role: "receiver",
            uptime_ms: ms(uptime),
            idle_ms: stats.idle.map(ms),
            latency_ms: ms(stats.latency),
            ssrc: stats.ssrc,
            from: None,
            stream_id: None,
            delivered_packets: stats.delivered_packets,
            delivered_bytes: stats.delivered_bytes,
            lost_packets: stats.lost_packets,
            recovered_packets: stats.recovered_packets,
            fec_packets: stats.fec_packets,
            fec_recovered: stats.fec_recovered,
            fec_useless: stats.fec_useless,
            fec_throttled: stats.fec_throttled,
            duplicate_packets: stats.duplicate_packets,
            late_packets: stats.late_packets,
            requested_packets: stats.requested_packets,
            rejected_datagrams: stats.rejected_datagrams,
            unproven_datagrams: stats.unproven_datagrams,
            crowded_datagrams: stats.crowded_datagrams,
            throttled_echoes: stats.throttled_echoes,
            throttled_datagrams: stats.throttled_datagrams,
            refused_datagrams: stats.refused_datagrams,
            overflowed_packets: stats.overflowed_packets,
            restarts: stats.restarts,
            buffered_packets: stats.buffered_packets,
            tunnel: TunnelLine::new(stats.tunnel),
            output,
            links: addrs.iter().zip(paths).map(path).collect(),
        }
    }

    /// Of one of several streams.
    pub(super) fn of_stream(self, from: SocketAddr, port: Option<u16>) -> Self {
        Self { from: Some(from), stream_id: port, ..self }
    }
}

impl GroupLine {
    fn new(stats: GroupStats) -> Self {
        Self {
            members: stats.members,
            rejected: stats.rejected,
            unproven: stats.unproven,
            crowded: stats.crowded,
            feedback: stats.feedback,
            throttled_echoes: stats.throttled_echoes,
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
            replayed: counters.replayed,
            crowded: counters.crowded,
        }
    }
}

fn ms(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use serde_json::Value;

    use super::*;

    const README: &str = include_str!("../../README.md");

    /// Names and values of a line, of what is in it too.
    fn fields(value: &Value, found: &mut Vec<(String, Value)>) {
        match value {
            Value::Object(members) => {
                for (name, value) in members {
                    found.push((name.clone(), value.clone()));
                    fields(value, found);
                }
            }
            Value::Array(items) => items.iter().for_each(|item| fields(item, found)),
            _ => {}
        }
    }

    /// Names in the tables of the README; `cap` is a parameter.
    fn documented(table: &str) -> BTreeSet<String> {
        let rows: Vec<_> = table.lines().filter(|line| line.starts_with("| `")).collect();
        assert!(rows.len() > 5, "{table}");
        let names = rows.iter().flat_map(|row| row.split('`').skip(1).step_by(2));
        let names = names.map(|name| name.trim_end_matches("[]"));
        let field = |name: &&str| {
            *name != "cap" && name.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_')
        };
        names.filter(field).map(str::to_owned).collect()
    }

    /// Every field is documented, everything that is documented is there, and each has its type.
    fn check(line: &Value, tables: &[&str]) {
        let mut found = Vec::new();
        fields(line, &mut found);
        let mut expected: BTreeSet<_> = tables.iter().flat_map(|table| documented(table)).collect();
        expected.extend(["role", "uptime_ms", "latency_ms"].map(str::to_owned));
        let names: BTreeSet<_> = found.iter().map(|(name, _)| name.clone()).collect();
        assert_eq!(names, expected);
        for (name, value) in &found {
            let fits = match name.as_str() {
                "role" | "state" | "interface" | "error" => value.is_string(),
                "addr" | "remote" | "input_addr" | "from" => {
                    value.as_str().is_some_and(|addr| addr.parse::<SocketAddr>().is_ok())
                }
                "loss_rate" | "capacity_confidence" => {
                    value.as_f64().is_some_and(|part| (0.0..=1.0).contains(&part))
                }
                "rtt_ms" | "rtt_min_ms" | "pending_ms" | "queue_ms" => value.is_f64(),
                "group" => value.is_u64() || value.is_object(),
                "input" | "output" | "tunnel" => value.is_object(),
                "links" => value.is_array(),
                _ => value.is_u64(),
            };
            assert!(fits, "{name}: {value}");
        }
    }

    fn tables() -> (&'static str, &'static str) {
        let section = README.split("\n## Statistics").nth(1).unwrap().split("\n## ").next().unwrap();
        section.split_once("| of a receiver | |").unwrap()
    }

    #[test]
    fn a_senders_line_is_as_it_is_documented() {
        let mut config = SenderConfig::new(vec![LinkConfig::new(3, "127.0.0.1:6000".parse().unwrap())]);
        config.latency = Duration::from_millis(1500);
        let mut link = LinkStats::default();
        (link.interface, link.group, link.error) =
            (Some("wwan0".to_owned()), Some(3), Some("gone".to_owned()));
        (link.rtt_ms, link.rtt_min_ms, link.queue_ms) = (Some(12.5), Some(12.0), 0.139_999_999_999_999_99);
        (link.loss_rate, link.capacity_confidence, link.capacity_bps) = (0.1 + 0.2, 0.999_99, 5);
        let mut stats = BondStats::default();
        stats.links = vec![link];
        let addr = "127.0.0.1:5000".parse().unwrap();
        let extras = (Some(TunnelStats::default()), Some(GroupStats::default()));
        let uptime = Duration::from_secs(2);
        let line = SenderLine::new(uptime, (addr, InputStats::default()), &config, stats, extras, Some(1));
        let line = serde_json::to_value(line).unwrap();
        check(&line, &[tables().0]);
        assert_eq!((&line["latency_ms"], &line["uptime_ms"]), (&1500.into(), &2000.into()));
        let link = &line["links"][0];
        assert_eq!((&link["rtt_ms"], &link["queue_ms"]), (&12.5.into(), &0.14.into()));
        assert_eq!((&link["loss_rate"], &link["capacity_confidence"]), (&0.3.into(), &1.0.into()));
        assert_eq!(link["capacity_bps"], 5);
    }

    /// Neither a round trip of 0 nor what would be tried first.
    #[test]
    fn what_is_not_known_of_a_link_is_null() {
        let mut stats = LinkStats::default();
        stats.capacity_bps = 4_000_000;
        let link = LinkLine::new(&LinkConfig::new(0, "127.0.0.1:6000".parse().unwrap()), stats);
        let line = serde_json::to_value(link).unwrap();
        for name in ["rtt_ms", "rtt_min_ms", "capacity_bps"] {
            assert_eq!(line.get(name), Some(&Value::Null), "{name}");
        }
    }

    #[test]
    fn a_receivers_line_is_as_it_is_documented() {
        let mut path = PathStats::default();
        path.rtt = Some(Duration::from_micros(12_500));
        let mut stats = ReceiverStats::default();
        (stats.idle, stats.ssrc) = (Some(Duration::from_millis(250)), Some(4));
        (stats.latency, stats.paths) = (Duration::from_millis(1500), vec![path]);
        let addrs = ["127.0.0.1:6000".parse().unwrap()];
        let line = ReceiverLine::new(Duration::from_secs(2), &addrs, &stats, OutputStats::default());
        let line = line.of_stream(addrs[0], Some(2000));
        let line = serde_json::to_value(line).unwrap();
        let (of_sender, of_receiver) = tables();
        let tunnel = of_sender.lines().find(|row| row.starts_with("| `tunnel`")).unwrap();
        let of_receiver =
            of_receiver.replace("| `tunnel` | the same; zeros with the Simple Profile |", tunnel);
        check(&line, &[&of_receiver]);
        assert_eq!((&line["latency_ms"], &line["idle_ms"]), (&1500.into(), &250.into()));
        assert_eq!(line["links"][0]["rtt_ms"], 12.5);
    }
}
