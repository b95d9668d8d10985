//! What the links carry drives the source, in virtual time.

use std::time::Duration;

use crate::world::{MS, PAYLOAD, SECOND, World, traces};
use strata_media::bond::{Adaptation, AdaptationParams, SchedulerParams};
use strata_media::testing::netem::Config;

fn link(bps: u64, ms: u32) -> Config {
    Config::simple(bps, MS * ms, 0.002)
}

/// A source that would like to make `ceiling` bit/s.
fn adaptive(seed: u64, links: &[Config], ceiling: u64, floor: u64) -> World {
    let mut world = World::new(seed, links, ceiling, SECOND);
    let mut params = AdaptationParams::new(ceiling);
    params.floor_bps = floor;
    world.adaptation = Some(Adaptation::new(world.now, params));
    world
}

fn target(world: &World) -> u64 {
    world.adaptation.as_ref().map_or(0, Adaptation::target_bps)
}

/// Time until the target is below `bps`.
fn time_to(world: &mut World, below: u64) -> Duration {
    let start = world.now;
    while target(world) >= below {
        world.run(MS * 20);
        assert!(world.now < start + SECOND * 10, "{} is not below {below}", target(world));
    }
    world.now - start
}

#[test]
fn what_the_links_carry_is_not_touched() {
    for seed in [101, 102, 103] {
        let mut world = adaptive(seed, &[link(8_000_000, 40), link(5_000_000, 80)], 9_000_000, 1_000_000);
        for _ in 0..300 {
            world.run(MS * 100);
            assert_eq!(target(&world), 9_000_000);
        }
        assert_eq!(world.seen.lost, 0);
    }
}

/// On a long way to go, what is lost is asked for when it is too late to send it again: that is no lack of room.
#[test]
fn loss_that_cannot_be_made_up_in_time_is_no_backlog() {
    let mut world = World::new(3, &[Config::simple(20_000_000, MS * 150, 0.02)], 5_000_000, MS * 250);
    let mut params = SchedulerParams::default();
    params.fec.enabled = false;
    world.schedule(params);
    world.adaptation = Some(Adaptation::new(world.now, AdaptationParams::new(5_000_000)));
    for _ in 0..300 {
        world.run(MS * 100);
        assert_eq!(target(&world), 5_000_000, "{:#?}", world.sender.stats(world.now));
    }
    let stats = world.sender.stats(world.now);
    assert!(stats.discarded > 100 && stats.discarded_fresh == 0, "{stats:#?}");
}

#[test]
fn a_loss_of_capacity_is_followed_within_half_a_second_and_made_up() {
    for seed in [111, 112, 113] {
        let mut world = adaptive(seed, &[link(7_000_000, 40), link(5_000_000, 60)], 9_000_000, 1_000_000);
        world.run(SECOND * 20);
        assert_eq!(target(&world), 9_000_000);
        world.configure(0, &link(1_500_000, 40));
        let time = time_to(&mut world, 6_500_000);
        assert!(time <= MS * 500, "{time:?}");
        let (sent, lost) = (world.seen.sent, world.seen.lost);
        world.run(SECOND * 20);
        let less = target(&world);
        assert!((4_500_000..6_500_000).contains(&less), "{less}");
        world.configure(0, &link(7_000_000, 40));
        world.run(SECOND * 40).drain(SECOND * 3);
        println!("{time:?}, {less}, {} {}", target(&world), world.report());
        assert_eq!(target(&world), 9_000_000);
        assert_eq!(world.seen.lost - lost, 0, "of {}", world.seen.sent - sent);
    }
}

#[test]
fn a_link_that_dies_is_followed_within_half_a_second() {
    for seed in [121, 122, 123] {
        let links = [link(6_000_000, 40), link(5_000_000, 60)];
        let mut world = adaptive(seed, &links, 9_000_000, 1_000_000);
        world.run(SECOND * 20);
        world.links[0].0.set_down(world.now, true);
        world.links[0].1.set_down(world.now, true);
        let time = time_to(&mut world, 5_000_000);
        assert!(time <= MS * 500, "{time:?}");
        world.run(SECOND * 10);
        world.links[0].0.set_down(world.now, false);
        world.links[0].1.set_down(world.now, false);
        world.run(SECOND * 30);
        assert!(target(&world) > 8_500_000, "{}", target(&world));
        world.drain(SECOND * 3);
        println!("{time:?} {}", world.report());
        assert_eq!((world.seen.lost, world.seen.delivered), (0, world.seen.sent));
    }
}

/// A floor that the links cannot carry would keep their queues full for ever.
#[test]
fn the_floor_yields() {
    let mut world = adaptive(131, &[link(1_000_000, 40), link(800_000, 60)], 6_000_000, 4_000_000);
    world.run(SECOND * 30);
    let (sent, lost) = (world.seen.sent, world.seen.lost);
    world.run(SECOND * 60).drain(SECOND * 3);
    println!("{} {}", target(&world), world.report());
    assert!(target(&world) < 1_800_000, "{}", target(&world));
    assert_eq!(world.seen.lost - lost, 0, "of {}", world.seen.sent - sent);
}

/// More is asked for than moving links carry on average.
#[test]
fn moving_links_are_followed() {
    for (name, links) in [("made", Some(traces::made())), ("recorded", traces::recorded_for("moving links"))]
    {
        let Some(links) = links else { continue };
        let mean: u64 = links.iter().filter_map(|link| link.trace.as_ref()).map(|t| t.mean_rate_bps()).sum();
        let mut world = adaptive(141, &links, mean, 500_000);
        world.run(SECOND * 240).drain(SECOND * 3);
        let carried = world.seen.delivered * PAYLOAD as u64 * 8 / 240;
        let lost = world.seen.lost as f64 / world.seen.sent as f64;
        println!("{name}: {carried} of {mean} bit/s, {:.3} % lost, {}", lost * 100.0, world.report());
        assert!(carried > mean / 2 && lost < 0.01, "{name}: {carried} of {mean}, {lost}");
    }
}

/// A way that jitters is no queue. What is made is what is asked for as long as delays differ by less than what holds packets up in
/// the sender, but for a moment when jitter of 100 ms begins; beyond, it is near that. Means of six seeds, of which single ones differ by
/// a tenth.
#[test]
fn jitter_is_no_backlog() {
    let cases = [(30, 1, 1.0), (60, 1, 1.0), (100, 1, 0.99), (200, 1, 0.75), (30, 2, 1.0), (100, 2, 0.7)];
    for (jitter, count, share) in cases {
        let links = [link(20_000_000, 40), link(20_000_000, 60)];
        let means = (151..157).map(|seed| {
            let mut world = adaptive(seed, &links[..count], 3_000_000, 300_000);
            world.run(SECOND * 10);
            for (index, link) in links[..count].iter().enumerate() {
                world.configure(index, &Config { jitter: MS * jitter, ..link.clone() });
            }
            let mean = (0..1200).map(|_| target(world.run(MS * 50))).sum::<u64>() / 1200;
            world.drain(SECOND * 3);
            println!("{jitter} ms, {count} links: {mean} {}", world.report());
            assert_eq!((world.seen.lost, world.seen.delivered), (0, world.seen.sent), "{}", world.report());
            mean
        });
        let mean = means.sum::<u64>() as f64 / 6.0;
        assert!(mean >= 3e6 * share, "{jitter} ms, {count} links: {mean}");
    }
}
