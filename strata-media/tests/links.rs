//! Links that come, go, change their address, or cost, while the stream runs. In virtual time.

mod world;

use strata_media::bond::sender::Input;
use strata_media::bond::{BondLink, Cost, LinkState};
use strata_media::testing::netem::{Config, Outage};
use world::{MS, SECOND, World};

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
    println!("{}\n{:#?}", world.report(), world.sender.stats(world.now));
    assert_eq!((world.seen.lost, world.seen.delivered), (0, world.seen.sent));
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
    let mut world = World::new(41, &[link(5, 40), link(5, 60), link(8, 50)], 6_000_000, SECOND);
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
    assert_whole(&world);
    assert!(world.seen.longest_gap < MS * 10, "{:?}", world.seen.longest_gap);
    assert!(world.report().wire < 1.06, "{}", world.report());
}

/// The only link changes its address, and one of two does.
#[test]
fn another_address_is_no_gap() {
    for count in [1, 2] {
        let links = [link(8, 40), link(6, 60)];
        let mut world = World::new(42, &links[..count], 4_000_000, SECOND);
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

/// A metered link carries next to nothing while the others suffice, what is missing when they do not, and nothing beyond its
/// cap; what it costs may change.
#[test]
fn a_metered_link_is_the_last_and_stops_at_its_cap() {
    let mut world = World::new(44, &[link(5, 40), link(5, 60), link(8, 50)], 4_000_000, SECOND);
    world.tell(Input::Link { link: 2, config: with_cost(2, Cost::Metered) }).run(SECOND * 5);
    assert!(rates(&mut world, 10)[2] < 20_000.0);
    world.configure(1, &link(1, 60));
    world.configure(0, &link(2, 40));
    assert!(rates(&mut world, 10)[2] > 1_000_000.0);
    let before = world.sender.stats(world.now);
    assert_eq!(before.links[2].error, None);
    world.configure(1, &link(5, 60));
    let cap = before.links[2].spent_bytes + 1_000_000;
    world
        .tell(Input::Link { link: 2, config: BondLink { cap_bytes: Some(cap), ..with_cost(2, Cost::Free) } });
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

/// The backup before the metered one, when both would do.
#[test]
fn a_backup_comes_before_a_metered_link() {
    let mut world = World::new(45, &[link(2, 40), link(6, 50), link(6, 50)], 4_000_000, SECOND);
    world.tell(Input::Link { link: 1, config: with_cost(1, Cost::Metered) });
    world.tell(Input::Link { link: 2, config: with_cost(2, Cost::Backup) }).run(SECOND * 10);
    let rates = rates(&mut world, 20);
    println!("{rates:?}");
    assert!(rates[2] > 1_500_000.0 && rates[1] < 100_000.0, "{rates:?}");
    world.drain(SECOND * 3);
    assert_whole(&world);
}

/// Weights move what may go by either, and lose nothing where they ask for more than a link carries.
#[test]
fn a_weight_is_a_hint() {
    let mut world = World::new(46, &[link(10, 40), link(10, 40)], 4_000_000, SECOND);
    let weigh = |world: &mut World, weights: [u32; 2]| {
        for (link, weight) in weights.into_iter().enumerate() {
            world.tell(Input::Link { link, config: BondLink { weight, ..named(link as u32) } });
        }
        world.run(SECOND * 3);
        let rates = rates(world, 10);
        rates[0] / (rates[0] + rates[1])
    };
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
