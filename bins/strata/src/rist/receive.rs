//! `strata rist receive`: a bonded stream in, datagrams out.

use std::time::Duration;

use strata_media::net::{self, Receiver};
use strata_media::rist::ReceiverStats;
use tokio::time::{Instant, MissedTickBehavior, interval, timeout};

use super::args::Receive;
use super::stats::{OutputStats, ReceiverLine};
use super::udp::Output;
use super::{failure, resolve, stats, view};
use crate::end::{End, Failure};
use crate::lines::Lines;
use crate::logs::Shown;
use crate::signals::Signals;

/// Time between two looks whether all is played out; statistics are at most half as old.
const LOOK: Duration = Duration::from_millis(200);

/// Runs a receiver until a signal.
pub(crate) async fn receive(args: Receive, shown: &Shown, signals: &mut Signals) -> Result<End, Failure> {
    let output = args.outputs()?;
    let urls = resolve("--input", args.urls()?).await?;
    let config = args.config(&urls)?;
    let latency = config.latency;
    let lines = stats(args.stats.as_deref())?;
    let mut outputs = Vec::new();
    for url in &output {
        outputs.push(Output::open(url).await.map_err(|error| Failure::Open(format!("--output: {error}")))?);
    }
    let (receiver, driver) = net::receiver(config).map_err(|error| failure("--input", &error))?;
    let ports = receiver.local_addrs();
    tracing::info!(?ports, latency_ms = latency.as_millis(), "receiving");
    tokio::spawn(driver.run());
    let mut run = Run {
        receiver,
        outputs,
        counts: OutputStats::default(),
        lines,
        started: Instant::now(),
        before: (ReceiverStats::default(), Duration::ZERO),
    };
    let ended = || Err(Failure::Running("the receiver ended by itself".to_owned()));
    tokio::select! {
        () = run.work(shown) => return ended(),
        _ = signals.next() => {}
    }
    tracing::info!("ending: what has come in is played out");
    let end = tokio::select! {
        // What is there now is out after the latency, whatever still comes.
        _ = timeout(latency + LOOK, run.finish(shown)) => End::Signal,
        signal = signals.next() => End::Cut(signal),
    };
    run.report(shown);
    Ok(end)
}

struct Run {
    receiver: Receiver,
    outputs: Vec<Output>,
    counts: OutputStats,
    lines: Lines,
    started: Instant,
    /// What was reported last, and when.
    before: (ReceiverStats, Duration),
}

impl Run {
    /// Passes packets on and tells how it goes, until the receiver ends.
    async fn work(&mut self, shown: &Shown) {
        let mut tick = interval(Duration::from_secs(1));
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                packet = self.receiver.recv() => match packet {
                    Some(packet) => self.pass(&packet.payload),
                    None => return,
                },
                _ = tick.tick() => self.report(shown),
            }
        }
    }

    fn pass(&mut self, payload: &[u8]) {
        self.counts.datagrams += 1;
        self.counts.bytes += payload.len() as u64;
        self.outputs.iter_mut().for_each(|output| output.send(payload));
    }

    fn report(&mut self, shown: &Shown) {
        self.counts.refused = self.outputs.iter().map(|output| output.refused).sum();
        let (uptime, stats) = (self.started.elapsed(), self.receiver.stats());
        let addrs = self.receiver.local_addrs();
        let (before, then) = &self.before;
        shown.draw(|| view::receiver(uptime, addrs, &stats, (before, uptime.saturating_sub(*then))));
        self.lines.write(&ReceiverLine::new(uptime, addrs, &stats, self.counts));
        self.before = (stats, uptime);
    }

    /// Plays out what has come in.
    async fn finish(&mut self, shown: &Shown) {
        let monitor = self.receiver.monitor();
        let played = async {
            let mut tick = interval(LOOK);
            tick.tick().await;
            loop {
                tick.tick().await;
                if monitor.stats().buffered_packets == 0 {
                    return;
                }
            }
        };
        tokio::select! {
            biased;
            () = self.work(shown) => {}
            () = played => {}
        }
    }
}
