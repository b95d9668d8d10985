//! Logins: what is asked of the fleet, what it answers, and what can be checked without it.

use strata_proto::control::{AgentSettings, ErrorCode, Fault};
use strata_proto::id::SenderId;
use strata_proto::time::Timestamp;
use strata_proto::token::{EnrollmentToken, Secret};

use crate::store::DeviceInfo;

/// A login to be checked.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Attempt {
    /// By one-time token, binding the public key if there is one; the same once more may give
    /// [`Verdict::Challenge`].
    Enroll { token: EnrollmentToken, public_key: Option<[u8; 32]>, info: DeviceInfo },
    /// By the key the server issued.
    DeviceKey { sender: SenderId, key: Secret, info: DeviceInfo },
    /// First half of a login by key pair: wants [`Verdict::Challenge`].
    Challenge { sender: SenderId, public_key: Option<[u8; 32]> },
    /// Second half: the signature was good.
    Proven { sender: SenderId, public_key: [u8; 32], info: DeviceInfo },
}

/// The fleet's answer to an [`Attempt`].
#[derive(Debug)]
pub(crate) enum Verdict {
    /// Let the agent sign this text with that key, to prove that it is this sender.
    Challenge { sender: SenderId, challenge: String, public_key: [u8; 32] },
    /// The session is open.
    Accepted(Accepted),
    /// It is not, for this reason.
    Refused(Fault),
}

/// An open session.
#[derive(Debug)]
pub(crate) struct Accepted {
    pub(crate) sender: SenderId,
    pub(crate) token: Secret,
    pub(crate) expires_at: Timestamp,
    /// Only at the enrolment of an agent without a public key.
    pub(crate) device_key: Option<Secret>,
    pub(crate) settings: AgentSettings,
}

impl Attempt {
    /// Who it says it is; nobody yet at enrolment.
    pub(super) fn sender(&self) -> Option<&SenderId> {
        match self {
            Self::Enroll { .. } => None,
            Self::DeviceKey { sender, .. } | Self::Challenge { sender, .. } | Self::Proven { sender, .. } => {
                Some(sender)
            }
        }
    }
}

/// What is kept of a login that may be challenged.
#[derive(Debug)]
pub(super) struct Asks {
    pub(super) info: DeviceInfo,
    /// The device cannot know which sender it is, and must be told.
    pub(super) is_enrollment: bool,
}

/// What a login asks of the fleet.
pub(super) fn attempt_of(login: strata_proto::control::Login) -> Result<(Attempt, Option<Asks>), Fault> {
    let info = DeviceInfo {
        hostname: shortened(login.hostname),
        agent_version: shortened(login.agent_version),
        arch: shortened(login.arch),
        capabilities: login.capabilities.map(|mut list| {
            list.truncate(MAX_CAPABILITIES);
            list.into_iter().map(shortened).collect()
        }),
    };
    let public_key = match login.device_public_key.as_deref() {
        None => None,
        Some(text) => Some(decode_base64(text).ok_or_else(|| {
            let message = "expected 32 bytes in base64url without padding";
            Fault::new(ErrorCode::INVALID_FIELD, message).with_field("payload.device_public_key")
        })?),
    };
    match (login.enrollment_token, login.sender_id, login.device_key) {
        (Some(token), None, None) => {
            let asks = Asks { info: info.clone(), is_enrollment: true };
            Ok((Attempt::Enroll { token, public_key, info }, Some(asks)))
        }
        (None, Some(sender), Some(key)) => Ok((Attempt::DeviceKey { sender, key, info }, None)),
        (None, Some(sender), None) => {
            let asks = Asks { info, is_enrollment: false };
            Ok((Attempt::Challenge { sender, public_key }, Some(asks)))
        }
        _ => {
            let message = "expected enrollment_token, or sender_id with device_key or device_public_key";
            Err(Fault::new(ErrorCode::INVALID_FIELD, message).with_field("payload"))
        }
    }
}

/// What a device says of itself is kept, but not at any length.
fn shortened(text: String) -> String {
    if text.len() <= MAX_INFO { text } else { text.chars().take(MAX_INFO / 4).collect() }
}

/// Whether `signature` (base64url) proves the key.
pub(super) fn signed(public_key: &[u8; 32], challenge: &str, signature: &str) -> bool {
    let Ok(key) = ed25519_dalek::VerifyingKey::from_bytes(public_key) else { return false };
    let Some(signature) = decode_base64::<64>(signature) else { return false };
    let signature = ed25519_dalek::Signature::from_bytes(&signature);
    key.verify_strict(challenge.as_bytes(), &signature).is_ok()
}

/// base64url without padding, as we write it; the other alphabet and padding are accepted.
pub(crate) fn decode_base64<const N: usize>(text: &str) -> Option<[u8; N]> {
    use base64::Engine as _;
    // Longer than any padded form of N bytes: not worth a copy.
    if text.len() > N * 2 {
        return None;
    }
    let plain: String = text
        .trim_end_matches('=')
        .chars()
        .map(|c| match c {
            '+' => '-',
            '/' => '_',
            c => c,
        })
        .collect();
    let bytes = base64::engine::general_purpose::URL_SAFE_NO_PAD.decode(plain).ok()?;
    bytes.try_into().ok()
}

/// Longest hostname, version or command name that is kept, bytes.
const MAX_INFO: usize = 256;
/// Commands an agent may list; there are 15 today.
const MAX_CAPABILITIES: usize = 128;
