//! Strata's own ends over sockets, in a form that no other implementation tried takes: media and reports as whole IPv4 datagrams within
//! the tunnel.

use std::time::Duration;

use strata_media::net::{self, LinkConfig, ReceiverConfig, SenderConfig};
use strata_media::rist::gre::{FULL_DATAGRAM, KEEP_ALIVE};
use tokio::time::timeout;

use crate::rig::{LATENCY, PATIENCE, link, own};
use crate::stream::{Check, stream};
use crate::tap::Tap;

const LENGTH: Duration = Duration::from_secs(3);

/// A stream by a link that loses, byte for byte; nothing else passes in either direction but keep-alive messages.
#[tokio::test]
async fn a_stream_of_full_datagrams_is_whole() {
    let config = ReceiverConfig::new(vec![own(81, 1, 5000)]).with_latency(LATENCY);
    let (mut receiver, driver) = net::receiver(config).unwrap();
    tokio::spawn(driver.run());
    let at = own(81, 4, 5000);
    let tap = Tap::before(at, receiver.local_addrs()[0]).await;
    let (relay, remote) = link(0, at);
    let config =
        SenderConfig::new(vec![LinkConfig::new(0, remote)]).with_full_datagrams().with_latency(LATENCY);
    let (sender, driver) = net::sender(config).unwrap();
    tokio::spawn(driver.run());
    let sending = stream(LENGTH, &[], async |payload| sender.send(payload).await.unwrap());
    let checking = Check::new(LENGTH).whole(&mut receiver);
    timeout(PATIENCE, async { tokio::join!(checking, sending) }).await.unwrap();
    let (stats, seen) = (receiver.stats(), tap.seen());
    println!("{stats:#?} {:#?} {seen:?}", relay.stats());
    assert!(relay.stats().up.lost > 0 && stats.recovered_packets > 0, "what was lost came again");
    for seen in seen {
        assert!(seen.datagrams > 10, "{seen:?}");
        let other = seen.ether_types.iter().find(|&&kind| kind != FULL_DATAGRAM && kind != KEEP_ALIVE);
        assert!(seen.ether_types.contains(&FULL_DATAGRAM) && other.is_none(), "{seen:?}");
    }
}
