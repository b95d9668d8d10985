//! What cannot be is said, and changes nothing; and nobody waits for ever.

use std::time::Duration;

use gstreamer as gst;
use gstreamer::prelude::*;

use super::{INPUT, Messages, feed, links};
use crate::pipeline::Pipeline;
use crate::rig::own;

/// The error of a pipeline that does not start.
fn refusal(description: &str) -> String {
    let pipeline = Pipeline::new(description);
    let bus = pipeline.0.bus().unwrap();
    assert!(pipeline.0.set_state(gst::State::Playing).is_err(), "{description}");
    let message = bus.pop_filtered(&[gst::MessageType::Error]).unwrap();
    let gst::MessageView::Error(error) = message.view() else { unreachable!("filtered") };
    error.error().message().to_owned()
}

#[tokio::test]
async fn who_cannot_start_says_why() {
    let taken = own(71, 1, 5000);
    let _taken = Pipeline::start(&format!("stratasrc uri=rist://@{taken} ! fakesink"));
    let in_use = format!("stratasrc uri=rist://@{taken} ! fakesink");
    let cases = [
        ("fakesrc ! stratasink", "uri: none is set"),
        ("fakesrc ! stratasink uri=udp://127.0.0.1:5000", "scheme"),
        ("fakesrc ! stratasink uri=rist://127.0.0.1:5001", "uri: URL 1 (rist://127.0.0.1:5001): port: "),
        ("fakesrc ! stratasink uri=rist://127.0.0.1:5000?interface=none0", "no link could be opened"),
        (
            "fakesrc ! stratasink uri=rist://127.0.0.1:5000 scheduler=\"scheduler,storm=true\"",
            "no such parameter",
        ),
        ("fakesrc ! stratasink uri=rist://127.0.0.1:5000 max-bitrate=1 min-bitrate=2", "min-bitrate"),
        ("fakesrc ! stratasink uri=rist://@127.0.0.1:5000 users-file=/none", "users-file: /none"),
        ("fakesrc ! stratasink uri=rist://127.0.0.1:5000 users-file=/dev/null", "users"),
        ("stratasrc ! fakesink", "uri: none is set"),
        ("stratasrc uri=rist://@127.0.0.1:5001 ! fakesink", "uri: URL 1 (rist://@127.0.0.1:5001): port: "),
        ("stratasrc uri=rist://@127.0.0.1:0 users-file=/none ! fakesink", "users-file: /none"),
        (&in_use, "cannot listen on"),
    ];
    for (description, reason) in cases {
        let error = refusal(description);
        assert!(error.contains(reason), "{description}: {error}");
    }
}

#[tokio::test]
async fn a_change_that_cannot_be_changes_nothing() {
    let (good, other) = (own(72, 1, 5000), own(72, 1, 5002));
    let uri = format!("rist://{good},rist://{other}?interface=none0");
    let pipeline = Pipeline::new(&format!("{INPUT} ! stratasink name=sink uri={uri} stats-interval=100"));
    let mut messages = Messages::of(&pipeline.0);
    pipeline.0.set_state(gst::State::Playing).unwrap();
    let sink: gst::Element = pipeline.element("sink");

    // A link that cannot be opened is none of the others' business.
    let warning = messages.warning().await;
    assert!(warning.starts_with("link 1: "), "{warning}");
    let errors = |stats: &gst::StructureRef| {
        Some(links(stats).iter().map(|link| link.has_field("error")).collect::<Vec<_>>())
    };
    assert_eq!(messages.stats(errors).await, [false, true]);

    let scheduler = "scheduler, redundancy_enabled=true, redundancy_spare_ratio=7";
    sink.set_property_from_str("scheduler", scheduler);
    assert!(messages.warning().await.contains("redundancy_spare_ratio"));
    assert_eq!(sink.property::<Option<gst::Structure>>("scheduler"), None);
    sink.set_property("uri", "rist://127.0.0.1:5000?secret=horse");
    assert!(messages.warning().await.contains("the profile cannot change"));
    sink.set_property("users-file", "/none");
    assert!(messages.warning().await.contains("users-file cannot change"));
    sink.set_property("uri", "rist://127.0.0.1");
    assert!(messages.warning().await.contains("port"));
    assert_eq!(sink.property::<String>("uri"), uri);
    assert_eq!(messages.stats(errors).await, [false, true]);

    let src = Pipeline::new(&format!("stratasrc name=src uri=rist://@{} ! fakesink", own(72, 2, 5000)));
    let mut messages = Messages::of(&src.0);
    src.0.set_state(gst::State::Playing).unwrap();
    src.element::<gst::Element>("src").set_property("latency", 7_u32);
    assert!(messages.warning().await.contains("latency: cannot change"));
}

/// Nobody is there, so that nothing can be delivered and what is sent waits; a state change does not.
#[tokio::test]
async fn who_waits_can_be_called_back() {
    let nobody = own(73, 1, 5000);
    for uri in [format!("rist://{nobody}"), format!("rist://{nobody}?buffer=60000")] {
        let pipeline = Pipeline::start(&format!("{INPUT} ! stratasink uri={uri}"));
        feed(&pipeline, Duration::ZERO).await;
        let input: gst::Element = pipeline.element("in");
        input.send_event(gst::event::Eos::new());
        pipeline.0.set_state(gst::State::Paused).unwrap();
        pipeline.0.set_state(gst::State::Playing).unwrap();
        pipeline.0.set_state(gst::State::Null).unwrap();
    }
    // Ports are free when a source has stopped.
    for _ in 0..3 {
        let pipeline = Pipeline::start(&format!("stratasrc uri=rist://@{nobody} ! fakesink"));
        pipeline.0.set_state(gst::State::Paused).unwrap();
        pipeline.0.set_state(gst::State::Playing).unwrap();
    }
}
