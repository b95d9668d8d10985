//! Bodies of `/api/destinations`: where streams are forwarded (`control.md` §5).

use serde::{Deserialize, Serialize};

use crate::id::DestinationId;
use crate::time::Timestamp;
use crate::token::Secret;

/// Where a destination is, and how its address is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Platform {
    /// YouTube Live; needs only a stream key.
    Youtube,
    /// Twitch; needs only a stream key.
    Twitch,
    /// Any RTMP or RTMPS server.
    Rtmp,
    /// Any SRT listener.
    Srt,
}

/// Body of `POST /api/destinations`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DestinationCreate {
    /// Name for people, 1 to 128 characters.
    pub name: String,
    /// Where it is.
    pub platform: Platform,
    /// `rtmp://…`, `rtmps://…` or `srt://…`; the platform's own ingest when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    /// Stream key; kept encrypted, never returned.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stream_key: Option<Secret>,
}

/// Body of `PUT /api/destinations/{id}`; absent fields stay as they are.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DestinationUpdate {
    /// Name for people, 1 to 128 characters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// The address without the key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    /// A new stream key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stream_key: Option<Secret>,
}

/// A destination, as the API shows it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DestinationView {
    /// The destination's id.
    pub id: DestinationId,
    /// Name for people.
    pub name: String,
    /// Where it is.
    pub platform: Platform,
    /// The address without the key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    /// Whether a stream key is kept for it.
    pub has_stream_key: bool,
    /// When it was created.
    pub created_at: Timestamp,
}
