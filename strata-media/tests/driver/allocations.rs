//! How often the drivers ask for memory per packet while a stream runs.
#![expect(unsafe_code, reason = "an allocator that counts is one")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use strata_media::net::{LinkConfig, Profile, ReceiverConfig, SenderConfig, receiver, sender};
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
/// Payloads given per ms: 21 Mbit/s.
const PER_MS: u32 = 2;

/// By both ends together per packet, of as many as `payloads` after as many again.
async fn allocations(profile: Profile, payloads: u32) -> f64 {
    let any = SocketAddr::from(([127, 0, 0, 1], 0));
    let latency = Duration::from_millis(200);
    let (mut received, driver) = receiver(ReceiverConfig::new(vec![any, any]).with_latency(latency)).unwrap();
    let receiving = tokio::spawn(driver.run());
    let links = received.local_addrs().iter().zip(0..).map(|(addr, id)| LinkConfig::new(id, *addr)).collect();
    let config = SenderConfig::new(links).with_latency(latency).with_profile(profile);
    let (handle, driver) = sender(config).unwrap();
    let sending = tokio::spawn(driver.run());
    let source = tokio::spawn(async move {
        let mut tick = interval(Duration::from_millis(1));
        // What a machine that stood still did not give is not made up for.
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        for number in 0..payloads * 2 + 1000 {
            if number % PER_MS == 0 {
                tick.tick().await;
            }
            handle.send(Bytes::from_static(&PAYLOAD)).await.unwrap();
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
    count as f64 / f64::from(payloads)
}

/// Memory that datagrams are read into, and what channels and timers ask for, is shared by many.
#[tokio::test]
async fn a_packet_takes_no_allocation() {
    for profile in [Profile::Simple, Profile::Main] {
        let each = allocations(profile, 5000).await;
        println!("{profile:?}: {each:.4} allocations per packet");
        assert!(each < 0.1, "{profile:?}: {each}");
    }
}
