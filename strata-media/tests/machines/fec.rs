//! Repair packets where there is no time to ask again, in virtual time.

use std::time::Duration;

use crate::world::report::Report;
use crate::world::standard::Kind;
use crate::world::{MS, SECOND, World};
use strata_media::bond::SchedulerParams;
use strata_media::bond::sender::Input;
use strata_media::fec::{Encoder, Repair, RepairError};
use strata_media::rist::psk::Passphrase;
use strata_media::rist::rtp::MAX_PAYLOAD;
use strata_media::rist::tunnel::{self, Psk, Role, Session};
use strata_media::testing::netem::{Config, Loss};

const STREAM: u64 = 5_000_000;
const LENGTH: Duration = Duration::from_secs(60);

fn link(mbit: u64, way: u32, loss: f64, burst: f64) -> Config {
    Config { loss: Loss::bursts(loss, burst), ..Config::simple(mbit * 1_000_000, MS * way, 0.0) }
}

fn params(enabled: bool, max_ratio: f64) -> SchedulerParams {
    let mut params = SchedulerParams::default();
    (params.fec.enabled, params.fec.max_ratio) = (enabled, max_ratio);
    params
}

fn run(name: &str, world: &mut World, latency: Duration) -> Report {
    world.run(LENGTH).drain(latency + SECOND * 2);
    let (report, stats, sent) = (world.report(), world.stats(), world.sender.stats(world.now));
    println!(
        "{name}: {report}; {} repair packets sent, {} came, {} useless, {} recovered, {} repeated",
        sent.fec_packets, stats.fec_packets, stats.fec_useless, stats.fec_recovered, sent.retransmitted
    );
    assert!(stats.fec_packets <= sent.fec_packets && stats.fec_useless <= stats.fec_packets);
    report
}

/// The same links without and with.
fn both(name: &str, links: &[Config], latency: Duration) -> (Report, Report) {
    let mut world = World::new(5, links, STREAM, latency);
    world.schedule(params(false, 0.3));
    let without = run(&format!("{name}, without"), &mut world, latency);
    assert_eq!(world.sender.stats(world.now).fec_packets, 0);
    let with = run(name, &mut World::new(5, links, STREAM, latency), latency);
    (without, with)
}

fn repairs(world: &World) -> u64 {
    world.sender.stats(world.now).fec_packets
}

/// A round trip of 300 ms, 250 ms of latency: nothing can be asked for again. Half of what stays lost is lost before it is known
/// that anything is.
#[test]
fn single_losses_where_no_request_comes_in_time() {
    let (without, with) = both("2 %", &[link(20, 150, 0.02, 1.0)], MS * 250);
    assert!((0.015..0.025).contains(&without.residual_loss), "{without}");
    assert!(with.residual_loss < 0.001, "{with}");
    assert!(with.wire < 1.15, "{with}");
}

#[test]
fn bursts_where_no_request_comes_in_time() {
    let (without, with) = both("2 % in bursts of 3", &[link(20, 150, 0.02, 3.0)], MS * 250);
    assert!((0.015..0.025).contains(&without.residual_loss), "{without}");
    assert!(with.residual_loss < 0.002, "{with}");
    assert!(with.wire < 1.3, "{with}");
}

#[test]
fn two_links_with_bursts() {
    let links = [link(4, 150, 0.02, 3.0), link(4, 170, 0.01, 5.0)];
    let (without, with) = both("two links", &links, MS * 250);
    assert!(without.residual_loss > 0.01, "{without}");
    assert!(with.residual_loss < 0.002, "{with}");
    assert!(with.wire < 1.3, "{with}");
}

/// Where a request and its answer come in time, there is nothing to repair; `scenarios` asserts the same of S1 to S4.
#[test]
fn no_repair_packets_where_requests_come_in_time() {
    for (way, latency) in [(25, 300), (50, 1000), (100, 700), (150, 1000)] {
        for burst in [1.0, 5.0] {
            let mut world = World::new(6, &[link(20, way, 0.02, burst)], STREAM, MS * latency);
            let report = run(&format!("{way} ms, {latency} ms, bursts of {burst}"), &mut world, MS * latency);
            assert_eq!(repairs(&world), 0);
            assert!(report.wire < 1.05, "{report}");
        }
    }
}

/// A receiver that announces nothing gets none, whatever is lost.
#[test]
fn none_without_a_receiver_that_takes_them() {
    let links = [link(20, 150, 0.05, 2.0)];
    let mut world = World::with(7, &links, STREAM, MS * 250, |config| config.fec = false);
    let report = run("not announced", &mut world, MS * 250);
    assert_eq!((repairs(&world), world.stats().fec_packets), (0, 0));
    assert!(report.residual_loss > 0.03, "{report}");
    // As soon as there is another that does, it gets them.
    world.restart_receiver(MS * 250);
    world.run(SECOND * 10);
    assert!(world.stats().fec_recovered > 20, "{:?}", world.stats());
}

/// Nor does one that knows nothing beyond the standard, which bears nothing but RTP of the one stream and RTCP of the standard
/// (`world::standard`): losses that nothing can be asked for, of which a receiver of Strata would be spared most.
#[test]
fn a_standard_receiver_gets_no_repair_packets() {
    for links in [vec![link(20, 150, 0.05, 2.0)], vec![link(4, 150, 0.02, 3.0), link(4, 170, 0.05, 5.0)]] {
        for max_ratio in [0.3, 1.0] {
            let mut world = World::new(9, &links, STREAM, MS * 250).towards(Kind::Standard);
            world.schedule(params(true, max_ratio));
            world.run(LENGTH).drain(SECOND * 3);
            let (report, sent) = (world.report(), world.sender.stats(world.now));
            let standard = world.standard.as_ref().unwrap();
            println!("{report}; {} asked for, {} unknown", standard.requested, standard.unknown);
            assert!(report.residual_loss > 0.01, "{report}");
            assert_eq!(sent.fec_packets, 0, "{sent:?}");
            assert!(sent.links.iter().all(|link| link.fec_packets == 0), "{sent:?}");
            // The first twenty reports of each link say what this sender takes, and one of eleven later on; they come every 50 ms.
            let reports = (LENGTH + SECOND * 3).as_millis() as u64 / 50;
            let most = links.len() as u64 * (20 + reports / 11 + 1);
            assert!((1..=most).contains(&standard.unknown), "{} of {most}", standard.unknown);
        }
    }
}

/// Losses that come and go, a round trip that becomes short, a latency that becomes long: repair packets follow.
#[test]
fn repair_packets_come_and_go_with_what_needs_them() {
    let (clean, lossy) = (link(20, 150, 0.0, 1.0), link(20, 150, 0.03, 2.0));
    let mut world = World::new(8, std::slice::from_ref(&clean), STREAM, MS * 250);
    let in_time = |world: &mut World, time: Duration| {
        let before = repairs(world);
        world.run(time);
        repairs(world) - before
    };
    assert_eq!(in_time(&mut world, SECOND * 10), 0);
    world.configure(0, &lossy);
    world.run(SECOND * 2);
    assert!(in_time(&mut world, SECOND * 10) > 300);
    world.configure(0, &clean);
    world.run(SECOND * 30);
    assert_eq!(in_time(&mut world, SECOND * 10), 0, "nothing is lost any more");
    world.configure(0, &lossy);
    world.run(SECOND * 5);
    assert!(in_time(&mut world, SECOND * 5) > 150);
    // What is lost can be asked for again.
    world.configure(0, &link(20, 20, 0.03, 2.0));
    world.run(SECOND * 30);
    assert_eq!(in_time(&mut world, SECOND * 10), 0, "requests come in time");
    let lost = world.seen.lost;
    world.run(SECOND * 5).drain(SECOND);
    assert_eq!(world.seen.lost, lost);
}

/// The link carries the stream and hardly more: fresh packets go first, and nothing is worse than without.
#[test]
fn none_at_the_price_of_the_stream() {
    let links = [link(5, 150, 0.02, 2.0)];
    let latency = MS * 250;
    let stream = 4_700_000;
    let mut reports = [false, true].map(|enabled| {
        let mut world = World::new(9, &links, stream, latency);
        world.schedule(params(enabled, 0.3));
        (run(&format!("no room, {enabled}"), &mut world, latency), repairs(&world))
    });
    let (without, with) = (reports[0].0.clone(), &mut reports[1]);
    assert!(with.0.residual_loss <= without.residual_loss * 1.05, "{} {without}", with.0);
    assert!(with.0.wire < 1.05, "{}", with.0);
}

/// What may be spent at most holds, and can be changed on the running stream.
#[test]
fn the_largest_ratio_holds() {
    let links = [link(20, 150, 0.1, 4.0)];
    let mut world = World::new(10, &links, STREAM, MS * 250);
    for (ratio, least) in [(0.3, 0.25), (0.1, 0.08), (0.0, 0.0)] {
        world.schedule(params(true, ratio));
        world.run(SECOND * 3);
        let (before, sent) = (repairs(&world), world.seen.sent);
        world.run(SECOND * 20);
        let spent = (repairs(&world) - before) as f64 / (world.seen.sent - sent) as f64;
        println!("at most {ratio}: {spent}");
        assert!((least..=ratio * 1.02).contains(&spent), "{ratio}: {spent}");
    }
}

/// What a link had under way when it went silent or was removed goes by the other one, in time or not, whether there are repair
/// packets or not: these are for single losses, not for all that a link carried.
#[test]
fn what_a_link_takes_with_it_is_sent_again() {
    let links = [link(20, 150, 0.02, 2.0), link(20, 150, 0.02, 2.0)];
    let lost = |enabled, later| {
        let mut world = World::new(5, &links, STREAM, MS * 250);
        world.schedule(params(enabled, 0.3)).run(SECOND * 10 + MS * later);
        assert_eq!(repairs(&world) > 0, enabled);
        let (before, now) = (world.seen.lost, world.now);
        world.links[0].0.set_down(now, true);
        world.links[0].1.set_down(now, true);
        world.run(MS * 100).tell(Input::Remove { link: 0 }).run(SECOND);
        world.seen.lost - before
    };
    let [without, with] = [false, true].map(|enabled| (0..8).map(|run| lost(enabled, run * 17)).sum::<u64>());
    println!("removed: lost {without} without repair packets, {with} with");
    assert!(with <= without, "{with} {without}");
}

/// With all headers no repair packet is longer than 1500 bytes, by any profile, so payloads that leave no room for its own have none;
/// and a longer one, which costs a receiver more to compute with, is refused.
#[test]
fn repair_packets_are_no_longer_than_what_is_sent_whole() {
    let now = World::new(5, &[link(20, 150, 0.0, 1.0)], STREAM, MS * 250).start;
    let repairs = |len, most| {
        let mut encoder = Encoder::new(false, most);
        encoder.push(now, 1, 0, vec![1; len].into());
        encoder.close(2).map(|block| block.repairs)
    };
    let longest = repairs(1424, MAX_PAYLOAD).unwrap_or_default();
    assert_eq!(longest.iter().map(|repair| repair.len()).collect::<Vec<_>>(), [1440, 1440]);
    assert!(longest.iter().all(|repair| Repair::decode(repair).is_ok()));
    assert!(repairs(1425, MAX_PAYLOAD).is_none());
    let longer = [&longest[0][..], &[0, 0]].concat();
    assert_eq!(Repair::decode(&longer.into()), Err(RepairError::Length(1442)));

    // In a tunnel: the longest payload that has repair packets, with a key or not, with numbers of 32 bits or not.
    let psk = Psk::new(Passphrase::new("secret").expect("a passphrase"));
    for (psk, long, longest) in
        [(None, false, 1416), (None, true, 1408), (Some(psk.clone()), false, 1408), (Some(psk), true, 1400)]
    {
        let mut config = tunnel::Config::new(psk);
        config.sequence_extension = long;
        let (most, mut session) =
            (MAX_PAYLOAD - config.overhead(), Session::new(now, &config, Role::Client, 1));
        let made = repairs(longest, most).unwrap_or_default();
        assert!(repairs(longest + 1, most).is_none());
        let mut datagram = Vec::new();
        session.rtp(&[0x80; 12], 1, &made[0], &mut datagram);
        // With headers of UDP and IPv6.
        assert_eq!(datagram.len() + 48, 1500, "{config:?}");
    }
}

/// Round trips, latencies and losses: what is lost and what is on the wire, without and with. Printed with `--nocapture`, the table of
/// `benches/README.md`.
#[test]
fn table() {
    println!("| way ms | latency ms | loss % | burst | lost % without | wire | lost % with | wire |");
    println!("|---|---|---|---|---|---|---|---|");
    for (way, latency) in [(50, 80), (150, 100), (150, 250), (300, 500)] {
        for (loss, burst) in [(0.005, 1.0), (0.02, 1.0), (0.02, 3.0), (0.05, 3.0)] {
            let [without, with] = [false, true].map(|enabled| {
                let mut world = World::new(20, &[link(20, way, loss, burst)], STREAM, MS * latency);
                world.schedule(params(enabled, 0.3));
                world.run(SECOND * 30).drain(MS * latency + SECOND * 2);
                world.report()
            });
            println!(
                "| {way} | {latency} | {} | {burst} | {:.2} | {:.3} | {:.2} | {:.3} |",
                loss * 100.0,
                without.residual_loss * 100.0,
                without.wire,
                with.residual_loss * 100.0,
                with.wire
            );
            let most = (without.residual_loss / 2.0).max(0.0005);
            assert!(with.residual_loss <= most && with.wire < 1.33, "{without} {with}");
            // A packet that is given back may be as late as what follows its burst.
            assert!(with.max <= without.max + MS * 40, "{without} {with}");
        }
    }
}
