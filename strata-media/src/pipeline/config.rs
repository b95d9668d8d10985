//! What is to be sent.

use std::fmt;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::error::PipelineError;

/// What is to be sent: a source, and how its pictures are encoded.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SendConfig {
    /// Where pictures and sound come from.
    pub source: Source,
    /// Width and height in pixels, both even; the source's own when absent. The picture's shape is kept, with bars.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resolution: Option<(u32, u32)>,
    /// Pictures per second; the source's own when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub framerate: Option<u32>,
    /// How pictures are encoded.
    #[serde(default)]
    pub encoder: Encoder,
}

impl SendConfig {
    /// A source, everything else as it comes.
    #[must_use]
    pub fn new(source: Source) -> Self {
        Self { source, resolution: None, framerate: None, encoder: Encoder::default() }
    }

    /// Checks what can be checked without opening anything.
    ///
    /// # Errors
    /// [`PipelineError::Config`] with the first field that cannot be.
    pub fn check(&self) -> Result<(), PipelineError> {
        let bad = |field, reason: &str| Err(PipelineError::Config { field, reason: reason.to_owned() });
        let side = |n: u32| (16..=8192).contains(&n) && n.is_multiple_of(2);
        match self.resolution {
            Some((w, h)) if !side(w) || !side(h) => {
                return bad("resolution", "expected two even numbers from 16 to 8192");
            }
            _ => {}
        }
        if self.framerate.is_some_and(|n| !(1..=240).contains(&n)) {
            return bad("framerate", "expected 1 to 240 pictures per second");
        }
        self.encoder.check()?;
        match &self.source {
            Source::File { passthrough: true, .. }
                if self.resolution.is_some() || self.framerate.is_some() =>
            {
                bad("source.passthrough", "pictures that pass through keep their size and rate")
            }
            Source::Rtsp { uri } if !uri.starts_with("rtsp://") && !uri.starts_with("rtsps://") => {
                bad("source.uri", "expected rtsp://host/… or rtsps://host/…")
            }
            _ => Ok(()),
        }
    }
}

/// Where pictures and sound come from.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "mode", rename_all = "snake_case")]
#[non_exhaustive]
pub enum Source {
    /// A moving test picture and a tone; 1280×720 at 30 pictures per second unless told otherwise.
    Test,
    /// A file in any container and codec that GStreamer reads, played in real time.
    File {
        /// The file.
        path: PathBuf,
        /// Start over at its end, without a seam: one continuous time line.
        #[serde(rename = "loop", default = "yes")]
        repeat: bool,
        /// Send its H.264 as it is. Sound is encoded anyway, so that it has no seam.
        #[serde(default)]
        passthrough: bool,
    },
    /// A camera or capture card, without sound.
    V4l2 {
        /// Device node, such as `/dev/video0`.
        device: PathBuf,
    },
    /// A network camera.
    Rtsp {
        /// `rtsp://…`; it may hold a password and is not shown.
        uri: String,
    },
}

impl fmt::Debug for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Test => f.write_str("Test"),
            Self::File { path, repeat, passthrough } => {
                let mut out = f.debug_struct("File");
                out.field("path", path).field("repeat", repeat).field("passthrough", passthrough).finish()
            }
            Self::V4l2 { device } => f.debug_struct("V4l2").field("device", device).finish(),
            Self::Rtsp { .. } => f.write_str("Rtsp(…)"),
        }
    }
}

/// How pictures are encoded.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Encoder {
    /// Video bitrate, kbit/s; the most, when it follows the links.
    pub bitrate_kbps: u32,
    /// Encode less when the links carry less, and more again when they do. Without effect on pictures that pass through.
    pub adaptive: bool,
    /// The least video bitrate, kbit/s, as long as the links can carry that; a tenth of `bitrate_kbps` when absent.
    pub min_bitrate_kbps: Option<u32>,
    /// How fast the bitrate rises again: percent of `bitrate_kbps` per second, 1 to 1000; it falls at once.
    pub ramp_percent: u32,
    /// Encode without looking ahead, for the least delay.
    pub zerolatency: bool,
    /// Most pictures between two keyframes; two seconds of them when absent.
    pub keyint_max: Option<u32>,
    /// Use a hardware encoder when GStreamer has one that starts.
    pub hardware: bool,
}

impl Default for Encoder {
    /// 4000 kbit/s or what the links carry, zero latency, hardware if there is one.
    fn default() -> Self {
        Self {
            bitrate_kbps: 4000,
            adaptive: true,
            min_bitrate_kbps: None,
            ramp_percent: 10,
            zerolatency: true,
            keyint_max: None,
            hardware: true,
        }
    }
}

/// What changes in a running encoder; absent fields stay as they are. Without effect on pictures that pass through.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct EncoderUpdate {
    /// [`Encoder::bitrate_kbps`], from the next picture on.
    pub bitrate_kbps: Option<u32>,
    /// [`Encoder::adaptive`].
    pub adaptive: Option<bool>,
    /// [`Encoder::min_bitrate_kbps`].
    pub min_bitrate_kbps: Option<u32>,
    /// [`Encoder::ramp_percent`].
    pub ramp_percent: Option<u32>,
}

impl Encoder {
    /// With what an update gives.
    pub(super) fn with(&self, update: &EncoderUpdate) -> Self {
        Self {
            bitrate_kbps: update.bitrate_kbps.unwrap_or(self.bitrate_kbps),
            adaptive: update.adaptive.unwrap_or(self.adaptive),
            min_bitrate_kbps: update.min_bitrate_kbps.or(self.min_bitrate_kbps),
            ramp_percent: update.ramp_percent.unwrap_or(self.ramp_percent),
            ..self.clone()
        }
    }

    /// Checks its limits, as a whole.
    pub(super) fn check(&self) -> Result<(), PipelineError> {
        let bad = |field, reason: &str| Err(PipelineError::Config { field, reason: reason.to_owned() });
        if !(50..=200_000).contains(&self.bitrate_kbps) {
            return bad("encoder.bitrate_kbps", "expected 50 to 200000 kbit/s");
        }
        if self.min_bitrate_kbps.is_some_and(|least| least > self.bitrate_kbps) {
            return bad("encoder.min_bitrate_kbps", "expected no more than encoder.bitrate_kbps");
        }
        if !(1..=1000).contains(&self.ramp_percent) {
            return bad("encoder.ramp_percent", "expected 1 to 1000 percent per second");
        }
        if self.keyint_max == Some(0) {
            return bad("encoder.keyint_max", "expected at least 1 picture");
        }
        Ok(())
    }
}

fn yes() -> bool {
    true
}
