//! What answers a request: `<type>.response`, and the `error` message.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// A stable, machine-readable reason.
///
/// The constants are the codes of this protocol; other texts may come from newer peers.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ErrorCode(Cow<'static, str>);

macro_rules! codes {
    ($($(#[$doc:meta])* $name:ident = $text:literal;)*) => {
        impl ErrorCode {
            $($(#[$doc])* pub const $name: Self = Self(Cow::Borrowed($text));)*
        }
    };
}

codes! {
    /// The host or agent cannot do this.
    UNSUPPORTED = "unsupported";
    /// The message type is not known.
    UNKNOWN_TYPE = "unknown_type";
    /// The text is not JSON.
    MALFORMED_JSON = "malformed_json";
    /// A required field is missing.
    MISSING_FIELD = "missing_field";
    /// A field has a wrong type or value.
    INVALID_FIELD = "invalid_field";
    /// The first message must be `auth.login`.
    LOGIN_REQUIRED = "login_required";
    /// The enrolment token is wrong, expired or used.
    INVALID_ENROLLMENT_TOKEN = "invalid_enrollment_token";
    /// Device key or signature do not prove the identity.
    INVALID_CREDENTIALS = "invalid_credentials";
    /// The device was revoked.
    REVOKED = "revoked";
    /// The session token's time is over; log in again on the same socket.
    TOKEN_EXPIRED = "token_expired";
    /// The session token is not the one issued to this connection.
    TOKEN_INVALID = "token_invalid";
    /// Too many messages; wait before sending more.
    RATE_LIMITED = "rate_limited";
    /// The sender is not connected.
    SENDER_OFFLINE = "sender_offline";
    /// A stream is running.
    BUSY_STREAMING = "busy_streaming";
    /// There is no such stream, file, interface, …
    NOT_FOUND = "not_found";
    /// The answer did not come in time.
    TIMEOUT = "timeout";
    /// The request was cancelled.
    CANCELLED = "cancelled";
    /// Something broke on the answering side.
    INTERNAL = "internal";
}

impl ErrorCode {
    /// A code of another text.
    #[must_use]
    pub fn other(text: impl Into<String>) -> Self {
        Self(Cow::Owned(text.into()))
    }

    /// The code as written on the wire.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// What went wrong: payload of `error`, and `error` inside a [`Reply`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fault {
    /// Stable reason for programs.
    pub code: ErrorCode,
    /// Reason in words for people.
    pub message: String,
    /// JSON path of the field that caused it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub field: Option<String>,
}

impl Fault {
    /// A fault without a field.
    #[must_use]
    pub fn new(code: ErrorCode, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), field: None }
    }

    /// The same fault, naming the field that caused it.
    #[must_use]
    pub fn with_field(mut self, field: impl Into<String>) -> Self {
        self.field = Some(field.into());
        self
    }
}

impl From<&crate::DecodeError> for Fault {
    fn from(error: &crate::DecodeError) -> Self {
        Self::new(ErrorCode::other(error.kind.code()), error.reason.clone()).with_field(error.path.clone())
    }
}

/// Payload of every `<type>.response` but the login's: `{success, error?, …}`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Reply {
    /// Whether the request was carried out.
    pub success: bool,
    /// Why it was not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<Fault>,
    /// Further fields, by request.
    #[serde(flatten)]
    pub result: Map<String, Value>,
}

impl Reply {
    /// Success without further fields.
    #[must_use]
    pub fn ok() -> Self {
        Self { success: true, ..Self::default() }
    }

    /// Success with the fields of `result`, which must serialise to a JSON object; anything else,
    /// and an object with a field `success` or `error`, is put under `result`.
    ///
    /// # Errors
    /// When `result` cannot be serialised.
    pub fn with<T: Serialize>(result: &T) -> Result<Self, serde_json::Error> {
        let result = match serde_json::to_value(result)? {
            Value::Object(map) if !map.contains_key("success") && !map.contains_key("error") => map,
            other => Map::from_iter([("result".to_owned(), other)]),
        };
        Ok(Self { success: true, error: None, result })
    }

    /// Failure.
    #[must_use]
    pub fn failed(fault: Fault) -> Self {
        Self { success: false, error: Some(fault), result: Map::new() }
    }

    /// The further fields as `T`.
    ///
    /// # Errors
    /// When they do not fit `T`.
    pub fn parse<T: serde::de::DeserializeOwned>(&self) -> Result<T, serde_json::Error> {
        T::deserialize(Value::Object(self.result.clone()))
    }
}
