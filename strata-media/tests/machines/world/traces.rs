//! Uplinks of three mobile networks, recorded or made.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use strata_media::testing::netem::{Config, Queue, Trace, walk};

/// File, one-way delay, and what stands in for it: mean rate in Mbit/s and share of time without any capacity.
const LINKS: [(&str, Duration, f64, f64); 3] = [
    ("TMobile-LTE-short.up", Duration::from_millis(30), 9.0, 0.01),
    ("Verizon-LTE-short.up", Duration::from_millis(45), 6.0, 0.02),
    ("ATT-LTE-driving-2016.up", Duration::from_millis(60), 2.0, 0.08),
];

/// The folder that `TRACES` names (Mahimahi's format), else `../shared/data/cellular` beside the workspace; `None`
/// when the recordings are not there.
///
/// # Panics
/// When `TRACES` is set and one of them cannot be read: who names a folder wants them judged.
pub(crate) fn recorded() -> Option<Vec<Config>> {
    let beside = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/data/cellular");
    let named = std::env::var_os("TRACES").map(PathBuf::from);
    read(named.as_deref().unwrap_or(&beside), named.is_some())
}

/// The recordings of `folder`; `None` when they are not all there.
///
/// # Panics
/// In that case when they are `required`.
pub(crate) fn read(folder: &Path, required: bool) -> Option<Vec<Config>> {
    let text = |link: &(&str, Duration, f64, f64)| match std::fs::read_to_string(folder.join(link.0)) {
        Ok(text) => Some(text),
        Err(error) if required => panic!("TRACES: {}: {error}", folder.join(link.0).display()),
        Err(_) => None,
    };
    Some(links(&LINKS.iter().map(text).collect::<Option<Vec<_>>>()?))
}

/// The same; when they are not there it is said that `test` leaves them out, past what captures a test's output.
pub(crate) fn recorded_for(test: &str) -> Option<Vec<Config>> {
    let links = recorded();
    if links.is_none() {
        let _ = writeln!(
            std::io::stderr(),
            "{test}: skipped, no recordings in TRACES or ../shared/data/cellular"
        );
    }
    links
}

/// Mean of what links carry together, bit/s.
pub(crate) fn mean_bps(links: &[Config]) -> u64 {
    links.iter().filter_map(|link| link.trace.as_ref()).map(|trace| trace.mean_rate_bps()).sum()
}

/// Links alike, made.
pub(crate) fn made() -> Vec<Config> {
    made_from(0)
}

/// Others for each seed.
pub(crate) fn made_from(seed: u64) -> Vec<Config> {
    let text = |(index, link): (usize, &(&str, Duration, f64, f64))| {
        walk(seed * LINKS.len() as u64 + index as u64, link.2, link.3)
    };
    links(&LINKS.iter().enumerate().map(text).collect::<Vec<_>>())
}

fn links(texts: &[String]) -> Vec<Config> {
    let link = |(text, link): (&String, &(&str, Duration, f64, f64))| Config {
        trace: Some(Arc::new(text.parse::<Trace>().expect("a trace"))),
        queue: Queue::Bytes(256 << 10),
        delay: link.1,
        ..Config::default()
    };
    texts.iter().zip(&LINKS).map(link).collect()
}
