//! Links, stream and latency of each run.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use strata_media::testing::netem::{Config, Loss, Outage, Queue, Trace, walk};

use crate::contender::Shown;

/// One run for each contender.
#[derive(Debug, Clone)]
pub(crate) struct Scenario {
    pub(crate) name: String,
    pub(crate) links: Vec<Link>,
    /// Payload, bit/s.
    pub(crate) rate_bps: u64,
    /// Set at both ends of every contender.
    pub(crate) latency: Duration,
    /// How long the stream lasts when nobody says otherwise.
    pub(crate) seconds: u64,
    /// Who has to run besides those that run everywhere.
    pub(crate) shows: Shown,
}

/// One link, and what somebody who knows it would set by hand.
#[derive(Debug, Clone)]
pub(crate) struct Link {
    pub(crate) up: Config,
    pub(crate) down: Config,
    /// Mean capacity, bit/s.
    pub(crate) mean_bps: u64,
}

const MBIT: u64 = 1_000_000;

/// Recorded capacity: one-way delays by the files' order, and the queue of each.
const TRACE_DELAYS_MS: [u64; 4] = [60, 30, 45, 80];
const TRACE_QUEUE_BYTES: usize = 256 << 10;
/// Means in Mbit/s and shares of silence of what stands in for recordings.
const MADE: [(f64, f64); 3] = [(2.0, 0.08), (9.0, 0.01), (6.0, 0.02)];
/// In S7 the stream is this part of what the links carry on average: more than they carry at times.
const TRACE_SHARE: f64 = 0.6;

/// S1 to S7, each at the latencies that `benches/README.md` explains.
pub(crate) fn all(traces: Option<&Path>) -> Result<Vec<Scenario>> {
    let random = |mbit: u64, delay_ms: u64, rate: f64| link(mbit * MBIT, delay_ms, Loss::Random { rate });
    let bursts = |mbit: u64, delay_ms: u64| link(mbit * MBIT, delay_ms, Loss::bursts(0.01, 5.0));
    let s1 = vec![random(20, 25, 0.005)];
    let s2 = vec![random(10, 40, 0.01), random(5, 80, 0.02)];
    let mut s3 = s2.clone();
    let outage = Outage { start: Duration::from_secs(15), length: Duration::from_secs(10) };
    s3[0].up.outages.push(outage);
    s3[0].down.outages.push(outage);
    let s4 = vec![bursts(8, 30), bursts(6, 60), bursts(4, 120)];
    let lossy = vec![random(20, 25, 0.1)];
    let s5 = vec![Link { up: unlimited(), down: unlimited(), mean_bps: 1000 * MBIT }];
    let s6 = traced(traces)?;
    let mean: u64 = s6.iter().map(|link| link.mean_bps).sum();
    let s7_rate = (mean as f64 * TRACE_SHARE) as u64;
    let scenario = |name: &str, links: &[Link], rate_bps: u64, latency_ms: u64, seconds: u64| Scenario {
        name: format!("{name}@{latency_ms}"),
        links: links.to_vec(),
        rate_bps,
        latency: Duration::from_millis(latency_ms),
        seconds,
        shows: match name {
            "S5" => Shown::Speed,
            "S7" => Shown::Adapted,
            _ => Shown::Nothing,
        },
    };
    Ok(vec![
        scenario("S1", &s1, 5 * MBIT, 114, 45),
        scenario("S1", &s1, 5 * MBIT, 140, 45),
        scenario("S1", &s1, 5 * MBIT, 1000, 45),
        scenario("S1-lossy", &lossy, 5 * MBIT, 274, 45),
        scenario("S2", &s2, 6 * MBIT, 178, 45),
        scenario("S2", &s2, 6 * MBIT, 220, 45),
        scenario("S2", &s2, 6 * MBIT, 1000, 45),
        scenario("S3", &s3, 4 * MBIT, 450, 45),
        scenario("S3", &s3, 4 * MBIT, 1000, 45),
        scenario("S4", &s4, 12 * MBIT, 265, 45),
        scenario("S4", &s4, 12 * MBIT, 300, 45),
        scenario("S4", &s4, 12 * MBIT, 1000, 45),
        scenario("S4-full", &s4, 15_500_000, 1000, 45),
        scenario("S5", &s5, 100 * MBIT, 1000, 45),
        scenario("S6", &s6, 8 * MBIT, 1000, 120),
        scenario("S6", &s6, 8 * MBIT, 3000, 120),
        scenario("S7", &s6, s7_rate, 1000, 600),
    ])
}

fn unlimited() -> Config {
    Config::default()
}

fn link(rate_bps: u64, delay_ms: u64, loss: Loss) -> Link {
    let config = Config {
        rate_bps: Some(rate_bps),
        delay: Duration::from_millis(delay_ms),
        loss,
        ..Config::default()
    };
    Link { up: config.clone(), down: config, mean_bps: rate_bps }
}

/// One link per recording, or per made one; answers come back by links of the same delay without a limit.
fn traced(folder: Option<&Path>) -> Result<Vec<Link>> {
    let texts = match folder {
        Some(folder) => super::recordings(folder)?,
        None => (0..)
            .zip(MADE)
            .map(|(seed, (mean, silent))| (format!("made {seed}"), walk(seed, mean, silent)))
            .collect(),
    };
    ensure!(
        (2..=TRACE_DELAYS_MS.len()).contains(&texts.len()),
        "{} recordings, expected 2 to 4",
        texts.len()
    );
    let link = |((name, text), delay_ms): (&(String, String), u64)| {
        let trace: Trace = text.parse().with_context(|| name.clone())?;
        let mean_bps = trace.mean_rate_bps();
        let down = Config { delay: Duration::from_millis(delay_ms), ..Config::default() };
        let up =
            Config { trace: Some(Arc::new(trace)), queue: Queue::Bytes(TRACE_QUEUE_BYTES), ..down.clone() };
        Ok(Link { up, down, mean_bps })
    };
    texts.iter().zip(TRACE_DELAYS_MS).map(link).collect()
}
