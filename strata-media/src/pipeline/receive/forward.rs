//! Graphs that pass a transport stream on to SRT and RTMP.

use std::time::{Duration, Instant};

use bytes::Bytes;
use gstreamer as gst;
use gstreamer::prelude::*;
use gstreamer_app as gst_app;

use super::super::element::{BusEvent, event, named, parse, play};
use super::super::error::PipelineError;
use super::output::Output;
use super::worker::Writer;

/// What may wait for a peer before it counts as stuck: some seconds of any stream.
const BEHIND: u64 = 8 * 1024 * 1024;

/// Time for what is left when an output ends.
const FINISH: Duration = Duration::from_secs(2);

const HEAD: &str = "appsrc name=packets format=time is-live=true do-timestamp=true block=false max-bytes=0 \
                    caps=video/mpegts,systemstream=true,packetsize=188";

#[derive(Debug)]
pub(super) struct Forward {
    pipeline: gst::Pipeline,
    packets: gst_app::AppSrc,
}

impl Forward {
    /// Builds and starts the graph of an output.
    pub(super) fn open(output: &Output) -> Result<Self, String> {
        super::super::init().map_err(|e| e.to_string())?;
        let build = || -> Result<Self, PipelineError> {
            let pipeline = match output {
                Output::Rtmp(uri) => rtmp(&uri.0)?,
                Output::Srt(uri) => srt(&uri.0)?,
                Output::File(_) => unreachable!("files are not forwarded by GStreamer"),
            };
            let this = Self { packets: named(&pipeline, "packets")?, pipeline };
            play(&this.pipeline)?;
            Ok(this)
        };
        build().map_err(|e| without_address(&e.to_string()))
    }

    /// What the graph has to say that ends it.
    fn failure(&self) -> Option<String> {
        let bus = self.pipeline.bus()?;
        while let Some(message) = bus.pop() {
            match event(&message) {
                Some(BusEvent::Error(error)) => return Some(without_address(&error.to_string())),
                Some(BusEvent::Eos) => return Some("the peer ended it".to_owned()),
                _ => {}
            }
        }
        None
    }
}

impl Writer for Forward {
    fn write(&mut self, now: Instant, packet: &Bytes) -> Result<(), String> {
        self.tick(now)?;
        if self.packets.current_level_bytes() > BEHIND {
            return Err("the peer does not take the stream as fast as it comes".to_owned());
        }
        let buffer = gst::Buffer::from_slice(packet.clone());
        self.packets
            .push_buffer(buffer)
            .map(drop)
            .map_err(|e| self.failure().unwrap_or_else(|| e.to_string()))
    }

    fn tick(&mut self, _now: Instant) -> Result<(), String> {
        self.failure().map_or(Ok(()), Err)
    }

    fn finish(&mut self) -> Result<(), String> {
        let _ = self.packets.end_of_stream();
        let Some(bus) = self.pipeline.bus() else { return Ok(()) };
        let ends = [gst::MessageType::Eos, gst::MessageType::Error];
        let timeout = gst::ClockTime::try_from(FINISH).unwrap_or(gst::ClockTime::SECOND);
        match bus.timed_pop_filtered(timeout, &ends).as_ref().and_then(event) {
            Some(BusEvent::Error(error)) => Err(without_address(&error.to_string())),
            _ => Ok(()),
        }
    }
}

impl Drop for Forward {
    fn drop(&mut self) {
        let _ = self.pipeline.set_state(gst::State::Null);
    }
}

fn srt(uri: &str) -> Result<gst::Pipeline, PipelineError> {
    let pipeline =
        parse(&format!("{HEAD} ! srtsink name=srt sync=false async=false wait-for-connection=false"))?;
    let sink: gst::Element = named(&pipeline, "srt")?;
    sink.set_property("uri", uri);
    // Reconnecting is the worker's: it says so, and waits longer every time.
    if sink.has_property("auto-reconnect") {
        sink.set_property("auto-reconnect", false);
    }
    Ok(pipeline)
}

fn rtmp(uri: &str) -> Result<gst::Pipeline, PipelineError> {
    let pipeline = parse(&format!(
        "{HEAD} ! tsdemux name=demux flvmux name=mux streamable=true latency=500000000 \
         ! rtmp2sink name=rtmp sync=false async=false"
    ))?;
    named::<gst::Element>(&pipeline, "rtmp")?.set_property("location", uri);
    let mux: gst::Element = named(&pipeline, "mux")?;
    let (demux, weak) = (named::<gst::Element>(&pipeline, "demux")?, pipeline.downgrade());
    demux.connect_pad_added(move |demux, pad| {
        let Some(pipeline) = weak.upgrade() else { return };
        if let Err(error) = branch(&pipeline, &mux, pad) {
            gst::element_error!(demux, gst::StreamError::Format, ["{error}"]);
        }
    });
    Ok(pipeline)
}

/// Connects the first video and the first sound; FLV can have no more, and only H.264 and AAC.
fn branch(pipeline: &gst::Pipeline, mux: &gst::Element, pad: &gst::Pad) -> Result<(), PipelineError> {
    let caps = pad.current_caps().unwrap_or_else(|| pad.query_caps(None));
    let kind = caps.structure(0).map(|s| s.name().to_string()).unwrap_or_default();
    let (parser, slot) = match kind.as_str() {
        "video/x-h264" => ("h264parse", "video"),
        "audio/mpeg" => ("aacparse", "audio"),
        _ => return Ok(()),
    };
    let failed =
        |_| PipelineError::Element { element: "demux".into(), reason: format!("cannot forward {kind}") };
    if mux.static_pad(slot).is_some() {
        return Ok(());
    }
    let text = format!("queue max-size-time=3000000000 max-size-bytes=0 max-size-buffers=0 ! {parser}");
    let bin = gst::parse::bin_from_description(&text, true).map_err(failed)?;
    pipeline.add(&bin).map_err(|_| PipelineError::Closed)?;
    bin.link_pads(Some("src"), mux, Some(slot)).map_err(|_| PipelineError::Closed)?;
    bin.sync_state_with_parent().map_err(|_| PipelineError::Closed)?;
    if let Some(sink) = bin.static_pad("sink") {
        pad.link(&sink).map_err(|_| PipelineError::Closed)?;
    }
    Ok(())
}

/// A message without anything that looks like an address, which may hold a key.
fn without_address(text: &str) -> String {
    let clean = |word: &str| {
        if word.contains("://") || word.contains('/') { "…".to_owned() } else { word.to_owned() }
    };
    text.split_inclusive(' ')
        .map(|word| {
            let (body, space) = word.strip_suffix(' ').map_or((word, ""), |body| (body, " "));
            clean(body) + space
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_cut_from_messages() {
        let text = "rtmp: cannot be used: Could not connect (rtmp://host/app/key refused)";
        assert_eq!(without_address(text), "rtmp: cannot be used: Could not connect … refused)");
    }
}
