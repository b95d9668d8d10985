//! The encoder makes a keyframe when one is needed, however rarely it does so by itself.

use std::net::SocketAddr;
use std::time::Duration;

use strata_media::bond::LinkState;
use strata_media::net::{self, LinkConfig, ReceiverConfig, ReceiverMonitor, SenderConfig};
use strata_media::pipeline::{SendEvent, SendHandle, SendStats, Source, send};
use strata_media::testing::netem;
use strata_media::testing::relay::{Mapping, Relay, RelayConfig, relay};
use tokio::sync::watch;
use tokio::time::timeout;

use crate::rig::config;

/// Longer than a machine stands still.
const LATENCY: Duration = Duration::from_secs(4);
/// Half the time between two keyframes that nobody asked for.
const PATIENCE: Duration = Duration::from_secs(60);
const PICTURES_PER_SECOND: u32 = 25;

/// A stream over one link.
struct Stream {
    handle: SendHandle,
    relay: Relay,
    receiver: ReceiverMonitor,
    /// Those that arrived.
    keyframes: watch::Receiver<usize>,
}

impl Stream {
    fn start() -> Self {
        let mut sink = ReceiverConfig::new(vec!["127.0.0.1:0".parse().unwrap()]);
        sink.latency = LATENCY;
        let (mut received, driver) = net::receiver(sink).unwrap();
        let receiver = received.monitor();
        tokio::spawn(driver.run());
        let (count, keyframes) = watch::channel(0);
        tokio::spawn(async move {
            while let Some(packet) = received.recv().await {
                let found = packet.payload.chunks(188).filter(|packet| starts_keyframe(packet)).count();
                count.send_modify(|count| *count += found);
            }
        });
        let (relay, near) = link(receiver.local_addrs()[0]);
        let mut bond = SenderConfig::new(vec![LinkConfig::new(0, near)]);
        bond.latency = LATENCY;
        let mut source = config(Source::Test);
        source.framerate = Some(PICTURES_PER_SECOND);
        source.encoder.keyint_max = Some(2 * PATIENCE.as_secs() as u32 * PICTURES_PER_SECOND);
        let (handle, driver) = send(source, bond).unwrap();
        tokio::spawn(driver.run());
        Self { handle, relay, receiver, keyframes }
    }

    /// The next statistics that are as wanted.
    async fn stats(&mut self, wanted: impl Fn(&SendStats) -> bool) {
        loop {
            match self.handle.event().await.unwrap() {
                SendEvent::Stats(stats) if wanted(&stats) => return,
                _ => {}
            }
        }
    }

    async fn state(&mut self, state: LinkState) {
        self.stats(|stats| stats.bond.links[0].state == state).await;
    }

    async fn keyframes(&mut self, count: usize) {
        self.keyframes.wait_for(|have| *have >= count).await.unwrap();
    }
}

/// A perfect link to a receiver, which can be cut.
fn link(far: SocketAddr) -> (Relay, SocketAddr) {
    let above = |addr: SocketAddr| SocketAddr::new(addr.ip(), addr.port() + 1);
    // Neighbours that are free: on an address that belongs to this receiver's port.
    let [high, low] = far.port().to_be_bytes();
    let near = SocketAddr::new([127, 78, high, low].into(), 5000);
    let mapping = |listen, forward| Mapping { listen, forward };
    let mappings = vec![mapping(near, far), mapping(above(near), above(far))];
    let (relay, driver) = relay(RelayConfig::new(mappings, netem::Config::default())).unwrap();
    tokio::spawn(driver.run());
    (relay, near)
}

/// Whether a packet of a transport stream begins a video picture that can be decoded by itself: with a PES packet of
/// video (ISO/IEC 13818-1, 2.4.3.7), at a point of random access (2.4.3.5).
fn starts_keyframe(packet: &[u8]) -> bool {
    let begins = packet[1] & 0x40 != 0;
    let adaptation = match packet[3] >> 4 & 3 {
        3 => usize::from(packet[4]),
        _ => return false,
    };
    let video = packet[5 + adaptation..].starts_with(&[0, 0, 1]) && packet[8 + adaptation] & 0xf0 == 0xe0;
    begins && adaptation > 0 && packet[5] & 0x40 != 0 && video
}

#[tokio::test(flavor = "multi_thread")]
async fn one_is_made_after_an_outage() {
    let mut stream = Stream::start();
    let test = async {
        stream.keyframes(1).await;
        stream.state(LinkState::Live).await;
        stream.relay.set_down(true);
        stream.state(LinkState::Dead).await;
        stream.relay.set_down(false);
        stream.keyframes(2).await;
    };
    timeout(PATIENCE, test).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn one_is_made_when_the_receiver_wants_it() {
    let mut stream = Stream::start();
    let test = async {
        stream.keyframes(1).await;
        let mut timer = tokio::time::interval(Duration::from_millis(100));
        let (mut keyframes, receiver) = (stream.keyframes.clone(), stream.receiver.clone());
        let made = keyframes.wait_for(|have| *have >= 2);
        tokio::pin!(made);
        loop {
            tokio::select! {
                found = &mut made => break drop(found.unwrap()),
                // Not before the ends know each other.
                _ = timer.tick() => receiver.request_keyframe(),
            }
        }
        stream.stats(|stats| stats.bond.keyframe_requests > 0).await;
    };
    timeout(PATIENCE, test).await.unwrap();
}
