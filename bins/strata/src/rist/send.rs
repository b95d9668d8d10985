//! `strata rist send`: datagrams in, a bonded stream out.

use std::net::SocketAddr;
use std::time::Duration;

use strata_media::net::{self, NetError, Profile, Sender, SenderConfig};
use tokio::time::{Instant, MissedTickBehavior, interval};

use super::args::Send;
use super::stats::{InputStats, SenderLine};
use super::udp::Input;
use super::{failure, resolve, stats, view};
use crate::end::{End, Failure};
use crate::lines::Lines;
use crate::logs::Shown;
use crate::signals::Signals;

/// Datagrams taken before others have their turn.
const BURST: usize = 64;
/// Most datagrams that are still taken when it ends: what the socket's buffer may hold.
const LAST: usize = 4096;

/// Runs a sender until a signal.
pub(crate) async fn send(args: Send, shown: &Shown, signals: &mut Signals) -> Result<End, Failure> {
    let input = args.input()?;
    let urls = resolve("--output", args.urls()?).await?;
    let config = args.config(&urls)?;
    let lines = stats(args.stats.as_deref())?;
    let input = Input::open(&input).await.map_err(|error| Failure::Open(format!("--input: {error}")))?;
    let addr = input.local_addr().map_err(|error| Failure::Open(format!("--input: {error}")))?;
    let (sender, driver) = net::sender(config.clone()).map_err(|error| failure("--output", &error))?;
    let links: Vec<_> = urls.urls().iter().map(net::url::RistUrl::authority).collect();
    tracing::info!(input = %addr, ?links, profile = ?config.profile, latency_ms = config.latency.as_millis(), "sending");
    let mut driver = tokio::spawn(driver.run());
    let mut run =
        Run { input, addr, sender, config, counts: InputStats::default(), lines, started: Instant::now() };
    tokio::select! {
        result = run.work(shown) => return Err(Failure::Running(result)),
        ended = &mut driver => return Err(Failure::Running(format!("the sender ended by itself: {ended:?}"))),
        _ = signals.next() => {}
    }
    tracing::info!("ending: what has come in is sent, for the latency");
    let finished = async {
        run.finish(shown).await;
        drop(run.sender);
        driver.await
    };
    tokio::select! {
        _ = finished => Ok(End::Signal),
        signal = signals.next() => Ok(End::Cut(signal)),
    }
}

struct Run {
    input: Input,
    addr: SocketAddr,
    sender: Sender,
    config: SenderConfig,
    counts: InputStats,
    lines: Lines,
    started: Instant,
}

impl Run {
    /// Passes datagrams on and tells how it goes, until something fails: what.
    async fn work(&mut self, shown: &Shown) -> String {
        let mut tick = interval(Duration::from_secs(1));
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                ready = self.input.readable() => {
                    if let Err(error) = ready {
                        return format!("--input: {error}");
                    }
                    if let Err(error) = self.pass(BURST).await {
                        return error.to_string();
                    }
                }
                _ = tick.tick() => self.report(shown),
            }
        }
    }

    /// Passes on what has come, up to so many datagrams. While the links are behind this waits, and the socket's
    /// buffer holds what comes.
    async fn pass(&mut self, most: usize) -> Result<(), NetError> {
        for _ in 0..most {
            let Some(datagram) = self.input.next() else { break };
            self.counts.datagrams += 1;
            self.counts.bytes += datagram.len() as u64;
            match self.sender.send(datagram).await {
                Err(error @ NetError::PayloadSize { .. }) => self.refuse(&error),
                result => result?,
            }
        }
        Ok(())
    }

    fn refuse(&mut self, error: &NetError) {
        if self.counts.refused == 0 {
            tracing::warn!("--input: {error}; such datagrams are left out and counted as refused");
        }
        self.counts.refused += 1;
    }

    fn report(&mut self, shown: &Shown) {
        let (uptime, stats) = (self.started.elapsed(), self.sender.stats());
        shown.draw(|| view::sender(uptime, &stats));
        let tunnel = (self.config.profile == Profile::Main).then(|| self.sender.tunnel_stats());
        self.lines.write(&SenderLine::new(uptime, (self.addr, self.counts), &self.config, stats, tunnel));
    }

    /// Takes what has come in until now, and waits until it had its time to be repeated.
    async fn finish(&mut self, shown: &Shown) {
        // A driver that has ended has nothing left to send either.
        let _ = self.pass(LAST).await;
        let _ = self.sender.finish().await;
        self.report(shown);
    }
}
