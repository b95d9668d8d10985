//! What the elements answer.

use std::time::Duration;

use gstreamer as gst;
use gstreamer::prelude::*;

use super::{INPUT, Messages, feed};
use crate::pipeline::Pipeline;
use crate::rig::own;

type Answer = (bool, gst::ClockTime, Option<gst::ClockTime>);

#[tokio::test]
async fn a_source_is_live_and_as_late_as_it_was_told() {
    for (properties, ms) in [("latency=700", 700), ("", 1000)] {
        let port = own(69, 1, 5000);
        let pipeline =
            Pipeline::start(&format!("stratasrc name=src uri=rist://@{port} {properties} ! fakesink"));
        let src: gst::Element = pipeline.element("src");
        let mut query = gst::query::Latency::new();
        assert!(src.static_pad("src").unwrap().query(&mut query));
        let expected: Answer = (true, gst::ClockTime::from_mseconds(ms), None);
        assert_eq!(query.result(), expected);
    }
}

#[tokio::test]
async fn a_sink_answers_with_what_is_before_it() {
    let pipeline = Pipeline::new(&format!(
        "{INPUT} ! stratasink name=sink uri=rist://{} render-delay=30000000 stats-interval=100",
        own(70, 1, 5000)
    ));
    let input: gst::Element = pipeline.element("in");
    input.set_property("min-latency", 50_000_000_i64);
    let mut messages = Messages::of(&pipeline.0);
    pipeline.0.set_state(gst::State::Playing).unwrap();
    let watching = async {
        // A sink can only answer once something has come.
        messages.stats(|stats| stats.get("packets").ok().filter(|it: &u64| *it > 0)).await;
        let mut query = gst::query::Latency::new();
        assert!(pipeline.element::<gst::Element>("sink").query(&mut query));
        let (live, least, _): Answer = query.result();
        // 50 and 30 ms, and the default of `processing-deadline`, 20 ms.
        assert_eq!((live, least), (true, gst::ClockTime::from_mseconds(100)));
    };
    tokio::join!(watching, feed(&pipeline, Duration::ZERO));
}

#[test]
fn properties_say_when_they_may_change() {
    gst::init().unwrap();
    strata_media::gst::register(None).unwrap();
    let flags = |element: &str, property: &str| {
        let element = gst::ElementFactory::make(element).build().unwrap();
        element.find_property(property).unwrap().flags()
    };
    for property in
        ["uri", "latency", "mode", "scheduler", "min-bitrate", "max-bitrate", "ramp", "stats-interval"]
    {
        assert!(flags("stratasink", property).contains(gst::PARAM_FLAG_MUTABLE_PLAYING), "{property}");
    }
    for (element, property) in [("stratasink", "profile"), ("stratasrc", "uri"), ("stratasrc", "latency")] {
        assert!(flags(element, property).contains(gst::PARAM_FLAG_MUTABLE_READY), "{element} {property}");
    }
}
