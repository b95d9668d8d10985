//! librist's tools in a multicast group (Simple Profile), both ways: in a network namespace of the test's own, whose loopback interface
//! has a route for groups, without which `ristsender` finds no way.

use std::net::SocketAddr;
use std::time::Duration;

use strata_media::net::{self, LinkConfig, Membership, ReceiverConfig, SenderConfig};
use tokio::net::UdpSocket;
use tokio::time::timeout;

use crate::kernel::bound;
use crate::librist::{SIMPLE, tool};
use crate::namespace::own_network;
use crate::rig::{LATENCY, PATIENCE, sink};
use crate::stream::{Check, stream};

/// How long the stream that is compared lasts.
const LENGTH: Duration = Duration::from_secs(3);

fn group() -> SocketAddr {
    ([239, 200, 1, 7], 5000).into()
}

fn url(at: &str) -> String {
    format!("rist://{at}{}?miface=lo&buffer={}", group(), LATENCY.as_millis())
}

fn local(port: u16) -> SocketAddr {
    ([127, 0, 0, 1], port).into()
}

#[tokio::test]
async fn librist_receives_from_a_group() {
    if !own_network("multicast::librist_receives_from_a_group") {
        return;
    }
    let output = sink(local(6000)).await;
    let _tool = tool("ristreceiver", SIMPLE, &url("@"), &format!("udp://{}", local(6000)));
    bound(group()).await;
    let link = LinkConfig::new(0, group()).with_interface("lo").with_hops(1);
    let (sender, driver) = net::sender(SenderConfig::new(vec![link]).with_latency(LATENCY)).unwrap();
    tokio::spawn(driver.run());
    let into = [group()];
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
    assert!(stats.links[0].rtt_ms > 0.0, "librist answers echoes: {stats:?}");
    assert_eq!((members.members, members.rejected, members.crowded), (1, 0, 0), "{members:?}");
}

#[tokio::test]
async fn strata_receives_from_a_group() {
    if !own_network("multicast::strata_receives_from_a_group") {
        return;
    }
    let membership = Membership::new(0).with_interface("lo").with_hops(1);
    let config = ReceiverConfig::new(vec![group()]).with_latency(LATENCY).with_membership(membership);
    let (mut receiver, driver) = net::receiver(config).unwrap();
    tokio::spawn(driver.run());
    let input = local(7000);
    let _tool = tool("ristsender", SIMPLE, &format!("udp://@{input}"), &url(""));
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
}
