//! What ffprobe and ffmpeg say about a file.

use std::path::Path;

use anyhow::{Context as _, Result};
use serde::Deserialize;

use crate::program::run_tool;

/// One elementary stream.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub(super) struct Stream {
    /// Its number in the file.
    pub(super) index: usize,
    /// `video`, `audio`, …
    #[serde(default)]
    pub(super) codec_type: String,
    /// Such as `h264`.
    #[serde(default)]
    pub(super) codec_name: String,
    /// Pixels per line, for video.
    pub(super) width: Option<u32>,
    /// Lines, for video.
    pub(super) height: Option<u32>,
    /// Samples per second, for audio.
    pub(super) sample_rate: Option<String>,
}

/// One coded picture or audio frame.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub(super) struct Packet {
    /// Number of its stream.
    pub(super) stream_index: usize,
    /// When it is shown, in units of 1/90000 s.
    pub(super) pts: Option<i64>,
    /// Where it starts in the file, bytes.
    pub(super) pos: Option<String>,
    /// `K` at the start for a keyframe.
    #[serde(default)]
    pub(super) flags: String,
}

impl Packet {
    /// Whether decoding can start here.
    #[must_use]
    pub(super) fn is_key(&self) -> bool {
        self.flags.starts_with('K')
    }

    /// Where it starts in the file, bytes.
    #[must_use]
    pub(super) fn offset(&self) -> Option<u64> {
        self.pos.as_deref()?.parse().ok()
    }
}

/// Streams and packets of a file, as ffprobe lists them.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
pub(super) struct Probe {
    /// Every elementary stream.
    #[serde(default)]
    pub(super) streams: Vec<Stream>,
    /// Every coded frame, in the order of the file.
    #[serde(default)]
    pub(super) packets: Vec<Packet>,
}

impl Probe {
    /// The first stream of a kind.
    #[must_use]
    pub(super) fn stream(&self, kind: &str) -> Option<&Stream> {
        self.streams.iter().find(|stream| stream.codec_type == kind)
    }

    /// The frames of a stream.
    #[must_use]
    pub(super) fn packets_of(&self, stream: &Stream) -> Vec<&Packet> {
        self.packets.iter().filter(|packet| packet.stream_index == stream.index).collect()
    }
}

/// Lists streams and packets.
///
/// # Errors
/// When ffprobe is missing or cannot read the file.
pub(super) async fn probe(file: &Path) -> Result<Probe> {
    let path = file.to_str().context("the file's name is not UTF-8")?;
    let entries =
        "stream=index,codec_type,codec_name,width,height,sample_rate:packet=stream_index,pts,pos,flags";
    let (json, _) =
        run_tool("ffprobe", &["-v", "error", "-show_entries", entries, "-of", "json", path]).await?;
    serde_json::from_slice(&json).context("ffprobe's answer")
}

/// What a full decode gave.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Decoded {
    /// Pictures.
    pub(super) video_frames: u64,
    /// Audio frames.
    pub(super) audio_frames: u64,
    /// What the decoders complained about.
    pub(super) complaints: Vec<String>,
}

/// Decodes the first video and the first audio stream from start to end.
///
/// # Errors
/// When ffmpeg is missing or gives up.
pub(super) async fn decode(file: &Path) -> Result<Decoded> {
    let path = file.to_str().context("the file's name is not UTF-8")?;
    let args = [
        "-nostdin",
        "-hide_banner",
        "-v",
        "error",
        "-i",
        path,
        "-map",
        "0:v:0",
        "-map",
        "0:a:0",
        "-fps_mode",
        "passthrough",
        "-f",
        "framecrc",
        "-",
    ];
    let (lines, complaints) = run_tool("ffmpeg", &args).await?;
    let lines = String::from_utf8_lossy(&lines);
    let frames = |stream: &str| lines.lines().filter(|line| line.starts_with(stream)).count() as u64;
    Ok(Decoded {
        video_frames: frames("0,"),
        audio_frames: frames("1,"),
        complaints: complaints.lines().map(str::to_owned).collect(),
    })
}
