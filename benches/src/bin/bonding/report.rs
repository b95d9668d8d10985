//! From what was seen to a line of the table.

use std::fmt::Write as _;
use std::time::Duration;

use crate::contender::Contender;
use crate::datagram::DATAGRAM_BYTES;
use crate::rig::{GRACE, Measured};
use crate::scenario::Scenario;

/// A line of the table.
#[derive(Debug)]
pub(crate) struct Row {
    scenario: String,
    contender: &'static str,
    /// What the source made, bit/s.
    rate_bps: f64,
    /// Share of the packets that did not come in time.
    loss: f64,
    /// Median, 99th percentile and maximum of what came in time.
    latency: [Duration; 3],
    /// Longest time in which nothing came.
    gap: Duration,
    /// Bytes on the wire for one of payload.
    wire: f64,
    /// CPU seconds for 10⁹ bits of payload.
    cpu: f64,
}

/// Latency of each datagram that came whole and in time, in order, by its number; and the share of what did not.
pub(crate) fn latencies(scenario: &Scenario, measured: &Measured) -> (Vec<(usize, Duration)>, f64) {
    let counted = measured.from.as_micros() as u64..measured.to.as_micros() as u64;
    let (mut in_time, mut packets, mut all) = (Vec::new(), 0u64, 0u64);
    for (number, sent) in measured.sent.iter().enumerate().filter(|(_, sent)| counted.contains(*sent)) {
        all += 7;
        let arrival = measured.arrivals.get(number).copied().unwrap_or_default();
        let latency = Duration::from_micros(arrival.at.saturating_sub(*sent));
        if arrival.packets > 0 && latency <= scenario.latency + GRACE {
            packets += u64::from(arrival.packets);
            in_time.push((number, latency));
        }
    }
    (in_time, 1.0 - packets as f64 / all.max(1) as f64)
}

pub(crate) fn row(scenario: &Scenario, contender: Contender, measured: &Measured) -> Row {
    let (in_time, loss) = latencies(scenario, measured);
    let mut sorted: Vec<_> = in_time.iter().map(|&(_, latency)| latency).collect();
    sorted.sort_unstable();
    let at = |share: f64| {
        sorted.get((sorted.len() as f64 * share) as usize).or(sorted.last()).copied().unwrap_or_default()
    };
    let mut times: Vec<_> = in_time.iter().map(|&(number, _)| measured.arrivals[number].at).collect();
    times.sort_unstable();
    let gap = times.windows(2).map(|pair| pair[1] - pair[0]).max().unwrap_or_default();
    let seconds = (measured.to - measured.from).as_secs_f64();
    let counted = measured.from.as_micros() as u64..measured.to.as_micros() as u64;
    let payload =
        measured.sent.iter().filter(|&&sent| counted.contains(&sent)).count() as f64 * DATAGRAM_BITS;
    Row {
        scenario: scenario.name.clone(),
        contender: contender.name(),
        rate_bps: payload / seconds,
        loss,
        latency: [at(0.5), at(0.99), at(1.0)],
        gap: Duration::from_micros(gap),
        wire: measured.wire_bytes as f64 * 8.0 / payload,
        cpu: measured.cpu_seconds / payload * 1e9,
    }
}

pub(crate) fn line(row: &Row) -> String {
    let [p50, p99, max] = row.latency.map(|latency| latency.as_millis());
    format!(
        "| {} | {} | {:.2} | {:.3} | {p50} | {p99} | {max} | {} | {:.3} | {:.1} |",
        row.scenario,
        row.contender,
        row.rate_bps / 1e6,
        row.loss * 100.0,
        row.gap.as_millis(),
        row.wire,
        row.cpu
    )
}

pub(crate) fn table(rows: &[Row]) -> String {
    let mut out = "| scenario @ latency ms | | Mbit/s | loss % | p50 ms | p99 ms | max ms | longest gap ms | wire ÷ payload | CPU s/Gbit |\n\
                   |---|---|---|---|---|---|---|---|---|---|\n"
        .to_owned();
    for row in rows {
        let _ = writeln!(out, "{}", line(row));
    }
    out
}

/// Bits of one datagram's payload.
pub(crate) const DATAGRAM_BITS: f64 = (DATAGRAM_BYTES * 8) as f64;
