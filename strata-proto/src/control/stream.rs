//! What a stream is made of, and what it reports (`control.md` §4).

use std::fmt;
use std::ops::RangeInclusive;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use thiserror::Error;

use crate::id::StreamId;
use crate::range;

/// Where pictures come from.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Source {
    /// Kind of source.
    pub mode: SourceMode,
    /// Device node, for `v4l2`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub device: Option<String>,
    /// File below the agent's media directory (relative), for `file`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// `rtsp://…`, for `rtsp`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub uri: Option<String>,
    /// Picture size; the source's own when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resolution: Option<Resolution>,
    /// Pictures per second, 1 to 480; the source's own when absent.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "range::setting::<1, 480, _>"
    )]
    pub framerate: Option<u32>,
    /// Start a file over at its end (default true).
    #[serde(rename = "loop", default, skip_serializing_if = "Option::is_none")]
    pub repeat: Option<bool>,
    /// Send a file's H.264 as it is, without encoding it again (default false).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub passthrough: Option<bool>,
}

/// Kind of source.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum SourceMode {
    /// Moving test picture and tone.
    #[default]
    Test,
    /// A saved file.
    File,
    /// A camera or capture card.
    V4l2,
    /// A network camera.
    Rtsp,
}

/// Picture size in pixels, written `1920x1080`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Resolution {
    /// Pixels per line, 16 to 8192, even.
    pub width: u32,
    /// Lines, 16 to 8192, even.
    pub height: u32,
}

/// A text that is not a picture size.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("invalid resolution, expected WIDTHxHEIGHT, both even and from 16 to 8192, such as 1920x1080")]
pub struct ParseResolutionError;

impl fmt::Display for Resolution {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}x{}", self.width, self.height)
    }
}

impl FromStr for Resolution {
    type Err = ParseResolutionError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let side = |text: &str| match text.parse::<u32>() {
            Ok(n) if (16..=8192).contains(&n) && n % 2 == 0 => Ok(n),
            _ => Err(ParseResolutionError),
        };
        let (width, height) = text.split_once('x').ok_or(ParseResolutionError)?;
        Ok(Self { width: side(width)?, height: side(height)? })
    }
}

impl Serialize for Resolution {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Resolution {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<str>::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

/// How pictures are encoded.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Encoder {
    /// Video bitrate, kbit/s, 1 to 1 000 000 on the wire; a stream is started with one of [`BITRATE_KBPS`].
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "range::setting::<1, 1000000, _>"
    )]
    pub bitrate_kbps: Option<u32>,
    /// x264 tune, such as `zerolatency`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tune: Option<String>,
    /// Most pictures between two keyframes, 1 to 100 000.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "range::setting::<1, 100000, _>"
    )]
    pub keyint_max: Option<u32>,
    /// Encode less when the links carry less, and more again when they do (default true). Not in `control.md`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub adaptive: Option<bool>,
    /// The least video bitrate while the links can carry that, kbit/s, at most `bitrate_kbps`, of which it is a tenth when absent. Not in
    /// `control.md` either.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "range::setting::<1, 1000000, _>"
    )]
    pub min_bitrate_kbps: Option<u32>,
    /// How fast it rises again: percent of `bitrate_kbps` per second, 1 to 1000 (default 10). Not in `control.md` either.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "range::setting::<1, 1000, _>"
    )]
    pub ramp_percent: Option<u32>,
}

/// Video bitrates that a stream can be started with, kbit/s.
pub const BITRATE_KBPS: RangeInclusive<u32> = 50..=200_000;

/// `stream.stats`: once per second while streaming.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct StreamStats {
    /// Which stream.
    pub stream_id: StreamId,
    /// Time since its start, seconds.
    pub uptime_s: u64,
    /// What the encoder gives now, kbit/s.
    pub encoder_bitrate_kbps: u32,
    /// What the encoder was asked for, kbit/s.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target_bitrate_kbps: Option<u32>,
    /// Every link of the bond.
    pub links: Vec<LinkStats>,
}

/// One link of a bond, in `stream.stats`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LinkStats {
    /// Number of the link in `bonding_config`.
    pub id: u32,
    /// Interface it leaves by.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub interface: Option<String>,
    /// State of the link.
    pub state: LinkState,
    /// Smoothed round-trip time, ms; 0 before the first answer.
    #[serde(with = "range::millis")]
    pub rtt_ms: f64,
    /// Share of packets lost, 0 to 1.
    #[serde(with = "range::ratio")]
    pub loss_rate: f64,
    /// Estimated capacity, bit/s; 0 before the first answer.
    pub capacity_bps: u64,
    /// Bytes sent since the start of the stream.
    pub sent_bytes: u64,
    /// Signal strength, dBm.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signal_dbm: Option<i32>,
    /// Rate sent now, bit/s.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sent_bps: Option<u64>,
    /// Packets the receiver asked for again, since the start of the stream.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lost_packets: Option<u64>,
    /// Packets sent again over this link, since the start of the stream.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retransmitted_packets: Option<u64>,
    /// Bytes sent and not yet known to have arrived.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub in_flight_bytes: Option<u64>,
    /// Estimated queueing delay on the link, ms.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "range::optional_millis")]
    pub queue_ms: Option<f64>,
    /// The least round-trip time lately, ms: its baseline, without a queue. Not in `control.md`.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "range::optional_millis")]
    pub rtt_min_ms: Option<f64>,
    /// Rate at which packets arrive, bit/s. Not in `control.md`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub delivery_bps: Option<u64>,
    /// How well [`capacity_bps`](Self::capacity_bps) is founded, 0 to 1. Not in `control.md`.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "range::optional_ratio")]
    pub capacity_confidence: Option<f64>,
    /// Why the link cannot be used, such as an interface that is not there. Not in `control.md`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

/// State of one link of a bond.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[non_exhaustive]
pub enum LinkState {
    /// Nothing has come back yet.
    Probe,
    /// Answers come; its capacity is being found.
    Warm,
    /// Carries its share.
    Live,
    /// Carries less: loss or delay is high.
    Degraded,
    /// Was dead, answers again, and waits to be trusted.
    Cooldown,
    /// Nothing comes back.
    Dead,
    /// A state of a newer agent.
    #[serde(other)]
    Unknown,
}

/// `stream.ended`: a stream stopped, and why. Journalled until the server answers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StreamEnded {
    /// Which stream.
    pub stream_id: StreamId,
    /// Why.
    pub reason: EndReason,
    /// How long it ran, seconds.
    pub duration_s: u64,
    /// Bytes sent over all links.
    pub total_bytes: u64,
    /// The error in words, when the reason is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

/// Why a stream stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum EndReason {
    /// A person asked for it.
    UserStop,
    /// Something failed; see `error`.
    Error,
    /// The control plane asked for it.
    ControlPlaneStop,
    /// The agent was told to end.
    AgentShutdown,
    /// Nothing was heard for too long.
    Timeout,
    /// The media pipeline died.
    PipelineCrash,
    /// A reason of a newer agent.
    #[serde(other)]
    Unknown,
}
