//! Whatever is changed of a running stream, it goes on: nothing is lost, and nothing comes late. In virtual time.

use std::time::Duration;

use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::sample::select;
use strata_media::bond::sender::Input;
use strata_media::bond::{BondLink, Cost, Mode, SchedulerParams};
use strata_media::testing::netem::Config;

use crate::world::{MS, SECOND, World};

/// Links there are room for; the first is always used, and suffices.
const LINKS: usize = 4;

/// What can be told a bond while it runs.
#[derive(Debug, Clone)]
enum Change {
    Latency(Duration),
    Scheduler(SchedulerParams),
    Enable(usize, bool),
    Set(usize, Cost, u32),
    Remove(usize),
    Readdress(usize),
}

fn scheduler() -> impl Strategy<Value = SchedulerParams> {
    let redundancy = (0.0..=1.0f64, 0usize..1500, 1usize..=LINKS, any::<bool>());
    let storm = (any::<bool>(), 0.0..=1.0f64, 50u64..2000);
    let more = ((any::<bool>(), 1usize..=LINKS), (any::<bool>(), 0.0..=1.0f64));
    let times = (option::of(300u64..2000), option::of(1u64..=1000), 150u64..2000, 0u64..2000);
    (select(Mode::ALL.to_vec()), redundancy, storm, more, times).prop_map(
        |(mode, redundancy, storm, more, times)| {
            let ms = Duration::from_millis;
            let mut params = SchedulerParams::new(mode);
            let copies = &mut params.redundancy;
            (copies.spare_ratio, copies.max_packet_bytes, copies.target_links, copies.enabled) = redundancy;
            (params.storm.enabled, params.storm.reliable_weight) = (storm.0, storm.1);
            params.storm.unreliable_max_age = ms(storm.2);
            (params.critical_broadcast.enabled, params.critical_broadcast.target_links) = more.0;
            (params.fec.enabled, params.fec.max_ratio) = more.1;
            (params.discard_deadline, params.max_ahead) = (times.0.map(ms), times.1.map(ms));
            (params.failover.suspect_after, params.failover.readmit_after) = (ms(times.2), ms(times.3));
            params.check().expect("it is within its bounds");
            params
        },
    )
}

fn change() -> impl Strategy<Value = Change> {
    let other = 1..LINKS;
    let cost = select(vec![Cost::Free, Cost::Backup, Cost::Metered]);
    prop_oneof![
        (500u64..3000).prop_map(|ms| Change::Latency(Duration::from_millis(ms))),
        scheduler().prop_map(Change::Scheduler),
        (other.clone(), any::<bool>()).prop_map(|(link, enabled)| Change::Enable(link, enabled)),
        (other.clone(), cost, 0u32..10).prop_map(|(link, cost, weight)| Change::Set(link, cost, weight)),
        other.clone().prop_map(Change::Remove),
        other.prop_map(Change::Readdress),
    ]
}

fn apply(world: &mut World, present: &mut [bool], change: Change) {
    let known = |link: usize| present[link];
    let input = match change {
        Change::Latency(latency) => Input::Latency(latency),
        Change::Scheduler(params) => Input::Scheduler(params),
        Change::Enable(link, enabled) if known(link) => Input::Enable { link, enabled },
        Change::Remove(link) if known(link) => {
            present[link] = false;
            Input::Remove { link }
        }
        Change::Readdress(link) if known(link) => {
            world.moved[link] += 1;
            Input::Readdress { link }
        }
        Change::Set(link, cost, weight) => {
            present[link] = true;
            Input::Link { link, config: BondLink { id: link as u32, cost, weight, ..BondLink::default() } }
        }
        _ => return,
    };
    world.tell(input);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn whatever_changes_a_stream_goes_on_without_a_gap(
        seed in 1u64..1_000_000,
        changes in vec((change(), 5u32..600), 1..16),
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
