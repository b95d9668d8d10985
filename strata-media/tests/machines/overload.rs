//! S7: three links whose capacity moves, and a stream of 60 % of their mean, which at times is more than they carry. In virtual
//! time: what is lost is what they cannot carry, and nothing when the source follows them.

use std::time::Duration;

use crate::world::report::Report;
use crate::world::{PAYLOAD, World, oracle, traces};
use strata_media::bond::{Adaptation, AdaptationParams};
use strata_media::testing::netem::Config;

const LENGTH: Duration = Duration::from_secs(120);
const LATENCY: Duration = Duration::from_secs(1);
/// Made links of which one who knew all could not carry everything with nine tenths of them, and such that could.
const SEEDS: [u64; 4] = [0, 1, 3, 6];
/// Bytes towards the receiver per payload byte.
const WIRE: f64 = 1.15;
/// What a bond may lose is what one who knew all would have to with so much of the links: up to an eighth of the deadline is
/// kept for queues that were not seen, some three percent of the bytes are repeats and reports, and a link that falls or
/// rises is known to a report and a round trip later, which is a tenth of a second of the one in which it matters.
const USED: f64 = 0.8;
/// And this share of all packets: what was under way when a link fell silent, and was lost with its queue.
const STRANDED: f64 = 0.002;
/// Of what it would like to make, a source that follows the links makes this much at least.
const FOLLOWED: f64 = 0.7;

/// The figures of a stream, and its rate as a share of what is asked for.
fn run(name: &str, links: &[Config], bps: u64, adapting: bool) -> (Report, f64) {
    let mut world = World::new(1, links, bps, LATENCY);
    if adapting {
        let mut params = AdaptationParams::new(bps);
        params.floor_bps = bps / 10;
        world.adaptation = Some(Adaptation::new(world.now, params));
    }
    world.run(LENGTH).drain(LATENCY * 3);
    let report = world.report();
    let bits = world.seen.delivered as f64 * PAYLOAD as f64 * 8.0;
    let share = bits / LENGTH.as_secs_f64() / bps as f64;
    println!("{name}, {share:.2} of {:.1} Mbit/s: {report}", bps as f64 / 1e6);
    assert!(report.wire <= WIRE, "{name}: {report}");
    (report, share)
}

/// Adaptation off.
fn steady(name: &str, links: &[Config]) {
    let bps = traces::mean_bps(links) * 6 / 10;
    let (report, _) = run(name, links, bps, false);
    let bound = |part| oracle::loss(links, bps, LATENCY, LENGTH, part);
    println!(
        "    {:.4} % cannot be carried, {:.4} % with {USED} of it",
        bound(1.0) * 100.0,
        bound(USED) * 100.0
    );
    assert!(report.residual_loss <= bound(USED) + STRANDED, "{name}: {report}");
}

/// Adaptation on: nothing is made that cannot be carried.
fn following(name: &str, links: &[Config]) {
    let (report, share) = run(name, links, traces::mean_bps(links) * 6 / 10, true);
    assert!(report.residual_loss <= 0.0, "{name}: {report}");
    assert!(share >= FOLLOWED, "{name}: {share}");
}

#[test]
fn s7_made_lte() {
    SEEDS.iter().for_each(|&seed| steady(&format!("S7, made from {seed}"), &traces::made_from(seed)));
}

#[test]
fn s7_made_lte_with_a_source_that_adapts() {
    SEEDS.iter().for_each(|&seed| following(&format!("S7, made from {seed}"), &traces::made_from(seed)));
}

#[test]
fn s7_recorded_lte() {
    if let Some(links) = traces::recorded_for("S7") {
        steady("S7, recorded", &links);
    }
}

#[test]
fn s7_recorded_lte_with_a_source_that_adapts() {
    if let Some(links) = traces::recorded_for("S7, adapting") {
        following("S7, recorded", &links);
    }
}
