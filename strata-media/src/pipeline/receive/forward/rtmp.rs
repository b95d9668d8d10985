//! A transport stream as FLV, for an RTMP server.

use gstreamer as gst;
use gstreamer::prelude::*;

use super::super::super::element::{named, parse};
use super::super::super::error::PipelineError;
use super::{HEAD, order};

/// How long the multiplexer waits for the other of pictures and sound, so that they go out in their order. It is paid only
/// by a stream that announces one of them and has none.
const PATIENCE: gst::ClockTime = gst::ClockTime::from_seconds(2);

/// What a branch holds while the multiplexer waits: more than its patience and the 0.7 s of `tsdemux`.
const HELD: gst::ClockTime = gst::ClockTime::from_seconds(5);

/// To a server.
pub(super) fn graph(uri: &str) -> Result<gst::Pipeline, PipelineError> {
    let pipeline = to("rtmp2sink name=rtmp sync=false async=false")?;
    named::<gst::Element>(&pipeline, "rtmp")?.set_property("location", uri);
    Ok(pipeline)
}

/// FLV to an element. Packets have times of their own, by the stream's clock.
pub(super) fn to(sink: &str) -> Result<gst::Pipeline, PipelineError> {
    let pipeline = parse(&format!("{HEAD} ! tsdemux name=demux flvmux name=mux streamable=true ! {sink}"))?;
    let mux: gst::Element = named(&pipeline, "mux")?;
    mux.set_property("latency", PATIENCE.nseconds());
    let (demux, weak) = (named::<gst::Element>(&pipeline, "demux")?, pipeline.downgrade());
    demux.connect_pad_added(move |demux, pad| {
        let Some(pipeline) = weak.upgrade() else { return };
        if let Err(error) = branch(&pipeline, &mux, pad) {
            gst::element_error!(demux, gst::StreamError::Format, ["{error}"]);
        }
    });
    Ok(pipeline)
}

/// Connects the first video and the first sound; FLV can have no more, and only H.264 and AAC. Gives what cannot be connected.
fn branch(pipeline: &gst::Pipeline, mux: &gst::Element, pad: &gst::Pad) -> Result<(), String> {
    let caps = pad.current_caps().unwrap_or_else(|| pad.query_caps(None));
    let kind = caps.structure(0).map(|s| s.name().to_string()).unwrap_or_default();
    let (parser, slot) = match kind.as_str() {
        "video/x-h264" => ("h264parse", "video"),
        "audio/mpeg" => ("aacparse", "audio"),
        _ => return Ok(()),
    };
    if mux.static_pad(slot).is_some() {
        return Ok(());
    }
    connect(pipeline, mux, pad, parser, slot).ok_or_else(|| format!("cannot forward {kind}"))
}

fn connect(
    pipeline: &gst::Pipeline,
    mux: &gst::Element,
    pad: &gst::Pad,
    parser: &str,
    slot: &str,
) -> Option<()> {
    let held = HELD.nseconds();
    let text = format!("queue max-size-time={held} max-size-bytes=0 max-size-buffers=0 ! {parser}");
    let bin = gst::parse::bin_from_description(&text, true).ok()?;
    pipeline.add(&bin).ok()?;
    bin.link_pads(Some("src"), mux, Some(slot)).ok()?;
    order::keep(&bin.static_pad("src")?);
    bin.sync_state_with_parent().ok()?;
    pad.link(&bin.static_pad("sink")?).ok().map(drop)
}
