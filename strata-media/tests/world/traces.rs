//! Uplinks of three mobile networks, recorded or made.

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
pub fn recorded() -> Option<Vec<Config>> {
    let beside = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/data/cellular");
    let folder = std::env::var_os("TRACES").map_or(beside, PathBuf::from);
    let text = |link: &(&str, Duration, f64, f64)| std::fs::read_to_string(folder.join(link.0)).ok();
    Some(links(&LINKS.iter().map(text).collect::<Option<Vec<_>>>()?))
}

/// Links alike, made from a seed.
pub fn made() -> Vec<Config> {
    let text = |(index, link): (usize, &(&str, Duration, f64, f64))| walk(index as u64, link.2, link.3);
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
