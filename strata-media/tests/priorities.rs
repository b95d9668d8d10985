//! A transport stream whose keyframes, tables and sound matter more than the rest, in virtual time.

mod world;

use strata_media::bond::{Mode, SchedulerParams};
use strata_media::testing::netem::Config;
use strata_media::ts::{Classifier, Priority};
use world::{MS, PAYLOAD, SECOND, World};

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

/// A packet of `pid` in which something begins.
fn packet(pid: u16, content: &[u8]) -> [u8; 188] {
    let mut packet = [0xff; 188];
    let [high, low] = pid.to_be_bytes();
    packet[..4].copy_from_slice(&[0x47, high | 0x40, low, 0x10]);
    packet[4..4 + content.len()].copy_from_slice(content);
    packet
}

/// One payload: tables at the head of a group, then pictures of one packet each, or sound; a null packet at the end.
fn content(number: u64) -> Vec<u8> {
    let pat = packet(0, &[0, 0, 0xb0, 13, 0, 1, 0xc1, 0, 0, 0, 1, 0xe1, 0x00, 0, 0, 0, 0]);
    let streams = [0x1b, 0xe1, 0x01, 0xf0, 0, 0x0f, 0xe1, 0x02, 0xf0, 0];
    let map = [&[0, 2, 0xb0, 23, 0, 1, 0xc1, 0, 0, 0xe1, 0x01, 0xf0, 0][..], &streams, &[0; 4]].concat();
    let unit = if number % GROUP < KEYFRAME { 0x65 } else { 0x41 };
    let media = match priority(number) {
        Priority::Audio => packet(0x102, &[0, 0, 1, 0xc0, 0, 0, 0x80, 0, 0]),
        _ => packet(0x101, &[0, 0, 1, 0xe0, 0, 0, 0x80, 0, 0, 0, 0, 1, unit]),
    };
    let tables = if number.is_multiple_of(GROUP) { vec![pat, packet(0x100, &map)] } else { vec![] };
    let mut payload = tables.concat();
    while payload.len() < PAYLOAD - 188 {
        payload.extend(media);
    }
    payload.extend(packet(0x1fff, &[]));
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

fn streaming(seed: u64, links: &[Config], bps: u64, latency_ms: u32, params: SchedulerParams) -> World {
    let mut world = World::new(seed, links, bps, MS * latency_ms);
    world.content = Some(content);
    world.schedule(params).run(SECOND * 45).drain(SECOND * 2 + MS * latency_ms);
    println!("{} {:?} {:?}", world.report(), lost(&world), world.sender.stats(world.now).copied);
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
    for seed in [1, 2, 3] {
        let world = streaming(seed, &links, 4_000_000, 70, params.clone());
        let [critical, _, normal] = lost(&world);
        assert!(normal > 0.01 && critical < normal / 8.0, "{critical} {normal}");
        assert!(world.report().wire < 1.27, "{}", world.report());
    }
}

/// In `robust`, by all three links; and copies of the rest are no obstacle.
#[test]
fn critical_packets_go_by_all_links_when_robust() {
    let link = |ms: u32| Config::simple(12_000_000, MS * ms, 0.06);
    let mut params = SchedulerParams::new(Mode::Robust);
    params.redundancy.enabled = false;
    let world = streaming(4, &[link(30), link(40), link(50)], 4_000_000, 60, params);
    let [critical, _, normal] = lost(&world);
    assert!(normal > 0.05 && critical < normal / 15.0, "{critical} {normal}");
    let world =
        streaming(4, &[link(30), link(40), link(50)], 4_000_000, 60, SchedulerParams::new(Mode::Robust));
    let [critical, _, normal] = lost(&world);
    assert!(normal < 0.05 && critical < 0.004, "{critical} {normal}");
}

/// 20 Mbit/s for links of 18, and 12 when one of them is gone: keyframes, tables and sound arrive, and of the rest
/// about as much as there is room for. With one queue, everything is late.
#[test]
fn a_storm_leaves_what_matters_most() {
    let links = [8, 6, 4].map(|mbit| Config::simple(mbit * 1_000_000, MS * 40, 0.005));
    let one = streaming(5, &links, 20_000_000, 1000, SchedulerParams::default());
    let mut params = SchedulerParams::default();
    params.storm.enabled = true;
    for (links, room) in [(&links[..], 18.0 / 20.0), (&links[..2], 14.0 / 20.0)] {
        let two = streaming(5, links, 20_000_000, 1000, params.clone());
        let [critical, audio, normal] = lost(&two);
        assert!(critical < 0.001 && audio < 0.001, "{critical} {audio}");
        let reliable = (KEYFRAME + GROUP / SOUND - 2) as f64 / GROUP as f64;
        let least = 1.0 - (room - reliable) / (1.0 - reliable);
        assert!(normal > least && normal < least + 0.1, "{normal} {least}");
        assert!(two.report().residual_loss < one.report().residual_loss / 1.5);
    }
}

/// A storm that is switched on and off while packets wait.
#[test]
fn queues_are_joined_and_parted_on_a_running_stream() {
    let links = [8, 6].map(|mbit| Config::simple(mbit * 1_000_000, MS * 40, 0.0));
    let mut world = World::new(6, &links, 10_000_000, SECOND);
    world.content = Some(content);
    let mut params = SchedulerParams::default();
    for enabled in [true, false, true, false] {
        params.storm.enabled = enabled;
        world.schedule(params.clone()).run(SECOND * 2 + MS * 7);
    }
    world.drain(SECOND * 3);
    assert_eq!((world.seen.lost, world.seen.delivered), (0, world.seen.sent));
}
