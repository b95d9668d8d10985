//! GStreamer's `ristsink` and `ristsrc` (of its plugins "bad"), which speak the Simple Profile: over one link, and over
//! two, each of which carries everything (broadcast) or every other packet (round-robin).

use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use gstreamer as gst;
use gstreamer_app::AppSrc;
use strata_media::net::{self, LinkConfig, ReceiverConfig, Sender, SenderConfig, SenderUpdate};
use strata_media::rist::rtp::Header;
use tokio::time::timeout;

use crate::kernel::bound;
use crate::pipeline::Pipeline;
use crate::rig::{LATENCY, PATIENCE, link, own, sink};
use crate::stream::{Check, DATAGRAM_BYTES, stream};

/// How long the stream that is compared lasts.
const LENGTH: Duration = Duration::from_secs(3);

fn list(addrs: &[SocketAddr]) -> String {
    addrs.iter().map(SocketAddr::to_string).collect::<Vec<_>>().join(",")
}

/// One address as `address` and `port`, several as `bonding-addresses`.
fn addressed(addrs: &[SocketAddr]) -> String {
    match addrs {
        [addr] => format!("address={} port={}", addr.ip(), addr.port()),
        addrs => format!("bonding-addresses={}", list(addrs)),
    }
}

/// Tells the number it is sent with, before the stream.
const PROBE: [u8; DATAGRAM_BYTES] = [0x47; DATAGRAM_BYTES];

/// A sender that will not come to the numbers 0xa000 to 0xbfff. Requests for these lack their header, which a sender makes
/// up for; but `ristsrc` 1.22 then asks for them all the time and, when much is lost at once, for others too late.
async fn well_numbered(test: u8) -> Sender {
    // Ports of its own for each, that are not those of the one before.
    for port in (5000..).step_by(2) {
        let addr = own(test, 3, port);
        let first = sink(addr).await;
        let config = SenderConfig::new(vec![LinkConfig::new(0, addr)]).with_latency(LATENCY);
        let (sender, driver) = net::sender(config).unwrap();
        tokio::spawn(driver.run());
        sender.send(Bytes::from_static(&PROBE)).await.unwrap();
        let mut packet = [0; 2048];
        let len = first.recv(&mut packet).await.unwrap();
        let (header, _) = Header::decode(&packet[..len]).unwrap();
        // 4400 are sent.
        if !(0xa000 - 5000..0xc000).contains(&header.sequence) {
            return sender;
        }
    }
    unreachable!("three in four do")
}

async fn gstreamer_receives(test: u8, links: u8) {
    let ports: Vec<_> = (0..links).map(|index| own(test, 1, 5000 + 2 * u16::from(index))).collect();
    let (relays, remotes): (Vec<_>, Vec<_>) =
        (0..links).zip(&ports).map(|(index, &to)| link(index, to)).unzip();
    // By default it gives up after seven tries, which it makes within half a second.
    let pipeline = Pipeline::start(&format!(
        "ristsrc {} receiver-buffer={} max-rtx-retries=60 ! rtpmp2tdepay ! appsink name=out sync=false",
        addressed(&ports),
        LATENCY.as_millis(),
    ));
    let mut output = pipeline.output("out");
    for &port in &ports {
        bound(port).await;
    }
    let sender = well_numbered(test).await;
    let links = remotes.iter().enumerate().map(|(id, &to)| LinkConfig::new(id as u32, to));
    sender.update(SenderUpdate { links: links.collect(), ..SenderUpdate::default() }).unwrap();
    let sending = stream(LENGTH, &ports, async |payload| sender.send(payload).await.unwrap());
    let checking = async {
        let mut check = Check::new(LENGTH);
        loop {
            let payload = output.recv().await.unwrap();
            if *payload != PROBE && check.take(&payload) {
                return;
            }
        }
    };
    timeout(PATIENCE, async { tokio::join!(checking, sending) }).await.unwrap();
    let stats = sender.stats();
    println!("{stats:#?}");
    assert!(stats.retransmitted > 0, "what was lost was sent again");
    for (link, relay) in stats.links.iter().zip(relays) {
        assert!(relay.stats().up.lost > 0, "the link loses: {:?}", relay.stats());
        assert!(link.sent_packets * 100 >= stats.packets, "each link carries a part: {stats:?}");
    }
}

async fn gstreamer_sends(test: u8, links: u8, method: &str) {
    let binds = (0..links).map(|index| own(test, 1, 5000 + 2 * u16::from(index)));
    let config = ReceiverConfig::new(binds.collect()).with_latency(LATENCY);
    let (mut receiver, driver) = net::receiver(config).unwrap();
    tokio::spawn(driver.run());
    let ports = receiver.local_addrs().to_vec();
    let (relays, remotes): (Vec<_>, Vec<_>) =
        (0..links).zip(ports).map(|(index, to)| link(index, to)).unzip();
    // Packets of 1328 bytes hold what one buffer holds.
    let pipeline = Pipeline::start(&format!(
        "appsrc name=in is-live=true do-timestamp=true format=time caps=video/mpegts,packetsize=188,systemstream=true
         ! rtpmp2tpay mtu=1328 ! ristsink {} bonding-method={method} sender-buffer={}",
        addressed(&remotes),
        2 * LATENCY.as_millis(),
    ));
    let input: AppSrc = pipeline.element("in");
    let sending = stream(LENGTH, &[], async |payload| {
        input.push_buffer(gst::Buffer::from_slice(payload)).unwrap();
    });
    let checking = Check::new(LENGTH).whole(&mut receiver);
    timeout(PATIENCE, async { tokio::join!(checking, sending) }).await.unwrap();
    let stats = receiver.stats();
    println!("{stats:#?}");
    assert!(stats.recovered_packets + stats.duplicate_packets > 0, "what was lost came again");
    for (path, relay) in stats.paths.iter().zip(relays) {
        assert!(relay.stats().up.lost > 0, "the link loses: {:?}", relay.stats());
        assert!(path.packets > 0, "{stats:?}");
    }
    assert_eq!(
        stats.duplicate_packets > stats.delivered_packets / 2,
        method == "broadcast" && links > 1,
        "{stats:?}"
    );
}

#[tokio::test]
async fn gstreamer_receives_what_strata_sends() {
    gstreamer_receives(19, 1).await;
}

#[tokio::test]
async fn gstreamer_receives_over_two_links() {
    gstreamer_receives(20, 2).await;
}

#[tokio::test]
async fn strata_receives_what_gstreamer_sends() {
    gstreamer_sends(21, 1, "broadcast").await;
}

#[tokio::test]
async fn strata_receives_what_gstreamer_broadcasts() {
    gstreamer_sends(22, 2, "broadcast").await;
}

#[tokio::test]
async fn strata_receives_what_gstreamer_sends_round_robin() {
    gstreamer_sends(23, 2, "round-robin").await;
}
