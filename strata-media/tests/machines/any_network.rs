//! Whatever a network does, and whatever a stream is set to: what comes out is exactly what was sent, byte for byte, in order, nothing
//! twice, and what is not there was reported lost. Bare or through tunnels, at a receiver of Strata's and at one that knows nothing
//! beyond the standard. In virtual time.

use std::time::Duration;

use crate::changes::{Change, LINKS, apply, capped_link, change, scheduler};
use crate::world::frames::Frames;
use crate::world::standard::Kind;
use crate::world::tunnels::Tunnels;
use crate::world::{MS, PAYLOAD, SECOND, World};
use proptest::option;
use proptest::prelude::*;
use proptest::sample::select;
use strata_media::bond::sender::Input;
use strata_media::bond::{BondConfig, BondLink, SchedulerParams, Sender};
use strata_media::rist::psk::{AesType, Passphrase, Rver};
use strata_media::rist::rtp::MAX_PAYLOAD;
use strata_media::rist::tunnel::{self, Psk};
use strata_media::rist::{NackForm, gre};
use strata_media::testing::netem::{Config, Loss, Outage};

/// Bits of the stream per second.
const STREAM: std::ops::Range<u64> = 300_000..6_000_000;

/// What a good link carries, bit/s.
const GOOD: u64 = 20_000_000;

/// A transport stream, of which some packets are null packets, and no two others are alike.
fn transport_stream(number: u64) -> Vec<u8> {
    let packet = |place: u64| {
        let is_null = (number + place).is_multiple_of(3) && place < 6;
        let mut packet =
            if is_null { vec![0x47, 0x1f, 0xff, 0x10] } else { vec![0x47, 1, 0, 0x10, place as u8] };
        let filling = (number * 7 + place).wrapping_mul(0x9e37_79b9_7f4a_7c15).to_be_bytes();
        let filled = (0..188 - packet.len()).map(|at| if is_null { 0xff } else { filling[at % 8] });
        packet.extend(filled.collect::<Vec<_>>());
        packet
    };
    (0..PAYLOAD as u64 / 188).flat_map(packet).collect()
}

/// Where a stream comes from.
#[derive(Debug, Clone, Copy)]
enum Source {
    /// So many payloads at a time.
    Even(u32),
    /// Keyframes of so many times the mean picture.
    Pictures(u64),
    /// A file, which waits.
    File,
}

impl Source {
    /// How long a link of so many bits per second takes for a keyframe of a stream of `bps`, 30 pictures a second.
    fn keyframe(self, bps: u64, link: u64) -> Duration {
        let bits = if let Self::Pictures(times) = self { bps * times / 30 } else { 0 };
        Duration::from_secs_f64(bits as f64 / link as f64)
    }
}

/// All that the two ends of a stream are set to.
#[derive(Debug, Clone)]
struct Setting {
    kind: Kind,
    /// What they speak through; bare when `None`.
    tunnel: Option<tunnel::Config>,
    bps: u64,
    source: Source,
    latency: Duration,
    /// How much longer the sender repeats packets than the receiver waits for them.
    longer: Duration,
    reorder: Option<Duration>,
    nack: NackForm,
    /// Whether repair packets are taken, and whether keyframes can be asked for.
    fec: bool,
    keyframes: bool,
    scheduler: SchedulerParams,
    /// One for each link there may be.
    links: Vec<BondLink>,
}

fn tunnel() -> impl Strategy<Value = tunnel::Config> {
    let aes = select(vec![AesType::Aes128, AesType::Aes256]);
    let key = (aes, option::of(500u32..3000), select(vec![Rver::Zero, Rver::One]));
    let psk = key.prop_map(|(aes_type, key_rotation, rver)| {
        let mut psk = Psk::new(Passphrase::new("correct-horse").expect("a passphrase")).with_rver(rver);
        (psk.aes_type, psk.key_rotation) = (aes_type, key_rotation);
        psk
    });
    let mode = select(vec![gre::Mode::Reduced, gre::Mode::Full]);
    let port = option::of((1u16..30_000).prop_map(|half| half * 2));
    (option::of(psk), any::<[bool; 2]>(), mode, port).prop_map(|(psk, [nulls, long], mode, port)| {
        let mut config = tunnel::Config::new(psk);
        (config.null_packet_deletion, config.sequence_extension) = (nulls, long);
        (config.mode, config.destination) = (mode, port);
        config
    })
}

fn setting() -> impl Strategy<Value = Setting> {
    let source = prop_oneof![
        (1u32..20).prop_map(Source::Even),
        (1u64..30).prop_map(Source::Pictures),
        Just(Source::File)
    ];
    let latency = (20u32..600).prop_map(|ms| MS * ms);
    let longer = prop_oneof![Just(0u32), 0u32..2000].prop_map(|ms| MS * ms);
    let reorder = option::of((0u32..150).prop_map(|ms| MS * ms));
    let nack = select(vec![NackForm::Auto, NackForm::Range, NackForm::Bitmask]);
    let links: Vec<_> = (0..LINKS).map(capped_link).collect();
    let ends = (select(Kind::BOTH.to_vec()), option::of(tunnel()), STREAM, source);
    (ends, (latency, longer, reorder, nack), any::<[bool; 2]>(), scheduler(), links).prop_map(
        |(ends, times, [fec, keyframes], scheduler, links)| {
            let (kind, tunnel, bps, source) = ends;
            let (latency, longer, reorder, nack) = times;
            Setting {
                kind,
                tunnel,
                bps,
                source,
                latency,
                longer,
                reorder,
                nack,
                fec,
                keyframes,
                scheduler,
                links,
            }
        },
    )
}

impl Setting {
    fn bond(&self, seed: u64, links: usize) -> BondConfig {
        let mut bond = BondConfig::new(self.links[..links].to_vec(), seed);
        bond.latency = self.latency + self.longer;
        bond.scheduler = self.scheduler.clone();
        bond.null_packet_deletion = self.tunnel.as_ref().is_some_and(|tunnel| tunnel.null_packet_deletion);
        bond.max_payload = MAX_PAYLOAD - self.tunnel.as_ref().map_or(0, tunnel::Config::overhead);
        bond.live = !matches!(self.source, Source::File);
        bond.keyframes = self.keyframes;
        bond
    }

    /// The two ends, and links between them.
    fn world(&self, seed: u64, links: &[Config]) -> World {
        let mut world = World::with(seed, links, self.bps, self.latency, |receiver| {
            (receiver.reorder, receiver.nack, receiver.fec) = (self.reorder, self.nack, self.fec);
        });
        world = world.towards(self.kind);
        world.sender = Sender::new(world.now, self.bond(seed, links.len()));
        if let Some(config) = &self.tunnel {
            world.tunnels = Some(Tunnels::new(world.now, links.len(), config.clone()));
        }
        match self.source {
            Source::Even(burst) => world.burst = burst,
            Source::Pictures(times) => world.frames = Some(Frames::times(self.bps, times)),
            Source::File => {}
        }
        world.content = Some(transport_stream);
        world.seen.unsynced();
        world
    }
}

/// What happens for a while.
#[derive(Debug, Clone)]
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
    /// The sender is told something.
    Change(Change),
}

fn event() -> impl Strategy<Value = Event> {
    let latency = (20u64..3000).prop_map(Duration::from_millis);
    prop_oneof![
        1 => Just(Event::Nothing),
        1 => Just(Event::Outage),
        1 => Just(Event::Deaf),
        1 => Just(Event::SlowReturn),
        1 => (1u64..12).prop_map(Event::Rate),
        1 => Just(Event::Restart),
        4 => change(latency, scheduler(), capped_link).prop_map(Event::Change),
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
fn happen(
    world: &mut World,
    links: &mut [Config],
    present: &mut [bool],
    (event, at, ms): (Event, usize, u32),
) {
    let at = at % links.len();
    match event.clone() {
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
        Event::Change(change) => apply(world, present, change),
    }
    world.run(MS * ms);
    if matches!(event, Event::Deaf | Event::SlowReturn) {
        world.configure_return(at, &links[at]);
    }
}

/// A link that is good, and may be used.
fn make_good(world: &mut World, link: Config) {
    world.configure(0, &link);
    world.tell(Input::Link { link: 0, config: BondLink::default() });
    world.tell(Input::Enable { link: 0, enabled: true });
}

/// No other link than that is used.
fn leave_others_out(world: &mut World, present: &mut [bool]) {
    (1..present.len()).for_each(|link| apply(world, present, Change::Remove(link)));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, failure_persistence: None, ..ProptestConfig::default() })]

    /// The bytes, the order, and that nothing is missing without a word, is asserted with every packet. Only at the end of a stream may
    /// a loss go unseen. A good link at the end loses nothing more, if packets are given the time.
    #[test]
    fn output_is_what_was_sent_less_what_was_reported_lost(
        seed in 1u64..1_000_000,
        setting in setting(),
        mut links in proptest::collection::vec(link(), 1..=LINKS),
        events in proptest::collection::vec((event(), 0..LINKS, 10u32..1500), 1..10),
        settles in any::<bool>(),
    ) {
        let latency = setting.latency;
        let mut world = setting.world(seed, &links);
        world.run(SECOND);
        let mut present = vec![true; links.len()];
        let mut restarted = false;
        for event in events {
            restarted |= matches!(event.0, Event::Restart);
            happen(&mut world, &mut links, &mut present, event);
        }
        make_good(&mut world, Config::simple(GOOD, MS * 20, 0.0));
        let mut last = if settles { SchedulerParams::default() } else { setting.scheduler.clone() };
        // A packet is given the time that the way takes.
        last.discard_deadline = last.discard_deadline.map(|deadline| deadline.max(MS * 200));
        world.tell(Input::Latency(latency + setting.longer)).schedule(last);
        world.run(latency * 2 + SECOND * 4);
        if settles {
            leave_others_out(&mut world, &mut present);
            world.run(latency * 2);
        }
        let lost = world.seen.lost;
        world.run(SECOND * 2).drain(latency * 2 + SECOND * 3);
        let seen = &world.seen;
        let discarded = world.sender.stats(world.now).discarded_fresh;
        // A standard receiver does not say what it has of the last packets: all copies of those may be lost by a bad link.
        let told = setting.kind == Kind::Strata || settles;
        prop_assert!(!told || seen.complete(discarded), "what a good link carries comes out: {discarded} {seen:?}");
        // A new receiver may put out again what the one before has put out.
        prop_assert!(restarted || seen.accounted() <= seen.sent);
        if setting.kind == Kind::Strata {
            prop_assert!(restarted || seen.lost == world.stats().lost_packets);
            // Nor by its queue, where a keyframe takes a quarter of the latency at least: it may be sent for too fast.
            let has_time = latency >= MS * 400 && setting.source.keyframe(setting.bps, GOOD) < latency / 4;
            prop_assert!(!settles || !has_time || seen.lost == lost, "nothing more is lost by a good link");
        }
    }
}

/// Links that carry hundreds of Mbit/s, with queues of 200 ms.
fn fast_link() -> impl Strategy<Value = Config> {
    (200u64..1000, 0u32..60, 0.0..0.02f64)
        .prop_map(|(mbit, delay, loss)| Config::simple(mbit * 1_000_000, MS * delay, loss))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, failure_persistence: None, ..ProptestConfig::default() })]

    /// The same of a stream that has more packets in its latency than 16 bits tell apart, in bursts, and by outages in which
    /// there are several times as many.
    #[test]
    fn so_it_is_when_numbers_wrap_within_the_latency(
        seed in 1u64..1_000_000,
        mut links in proptest::collection::vec(fast_link(), 1..3),
        mbit in 200u64..450,
        burst in 1u32..200,
        latency in 200u32..1200,
        events in proptest::collection::vec((event(), 0..LINKS, 10u32..600), 0..3),
    ) {
        let mut world = World::new(seed, &links, mbit * 1_000_000, MS * latency);
        world.burst = burst;
        world.seen.unsynced();
        let (mut restarted, mut present) = (false, vec![true; links.len()]);
        for event in events {
            restarted |= matches!(event.0, Event::Restart);
            happen(&mut world, &mut links, &mut present, event);
        }
        make_good(&mut world, Config::simple(1_000_000_000, MS * 20, 0.0));
        world.run(MS * 1500).drain(SECOND * 2);
        let seen = &world.seen;
        prop_assert!(seen.delivered > 0);
        prop_assert!(restarted || seen.accounted() <= seen.sent && seen.lost == world.stats().lost_packets);
    }
}
