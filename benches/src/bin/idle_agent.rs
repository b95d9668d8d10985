//! Memory and CPU of an idle agent: enrolled, connected, reporting its hardware, sending nothing.

#![expect(clippy::disallowed_methods, reason = "a measurement waits")]

use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, Result};
use clap::Parser;
use strata_benches::process;
use strata_e2e::clip::Clip;
use strata_e2e::stage::{Setup, Stage};

/// Starts a control plane and an agent, and measures the agent while it is idle.
///
/// Memory is resident memory; what was written to is the agent's own, the rest is code that the kernel
/// can read again from disk. CPU is user and system
/// time of the agent and of the children it waited for, such as its looks at media files.
#[derive(Debug, Parser)]
#[command(version)]
struct Cli {
    /// How long to measure.
    #[arg(long, default_value_t = 60)]
    seconds: u64,
    /// How long to wait before, for what is done once.
    #[arg(long, default_value_t = 5)]
    settle: u64,
}

#[tokio::main]
async fn main() -> Result<()> {
    let cli = Cli::parse();
    let stage = Stage::new(Setup::new(Clip::SMALL.file().await?)).await?;
    let (agent, _) = stage.device("agent").await?;
    let pid = agent.daemon.pid().context("the agent ended")?;
    tokio::time::sleep(Duration::from_secs(cli.settle)).await;
    let before = process::cpu_seconds(pid)?;
    tokio::time::sleep(Duration::from_secs(cli.seconds)).await;
    let used = process::cpu_seconds(pid)? - before;
    let (resident, written) = memory(&process::folder(pid))?;
    println!("idle agent over {} s", cli.seconds);
    println!("  memory  {:.1} MB resident, {:.1} MB of it written to", resident / 1e3, written / 1e3);
    println!("  cpu     {used:.2} s, {:.2} % of a core", used * 100.0 / cli.seconds as f64);
    stage.done();
    Ok(())
}

/// Resident memory, and what of it was written to, kB.
fn memory(process: &Path) -> Result<(f64, f64)> {
    let rollup = std::fs::read_to_string(process.join("smaps_rollup"))?;
    let sum = |names: &[&str]| {
        let lines = rollup.lines().filter_map(|line| line.split_once(':'));
        let values = lines.filter(|(name, _)| names.contains(name));
        values.filter_map(|(_, value)| value.trim().trim_end_matches(" kB").parse::<f64>().ok()).sum::<f64>()
    };
    // The kernel's kB are 1024 bytes.
    Ok((sum(&["Rss"]) * 1.024, sum(&["Private_Dirty"]) * 1.024))
}
