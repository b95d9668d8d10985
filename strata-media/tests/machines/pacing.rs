//! What is given at once leaves in batches, in virtual time.

use crate::world::frames::Frames;
use crate::world::standard::Kind;
use crate::world::{MS, PAYLOAD, SECOND, World};
use strata_media::testing::netem::{Config, Queue};

/// Bits of a payload on a link.
const BITS: f64 = (PAYLOAD + 40) as f64 * 8.0;

/// Of sixty payloads that are given at once, ten leave at once, and then in each millisecond what the link is believed to carry in
/// two, and no less.
#[test]
fn what_is_given_at_once_leaves_in_batches() {
    for latency in [300, 1000] {
        let link = Config::simple(40_000_000, MS * 25, 0.0);
        let mut world = World::new(7, &[link], 20_000_000, MS * latency);
        world.run(SECOND * 5);
        let known = world.sender.stats(world.now).capacity_bps as f64;
        let start = world.now;
        world.departures = Some(Vec::new());
        world.give_at_once(60);
        world.run(MS * 60);
        let departures = world.departures.take().unwrap();
        let batches: Vec<_> = (0..60)
            .map(|ms| {
                let within = |at: &&std::time::Instant| (**at - start).as_millis() == ms;
                departures.iter().filter(within).count()
            })
            .collect();
        let most = (known * 2.0 / 1000.0 / BITS).ceil() as usize;
        println!("{latency} ms, {known} bit/s: {batches:?}");
        assert!(batches[0] <= 10 + most && batches[1..].iter().all(|&count| count <= most + 1), "{most}");
        // What is given meanwhile leaves too.
        let own = known * 2.0 - 20e6 * BITS / (PAYLOAD * 8) as f64;
        let time = (60.0 * BITS / own * 1000.0).ceil() as usize;
        let left: usize = batches[..time.min(60)].iter().sum();
        assert!(left >= 60, "{left} after {time} ms");
    }
}

/// How many packets a queue of 20 drops of each of ten keyframes, at 20 Mbit/s.
fn dropped(kilobytes: u64, latency: u32, kind: Kind) -> Vec<u64> {
    let queue = Queue::Bytes(20 * (PAYLOAD + 40));
    let link = Config { queue, ..Config::simple(20_000_000, MS * 25, 0.0) };
    let mut world = World::new(1, &[link], 1, MS * latency).towards(kind);
    world.frames = Some(Frames::new(5_000_000, kilobytes * 1000));
    let mut before = 0;
    let each = |_| {
        world.run(SECOND * 2);
        let all = world.links[0].0.stats().queue_dropped;
        all - std::mem::replace(&mut before, all)
    };
    (0..10).map(each).collect()
}

/// Keyframes of 36 packets: ten are there at once, and of the others one leaves while two come. Of 76 there is no room for
/// 10 + 66 / 2 − 20 = 23, and for somewhat more where the estimate is too high: half of what is dropped when all leave at once.
#[test]
fn a_short_queue_takes_a_keyframe() {
    for (kilobytes, latency, most) in [(47, 300, 0), (47, 1000, 0), (100, 300, 27), (100, 1000, 27)] {
        for kind in Kind::BOTH {
            let dropped = dropped(kilobytes, latency, kind);
            println!("{kilobytes} kB at {latency} ms, {kind:?}: {dropped:?}");
            assert!(dropped.iter().sum::<u64>() <= most * 10, "{kilobytes} kB at {latency} ms, {kind:?}");
        }
    }
}
