//! A source that gives more than the links carry, through the driver: a live one is not held up, one that can wait is, to its end.

use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use strata_media::bond::BondStats;
use strata_media::net::{LinkConfig, Profile, ReceiverConfig, SenderConfig, receiver, sender};
use strata_media::testing::netem::Config;
use strata_media::testing::relay::{Mapping, RelayConfig, relay};

/// What is given, to a link that carries so much, with a latency.
struct Course {
    live: bool,
    payloads: u32,
    link_bps: u64,
    latency: Duration,
}

/// 4 s of what the link carries, and twice the latency.
const LONG: Course =
    Course { live: false, payloads: 3000, link_bps: 8_000_000, latency: Duration::from_secs(2) };

/// Gives all payloads at once, and takes what arrives: the sender's statistics, and how many arrived.
async fn send(course: &Course) -> (BondStats, u32) {
    let &Course { live, payloads, link_bps, latency } = course;
    let any = SocketAddr::from(([127, 0, 0, 1], 0));
    let (mut received, driver) = receiver(ReceiverConfig::new(vec![any]).with_latency(latency)).unwrap();
    tokio::spawn(driver.run());
    let link = Config { rate_bps: Some(link_bps), delay: Duration::from_millis(10), ..Config::default() };
    let mapping = Mapping { listen: any, forward: received.local_addrs()[0] };
    let (relay, driver) = relay(RelayConfig::new(vec![mapping], link)).unwrap();
    tokio::spawn(driver.run());
    let config = SenderConfig::new(vec![LinkConfig::new(0, relay.local_addrs()[0])]);
    let config = config.with_latency(latency).with_profile(Profile::Main);
    let (handle, driver) = sender(if live { config } else { config.with_waiting_source() }).unwrap();
    let driving = tokio::spawn(driver.run());
    let sending = tokio::spawn(async move {
        for number in 0..payloads {
            let mut payload = [0; 1316];
            payload[..4].copy_from_slice(&number.to_be_bytes());
            handle.send(Bytes::copy_from_slice(&payload)).await.unwrap();
        }
        handle.finish().await.unwrap();
        handle.stats()
    });
    let counting = tokio::spawn(async move {
        let mut arrived = 0;
        while let Some(packet) = received.recv().await {
            arrived += 1;
            if packet.payload[..4] == (payloads - 1).to_be_bytes() {
                break;
            }
        }
        arrived
    });
    let stats = sending.await.unwrap();
    driving.await.unwrap().unwrap();
    (stats, counting.await.unwrap())
}

#[tokio::test]
async fn a_source_that_can_wait_loses_nothing() {
    let (stats, arrived) = send(&LONG).await;
    assert_eq!((stats.discarded, arrived), (0, LONG.payloads), "{stats:?}");
}

/// What still waits outside at the end takes longer than the latency: 5.7 s.
#[tokio::test]
async fn the_end_of_a_stream_waits_too() {
    let course = Course { payloads: 420, link_bps: 500_000, latency: Duration::from_secs(4), ..LONG };
    let (stats, arrived) = send(&course).await;
    assert_eq!((stats.discarded_fresh, arrived), (0, course.payloads), "{stats:?}");
}

#[tokio::test]
async fn a_live_source_is_not_held_up() {
    let (stats, arrived) = send(&Course { live: true, ..LONG }).await;
    assert_eq!(stats.packets, u64::from(LONG.payloads));
    assert!(stats.discarded > 0 && arrived < LONG.payloads, "{arrived} arrived, {stats:?}");
}
