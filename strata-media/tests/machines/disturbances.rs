//! What happens to links and ends in the field, in virtual time: nothing is lost that could arrive.

use std::sync::Arc;

use crate::world::frames::Frames;
use crate::world::standard::Kind;
use crate::world::{MS, PAYLOAD, SECOND, World};
use strata_media::bond::LinkState;
use strata_media::testing::netem::{Config, Loss, Outage};

/// A link of `mbit` Mbit/s and `ms` one way.
fn link(mbit: u64, ms: u32) -> Config {
    Config::simple(mbit * 1_000_000, MS * ms, 0.005)
}

/// Each figure must hold for all of them.
fn seeds(first: u64) -> [u64; 3] {
    [first, first + 100, first + 200]
}

/// The same, towards either kind of receiver.
fn cases(first: u64) -> impl Iterator<Item = (Kind, u64)> {
    Kind::BOTH.into_iter().flat_map(move |kind| seeds(first).map(|seed| (kind, seed)))
}

fn assert_whole(world: &World) {
    let report = world.report();
    println!("{report}\n{:#?}", world.sender.stats(world.now));
    assert_eq!((world.seen.lost, world.seen.delivered), (0, world.seen.sent), "{report}");
}

#[test]
fn six_links_add_up() {
    for (kind, seed) in cases(21) {
        let links = [link(4, 20), link(3, 35), link(3, 50), link(2, 70), link(2, 90), link(2, 110)];
        let mut world = World::new(seed, &links, 12_000_000, SECOND).towards(kind);
        world.run(SECOND * 60).drain(SECOND * 3);
        assert_whole(&world);
        assert!(world.report().wire < 1.05);
        assert!(world.report().shares.iter().all(|&share| share > 0.02));
    }
}

/// 250 Mbit/s over five links of 60: each carries every fifth number, so that what is told of it has gaps. However much
/// there is to tell, every datagram passes whole.
#[test]
fn feedback_of_fast_links_fits_into_datagrams() {
    let links = [20, 30, 40, 50, 60].map(|ms| link(60, ms));
    let mut world = World::new(35, &links, 250_000_000, MS * 500);
    world.run(SECOND * 5);
    let lost = world.seen.lost;
    world.run(SECOND * 5);
    let stats = world.sender.stats(world.now);
    println!("{} {:?}\n{stats:#?}", world.report(), world.seen);
    assert!(world.seen.longest_rtcp.1 > 1000 && world.seen.longest_rtcp.1 <= 1400, "{:?}", world.seen);
    assert!(world.seen.longest_rtcp.0 <= 1400);
    assert!(stats.links.iter().all(|link| link.state == LinkState::Live), "{stats:#?}");
    assert_eq!(world.seen.lost, lost, "{:?}", world.seen);
}

/// One of three links loses most of what it is given. It has the shortest way, by which a standard receiver asks, so that its
/// requests are lost as well. It asks twelve times in a second, by round trips of 66 ms, and 0.7 to the power of twelve is 1.4 %; so
/// much of what that link was given and lost, 70 % of 5 %, is lost for good: half a packet in a thousand.
#[test]
fn a_bad_link_does_not_drag_the_others() {
    for (kind, seed) in cases(22) {
        let bad = Config { loss: Loss::Random { rate: 0.7 }, ..link(10, 30) };
        let links = [link(6, 40), bad, link(6, 60)];
        let mut world = World::new(seed, &links, 6_000_000, SECOND).towards(kind);
        world.run(SECOND * 60).drain(SECOND * 3);
        let (report, missing) = (world.report(), world.seen.sent - world.seen.delivered);
        println!("{kind:?}: {missing} missing, {report}");
        let most = if kind == Kind::Strata { 0 } else { world.seen.sent / 1000 };
        assert!(missing <= most, "{missing} missing, {report}");
        assert!(report.shares[1] < 0.1, "{report}");
        assert!(report.wire < 1.1, "{report}");
    }
}

/// The larger of two links carries half for ten seconds, over and over.
#[test]
fn capacity_halves_and_doubles() {
    for (kind, seed) in cases(23) {
        let mut world = World::new(seed, &[link(8, 40), link(4, 60)], 6_000_000, SECOND).towards(kind);
        for round in 0..6 {
            world.configure(0, &link(if round % 2 == 0 { 8 } else { 4 }, 40));
            world.run(SECOND * 10);
        }
        world.drain(SECOND * 3);
        assert_whole(&world);
        assert!(world.report().wire < 1.05, "{}", world.report());
    }
}

/// One way of a link takes 50 ms, then 600, then 50, while the other has 80.
#[test]
fn round_trips_swing_between_100_and_1200_ms() {
    for (kind, seed) in cases(24) {
        let mut world = World::new(seed, &[link(8, 50), link(8, 80)], 5_000_000, SECOND * 2).towards(kind);
        for round in 0..8 {
            world.configure(0, &link(8, if round % 2 == 0 { 50 } else { 600 }));
            world.run(SECOND * 8);
        }
        world.drain(SECOND * 5);
        assert_whole(&world);
        assert!(world.report().wire < 1.15, "{}", world.report());
    }
}

/// A standard receiver takes the first packet that comes for the first: what that overtook, by the 30 ms by which a link holds one
/// back, is not of its stream.
#[test]
fn reordering_on_links_costs_little() {
    for (kind, seed) in cases(25) {
        let link = |ms: u32| Config { reorder: 0.1, reorder_delay: MS * 30, ..link(6, ms) };
        let mut world = World::new(seed, &[link(30), link(60)], 6_000_000, SECOND).towards(kind);
        world.run(SECOND * 60).drain(SECOND * 3);
        let (first, report) = (world.seen.first, world.report());
        println!("{kind:?}: from {first} on, {report}");
        assert!(first <= if kind == Kind::Strata { 0 } else { 17 }, "{first}");
        assert_eq!((world.seen.lost, first + world.seen.delivered), (0, world.seen.sent), "{report}");
        assert!(world.report().wire < 1.06, "{}", world.report());
    }
}

#[test]
fn duplication_on_links_costs_nothing() {
    for (kind, seed) in cases(26) {
        let link = |ms: u32| Config { duplicate: 0.2, ..link(6, ms) };
        let mut world = World::new(seed, &[link(30), link(60)], 6_000_000, SECOND).towards(kind);
        world.run(SECOND * 60).drain(SECOND * 3);
        assert_whole(&world);
        assert!(world.report().wire < 1.04, "{}", world.report());
    }
}

/// All links are gone for ten seconds, of one and of two. What could not arrive is lost; soon after, nothing is.
#[test]
fn a_total_outage_is_recovered_from() {
    for ((kind, seed), (count, bps)) in
        cases(27).flat_map(|case| [(1, 4_000_000), (2, 4_000_000), (2, 6_000_000)].map(|size| (case, size)))
    {
        let gone = |mut link: Config| {
            link.outages = vec![Outage { start: SECOND * 10, length: SECOND * 10 }];
            link
        };
        let links = [gone(link(8, 40)), gone(link(6, 60))];
        let mut world = World::new(seed, &links[..count], bps, SECOND).towards(kind);
        world.run(SECOND * 15);
        let states: Vec<_> = world.sender.stats(world.now).links.iter().map(|link| link.state).collect();
        assert_eq!(states, [LinkState::Dead; 2][..count]);
        world.run(SECOND * 7);
        let (lost, sent) = (world.seen.lost, world.seen.sent);
        world.run(SECOND * 20).drain(SECOND * 3);
        println!("{kind:?}: {lost} of {sent}, {}", world.report());
        // 10 s without links, less what the latency bridges.
        let second = sent as f64 / 22.0;
        assert!((lost as f64) < second * 9.6, "{lost} of {sent}");
        assert_eq!(world.seen.lost, lost, "nothing more once two seconds have passed");
        assert_eq!(world.seen.accounted(), world.seen.sent);
    }
}

/// All links are gone for five seconds. A live stream is not held up, and what comes out is not older than the latency allows.
#[test]
fn a_total_outage_does_not_hold_up_the_stream() {
    for count in [1, 2] {
        let gone = |mut link: Config| {
            link.outages = vec![Outage { start: SECOND * 10, length: SECOND * 5 }];
            link
        };
        let links = [gone(link(8, 40)), gone(link(6, 60))];
        let mut world = World::new(33, &links[..count], 4_000_000, SECOND);
        world.run(SECOND * 15);
        let stats = world.sender.stats(world.now);
        assert!(stats.links.iter().all(|link| link.state == LinkState::Dead), "{stats:#?}");
        assert!(stats.discarded > 1000 && stats.pending_ms <= 1060.0, "{stats:#?}");
        world.run(SECOND * 10).drain(SECOND * 3);
        println!("{}", world.report());
        assert_eq!(world.seen.accounted(), world.seen.sent);
        assert!(world.seen.latency.1 < MS * 1070, "{:?}", world.seen.latency);
    }
}

/// A stream that ends while all links are gone has ended within its latency.
#[test]
fn a_stream_ends_in_a_total_outage() {
    let outages = vec![Outage { start: SECOND * 5, length: SECOND * 1000 }];
    let links = [40, 60].map(|ms| Config { outages: outages.clone(), ..link(6, ms) });
    let mut world = World::new(34, &links, 4_000_000, SECOND);
    world.run(SECOND * 10).drain(MS * 1070);
    assert!(world.sender.is_drained(world.now));
    assert_eq!(world.sender.stats(world.now).pending, 0);
}

/// The receiver's clock runs 200 ppm fast or slow: 1.44 s in two hours. A standard one puts its clock right by the median of 2048
/// packets that came in order, which take 144 s of these at least: it is 29 ms off by then, and up to 69 were seen.
#[test]
fn clocks_drift_for_two_hours() {
    for (kind, ppm) in Kind::BOTH.into_iter().flat_map(|kind| [(kind, 200), (kind, -200)]) {
        let mut world = World::new(28, &[link(2, 40), link(2, 60)], 150_000, MS * 500).towards(kind);
        world.receiver_ppm = ppm;
        world.run(SECOND * 7200).drain(SECOND * 3);
        assert_whole(&world);
        let (least, most) = world.seen.latency;
        println!("{kind:?} {least:?} {most:?}");
        let spread = if kind == Kind::Strata { MS * 25 } else { MS * 75 };
        assert!(most - least < spread, "{kind:?} {least:?} {most:?}");
    }
}

/// 16 bits of sequence numbers are used up five times.
#[test]
fn sequence_numbers_wrap() {
    let lossy = |ms: u32| Config { loss: Loss::bursts(0.02, 4.0), ..link(30, ms) };
    for kind in Kind::BOTH {
        let mut world = World::new(29, &[lossy(20), lossy(45)], 30_000_000, MS * 500).towards(kind);
        world.run(SECOND * 120).drain(SECOND * 3);
        assert!(world.seen.sent > 5 << 16);
        assert_whole(&world);
    }
}

#[test]
fn a_receiver_that_starts_anew_joins_within_its_latency() {
    for kind in Kind::BOTH {
        let mut world = World::new(30, &[link(6, 40), link(6, 60)], 6_000_000, SECOND).towards(kind);
        for _ in 0..3 {
            world.run(SECOND * 10);
            world.restart_receiver(SECOND);
        }
        let (sent, delivered) = (world.seen.sent, world.seen.delivered);
        world.run(SECOND * 10).drain(SECOND * 3);
        println!("{kind:?}: {}", world.report());
        assert_eq!(world.seen.lost, 0, "{kind:?}");
        // What was under way is not of the new receiver's stream.
        assert!(world.seen.delivered - delivered + 100 >= world.seen.sent - sent, "{kind:?}");
    }
}

/// Another receiver takes over, whose clock has run ten minutes longer, and back: that is no queue of ten minutes.
#[test]
fn a_receiver_with_another_clock_is_no_queue() {
    for count in [1, 2] {
        let links = [link(8, 40), link(8, 60)];
        let mut world = World::new(36, &links[..count], 5_000_000, SECOND);
        world.wait_for_sender();
        for uptime in [SECOND * 600, SECOND] {
            world.run(SECOND * 10);
            let (sent, delivered) = (world.seen.sent, world.seen.delivered);
            world.replace_receiver(SECOND, uptime);
            world.run(SECOND * 10);
            let stats = world.sender.stats(world.now);
            println!("{} {stats:?}", world.report());
            assert_eq!(stats.discarded, 0, "{stats:#?}");
            assert!(stats.links.iter().all(|link| link.queue_ms < 50.0), "{stats:#?}");
            assert_eq!(world.seen.lost, 0);
            // Two links of which the new receiver has not told yet are taken for dead until it answers; one that is alone has
            // a second.
            assert!(world.held_back <= SECOND * (count as u32 - 1), "{:?}", world.held_back);
            // A latency's worth is held, and what was under way is not of the new receiver's stream.
            let second = 5_000_000 / 8 / PAYLOAD as u64;
            assert!(world.seen.delivered - delivered + second * 12 / 10 >= world.seen.sent - sent);
        }
    }
}

/// Two streams share two links, and there is enough for both.
#[test]
fn two_streams_share_the_links() {
    for (kind, seed) in cases(31) {
        let mut world = World::new(seed, &[link(8, 40), link(6, 60)], 4_000_000, SECOND).towards(kind);
        world.add_stream(seed + 1, 4_000_000, SECOND, kind);
        world.run(SECOND * 60).drain(SECOND * 3);
        for stream in &world.streams {
            let report = stream.report();
            println!("{kind:?}: {report}");
            assert_eq!((stream.seen.lost, stream.seen.delivered), (0, stream.seen.sent), "{report}");
            assert!(report.wire < 1.06, "{report}");
        }
    }
}

/// A link whose host stands still for the first `still` ms of every 700, and then passes on at once what came meanwhile.
fn stalling(mbit: u64, ms: u32, still: u64) -> Config {
    let chances = (0..).map(|number: u64| (number * 12 / mbit).max(1)).take_while(|&at| at <= 700);
    let times: String = chances.map(|at| format!("{}\n", at.max(still))).collect();
    let trace = times.parse().expect("a trace in Mahimahi's format");
    Config { rate_bps: None, trace: Some(Arc::new(trace)), ..link(mbit, ms) }
}

/// What comes after a while all at once, a stream's first keyframe among it, does not make links look faster than they are: by 0.3,
/// and by 0.45 where a standard receiver's echoes are all there is to tell by, and a link stands still for 100 ms and more.
#[test]
fn what_stood_still_is_not_taken_for_faster_afterwards() {
    let rates = [10, 5];
    let cases = [20, 40, 60, 100, 150, 200].into_iter().flat_map(|ms| Kind::BOTH.map(|kind| (ms, kind)));
    for ((still, kind), seed) in cases.flat_map(|case| [(case, 38), (case, 40)]) {
        let links = [stalling(rates[0], 40, still), stalling(rates[1], 80, still)];
        // Its rate is that of its pictures.
        let mut world = World::new(seed, &links, 1, SECOND * 2).towards(kind);
        world.frames = Some(Frames::times(4_200_000, 8));
        let share = if kind == Kind::Standard && still >= 100 { 1.45 } else { 1.3 };
        for _ in 0..20 {
            world.run(SECOND);
            let links = world.sender.stats(world.now).links;
            let believed = links.iter().map(|link| link.capacity_bps).collect::<Vec<_>>();
            let most = rates.map(|mbit| (mbit as f64 * share * 1e6) as u64);
            assert!(believed[0] < most[0] && believed[1] < most[1], "{still} ms: {believed:?} of {rates:?}");
        }
        world.drain(SECOND * 4);
        assert_eq!(world.seen.lost, 0, "{still} ms: {}", world.report());
    }
}
