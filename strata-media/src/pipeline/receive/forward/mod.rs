//! Graphs that pass a transport stream on to SRT and RTMP.
//!
//! ```text
//!  packets ─┬─► as they are ───────────────────────────────────────────────────────────────► srtsink
//!           └─► clock: the stream's own time ─► tsdemux ─┬─► queue ─► parser ─► order ─┬─► flvmux ─► rtmp2sink
//!                                                        └─► queue ─► parser ─► order ─┘
//! ```

mod clock;
mod order;
mod rtmp;

use std::time::{Duration, Instant};

use bytes::Bytes;
use gstreamer as gst;
use gstreamer::prelude::*;
use gstreamer_app as gst_app;

use self::clock::Clock;
use super::super::element::{BusEvent, event, named, parse, play};
use super::super::error::PipelineError;
use super::output::Output;
use super::worker::Writer;

/// What may wait for a peer before it counts as stuck: some seconds of any stream.
const BEHIND: u64 = 8 * 1024 * 1024;

/// Time for what is left when an output ends.
const FINISH: Duration = Duration::from_secs(2);

const HEAD: &str = "appsrc name=packets format=time is-live=true block=false max-bytes=0 \
                    caps=video/mpegts,systemstream=true,packetsize=188";

#[derive(Debug)]
pub(super) struct Forward {
    pipeline: gst::Pipeline,
    packets: gst_app::AppSrc,
    /// When packets are, if that is asked for.
    clock: Option<Clock>,
}

impl Forward {
    /// Builds and starts the graph of an output.
    pub(super) fn open(now: Instant, output: &Output) -> Result<Self, String> {
        let build = || match output {
            Output::Rtmp(uri) => Self::start(rtmp::graph(&uri.0)?, clock(now, output)),
            Output::Srt(uri) => Self::start(srt(&uri.0)?, clock(now, output)),
            Output::File(_) => unreachable!("files are not forwarded by GStreamer"),
        };
        let built = super::super::init().and_then(|()| build());
        built.map_err(|e| without_address(&e.to_string()))
    }

    fn start(pipeline: gst::Pipeline, clock: Option<Clock>) -> Result<Self, PipelineError> {
        let this = Self { packets: named(&pipeline, "packets")?, pipeline, clock };
        play(&this.pipeline)?;
        Ok(this)
    }

    /// What the graph has to say that ends it.
    fn failure(&self) -> Option<String> {
        let bus = self.pipeline.bus()?;
        while let Some(message) = bus.pop() {
            match event(&message) {
                Some(BusEvent::Error(error)) => return Some(without_address(&error.to_string())),
                // All that is forwarded has ended: what the program consists of has changed.
                Some(BusEvent::Eos) => return Some("the stream has become another one".to_owned()),
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
        let mut buffer = gst::Buffer::from_slice(packet.clone());
        let time = self.clock.as_mut().and_then(|clock| clock.time(now, packet).try_into().ok());
        if let Some(buffer) = buffer.get_mut() {
            buffer.set_pts(time);
        }
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

/// The stream's own time, where it is asked for: FLV has times of its own, while SRT passes payloads on as they are.
fn clock(now: Instant, output: &Output) -> Option<Clock> {
    matches!(output, Output::Rtmp(_)).then(|| Clock::new(now))
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
mod tests;
