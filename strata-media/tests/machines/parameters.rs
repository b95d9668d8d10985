//! What parameters of scheduling do to a running stream, in virtual time.

use std::time::Duration;

use crate::world::{MS, SECOND, World};
use strata_media::bond::{LinkState, LinkStats, SchedulerParams};
use strata_media::testing::netem::{Config, Outage};

/// 6 Mbit/s for a link of 4.
fn overloaded(params: SchedulerParams) -> World {
    let mut world = World::new(7, &[Config::simple(4_000_000, MS * 40, 0.0)], 6_000_000, MS * 500);
    world.schedule(params).run(SECOND * 5);
    world
}

fn link(world: &World) -> LinkStats {
    world.sender.stats(world.now).links[0].clone()
}

/// Most that is seen in five seconds.
fn most(world: &mut World, seen: impl Fn(&World) -> f64) -> f64 {
    (0..500).map(|_| seen(world.run(MS * 10))).fold(0.0, f64::max)
}

fn with_deadline(deadline: Option<Duration>) -> SchedulerParams {
    let mut params = SchedulerParams::default();
    params.discard_deadline = deadline;
    params
}

#[test]
fn a_deadline_is_how_long_a_packet_waits_and_never_more_than_the_latency() {
    let waited = |deadline| {
        let mut world = overloaded(with_deadline(deadline));
        most(&mut world, |world| world.sender.stats(world.now).pending_ms)
    };
    let [short, long, unset] = [Some(MS * 150), Some(MS * 300), None].map(waited);
    println!("{short} {long} {unset} ms");
    assert!(short <= 150.0 && short > 50.0, "{short}");
    assert!(long <= 300.0 && long > short + 50.0 && unset > long + 50.0, "{short} {long} {unset}");
    // Beyond the latency, as if there was none.
    let seen = |deadline| {
        let mut world = overloaded(with_deadline(deadline));
        world.drain(SECOND * 2);
        world.seen.clone()
    };
    assert_eq!(seen(Some(SECOND * 5)), seen(None));
}

/// What stands on a link is what it was filled ahead.
#[test]
fn a_link_is_filled_no_further_than_it_may() {
    let queued = |max_ahead| {
        let mut params = SchedulerParams::default();
        params.max_ahead = max_ahead;
        let mut world = overloaded(params);
        let mean = (0..500).map(|_| link(world.run(MS * 10)).queue_ms).sum::<f64>() / 500.0;
        (mean, world.report().residual_loss)
    };
    let [short, long, unset] = [Some(MS * 5), Some(MS * 400), None].map(queued);
    println!("{short:?} {long:?} {unset:?}");
    assert!(short.0 < unset.0 / 2.0, "{short:?} {unset:?}");
    assert_eq!(long, unset);
}

/// A link that answers again is trusted when its user says.
#[test]
fn a_link_is_trusted_again_when_its_user_says() {
    for ms in [100, 500, 2000] {
        let mut links = [30, 60].map(|delay| Config::simple(8_000_000, MS * delay, 0.0));
        links[0].outages = vec![Outage { start: SECOND * 5, length: SECOND * 2 }];
        let mut world = World::new(8, &links, 4_000_000, SECOND);
        let mut params = SchedulerParams::default();
        params.failover.readmit_after = MS * ms;
        world.run(SECOND).schedule(params).run(SECOND * 5);
        assert_eq!(link(&world).state, LinkState::Dead);
        let mut until = |state| {
            while link(&world).state != state {
                world.run(MS);
                assert!(world.now < world.start + SECOND * 12, "never {state:?}");
            }
            world.now
        };
        let (answered, trusted) = (until(LinkState::Cooldown), until(LinkState::Warm));
        let took = trusted - answered;
        assert!(took.abs_diff(MS * ms) <= MS * 20, "{took:?} for {ms} ms");
    }
}
