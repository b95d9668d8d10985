//! What a stream costs at a constant rate, and how much is carried without loss: Strata's two ends beside those of
//! librist and SRT, and beside bare UDP, over loopback, in the same run.
#![expect(clippy::disallowed_methods, reason = "a measurement waits")]

mod ends;
mod tools;
mod udp;

use std::io::{BufRead as _, BufReader, Read as _};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use clap::{Parser, ValueEnum};

/// Measures what a stream of 1316-byte payloads costs: CPU time (user and system) of both ends per Gbit, and the
/// highest rate at which nothing is lost.
///
/// Every end is a process of its own. Strata's ends are the library: payloads are made and taken within; `udp` is what
/// that stands on: the same payloads by the same sockets, and nothing else. The tools of librist and SRT read and write
/// UDP, which is part of what they cost; the programs at the far ends of that are not. Tools that are not installed are
/// left out.
#[derive(Debug, Parser)]
#[command(version)]
struct Cli {
    /// Rate at which CPU time is measured, Mbit/s
    #[arg(long, default_value_t = 100)]
    rate: u64,
    /// How long CPU time is measured, s
    #[arg(long, default_value_t = 10)]
    seconds: u64,
    /// How often CPU time is measured, each way in its turn: the median is shown, as what else the machine does changes
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..))]
    rounds: u16,
    /// Only these; all if absent
    #[arg(long, value_enum)]
    only: Vec<Way>,
    /// Highest rates too: these are tried one after the other until something is lost twice, Mbit/s
    #[arg(long, value_delimiter = ',')]
    highest: Vec<u64>,
    /// Payloads by single calls, as they come, instead of once per ms
    #[arg(long)]
    single: bool,
    #[command(subcommand)]
    end: Option<ends::End>,
}

/// Who carries the stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Way {
    /// The floor: the same payloads by the same sockets, without a protocol
    Udp,
    StrataSimple,
    StrataMain,
    StrataAes128,
    LibristSimple,
    LibristMain,
    LibristAes128,
    Srt,
}

/// The floor's name.
pub(crate) const UDP: &str = "udp";
/// Bytes of a payload: seven packets of transport stream.
pub(crate) const PAYLOAD: usize = 1316;
/// What both ends are set to when CPU time is measured, and for the highest rate, where sequence numbers of 16 bits
/// and buffers leave no more.
const LATENCY: Duration = Duration::from_millis(1000);
const SHORT_LATENCY: Duration = Duration::from_millis(200);
/// How long it takes to come to the full rate: who sends more than it knows a link to carry has to find out first.
const RAMP: f64 = 1.5;
/// Before it is measured: sessions are made, the rate is reached, buffers are filled.
const WARM_UP: Duration = Duration::from_secs(3);
/// How long a rate is tried.
const TRIAL: Duration = Duration::from_secs(5);

/// Payloads that are due after so many seconds.
pub(crate) fn due(seconds: f64, mbps: u64) -> u64 {
    let full = if seconds < RAMP { seconds * seconds / RAMP / 2.0 } else { seconds - RAMP / 2.0 };
    (full * mbps as f64 * 1e6 / 8.0 / PAYLOAD as f64) as u64
}

fn main() -> Result<()> {
    let cli = Cli::parse();
    if let Some(end) = &cli.end {
        return end.run();
    }
    let ways = if cli.only.is_empty() { Way::value_variants().to_vec() } else { cli.only.clone() };
    println!(
        "| | CPU s/Gbit at {} Mbit/s | sender | receiver | lost | highest rate without loss |",
        cli.rate
    );
    println!("|---|---|---|---|---|---|");
    let mut rounds = vec![Vec::new(); ways.len()];
    for _ in 0..cli.rounds {
        for (&way, seen) in ways.iter().zip(&mut rounds) {
            let time = Duration::from_secs(cli.seconds);
            seen.extend(measure(way, cli.rate, LATENCY, time, cli.single)?);
        }
    }
    for (way, seen) in ways.into_iter().zip(rounds) {
        let name = way.to_possible_value().context("a way without a name")?.get_name().to_owned();
        let lost: u64 = seen.iter().map(|used| used.lost).sum();
        let Some(used) = median(seen) else {
            println!("| {name} | not installed |");
            continue;
        };
        let gbit = (cli.rate * cli.seconds) as f64 / 1e3;
        let (sender, receiver) = (used.sender / gbit, used.receiver / gbit);
        let highest = highest(way, &cli.highest, cli.single)?;
        let highest = highest.map_or("–".to_owned(), |rate| format!("{rate} Mbit/s"));
        println!("| {name} | {:.2} | {sender:.2} | {receiver:.2} | {lost} | {highest} |", sender + receiver);
    }
    Ok(())
}

/// The one in the middle, by the time of both ends.
fn median(mut seen: Vec<Used>) -> Option<Used> {
    seen.sort_by(|a, b| (a.sender + a.receiver).total_cmp(&(b.sender + b.receiver)));
    seen.get(seen.len() / 2).copied()
}

/// The highest of `rates` before the first one at which something was lost, twice.
fn highest(way: Way, rates: &[u64], single: bool) -> Result<Option<u64>> {
    let mut best = None;
    for &rate in rates {
        let lost = || Ok(measure(way, rate, SHORT_LATENCY, TRIAL, single)?.is_none_or(|used| used.lost > 0));
        let lost: &dyn Fn() -> Result<bool> = &lost;
        if lost()? && lost()? {
            break;
        }
        best = Some(rate);
    }
    Ok(best)
}

/// What a stream took.
#[derive(Debug, Clone, Copy)]
struct Used {
    sender: f64,
    receiver: f64,
    /// Payloads that did not come out; those that were late in being made count too.
    lost: u64,
}

/// Both ends of a stream.
pub(crate) struct Ends {
    sender: Process,
    receiver: Process,
    /// What feeds and reads tools.
    around: Option<tools::Around>,
}

fn measure(way: Way, rate: u64, latency: Duration, time: Duration, single: bool) -> Result<Option<Used>> {
    let Some(mut ends) = start(way, rate, latency, single)? else { return Ok(None) };
    std::thread::sleep(WARM_UP);
    let before = (ends.sender.cpu()?, ends.receiver.cpu()?);
    std::thread::sleep(time);
    let sender = ends.sender.cpu()? - before.0;
    let receiver = ends.receiver.cpu()? - before.1;
    let lost = match ends.around.take() {
        Some(around) => around.finish(latency),
        None => {
            let sent = ends.sender.finish()?;
            let received = ends.receiver.finish()?;
            sent.saturating_sub(received)
        }
    };
    Ok(Some(Used { sender, receiver, lost }))
}

fn start(way: Way, rate: u64, latency: Duration, single: bool) -> Result<Option<Ends>> {
    let form = match way {
        Way::Udp => UDP,
        Way::StrataSimple => "simple",
        Way::StrataMain => "main",
        Way::StrataAes128 => "aes128",
        _ => return tools::start(way, rate, latency),
    };
    let latency = latency.as_millis().to_string();
    let mut receiver = Process::start(own(&["receive", form, &latency])?)?;
    let address = receiver.line()?;
    let sending = if single { "single" } else { "together" };
    let sender = Process::start(own(&["send", form, &latency, &address, &rate.to_string(), sending])?)?;
    Ok(Some(Ends { sender, receiver, around: None }))
}

fn own(args: &[&str]) -> Result<Command> {
    let mut command = Command::new(std::env::current_exe()?);
    command.args(args);
    Ok(command)
}

/// A process that ends with this.
pub(crate) struct Process {
    child: Child,
}

impl Process {
    /// Starts a program, with pipes to and from it.
    pub(crate) fn start(mut command: Command) -> Result<Self> {
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let child = command.spawn().with_context(|| format!("cannot start {command:?}"))?;
        Ok(Self { child })
    }

    fn cpu(&mut self) -> Result<f64> {
        ensure!(self.child.try_wait()?.is_none(), "an end ended before it was measured");
        strata_benches::process::cpu_seconds(self.child.id())
    }

    fn line(&mut self) -> Result<String> {
        let mut line = String::new();
        BufReader::new(self.child.stdout.as_mut().context("stdout")?).read_line(&mut line)?;
        Ok(line.trim().to_owned())
    }

    /// Tells one of our ends that it is over, and asks what it counted.
    fn finish(&mut self) -> Result<u64> {
        drop(self.child.stdin.take());
        let mut text = String::new();
        self.child.stdout.as_mut().context("stdout")?.read_to_string(&mut text)?;
        text.trim().parse().with_context(|| format!("an end said {text:?}"))
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
