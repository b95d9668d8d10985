//! What is held up and comes after all: by a sender's process that stands still, and gives at once what its source made meanwhile, and by
//! links that stand still. In virtual time.

use crate::world::standard::Kind;
use crate::world::{MS, PAYLOAD, SECOND, World, traces};
use strata_media::testing::netem::Config;

/// What was read late tells nothing of the link: what follows does not overfill its queue, and nothing is lost there. A receiver
/// such as librist asks twenty times, within little more than a second: what was lost just before is asked for in vain meanwhile, and
/// is sent again but once. Of 57 packets, those of 50 ms at 12 Mbit/s, 2 % are lost, and 2 % of these again: 0.09 in the four times of
/// a run.
#[test]
fn what_is_made_up_for_does_not_overfill_a_queue() {
    let link = Config::simple(20_000_000, MS * 20, 0.02);
    for (seed, mbit, seconds) in [(1, 4, 3), (2, 8, 2), (3, 8, 3), (4, 12, 1), (5, 12, 2), (6, 12, 3)] {
        let bps = mbit * 1_000_000;
        let mut world =
            World::new(seed, std::slice::from_ref(&link), bps, SECOND * 6).towards(Kind::Standard);
        for _ in 0..4 {
            world.run(SECOND * 8);
            world.stand_still(SECOND * seconds);
            world.give_at_once(bps * u64::from(seconds) / 8 / PAYLOAD as u64);
        }
        world.run(SECOND * 8).drain(SECOND * 8);
        let dropped = world.links[0].0.stats().queue_dropped;
        println!(
            "{mbit} Mbit/s, {seconds} s: {dropped} dropped, {} lost, {}",
            world.seen.lost,
            world.report()
        );
        assert_eq!(dropped, 0, "{mbit} Mbit/s, {seconds} s");
        assert!(world.seen.lost <= 1, "{mbit} Mbit/s, {seconds} s: {:?}", world.lost);
    }
}

/// Uplinks that fall silent now and then and lose nothing: what they had under way is to go by others, which have no room for it, and
/// what arrives meanwhile is not sent again.
#[test]
fn what_arrives_after_all_is_not_sent_again() {
    for seed in 0..4 {
        let mut world = World::new(1, &traces::made_from(seed), 12_000_000, SECOND);
        world.run(SECOND * 60);
        let stats = world.sender.stats(world.now);
        println!("{seed}: {} of {}, {}", stats.retransmitted, stats.packets, stats.withdrawn);
        assert!(stats.withdrawn > 0, "seed {seed}");
    }
}
