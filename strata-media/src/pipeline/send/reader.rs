//! Reads a file once, from start to end, onto the time line.
//!
//! A new reader is made for every pass: every pass is then like the first one, whatever the container does about seeks.

use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use gstreamer as gst;
use gstreamer::prelude::*;
use gstreamer_app as gst_app;
use tokio::sync::mpsc;

use super::super::element::{BusEvent, file_uri, named, parse, play, watch};
use super::super::error::PipelineError;
use super::driver::Signal;
use super::timeline::{RATE, Timeline, to_time};

/// Bytes of one sample: two channels of 16 bits.
const SAMPLE: usize = 4;

/// Where a reader puts what it reads; shared by all passes.
#[derive(Debug)]
pub(super) struct Tracks {
    line: Mutex<Timeline>,
    video: Option<gst_app::AppSrc>,
    /// Locked while sound is laid and pushed, so that it is pushed in the order in which it was laid.
    audio: Option<Mutex<gst_app::AppSrc>>,
}

impl Tracks {
    pub(super) fn new(video: Option<gst_app::AppSrc>, audio: Option<gst_app::AppSrc>, start: i64) -> Self {
        if let Some(audio) = &audio {
            let caps =
                gst::Caps::builder("audio/x-raw").field("format", "S16LE").field("layout", "interleaved");
            let rate = i32::try_from(RATE).unwrap_or(i32::MAX);
            audio.set_caps(Some(&caps.field("rate", rate).field("channels", 2).build()));
        }
        Self { line: Mutex::new(Timeline::new(start)), video, audio: audio.map(Mutex::new) }
    }

    /// Ends a pass; false if there was nothing in it.
    pub(super) fn next_pass(&self) -> bool {
        let mut line = self.line();
        let empty = line.is_empty();
        line.next_pass();
        !empty
    }

    /// Ends the stream: what has been read is played, then comes the end.
    pub(super) fn end(&self) {
        self.video.as_ref().map(gst_app::AppSrc::end_of_stream);
        self.audio.as_ref().map(|audio| lock(audio).end_of_stream());
    }

    fn line(&self) -> MutexGuard<'_, Timeline> {
        lock(&self.line)
    }

    fn push_video(&self, sample: &gst::Sample) -> Result<gst::FlowSuccess, gst::FlowError> {
        let (Some(track), Some(mut buffer)) = (&self.video, sample.buffer_owned()) else {
            return Ok(gst::FlowSuccess::Ok);
        };
        let Some(time) = running_time(sample, buffer.pts()) else { return Ok(gst::FlowSuccess::Ok) };
        let decode = running_time(sample, buffer.dts());
        let duration =
            buffer.duration().or_else(|| frame_time(sample)).unwrap_or(gst::ClockTime::from_mseconds(40));
        let (place, decode) = {
            let mut line = self.line();
            let duration = i64::try_from(duration.nseconds()).unwrap_or(0);
            let place = line.video(time, duration, frame_rate(sample));
            (place, decode.map(|time| line.place(time).min(place)))
        };
        let writable = buffer.make_mut();
        writable.set_pts(clock_time(place));
        writable.set_dts(decode.map(clock_time));
        let moved = gst::Sample::builder().buffer(&buffer);
        let moved =
            if let Some(caps) = sample.caps() { moved.caps(&caps.to_owned()).build() } else { moved.build() };
        let pushed = track.push_sample(&moved);
        self.push_overdue_silence(place);
        pushed
    }

    /// Pictures do not wait for sound that does not come.
    fn push_overdue_silence(&self, place: i64) {
        // Locked means that sound is just being pushed: then it is not overdue.
        let Some(Ok(track)) = self.audio.as_ref().map(Mutex::try_lock) else { return };
        let overdue = self.line().overdue(place);
        if let Some((at, samples)) = overdue {
            let _ = track.push_buffer(sound(at, vec![0; bytes(samples)]));
        }
    }

    fn push_audio(&self, sample: &gst::Sample) -> Result<gst::FlowSuccess, gst::FlowError> {
        let (Some(track), Some(buffer)) = (&self.audio, sample.buffer()) else {
            return Ok(gst::FlowSuccess::Ok);
        };
        let (Some(time), Ok(map)) = (running_time(sample, buffer.pts()), buffer.map_readable()) else {
            return Ok(gst::FlowSuccess::Ok);
        };
        let track = lock(track);
        let samples = i64::try_from(map.len() / SAMPLE).unwrap_or(0);
        let laid = self.line().audio(time, samples);
        let mut data = vec![0; bytes(laid.silence)];
        data.extend_from_slice(&map[bytes(laid.skip).min(map.len())..]);
        if data.is_empty() {
            return Ok(gst::FlowSuccess::Ok);
        }
        track.push_buffer(sound(laid.at, data))
    }
}

/// One pass over a file.
#[derive(Debug)]
pub(super) struct Reader {
    pipeline: gst::Pipeline,
}

impl Reader {
    /// Opens the file and starts to read. What happens is told to `signals`.
    pub(super) fn start(
        path: &Path,
        passthrough: bool,
        tracks: &Arc<Tracks>,
        signals: mpsc::Sender<Signal>,
    ) -> Result<Self, PipelineError> {
        let pipeline = parse(&describe(passthrough, tracks))?;
        let this = Self { pipeline };
        let source: gst::Element = named(&this.pipeline, "source")?;
        source.set_property("uri", file_uri(path)?);
        if passthrough {
            let stop_at = "video/x-h264;video/x-raw(ANY);audio/x-raw(ANY);text/x-raw;subpicture/x-dvd";
            source.set_property_from_str("caps", stop_at);
        }
        let mut branches = Vec::new();
        if tracks.video.is_some() {
            let tracks = Arc::clone(tracks);
            on_sample(&named(&this.pipeline, "video")?, move |sample| tracks.push_video(sample));
            branches.push(("video/", named::<gst::Element>(&this.pipeline, "video-branch")?));
        }
        if tracks.audio.is_some() {
            let tracks = Arc::clone(tracks);
            on_sample(&named(&this.pipeline, "audio")?, move |sample| tracks.push_audio(sample));
            branches.push(("audio/", named::<gst::Element>(&this.pipeline, "audio-branch")?));
        }
        source.connect_pad_added(move |_, pad| link(pad, &branches));
        watch(&this.pipeline, signals, Signal::Reader);
        play(&this.pipeline)?;
        Ok(this)
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        let _ = self.pipeline.set_state(gst::State::Null);
    }
}

fn describe(passthrough: bool, tracks: &Tracks) -> String {
    let sink = "sync=false async=false max-buffers=4 enable-last-sample=false";
    let mut text = String::from("uridecodebin name=source ");
    match (&tracks.video, passthrough) {
        (None, _) => {}
        (Some(_), true) => text.push_str(&format!(
            "h264parse name=video-branch config-interval=-1 \
             ! video/x-h264,stream-format=byte-stream,alignment=au ! appsink name=video {sink} "
        )),
        (Some(_), false) => {
            text.push_str(&format!(
                "capsfilter name=video-branch caps=video/x-raw ! appsink name=video {sink} "
            ));
        }
    }
    if tracks.audio.is_some() {
        text.push_str(&format!(
            "audioconvert name=audio-branch ! audioresample \
             ! audio/x-raw,format=S16LE,rate={RATE},channels=2,layout=interleaved ! appsink name=audio {sink} "
        ));
    }
    text
}

/// Connects the first pad of every kind.
fn link(pad: &gst::Pad, branches: &[(&str, gst::Element)]) {
    let caps = pad.current_caps().unwrap_or_else(|| pad.query_caps(None));
    let Some(name) = caps.structure(0).map(|s| s.name().to_string()) else { return };
    let branch = branches.iter().find(|(kind, _)| name.starts_with(kind));
    if let Some(sink) = branch.and_then(|(_, element)| element.static_pad("sink")).filter(|s| !s.is_linked())
    {
        // A pad that does not fit stays unlinked, and the reader says so itself if nothing else is.
        let _ = pad.link(&sink);
    }
}

fn on_sample(
    sink: &gst_app::AppSink,
    mut take: impl FnMut(&gst::Sample) -> Result<gst::FlowSuccess, gst::FlowError> + Send + 'static,
) {
    let new_sample =
        move |sink: &gst_app::AppSink| take(&sink.pull_sample().map_err(|_| gst::FlowError::Eos)?);
    sink.set_callbacks(gst_app::AppSinkCallbacks::builder().new_sample(new_sample).build());
}

/// Time from the start of the reader's pass, ns; negative before it.
fn running_time(sample: &gst::Sample, time: Option<gst::ClockTime>) -> Option<i64> {
    let segment = sample.segment()?.downcast_ref::<gst::ClockTime>()?;
    match segment.to_running_time_full(time?)? {
        gst::Signed::Positive(time) => i64::try_from(time.nseconds()).ok(),
        gst::Signed::Negative(time) => i64::try_from(time.nseconds()).ok().map(|t| -t),
    }
}

fn frame_time(sample: &gst::Sample) -> Option<gst::ClockTime> {
    let (numer, denom) = frame_rate(sample)?;
    gst::ClockTime::SECOND.mul_div_floor(u64::try_from(denom).ok()?, u64::try_from(numer).ok()?)
}

/// Pictures per second as a fraction; `None` if they vary.
fn frame_rate(sample: &gst::Sample) -> Option<(i64, i64)> {
    let rate = sample.caps()?.structure(0)?.get::<gst::Fraction>("framerate").ok()?;
    (rate.numer() > 0 && rate.denom() > 0).then(|| (rate.numer().into(), rate.denom().into()))
}

fn sound(at: i64, data: Vec<u8>) -> gst::Buffer {
    let samples = i64::try_from(data.len() / SAMPLE).unwrap_or(0);
    let mut buffer = gst::Buffer::from_mut_slice(data);
    if let Some(writable) = buffer.get_mut() {
        writable.set_pts(clock_time(to_time(at)));
        writable.set_duration(clock_time(to_time(at + samples) - to_time(at)));
    }
    buffer
}

fn clock_time(time: i64) -> gst::ClockTime {
    gst::ClockTime::from_nseconds(u64::try_from(time).unwrap_or(0))
}

fn bytes(samples: i64) -> usize {
    usize::try_from(samples).unwrap_or(0) * SAMPLE
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Whether a signal of a reader is its end.
pub(super) fn is_end(event: &BusEvent) -> bool {
    matches!(event, BusEvent::Eos)
}
