//! Uplinks of three mobile networks, recorded or made.

use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use strata_media::testing::netem::{Config, Queue, Trace};

/// File, one-way delay, and what stands in for it: mean rate in Mbit/s and share of time without any capacity.
const LINKS: [(&str, Duration, f64, f64); 3] = [
    ("TMobile-LTE-short.up", Duration::from_millis(30), 9.0, 0.01),
    ("Verizon-LTE-short.up", Duration::from_millis(45), 6.0, 0.02),
    ("ATT-LTE-driving-2016.up", Duration::from_millis(60), 2.0, 0.08),
];
/// Length of what is made, ms.
const LENGTH: u32 = 120_000;

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

/// Capacity as of a moving car: a walk of the logarithm of the rate that returns to its mean, and silences.
fn walk(seed: u64, mean_mbit: f64, silent: f64) -> String {
    let mut dice = Dice(seed.wrapping_mul(0x5851_f42d_4c95_7f2d) + 99);
    let (mut log, mut credit, mut silence) = (0.0f64, 0.0f64, 0u32);
    let mut text = String::new();
    for ms in 1..=LENGTH {
        // Every 100 ms: a step of up to a quarter, a tenth of the way back to the mean; a silence is 0.2 to 1.2 s.
        if ms % 100 == 0 {
            log = log * 0.9 + (dice.next() - 0.5) * 0.8;
            if silence == 0 && dice.next() < silent / 7.0 {
                silence = 200 + (dice.next() * 1000.0) as u32;
            }
        }
        silence = silence.saturating_sub(1);
        if silence == 0 {
            credit += mean_mbit * log.exp() * 1e6 / 1000.0 / 12_000.0;
        }
        while credit >= 1.0 || (ms == LENGTH && credit >= 0.0) {
            credit -= 1.0;
            let _ = writeln!(text, "{ms}");
        }
    }
    text
}

/// A linear congruential generator (Knuth, MMIX), 0 to 1.
struct Dice(u64);

impl Dice {
    fn next(&mut self) -> f64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 11) as f64 / (1u64 << 53) as f64
    }
}
