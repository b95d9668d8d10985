//! Bodies of the REST API (`control.md` §5).

use std::ops::RangeInclusive;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::bonding::{any_link, wanted_link};
use super::{DeviceStatus, Encoder, EndReason, Source, StreamStats};
use crate::id::{SenderId, StreamId, UserId};
use crate::range;
use crate::time::Timestamp;
use crate::token::{EnrollmentToken, Secret};

/// Body of `POST /api/auth/login`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LoginRequest {
    /// The user's address.
    pub email: String,
    /// The user's password.
    pub password: Secret,
}

/// Body of `POST /api/auth/refresh`, when the refresh token is not in `Authorization: Bearer`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RefreshRequest {
    /// The refresh token.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refresh_token: Option<Secret>,
}

/// Answer to `POST /api/auth/login` and `POST /api/auth/refresh`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LoginTokens {
    /// Access token for `Authorization: Bearer`.
    pub token: Secret,
    /// One-time token for `POST /api/auth/refresh`.
    pub refresh_token: Secret,
    /// Seconds until `token` expires.
    pub expires_in_s: u64,
    /// Who logged in.
    pub user: UserView,
}

/// A user, as the API shows it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct UserView {
    /// The user's id.
    pub id: UserId,
    /// The user's address.
    pub email: String,
    /// What the user may do.
    pub role: Role,
}

/// What a user may do; each role may do what those after it may.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Everything, senders of all owners included.
    Admin,
    /// Create, steer and delete own senders.
    Operator,
    /// Look.
    Viewer,
}

/// Body of `POST /api/senders`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SenderCreate {
    /// Name for people, 1 to 128 characters.
    pub name: String,
    /// How long the enrolment token lives, seconds (default 24 h).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub enrollment_ttl_s: Option<u64>,
}

/// Body of `PATCH /api/senders/{id}`; absent fields stay as they are.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SenderUpdate {
    /// Name for people, 1 to 128 characters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
}

/// Answer to `POST /api/senders`: the only time the enrolment token is shown.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SenderCreated {
    /// The new sender.
    pub sender: SenderView,
    /// One-time token.
    pub enrollment_token: EnrollmentToken,
    /// Until when the token can be used.
    pub enrollment_expires_at: Timestamp,
    /// `strata://enroll?…`: all that a fresh agent needs.
    pub enrollment_uri: String,
    /// The same as a QR code, SVG.
    pub enrollment_qr_svg: String,
    /// The same as a QR code for a terminal.
    pub enrollment_qr_text: String,
}

/// A sender, as the API shows it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SenderView {
    /// The sender's id.
    pub id: SenderId,
    /// Name for people.
    pub name: String,
    /// Who owns it.
    pub owner: UserId,
    /// When it was created.
    pub created_at: Timestamp,
    /// Whether a device has enrolled as this sender.
    pub enrolled: bool,
    /// Whether its device is connected.
    pub presence: Presence,
    /// Why it is not, such as `never_connected`, `closed`, `heartbeat_timeout`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub presence_cause: Option<String>,
    /// When it was last heard.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_seen: Option<Timestamp>,
    /// Name the device gave itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hostname: Option<String>,
    /// Version of the agent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agent_version: Option<String>,
    /// CPU architecture.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub arch: Option<String>,
    /// Commands the agent can carry out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub capabilities: Option<Vec<String>>,
    /// Its running stream.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stream_id: Option<StreamId>,
    /// Its last report; only for one sender, not in lists.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<Box<DeviceStatus>>,
}

/// Whether a device is connected.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Presence {
    /// Connected.
    Online,
    /// Not connected, but its stream may still run.
    Unobserved,
    /// Not connected.
    Offline,
}

/// Body of `POST /api/senders/{id}/stream/start`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StartStream {
    /// Where pictures come from.
    pub source: Source,
    /// How they are encoded.
    #[serde(default)]
    pub encoder: Encoder,
    /// Where the stream is forwarded: `srt://…`, `rtmp://…` or `rtmps://…`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub platform_dest: Option<Secret>,
    /// Interfaces to send over, one link each; the device's connected ones when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub links: Option<Vec<StartLink>>,
    /// How packets are spread over links.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scheduler: Option<super::Scheduler>,
    /// Playout latency of the receiver, ms, within [`LATENCY_MS`] (the server's default when absent).
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "range::setting::<{ *LATENCY_MS.start() }, { *LATENCY_MS.end() }, _>"
    )]
    pub latency_ms: Option<u32>,
    /// Write the stream to a file on the server (the server's default when absent).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub record: Option<bool>,
}

/// What the playout latency of a stream may be, ms: what both ends of a link take as their buffer.
pub const LATENCY_MS: RangeInclusive<u32> = 50..=30_000;

wanted_link! {
    /// One link of a stream to be started.
    #[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
    #[serde(deny_unknown_fields)]
    pub struct StartLink {}
}

/// Body of `POST /api/senders/{id}/stream/update`: the `config.update` of the running stream. Absent fields stay as they are; one
/// of them must be there.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct UpdateStream {
    /// How packets are spread over links.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scheduler: Option<super::Scheduler>,
    /// How pictures are encoded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub encoder: Option<super::EncoderUpdate>,
    /// Every link there is to be from now on, as a whole: what is said of it and not of its `id` here is taken back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub links: Option<Vec<UpdateLink>>,
}

wanted_link! {
    /// One link of a running stream.
    #[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
    #[serde(deny_unknown_fields)]
    pub struct UpdateLink {
        /// Number of the link, as in `stream.stats`: which of the stream's `ports` it leads to, 0 for the first. One that was
        /// removed may come back.
        pub id: u32,
    }
}

/// Body of `POST /api/senders/{id}/stream/stop`; may be empty.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StopStream {
    /// Why (default `user_request`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// A stream, as the API shows it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct StreamView {
    /// The stream's id.
    pub id: StreamId,
    /// Whose stream it is.
    pub sender_id: SenderId,
    /// Where in its life it is.
    pub state: StreamLife,
    /// Whether its sender is connected.
    pub observed: bool,
    /// When it was asked for.
    pub created_at: Timestamp,
    /// When media first arrived.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub live_at: Option<Timestamp>,
    /// When it ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended_at: Option<Timestamp>,
    /// Why it ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub end_reason: Option<EndReason>,
    /// The error in words, when it failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// RTP ports of the receiver, one per link.
    pub ports: Vec<u16>,
    /// File the receiver writes, on the server.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub recording: Option<String>,
    /// Last statistics of the sender; only for one stream, not in lists.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sender_stats: Option<StreamStats>,
    /// Last statistics of the receiver; only for one stream, not in lists.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub receiver_stats: Option<super::ReceiverStats>,
}

/// Where in its life a stream is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StreamLife {
    /// Receiver and agent are being told.
    Starting,
    /// Media flows.
    Live,
    /// The agent was told to stop.
    Stopping,
    /// Over, as wanted.
    Ended,
    /// Over, by a fault.
    Failed,
}

/// An error of the API: a problem document (RFC 9457), `application/problem+json`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Problem {
    /// `about:blank`: the status says it.
    #[serde(rename = "type")]
    pub kind: String,
    /// The status in words.
    pub title: String,
    /// HTTP status.
    pub status: u16,
    /// Stable reason for programs.
    pub code: String,
    /// Reason in words for people.
    pub detail: String,
    /// JSON path of the field that caused it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub field: Option<String>,
    /// Further members, by `code`.
    #[serde(flatten)]
    pub extra: serde_json::Map<String, Value>,
}
