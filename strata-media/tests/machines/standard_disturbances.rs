//! What happens to links in the field, towards a receiver that knows nothing beyond the standard, in virtual time: nothing is lost
//! that could arrive.

use crate::world::standard::{self, REORDER};
use crate::world::{MS, SECOND, Stream, World};
use strata_media::bond::LinkState;
use strata_media::testing::netem::{Config, Loss, Outage};

const SEEDS: [u64; 3] = [1, 2, 3];

/// A link of `mbit` Mbit/s and `ms` one way.
fn link(mbit: u64, ms: u32) -> Config {
    Config::simple(mbit * 1_000_000, MS * ms, 0.005)
}

fn world(seed: u64, links: &[Config], bps: u64) -> World {
    let mut world = World::new(seed, links, bps, SECOND).standard(REORDER);
    // This receiver takes the first packet that comes for the first.
    world.seen.unsynced();
    world
}

fn assert_whole(stream: &Stream, wire: f64) {
    let report = stream.report();
    println!("{report}");
    assert_eq!((stream.seen.lost, stream.seen.delivered), (0, stream.seen.sent), "{report}");
    assert!(report.wire < wire, "{report}");
}

/// One of three links loses most of what it is given. It has the shortest way, by which this receiver asks, so that its requests are
/// lost as well. It asks twelve times in a second, by round trips of 66 ms, and 0.7 to the power of twelve is 1.4 %; so much of what
/// that link was given and lost, 70 % of 5 %, is lost for good: half a packet in a thousand.
#[test]
fn a_bad_link_does_not_drag_the_others() {
    for seed in SEEDS {
        let bad = Config { loss: Loss::Random { rate: 0.7 }, ..link(10, 30) };
        let mut world = world(seed, &[link(6, 40), bad, link(6, 60)], 6_000_000);
        world.run(SECOND * 60).drain(SECOND * 3);
        let (report, missing) = (world.report(), world.seen.sent - world.seen.delivered);
        println!("{missing} missing, {report}");
        assert!(missing * 1000 <= world.seen.sent, "{missing} missing, {report}");
        assert!(report.shares[1] < 0.1 && report.wire < 1.1, "{report}");
    }
}

/// The larger of two links carries half for ten seconds, over and over.
#[test]
fn capacity_halves_and_doubles() {
    for seed in SEEDS {
        let mut world = world(seed, &[link(8, 40), link(4, 60)], 6_000_000);
        for round in 0..6 {
            world.configure(0, &link(if round % 2 == 0 { 8 } else { 4 }, 40));
            world.run(SECOND * 10);
        }
        world.drain(SECOND * 3);
        assert_whole(&world, 1.05);
    }
}

/// All links are gone for ten seconds. What could not arrive is lost; soon after, nothing is.
#[test]
fn a_total_outage_is_recovered_from() {
    let gone = |mut link: Config| {
        link.outages = vec![Outage { start: SECOND * 10, length: SECOND * 10 }];
        link
    };
    for (seed, count) in SEEDS.into_iter().flat_map(|seed| [(seed, 1), (seed, 2)]) {
        let mut world = world(seed, &[gone(link(8, 40)), gone(link(6, 60))][..count], 4_000_000);
        world.run(SECOND * 15);
        let states: Vec<_> = world.sender.stats(world.now).links.iter().map(|link| link.state).collect();
        assert_eq!(states, [LinkState::Dead; 2][..count]);
        world.run(SECOND * 7);
        let (lost, sent) = (world.seen.lost, world.seen.sent);
        world.run(SECOND * 20).drain(SECOND * 3);
        println!("{lost} of {sent}, {}", world.report());
        // 10 s without links, less what the latency bridges.
        let second = sent as f64 / 22.0;
        assert!((lost as f64) < second * 9.6, "{lost} of {sent}");
        assert_eq!(world.seen.lost, lost, "nothing more once two seconds have passed");
        assert_eq!(world.seen.accounted(), world.seen.sent);
    }
}

/// Two streams share two links, and there is enough for both.
#[test]
fn two_streams_share_the_links() {
    for seed in SEEDS {
        let mut world = world(seed, &[link(8, 40), link(6, 60)], 4_000_000);
        world.add_stream(seed + 10, 4_000_000, SECOND);
        world.streams[1].standard = Some(standard::Receiver::new(world.now, 2, SECOND, REORDER));
        world.streams[1].seen.unsynced();
        world.run(SECOND * 60).drain(SECOND * 3);
        for stream in &world.streams {
            assert_whole(stream, 1.06);
        }
    }
}
