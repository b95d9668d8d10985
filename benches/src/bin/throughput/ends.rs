//! Strata's ends, each a process with one thread.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Result, bail};
use bytes::Bytes;
use clap::Subcommand;
use strata_media::net::{self, LinkConfig, Passphrase, Profile, Psk, ReceiverConfig, SenderConfig};
use tokio::io::AsyncReadExt as _;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep};

use crate::{PAYLOAD, due};

/// Packets taken at a time.
const BATCH: usize = 256;
/// Different payloads: more than fit into caches near the processor.
const SOURCE: usize = 4096;

/// An end of a stream; ends when its standard input does, and says how many payloads it sent or received.
#[derive(Debug, Subcommand)]
#[command(hide = true)]
pub(crate) enum End {
    /// Receive on a port that is printed.
    #[command(hide = true)]
    Receive { form: String, latency_ms: u64 },
    /// Send at a constant rate.
    #[command(hide = true)]
    Send { form: String, latency_ms: u64, to: SocketAddr, mbps: u64, sending: String },
}

impl End {
    /// Runs it.
    pub(crate) fn run(&self) -> Result<()> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        match self {
            Self::Receive { form, latency_ms } => runtime.block_on(receive(form, *latency_ms)),
            Self::Send { form, latency_ms, to, mbps, sending } => {
                let tick = Duration::from_millis(1);
                let single = Duration::from_nanos(PAYLOAD as u64 * 8 * 1000 / mbps);
                let tick = if sending == "single" { tick.min(single) } else { tick };
                runtime.block_on(send(form, *latency_ms, *to, *mbps, tick))
            }
        }
    }
}

fn form(form: &str) -> Result<(Profile, Option<Psk>)> {
    match form {
        "simple" => Ok((Profile::Simple, None)),
        "main" => Ok((Profile::Main, None)),
        "aes128" => Ok((Profile::Main, Some(Psk::new(Passphrase::new("correct-horse")?)))),
        _ => bail!("no such form: {form}"),
    }
}

/// Waits until standard input ends.
async fn over() {
    let _ = tokio::io::stdin().read(&mut [0]).await;
}

async fn receive(name: &str, latency_ms: u64) -> Result<()> {
    let mut config = ReceiverConfig::new(vec![SocketAddr::from(([127, 0, 0, 1], 0))]);
    config.latency = Duration::from_millis(latency_ms);
    config.psk = form(name)?.1;
    let (mut receiver, driver) = net::receiver(config)?;
    tokio::spawn(driver.run());
    println!("{}", receiver.local_addrs()[0]);
    let (mut received, mut packets) = (0u64, Vec::new());
    let mut over = std::pin::pin!(over());
    loop {
        tokio::select! {
            count = receiver.recv_many(&mut packets, BATCH) => received += count as u64,
            () = &mut over => break,
        }
        packets.clear();
    }
    // What is under way, and what is still to be played out.
    let end = sleep(Duration::from_millis(latency_ms + 300));
    let mut end = std::pin::pin!(end);
    loop {
        tokio::select! {
            count = receiver.recv_many(&mut packets, BATCH) => received += count as u64,
            () = &mut end => break,
        }
        packets.clear();
    }
    if std::env::var_os("VERBOSE").is_some() {
        eprintln!("{:?}", receiver.stats());
    }
    println!("{received}");
    Ok(())
}

async fn send(name: &str, latency_ms: u64, to: SocketAddr, mbps: u64, tick: Duration) -> Result<()> {
    let mut config = SenderConfig::new(vec![LinkConfig::new(0, to)]);
    config.latency = Duration::from_millis(latency_ms);
    (config.profile, config.psk) = form(name)?;
    let (sender, driver) = net::sender(config)?;
    tokio::spawn(driver.run());
    let start = Instant::now();
    let mut timer = interval(tick);
    timer.set_missed_tick_behavior(MissedTickBehavior::Skip);
    let due = || due(start.elapsed().as_secs_f64(), mbps);
    let source = Bytes::from(vec![0x47; SOURCE * PAYLOAD]);
    let mut sent = 0u64;
    let mut over = std::pin::pin!(over());
    loop {
        tokio::select! {
            _ = timer.tick() => {}
            () = &mut over => break,
        }
        let due = due();
        while sent < due {
            let at = sent as usize % SOURCE * PAYLOAD;
            sender.send(source.slice(at..at + PAYLOAD)).await?;
            sent += 1;
        }
    }
    // What could not be made in time counts as lost, but not what is due in this very moment.
    let missing = (due() - sent).saturating_sub(sent / 100);
    sender.finish().await?;
    if std::env::var_os("VERBOSE").is_some() {
        eprintln!("{:?}", sender.stats());
    }
    println!("{}", sent + missing);
    Ok(())
}
