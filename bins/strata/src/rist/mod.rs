//! `strata rist`: UDP in, RIST out, and back.

mod args;
mod receive;
mod send;
mod stats;
mod udp;
mod view;

use std::path::Path;

use clap::Subcommand;
use strata::screen::Target;
use strata_media::net::{NetError, RistUrls};

use crate::end::Failure;
use crate::lines::Lines;
use args::{Receive, Send};
pub(crate) use receive::receive;
pub(crate) use send::send;

#[derive(Debug, Subcommand)]
pub(crate) enum Rist {
    Send(Send),
    Receive(Receive),
}

impl Rist {
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
async fn resolve(flag: &str, urls: RistUrls) -> Result<RistUrls, Failure> {
    for unused in urls.unused() {
        let url = urls.urls()[unused.index].authority();
        tracing::warn!("{flag}: {url}: {} has no effect: {}", unused.name, unused.why);
    }
    urls.resolve().await.map_err(|error| Failure::Open(format!("{flag}: {error}")))
}

/// Opens `--stats`, if it is given.
fn stats(path: Option<&Path>) -> Result<Lines, Failure> {
    let Some(path) = path else { return Ok(Lines::default()) };
    Lines::open(path).map_err(|error| Failure::Open(format!("--stats: {}: {error}", path.display())))
}

fn failure(flag: &str, error: &NetError) -> Failure {
    match error {
        NetError::Config { .. } => Failure::Usage(format!("{flag}: {error}")),
        _ => Failure::Open(format!("{flag}: {error}")),
    }
}
