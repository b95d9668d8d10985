//! What is believed of links, and what is made of it, in virtual time.

use strata_media::testing::netem::Config;

use crate::world::links::s4;
use crate::world::standard::Kind;
use crate::world::{MS, SECOND, World};

const SEEDS: [u64; 3] = [1, 2, 3];

/// 18 Mbit/s over a link of 20, and then a minute of 3: that less is sent shows nothing of what the link carries.
#[test]
fn little_that_is_sent_lowers_no_estimate() {
    for kind in Kind::BOTH {
        for seed in SEEDS {
            let link = Config::simple(20_000_000, MS * 40, 0.005);
            let mut world = World::new(seed, &[link], 18_000_000, SECOND).towards(kind);
            world.run(SECOND * 15);
            let believed = |world: &World| world.sender.stats(world.now).links[0].capacity_bps;
            let found = believed(&world);
            assert!(found.abs_diff(20_000_000) < 1_000_000, "{found}");
            world.set_rate(3_000_000);
            for _ in 0..60 {
                world.run(SECOND);
                assert_eq!(believed(&world), found, "{kind:?}, seed {seed}");
            }
        }
    }
}

/// 6 Mbit/s by a link of 4 show what it carries. Then little is sent for half a minute, in which that may have changed without
/// anybody seeing it; then as much as before.
#[test]
fn an_estimate_is_sure_while_the_link_is_busy_and_less_so_the_longer_it_is_idle() {
    for kind in Kind::BOTH {
        for seed in SEEDS {
            let link = Config::simple(4_000_000, MS * 40, 0.0);
            let mut world = World::new(seed, &[link], 6_000_000, SECOND).towards(kind);
            let confidence = |world: &World| world.sender.stats(world.now).links[0].capacity_confidence;
            assert_eq!(confidence(&world), 0.0, "nothing is known");
            for _ in 0..2 {
                world.set_rate(6_000_000);
                world.run(SECOND * 5);
                let busy = confidence(&world);
                assert!(busy > 0.9, "{kind:?}, seed {seed}: {busy}");
                world.set_rate(300_000);
                // What waits is sent still, and its queue is seen.
                world.run(SECOND * 2);
                let mut before = confidence(&world);
                for _ in 0..30 {
                    let now = confidence(world.run(SECOND));
                    // To e⁻¹ in 10 s, as of when the sender last did something, which is not a tenth of a second ago.
                    let expected = before * (-0.1f64).exp();
                    assert!((now / expected - 1.0).abs() < 0.01, "{kind:?}, seed {seed}: {before}, {now}");
                    before = now;
                }
                assert!(before < 0.06, "{kind:?}, seed {seed}: {before}");
            }
        }
    }
}

/// From nothing known, each link of S4 soon carries what it is worth: of 15.5 Mbit/s by 18, within a fifth.
#[test]
fn links_share_by_what_they_carry_within_3_s() {
    for seed in SEEDS {
        let mut world = World::new(seed, &s4(), 15_500_000, SECOND);
        world.run(SECOND * 3);
        let sent =
            |world: &World| world.sender.stats(world.now).links.into_iter().map(|link| link.sent_bytes);
        let before = sent(&world);
        world.run(SECOND * 3);
        let bps = sent(&world).zip(before).map(|(after, before)| (after - before) as f64 * 8.0 / 3.0);
        for (bps, mbit) in bps.zip([8.0, 6.0, 4.0]) {
            let share = 15.5e6 * mbit / 18.0;
            assert!((bps - share).abs() < share / 5.0, "seed {seed}: {bps} of {share}");
        }
    }
}

/// Two streams of 10 Mbit/s by 14: both take what there is, and neither more than twice the other's part.
#[test]
fn two_streams_that_compete_both_live() {
    for (kind, seed) in Kind::BOTH.into_iter().flat_map(|kind| [31, 41, 51].map(|seed| (kind, seed))) {
        let links = [Config::simple(8_000_000, MS * 40, 0.005), Config::simple(6_000_000, MS * 60, 0.005)];
        let mut world = World::new(seed, &links, 10_000_000, SECOND).towards(kind);
        world.add_stream(seed + 1, 10_000_000, SECOND, kind);
        world.run(SECOND * 60).drain(SECOND * 3);
        let came: Vec<_> = world
            .streams
            .iter()
            .map(|stream| stream.seen.delivered as f64 * 1e7 / stream.seen.sent as f64)
            .collect();
        println!("{kind:?}: {came:?} bit/s");
        assert!(came[0] < came[1] * 2.0 && came[1] < came[0] * 2.0, "{came:?}");
        // Headers, and what was tried in vain, take the rest.
        assert!(came.iter().sum::<f64>() > 0.8 * 14e6, "{came:?}");
    }
}
