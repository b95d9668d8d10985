//! `strata rist send`: datagrams in, bonded streams out, one for each input.

use std::future::poll_fn;
use std::net::SocketAddr;
use std::task::Poll;
use std::time::Duration;

use strata_daemon::Signals;
use strata_media::bond::{Adaptation, AdaptationParams, BondStats};
use strata_media::net::url::Use;
use strata_media::net::{self, NetError, Profile, RistUrls, Sender, SenderConfig};
use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior, interval};

use super::args::Send;
use super::gathering::Gathering;
use super::stats::{InputStats, SenderLine};
use super::udp::{Input, UdpUrl};
use super::{Reports, failure, resolve, stats, view};
use crate::end::{End, Failure};
use crate::lines::Lines;
use crate::logs::Shown;

/// Datagrams taken before others have their turn.
const BURST: usize = 64;
/// Most datagrams that are still taken when it ends: what the socket's buffer may hold.
const LAST: usize = 4096;
/// Time between two looks at what the links carry, for a source that follows them.
const LOOK: Duration = Duration::from_millis(50);
/// A smaller change is not worth telling a source, as a share.
const TARGET_STEP: f64 = 0.02;

/// Runs senders until a signal.
pub(crate) async fn send(args: Send, shown: &Shown, signals: &mut Signals) -> Result<End, Failure> {
    let inputs = args.inputs()?;
    let period = args.interval()?;
    args.tell_unused();
    let urls = resolve("--output", args.urls()?, Use::Sender).await?;
    let lines = stats(args.stats.as_deref(), shown)?;
    let configs = args.configs(&urls, &inputs)?;
    let (mut streams, mut drivers) = (Vec::new(), JoinSet::new());
    let started = Instant::now();
    for (input, config) in inputs.iter().zip(configs) {
        streams.push(Stream::open(input, config, &urls, args.adaptation(), &mut drivers).await?);
    }
    let mut run = Run { streams, lines, reports: Reports::every(period), started };
    tokio::select! {
        result = run.work(shown) => return Err(Failure::Running(result)),
        ended = drivers.join_next() => return Err(Failure::Running(format!("a sender ended by itself: {ended:?}"))),
        _ = signals.next() => {}
    }
    tracing::info!("ending: what has come in is sent, for the latency");
    let finished = async {
        run.finish(shown).await;
        drop(run.streams);
        while drivers.join_next().await.is_some() {}
    };
    tokio::select! {
        () = finished => Ok(End::Signal),
        signal = signals.next() => Ok(End::Cut(signal)),
    }
}

struct Run {
    streams: Vec<Stream>,
    lines: Lines,
    reports: Reports,
    started: Instant,
}

/// What comes in at one place, and the sender that carries it.
struct Stream {
    input: Input,
    addr: SocketAddr,
    sender: Sender,
    config: SenderConfig,
    counts: InputStats,
    target: Option<Target>,
}

/// What the source should make.
struct Target {
    adaptation: Adaptation,
    /// What was last written, bit/s.
    told_bps: u64,
}

impl Target {
    fn new(params: AdaptationParams) -> Self {
        let adaptation = Adaptation::new(Instant::now().into(), params);
        Self { told_bps: adaptation.target_bps(), adaptation }
    }

    /// Looks at the links; says whether it is worth telling.
    fn follow(&mut self, stats: &BondStats) -> bool {
        let target = self.adaptation.handle_stats(Instant::now().into(), stats);
        target.abs_diff(self.told_bps) as f64 > self.told_bps as f64 * TARGET_STEP
    }

    /// To be written, bit/s.
    fn tell(&mut self) -> u64 {
        self.told_bps = self.adaptation.target_bps();
        self.told_bps
    }
}

impl Stream {
    /// Opens the input and the links, and has their driver run.
    async fn open(
        input: &UdpUrl,
        config: SenderConfig,
        urls: &RistUrls,
        adaptation: Option<AdaptationParams>,
        drivers: &mut JoinSet<Result<(), NetError>>,
    ) -> Result<Self, Failure> {
        let failed = |error: &dyn std::fmt::Display| Failure::Open(format!("--input: {error}"));
        let input = Input::open(input).await.map_err(|error| failed(&error))?;
        let addr = input.local_addr().map_err(|error| failed(&error))?;
        let (sender, driver) =
            net::sender(config.clone()).map_err(|error| failure("--output", urls, &error))?;
        let links: Vec<_> = urls.urls().iter().map(net::url::RistUrl::authority).collect();
        tracing::info!(input = %addr, ?links, profile = ?config.profile, latency_ms = config.latency.as_millis(), "sending");
        drivers.spawn(driver.run());
        let target = adaptation.map(Target::new);
        Ok(Self { input, addr, sender, config, counts: InputStats::default(), target })
    }

    /// Passes on what has come, up to so many datagrams; how many there were.
    async fn pass(&mut self, most: usize) -> Result<usize, NetError> {
        for taken in 0..most {
            let Some(datagram) = self.input.next() else { return Ok(taken) };
            self.counts.datagrams += 1;
            let payload = match datagram {
                Ok(payload) => payload,
                Err(error) => {
                    self.refuse(&error);
                    continue;
                }
            };
            self.counts.bytes += payload.len() as u64;
            match self.sender.send(payload).await {
                Err(error @ NetError::PayloadSize { .. }) => self.refuse(&error),
                result => result?,
            }
        }
        Ok(most)
    }

    fn refuse(&mut self, error: &dyn std::error::Error) {
        if self.counts.refused == 0 {
            tracing::warn!("--input: {error}; such datagrams are left out and counted as refused");
        }
        self.counts.refused += 1;
    }

    /// Whether it is worth telling what the source should make now.
    fn follow(&mut self) -> bool {
        let Some(target) = &mut self.target else { return false };
        target.follow(&self.sender.stats())
    }

    fn line(&mut self, uptime: Duration) -> SenderLine {
        let tunnel = (self.config.profile == Profile::Main).then(|| self.sender.tunnel_stats());
        let groups = self.config.links.iter().any(|link| link.remote.ip().is_multicast());
        let group = groups.then(|| self.sender.group_stats());
        let target = self.target.as_mut().map(Target::tell);
        let input = (self.addr, self.counts);
        SenderLine::new(uptime, input, &self.config, self.sender.stats(), (tunnel, group), target)
    }
}

impl Run {
    /// Passes datagrams on and tells how it goes, until something fails: what.
    async fn work(&mut self, shown: &Shown) -> String {
        let mut look = interval(LOOK);
        look.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let adapts = self.streams.iter().any(|stream| stream.target.is_some());
        let mut gathering = Gathering::default();
        loop {
            tokio::select! {
                () = gathering.over(readable(&self.streams)) => {
                    let (mut taken, mut more) = (0, false);
                    for stream in &mut self.streams {
                        match stream.pass(BURST).await {
                            Ok(count) => (taken, more) = (taken + count, more || count == BURST),
                            Err(error) => return error.to_string(),
                        }
                    }
                    let gathers = gathering.passed(Instant::now(), taken, more);
                    self.streams.iter_mut().for_each(|stream| stream.input.mute(gathers));
                }
                _ = self.reports.due() => self.report(shown),
                _ = look.tick(), if adapts => {
                    let worth_telling = self.streams.iter_mut().filter_map(|it| it.follow().then_some(())).count();
                    if worth_telling > 0 {
                        self.report(shown);
                    }
                }
            }
        }
    }

    fn report(&mut self, shown: &Shown) {
        let uptime = self.started.elapsed();
        shown.draw(|| view::senders(uptime, self.streams.iter().map(|it| (it.addr, it.sender.stats()))));
        for stream in &mut self.streams {
            self.lines.write(&stream.line(uptime));
        }
    }

    /// Takes what has come in until now, and waits until it had its time to be repeated.
    async fn finish(&mut self, shown: &Shown) {
        for stream in &mut self.streams {
            // A driver that has ended has nothing left to send either.
            let _ = stream.pass(LAST).await;
        }
        for stream in &self.streams {
            let _ = stream.sender.finish().await;
        }
        if self.reports.wanted() {
            self.report(shown);
        }
    }
}

/// Waits until something may have come in.
async fn readable(streams: &[Stream]) {
    poll_fn(|cx| {
        // All are asked, so that each can wake this task.
        let ready = streams.iter().filter(|stream| stream.input.poll_readable(cx).is_ready()).count();
        if ready > 0 { Poll::Ready(()) } else { Poll::Pending }
    })
    .await;
}
