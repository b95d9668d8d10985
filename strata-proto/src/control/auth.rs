//! Login: the first messages of a connection (`control.md` §2, §4).

use serde::{Deserialize, Serialize};

use super::Fault;
use crate::id::SenderId;
use crate::range;
use crate::token::{EnrollmentToken, Secret};

/// `auth.login`: who the agent is. One of `enrollment_token`, `sender_id` + `device_key`, or
/// `sender_id` + `device_public_key` opens the session.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Login {
    /// One-time token, on the first connection only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub enrollment_token: Option<EnrollmentToken>,
    /// Who the agent is, once it has enrolled.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sender_id: Option<SenderId>,
    /// The key the server issued at enrolment, for agents without a key pair.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub device_key: Option<Secret>,
    /// The agent's Ed25519 public key, 32 bytes in base64url without padding.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub device_public_key: Option<String>,
    /// Version of the agent's software.
    pub agent_version: String,
    /// Name of the device.
    pub hostname: String,
    /// CPU architecture, such as `aarch64`.
    pub arch: String,
    /// Commands the agent can carry out, by their message type; the server refuses the others
    /// before sending them. Unknown names are kept: a newer agent may know more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub capabilities: Option<Vec<String>>,
}

/// `auth.challenge`: the server asks for proof that the agent holds its private key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Challenge {
    /// A fresh random text; the agent signs its UTF-8 bytes as they stand.
    pub challenge: String,
    /// Who the agent is. Only in the answer to an enrolment token that this very key used a moment ago: the
    /// first answer was lost, and the agent cannot know its id yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sender_id: Option<SenderId>,
}

/// `auth.challenge.response`: the proof.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChallengeResponse {
    /// Who signs.
    pub sender_id: SenderId,
    /// Ed25519 signature (RFC 8032) of the challenge, 64 bytes in base64url without padding.
    pub signature: String,
}

/// `auth.login.response`: the outcome of a login.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct LoginResponse {
    /// Whether the session is open.
    pub success: bool,
    /// Why it is not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<Fault>,
    /// Who the agent is from now on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sender_id: Option<SenderId>,
    /// Session token (JWT, EdDSA), carried in every envelope that follows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session_token: Option<Secret>,
    /// Key for later logins; only at the enrolment of an agent that sent no public key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub device_key: Option<Secret>,
    /// What the server wants of the agent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub config: Option<AgentSettings>,
}

/// Settings a control plane hands to its agents at login.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct AgentSettings {
    /// Seconds between two `device.status`, 1 to 3600 (default 10).
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "range::setting::<1, 3600, _>"
    )]
    pub status_interval_s: Option<u32>,
    /// Seconds between two `stream.stats`, 1 to 3600 (default 1).
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "range::setting::<1, 3600, _>"
    )]
    pub stats_interval_s: Option<u32>,
}
