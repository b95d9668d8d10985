//! One run: relays, tools, source and sink.

use std::fs::File;
use std::net::SocketAddr;
use std::path::Path;
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use serde_json::Value;
use strata_benches::process;
use strata_media::testing::netem::LinkStats;
use strata_media::testing::relay::{Mapping, Relay, RelayConfig, relay};
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, ChildStdout, Command};
use tokio::time::{MissedTickBehavior, interval, sleep};

use crate::contender::{Call, Contender, Ends};
use crate::scenario::Scenario;
use crate::sink::{Arrival, Sink};
use crate::source;

/// Tools have this time to open their sockets.
const START: Duration = Duration::from_secs(2);
/// What is counted starts so long after the stream, and ends so long before its end.
const WARM_UP: Duration = Duration::from_secs(5);
const COOL_DOWN: Duration = Duration::from_secs(2);
/// After its latency, a datagram has this time to come.
pub(crate) const GRACE: Duration = Duration::from_millis(500);
/// Time between two looks at the links.
pub(crate) const SAMPLE: Duration = Duration::from_millis(500);
/// Addresses that a contender may use: two of the stream's ends, and three for each of at most four links.
const CONTENDER_HOSTS: u8 = 16;

/// What was seen.
#[derive(Debug)]
pub(crate) struct Measured {
    /// When each datagram was sent, µs since the start.
    pub(crate) sent: Vec<u64>,
    pub(crate) arrivals: Vec<Arrival>,
    /// What is counted: datagrams sent from here …
    pub(crate) from: Duration,
    /// … to here.
    pub(crate) to: Duration,
    /// Bytes handed to the links in that time.
    pub(crate) wire_bytes: u64,
    /// CPU time of both ends in that time, seconds.
    pub(crate) cpu_seconds: f64,
    pub(crate) samples: Vec<Sample>,
}

/// The links at a time.
#[derive(Debug)]
pub(crate) struct Sample {
    pub(crate) at: Duration,
    /// What each did so far, towards the receiver.
    pub(crate) links: Vec<LinkStats>,
}

pub(crate) async fn run(
    scenario: &Scenario,
    contender: Contender,
    seconds: u64,
    folder: &Path,
) -> Result<Measured> {
    std::fs::create_dir_all(folder)?;
    let ends = ends(scenario, contender);
    let relays = relays(scenario, contender, &ends)?;
    let mut receiver = start(contender.receiver(scenario, &ends)?, &folder.join("receiver.log"), false)?;
    let mut sender =
        start(contender.sender(scenario, &ends)?, &folder.join("sender.log"), contender.adapts())?;
    let rate_bps = Arc::new(AtomicU64::new(scenario.rate_bps));
    sleep(START).await;
    let (length, zero) = (Duration::from_secs(seconds), Instant::now());
    let (from, to) = (WARM_UP.min(length / 2), length.saturating_sub(COOL_DOWN).max(length / 2));
    let datagrams = (scenario.rate_bps * seconds / 8) as usize / crate::datagram::DATAGRAM_BYTES + 1;
    let sink = Sink::listen(ends.output, zero, datagrams)?;
    let sending = source::start(ends.input, Arc::clone(&rate_bps), zero, length)?;
    if let Some(lines) = sender.stdout.take() {
        tokio::spawn(follow(lines, rate_bps));
    }
    let mut samples = Vec::new();
    let (mut cpu, mut wire) = ((0.0, 0.0), (0, 0));
    let mut timer = interval(SAMPLE);
    timer.set_missed_tick_behavior(MissedTickBehavior::Delay);
    while zero.elapsed() < length + scenario.latency + GRACE * 2 {
        timer.tick().await;
        for (name, child) in [("sender", &mut sender), ("receiver", &mut receiver)] {
            if let Some(status) = child.try_wait()? {
                bail!("the {name} of {} ended: {status}", contender.name());
            }
        }
        let sample = Sample { at: zero.elapsed(), links: relays.iter().map(|r| r.stats().up).collect() };
        let pushed = sample.links.iter().map(|link| link.pushed_bytes).sum();
        let now = (cpu_of(&sender)? + cpu_of(&receiver)?, pushed);
        if sample.at <= from || samples.is_empty() {
            (cpu.0, wire.0) = now;
        }
        if sample.at <= to {
            (cpu.1, wire.1) = now;
        }
        samples.push(sample);
    }
    let sent = sending.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))?;
    let arrivals = sink.stop()?;
    for child in [&mut sender, &mut receiver] {
        child.kill().await?;
    }
    let (wire_bytes, cpu_seconds) = (wire.1 - wire.0, cpu.1 - cpu.0);
    Ok(Measured { sent, arrivals, from, to, wire_bytes, cpu_seconds, samples })
}

fn cpu_of(child: &Child) -> Result<f64> {
    process::cpu_seconds(child.id().context("it ended")?)
}

/// The source makes what the sending tool's statistics say, until the tool ends.
async fn follow(lines: ChildStdout, rate_bps: Arc<AtomicU64>) {
    let mut lines = BufReader::new(lines).lines();
    while let Ok(Some(line)) = lines.next_line().await {
        let stats: Value = serde_json::from_str(&line).unwrap_or_default();
        if let Some(target) = stats["target_bps"].as_u64() {
            rate_bps.store(target, Ordering::Relaxed);
        }
    }
}

/// Starts a tool; what it says goes to its log, but for its standard output if that is read.
fn start(call: Call, log: &Path, read: bool) -> Result<Child> {
    let file = File::create(log)?;
    let stdout = if read { Stdio::piped() } else { file.try_clone()?.into() };
    Command::new(&call.program)
        .args(&call.args)
        .stdin(Stdio::null())
        .stdout(stdout)
        .stderr(file)
        .kill_on_drop(true)
        .spawn()
        .with_context(|| format!("cannot start {}; `make setup` installs it", call.program.display()))
}

/// An address that meets nobody: the process has a net of its own in 127.0.0.0/8, and each contender a part of it.
fn addr(contender: Contender, host: usize, port: u16) -> SocketAddr {
    let [.., high, low] = std::process::id().to_be_bytes();
    SocketAddr::from(([127, high | 0x80, low, contender as u8 * CONTENDER_HOSTS + host as u8], port))
}

fn ends(scenario: &Scenario, contender: Contender) -> Ends {
    let links = 0..scenario.links.len();
    let addr = |host, port| addr(contender, host, port);
    Ends {
        input: addr(1, 7000),
        links: links.clone().map(|index| addr(4 + index, 6000)).collect(),
        receivers: links
            .map(|index| addr(8 + if contender.one_receiver() { 0 } else { index }, 5000))
            .collect(),
        output: addr(2, 8000),
    }
}

fn relays(scenario: &Scenario, contender: Contender, ends: &Ends) -> Result<Vec<Relay>> {
    let above = |addr: SocketAddr| SocketAddr::new(addr.ip(), addr.port() + 1);
    let mut relays = Vec::new();
    for (index, link) in scenario.links.iter().enumerate() {
        let (listen, forward) = (ends.links[index], ends.receivers[index]);
        let mappings =
            vec![Mapping { listen, forward }, Mapping { listen: above(listen), forward: above(forward) }];
        let mut config = RelayConfig::new(mappings, link.up.clone());
        config.down = link.down.clone();
        config.seed = index as u64;
        // librist tells the links of a sender apart by their addresses.
        config.source = Some(addr(contender, 12 + index, 0).ip());
        let (relay, driver) = relay(config)?;
        tokio::spawn(driver.run());
        relays.push(relay);
    }
    Ok(relays)
}
