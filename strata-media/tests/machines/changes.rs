//! Whatever can be set of a bond, drawn at random, and told to a running stream.

use std::time::Duration;

use proptest::option;
use proptest::prelude::*;
use proptest::sample::select;
use strata_media::bond::sender::Input;
use strata_media::bond::{BondLink, Cost, Mode, SchedulerParams};

use crate::world::World;

/// Links of a world at most. Copies may be asked for on more than there are.
pub(crate) const LINKS: usize = 4;

/// What can be told a bond while it runs.
#[derive(Debug, Clone)]
pub(crate) enum Change {
    Latency(Duration),
    Scheduler(SchedulerParams),
    Enable(usize, bool),
    Set(usize, BondLink),
    Remove(usize),
    Readdress(usize),
}

/// So many ms, mostly of those in which much differs from the next.
fn ms(least: u64, most: u64) -> impl Strategy<Value = Duration> {
    prop_oneof![4 => least..=2000, 1 => least..=most].prop_map(Duration::from_millis)
}

/// Every parameter, as far as it may go.
pub(crate) fn scheduler() -> impl Strategy<Value = SchedulerParams> {
    let targets = || prop_oneof![4 => 1..=LINKS, 1 => 1..=64usize];
    let redundancy = (0.0..=1.0f64, 0usize..1500, targets(), any::<bool>());
    let storm = (any::<bool>(), 0.0..=1.0f64, ms(1, 60_000));
    let more = ((any::<bool>(), targets()), (any::<bool>(), 0.0..=1.0f64));
    let limits = (option::of(ms(1, 60_000)), option::of((1..=1000u64).prop_map(Duration::from_millis)));
    let failover = (ms(50, 10_000), ms(0, 60_000));
    (select(Mode::ALL.to_vec()), redundancy, storm, more, limits, failover).prop_map(
        |(mode, redundancy, storm, more, limits, failover)| {
            let mut params = SchedulerParams::new(mode);
            let copies = &mut params.redundancy;
            (copies.spare_ratio, copies.max_packet_bytes, copies.target_links, copies.enabled) = redundancy;
            let queues = &mut params.storm;
            (queues.enabled, queues.reliable_weight, queues.unreliable_max_age) = storm;
            (params.critical_broadcast.enabled, params.critical_broadcast.target_links) = more.0;
            (params.fec.enabled, params.fec.max_ratio) = more.1;
            (params.discard_deadline, params.max_ahead) = limits;
            (params.failover.suspect_after, params.failover.readmit_after) = failover;
            params.check().expect("it is within its bounds");
            params
        },
    )
}

/// A link of any cost and weight.
pub(crate) fn link(id: usize) -> impl Strategy<Value = BondLink> {
    (select(vec![Cost::Free, Cost::Backup, Cost::Metered]), 0u32..10)
        .prop_map(move |(cost, weight)| BondLink { id: id as u32, cost, weight, ..BondLink::default() })
}

/// The same, which may have a cap, some of which may be used up.
pub(crate) fn capped_link(id: usize) -> impl Strategy<Value = BondLink> {
    (link(id), option::of(0u64..10_000_000), 0u64..5_000_000)
        .prop_map(|(link, cap_bytes, spent_bytes)| BondLink { cap_bytes, spent_bytes, ..link })
}

/// A change to a latency that `latency` draws, to parameters that `scheduler` does, or of links but for the first one, to what `link`
/// draws.
pub(crate) fn change<L: Strategy<Value = BondLink>>(
    latency: impl Strategy<Value = Duration>,
    scheduler: impl Strategy<Value = SchedulerParams>,
    link: impl Fn(usize) -> L,
) -> impl Strategy<Value = Change> {
    let other = || 1..LINKS;
    prop_oneof![
        latency.prop_map(Change::Latency),
        scheduler.prop_map(Change::Scheduler),
        (other(), any::<bool>()).prop_map(|(link, enabled)| Change::Enable(link, enabled)),
        other().prop_flat_map(move |at| link(at).prop_map(move |link| Change::Set(at, link))),
        other().prop_map(Change::Remove),
        other().prop_map(Change::Readdress),
    ]
}

/// Tells it, if it is of a link that is there, or can be.
pub(crate) fn apply(world: &mut World, present: &mut [bool], change: Change) {
    let known = |link: usize| present.get(link) == Some(&true);
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
        Change::Set(link, config) if link < present.len() => {
            present[link] = true;
            Input::Link { link, config }
        }
        _ => return,
    };
    world.tell(input);
}
