//! librist's tools in a multicast group (Simple Profile), both ways: in a network namespace of the test's own, whose loopback interface
//! has a route for groups, without which `ristsender` finds no way. Without loss, and by a way to another group that loses.

use std::net::SocketAddr;
use std::time::Duration;

use strata_media::bond::BondStats;
use strata_media::net::{self, LinkConfig, Membership, ReceiverConfig, SenderConfig};
use strata_media::rist::ReceiverStats;
use tokio::net::UdpSocket;
use tokio::time::timeout;

use crate::bridge::bridge;
use crate::kernel::bound;
use crate::librist::{SIMPLE, tool};
use crate::namespace::own_network;
use crate::rig::{LATENCY, PATIENCE, ROUND_TRIP, is_round_trip, sink};
use crate::stream::{Check, stream};

/// How long the stream that is compared lasts.
const LENGTH: Duration = Duration::from_secs(3);

/// One that is sent to, and another one.
const GROUPS: [[u8; 4]; 2] = [[239, 200, 1, 7], [239, 200, 1, 8]];

fn group(index: usize) -> SocketAddr {
    (GROUPS[index], 5000).into()
}

fn url(at: &str, group: SocketAddr) -> String {
    format!("rist://{at}{group}?miface=lo&buffer={}", LATENCY.as_millis())
}

fn local(port: u16) -> SocketAddr {
    ([127, 0, 0, 1], port).into()
}

/// A stream to the first group, that `ristreceiver` takes from `from`, byte for byte.
async fn librist_receives(from: SocketAddr) -> BondStats {
    let output = sink(local(6000)).await;
    let _tool = tool("ristreceiver", SIMPLE, &url("@", from), &format!("udp://{}", local(6000)));
    bound(from).await;
    let link = LinkConfig::new(0, group(0)).with_interface("lo").with_hops(1);
    let (sender, driver) = net::sender(SenderConfig::new(vec![link]).with_latency(LATENCY)).unwrap();
    tokio::spawn(driver.run());
    let into = [from];
    let sending = stream(LENGTH, &into, async |payload| sender.send(payload).await.unwrap());
    let checking = async {
        let (mut check, mut buffer) = (Check::new(LENGTH), [0; 2048]);
        loop {
            let len = output.recv(&mut buffer).await.unwrap();
            if check.take(&buffer[..len]) {
                return;
            }
        }
    };
    timeout(PATIENCE, async { tokio::join!(checking, sending) }).await.unwrap();
    let (stats, members) = (sender.stats(), sender.group_stats());
    println!("{stats:#?} {members:#?}");
    assert!(stats.links[0].rtt_ms > Some(0.0), "librist answers echoes: {stats:?}");
    assert_eq!((members.members, members.rejected, members.crowded), (1, 0, 0), "{members:?}");
    stats
}

/// A stream of `ristsender` to the first group, that is taken from `from`, byte for byte.
async fn strata_receives(from: SocketAddr) -> ReceiverStats {
    let membership = Membership::new(0).with_interface("lo").with_hops(1);
    let config = ReceiverConfig::new(vec![from]).with_latency(LATENCY).with_membership(membership);
    let (mut receiver, driver) = net::receiver(config).unwrap();
    tokio::spawn(driver.run());
    let input = local(7000);
    let _tool = tool("ristsender", SIMPLE, &format!("udp://@{input}"), &url("", group(0)));
    bound(input).await;
    let socket = UdpSocket::bind(local(0)).await.unwrap();
    let into = [input];
    let feeding = stream(LENGTH, &into, async |payload| {
        socket.send_to(&payload, input).await.unwrap();
    });
    let checking = Check::new(LENGTH).whole(&mut receiver);
    timeout(PATIENCE, async { tokio::join!(checking, feeding) }).await.unwrap();
    let stats = receiver.stats();
    println!("{stats:#?}");
    assert!(stats.paths[0].rtcp_packets > 0, "{stats:?}");
    assert_eq!((stats.rejected_datagrams, stats.restarts), (0, 0), "{stats:?}");
    stats
}

#[tokio::test]
async fn librist_receives_from_a_group() {
    if own_network("multicast::librist_receives_from_a_group") {
        librist_receives(group(0)).await;
    }
}

#[tokio::test]
async fn strata_receives_from_a_group() {
    if own_network("multicast::strata_receives_from_a_group") {
        strata_receives(group(0)).await;
    }
}

/// What is lost on the way to a group, or what is said of it, comes again: librist (0.2.7) asks who speaks to the group.
#[tokio::test]
async fn librist_receives_from_a_group_by_a_way_that_loses() {
    if !own_network("multicast::librist_receives_from_a_group_by_a_way_that_loses") {
        return;
    }
    let seen = bridge(group(0), group(1)).await;
    let stats = librist_receives(group(1)).await;
    let seen = *seen.lock().unwrap();
    println!("{seen:?}");
    assert!(seen.lost.iter().all(|&lost| lost > 0) && seen.requests[1] > 0, "{seen:?}");
    assert!(stats.retransmitted > 0, "what was lost was sent again: {stats:?}");
    assert!(is_round_trip(&stats.links[0]), "{stats:?}");
}

/// Strata asks by the group.
#[tokio::test]
async fn strata_receives_from_a_group_by_a_way_that_loses() {
    if !own_network("multicast::strata_receives_from_a_group_by_a_way_that_loses") {
        return;
    }
    let seen = bridge(group(0), group(1)).await;
    let stats = strata_receives(group(1)).await;
    let seen = *seen.lock().unwrap();
    println!("{seen:?}");
    assert!(seen.lost.iter().all(|&lost| lost > 0) && seen.requests[0] > 0, "{seen:?}");
    assert!(stats.recovered_packets > 0, "what was lost came again: {stats:?}");
    assert!(stats.paths[0].rtt.unwrap() >= ROUND_TRIP, "{stats:?}");
}
