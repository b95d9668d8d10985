//! Copies that are sent beforehand, in virtual time: what they cost, what they are worth, and what they leave alone.

use std::time::Duration;

use crate::world::report::Report;
use crate::world::standard::Kind;
use crate::world::{MS, PAYLOAD, SECOND, World};
use strata_media::bond::{BondStats, Mode, SchedulerParams};
use strata_media::testing::netem::{Config, Loss, Outage};

/// 10 Mbit/s 40 ms 1 % and 5 Mbit/s 80 ms 2 %, 200 ms of queue.
fn two_links() -> Vec<Config> {
    vec![Config::simple(10_000_000, MS * 40, 0.01), Config::simple(5_000_000, MS * 80, 0.02)]
}

/// The same, with the first one gone for ten seconds.
fn dying() -> Vec<Config> {
    let mut links = two_links();
    links[0].outages = vec![Outage { start: SECOND * 15, length: SECOND * 10 }];
    links
}

/// Three links, each too small alone, with losses in bursts.
fn three_links() -> Vec<Config> {
    let link = |mbit: u64, ms: u32| Config {
        loss: Loss::bursts(0.01, 5.0),
        ..Config::simple(mbit * 1_000_000, MS * ms, 0.0)
    };
    vec![link(8, 30), link(6, 60), link(4, 120)]
}

/// Either kind of receiver, and the seeds that each figure holds for.
fn cases() -> impl Iterator<Item = (Kind, u64)> {
    Kind::BOTH.into_iter().flat_map(|kind| [1, 2, 3].map(|seed| (kind, seed)))
}

fn run(
    kind: Kind,
    mode: Mode,
    seed: u64,
    links: &[Config],
    bps: u64,
    latency: Duration,
) -> (Report, BondStats) {
    let mut world = World::new(seed, links, bps, latency).towards(kind);
    let mut params = SchedulerParams::new(mode);
    // What copies do is to be seen.
    params.fec.enabled = false;
    world.schedule(params).run(SECOND * 45).drain(latency + SECOND * 2);
    let (report, stats) = (world.report(), world.sender.stats(world.now));
    println!(
        "{kind:?}, {mode}, seed {seed}: {report}; {} copied, {} repeated, {} discarded",
        stats.copied, stats.retransmitted, stats.discarded
    );
    (report, stats)
}

/// Bytes on the wire per payload byte, at least and at most, in each mode.
#[test]
fn a_mode_is_a_price() {
    for (mode, least, most) in
        [(Mode::Economy, 1.0, 1.04), (Mode::Balanced, 1.04, 1.2), (Mode::Robust, 1.4, 2.05)]
    {
        for (kind, seed) in cases() {
            let (report, _) = run(kind, mode, seed, &two_links(), 6_000_000, SECOND);
            assert!(
                (report.residual_loss, report.wire >= least, report.wire <= most) == (0.0, true, true),
                "{report}"
            );
        }
    }
}

/// A standard receiver asks by the dead link for 2 s; of what the other one loses until then, 2 % of 760 packets of 17 095, nobody is
/// told, and there is none by which a copy could go.
#[test]
fn s3_robust_loses_nothing_at_450_ms() {
    for (kind, seed) in cases() {
        let (report, _) = run(kind, Mode::Robust, seed, &dying(), 4_000_000, MS * 450);
        let most = if kind == Kind::Strata { 0.0 } else { 0.0015 };
        assert!(report.residual_loss <= most, "{report}");
        assert!(report.wire <= 1.9 && report.wire > 1.4, "{report}");
    }
}

/// At a latency that leaves no time to repeat what is lost, copies are what helps.
#[test]
fn copies_do_what_repeats_have_no_time_for() {
    for (kind, seed) in cases() {
        let [economy, balanced, robust] =
            Mode::ALL.map(|mode| run(kind, mode, seed, &two_links(), 4_000_000, MS * 70).0.residual_loss);
        assert!(
            economy > 0.004 && balanced < economy * 0.98 && robust < economy * 0.6,
            "{economy} {balanced} {robust}"
        );
    }
}

/// 15.5 Mbit/s of 18, and 20: there is nothing to spare, and the stream fares no worse than without copies.
#[test]
fn copies_are_not_at_the_price_of_fresh_packets() {
    for (kind, bps) in Kind::BOTH.into_iter().flat_map(|kind| [(kind, 15_500_000), (kind, 20_000_000)]) {
        let [economy, balanced, robust] =
            Mode::ALL.map(|mode| run(kind, mode, 1, &three_links(), bps, SECOND).0);
        for other in [balanced, robust] {
            assert!(other.residual_loss <= economy.residual_loss * 1.02, "{other}, {economy}");
            assert!(other.max <= economy.max + MS * 2, "{other}, {economy}");
        }
    }
}

/// A link of no loss that carries copies is one of no loss, however much the other one loses; and what is known of both
/// capacities is no worse.
#[test]
fn copies_are_no_losses_and_do_not_disturb_estimates() {
    for (kind, seed) in Kind::BOTH.into_iter().flat_map(|kind| [5, 6, 17].map(|seed| (kind, seed))) {
        let lossy = Config::simple(10_000_000, MS * 40, 0.05);
        let clean = Config::simple(8_000_000, MS * 80, 0.0);
        let mut world = World::new(seed, &[lossy, clean], 6_000_000, SECOND).towards(kind);
        world.schedule(SchedulerParams::new(Mode::Robust)).run(SECOND * 2);
        // Before there was feedback, what arrived first was anyone's guess.
        let guessed = world.sender.stats(world.now).links[1].lost;
        world.run(SECOND * 43);
        let stats = world.sender.stats(world.now);
        println!("{}\n{stats:#?}", world.report());
        let share = |link: usize| stats.links[link].lost as f64 / stats.links[link].sent_packets as f64;
        match kind {
            Kind::Strata => {
                // Other links' reports come sooner, and say nothing of what was repeated: until it was once seen how much later
                // this one's come, one repeat is taken for lost.
                assert!(stats.links[1].lost <= guessed + 1, "{stats:?}");
                assert!((share(0) - 0.05).abs() < 0.01, "{}", share(0));
                // What came as a copy is not asked for again.
                assert!(stats.retransmitted < stats.links[0].lost / 2, "{stats:?}");
            }
            Kind::Standard => {
                // What is asked for shows losses, and what came as a copy is not; a request too early is taken for one at times.
                assert!(share(0) < 0.06 && share(1) < 0.01, "{} {}", share(0), share(1));
                assert!(stats.retransmitted < stats.copied / 10, "{stats:?}");
            }
        }
        assert!(
            stats.links[0].capacity_bps < 12_000_000 && stats.links[1].capacity_bps < 10_000_000,
            "{stats:?}"
        );
    }
}

/// Every detail counts, and can be changed while the stream runs.
#[test]
fn parameters_take_effect_on_a_running_stream() {
    for kind in Kind::BOTH {
        let links = [
            Config::simple(20_000_000, MS * 30, 0.0),
            Config::simple(20_000_000, MS * 40, 0.0),
            Config::simple(20_000_000, MS * 50, 0.0),
        ];
        let mut world = World::new(6, &links, 4_000_000, SECOND).towards(kind);
        let mut params = SchedulerParams::new(Mode::Robust);
        params.redundancy.spare_ratio = 1.0;
        let copied = |world: &mut World, params: &SchedulerParams| {
            world.schedule(params.clone()).run(SECOND * 2);
            let before = world.sender.stats(world.now);
            world.run(SECOND * 5);
            let after = world.sender.stats(world.now);
            (after.copied - before.copied) as f64 / (after.packets - before.packets) as f64
        };
        world.run(SECOND * 5);
        assert_eq!(world.sender.stats(world.now).copied, 0);
        let one = copied(&mut world, &params);
        assert!(one > 0.95 && one <= 1.01, "{one}");
        params.redundancy.target_links = 3;
        let two = copied(&mut world, &params);
        assert!(two > 1.9 && two <= 2.02, "{two}");
        params.redundancy.spare_ratio = 0.05;
        let some = copied(&mut world, &params);
        assert!(some > 0.05 && some < 1.0, "{some}");
        params.redundancy.max_packet_bytes = PAYLOAD - 1;
        assert_eq!(copied(&mut world, &params), 0.0);
        params.redundancy.max_packet_bytes = PAYLOAD;
        params.redundancy.target_links = 1;
        assert_eq!(copied(&mut world, &params), 0.0);
        world.schedule(SchedulerParams::default()).drain(SECOND * 2);
        assert_eq!((world.seen.lost, world.seen.delivered), (0, world.seen.sent));
    }
}
