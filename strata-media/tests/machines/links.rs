//! Links that come, go, change their address, or cost, while the stream runs. In virtual time.

use crate::world::standard::Kind;
use crate::world::{MS, SECOND, World};
use proptest::prelude::*;
use strata_media::bond::sender::{Input, Output};
use strata_media::bond::{BondConfig, BondLink, Cost, LinkState, Mode, SchedulerParams, Sender};
use strata_media::testing::netem::{Config, Loss, Outage};

fn link(mbit: u64, ms: u32) -> Config {
    Config::simple(mbit * 1_000_000, MS * ms, 0.005)
}

fn named(id: u32) -> BondLink {
    BondLink { id, ..BondLink::default() }
}

fn with_cost(id: u32, cost: Cost) -> BondLink {
    BondLink { cost, ..named(id) }
}

fn assert_whole(world: &World) {
    assert_lost(world, 0);
}

/// No more than `most` packets are missing.
fn assert_lost(world: &World, most: u64) {
    println!("{}\n{:#?}", world.report(), world.sender.stats(world.now));
    assert!(world.seen.lost <= most, "{} lost, {}", world.seen.lost, world.report());
    assert_eq!(world.seen.lost + world.seen.delivered, world.seen.sent, "{}", world.report());
}

/// A standard receiver asks by a link that is gone for 2 s: of the half percent of `pps` packets a second that the others lose
/// meanwhile nobody is told, and by chance of twice as many.
fn unasked(kind: Kind, pps: u64) -> u64 {
    if kind == Kind::Strata { 0 } else { pps * 2 / 200 * 2 }
}

/// What a link gets at least soon after it is there, bit/s: its share; or, where nothing is told of what links carry, and one of
/// them suffices, what keeps it known, a packet each 50 ms.
fn share(kind: Kind) -> f64 {
    match kind {
        Kind::Strata => 1_000_000.0,
        Kind::Standard => 150_000.0,
    }
}

/// What each link sends in `seconds`, bit/s.
fn rates(world: &mut World, seconds: u32) -> Vec<f64> {
    let sent = |world: &World| -> Vec<_> {
        world.sender.stats(world.now).links.iter().map(|link| link.sent_bytes).collect()
    };
    let before = sent(world);
    world.run(SECOND * seconds);
    let bps = |(after, before): (u64, &u64)| (after - before) as f64 * 8.0 / f64::from(seconds);
    sent(world).into_iter().zip(&before).map(bps).collect()
}

/// A third link comes while two are not enough for more, one of the first goes, and comes back as another one.
#[test]
fn links_come_and_go_without_a_gap() {
    for kind in Kind::BOTH {
        let mut world =
            World::new(41, &[link(5, 40), link(5, 60), link(8, 50)], 6_000_000, SECOND).towards(kind);
        world.tell(Input::Remove { link: 2 }).run(SECOND * 10);
        assert_eq!(world.sender.stats(world.now).links.len(), 2);
        world.tell(Input::Link { link: 2, config: named(7) }).run(SECOND * 2);
        let stats = world.sender.stats(world.now);
        assert_eq!((stats.links[2].id, stats.links[2].state), (7, LinkState::Live), "{stats:#?}");
        assert!(rates(&mut world, 5)[2] > 1_000_000.0);
        // Unplugged: what it had under way does not arrive.
        let mut gone = link(5, 40);
        gone.outages = vec![Outage { start: world.now - world.start, length: SECOND * 600 }];
        world.configure(0, &gone);
        world.tell(Input::Remove { link: 0 }).run(SECOND * 10);
        assert_eq!(world.sender.stats(world.now).links.len(), 2);
        world.configure(0, &link(5, 40));
        world.tell(Input::Link { link: 0, config: named(9) }).run(SECOND * 5);
        let stats = world.sender.stats(world.now);
        assert_eq!(stats.links.iter().map(|link| link.id).collect::<Vec<_>>(), [9, 1, 7]);
        assert!(stats.links[0].sent_bytes > 0 && stats.links[0].lost < 50, "counted anew: {stats:#?}");
        world.drain(SECOND * 3);
        assert_lost(&world, unasked(kind, 570));
        // A standard receiver puts out every 5 ms, and some of those are missing of which nobody was told.
        let gap = if kind == Kind::Strata { MS * 10 } else { MS * 30 };
        assert!(world.seen.longest_gap < gap, "{:?}", world.seen.longest_gap);
        assert!(world.report().wire < 1.06, "{}", world.report());
    }
}

/// A link that was not there when the stream began, or when it got another address, carries its share soon after it
/// appears, though its peer reports on the others all the time.
#[test]
fn a_link_that_appears_later_is_used() {
    for kind in Kind::BOTH {
        let silent = Config { loss: Loss::Random { rate: 1.0 }, ..link(8, 60) };
        let mut world = World::new(48, &[link(8, 40), silent.clone()], 5_000_000, SECOND).towards(kind);
        for _ in 0..3 {
            world.run(SECOND * 10);
            assert_eq!(world.sender.stats(world.now).links[1].state, LinkState::Dead);
            world.configure(1, &link(8, 60));
            world.run(SECOND * 2);
            let rate = rates(&mut world, 5)[1];
            assert!(rate > share(kind), "{kind:?}: {rate}");
            world.configure(1, &silent);
            world.tell(Input::Readdress { link: 1 });
        }
        world.drain(SECOND * 3);
        assert_whole(&world);
    }
}

/// A link that got another address while it was switched off is asked how it is as often as one that never carried anything:
/// what its peer tells on it of others is no word of itself.
#[test]
fn a_link_that_is_switched_on_with_another_address_is_used() {
    for kind in Kind::BOTH {
        let links = [link(6, 20), link(4, 60), link(8, 90), link(3, 40)];
        let mut world = World::new(49, &links, 3_000_000, MS * 500).towards(kind);
        world.run(SECOND * 2).tell(Input::Enable { link: 0, enabled: false }).run(SECOND);
        world.moved[0] += 1;
        world.tell(Input::Readdress { link: 0 }).run(SECOND * 3);
        world.tell(Input::Enable { link: 0, enabled: true }).run(SECOND * 2);
        assert_eq!(world.sender.stats(world.now).links[0].state, LinkState::Live);
        assert!(rates(&mut world, 5)[0] > 300_000.0);
        world.drain(SECOND * 3);
        assert_whole(&world);
    }
}

/// A link that is disabled by command carries nothing at all, and says so; enabled, it is as quick as a new one.
#[test]
fn a_disabled_link_carries_nothing_at_all() {
    for kind in Kind::BOTH {
        let mut world = World::new(51, &[link(8, 40), link(8, 60)], 5_000_000, SECOND).towards(kind);
        world.run(SECOND * 10);
        let told = |world: &World| world.sender.stats(world.now).links[1].clone();
        assert_eq!(told(&world).error, None);
        world.tell(Input::Enable { link: 1, enabled: false });
        let before = told(&world).spent_bytes;
        world.run(SECOND * 60);
        let after = told(&world);
        assert_eq!((after.spent_bytes, after.state), (before, LinkState::Dead));
        assert_eq!(after.error.as_deref(), Some("it is disabled"));
        world.tell(Input::Enable { link: 1, enabled: true });
        assert_eq!(told(&world).error, None);
        world.run(MS * 300);
        assert!(told(&world).sent_bytes > after.sent_bytes, "{:?}", told(&world));
        world.run(SECOND * 2);
        assert_eq!(told(&world).state, LinkState::Live);
        let rate = rates(&mut world, 5)[1];
        assert!(rate > share(kind), "{kind:?}: {rate}");
        // What is already so changes nothing.
        world.tell(Input::Enable { link: 1, enabled: true });
        assert_eq!(told(&world).state, LinkState::Live);
        world.drain(SECOND * 3);
        assert_whole(&world);
    }
}

/// The only link changes its address, and one of two does.
#[test]
fn another_address_is_no_gap() {
    for (kind, count) in Kind::BOTH.into_iter().flat_map(|kind| [(kind, 1), (kind, 2)]) {
        let links = [link(8, 40), link(6, 60)];
        let mut world = World::new(42, &links[..count], 4_000_000, SECOND).towards(kind);
        for _ in 0..3 {
            world.run(SECOND * 5);
            world.moved[0] += 1;
            world.tell(Input::Readdress { link: 0 }).run(MS * 500);
            let state = world.sender.stats(world.now).links[0].state;
            assert!(matches!(state, LinkState::Warm | LinkState::Live), "{state:?}");
        }
        world.run(SECOND * 5).drain(SECOND * 3);
        assert_whole(&world);
    }
}

/// What there is no place for, and what is not there, changes nothing.
#[test]
fn places_are_bounded() {
    let mut world = World::new(43, &[link(8, 40)], 4_000_000, SECOND);
    world.run(SECOND);
    for link in [2, 16, usize::MAX] {
        world.tell(Input::Link { link, config: named(5) });
        world.tell(Input::Remove { link }).tell(Input::Readdress { link });
    }
    assert_eq!(world.sender.stats(world.now).links.len(), 1);
    // All links gone, and one again.
    world.tell(Input::Remove { link: 0 }).tell(Input::Remove { link: 0 }).run(MS * 300);
    assert!(world.sender.stats(world.now).links.is_empty());
    world.tell(Input::Link { link: 0, config: named(6) }).run(SECOND * 5).drain(SECOND * 3);
    assert_whole(&world);
}

/// A link that comes with what it has carried before has only the rest of its cap.
#[test]
fn what_a_link_carried_before_counts_towards_its_cap() {
    for kind in Kind::BOTH {
        let mut world =
            World::new(44, &[link(5, 40), link(5, 60), link(5, 50)], 4_000_000, SECOND).towards(kind);
        let (cap, before) = (1_000_000, 900_000);
        world.tell(Input::Remove { link: 2 }).run(SECOND);
        let config = BondLink { cap_bytes: Some(cap), spent_bytes: before, ..named(2) };
        world.tell(Input::Link { link: 2, config: config.clone() });
        assert_eq!(world.sender.stats(world.now).links[2].spent_bytes, before);
        world.run(SECOND * 10);
        let stats = world.sender.stats(world.now);
        assert_eq!(stats.links[2].error, Some(format!("its cap of {cap} bytes is used up")));
        let sent = stats.links[2].sent_bytes;
        assert!(sent > 50_000 && sent < cap - before, "{stats:#?}");
        // A change of the link does not take it back, nor count it twice.
        world.tell(Input::Link { link: 2, config: BondLink { cap_bytes: Some(cap + 1), ..config } });
        assert_eq!(world.sender.stats(world.now).links[2].spent_bytes, stats.links[2].spent_bytes);
        world.drain(SECOND * 3);
        assert_whole(&world);
    }
}

/// A metered link carries next to nothing while the others suffice, what is missing when they do not, and nothing beyond its
/// cap; what it costs may change.
#[test]
fn a_metered_link_is_the_last_and_stops_at_its_cap() {
    for kind in Kind::BOTH {
        let mut world =
            World::new(44, &[link(5, 40), link(5, 60), link(8, 50)], 4_000_000, SECOND).towards(kind);
        world.tell(Input::Link { link: 2, config: with_cost(2, Cost::Metered) }).run(SECOND * 5);
        assert!(rates(&mut world, 10)[2] < 20_000.0);
        world.configure(1, &link(1, 60));
        world.configure(0, &link(2, 40));
        let rate = rates(&mut world, 10)[2];
        println!("{kind:?}: {rate} bit/s by the metered link");
        assert!(rate > if kind == Kind::Strata { 1_000_000.0 } else { 500_000.0 }, "{rate}");
        let before = world.sender.stats(world.now);
        assert_eq!(before.links[2].error, None);
        world.configure(1, &link(5, 60));
        let cap = before.links[2].spent_bytes + 1_000_000;
        world.tell(Input::Link {
            link: 2,
            config: BondLink { cap_bytes: Some(cap), ..with_cost(2, Cost::Free) },
        });
        world.run(SECOND * 10);
        let stats = world.sender.stats(world.now);
        let error = stats.links[2].error.as_deref().unwrap();
        assert_eq!(error, format!("its cap of {cap} bytes is used up"));
        assert!(stats.links[2].spent_bytes < cap + 1500, "{stats:#?}");
        assert_eq!(rates(&mut world, 5)[2], 0.0);
        assert_eq!(world.sender.stats(world.now).links[2].spent_bytes, stats.links[2].spent_bytes);
        world.drain(SECOND * 3);
        assert_whole(&world);
    }
}

/// The backup before the metered one, when both would do.
#[test]
fn a_backup_comes_before_a_metered_link() {
    for kind in Kind::BOTH {
        let mut world =
            World::new(45, &[link(2, 40), link(6, 50), link(6, 50)], 4_000_000, SECOND).towards(kind);
        world.tell(Input::Link { link: 1, config: with_cost(1, Cost::Metered) });
        world.tell(Input::Link { link: 2, config: with_cost(2, Cost::Backup) }).run(SECOND * 10);
        let rates = rates(&mut world, 20);
        println!("{rates:?}");
        assert!(rates[2] > 1_500_000.0 && rates[1] < 100_000.0, "{rates:?}");
        world.drain(SECOND * 3);
        assert_whole(&world);
    }
}

/// Weights move what may go by either, and lose nothing where they ask for more than a link carries.
#[test]
fn a_weight_is_a_hint() {
    let mut world = World::new(46, &[link(10, 40), link(10, 40)], 4_000_000, SECOND);
    let even = weigh(&mut world, [0, 0]);
    let three = weigh(&mut world, [3, 1]);
    let third = weigh(&mut world, [1, 2]);
    println!("{even} {three} {third}");
    assert!(three > even + 0.1 && third < even - 0.05, "{even} {three} {third}");
    world.configure(0, &link(2, 40));
    weigh(&mut world, [1000, 1]);
    world.drain(SECOND * 3);
    assert_whole(&world);
}

/// Gives two links weights: the share of the first one from then on.
fn weigh(world: &mut World, weights: [u32; 2]) -> f64 {
    for (link, weight) in weights.into_iter().enumerate() {
        world.tell(Input::Link { link, config: BondLink { weight, ..named(link as u32) } });
    }
    world.run(SECOND * 3);
    let rates = rates(world, 10);
    rates[0] / (rates[0] + rates[1])
}

/// A standard receiver does not tell what links carry, so that they do not share by that: whatever their weights, every packet goes
/// as without.
#[test]
fn a_weight_is_nothing_to_a_standard_receiver() {
    let [none, much, little] = [[0, 0], [1000, 1], [1, 3]].map(|weights| {
        let mut world =
            World::new(46, &[link(10, 40), link(10, 40)], 4_000_000, SECOND).towards(Kind::Standard);
        let share = weigh(&mut world, weights);
        world.drain(SECOND * 3);
        assert_whole(&world);
        (share, world.seen.digest)
    });
    assert_eq!((none, none), (much, little));
}

/// As patient as its user says, from the start and later. Towards a standard receiver two round trips of 80 ms, if that is more, and the
/// 50 ms between two reports are waited for; 30 ms are for what a round trip is measured longer, and for when links are looked at.
#[test]
fn a_link_is_suspect_when_its_user_says() {
    let cases = Kind::BOTH.into_iter().flat_map(|kind| [150, 500].map(|ms| (kind, ms)));
    for ((kind, ms), later) in cases.flat_map(|case| [(case, false), (case, true)]) {
        let mut links = [link(8, 40), link(8, 60)];
        links[0].outages = vec![Outage { start: SECOND * 10, length: SECOND * 20 }];
        let mut world = World::new(47, &links, 4_000_000, SECOND).towards(kind);
        let mut params = SchedulerParams::default();
        params.failover.suspect_after = if later { SECOND * 3 } else { MS * ms };
        world.schedule(params.clone()).run(SECOND * 9);
        params.failover.suspect_after = MS * ms;
        world.schedule(params).run(SECOND);
        let state = |world: &World| world.sender.stats(world.now).links[0].state;
        world.run(MS * (ms - 100));
        assert_eq!(state(&world), LinkState::Live, "{kind:?}, {ms} ms, later {later}");
        let dead = (0..200).find(|_| state(world.run(MS * 2)) == LinkState::Dead);
        let dead = ms - 100 + 2 * (dead.expect("it is dead") + 1);
        println!("{kind:?}, {ms} ms, later {later}: dead after {dead} ms");
        let most = if kind == Kind::Strata { ms + 50 } else { ms.max(160) + 80 };
        assert!(dead <= most, "{kind:?}, {ms} ms, later {later}: {dead} ms");
        world.run(SECOND * 10).drain(SECOND * 3);
        assert_lost(&world, unasked(kind, 380));
    }
}

/// Where two round trips are more, those are waited for: 600 ms.
#[test]
fn a_link_of_a_long_way_is_given_two_round_trips() {
    let mut links = [link(8, 150), link(8, 160)];
    links[0].outages = vec![Outage { start: SECOND * 10, length: SECOND * 20 }];
    let mut world = World::new(52, &links, 4_000_000, SECOND * 2);
    let state = |world: &World| world.sender.stats(world.now).links[0].state;
    world.run(SECOND * 10 + MS * 590);
    assert_eq!(state(&world), LinkState::Live);
    let dead = (1..100).find(|_| state(world.run(MS * 2)) == LinkState::Dead);
    println!("dead after {:?} ms", dead.map(|at| 590 + at * 2));
    assert!(dead.is_some_and(|at| at * 2 <= 40), "{dead:?}");
    world.run(SECOND * 5).drain(SECOND * 4);
    assert_whole(&world);
}

/// So is a link that came after its user said so.
#[test]
fn a_link_that_comes_later_is_as_patient_as_the_others() {
    for kind in Kind::BOTH {
        let mut links = [link(8, 40), link(8, 60)];
        let mut world = World::new(50, &links, 4_000_000, SECOND).towards(kind);
        let mut params = SchedulerParams::default();
        params.failover.suspect_after = SECOND * 2;
        world.tell(Input::Remove { link: 0 }).schedule(params).run(SECOND);
        world.tell(Input::Link { link: 0, config: named(0) }).run(SECOND * 8);
        links[0].outages = vec![Outage { start: world.now - world.start, length: SECOND * 20 }];
        world.configure(0, &links[0]);
        let state = |world: &World| world.sender.stats(world.now).links[0].state;
        world.run(MS * 1900);
        assert_eq!(state(&world), LinkState::Live);
        world.run(SECOND * 2);
        assert_eq!(state(&world), LinkState::Dead);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 32, failure_persistence: None, ..ProptestConfig::default() })]

    /// Whatever is done to links and parameters of a running stream, what comes out is in order, nothing comes twice, and
    /// what is not there was reported lost (asserted with every packet); and a good link at the end loses nothing.
    #[test]
    fn whatever_is_done_to_links_output_is_in_order(
        seed in 1u64..1_000_000,
        steps in proptest::collection::vec((0usize..9, 0usize..4, 0u32..400), 1..40),
    ) {
        let links = [link(6, 20), link(4, 60), link(8, 90), link(3, 40)];
        let mut world = World::new(seed, &links, 3_000_000, MS * 500);
        // Two links, and places for more beyond the last.
        let mut config = BondConfig::new(vec![named(0), named(1)], seed);
        config.latency = MS * 500;
        world.sender = Sender::new(world.now, config);
        world.seen.unsynced();
        world.run(MS * 300);
        for (what, at, ms) in steps {
            let (now, step) = (world.now, seed as usize + at);
            let mut params = SchedulerParams::new(Mode::ALL[step % 3]);
            params.storm.enabled = step % 2 == 0;
            params.redundancy.target_links = 1 + step % 4;
            let config = BondLink { weight: ms, cost: [Cost::Free, Cost::Backup, Cost::Metered][step % 3], ..named(at as u32) };
            match what {
                0 => world.tell(Input::Remove { link: at }),
                1 | 2 => world.tell(Input::Link { link: at, config }),
                3 => world.tell(Input::Readdress { link: at }),
                4 => world.tell(Input::Enable { link: at, enabled: ms % 2 == 0 }),
                5 => world.tell(Input::Latency(MS * (100 + ms))),
                6 => {
                    let mut gone = link(6, 30);
                    gone.outages = vec![Outage { start: now - world.start, length: MS * ms }];
                    world.configure(at, &gone);
                    &mut world
                }
                7 if ms % 2 == 0 => world.tell(Input::Link { link: at, config }).tell(Input::Remove { link: at }),
                7 => world.tell(Input::Link { link: at, config }).tell(Input::Readdress { link: at }),
                _ => world.schedule(params),
            };
            world.run(MS * ms);
        }
        world.tell(Input::Link { link: 0, config: named(0) }).tell(Input::Enable { link: 0, enabled: true });
        world.tell(Input::Latency(MS * 500)).schedule(SchedulerParams::default());
        world.configure(0, &Config::simple(20_000_000, MS * 20, 0.0));
        world.run(SECOND * 4);
        let lost = world.seen.lost;
        world.run(SECOND * 3).drain(SECOND * 3);
        prop_assert_eq!(world.seen.lost, lost, "nothing more is lost once a good link is there");
        prop_assert!(world.seen.complete(0), "{:?}", world.seen);
        prop_assert!(world.seen.accounted() <= world.seen.sent);
        prop_assert!(world.sender.stats(world.now).pending == 0);
    }
}

/// A link that is added, and goes or gets another address before anything was measured of it.
#[test]
fn a_link_may_change_as_soon_as_it_came() {
    for change in [|| Input::Remove { link: 2 }, || Input::Readdress { link: 2 }] {
        #[expect(clippy::disallowed_methods, reason = "virtual time starts anywhere")]
        let mut now = std::time::Instant::now();
        let mut sender = Sender::new(now, BondConfig::new(vec![named(0), named(1)], 1));
        for _ in 0..305 {
            now += MS;
            sender.handle_input(now, Input::Timeout);
            while !matches!(sender.poll_output(), Output::Timeout(_)) {}
        }
        now += MS;
        sender.handle_input(now, Input::Link { link: 2, config: named(2) });
        let count = |sender: &Sender| sender.stats(now).links.len();
        assert_eq!(count(&sender), 3);
        sender.handle_input(now, change());
        let left = if matches!(change(), Input::Remove { .. }) { 2 } else { 3 };
        assert_eq!(count(&sender), left);
    }
}

/// Nobody answers, by one link or by two: what was sent for longer than the latency ago is not under way any more, and nothing is
/// known of what they carry.
#[test]
fn what_nobody_answers_is_not_under_way_for_ever() {
    let silent = Config { loss: Loss::Random { rate: 1.0 }, ..link(8, 40) };
    for count in [1, 2] {
        let mut world = World::new(9, &vec![silent.clone(); count], 2_000_000, MS * 300);
        world.run(MS * 9700);
        let before = world.sender.stats(world.now).links;
        world.run(MS * 300);
        for (before, link) in before.iter().zip(world.sender.stats(world.now).links) {
            // Headers of the layers below are 3 % of a packet, and the last report was just before or just after.
            let most = (link.sent_bytes - before.sent_bytes) * 11 / 10 + 2000;
            assert!(link.in_flight_bytes <= most && link.sent_bytes > most * 3, "{most}: {link:#?}");
            assert_eq!((link.rtt_ms, link.rtt_min_ms, link.known_capacity_bps()), (None, None, None));
        }
    }
}

/// What a link did stays done when another takes its place.
#[test]
fn totals_do_not_go_back_when_a_place_is_taken_anew() {
    #[expect(clippy::disallowed_methods, reason = "virtual time starts anywhere")]
    let mut now = std::time::Instant::now();
    let mut sender = Sender::new(now, BondConfig::new(vec![BondLink::default(); 2], 1));
    sender.handle_input(now, Input::Payload(bytes::Bytes::from_static(&[0x47; 188])));
    for _ in 0..200 {
        now += std::time::Duration::from_millis(1);
        sender.handle_input(now, Input::Timeout);
        while !matches!(sender.poll_output(), Output::Timeout(_)) {}
    }
    let before = sender.stats(now);
    assert!(before.links[0].retransmitted > 0, "{before:?}");
    sender.handle_input(now, Input::Remove { link: 0 });
    sender.handle_input(now, Input::Link { link: 0, config: BondLink::default() });
    let after = sender.stats(now);
    assert_eq!((after.links[0].retransmitted, after.retransmitted), (0, before.retransmitted));
}

/// A NACK for `count` packets from `first` on (RFC 4585), behind an empty receiver report.
fn request(ssrc: u32, first: u16) -> Vec<u8> {
    let mut data = vec![0x80, 201, 0, 1, 0, 0, 0, 9, 0x81, 205, 0, 3, 0, 0, 0, 9];
    data.extend(ssrc.to_be_bytes());
    data.extend(first.to_be_bytes());
    data.extend([0xff, 0xff]);
    data
}

/// What a link lost is not the loss of the one that takes its place.
#[test]
fn late_requests_are_not_charged_to_who_takes_the_place() {
    #[expect(clippy::disallowed_methods, reason = "virtual time starts anywhere")]
    let mut now = std::time::Instant::now();
    let mut sender = Sender::new(now, BondConfig::new(vec![named(0), named(1)], 1));
    let mut first = None;
    let mut drain = |sender: &mut Sender| {
        let mut repeated = 0;
        loop {
            match sender.poll_output() {
                Output::Rtp { media, .. } => {
                    let sequence = u16::from_be_bytes([media.header[2], media.header[3]]);
                    first.get_or_insert(sequence);
                    repeated += u64::from(media.header[11] & 1 == 1);
                }
                Output::Timeout(_) => return (repeated, first),
                _ => {}
            }
        }
    };
    for _ in 0..40 {
        now += MS;
        sender.handle_input(now, Input::Payload(bytes::Bytes::from_static(&[0x47; 188])));
        drain(&mut sender);
    }
    for link in 0..2 {
        sender.handle_input(now, Input::Remove { link });
        sender.handle_input(now, Input::Link { link, config: named(7) });
    }
    now += MS * 200;
    sender.handle_input(now, Input::Timeout);
    let first = drain(&mut sender).1.unwrap();
    sender.handle_input(now, Input::Rtcp { link: 1, data: &request(sender.ssrc(), first) });
    let repeated = drain(&mut sender).0;
    assert!(repeated > 0, "what is asked for is repeated all the same");
    let stats = sender.stats(now);
    assert_eq!(stats.links.iter().map(|link| link.lost).collect::<Vec<_>>(), [0, 0], "{stats:#?}");
}

/// A link that is removed takes no part in anything: the one that is left does as if it had always been alone.
#[test]
fn a_link_that_is_left_alone_is_as_one_that_always_was() {
    let lossy = Config::simple(8_000_000, MS * 40, 0.2);
    let report = |count: usize| {
        let links = vec![lossy.clone(); count];
        let mut world = World::new(50, &links, 3_000_000, MS * 250);
        (1..count).for_each(|link| {
            world.tell(Input::Remove { link });
            // What is said of a link that is no more is of no effect.
            world.tell(Input::Enable { link, enabled: true }).tell(Input::LinkError { link, error: None });
        });
        world.run(SECOND * 60).drain(SECOND);
        println!("{}", world.report());
        world.sender.stats(world.now).retransmitted as f64 / world.seen.sent as f64
    };
    let (one, left) = (report(1), report(3));
    assert!((one - left).abs() < 0.01, "{one} {left}");
}
