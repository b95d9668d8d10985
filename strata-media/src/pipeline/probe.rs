//! What this machine and its files have to offer.
//!
//! Everything here blocks, and loads GStreamer: an agent calls it in a process of its own.

use std::path::{Path, PathBuf};
use std::time::Duration;

use gstreamer as gst;
use gstreamer::prelude::*;
use gstreamer_pbutils as pbutils;
use gstreamer_pbutils::prelude::*;
use serde::{Deserialize, Serialize};

use super::element::{file_uri, from_error};
use super::error::PipelineError;

/// What a file or an address holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MediaInfo {
    /// Length, if it has one.
    pub duration: Option<Duration>,
    /// Its first video.
    pub video: Option<VideoInfo>,
    /// Whether there is sound.
    pub audio: bool,
}

/// What a video is like.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct VideoInfo {
    /// Pixels per line; 0 if not known.
    pub width: u32,
    /// Lines; 0 if not known.
    pub height: u32,
    /// Pictures per second, rounded; absent if not known or varying.
    pub framerate: Option<u32>,
    /// GStreamer's name of the format, such as `video/x-h264`.
    pub codec: String,
}

/// A device that captures pictures.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct VideoInput {
    /// Device node, such as `/dev/video0`.
    pub device: PathBuf,
    /// Name for people.
    pub label: String,
    /// What it can do: `1920x1080@30`, largest first, without repetition, at most 64.
    pub capabilities: Vec<String>,
    /// Whether it can be opened now; otherwise something else is using it.
    pub available: bool,
}

/// Looks into a file, for at most `timeout`.
///
/// # Errors
/// [`PipelineError::NotFound`], [`PipelineError::Unusable`] or [`PipelineError::Unsupported`] with the reason.
pub fn file(path: &Path, timeout: Duration) -> Result<MediaInfo, PipelineError> {
    let refused = |e: std::io::Error| {
        let (element, reason) = ("source".to_owned(), format!("{}: {e}", path.display()));
        match e.kind() {
            std::io::ErrorKind::NotFound => PipelineError::NotFound { element, reason },
            _ => PipelineError::Unusable { element, reason },
        }
    };
    if !std::fs::File::open(path).and_then(|f| f.metadata()).map_err(refused)?.is_file() {
        let reason = format!("{} is not a file", path.display());
        return Err(PipelineError::Unusable { element: "source".into(), reason });
    }
    uri(&file_uri(path)?, timeout)
}

/// Looks into whatever a URI leads to, for at most `timeout`.
///
/// # Errors
/// As [`file()`].
pub fn uri(uri: &str, timeout: Duration) -> Result<MediaInfo, PipelineError> {
    super::init()?;
    let source = |e: &gst::glib::Error| from_error("source".into(), e, None);
    let timeout = gst::ClockTime::try_from(timeout).unwrap_or(gst::ClockTime::from_seconds(10));
    let discoverer = pbutils::Discoverer::new(timeout).map_err(|e| source(&e))?;
    let info = discoverer.discover_uri(uri).map_err(|e| source(&e))?;
    let unsupported =
        |reason: &str| PipelineError::Unsupported { element: "source".into(), reason: reason.into() };
    match info.result() {
        pbutils::DiscovererResult::Timeout => {
            return Err(unsupported("it took too long to find out what it is"));
        }
        pbutils::DiscovererResult::MissingPlugins => {
            return Err(unsupported("GStreamer has no plugin installed that reads it"));
        }
        _ => {}
    }
    let media = MediaInfo {
        duration: info.duration().map(Duration::from),
        video: info.video_streams().iter().find(|v| !v.is_image()).map(video),
        audio: !info.audio_streams().is_empty(),
    };
    match media {
        MediaInfo { video: None, audio: false, .. } => Err(unsupported("it holds no pictures and no sound")),
        media => Ok(media),
    }
}

fn video(info: &pbutils::DiscovererVideoInfo) -> VideoInfo {
    let rate = info.framerate();
    let (numer, denom) = (u32::try_from(rate.numer()).unwrap_or(0), u32::try_from(rate.denom()).unwrap_or(0));
    let framerate = (numer + denom / 2).checked_div(denom).filter(|&n| n > 0);
    let codec = info.caps().and_then(|caps| caps.structure(0).map(|s| s.name().to_string()));
    let codec = codec.unwrap_or_else(|| "unknown".to_owned());
    VideoInfo { width: info.width(), height: info.height(), framerate, codec }
}

/// Capture devices of this machine. Nodes that carry only metadata, or only take pictures, are left out.
///
/// # Errors
/// When GStreamer cannot be loaded or has no device monitor.
pub fn video_inputs() -> Result<Vec<VideoInput>, PipelineError> {
    super::init()?;
    let monitor = gst::DeviceMonitor::new();
    monitor.add_filter(Some("Video/Source"), None);
    monitor
        .start()
        .map_err(|e| PipelineError::Element { element: "devices".into(), reason: e.to_string() })?;
    let devices = monitor.devices();
    monitor.stop();
    let mut inputs: Vec<_> = devices.iter().filter_map(input).collect();
    inputs.sort_by(|a, b| a.device.cmp(&b.device));
    inputs.dedup_by(|a, b| a.device == b.device);
    Ok(inputs)
}

fn input(device: &gst::Device) -> Option<VideoInput> {
    let properties = device.properties()?;
    let path = ["device.path", "api.v4l2.path"].iter().find_map(|key| properties.get::<String>(*key).ok())?;
    let capabilities = capabilities(&device.caps()?);
    if capabilities.is_empty() {
        return None;
    }
    let source = device.create_element(None).ok();
    let available = source.as_ref().is_some_and(|s| s.set_state(gst::State::Ready).is_ok());
    if let Some(source) = source {
        let _ = source.set_state(gst::State::Null);
    }
    Some(VideoInput {
        device: path.into(),
        label: device.display_name().to_string(),
        capabilities,
        available,
    })
}

/// Sizes and highest rates of everything that is pictures.
fn capabilities(caps: &gst::Caps) -> Vec<String> {
    let mut found: Vec<(i32, i32, i32)> = caps.iter().filter_map(capability).collect();
    found.sort_by_key(|&(w, h, fps)| std::cmp::Reverse((i64::from(w) * i64::from(h), w, fps)));
    found.dedup();
    found.truncate(64);
    found.into_iter().map(|(w, h, fps)| format!("{w}x{h}@{fps}")).collect()
}

fn capability(structure: &gst::StructureRef) -> Option<(i32, i32, i32)> {
    let pictures = structure.name().starts_with("video/") || structure.name().starts_with("image/");
    let side = |name: &str| {
        let range = || structure.get::<gst::IntRange<i32>>(name).ok().map(|r| r.max());
        structure.get::<i32>(name).ok().or_else(range)
    };
    let rounded = |f: gst::Fraction| f.numer().checked_div(f.denom());
    let rate = structure.get::<gst::Fraction>("framerate").ok().and_then(rounded);
    let rates = || {
        let list = structure.get::<gst::List>("framerate").ok()?;
        list.iter().filter_map(|v| v.get::<gst::Fraction>().ok().and_then(rounded)).max()
    };
    let range = || {
        let range = structure.get::<gst::FractionRange>("framerate").ok()?;
        rounded(range.max())
    };
    let fps = rate.or_else(rates).or_else(range).filter(|&n| n > 0)?;
    pictures.then_some((side("width")?, side("height")?, fps))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn capabilities_are_sizes_with_their_highest_rate() {
        super::super::init().unwrap();
        let caps: gst::Caps = "video/x-raw,width=640,height=480,framerate={30/1,15/1};\
             image/jpeg,width=1920,height=1080,framerate=[1/1,60/1];image/jpeg,width=640,height=480,framerate=30/1;\
             application/x-metadata"
            .parse()
            .unwrap();
        assert_eq!(capabilities(&caps), ["1920x1080@60", "640x480@30"]);
    }

    #[test]
    fn inputs_can_be_asked_for_on_any_machine() {
        for input in video_inputs().unwrap() {
            assert!(input.device.starts_with("/dev") && !input.capabilities.is_empty());
        }
    }

    #[test]
    fn what_is_wrong_with_a_file_is_said() {
        let dir = tempfile::tempdir().unwrap();
        let error = |path: &Path| file(path, Duration::from_secs(5)).unwrap_err();
        assert!(matches!(error(&dir.path().join("none.mp4")), PipelineError::NotFound { .. }));
        assert!(matches!(error(dir.path()), PipelineError::Unusable { .. }));
        let text = dir.path().join("text.mp4");
        std::fs::write(&text, "this is not a video").unwrap();
        let error = error(&text);
        assert!(matches!(error, PipelineError::Unsupported { .. }), "{error}");
    }
}
