//! Whatever a network does: what comes out is exactly what was sent, in order, nothing twice, and what is not there was
//! reported lost. Bare or through tunnels, and at a receiver that knows nothing beyond the standard. In virtual time.

use crate::world::standard::Kind;
use crate::world::tunnels::Tunnels;
use crate::world::{MS, PAYLOAD, SECOND, World};
use proptest::prelude::*;
use strata_media::rist::tunnel;
use strata_media::testing::netem::{Config, Loss, Outage};

const STREAM: u64 = 4_000_000;

/// A transport stream, of which some packets are null packets.
fn transport_stream(number: u64) -> Vec<u8> {
    let packet = |place: u64| {
        let is_null = (number + place).is_multiple_of(3) && place < 6;
        let mut packet =
            if is_null { vec![0x47, 0x1f, 0xff, 0x10] } else { vec![0x47, 1, 0, 0x10, place as u8] };
        packet.resize(188, 0xff);
        packet
    };
    (0..PAYLOAD as u64 / 188).flat_map(packet).collect()
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    Bare,
    Tunnel,
    Standard,
}

/// What happens for a while.
#[derive(Debug, Clone, Copy)]
enum Event {
    Nothing,
    /// Nothing arrives, or nothing comes back.
    Outage,
    Deaf,
    /// The way back is long and narrow.
    SlowReturn,
    /// Another rate from now on, Mbit/s.
    Rate(u64),
    /// Another receiver takes this one's place.
    Restart,
}

fn event() -> impl Strategy<Value = Event> {
    prop_oneof![
        Just(Event::Nothing),
        Just(Event::Outage),
        Just(Event::Deaf),
        Just(Event::SlowReturn),
        (1u64..12).prop_map(Event::Rate),
        Just(Event::Restart),
    ]
}

fn link() -> impl Strategy<Value = Config> {
    (2u64..20, 0u32..150, 0.0..0.3f64, 1.0..20.0f64, 0.0..0.2f64, 0.0..0.2f64, 0u32..80).prop_map(
        |(mbit, delay, loss, burst, duplicate, reorder, jitter)| Config {
            loss: Loss::bursts(loss, burst),
            duplicate,
            reorder,
            reorder_delay: MS * 40,
            jitter: MS * jitter,
            jitter_reorders: jitter > 40,
            ..Config::simple(mbit * 1_000_000, MS * delay, 0.0)
        },
    )
}

/// Lets it happen, for `ms`.
fn happen(world: &mut World, links: &mut [Config], (event, at, ms): (Event, usize, u32)) {
    let at = at % links.len();
    match event {
        Event::Nothing => {}
        Event::Outage => {
            let outages = vec![Outage { start: world.now - world.start, length: MS * ms }];
            world.configure(at, &Config { outages, ..links[at].clone() });
        }
        Event::Deaf => {
            world.configure_return(at, &Config { loss: Loss::Random { rate: 1.0 }, ..links[at].clone() });
        }
        Event::SlowReturn => {
            let slow = Config { rate_bps: Some(50_000), delay: MS * 300, ..links[at].clone() };
            world.configure_return(at, &slow);
        }
        Event::Rate(mbit) => {
            links[at].rate_bps = Some(mbit * 1_000_000);
            world.configure(at, &links[at]);
        }
        Event::Restart => {
            let latency = world.stats().latency;
            world.restart_receiver(latency);
        }
    }
    world.run(MS * ms);
    if matches!(event, Event::Deaf | Event::SlowReturn) {
        world.configure_return(at, &links[at]);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 32, failure_persistence: None, ..ProptestConfig::default() })]

    /// The order, and that nothing is missing without a word, is asserted with every packet. Only at the end of a stream may a
    /// loss go unseen. A good link at the end loses nothing more.
    #[test]
    fn output_is_what_was_sent_less_what_was_reported_lost(
        seed in 1u64..1_000_000,
        way in prop_oneof![Just(Way::Bare), Just(Way::Tunnel), Just(Way::Standard)],
        mut links in proptest::collection::vec(link(), 1..4),
        latency in 50u32..600,
        events in proptest::collection::vec((event(), 0usize..4, 10u32..1500), 1..10),
    ) {
        let mut world = World::new(seed, &links, STREAM, MS * latency);
        match way {
            Way::Bare => {}
            Way::Tunnel => {
                let mut config = tunnel::Config::new(None);
                (config.sequence_extension, config.null_packet_deletion) = (true, true);
                world.tunnels = Some(Tunnels::new(world.now, links.len(), config));
                world.content = Some(transport_stream);
            }
            Way::Standard => world = world.towards(Kind::Standard),
        }
        world.seen.unsynced();
        world.run(SECOND);
        let mut restarted = false;
        for event in events {
            if matches!(event.0, Event::Restart) {
                if way == Way::Standard {
                    continue;
                }
                restarted = true;
            }
            happen(&mut world, &mut links, event);
        }
        world.configure(0, &Config::simple(20_000_000, MS * 20, 0.0));
        world.run(SECOND * 4);
        let lost = world.seen.lost;
        world.run(SECOND * 2).drain(SECOND * 3);
        let seen = &world.seen;
        let discarded = world.sender.stats(world.now).discarded_fresh;
        prop_assert!(seen.complete(discarded), "what a good link carries comes out: {discarded} {seen:?}");
        // A new receiver may put out again what the one before has put out.
        prop_assert!(restarted || seen.accounted() <= seen.sent);
        if way != Way::Standard {
            prop_assert!(restarted || seen.lost == world.stats().lost_packets);
            prop_assert!(latency < 400 || seen.lost == lost, "nothing more is lost by a good link");
        }
    }
}

/// Links that carry hundreds of Mbit/s, with queues of 200 ms.
fn fast_link() -> impl Strategy<Value = Config> {
    (200u64..1000, 0u32..60, 0.0..0.02f64)
        .prop_map(|(mbit, delay, loss)| Config::simple(mbit * 1_000_000, MS * delay, loss))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 6, failure_persistence: None, ..ProptestConfig::default() })]

    /// The same of a stream that has more packets in its latency than 16 bits tell apart, in bursts, and by outages in which
    /// there are several times as many.
    #[test]
    fn so_it_is_when_numbers_wrap_within_the_latency(
        seed in 1u64..1_000_000,
        mut links in proptest::collection::vec(fast_link(), 1..3),
        mbit in 200u64..450,
        burst in 1u32..200,
        latency in 200u32..1200,
        events in proptest::collection::vec((event(), 0usize..4, 10u32..600), 0..3),
    ) {
        let mut world = World::new(seed, &links, mbit * 1_000_000, MS * latency);
        world.burst = burst;
        world.seen.unsynced();
        let mut restarted = false;
        for event in events {
            // Of a second one within the latency, which is known to put out packets out of order, nothing is said.
            let restarts = matches!(event.0, Event::Restart);
            if restarts && restarted {
                continue;
            }
            restarted |= restarts;
            happen(&mut world, &mut links, event);
        }
        world.configure(0, &Config::simple(1_000_000_000, MS * 20, 0.0));
        world.run(MS * 1500).drain(SECOND * 2);
        let seen = &world.seen;
        prop_assert!(seen.delivered > 0);
        prop_assert!(restarted || seen.accounted() <= seen.sent && seen.lost == world.stats().lost_packets);
    }
}
