//! Strata's ends, each a process with one thread.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Result, bail};
use bytes::Bytes;
use clap::Subcommand;
use strata_media::net::{self, LinkConfig, Passphrase, Profile, Psk, ReceiverConfig, SenderConfig};
use tokio::io::AsyncReadExt as _;
use tokio::time::{Instant, Interval, MissedTickBehavior, interval, sleep};

use crate::{PAYLOAD, UDP, due, udp};

/// Packets taken at a time.
const BATCH: usize = 256;
/// Different payloads: more than fit into caches near the processor.
const SOURCE: usize = 4096;

/// An end of a stream; ends when its standard input does, and says how many payloads it sent or received.
#[derive(Debug, Clone, Subcommand)]
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
        // A task, as in `strata rist`: who wakes what the runtime itself waits for writes to the runtime's eventfd.
        let running = runtime.spawn(self.clone().work());
        runtime.block_on(running)?
    }

    async fn work(self) -> Result<()> {
        match self {
            Self::Receive { form, .. } if form == UDP => udp::receive().await,
            Self::Receive { form, latency_ms } => receive(&form, latency_ms).await,
            Self::Send { form, latency_ms, to, mbps, sending } => {
                let tick = Duration::from_millis(1);
                let single = Duration::from_nanos(PAYLOAD as u64 * 8 * 1000 / mbps);
                let source = Source::new(mbps, if sending == "single" { tick.min(single) } else { tick });
                if form == UDP {
                    udp::send(to, source).await
                } else {
                    send(&form, latency_ms, to, source).await
                }
            }
        }
    }
}

/// Payloads that are due, until it is over.
pub(crate) struct Source {
    mbps: u64,
    start: Instant,
    timer: Interval,
    payloads: Bytes,
    given: u64,
}

impl Source {
    fn new(mbps: u64, tick: Duration) -> Self {
        let mut timer = interval(tick);
        timer.set_missed_tick_behavior(MissedTickBehavior::Skip);
        let payloads = Bytes::from(vec![0x47; SOURCE * PAYLOAD]);
        Self { mbps, start: Instant::now(), timer, payloads, given: 0 }
    }

    fn due(&self) -> u64 {
        due(self.start.elapsed().as_secs_f64(), self.mbps)
    }

    /// Those that are due at the next tick.
    pub(crate) async fn tick(&mut self) -> impl Iterator<Item = Bytes> + use<> {
        self.timer.tick().await;
        let (from, payloads) = (self.given, self.payloads.clone());
        self.given = self.due();
        (from..self.given).map(move |number| {
            let at = number as usize % SOURCE * PAYLOAD;
            payloads.slice(at..at + PAYLOAD)
        })
    }

    /// How many there should have been. What could not be given in time counts as lost, but not what is due in this very moment.
    pub(crate) fn end(&self) -> u64 {
        self.given + (self.due() - self.given).saturating_sub(self.given / 100)
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
pub(crate) async fn over() {
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

async fn send(name: &str, latency_ms: u64, to: SocketAddr, mut source: Source) -> Result<()> {
    let mut config = SenderConfig::new(vec![LinkConfig::new(0, to)]);
    config.latency = Duration::from_millis(latency_ms);
    (config.profile, config.psk) = form(name)?;
    let (sender, driver) = net::sender(config)?;
    tokio::spawn(driver.run());
    let mut over = std::pin::pin!(over());
    loop {
        let payloads = tokio::select! {
            payloads = source.tick() => payloads,
            () = &mut over => break,
        };
        for payload in payloads {
            sender.send(payload).await?;
        }
    }
    let sent = source.end();
    sender.finish().await?;
    if std::env::var_os("VERBOSE").is_some() {
        eprintln!("{:?}", sender.stats());
    }
    println!("{sent}");
    Ok(())
}
