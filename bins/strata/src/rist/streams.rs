//! `strata rist receive` for several streams that come to the same ports: each goes to the outputs that are for it.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use strata_daemon::Signals;
use strata_media::net::{self, Accepted, Listener, ReceiverConfig, ReceiverMonitor, RistUrls};
use strata_media::rist::ReceiverStats;
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout};

use super::receive::{BATCH, Destination, LOOK, pass};
use super::stats::{OutputStats, ReceiverLine};
use super::{Reports, failure, view};
use crate::end::{End, Failure};
use crate::lines::Lines;
use crate::logs::Shown;

/// Streams at a time; what comes beyond is refused, and counted.
const MOST_STREAMS: usize = 64;

/// Runs a receiver of several streams until a signal.
pub(super) async fn receive(
    (config, urls): (ReceiverConfig, &RistUrls),
    destinations: Vec<Destination>,
    (lines, reports): (Lines, Reports),
    shown: &Shown,
    signals: &mut Signals,
) -> Result<End, Failure> {
    let latency = config.latency;
    let (listener, driver) =
        net::listener(config, MOST_STREAMS).map_err(|error| failure("--input", urls, &error))?;
    let ports = listener.local_addrs();
    tracing::info!(?ports, latency_ms = latency.as_millis(), "receiving");
    tokio::spawn(driver.run());
    let destinations = destinations.into_iter().map(|it| Arc::new(Mutex::new(it))).collect();
    let started = Instant::now();
    let mut run = Run { listener, destinations, streams: Vec::new(), lines, reports, started };
    tokio::select! {
        () = run.work(shown) => return Err(Failure::Running("the receiver ended by itself".to_owned())),
        _ = signals.next() => {}
    }
    tracing::info!("ending: what has come in is played out");
    let end = tokio::select! {
        // What is there now is out after the latency, whatever still comes.
        _ = timeout(latency + LOOK, run.finish()) => End::Signal,
        signal = signals.next() => End::Cut(signal),
    };
    if run.reports.wanted() {
        run.report(shown);
    }
    Ok(end)
}

/// A place that streams go to, by turns.
type Shared = Arc<Mutex<Destination>>;

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

struct Run {
    listener: Listener,
    destinations: Vec<Shared>,
    streams: Vec<Stream>,
    lines: Lines,
    reports: Reports,
    started: Instant,
}

/// A stream that has come.
struct Stream {
    monitor: ReceiverMonitor,
    /// Where its first packet came from, and the port within its tunnel that it came to.
    from: SocketAddr,
    port: Option<u16>,
    counts: Arc<Mutex<OutputStats>>,
    passing: JoinHandle<()>,
    /// What was reported last, and when.
    before: (ReceiverStats, Duration),
}

impl Stream {
    /// Passes it on from now on, to the destinations that are for it.
    fn take(accepted: Accepted, destinations: &[Shared]) -> Self {
        let Accepted { mut receiver, ssrc, from, virtual_port: port, .. } = accepted;
        let is_for = |it: &&Shared| lock(it).takes(port);
        let own: Vec<_> = destinations.iter().filter(is_for).cloned().collect();
        tracing::info!(ssrc, %from, stream_id = port, outputs = own.len(), "a stream has come");
        if own.is_empty() {
            tracing::warn!(ssrc, stream_id = port, "no output is for it: it is left unheard");
        }
        let (monitor, counts) = (receiver.monitor(), Arc::<Mutex<OutputStats>>::default());
        let counted = counts.clone();
        let passing = tokio::spawn(async move {
            let mut packets = Vec::with_capacity(BATCH);
            // Dropping the receiver leaves a stream unheard.
            while !own.is_empty() && receiver.recv_many(&mut packets, BATCH).await > 0 {
                let mut own: Vec<_> = own.iter().map(|it| lock(it)).collect();
                let mut own: Vec<_> = own.iter_mut().map(|it| &mut **it).collect();
                pass(packets.drain(..), &mut own, &mut lock(&counted));
            }
        });
        Self { monitor, from, port, counts, passing, before: (ReceiverStats::default(), Duration::ZERO) }
    }
}

impl Run {
    /// Takes streams up and tells how it goes, until the listener ends.
    async fn work(&mut self, shown: &Shown) {
        loop {
            tokio::select! {
                accepted = self.listener.accept() => match accepted {
                    Some(accepted) => self.streams.push(Stream::take(accepted, &self.destinations)),
                    None => return,
                },
                _ = self.reports.due() => self.report(shown),
            }
        }
    }

    /// A line for each stream; those that are over are told of once more. One about the ports while there is none.
    fn report(&mut self, shown: &Shown) {
        let (uptime, addrs) = (self.started.elapsed(), self.listener.local_addrs());
        let mut tables = Vec::new();
        for stream in &mut self.streams {
            let stats = stream.monitor.stats();
            let (before, then) = &stream.before;
            let ago = uptime.saturating_sub(*then);
            tables.push(view::stream(
                stream.from,
                stream.port,
                &view::receiver(uptime, addrs, &stats, (before, ago)),
            ));
            let line = ReceiverLine::new(uptime, addrs, &stats, *lock(&stream.counts));
            self.lines.write(&line.of_stream(stream.from, stream.port));
            stream.before = (stats, uptime);
        }
        if self.streams.is_empty() {
            let (mut stats, of_all) = (ReceiverStats::default(), self.listener.stats());
            (stats.tunnel, stats.rejected_datagrams) = (of_all.tunnel, of_all.rejected_datagrams);
            stats.refused_datagrams = of_all.refused_datagrams;
            let line = ReceiverLine::new(uptime, addrs, &stats, OutputStats::default());
            self.lines.write(&line);
            tables.push("no stream".to_owned());
        }
        shown.draw(|| tables.join("\n"));
        self.streams.retain(|stream| !stream.passing.is_finished());
    }

    /// Plays out what has come in.
    async fn finish(&mut self) {
        let mut tick = tokio::time::interval(LOOK);
        tick.tick().await;
        loop {
            tick.tick().await;
            if self.streams.iter().all(|stream| stream.monitor.stats().buffered_packets == 0) {
                return;
            }
        }
    }
}
