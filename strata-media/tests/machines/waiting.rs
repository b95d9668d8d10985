//! A source that gives more than the links carry, or gives while there are none: a live one is not held up, one that can
//! wait is, and what it gave is not lost for having waited. In virtual time.

use std::time::Duration;

use crate::world::{MS, PAYLOAD, SECOND, Seen, World};
use strata_media::bond::BondLink;
use strata_media::bond::sender::Input;
use strata_media::testing::netem::{Config, Loss, Outage};

fn link(mbit: u64, ms: u32, loss: f64) -> Config {
    Config::simple(mbit * 1_000_000, MS * ms, loss)
}

/// A source that waits, and would give `bps`.
fn waiting(seed: u64, links: &[Config], bps: u64, latency: Duration) -> World {
    let mut world = World::new(seed, links, bps, latency);
    world.wait_for_sender();
    world
}

/// Nothing was discarded, and all that was given has come out but for `lost`.
fn assert_whole(world: &World, lost: u64) {
    let stats = world.sender.stats(world.now);
    println!("{} held back {:?}", world.report(), world.held_back);
    assert_eq!(stats.discarded_fresh, 0, "{stats:#?}");
    assert_eq!(world.seen.accounted(), world.seen.sent, "{stats:#?}");
    assert!(world.seen.lost <= lost, "{} lost, {stats:#?}", world.seen.lost);
}

#[test]
fn a_source_that_waits_loses_nothing_where_a_live_one_does() {
    let links = [link(6, 40, 0.0), link(3, 80, 0.0)];
    for latency in [MS * 300, SECOND, SECOND * 4] {
        let mut live = World::new(1, &links, 30_000_000, latency);
        live.run(SECOND * 10).drain(latency * 2 + SECOND);
        assert!(live.held_back.is_zero() && live.sender.stats(live.now).discarded_fresh > 1000);
        let mut world = waiting(1, &links, 30_000_000, latency);
        world.run(SECOND * 20).drain(latency * 2 + SECOND);
        assert_whole(&world, 0);
        // Nine tenths of what the links carry goes out all the same.
        let carried = world.seen.delivered as f64 * PAYLOAD as f64 * 8.0 / 20.0;
        assert!(carried > 9e6 * 0.9, "{latency:?}: {carried} bit/s");
    }
}

/// Of links that carry far less than is guessed at first nothing is filled by that guess.
#[test]
fn slow_links_are_filled_slowly() {
    for (kbit, latency) in [(300, SECOND * 4), (500, SECOND * 4), (1000, SECOND), (2000, SECOND)] {
        let slow = Config { rate_bps: Some(kbit * 1000), ..link(1, 20, 0.0) };
        let mut world = waiting(7, &[slow], 20_000_000, latency);
        world.run(SECOND * 30).drain(latency * 2 + SECOND);
        assert_whole(&world, 0);
        let carried = world.seen.delivered as f64 * PAYLOAD as f64 * 8.0 / 30.0;
        assert!(carried > kbit as f64 * 1000.0 * 0.85, "{carried} of {kbit} kbit/s");
    }
}

/// All links are gone for longer than the latency. What waited inside, and what was under way, arrives afterwards. Only what the
/// slower of two links had under way before packets that came by the faster one is too late: 30 ms, and a queue of at most 100, of
/// 5 Mbit/s.
#[test]
fn an_outage_of_all_links_loses_nothing() {
    for (count, latency) in [(1, MS * 300), (1, SECOND * 2), (2, MS * 300), (2, SECOND * 2)] {
        let gone =
            |link: Config| Config { outages: vec![Outage { start: SECOND * 5, length: SECOND * 7 }], ..link };
        let links = [gone(link(8, 20, 0.0)), gone(link(5, 50, 0.0))];
        let mut world = waiting(2, &links[..count], 20_000_000, latency);
        world.run(SECOND * 12);
        let stats = world.sender.stats(world.now);
        // What waits inside is no more than a quarter of the latency, and what the batch of it was.
        assert!(stats.pending < 4_000, "{stats:#?}");
        assert!(world.held_back > SECOND * 7, "{:?}", world.held_back);
        let sent = world.seen.sent;
        world.run(SECOND * 10).drain(latency * 2 + SECOND * 2);
        assert!(world.seen.sent > sent * 3 / 2, "{sent} of {}", world.seen.sent);
        assert_whole(&world, (count as u64 - 1) * 5_000_000 * 130 / 1000 / 8 / PAYLOAD as u64);
    }
}

/// The only link may not be used for longer than a receiver takes for the same stream, and what was under way may have come: it is sent
/// again, and does not come out again, nor does what was given up meanwhile.
#[test]
fn what_came_out_before_a_long_silence_does_not_come_again() {
    for (seed, latency) in (0..8).flat_map(|seed| [MS * 150, SECOND].map(|latency| (seed, latency))) {
        let mut world = waiting(seed, &[link(6, 30, 0.02)], 1_500_000, latency);
        world.tell(Input::Latency(SECOND * 2)).run(SECOND * 2);
        let used_up = BondLink { cap_bytes: Some(1), ..BondLink::default() };
        world.tell(Input::Link { link: 0, config: used_up }).run(SECOND * 8);
        let delivered = world.seen.delivered;
        world.tell(Input::Link { link: 0, config: BondLink::default() });
        world.run(SECOND * 4).drain(SECOND * 5);
        println!("{} before, then {}, lost {}", delivered, world.seen.delivered, world.seen.lost);
        assert!(world.seen.delivered > delivered);
        // But for what of the two percent has no time to come again.
        let Seen { sent, delivered, lost, .. } = world.seen;
        assert_eq!(delivered + lost, sent);
        assert!(lost <= sent / 50, "{lost} of {sent}");
        assert_eq!((world.stats().lost_packets, world.stats().restarts), (lost, 0));
    }
}

/// What is inside takes much longer than the latency when the links become slow.
#[test]
fn links_that_become_slow_lose_nothing() {
    for latency in [MS * 300, SECOND * 2] {
        let mut world = waiting(3, &[link(20, 20, 0.0)], 50_000_000, latency);
        world.run(SECOND * 5);
        world.configure(0, &link(2, 20, 0.0));
        world.run(SECOND * 20);
        world.configure(0, &link(20, 20, 0.0));
        world.run(SECOND * 5).drain(latency * 2 + SECOND);
        let stats = world.sender.stats(world.now);
        println!("{} held back {:?}", world.report(), world.held_back);
        assert_eq!(stats.discarded_fresh, 0, "{stats:#?}");
    }
}

/// Links that lose packets, in bursts, for a minute: of two and a half million, which 48 seeds make, one in a hundred thousand may be
/// lost as often as there is time to repeat it (up to eight in one of these minutes, as one burst has it).
#[test]
fn losses_are_repeated_as_ever() {
    let lossy = |link: Config| Config { loss: Loss::bursts(0.02, 3.0), ..link };
    let links = [lossy(link(6, 30, 0.0)), lossy(link(4, 60, 0.0))];
    let [mut lost, mut sent] = [0; 2];
    for seed in 0..48 {
        let mut world = waiting(seed, &links, 20_000_000, SECOND);
        world.run(SECOND * 60).drain(SECOND * 3);
        assert_eq!(world.sender.stats(world.now).discarded_fresh, 0);
        assert_eq!(world.seen.delivered + world.seen.lost, world.seen.sent);
        (lost, sent) = (lost + world.seen.lost, sent + world.seen.sent);
    }
    assert!(lost * 100_000 <= sent, "{lost} of {sent}");
}

/// At the end nothing is given any more, and what is inside goes out; with no link, it is given up within the latency.
#[test]
fn the_end_comes_within_the_latency() {
    for dead in [false, true] {
        let latency = MS * 500;
        let mut world = waiting(5, &[link(4, 40, 0.0)], 20_000_000, latency);
        world.run(SECOND * 5);
        world.links[0].0.set_down(world.now, dead);
        world.links[0].1.set_down(world.now, dead);
        assert!(!world.sender.is_drained(world.now));
        // Until the outage is seen; or until the last of what waits is sent, for a quarter of the latency.
        world.drain(latency * 5 / 4 + MS * 500);
        assert!(world.sender.is_drained(world.now), "{:#?}", world.sender.stats(world.now));
        if !dead {
            assert_whole(&world, 0);
        }
    }
}

/// A peer that never answers may be there all the same: its packets are not waited with for ever.
#[test]
fn one_that_never_answers_is_sent_to() {
    let mut world = World::new(6, &[link(8, 40, 0.0)], 2_000_000, SECOND);
    world.wait_for_sender();
    world.links[0].1.set_down(world.now, true);
    world.run(SECOND * 20);
    let second = 2_000_000 / 8 / PAYLOAD as u64;
    // But for the two seconds in which an answer is waited for.
    assert!(world.seen.sent > second * 17, "{} of {}", world.seen.sent, second * 20);
    assert!(world.seen.delivered > second * 15, "{} of {}", world.seen.delivered, world.seen.sent);
}
