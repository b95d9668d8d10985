//! A transport stream whose keyframes, tables and sound matter more than the rest, in virtual time.

use crate::world::frames::{packet, tables};
use crate::world::standard::Kind;
use crate::world::{MS, PAYLOAD, SECOND, World};
use strata_media::bond::{Mode, SchedulerParams, Storm};
use strata_media::testing::netem::Config;
use strata_media::ts::{Classifier, Priority};

/// Payloads from keyframe to keyframe; the first of them are the keyframe, and some of the others are sound.
const GROUP: u64 = 60;
const KEYFRAME: u64 = 12;
const SOUND: u64 = 10;

fn priority(number: u64) -> Priority {
    match number % GROUP {
        0..KEYFRAME => Priority::Critical,
        place if place % SOUND == 0 => Priority::Audio,
        _ => Priority::Normal,
    }
}

/// One payload: tables at the head of a group, then pictures of one packet each, or sound; a null packet at the end.
fn content(number: u64) -> Vec<u8> {
    let unit = if number % GROUP < KEYFRAME { 0x65 } else { 0x41 };
    let media = match priority(number) {
        Priority::Audio => packet(0x102, true, &[0, 0, 1, 0xc0, 0, 0, 0x80, 0, 0]),
        _ => packet(0x101, true, &[0, 0, 1, 0xe0, 0, 0, 0x80, 0, 0, 0, 0, 1, unit]),
    };
    let mut payload = if number.is_multiple_of(GROUP) { tables().concat() } else { vec![] };
    while payload.len() < PAYLOAD - 188 {
        payload.extend(media);
    }
    payload.extend(packet(0x1fff, true, &[]));
    payload
}

/// Shares of critical packets, of sound, and of others that were lost.
fn lost(world: &World) -> [f64; 3] {
    [Priority::Critical, Priority::Audio, Priority::Normal].map(|wanted| {
        let lost = world.lost.iter().filter(|&&number| priority(number) == wanted).count();
        let sent = (0..world.seen.sent).filter(|&number| priority(number) == wanted).count();
        lost as f64 / sent as f64
    })
}

fn streaming(
    kind: Kind,
    seed: u64,
    links: &[Config],
    bps: u64,
    latency_ms: u32,
    params: SchedulerParams,
) -> World {
    let mut world = World::new(seed, links, bps, MS * latency_ms).towards(kind);
    world.content = Some(content);
    world.schedule(params).run(SECOND * 45).drain(SECOND * 2 + MS * latency_ms);
    println!("{kind:?} {} {:?} {:?}", world.report(), lost(&world), world.sender.stats(world.now).copied);
    world
}

#[test]
fn the_stream_is_what_it_is_taken_for() {
    let mut classifier = Classifier::new();
    for number in 0..500 {
        assert_eq!(classifier.classify(&content(number)), priority(number), "{number}");
    }
}

/// With no time to repeat anything, keyframes and tables arrive all the same: every one is sent twice, and nothing else.
#[test]
fn critical_packets_go_by_two_links() {
    let links = [Config::simple(10_000_000, MS * 40, 0.02), Config::simple(10_000_000, MS * 60, 0.02)];
    let mut params = SchedulerParams::new(Mode::Economy);
    params.critical_broadcast.enabled = true;
    // Repair packets would make up for the losses by which this is seen.
    params.fec.enabled = false;
    for (kind, seed) in Kind::BOTH.into_iter().flat_map(|kind| [1, 2, 3].map(|seed| (kind, seed))) {
        let world = streaming(kind, seed, &links, 4_000_000, 70, params.clone());
        let [critical, _, normal] = lost(&world);
        assert!(normal > 0.01 && critical < normal / 8.0, "{critical} {normal}");
        assert!(world.report().wire < 1.27, "{}", world.report());
    }
}

/// In `robust`, by all three links; and copies of the rest are no obstacle.
#[test]
fn critical_packets_go_by_all_links_when_robust() {
    for kind in Kind::BOTH {
        let link = |ms: u32| Config::simple(12_000_000, MS * ms, 0.06);
        let mut params = SchedulerParams::new(Mode::Robust);
        (params.redundancy.enabled, params.fec.enabled) = (false, false);
        let world = streaming(kind, 4, &[link(30), link(40), link(50)], 4_000_000, 60, params);
        let [critical, _, normal] = lost(&world);
        assert!(normal > 0.05 && critical < normal / 15.0, "{critical} {normal}");
        let world = streaming(
            kind,
            4,
            &[link(30), link(40), link(50)],
            4_000_000,
            60,
            SchedulerParams::new(Mode::Robust),
        );
        let [critical, _, normal] = lost(&world);
        assert!(normal < 0.05 && critical < 0.004, "{critical} {normal}");
    }
}

/// 20 Mbit/s for links of 18, and 12 when one of them is gone: keyframes, tables and sound arrive, and of the rest
/// about as much as there is room for.
#[test]
fn a_storm_leaves_what_matters_most() {
    for kind in Kind::BOTH {
        let links = [8, 6, 4].map(|mbit| Config::simple(mbit * 1_000_000, MS * 40, 0.005));
        let mut params = SchedulerParams::default();
        params.storm.enabled = true;
        for (links, room) in [(&links[..], 18.0 / 20.0), (&links[..2], 14.0 / 20.0)] {
            let two = streaming(kind, 5, links, 20_000_000, 1000, params.clone());
            let [critical, audio, normal] = lost(&two);
            assert!(critical < 0.001 && audio < 0.001, "{critical} {audio}");
            let reliable = (KEYFRAME + GROUP / SOUND - 2) as f64 / GROUP as f64;
            let least = 1.0 - (room - reliable) / (1.0 - reliable);
            assert!(normal > least && normal < least + 0.1, "{normal} {least}");
        }
    }
}

/// The same without a storm: of 20 Mbit/s with headers and repeats, 18 are an eighth too few, and little more than that is
/// lost, at any latency; next to nothing of what matters most. A standard receiver does not tell how long queues are: what has waited for
/// long comes too late by a bit, at first, before one can be seen, which is more of 500 ms than of a second.
#[test]
fn an_overload_costs_what_is_too_much_and_no_more() {
    let links = [8, 6, 4].map(|mbit| Config::simple(mbit * 1_000_000, MS * 40, 0.005));
    for (kind, latency_ms) in Kind::BOTH.into_iter().flat_map(|kind| [500, 1000, 2000].map(|ms| (kind, ms))) {
        let world = streaming(kind, 5, &links, 20_000_000, latency_ms, SchedulerParams::default());
        let [critical, audio, _] = lost(&world);
        let unseen = kind == Kind::Standard && latency_ms == 500;
        let (matters, all) = if unseen { (0.035, 0.17) } else { (0.015, 0.155) };
        assert!(critical < matters && audio < matters, "{kind:?}: {critical} {audio}");
        let loss = world.report().residual_loss;
        assert!((0.1..all).contains(&loss), "{kind:?}: {}", world.report());
    }
}

/// A storm that is switched on and off while packets wait.
#[test]
fn queues_are_joined_and_parted_on_a_running_stream() {
    for kind in Kind::BOTH {
        let links = [8, 6].map(|mbit| Config::simple(mbit * 1_000_000, MS * 40, 0.0));
        let mut world = World::new(6, &links, 10_000_000, SECOND).towards(kind);
        world.content = Some(content);
        let mut params = SchedulerParams::default();
        for enabled in [true, false, true, false] {
            params.storm.enabled = enabled;
            world.schedule(params.clone()).run(SECOND * 2 + MS * 7);
        }
        world.drain(SECOND * 3);
        assert_eq!((world.seen.lost, world.seen.delivered), (0, world.seen.sent));
    }
}

/// 20 Mbit/s for one link of `mbit`.
fn storm(kind: Kind, mbit: u64, change: impl FnOnce(&mut Storm)) -> World {
    let mut params = SchedulerParams::default();
    params.storm.enabled = true;
    change(&mut params.storm);
    let link = Config::simple(mbit * 1_000_000, MS * 40, 0.0);
    let mut world = World::new(7, &[link], 20_000_000, SECOND).towards(kind);
    world.content = Some(content);
    world.schedule(params).run(SECOND * 15);
    world
}

/// Where not even what matters most has room, it has the share of the link that it was given.
#[test]
fn a_reliable_weight_is_a_share_of_what_the_link_carries() {
    for kind in Kind::BOTH {
        let [tenth, half, whole] = [0.1, 0.5, 1.0].map(|weight| {
            let mut world = storm(kind, 5, |storm| storm.reliable_weight = weight);
            world.drain(SECOND * 3);
            println!("{kind:?}, {weight}: {:?} {}", lost(&world), world.report());
            lost(&world)[0]
        });
        // Towards a standard receiver, more of what has waited for its turn comes too late.
        let least = if kind == Kind::Strata { 0.2 } else { 0.1 };
        assert!(tenth > half + least && half > whole + 0.2, "{kind:?}: {tenth} {half} {whole}");
    }
}

#[test]
fn an_unreliable_packet_waits_no_longer_than_it_may() {
    for (kind, ms) in Kind::BOTH.into_iter().flat_map(|kind| [50, 200, 600].map(|ms| (kind, ms))) {
        let mut world = storm(kind, 8, |storm| storm.unreliable_max_age = MS * ms);
        let wait = |world: &World| world.sender.stats(world.now).pending_ms;
        let most = (0..500).map(|_| wait(world.run(MS * 10))).fold(0.0, f64::max);
        println!("{ms}: at most {most} ms");
        // They are looked for every 5 ms.
        assert!(most > f64::from(ms) * 0.8 && most <= f64::from(ms) + 6.0, "{most} of {ms} ms");
    }
}
