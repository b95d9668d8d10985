//! What changes while the elements run, and what they tell of it.

use std::net::SocketAddr;
use std::time::Duration;

use gstreamer as gst;
use gstreamer::prelude::*;
use strata_media::net::{self, Receiver, ReceiverConfig};
use strata_media::testing::netem::Config;
use strata_media::testing::relay::Relay;
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use tokio::time::timeout;

use super::{INPUT, Messages, at, feed, links, to, until};
use crate::pipeline::Pipeline;
use crate::rig::{LATENCY, PATIENCE, link, own};
use crate::stream::Check;

/// Ports of a receiver, and links to them.
fn receiver(test: u8, count: u8) -> (Receiver, Vec<Relay>, Vec<SocketAddr>) {
    let ports: Vec<_> = (0..count).map(|index| own(test, 1, 5000 + 2 * u16::from(index))).collect();
    let config = ReceiverConfig::new(ports.clone()).with_latency(LATENCY);
    let (receiver, driver) = net::receiver(config).unwrap();
    tokio::spawn(driver.run());
    let (relays, remotes) = (0..).zip(ports).map(|(index, to)| link(index, to)).unzip();
    (receiver, relays, remotes)
}

/// A stream to these addresses.
fn sender(remotes: &[SocketAddr], properties: &str) -> (Pipeline, gst::Element, Messages) {
    let pipeline = Pipeline::new(&format!(
        "{INPUT} ! stratasink name=sink uri={} latency={} stats-interval=100 {properties}",
        to(remotes),
        LATENCY.as_millis(),
    ));
    let messages = Messages::of(&pipeline.0);
    pipeline.0.set_state(gst::State::Playing).unwrap();
    let sink = pipeline.element("sink");
    (pipeline, sink, messages)
}

/// The numbers of links that are there and carry the stream.
fn carrying(stats: &gst::StructureRef) -> Vec<u32> {
    let links = links(stats);
    let carries = links.iter().filter(|link| link.get::<u64>("sent_bps").unwrap() > 100_000);
    let mut carrying: Vec<_> = carries.map(|link| link.get("id").unwrap()).collect();
    carrying.sort_unstable();
    carrying
}

#[tokio::test]
async fn links_and_modes_change_without_a_gap() {
    let length = Duration::from_secs(4);
    let (mut receiver, relays, remotes) = receiver(65, 3);
    let (pipeline, sink, mut messages) = sender(&remotes[..1], "");
    let changing = async {
        messages.stats(|stats| (carrying(stats) == [0]).then_some(())).await;
        sink.set_property("uri", to(&remotes[..2]));
        sink.set_property_from_str("mode", "balanced");
        messages.stats(|stats| (carrying(stats) == [0, 1]).then_some(())).await;
        sink.set_property("uri", to(&remotes[1..]));
        sink.set_property_from_str("scheduler", "scheduler, redundancy_target_links=3");
        messages.stats(|stats| (carrying(stats) == [1, 2]).then_some(())).await;
        sink.set_property("latency", 5000_u32);
        messages.stats(|stats| (stats.get("latency_ms") == Ok(5000_u64)).then_some(())).await;
    };
    let checking = Check::new(length).whole(&mut receiver);
    timeout(PATIENCE, async { tokio::join!(checking, changing, feed(&pipeline, length)) }).await.unwrap();
    assert!(relays.iter().all(|relay| relay.stats().up.delivered > 0));
    let stats: gst::Structure = sink.property("stats");
    assert!(stats.get::<u64>("copied").unwrap() > 0, "{stats:?}");
}

/// Whether the first port of a source has taken some of the stream. The first statistics may be older than the ports.
fn came(stats: &gst::StructureRef) -> Option<u64> {
    links(stats).first()?.get("packets").ok().filter(|packets| *packets > 500)
}

/// Events that a sink sends upstream, by the names of their structures.
fn upstream(sink: &gst::Element) -> UnboundedReceiver<gst::Structure> {
    let (sender, receiver) = unbounded_channel();
    let peer = sink.static_pad("sink").unwrap().peer().unwrap();
    peer.add_probe(gst::PadProbeType::EVENT_UPSTREAM, move |_, info| {
        if let Some(structure) = info.event().and_then(|event| event.structure()) {
            let _ = sender.send(structure.to_owned());
        }
        gst::PadProbeReturn::Ok
    });
    receiver
}

async fn named(events: &mut UnboundedReceiver<gst::Structure>, name: &str) -> gst::Structure {
    let search = async {
        loop {
            let event = events.recv().await.unwrap();
            if event.name() == name {
                return event;
            }
        }
    };
    timeout(PATIENCE, search).await.unwrap()
}

#[tokio::test]
async fn less_capacity_is_told_upstream() {
    const MOST: u32 = 5_000_000;
    let (mut receiver, relays, remotes) = receiver(66, 1);
    // What waits is given up soon, and a keyframe is asked for then.
    let (pipeline, sink, _messages) =
        sender(&remotes, "max-bitrate=5000000 scheduler=\"scheduler, discard_deadline_ms=100\"");
    let mut events = upstream(&sink);
    let (told, mut targets) = unbounded_channel();
    sink.connect("bitrate", false, move |values| {
        let _ = told.send(values[1].get::<u32>().unwrap());
        None
    });
    assert_eq!(sink.property::<u32>("bitrate"), MOST);
    tokio::spawn(async move { while receiver.recv().await.is_some() {} });
    let watching = async {
        // The stream has begun.
        until(|| relays[0].stats().up.delivered >= 500).await;
        let narrow = Config::simple(1_000_000, Duration::from_millis(20), 0.0);
        relays[0].configure(narrow.clone(), narrow).unwrap();
        let target = timeout(PATIENCE, targets.recv()).await.unwrap().unwrap();
        assert!(target < MOST, "{target}");
        let event = named(&mut events, "strata-bitrate").await;
        assert_eq!(event.get("bitrate"), Ok(target));
        let event = named(&mut events, "GstForceKeyUnit").await;
        assert_eq!((event.get("all-headers"), event.get("count")), (Ok(true), Ok(0_u32)));
        // Limits change at once.
        sink.set_property("max-bitrate", 0_u32);
        until(|| sink.property::<u32>("bitrate") == 0).await;
    };
    timeout(PATIENCE, async { tokio::join!(watching, feed(&pipeline, Duration::ZERO)) }).await.unwrap();
}

/// A least and a most bitrate are set one after the other, whichever is first.
#[tokio::test]
async fn limits_of_the_source_change_in_either_order() {
    let (mut receiver, _relays, remotes) = receiver(75, 1);
    let (pipeline, sink, mut messages) = sender(&remotes, "max-bitrate=5000000");
    tokio::spawn(async move { while receiver.recv().await.is_some() {} });
    let bitrate = || sink.property::<u32>("bitrate");
    let watching = async {
        messages.stats(|stats| (carrying(stats) == [0]).then_some(())).await;
        sink.set_property("min-bitrate", 6_000_000_u32);
        let warning = messages.warning().await;
        assert!(
            warning.starts_with("min-bitrate: 6000000 bit/s are more than max-bitrate, 5000000"),
            "{warning}"
        );
        sink.set_property_from_str("mode", "balanced");
        messages.stats(|stats| (stats.get("target_bps") == Ok(bitrate())).then_some(())).await;
        assert!(bitrate() <= 5_000_000, "what fitted holds: {}", bitrate());
        sink.set_property("max-bitrate", 7_000_000_u32);
        until(|| bitrate() >= 6_000_000).await;

        sink.set_property("max-bitrate", 3_000_000_u32);
        let warning = messages.warning().await;
        assert!(
            warning.starts_with("min-bitrate: 6000000 bit/s are more than max-bitrate, 3000000"),
            "{warning}"
        );
        sink.set_property("min-bitrate", 1_000_000_u32);
        until(|| bitrate() <= 3_000_000).await;
        let kept = ["min-bitrate", "max-bitrate"].map(|name| sink.property::<u32>(name));
        assert_eq!(kept, [1_000_000, 3_000_000]);
    };
    timeout(PATIENCE, async { tokio::join!(watching, feed(&pipeline, Duration::ZERO)) }).await.unwrap();
}

#[tokio::test]
async fn a_keyframe_is_asked_for_after_an_outage() {
    let (mut receiver, relays, remotes) = receiver(67, 1);
    let (pipeline, sink, mut messages) = sender(&remotes, "");
    let mut events = upstream(&sink);
    tokio::spawn(async move { while receiver.recv().await.is_some() {} });
    let is = |stats: &gst::StructureRef, state| {
        links(stats).first().is_some_and(|link| link.get::<&str>("state") == Ok(state))
    };
    let watching = async {
        messages.stats(|stats| is(stats, "Live").then_some(())).await;
        relays[0].set_down(true);
        messages.stats(|stats| is(stats, "Dead").then_some(())).await;
        relays[0].set_down(false);
        named(&mut events, "GstForceKeyUnit").await;
    };
    timeout(PATIENCE, async { tokio::join!(watching, feed(&pipeline, Duration::ZERO)) }).await.unwrap();
}

/// A decoder's wish goes all the way back to the encoder, by links that lose some of it.
#[tokio::test]
async fn a_keyframe_that_a_decoder_wants_is_asked_for_at_the_encoder() {
    let port = own(77, 1, 5000);
    let (_relay, remote) = link(0, port);
    let receiving = Pipeline::new(&format!(
        "stratasrc name=src uri={} latency=1000 stats-interval=100 ! fakesink name=out sync=false",
        at(&[port])
    ));
    let mut messages = Messages::of(&receiving.0);
    receiving.0.set_state(gst::State::Playing).unwrap();
    let sending = Pipeline::new(&format!("{INPUT} ! stratasink name=sink uri=rist://{remote} latency=1000"));
    let mut events = upstream(&sending.element("sink"));
    sending.0.set_state(gst::State::Playing).unwrap();
    let decoder: gst::Element = receiving.element("out");
    let wishing = async {
        messages.stats(came).await;
        let mut timer = tokio::time::interval(Duration::from_millis(200));
        loop {
            timer.tick().await;
            let wish = gst::Structure::builder("GstForceKeyUnit").field("all-headers", true).build();
            let event = gst::event::CustomUpstream::new(wish);
            assert!(decoder.static_pad("sink").unwrap().push_event(event), "the source takes it");
        }
    };
    let watching = async {
        tokio::select! {
            () = wishing => unreachable!("it wishes for ever"),
            event = named(&mut events, "GstForceKeyUnit") => event,
        }
    };
    let watching = async { assert_eq!(watching.await.get("all-headers"), Ok(true)) };
    timeout(PATIENCE, async { tokio::join!(watching, feed(&sending, Duration::ZERO)) }).await.unwrap();
    let sink: gst::Element = sending.element("sink");
    assert!(sink.property::<gst::Structure>("stats").get::<u64>("keyframe_requests").unwrap() > 0);
}

#[tokio::test]
async fn a_source_tells_of_its_ports_and_marks_a_gap() {
    let port = own(68, 1, 5000);
    let (relay, remote) = link(0, port);
    let perfect = Config::simple(20_000_000, Duration::from_millis(20), 0.0);
    relay.configure(perfect.clone(), perfect).unwrap();
    let receiving = Pipeline::new(&format!(
        "stratasrc name=src uri={} latency=3000 stats-interval=100 ! appsink name=out sync=false",
        at(&[port])
    ));
    let (mut output, mut messages) = (receiving.samples("out"), Messages::of(&receiving.0));
    receiving.0.set_state(gst::State::Playing).unwrap();
    let sending = Pipeline::start(&format!("{INPUT} ! stratasink uri=rist://{remote} latency=3000"));
    let watching = async {
        messages.stats(came).await;
        relay.set_down(true);
        messages.stats(|stats| stats.get::<u64>("idle_ms").ok().filter(|idle| *idle > 3500)).await;
        relay.set_down(false);
        messages.stats(|stats| stats.get("lost_packets").ok().filter(|it: &u64| *it > 0)).await;
    };
    let listening = async {
        let (mut marks, mut count, mut before) = (0, 0, gst::ClockTime::ZERO);
        while marks < 2 {
            count += 1;
            let sample = timeout(PATIENCE, output.recv()).await.unwrap().unwrap();
            let buffer = sample.buffer().unwrap();
            // The first buffer is marked too.
            marks += usize::from(buffer.flags().contains(gst::BufferFlags::DISCONT));
            assert!(if count < 400 { marks == 1 } else { marks > 0 }, "{marks} of {count}");
            let pts = buffer.pts().unwrap();
            assert!(pts >= before, "{pts} after {before}");
            before = pts;
        }
    };
    let feeding = feed(&sending, Duration::from_secs(5));
    timeout(PATIENCE, async { tokio::join!(watching, listening, feeding) }).await.unwrap();
}
