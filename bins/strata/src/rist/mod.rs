//! `strata rist`: UDP in, RIST out, and back.

mod args;
mod gathering;
mod receive;
mod send;
mod stats;
mod streams;
mod udp;
mod view;

use std::path::Path;
use std::time::Duration;

use clap::Subcommand;
use strata::screen::Target;
use strata_media::net::url::Use;
use strata_media::net::{NetError, RistUrls};
use tokio::time::{Instant, Interval, MissedTickBehavior, interval};
use tracing_subscriber::filter::LevelFilter;

use crate::end::Failure;
use crate::lines::Lines;
use crate::logs::Shown;
use args::{Receive, Send};
pub(crate) use receive::receive;
pub(crate) use send::send;

#[derive(Debug, Subcommand)]
pub(crate) enum Rist {
    Send(Send),
    Receive(Receive),
}

impl Rist {
    pub(crate) fn remote(&self) -> Option<&str> {
        match self {
            Self::Send(args) => args.remote(),
            Self::Receive(args) => args.remote(),
        }
    }

    pub(crate) fn verbosity(&self) -> Option<LevelFilter> {
        match self {
            Self::Send(args) => args.verbosity(),
            Self::Receive(args) => args.verbosity(),
        }
    }

    pub(crate) fn screen(&self) -> Option<Target> {
        let stats = match self {
            Self::Send(args) => &args.stats,
            Self::Receive(args) => &args.stats,
        };
        let stdout = stats.as_ref().is_none_or(|path| path.as_os_str() != "-");
        [(Target::Stdout, stdout), (Target::Stderr, true)]
            .into_iter()
            .find_map(|(target, free)| (free && target.is_terminal()).then_some(target))
    }
}

/// Finds the addresses of a flag's URLs, and tells which of their parameters do nothing.
async fn resolve(flag: &str, urls: RistUrls, of: Use) -> Result<RistUrls, Failure> {
    for unused in urls.unused(of) {
        let url = urls.urls()[unused.index].authority();
        tracing::warn!("{flag}: {url}: {} has no effect: {}", unused.name, unused.why);
    }
    urls.resolve().await.map_err(|error| Failure::Open(format!("{flag}: {error}")))
}

/// Opens `--stats`, if it is given; they go where logs go by UDP too.
fn stats(path: Option<&Path>, shown: &Shown) -> Result<Lines, Failure> {
    let lines = match path {
        None => Lines::default(),
        Some(path) => Lines::open(path)
            .map_err(|error| Failure::Open(format!("--stats: {}: {error}", path.display())))?,
    };
    Ok(lines.with_remote(shown.remote().cloned()))
}

/// When statistics are due.
struct Reports(Option<Interval>);

impl Reports {
    /// At once, and then after every `period`; never, if there is none.
    fn every(period: Option<Duration>) -> Self {
        Self(period.map(|period| {
            let mut tick = interval(period);
            tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
            tick
        }))
    }

    /// Whether there are any.
    fn wanted(&self) -> bool {
        self.0.is_some()
    }

    /// Waits until some are due.
    async fn due(&mut self) -> Instant {
        match &mut self.0 {
            Some(tick) => tick.tick().await,
            None => std::future::pending().await,
        }
    }
}

/// Why what a flag's URLs ask for cannot be, or cannot be had.
fn failure(flag: &str, urls: &RistUrls, error: &NetError) -> Failure {
    match error {
        NetError::Config { field, reason } if field == "users" => {
            Failure::Usage(format!("--users: {reason}"))
        }
        NetError::Config { .. } | NetError::Unsupported { .. } => {
            let reason = urls.explain(error).unwrap_or_else(|| error.to_string());
            Failure::Usage(format!("{flag}: {reason}"))
        }
        _ => Failure::Open(format!("{flag}: {error}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    /// At the start, and then every second: also after it was held up, as what was missed is no news any more.
    #[tokio::test(start_paused = true)]
    async fn reports_are_due_once_per_second() {
        let start = Instant::now();
        let mut reports = Reports::every(Some(SECOND));
        for seconds in 0..5 {
            reports.due().await;
            assert_eq!(start.elapsed(), SECOND * seconds);
        }
        tokio::time::advance(SECOND * 7 / 2).await;
        for halves in [15, 17, 19] {
            reports.due().await;
            assert_eq!(start.elapsed(), SECOND * halves / 2);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn no_reports_are_never_due() {
        let mut reports = Reports::every(None);
        assert!(!reports.wanted());
        assert!(tokio::time::timeout(SECOND * 3600, reports.due()).await.is_err());
    }
}
