//! Which encoder, and how each one is told the same things.

use gstreamer as gst;
use gstreamer::prelude::*;

use super::super::config::Encoder;
use super::super::error::PipelineError;
use crate::gst::keyframes::force_key_unit;

/// Name of the video encoder in every graph.
pub(super) const VIDEO_ENCODER: &str = "video-encoder";

/// Encoders in hardware, the best ones first. `v4l2h264enc` is what boards with an Arm system on a chip have.
const HARDWARE: [&str; 6] =
    ["nvh264enc", "vah264enc", "vah264lpenc", "qsvh264enc", "vaapih264enc", "v4l2h264enc"];

/// Encoders in software.
const SOFTWARE: [&str; 2] = ["x264enc", "openh264enc"];

/// AAC encoders, the best ones first.
const AAC: [&str; 4] = ["fdkaacenc", "avenc_aac", "voaacenc", "faac"];

/// The encoder that is used: the first in hardware that starts, or one in software.
pub(super) fn choose_video(hardware: bool) -> Result<&'static str, PipelineError> {
    let hardware = HARDWARE.iter().filter(|_| hardware).find(|name| starts(name));
    let software = || SOFTWARE.iter().find(|name| gst::ElementFactory::find(name).is_some());
    let found = hardware.or_else(software).copied();
    found.ok_or_else(|| PipelineError::MissingElement { element: SOFTWARE[0].to_owned() })
}

/// Whether an encoder is in hardware, and so may fail where one in software does not.
pub(super) fn is_hardware(factory: &str) -> bool {
    HARDWARE.contains(&factory)
}

/// The AAC encoder that is used.
pub(super) fn choose_audio() -> Result<&'static str, PipelineError> {
    let found = AAC.iter().find(|name| gst::ElementFactory::find(name).is_some()).copied();
    found.ok_or_else(|| PipelineError::MissingElement { element: AAC[1].to_owned() })
}

/// Whether an encoder can open its device: many are installed on machines without one.
fn starts(factory: &str) -> bool {
    let Ok(element) = gst::ElementFactory::make(factory).build() else { return false };
    let opened = element.set_state(gst::State::Ready).is_ok();
    let _ = element.set_state(gst::State::Null);
    opened
}

/// The encoder as part of a description, with the pixel formats it is given.
pub(super) fn describe(factory: &str, config: &Encoder, framerate: u32) -> String {
    let keyint = config.keyint_max.unwrap_or(framerate.max(1) * 2);
    let kbps = config.bitrate_kbps;
    let settings = match factory {
        "x264enc" => {
            let tune = if config.zerolatency { "tune=zerolatency" } else { "" };
            // No scene cuts and a short buffer: an even rate is worth more on a radio link than the last bit of quality.
            format!(
                "{tune} speed-preset=superfast key-int-max={keyint} vbv-buf-capacity=600 bframes=0 \
                 option-string=scenecut=0"
            )
        }
        "openh264enc" => format!("gop-size={keyint} rate-control=bitrate complexity=low"),
        "nvh264enc" => format!("gop-size={keyint} rc-mode=cbr zerolatency={} bframes=0", config.zerolatency),
        "qsvh264enc" => format!("gop-size={keyint} rate-control=cbr b-frames=0"),
        "vah264enc" | "vah264lpenc" => format!("key-int-max={keyint} rate-control=cbr b-frames=0"),
        "vaapih264enc" => format!("keyframe-period={keyint} rate-control=cbr max-bframes=0"),
        _ => String::new(),
    };
    let rate = match factory {
        "v4l2h264enc" => {
            format!("extra-controls=\"controls,video_bitrate={},h264_i_frame_period={keyint}\"", kbps * 1000)
        }
        "openh264enc" => format!("bitrate={}", kbps * 1000),
        _ => format!("bitrate={kbps}"),
    };
    format!("video/x-raw,format={{I420,NV12}} ! {factory} name={VIDEO_ENCODER} {rate} {settings}")
}

/// Changes the bitrate of a running encoder. Whether it takes effect at once is up to the encoder; these do.
pub(super) fn set_bitrate(encoder: &gst::Element, kbps: u32) {
    match encoder.factory().map(|f| f.name().to_string()).as_deref() {
        Some("v4l2h264enc") => {
            let bps = i32::try_from(kbps * 1000).unwrap_or(i32::MAX);
            let controls = gst::Structure::builder("controls").field("video_bitrate", bps).build();
            encoder.set_property("extra-controls", controls);
        }
        Some("openh264enc") => encoder.set_property("bitrate", kbps * 1000),
        _ => encoder.set_property("bitrate", kbps),
    }
}

/// Has a running encoder make its next picture a keyframe, with the headers that a decoder needs to start from it.
pub(super) fn force_keyframe(encoder: &gst::Element) {
    // What comes from downstream enters an element by its source pad.
    if let Some(pad) = encoder.static_pad("src") {
        pad.send_event(force_key_unit());
    }
}
