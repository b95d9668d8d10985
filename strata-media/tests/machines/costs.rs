//! Links that cost something: what goes by them while the others suffice, and that they are there at once when those do
//! not. In virtual time.

use crate::world::standard::Kind;
use crate::world::{MS, SECOND, World};
use strata_media::bond::sender::Input;
use strata_media::bond::{BondConfig, BondLink, Cost, LinkState, Mode, SchedulerParams, Sender};
use strata_media::testing::netem::{Config, Outage};

/// Headers of IPv4 and UDP.
const HEADERS: u64 = 28;
const COSTLY: [Cost; 2] = [Cost::Backup, Cost::Metered];

/// Either kind of receiver, and of links that cost something.
fn cases() -> impl Iterator<Item = (Kind, Cost)> {
    Kind::BOTH.into_iter().flat_map(|kind| COSTLY.map(|cost| (kind, cost)))
}

fn link(ms: u32, loss: f64) -> Config {
    Config::simple(20_000_000, MS * ms, loss)
}

fn of_cost(id: u32, cost: Cost) -> BondLink {
    BondLink { id, cost, ..BondLink::default() }
}

/// A stream of 5 Mbit/s over links of these delays and costs, of which any carries it.
fn world(seed: u64, links: &[(u32, Cost)], loss: f64, kind: Kind) -> World {
    let configs: Vec<_> = links.iter().map(|&(ms, _)| link(ms, loss)).collect();
    let mut world = World::new(seed, &configs, 5_000_000, SECOND).towards(kind);
    let links = links.iter().enumerate().map(|(id, &(_, cost))| of_cost(id as u32, cost)).collect();
    world.sender = Sender::new(world.now, BondConfig::new(links, seed));
    world
}

/// Nothing arrives by a link from now on.
fn cut(world: &mut World, link: usize, length: std::time::Duration) {
    let mut config = world.links[link].0.config().clone();
    config.outages = vec![Outage { start: world.now - world.start, length }];
    world.configure(link, &config);
}

/// Bytes that a link carried so far: media; all there, with headers; all back.
fn carried(world: &World, link: usize) -> [u64; 3] {
    let sent = &world.sender.stats(world.now).links[link];
    let back = world.links[link].1.stats();
    [sent.sent_bytes, sent.spent_bytes, back.pushed_bytes + back.pushed * HEADERS]
}

/// The same in `seconds` from now.
fn carries(world: &mut World, link: usize, seconds: u32) -> [u64; 3] {
    let before = carried(world, link);
    let after = carried(world.run(SECOND * seconds), link);
    std::array::from_fn(|index| after[index] - before[index])
}

fn state(world: &World, link: usize) -> LinkState {
    world.sender.stats(world.now).links[link].state
}

fn assert_whole(world: &mut World) {
    assert_lost(world, 0);
}

/// No more than `most` packets are missing.
fn assert_lost(world: &mut World, most: u64) {
    world.drain(SECOND * 3);
    println!("{}\n{:#?}", world.report(), world.sender.stats(world.now));
    let seen = &world.seen;
    assert!(seen.lost <= most, "{} lost, {}", seen.lost, world.report());
    assert_eq!(seen.lost + seen.delivered, seen.sent, "{}", world.report());
}

/// A standard receiver asks by a link that is gone for 2 s: of the half percent that the other one loses meanwhile nobody is told, 5
/// of 950 packets for each time, and by chance twice as many.
fn unasked(kind: Kind, times: u64) -> u64 {
    if kind == Kind::Strata { 0 } else { 10 * times }
}

/// What a spared link carries in a minute: a report each 900 ms, of 28 bytes SR, 20 of SDES, 16 that say that it rests, and
/// 24 that ask; an empty RR of 8 bytes, SDES and 24 of an answer to it; the headers of each. 60 s may see one more than go
/// into them.
const REPORTS: u64 = 60_000 / 900 + 1;
const THERE: u64 = REPORTS * (28 + 20 + 16 + 24 + HEADERS);
const BACK: u64 = REPORTS * (8 + 20 + 24 + HEADERS);

/// The same there and back, by kind of receiver. A standard one counts on ten reports a second and asks as often: there goes a report
/// each 90 ms, with the answer to what was asked since, and one in eleven has all there is and asks; back come the questions, an answer to each, and some of
/// what it asks for, for which there is a twentieth.
fn may_carry(kind: Kind) -> (u64, u64) {
    let (reports, asking, asked) = (60_000 / 90 + 1, 60_000 / 990 + 1, 60_000 / 100 + 1);
    let (report, echo) = (8 + 20 + HEADERS, 24);
    match kind {
        Kind::Strata => (THERE, BACK),
        Kind::Standard => (
            reports * report + asked * echo + asking * (28 - 8 + 16 + echo),
            (asked + asking) * (report + echo) * 21 / 20,
        ),
    }
}

#[test]
fn a_link_that_costs_something_carries_a_report_a_second_while_others_suffice() {
    for (kind, cost) in cases() {
        let mut world = world(52, &[(40, Cost::Free), (40, cost)], 0.005, kind);
        let first = carries(&mut world, 1, 2);
        let then = carries(&mut world, 1, 60);
        println!("{kind:?}, {cost:?}: {first:?} at first, {then:?} in the next minute");
        assert_eq!((first[0], then[0]), (0, 0), "media");
        let (there, back) = may_carry(kind);
        assert!(then[1] <= there && then[2] <= back, "{then:?}, more than {there} and {back}");
        assert_whole(&mut world);
    }
}

/// Its first answer comes before those of the others.
#[test]
fn a_link_that_costs_something_gets_nothing_for_being_the_first_to_answer() {
    for (kind, cost) in cases() {
        let mut world = world(53, &[(60, Cost::Free), (10, cost), (80, Cost::Free)], 0.005, kind);
        assert_eq!(carries(&mut world, 1, 30)[0], 0);
        assert_whole(&mut world);
    }
}

#[test]
fn a_stream_begins_by_a_link_that_costs_something_when_no_other_answers() {
    for (kind, cost) in cases() {
        for ms in [10, 80, 200] {
            let mut world = world(54, &[(40, Cost::Free), (ms, cost)], 0.005, kind);
            cut(&mut world, 0, SECOND * 600);
            world.run(SECOND * 10);
            println!("{kind:?}, {cost:?}, {ms} ms: from {} on, {}", world.seen.first, world.report());
            assert_whole(&mut world);
        }
    }
}

/// The only other one is gone, at once and as long as it is.
#[test]
fn a_link_that_costs_something_is_there_at_once_when_the_others_are_gone() {
    for (kind, cost) in cases() {
        let mut world = world(55, &[(40, Cost::Free), (60, cost)], 0.005, kind);
        world.run(SECOND * 60);
        for _ in 0..5 {
            world.run(MS * 170);
            cut(&mut world, 0, SECOND * 4);
            assert!(carries(&mut world, 1, 4)[0] > 2_000_000);
            assert_eq!(state(&world, 1), LinkState::Live);
            world.run(SECOND * 6);
            let then = carries(&mut world, 1, 10);
            assert!(then[0] == 0 && then[1] < may_carry(kind).0 / 5, "{then:?}");
        }
        assert_lost(&mut world, unasked(kind, 5));
    }
}

/// The other one carries a fifth of the stream from one moment to the next.
#[test]
fn a_link_that_costs_something_makes_up_for_what_the_others_lack() {
    for ((kind, cost), ms) in cases().flat_map(|case| [20, 60, 120].map(|ms| (case, ms))) {
        let mut world = world(56, &[(40, Cost::Free), (ms, cost)], 0.005, kind);
        world.run(SECOND * 30);
        world.configure(0, &Config::simple(1_000_000, MS * 40, 0.005));
        assert!(carries(&mut world, 1, 10)[0] > 4_000_000);
        assert_eq!(state(&world, 1), LinkState::Live);
        // Towards a standard receiver, some of what is too much until that is seen (`standard::a_loss_of_capacity_is_followed`): 4 Mbit/s
        // for 280 ms are 106 packets, which the full queue loses.
        assert_lost(&mut world, if kind == Kind::Strata { 0 } else { 106 });
    }
}

/// One in 25 questions is not answered.
#[test]
fn a_link_that_rests_does_not_die_of_a_lost_report() {
    for kind in Kind::BOTH {
        let mut world = world(57, &[(40, Cost::Free), (60, Cost::Metered)], 0.02, kind);
        world.run(SECOND * 5);
        for _ in 0..600 {
            world.run(SECOND);
            assert_eq!(state(&world, 1), LinkState::Live);
        }
    }
}

/// A link that rested is found dead within seconds, asked seldom as before, and found alive again.
#[test]
fn a_link_that_rests_may_die_and_return() {
    for kind in Kind::BOTH {
        let mut world = world(58, &[(40, Cost::Free), (60, Cost::Metered)], 0.005, kind);
        world.run(SECOND * 10);
        cut(&mut world, 1, SECOND * 20);
        world.run(SECOND * 5);
        assert_eq!(state(&world, 1), LinkState::Dead);
        let then = carries(&mut world, 1, 10);
        assert!(then[1] <= may_carry(kind).0 / 5, "{then:?}");
        world.run(SECOND * 10);
        assert_eq!(state(&world, 1), LinkState::Live);
        assert_whole(&mut world);
    }
}

/// What it costs may change: a link that rested gets its share as the others do. Towards a standard receiver weights are nothing; there it
/// gets a packet each 50 ms at least, 4 % of them.
#[test]
fn a_link_that_rested_has_its_weight_when_it_costs_nothing_any_more() {
    for (kind, cost) in cases() {
        let mut world = world(59, &[(40, Cost::Free), (40, cost)], 0.005, kind);
        world.run(SECOND * 30);
        for (link, weight) in [(0, 1), (1, 4)] {
            let config = BondLink { weight, ..of_cost(link as u32, Cost::Free) };
            world.tell(Input::Link { link, config });
        }
        world.run(SECOND * 3);
        let sent = |world: &World| [0, 1].map(|link| carried(world, link)[0]);
        let before = sent(&world);
        let after = sent(world.run(SECOND * 10));
        let share = (after[1] - before[1]) as f64 / (after[0] - before[0] + after[1] - before[1]) as f64;
        println!("{kind:?}, {cost:?}: {share}");
        assert!(share > if kind == Kind::Strata { 0.6 } else { 0.03 }, "{kind:?}: {share}");
        assert_whole(&mut world);
    }
}

/// Another receiver comes to know of the link that rests, and the stream goes on by it when it has to.
#[test]
fn a_receiver_that_starts_anew_lets_it_rest_as_well() {
    for kind in Kind::BOTH {
        let mut world = world(60, &[(40, Cost::Free), (60, Cost::Metered)], 0.005, kind);
        world.run(SECOND * 10);
        world.restart_receiver(SECOND);
        world.run(SECOND * 5);
        let then = carries(&mut world, 1, 60);
        let (there, back) = may_carry(kind);
        assert!(then[0] == 0 && then[1] <= there && then[2] <= back, "{then:?}");
        let lost = world.seen.lost;
        cut(&mut world, 0, SECOND * 5);
        world.run(SECOND * 10).drain(SECOND * 3);
        assert!(world.seen.lost <= lost + unasked(kind, 1), "{}", world.report());
    }
}

/// Neither copies nor repair packets go by a metered link that is not needed, however much is to be spent on them; those that cost
/// nothing get both.
#[test]
fn a_metered_link_that_is_not_needed_gets_no_copies() {
    for (kind, mode) in Kind::BOTH.into_iter().flat_map(|kind| Mode::ALL.map(|mode| (kind, mode))) {
        let mut world = world(61, &[(40, Cost::Free), (60, Cost::Free), (20, Cost::Metered)], 0.02, kind);
        let mut params = SchedulerParams::new(mode);
        params.redundancy.target_links = 3;
        params.critical_broadcast.target_links = 3;
        world.schedule(params).run(SECOND * 30);
        let stats = world.sender.stats(world.now);
        println!("{kind:?}, {mode}: {stats:#?}");
        let spent: Vec<_> = stats.links.iter().map(|link| link.copied + link.fec_packets).collect();
        assert_eq!(spent[2], 0, "{kind:?}, {mode}: {spent:?}");
        assert!(mode == Mode::Economy || spent[0] + spent[1] > 0, "{kind:?}, {mode}: {spent:?}");
    }
}
