//! Ways that become longer, or shorter, and such that jitter: no queue stands there, and nothing is to be given up for it. In
//! virtual time.

use std::time::Duration;

use crate::world::{MS, PAYLOAD, SECOND, World};
use strata_media::testing::netem::Config;

const SEEDS: [u64; 3] = [1, 2, 3];
/// The stream, with its headers (RTP, and below), takes this of the links.
const BPS: u64 = 3_000_000;
const WIRE_BPS: u64 = BPS * 1356 / 1316;

fn link(mbit: u64, ms: u32) -> Config {
    Config::simple(mbit * 1_000_000, MS * ms, 0.0)
}

fn world(seed: u64, links: &[Config], latency: Duration) -> World {
    let mut world = World::new(seed, links, BPS, latency);
    world.run(SECOND * 20);
    assert_eq!(world.seen.lost, 0);
    world
}

/// The least that links are taken to carry together in `time`.
fn least(world: &mut World, time: Duration) -> u64 {
    let end = world.now + time;
    let mut least = u64::MAX;
    while world.now < end {
        world.run(MS * 50);
        least = least.min(world.sender.stats(world.now).links.iter().map(|link| link.capacity_bps).sum());
    }
    least
}

/// A handover: all ways take 100 ms longer, or one does, and are as they were later. Little of the links is used.
#[test]
fn a_longer_way_is_no_queue() {
    for seed in SEEDS {
        for (count, longer) in [(1, 1), (2, 1), (2, 2)] {
            let links = [link(20, 40), link(20, 60)];
            let mut world = world(seed, &links[..count], SECOND);
            (0..longer).for_each(|index| world.configure(index, &link(20, 140 + 20 * index as u32)));
            let longer_least = least(&mut world, SECOND * 20);
            (0..longer).for_each(|index| world.configure(index, &links[index]));
            let back_least = least(&mut world, SECOND * 20);
            world.drain(SECOND * 3);
            println!("{longer} of {count}: {longer_least} {back_least} {}", world.report());
            assert!(longer_least.min(back_least) >= WIRE_BPS, "{longer_least} {back_least}");
            assert_eq!((world.seen.lost, world.seen.delivered), (0, world.seen.sent), "{}", world.report());
        }
    }
}

/// Both ways take 200 ms of the 300 there are. No answer comes until a new round trip has passed, so that both links are dead
/// when two of the old ones have, and are given little until the next has passed. A full link is known to have a longer way when
/// a queue would have drained by 200 ms, and that is seen by what it is given in two more; one later it is used again. What is
/// created in these five may be too late, and nothing else.
#[test]
fn a_longer_way_within_a_short_latency() {
    for seed in SEEDS {
        let mut world = world(seed, &[link(20, 40), link(20, 60)], MS * 300);
        (0..2).for_each(|index| world.configure(index, &link(20, 200)));
        let first = world.seen.sent;
        world.run(SECOND * 2);
        let least = least(&mut world, SECOND * 20);
        world.drain(SECOND * 3);
        let round = MS * 400;
        let later = |number: &u64| MS * ((number - first) * 1000 * 8 * PAYLOAD as u64 / BPS) as u32;
        println!("{least} {:?} {}", world.lost.last().map(later), world.report());
        assert!(world.lost.iter().all(|number| later(number) < round * 5), "{:?}", world.lost);
        assert!(least >= WIRE_BPS, "{least} {}", world.report());
    }
}

/// A way that becomes longer while the link comes to carry less than it is given: that is seen all the same.
#[test]
fn a_longer_way_that_carries_less() {
    for seed in SEEDS {
        let mut world = world(seed, &[link(20, 40), link(20, 60)], SECOND);
        world.configure(0, &link(1, 140));
        world.run(SECOND);
        let stats = world.sender.stats(world.now);
        assert!(stats.links[0].capacity_bps < 2_000_000, "{stats:#?}");
        world.run(SECOND * 20).drain(SECOND * 3);
        println!("{}", world.report());
        assert_eq!((world.seen.lost, world.seen.delivered), (0, world.seen.sent), "{}", world.report());
    }
}

/// Of a way that jitters by 100 ms the least delay is far below the usual one. The link carries no less for that. One that is
/// given nine tenths of what it is taken to carry is full by that, so that it may be taken to carry so little.
#[test]
fn jitter_is_no_queue() {
    for seed in SEEDS {
        for jitter in [30, 60, 100] {
            let way = Config { jitter: MS * jitter, ..link(20, 40) };
            let mut world = World::new(seed, &[way], BPS, SECOND);
            world.run(SECOND * 2);
            let least = least(&mut world, SECOND * 60);
            world.drain(SECOND * 3);
            println!("{jitter} ms: {least} {}", world.report());
            assert!(least * 10 >= WIRE_BPS * 9, "{jitter} ms: {least}");
            assert_eq!((world.seen.lost, world.seen.delivered), (0, world.seen.sent), "{}", world.report());
        }
    }
}
