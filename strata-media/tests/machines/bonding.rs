//! Several links as one, in virtual time.

use std::time::Duration;

use crate::world::{MS, PAYLOAD, SECOND, Seen, World};
use strata_media::bond::LinkState;
use strata_media::testing::netem::{Config, Loss, Outage};

/// 10 Mbit/s 40 ms 1 % and 5 Mbit/s 80 ms 2 %, 200 ms of queue.
fn two_links() -> [Config; 2] {
    [Config::simple(10_000_000, MS * 40, 0.01), Config::simple(5_000_000, MS * 80, 0.02)]
}

/// Media bytes on the wire per payload byte.
fn overhead(seen: &Seen) -> f64 {
    seen.wire as f64 / (seen.sent * PAYLOAD as u64) as f64
}

fn assert_whole(seen: &Seen) {
    assert_eq!((seen.lost, seen.delivered), (0, seen.sent), "{seen:?}");
}

#[test]
fn ten_minutes_lose_nothing_and_are_reproducible() {
    let run = |seed| {
        let mut world = World::new(seed, &two_links(), 6_000_000, SECOND);
        world.run(SECOND * 600).drain(SECOND * 2);
        println!("{:?}\n{:#?}", world.seen, world.sender.stats(world.now));
        world.seen.clone()
    };
    let seen = run(1);
    assert_whole(&seen);
    assert!(overhead(&seen) < 1.04, "{}", overhead(&seen));
    // Constant latency: 40 ms of way, 1000 ms of buffer.
    let (least, most) = seen.latency;
    assert!(least > MS * 1035 && most < MS * 1060, "{:?}", seen.latency);
    assert_eq!(run(1).digest, seen.digest);
    assert_ne!(run(2).digest, seen.digest);
}

/// One link is gone for 10 s; the other has 5 Mbit/s for a stream of 4.
#[test]
fn a_dead_link_loses_nothing() {
    for dead in [0, 1] {
        let mut links = two_links();
        links[dead].outages = vec![Outage { start: SECOND * 10, length: SECOND * 10 }];
        let mut world = World::new(3, &links, 4_000_000, SECOND);
        world.run(Duration::from_millis(10_500));
        assert_eq!(world.sender.stats(world.now).links[dead].state, LinkState::Dead);
        world.run(Duration::from_millis(12_500));
        let stats = world.sender.stats(world.now);
        assert!(matches!(stats.links[dead].state, LinkState::Warm | LinkState::Live), "{stats:#?}");
        world.run(SECOND * 20).drain(SECOND * 2);
        println!("{dead}: {:?} {}", world.seen, overhead(&world.seen));
        assert_whole(&world.seen);
        assert!(overhead(&world.seen) < 1.07, "{}", overhead(&world.seen));
    }
}

/// Three links, each too small alone, with losses in bursts.
#[test]
fn capacities_add_up() {
    let link = |mbit: u64, ms: u32| {
        let mut config = Config::simple(mbit * 1_000_000, MS * ms, 0.0);
        config.loss = Loss::bursts(0.01, 5.0);
        config
    };
    let links = [link(8, 30), link(6, 60), link(4, 120)];
    let mut world = World::new(4, &links, 12_000_000, SECOND);
    world.run(SECOND * 60).drain(SECOND * 2);
    println!("{:?} {}\n{:#?}", world.seen, overhead(&world.seen), world.sender.stats(world.now));
    assert_whole(&world.seen);
    assert!(overhead(&world.seen) < 1.05, "{}", overhead(&world.seen));
}

/// One packet in ten is lost on a way of 40 ms.
#[test]
fn statistics_tell_the_baseline_and_what_is_delivered() {
    let mut world = World::new(5, &[Config::simple(10_000_000, MS * 40, 0.1)], 4_000_000, SECOND);
    world.run(SECOND * 10);
    let link = &world.sender.stats(world.now).links[0];
    let (least, most) = (80.0, 81.0);
    let seen = link.rtt_min_ms.is_some_and(|rtt| (least..most).contains(&rtt));
    assert!(seen && link.rtt_ms >= link.rtt_min_ms, "{link:#?}");
    // In one second of 400 packets, 40 ± 6 are lost.
    let share = link.delivery_bps as f64 / link.sent_bps as f64;
    assert!((0.8..0.97).contains(&share), "{share}: {link:#?}");
}
