//! More packets in a latency than 16 bits tell apart: what is not put out is reported lost. In virtual time.

use strata_media::testing::netem::{Config, Outage};

use crate::world::{MS, PAYLOAD, SECOND, World};

/// 38 000 packets in a second, of which a latency of 1 s would hold more than half of what 16 bits tell apart.
const RATE: u64 = 400_000_000;

fn world(rate: u64, outages: Vec<Outage>) -> World {
    let link = Config { outages, ..Config::simple(1_000_000_000, MS * 20, 0.0) };
    let mut world = World::new(9, &[link], rate, SECOND);
    world.burst = 100;
    world
}

/// The link is cold: nothing is known of it.
#[test]
fn a_cold_link_gets_400_mbit_in_bursts() {
    let mut world = world(RATE, Vec::new());
    world.run(SECOND * 4);
    let buffered = world.stats().buffered_packets;
    world.drain(SECOND * 2);
    println!("{buffered} buffered, {}", world.report());
    assert_eq!((world.seen.accounted(), world.stats().restarts), (world.seen.sent, 0));
    assert_eq!(world.seen.lost, world.stats().lost_packets);
    // As many as can be told apart, and none is lost for that: those beyond are put out before their time.
    assert!((30_000..=1 << 15).contains(&buffered), "{buffered}");
    assert_eq!(world.seen.lost, 0);
}

/// More packets than are believed to be missing, and more than half of what 16 bits tell apart.
#[test]
fn an_outage_is_counted_whatever_numbers_tell() {
    for (rate, ms) in [(RATE / 4, 2500), (RATE, 1200)] {
        let outage = Outage { start: SECOND * 2, length: MS * ms };
        let mut world = world(rate, vec![outage]);
        world.run(outage.start + outage.length + SECOND * 2).drain(SECOND * 2);
        println!("{rate} bit/s, {ms} ms: {}", world.report());
        assert_eq!(world.seen.accounted(), world.seen.sent);
        assert_eq!(world.seen.lost, world.stats().lost_packets);
        let gone = rate / 8 / PAYLOAD as u64 * u64::from(ms) / 1000;
        assert!(world.seen.lost >= gone / 2, "{} of {gone}", world.seen.lost);
    }
}

/// What the receivers before it asked for comes first to the third, thousands of packets older than what follows. All that is sent a
/// second later comes out.
#[test]
fn a_receiver_that_starts_anew_twice_within_its_latency() {
    for seed in 0..8 {
        let links = [(537, 31, 0.0142), (530, 39, 0.0059)];
        let links = links.map(|(mbit, way, loss)| Config::simple(mbit * 1_000_000, MS * way, loss));
        let mut world = World::new(seed, &links, 426_000_000, MS * 460);
        world.burst = 22;
        world.restart_receiver(MS * 460);
        world.run(MS * 389);
        world.restart_receiver(MS * 460);
        world.run(SECOND);
        let (sent, accounted) = (world.seen.sent, world.seen.accounted());
        world.run(SECOND).drain(SECOND);
        println!("{seed}: {}", world.report());
        assert_eq!(world.stats().restarts, 0);
        assert!(world.seen.accounted() - accounted >= world.seen.sent - sent);
    }
}
