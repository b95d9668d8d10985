//! The graph from pictures and sound to packets of transport stream.

use std::fmt::Write as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use gstreamer as gst;
use gstreamer::prelude::*;
use gstreamer_app as gst_app;
use tokio::sync::mpsc;

use super::super::config::{SendConfig, Source};
use super::super::element::{named, parse};
use super::super::error::PipelineError;
use super::super::probe::MediaInfo;
use super::encoder;

/// Seven packets of transport stream, what fits into one RTP packet (SMPTE 2022-2).
const PAYLOAD: usize = 7 * 188;

/// What has been encoded and waits for the other medium: never dropped, and enough for badly interleaved files.
const ENCODED_QUEUE: &str = "queue max-size-buffers=0 max-size-bytes=33554432 max-size-time=5000000000";

/// Pictures that come whether there is time for them or not: the oldest gives way.
const LIVE_QUEUE: &str = "queue leaky=downstream max-size-time=0 max-size-bytes=0 max-size-buffers=8";

/// What an `appsrc` holds before its reader waits.
const READ_AHEAD: &str = "format=time block=true max-bytes=0 max-buffers=60 max-time=400000000";

/// A graph that runs, or can.
#[derive(Debug)]
pub(super) struct Graph {
    pub(super) pipeline: gst::Pipeline,
    pub(super) encoder: Option<gst::Element>,
    pub(super) encoder_factory: &'static str,
    /// Bytes of video that were encoded.
    pub(super) encoded: Arc<AtomicU64>,
    pub(super) video_in: Option<gst_app::AppSrc>,
    pub(super) audio_in: Option<gst_app::AppSrc>,
}

impl Graph {
    /// Builds it; packets go to `packets`.
    pub(super) fn build(
        config: &SendConfig,
        media: &MediaInfo,
        video_encoder: &'static str,
        packets: mpsc::Sender<Bytes>,
    ) -> Result<Self, PipelineError> {
        let pipeline = parse(&describe(config, media, video_encoder)?)?;
        match &config.source {
            Source::V4l2 { device } => {
                named::<gst::Element>(&pipeline, "source")?
                    .set_property("device", device.display().to_string());
            }
            Source::Rtsp { uri } => named::<gst::Element>(&pipeline, "source")?.set_property("uri", uri),
            Source::Test | Source::File { .. } => {}
        }
        let encoded = Arc::new(AtomicU64::new(0));
        if let Some(pad) = pipeline.by_name("video-out").and_then(|e| e.static_pad("src")) {
            count(&pad, Arc::clone(&encoded));
        }
        deliver(&named(&pipeline, "packets")?, packets);
        Ok(Self {
            encoder: pipeline.by_name(encoder::VIDEO_ENCODER),
            encoder_factory: video_encoder,
            encoded,
            video_in: named(&pipeline, "video-in").ok(),
            audio_in: named(&pipeline, "audio-in").ok(),
            pipeline,
        })
    }
}

fn describe(config: &SendConfig, media: &MediaInfo, video_encoder: &str) -> Result<String, PipelineError> {
    let mut text = String::from(
        "mpegtsmux name=mux alignment=7 latency=300000000 \
         ! appsink name=packets sync=false async=false enable-last-sample=false ",
    );
    if media.video.is_some() {
        let head = match &config.source {
            Source::Test => {
                let ((w, h), fps) =
                    (config.resolution.unwrap_or((1280, 720)), config.framerate.unwrap_or(30));
                format!(
                    "videotestsrc name=source pattern=zone-plate kx2=8 ky2=8 kt=4 \
                     ! video/x-raw,format=I420,width={w},height={h},framerate={fps}/1 ! clocksync"
                )
            }
            Source::File { .. } => format!("appsrc name=video-in {READ_AHEAD} ! clocksync"),
            Source::V4l2 { .. } => {
                format!("v4l2src name=source ! {} ! decodebin ! {LIVE_QUEUE}", capture_caps(config))
            }
            Source::Rtsp { .. } => format!("uridecodebin name=source source. ! video/x-raw ! {LIVE_QUEUE}"),
        };
        let body = if matches!(config.source, Source::File { passthrough: true, .. }) {
            String::new()
        } else {
            let framerate = config.framerate.or(media.video.as_ref().and_then(|v| v.framerate)).unwrap_or(30);
            format!(
                "! {} {} ",
                reshape(config, media),
                encoder::describe(video_encoder, &config.encoder, framerate)
            )
        };
        let _ = write!(
            text,
            "{head} {body}! h264parse name=video-out config-interval=-1 \
             ! video/x-h264,stream-format=byte-stream,alignment=au ! {ENCODED_QUEUE} ! mux. "
        );
    }
    if media.audio {
        let head = match &config.source {
            Source::Test => {
                "audiotestsrc name=tone wave=sine freq=440 volume=0.1 samplesperbuffer=960 ! clocksync".into()
            }
            Source::File { .. } => format!("appsrc name=audio-in {READ_AHEAD} ! clocksync"),
            _ => "source. ! audio/x-raw ! queue ! audioconvert ! audioresample ! audiorate".to_owned(),
        };
        let aac = encoder::choose_audio()?;
        let _ = write!(
            text,
            "{head} ! audio/x-raw,rate=48000,channels=2 ! audioconvert ! {aac} name=audio-encoder bitrate=128000 \
             ! aacparse ! {ENCODED_QUEUE} ! mux. "
        );
    }
    Ok(text)
}

/// Picture size and rate; nothing that is not asked for.
fn reshape(config: &SendConfig, media: &MediaInfo) -> String {
    let mut text = String::from("videoconvert ! ");
    let odd = media.video.as_ref().filter(|v| v.width % 2 + v.height % 2 > 0);
    let even = odd.map(|v| (v.width & !1, v.height & !1));
    let live = matches!(config.source, Source::V4l2 { .. } | Source::Rtsp { .. });
    if let Some((w, h)) = config.resolution.or(even).filter(|_| config.source != Source::Test) {
        let _ = write!(text, "videoscale ! video/x-raw,width={w},height={h},pixel-aspect-ratio=1/1 ! ");
    }
    match config.framerate {
        Some(fps) if config.source != Source::Test => {
            let _ = write!(text, "videorate ! video/x-raw,framerate={fps}/1 ! ");
        }
        _ if live => text.push_str("videorate skip-to-first=true ! "),
        _ => {}
    }
    text
}

/// What a capture device is asked for; it may give pictures raw or as JPEG.
fn capture_caps(config: &SendConfig) -> String {
    let mut wanted = String::new();
    if let Some((w, h)) = config.resolution {
        let _ = write!(wanted, ",width={w},height={h}");
    }
    if let Some(fps) = config.framerate {
        let _ = write!(wanted, ",framerate={fps}/1");
    }
    format!("video/x-raw{wanted};image/jpeg{wanted};video/x-h264{wanted}")
}

fn count(pad: &gst::Pad, total: Arc<AtomicU64>) {
    pad.add_probe(gst::PadProbeType::BUFFER, move |_, info| {
        if let Some(buffer) = info.buffer() {
            total.fetch_add(buffer.size() as u64, Ordering::Relaxed);
        }
        gst::PadProbeReturn::Ok
    });
}

/// Gives everything that arrives at `sink` to `packets`, in payloads; the graph waits while nobody takes them.
fn deliver(sink: &gst_app::AppSink, packets: mpsc::Sender<Bytes>) {
    let new_sample = move |sink: &gst_app::AppSink| {
        let sample = sink.pull_sample().map_err(|_| gst::FlowError::Eos)?;
        for payload in sample.buffer_owned().into_iter().flat_map(payloads) {
            packets.blocking_send(payload).map_err(|_| gst::FlowError::Flushing)?;
        }
        Ok(gst::FlowSuccess::Ok)
    };
    sink.set_callbacks(gst_app::AppSinkCallbacks::builder().new_sample(new_sample).build());
}

/// The payloads of a buffer, none if it cannot be read. They share its memory, which the multiplexer made for it and lets go: no
/// pool runs empty while the bond keeps them.
fn payloads(buffer: gst::Buffer) -> impl Iterator<Item = Bytes> {
    let mut data = buffer.into_mapped_buffer_readable().map(Bytes::from_owner).unwrap_or_default();
    std::iter::from_fn(move || (!data.is_empty()).then(|| data.split_to(data.len().min(PAYLOAD))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn payloads_are_the_buffer_itself() {
        gst::init().unwrap();
        for len in [0, 188, PAYLOAD, PAYLOAD + 188, 3 * PAYLOAD] {
            let data: Vec<u8> = (0..len).map(|at| at as u8).collect();
            let (expected, mut at) = (data.clone(), data.as_ptr());
            let payloads: Vec<_> = payloads(gst::Buffer::from_slice(data)).collect();
            assert_eq!(payloads.concat(), expected);
            for payload in &payloads {
                assert_eq!(payload.as_ptr(), at, "not copied");
                assert!(payload.len() <= PAYLOAD);
                at = payload.as_ptr_range().end;
            }
        }
    }
}
