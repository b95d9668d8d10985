//! Forward error correction over real sockets, between Strata's own ends: by a link whose round trip is longer than the latency, so that
//! nothing can be asked for again in time.

use std::time::Duration;

use strata_media::net::{self, LinkConfig, ReceiverConfig, SenderConfig};
use tokio::time::timeout;

use crate::rig::{PATIENCE, link_of, own};
use crate::stream::{datagram, number, stream};

/// The machine may stall for as long; a round trip takes longer.
const LATENCY: Duration = Duration::from_millis(1500);
const WAY: Duration = Duration::from_millis(900);
/// Until losses are known, and after: what comes out last is not looked at.
const LENGTH: Duration = Duration::from_secs(5);

/// What comes out is what went in, byte for byte, whether it came, or was made of repair packets; and all that is missing is told. Losses
/// before there are repair packets stay, so that not everything comes.
#[tokio::test]
async fn repair_packets_make_up_for_losses() {
    let config = ReceiverConfig::new(vec![own(80, 1, 5000)]).with_latency(LATENCY);
    let (mut receiver, driver) = net::receiver(config).unwrap();
    tokio::spawn(driver.run());
    let (relay, remote) = link_of(0, receiver.local_addrs()[0], WAY);
    let config = SenderConfig::new(vec![LinkConfig::new(0, remote)]).with_latency(LATENCY);
    let (sender, driver) = net::sender(config).unwrap();
    tokio::spawn(driver.run());
    let sending = async {
        stream(LENGTH, &[], async |payload| sender.send(payload).await.unwrap()).await;
        sender.finish().await.unwrap();
    };
    let monitor = receiver.monitor();
    let checking = async {
        let (mut next, mut lost) = (None, 0);
        while monitor.stats().fec_recovered < 10 {
            let packet = receiver.recv().await.unwrap();
            let number = number(&packet.payload);
            assert!(packet.payload == datagram(number), "datagram {number} differs");
            let expected = next.map_or(number, |next: u64| next + packet.lost_before);
            assert_eq!(number, expected, "{} lost before it", packet.lost_before);
            (next, lost) = (Some(number + 1), lost + packet.lost_before);
        }
        lost
    };
    let (lost, ()) = timeout(PATIENCE, async { tokio::join!(checking, sending) }).await.unwrap();
    let (stats, sent) = (monitor.stats(), sender.stats());
    println!("{lost} lost until ten were given back; {sent:#?} {stats:#?} {:#?}", relay.stats());
    assert!(relay.stats().up.lost > 10, "the link loses");
    assert!(stats.fec_packets > 0 && stats.fec_packets <= sent.fec_packets, "{stats:?}");
}
