//! Links that are metered carry what the others cannot, and nothing that may turn out not to have been needed. In virtual time.

use crate::world::{MS, SECOND, World};
use strata_media::bond::{BondConfig, BondLink, BondStats, Cost, Mode, Sender};
use strata_media::testing::netem::Config;

/// 8 Mbit/s by a link of 6, and one of 20 and this cost, at this latency: both are needed, and the second has room to spare.
fn sent_beside(cost: Cost, mode: Mode, (way, loss, latency): (u32, f64, u32), seed: u64) -> BondStats {
    let link = |mbit: u64| Config::simple(mbit * 1_000_000, MS * way, loss);
    let mut world = World::new(seed, &[link(6), link(20)], 8_000_000, MS * latency);
    let second = BondLink { id: 1, cost, ..BondLink::default() };
    let mut config = BondConfig::new(vec![BondLink::default(), second], seed);
    config.latency = MS * latency;
    world.sender = Sender::new(world.now, config);
    world.schedule(mode.into()).run(SECOND * 30).drain(SECOND * 3);
    let stats = world.sender.stats(world.now);
    println!("{cost:?}, {mode:?}, seed {seed}: {}; {:?}", world.report(), stats.links);
    let share = stats.links[1].sent_bytes as f64 / stats.payload_bytes as f64;
    assert!(share > 0.25, "it is needed: {share}");
    stats
}

#[test]
fn a_metered_link_gets_no_copies() {
    for (mode, seed) in [Mode::Balanced, Mode::Robust].into_iter().flat_map(|mode| [(mode, 1), (mode, 2)]) {
        let copied = |cost| sent_beside(cost, mode, (20, 0.01, 1000), seed).links[1].copied;
        assert!(copied(Cost::Free) > 100);
        assert_eq!(copied(Cost::Metered), 0);
    }
}

/// Where no request comes in time, there are repair packets: by what costs nothing alone.
#[test]
fn a_metered_link_gets_no_repair_packets() {
    for seed in [1, 2] {
        let stats = |cost| sent_beside(cost, Mode::Economy, (150, 0.02, 250), seed);
        let (free, metered) = (stats(Cost::Free), stats(Cost::Metered));
        assert!(free.links[1].fec_packets > 100, "{free:?}");
        assert_eq!(metered.links[1].fec_packets, 0, "{metered:?}");
    }
}
