//! Whatever is changed of a running stream, it goes on: nothing is lost, and nothing comes late. In virtual time.

use std::time::Duration;

use proptest::collection::vec;
use proptest::prelude::*;
use strata_media::bond::SchedulerParams;
use strata_media::testing::netem::Config;

use crate::changes::{LINKS, apply, change, link, scheduler};
use crate::world::{MS, SECOND, World};

/// Such parameters as nothing needs to be lost by: what waits is given time, and a link that is gone, or back, is soon known to be.
fn patient() -> impl Strategy<Value = SchedulerParams> {
    scheduler().prop_map(|mut params| {
        params.discard_deadline = params.discard_deadline.map(|deadline| deadline.max(MS * 300));
        params.storm.unreliable_max_age = params.storm.unreliable_max_age.max(MS * 50);
        let failover = &mut params.failover;
        failover.suspect_after = failover.suspect_after.clamp(MS * 150, SECOND * 2);
        failover.readmit_after = failover.readmit_after.min(SECOND * 2);
        params
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, failure_persistence: None, ..ProptestConfig::default() })]

    /// The first link is always used, and suffices.
    #[test]
    fn whatever_changes_a_stream_goes_on_without_a_gap(
        seed in 1u64..1_000_000,
        changes in vec((change((500u64..3000).prop_map(Duration::from_millis), patient(), link), 5u32..600), 1..16),
    ) {
        let link = |index: usize| Config::simple(12_000_000, MS * (20 + 15 * index as u32), 0.005);
        let mut world = World::new(seed, &(0..LINKS).map(link).collect::<Vec<_>>(), 4_000_000, MS * 500);
        world.run(SECOND * 2);
        let mut present = [true; LINKS];
        for (change, ms) in changes {
            apply(&mut world, &mut present, change);
            world.run(MS * ms);
        }
        world.run(SECOND).drain(SECOND * 4);
        let seen = &world.seen;
        prop_assert_eq!((seen.lost, seen.delivered), (0, seen.sent), "{}", world.report());
        // The latency of the receiver is its own: it stays as it is.
        prop_assert!(seen.longest_gap < MS * 30, "{}", world.report());
    }
}
