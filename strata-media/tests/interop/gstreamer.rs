//! GStreamer's `ristsink` (of its plugins "bad"), which speaks the Simple Profile: over one link, and over two, each of
//! which carries everything (broadcast) or every other packet (round-robin).

use std::net::SocketAddr;
use std::time::Duration;

use gstreamer as gst;
use gstreamer::prelude::*;
use gstreamer_app::AppSrc;
use strata_media::net::{self, ReceiverConfig};
use tokio::time::timeout;

use crate::rig::{LATENCY, PATIENCE, link, own};
use crate::stream::{Check, stream};

/// How long the stream that is compared lasts.
const LENGTH: Duration = Duration::from_secs(5);

/// A pipeline at work; ends when dropped.
struct Pipeline(gst::Pipeline);

impl Pipeline {
    fn start(description: &str) -> Self {
        gst::init().unwrap();
        let element = gst::parse::launch(description).unwrap_or_else(|error| {
            panic!("{description}: {error}; `make setup` installs GStreamer's plugins")
        });
        let pipeline = Self(element.downcast().unwrap());
        pipeline.0.set_state(gst::State::Playing).unwrap();
        pipeline
    }

    fn element<T: IsA<gst::Element>>(&self, name: &str) -> T {
        self.0.by_name(name).unwrap().downcast().unwrap_or_else(|_| panic!("{name} is of another type"))
    }
}

impl Drop for Pipeline {
    fn drop(&mut self) {
        let _ = self.0.set_state(gst::State::Null);
    }
}

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
    let sending = stream(LENGTH, async |payload| {
        input.push_buffer(gst::Buffer::from_slice(payload)).unwrap();
    });
    let checking = async {
        let mut check = Check::new(LENGTH);
        loop {
            let packet = receiver.recv().await.unwrap();
            assert_eq!(packet.lost_before, 0);
            if check.take(&packet.payload) {
                return;
            }
        }
    };
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
