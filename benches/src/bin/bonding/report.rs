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
    /// What was measured, or why nothing was.
    outcome: Result<Figures, String>,
}

#[derive(Debug)]
struct Figures {
    /// What the source made, bit/s.
    rate_bps: f64,
    /// Share of the packets that did not come in time.
    loss: f64,
    /// Of what came in time, if anything did.
    times: Option<Times>,
    /// Bytes on the wire for one of payload.
    wire: f64,
    /// CPU seconds for 10⁹ bits of payload.
    cpu: f64,
}

#[derive(Debug)]
struct Times {
    /// Median, 99th percentile and maximum.
    latency: [Duration; 3],
    /// Longest time in which nothing came.
    gap: Duration,
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

pub(crate) fn row(scenario: &Scenario, contender: Contender, measured: Result<&Measured, String>) -> Row {
    Row {
        scenario: scenario.name.clone(),
        contender: contender.name(),
        outcome: measured.map(|measured| figures(scenario, measured)),
    }
}

fn figures(scenario: &Scenario, measured: &Measured) -> Figures {
    let (in_time, loss) = latencies(scenario, measured);
    let seconds = (measured.to - measured.from).as_secs_f64();
    let counted = measured.from.as_micros() as u64..measured.to.as_micros() as u64;
    let payload =
        measured.sent.iter().filter(|&&sent| counted.contains(&sent)).count() as f64 * DATAGRAM_BITS;
    Figures {
        rate_bps: payload / seconds,
        loss,
        times: times(&in_time, measured),
        wire: measured.wire_bytes as f64 * 8.0 / payload,
        cpu: measured.cpu_seconds / payload * 1e9,
    }
}

fn times(in_time: &[(usize, Duration)], measured: &Measured) -> Option<Times> {
    let mut sorted: Vec<_> = in_time.iter().map(|&(_, latency)| latency).collect();
    sorted.sort_unstable();
    let last = *sorted.last()?;
    let at = |share: f64| sorted.get((sorted.len() as f64 * share) as usize).copied().unwrap_or(last);
    let mut arrivals: Vec<_> = in_time.iter().map(|&(number, _)| measured.arrivals[number].at).collect();
    arrivals.sort_unstable();
    let gap = arrivals.windows(2).map(|pair| pair[1] - pair[0]).max().unwrap_or_default();
    Some(Times { latency: [at(0.5), at(0.99), last], gap: Duration::from_micros(gap) })
}

pub(crate) fn line(row: &Row) -> String {
    let figures = match &row.outcome {
        Ok(figures) => figures,
        Err(reason) => {
            return format!("| {} | {} | failed: {reason} | | | | | | | |", row.scenario, row.contender);
        }
    };
    let times = match &figures.times {
        Some(Times { latency, gap }) => {
            [latency[0], latency[1], latency[2], *gap].map(|time| time.as_millis().to_string())
        }
        None => ["–"; 4].map(str::to_owned),
    };
    format!(
        "| {} | {} | {:.2} | {:.3} | {} | {:.3} | {:.1} |",
        row.scenario,
        row.contender,
        figures.rate_bps / 1e6,
        figures.loss * 100.0,
        times.join(" | "),
        figures.wire,
        figures.cpu
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

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::scenario;
    use crate::sink::Arrival;

    const SECOND: u64 = 1_000_000;

    /// A datagram a second for ten seconds, of which the first `came` came after a second.
    fn measured(came: usize) -> Measured {
        let sent: Vec<_> = (0..10).map(|second| second * SECOND).collect();
        let arrivals = sent[..came].iter().map(|at| Arrival { at: at + SECOND, packets: 7 }).collect();
        Measured {
            sent,
            arrivals,
            from: Duration::ZERO,
            to: Duration::from_secs(10),
            wire_bytes: 20 * DATAGRAM_BYTES as u64,
            cpu_seconds: 10.0 * DATAGRAM_BITS / 1e9,
            samples: Vec::new(),
        }
    }

    fn cells(measured: Result<&Measured, String>) -> Vec<String> {
        let scenarios = scenario::all(None).unwrap_or_default();
        let scenario = scenarios.iter().find(|scenario| scenario.name == "S5@1000");
        let row = scenario.map(|scenario| row(scenario, Contender::Srt, measured));
        let line = row.as_ref().map(line).unwrap_or_default();
        line.split('|').map(|cell| cell.trim().to_owned()).collect()
    }

    #[test]
    fn a_line_has_what_came_and_when() {
        let expected =
            ["", "S5@1000", "SRT", "0.01", "50.000", "1000", "1000", "1000", "1000", "2.000", "1.0", ""];
        assert_eq!(cells(Ok(&measured(5))), expected);
    }

    /// Nothing came: there is no latency, and certainly not one of 0.
    #[test]
    fn a_line_without_arrivals_has_no_times() {
        let expected = ["", "S5@1000", "SRT", "0.01", "100.000", "–", "–", "–", "–", "2.000", "1.0", ""];
        assert_eq!(cells(Ok(&measured(0))), expected);
    }

    #[test]
    fn a_contender_that_fails_has_a_line_that_says_so() {
        let failed = cells(Err("the sender ended".to_owned()));
        assert_eq!(failed[..4], ["", "S5@1000", "SRT", "failed: the sender ended"]);
        assert_eq!(failed.len(), cells(Ok(&measured(1))).len(), "{failed:?}");
    }
}
