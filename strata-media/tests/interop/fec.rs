//! Forward error correction over real sockets: by links whose round trip is longer than the latency, so that nothing can be asked for again
//! in time. A receiver that does not take repair packets, Strata's own or librist's, is sent none.

use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use strata_media::bond::{Mode, SchedulerParams};
use strata_media::net::{self, LinkConfig, Passphrase, Profile, Psk, ReceiverConfig, SenderConfig};
use tokio::time::timeout;

use crate::kernel::bound;
use crate::librist::{SIMPLE, tool};
use crate::rig::{PATIENCE, link_of, own, sink};
use crate::stream::{datagram, datagrams, number, stream};

/// The machine may stall for as long; a round trip takes longer.
const LATENCY: Duration = Duration::from_millis(1500);
const WAY: Duration = Duration::from_millis(900);
/// Until losses are known, and after: what comes out last is not looked at.
const LENGTH: Duration = Duration::from_secs(5);

/// What comes out is what went in, byte for byte, whether it came, or was made of repair packets; and all that is missing is told. Losses
/// before there are repair packets stay, so that not everything comes.
async fn losses_are_made_up_for(test: u8, links: u8, psk: Option<Psk>) {
    let binds = (0..links).map(|index| own(test, 1, 5000 + 2 * u16::from(index)));
    let mut config = ReceiverConfig::new(binds.collect()).with_latency(LATENCY);
    config.psk = psk.clone();
    let (mut receiver, driver) = net::receiver(config).unwrap();
    tokio::spawn(driver.run());
    let ports = (0..links).zip(receiver.local_addrs());
    let (relays, remotes): (Vec<_>, Vec<_>) = ports.map(|(index, &to)| link_of(index, to, WAY)).unzip();
    let links = remotes.iter().zip(0..).map(|(&to, id)| LinkConfig::new(id, to));
    let mut config = SenderConfig::new(links.collect()).with_latency(LATENCY);
    config.profile = if psk.is_some() { Profile::Main } else { Profile::Simple };
    config.psk = psk.clone();
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
    println!("{lost} lost until ten were given back; {sent:#?} {stats:#?}");
    assert!(stats.fec_packets > 0 && stats.fec_packets <= sent.fec_packets, "{stats:?}");
    for ((relay, path), link) in relays.iter().zip(&stats.paths).zip(&sent.links) {
        println!("{:#?}", relay.stats());
        assert!(relay.stats().up.lost > 10, "the link loses");
        assert!(path.packets > 0 && link.fec_packets > 0, "each link carries a part: {stats:?}, {sent:?}");
    }
    assert_eq!(stats.tunnel.taken > 0, psk.is_some(), "{stats:?}");
    assert_eq!((stats.tunnel.undecryptable, stats.tunnel.replayed), (0, 0), "{stats:?}");
}

#[tokio::test]
async fn repair_packets_make_up_for_losses() {
    losses_are_made_up_for(80, 1, None).await;
}

#[tokio::test]
async fn repair_packets_make_up_for_losses_by_two_tunnels_with_a_key() {
    losses_are_made_up_for(82, 2, Some(Psk::new(Passphrase::new("secret").unwrap()))).await;
}

/// Takes packets until two seconds' worth have come, byte for byte and in order; how many of them are missing.
async fn taken(mut recv: impl AsyncFnMut() -> Bytes) -> u64 {
    let (mut first, mut last) = (None, None);
    for _ in 0..datagrams(Duration::from_secs(2)) {
        let payload = recv().await;
        let number = number(&payload);
        assert!(payload == datagram(number), "datagram {number} differs");
        assert!(last < Some(number), "{number} after {last:?}");
        first = first.or(Some(number));
        last = Some(number);
    }
    last.unwrap() + 1 - first.unwrap() - datagrams(Duration::from_secs(2))
}

/// A stream to `to` by a link that loses, for whose losses there is no time, with the largest share of repair packets; what `recv` takes of
/// it has gaps, and no repair packet is sent.
async fn none_is_sent(to: SocketAddr, recv: impl AsyncFnMut() -> Bytes) {
    let (relay, remote) = link_of(0, to, WAY);
    let config = SenderConfig::new(vec![LinkConfig::new(0, remote)]);
    let config = config.with_latency(LATENCY).with_scheduler(SchedulerParams::new(Mode::Robust));
    let (sender, driver) = net::sender(config).unwrap();
    tokio::spawn(driver.run());
    let sending = stream(LENGTH, &[], async |payload| sender.send(payload).await.unwrap());
    let (missing, ()) = timeout(PATIENCE, async { tokio::join!(taken(recv), sending) }).await.unwrap();
    let stats = sender.stats();
    println!("{missing} missing; {stats:#?} {:#?}", relay.stats());
    assert!(missing > 0 && relay.stats().up.lost > 10, "the link loses, and {missing} are missing");
    assert_eq!((stats.fec_packets, stats.links[0].fec_packets), (0, 0), "{stats:?}");
}

#[tokio::test]
async fn who_wants_no_repair_packets_is_sent_none() {
    let config = ReceiverConfig::new(vec![own(83, 1, 5000)]).with_latency(LATENCY).without_fec();
    let (mut receiver, driver) = net::receiver(config.with_output_capacity(500)).unwrap();
    tokio::spawn(driver.run());
    none_is_sent(receiver.local_addrs()[0], async || receiver.recv().await.unwrap().payload).await;
}

#[tokio::test]
async fn librist_is_sent_no_repair_packets() {
    let receiver = own(84, 1, 5000);
    let output = sink(own(84, 2, 6000)).await;
    let url = format!("rist://@{receiver}?buffer={}", LATENCY.as_millis());
    let _tool = tool("ristreceiver", SIMPLE, &url, &format!("udp://{}", output.local_addr().unwrap()));
    bound(receiver).await;
    let mut buffer = [0; 2048];
    none_is_sent(receiver, async || {
        let len = output.recv(&mut buffer).await.unwrap();
        Bytes::copy_from_slice(&buffer[..len])
    })
    .await;
}
