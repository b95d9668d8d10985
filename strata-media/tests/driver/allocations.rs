//! How often the drivers ask for memory per packet while a stream runs.
#![expect(unsafe_code, reason = "an allocator that counts is one")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::{Arc, mpsc};
use std::time::Duration;

use bytes::Bytes;
use strata_media::net::{LinkConfig, Profile, Psk, ReceiverConfig, SenderConfig, receiver, sender};
use strata_media::rist::psk::Passphrase;
use strata_media::testing::netem::{Config, Loss};
use strata_media::testing::relay::{Mapping, Relay, RelayConfig, relay};
use tokio::time::{MissedTickBehavior, interval};

struct Counting;

thread_local! {
    /// By this thread, which runs a test of its own: both drivers, the source and the sink.
    static COUNT: Cell<u64> = const { Cell::new(0) };
}

// SAFETY: everything is handed on to the system's allocator as it came.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        COUNT.with(|count| count.set(count.get() + 1));
        // SAFETY: as the caller promised.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        // SAFETY: as the caller promised.
        unsafe { System.dealloc(memory, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

static PAYLOAD: [u8; 1316] = [0; 1316];
const ANY: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 0);
/// Payloads given per ms: 21 Mbit/s.
const PER_MS: u32 = 2;

/// A link to a receiver that loses one packet in a hundred, of a thread of its own, whose memory is not counted.
fn lossy(seed: u64, to: SocketAddr) -> (Relay, SocketAddr) {
    let (tell, told) = mpsc::channel();
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let mapping = Mapping { listen: ANY, forward: to };
            let config = Config { loss: Loss::Random { rate: 0.01 }, ..Config::default() };
            let mut config = RelayConfig::new(vec![mapping], config);
            config.seed = seed;
            let (relay, driver) = relay(config).unwrap();
            tell.send(relay).unwrap();
            driver.run().await;
        });
    });
    let relay = told.recv().unwrap();
    let addr = relay.local_addrs()[0];
    (relay, addr)
}

/// By both ends together per packet, of as many as `payloads` after as many again.
async fn allocations(profile: Profile, psk: Option<Psk>, loses: bool, payloads: u32) -> f64 {
    let latency = Duration::from_millis(200);
    let mut config = ReceiverConfig::new(vec![ANY, ANY]).with_latency(latency);
    config.psk = psk.clone();
    let (mut received, driver) = receiver(config).unwrap();
    let receiving = tokio::spawn(driver.run());
    let mut addrs = received.local_addrs().to_vec();
    let relays: Vec<_> = addrs
        .iter_mut()
        .zip(0..)
        .filter(|_| loses)
        .map(|(addr, seed)| {
            let (relay, near) = lossy(seed, *addr);
            *addr = near;
            relay
        })
        .collect();
    let links = addrs.iter().zip(0..).map(|(addr, id)| LinkConfig::new(id, *addr)).collect();
    let mut config = SenderConfig::new(links).with_latency(latency).with_profile(profile);
    config.psk = psk;
    let (handle, driver) = sender(config).unwrap();
    let sending = tokio::spawn(driver.run());
    let handle = Arc::new(handle);
    let given = Arc::clone(&handle);
    let source = tokio::spawn(async move {
        let mut tick = interval(Duration::from_millis(1));
        // What a machine that stood still did not give is not made up for.
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        for number in 0..payloads * 2 + 1000 {
            if number % PER_MS == 0 {
                tick.tick().await;
            }
            given.send(Bytes::from_static(&PAYLOAD)).await.unwrap();
        }
    });
    let mut taken = async |payloads| {
        for _ in 0..payloads {
            assert_eq!(received.recv().await.unwrap().payload, &PAYLOAD[..]);
        }
        COUNT.get()
    };
    let before = taken(payloads).await;
    let count = taken(payloads).await - before;
    for task in [source, tokio::spawn(async { sending.await.unwrap().unwrap() })] {
        task.abort();
    }
    receiving.abort();
    let repeats = handle.stats().retransmitted;
    assert!(!loses || repeats > u64::from(payloads) / 100, "{repeats}");
    assert!(relays.iter().all(|relay| relay.stats().up.lost > 0), "each link loses");
    count as f64 / f64::from(payloads)
}

/// Memory that datagrams are read into, and what channels and timers ask for, is shared by many.
#[tokio::test]
async fn a_packet_takes_no_allocation() {
    let key = Some(Psk::new(Passphrase::new("secret").unwrap()));
    let ways = [
        (Profile::Simple, None, false),
        (Profile::Main, None, false),
        (Profile::Main, None, true),
        (Profile::Main, key, true),
    ];
    for (profile, psk, loses) in ways {
        let name = format!("{profile:?}, a key: {}, loses: {loses}", psk.is_some());
        let each = allocations(profile, psk, loses, 5000).await;
        println!("{name}: {each:.4} allocations per packet");
        assert!(each < 0.1, "{name}: {each}");
    }
}
