//! `strata rist receive`: a bonded stream in, datagrams out; or several streams.

use std::borrow::BorrowMut;
use std::time::Duration;

use strata_daemon::Signals;
use strata_media::net::url::Use;
use strata_media::net::{self, Packet, Receiver, ReceiverConfig, RistUrls};
use strata_media::rist::ReceiverStats;
use tokio::time::{Instant, interval, timeout};

use super::args::Receive;
use super::stats::{OutputStats, ReceiverLine};
use super::udp::Output;
use super::{Reports, failure, resolve, stats, streams, view};
use crate::end::{End, Failure};
use crate::lines::Lines;
use crate::logs::Shown;

/// Time between two looks whether all is played out; statistics are at most half as old.
pub(super) const LOOK: Duration = Duration::from_millis(200);
/// Packets that are put out together.
pub(super) const BATCH: usize = 64;

/// An output, and the streams that it is for.
pub(super) struct Destination {
    output: Output,
    /// The port within the tunnel that such a stream comes to; any, when it is not said.
    stream: Option<u16>,
}

impl Destination {
    /// Whether it is for a stream that came to this port within its tunnel, if it came by one.
    pub(super) fn takes(&self, port: Option<u16>) -> bool {
        self.stream.is_none() || self.stream == port
    }
}

/// Runs a receiver until a signal.
pub(crate) async fn receive(args: Receive, shown: &Shown, signals: &mut Signals) -> Result<End, Failure> {
    let output = args.outputs()?;
    let period = args.interval()?;
    args.tell_unused();
    let urls = resolve("--input", args.urls()?, Use::Receiver).await?;
    let made = (args.config(&urls)?, &urls);
    let lines = stats(args.stats.as_deref(), shown)?;
    let mut destinations = Vec::new();
    let ssrc = getrandom::u32().map_err(|error| Failure::Open(format!("no random numbers: {error}")))?;
    for url in &output {
        let output = Output::open(url, ssrc).await;
        let output = output.map_err(|error| Failure::Open(format!("--output: {error}")))?;
        destinations.push(Destination { output, stream: url.stream });
    }
    let told = (lines, Reports::every(period));
    if destinations.iter().any(|it| it.stream.is_some()) {
        return streams::receive(made, destinations, told, shown, signals).await;
    }
    receive_one(made, destinations, told, shown, signals).await
}

/// The same for one stream, whatever comes.
async fn receive_one(
    (config, urls): (ReceiverConfig, &RistUrls),
    destinations: Vec<Destination>,
    (lines, reports): (Lines, Reports),
    shown: &Shown,
    signals: &mut Signals,
) -> Result<End, Failure> {
    let latency = config.latency;
    let (receiver, driver) = net::receiver(config).map_err(|error| failure("--input", urls, &error))?;
    let ports = receiver.local_addrs();
    tracing::info!(?ports, latency_ms = latency.as_millis(), "receiving");
    tokio::spawn(driver.run());
    let mut run = Run {
        receiver,
        destinations,
        counts: OutputStats::default(),
        lines,
        reports,
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
    if run.reports.wanted() {
        run.report(shown);
    }
    Ok(end)
}

/// Puts packets out, and counts them.
pub(super) fn pass(
    packets: impl Iterator<Item = Packet>,
    destinations: &mut [impl BorrowMut<Destination>],
    counts: &mut OutputStats,
) {
    for Packet { payload, sequence, timestamp, .. } in packets {
        counts.datagrams += 1;
        counts.bytes += payload.len() as u64;
        for it in destinations.iter_mut() {
            it.borrow_mut().output.send(&payload, sequence, timestamp);
        }
    }
    counts.refused = 0;
    for Destination { output, .. } in destinations.iter_mut().map(BorrowMut::borrow_mut) {
        output.flush();
        counts.refused += output.refused();
    }
}

struct Run {
    receiver: Receiver,
    destinations: Vec<Destination>,
    counts: OutputStats,
    lines: Lines,
    reports: Reports,
    started: Instant,
    /// What was reported last, and when.
    before: (ReceiverStats, Duration),
}

impl Run {
    /// Passes packets on and tells how it goes, until the receiver ends.
    async fn work(&mut self, shown: &Shown) {
        let mut packets = Vec::with_capacity(BATCH);
        loop {
            tokio::select! {
                count = self.receiver.recv_many(&mut packets, BATCH) => {
                    if count == 0 {
                        return;
                    }
                    pass(packets.drain(..), &mut self.destinations, &mut self.counts);
                }
                _ = self.reports.due() => self.report(shown),
            }
        }
    }

    fn report(&mut self, shown: &Shown) {
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
