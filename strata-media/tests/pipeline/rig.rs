//! A stream from a source over loopback to a receiver.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use strata_media::net::{LinkConfig, ReceiverConfig, SenderConfig};
use strata_media::pipeline::{
    Encoder, Ended, Receive, ReceiveConfig, ReceiveEvent, ReceiveStats, SendConfig, SendEvent, SendHandle,
    SendStats, Source, receive, send,
};
use strata_media::testing::netem;
use strata_media::testing::relay::{Mapping, Relay, RelayConfig, relay};

/// What came of a stream.
#[derive(Debug)]
pub(crate) struct Outcome {
    pub(crate) ended: Ended,
    pub(crate) sent: Vec<SendEvent>,
    pub(crate) received: Vec<ReceiveEvent>,
    pub(crate) stats: ReceiveStats,
}

pub(crate) fn file(path: PathBuf) -> Source {
    Source::File { path, repeat: true, passthrough: false }
}

/// A small, cheap stream.
pub(crate) fn config(source: Source) -> SendConfig {
    let encoder = Encoder { bitrate_kbps: 500, ..Encoder::default() };
    let small = (source == Source::Test).then_some((320, 240));
    SendConfig { encoder, resolution: small, ..SendConfig::new(source) }
}

/// A receiver on a port of its own that records to `out`.
pub(crate) fn recording(out: &Path) -> ReceiveConfig {
    let mut net = ReceiverConfig::new(vec!["127.0.0.1:0".parse().unwrap()]);
    net.latency = Duration::from_millis(300);
    let mut config = ReceiveConfig::new(net);
    config.record = Some(out.to_owned());
    config
}

/// Sends for `seconds` over one link, impaired by `link` both ways, and calls `each` after every second.
pub(crate) async fn stream(
    source: SendConfig,
    seconds: u64,
    sink: ReceiveConfig,
    link: netem::Config,
    mut each: impl FnMut(u64, &SendHandle, &Receive),
) -> Outcome {
    stream_while(source, sink, link, |stats, handle, receive, _| {
        each(stats.uptime.as_secs(), handle, receive);
        stats.uptime.as_secs() < seconds
    })
    .await
}

/// The same for as long as `goes_on`, which is asked with every statistics and may change the link.
pub(crate) async fn stream_while(
    source: SendConfig,
    sink: ReceiveConfig,
    link: netem::Config,
    mut goes_on: impl FnMut(&SendStats, &SendHandle, &Receive, &Relay) -> bool,
) -> Outcome {
    let latency = sink.net.latency;
    let (mut receive, receiving) = receive(sink).unwrap();
    let far = receive.local_addrs()[0];
    let above = |addr: SocketAddr| SocketAddr::new(addr.ip(), addr.port() + 1);
    // The relay's two ports must be neighbours: on an address that belongs to this receiver's port they are free.
    let [high, low] = far.port().to_be_bytes();
    let near = SocketAddr::new([127, 77, high, low].into(), 5000);
    let mappings =
        vec![Mapping { listen: near, forward: far }, Mapping { listen: above(near), forward: above(far) }];
    let (relay, relaying) = relay(RelayConfig::new(mappings, link)).unwrap();
    let relaying = tokio::spawn(relaying.run());
    let receiving = tokio::spawn(receiving.run());
    let mut bond = SenderConfig::new(vec![LinkConfig::new(0, near)]);
    bond.latency = latency;
    let (mut handle, sending) = send(source, bond).unwrap();
    let sending = tokio::spawn(sending.run());

    let (mut sent, mut received) = (Vec::new(), Vec::new());
    loop {
        tokio::select! {
            event = handle.event() => {
                let Some(event) = event else { break };
                if let SendEvent::Stats(stats) = &event
                    && !goes_on(stats, &handle, &receive, &relay)
                {
                    let _ = handle.stop();
                }
                sent.push(event);
            }
            Some(event) = receive.event() => received.push(event),
        }
    }
    let ended = sending.await.unwrap();
    receive.stop().unwrap();
    while let Some(event) = receive.event().await {
        received.push(event);
    }
    receiving.await.unwrap().unwrap();
    let stats = receive.stats();
    drop(relay);
    relaying.await.unwrap();
    Outcome { ended, sent, received, stats }
}

/// The same over a perfect link, recorded; asserts that every byte arrived.
pub(crate) async fn record(source: SendConfig, seconds: u64, dir: &Path) -> (PathBuf, Outcome) {
    let out = dir.join("out.ts");
    let outcome = stream(source, seconds, recording(&out), netem::Config::default(), |_, _, _| {}).await;
    let length = std::fs::metadata(&out).map(|m| m.len()).unwrap_or(0);
    assert_eq!(outcome.ended.bytes, length, "{outcome:?}");
    (out, outcome)
}
