//! Ways that become longer, or shorter, and such that jitter, towards a receiver that knows nothing beyond the standard: no queue
//! stands there, and nothing is to be lost for it. In virtual time.

use std::time::Duration;

use crate::world::standard::Kind;
use crate::world::{MS, SECOND, World};
use strata_media::testing::netem::Config;

const SEEDS: [u64; 3] = [1, 2, 3];
const BPS: u64 = 3_000_000;

fn link(mbit: u64, ms: u32) -> Config {
    Config::simple(mbit * 1_000_000, MS * ms, 0.0)
}

/// What a stream takes of the links, with its headers (RTP, and below).
fn wire(bps: u64) -> u64 {
    bps * 1356 / 1316
}

fn world(seed: u64, links: &[Config], bps: u64, latency: Duration) -> World {
    World::new(seed, links, bps, latency).towards(Kind::Standard)
}

/// A world in which 20 s have passed without a loss.
fn settled(seed: u64, links: &[Config], bps: u64, latency: Duration) -> World {
    let mut world = world(seed, links, bps, latency);
    world.run(SECOND * 20);
    assert_eq!(world.seen.lost, 0);
    world
}

fn estimate(world: &World) -> u64 {
    world.sender.stats(world.now).links.iter().map(|link| link.capacity_bps).sum()
}

/// The least that links are taken to carry together in `time`.
fn least(world: &mut World, time: Duration) -> u64 {
    let end = world.now + time;
    let mut least = u64::MAX;
    while world.now < end {
        world.run(MS * 50);
        least = least.min(estimate(world));
    }
    least
}

fn assert_whole(world: &World) {
    assert_eq!((world.seen.lost, world.seen.delivered), (0, world.seen.sent), "{}", world.report());
}

/// A handover: all ways take 100 ms longer, or one does, and are as they were later. As long as it may be a queue that grows, a
/// link that was never given more than this is taken to carry less; for less than a latency.
#[test]
fn a_longer_way_is_no_queue() {
    let cases = [(BPS, 1, 1), (BPS, 2, 1), (BPS, 2, 2), (5_000_000, 1, 1), (5_000_000, 2, 2)];
    for ((bps, count, longer), seed) in cases.into_iter().flat_map(|case| SEEDS.map(|seed| (case, seed))) {
        let links = [link(20, 40), link(20, 60)];
        let mut world = settled(seed, &links[..count], bps, SECOND);
        (0..longer).for_each(|index| world.configure(index, &link(20, 140 + 20 * index as u32)));
        let at_first = least(&mut world, SECOND);
        let longer_least = least(&mut world, SECOND * 19);
        (0..longer).for_each(|index| world.configure(index, &links[index]));
        let back_least = least(&mut world, SECOND * 20);
        world.drain(SECOND * 3);
        println!("{bps}, {longer} of {count}: {at_first} {longer_least} {back_least} {}", world.report());
        assert!(longer_least.min(back_least) >= wire(bps), "{longer_least} {back_least}");
        assert_whole(&world);
    }
}

/// Both ways take 200 ms of the 300 there are. What this receiver holds for 300 ms is late when it has been held up by what is
/// left of that.
#[test]
fn a_longer_way_within_a_short_latency() {
    for seed in SEEDS {
        let mut world = settled(seed, &[link(20, 40), link(20, 60)], BPS, MS * 300);
        (0..2).for_each(|index| world.configure(index, &link(20, 200)));
        world.run(SECOND * 2);
        let least = least(&mut world, SECOND * 20);
        world.drain(SECOND * 3);
        println!("{least} {}", world.report());
        assert!(least >= wire(BPS), "{least} {}", world.report());
        assert_whole(&world);
    }
}

/// A way that becomes longer while the link comes to carry less than it is given: that is seen all the same.
#[test]
fn a_longer_way_that_carries_less() {
    for seed in SEEDS {
        let mut world = settled(seed, &[link(20, 40), link(20, 60)], BPS, SECOND);
        world.configure(0, &link(1, 140));
        world.run(SECOND);
        let stats = world.sender.stats(world.now);
        assert!(stats.links[0].capacity_bps < 2_000_000, "{stats:#?}");
        world.run(SECOND * 20).drain(SECOND * 3);
        println!("{}", world.report());
        assert_whole(&world);
    }
}

/// Of a way that jitters by 100 ms the least delay is far below the usual one.
#[test]
fn jitter_is_no_queue() {
    for (seed, jitter) in SEEDS.into_iter().flat_map(|seed| [30, 60, 100].map(|jitter| (seed, jitter))) {
        let way = Config { jitter: MS * jitter, ..link(20, 40) };
        let mut world = world(seed, &[way], BPS, SECOND);
        world.run(SECOND * 2);
        let least = least(&mut world, SECOND * 60);
        world.drain(SECOND * 3);
        println!("{jitter} ms: {least} {}", world.report());
        assert!(least * 3 >= wire(BPS) * 2, "{jitter} ms: {least}");
        assert_whole(&world);
    }
}
