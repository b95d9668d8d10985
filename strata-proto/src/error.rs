//! Why bytes did not become a message: which field, what was expected.

use serde::Deserialize;
use serde::de::IgnoredAny;
use thiserror::Error;

/// What kind of fault a [`DecodeError`] reports.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum DecodeErrorKind {
    /// The text is not JSON, or ends too early.
    Syntax,
    /// A required field is missing.
    Missing,
    /// A field has another JSON type, or a value outside what its type allows.
    Invalid,
    /// The message type is not known; the connection lives on.
    UnknownType,
}

impl DecodeErrorKind {
    /// The stable `code` of the `error` message that reports this fault to the peer.
    #[must_use]
    pub fn code(self) -> &'static str {
        match self {
            Self::Syntax => "malformed_json",
            Self::Missing => "missing_field",
            Self::Invalid => "invalid_field",
            Self::UnknownType => "unknown_type",
        }
    }
}

/// Bytes that did not decode: where, and what was expected there.
///
/// Both texts are short, whatever the peer sent: they can be logged and sent back.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{path}: {reason}")]
pub struct DecodeError {
    /// What kind of fault it is.
    pub kind: DecodeErrorKind,
    /// JSON path of the field, such as `payload.links[0].rtt_ms`; `.` for the whole document.
    pub path: String,
    /// What is wrong with the field and what was expected, in words.
    pub reason: String,
}

impl DecodeError {
    /// Makes an error about the field at `path`. Texts over [`MAX_ERROR_TEXT`] bytes are cut.
    #[must_use]
    pub fn new(kind: DecodeErrorKind, path: impl Into<String>, reason: impl Into<String>) -> Self {
        Self { kind, path: cut(path.into()), reason: cut(reason.into()) }
    }
}

/// The longest path or reason of a [`DecodeError`], bytes. A peer chooses map keys and enum values,
/// which appear in both.
pub const MAX_ERROR_TEXT: usize = 256;

/// Decodes one JSON object into `T`, prefixing the error's path with `prefix` (empty for none).
///
/// # Errors
/// [`DecodeError`] with the JSON path of the first field that did not fit; for a text that is not
/// JSON with the position instead.
pub fn from_json<'de, T: Deserialize<'de>>(json: &'de str, prefix: &str) -> Result<T, DecodeError> {
    require_object(json, prefix)?;
    // Tracking the path costs an allocation per key: only a text that failed pays it.
    serde_json::from_str(json).map_err(|plain| {
        let mut de = serde_json::Deserializer::from_str(json);
        match serde_path_to_error::deserialize::<_, T>(&mut de) {
            Err(error) => located(json, prefix, error.path(), error.inner()),
            Ok(_) => malformed(prefix, &plain),
        }
    })
}

/// serde would take an array for a struct, field by field; a message is an object.
pub(crate) fn require_object(json: &str, prefix: &str) -> Result<(), DecodeError> {
    if json.trim_start_matches([' ', '\t', '\r', '\n']).starts_with('{') {
        return Ok(());
    }
    Err(match serde_json::from_str::<IgnoredAny>(json) {
        Ok(_) => DecodeError::new(DecodeErrorKind::Invalid, join(prefix, "."), "expected an object"),
        Err(e) => malformed(prefix, &e),
    })
}

/// Turns serde's error at `path` of `json` into ours.
pub(crate) fn located(
    json: &str,
    prefix: &str,
    path: &serde_path_to_error::Path,
    error: &serde_json::Error,
) -> DecodeError {
    let mut reason = without_position(error);
    let path = join(prefix, &path.to_string());
    if error.classify() != serde_json::error::Category::Data {
        if let Err(syntax) = serde_json::from_str::<IgnoredAny>(json) {
            return malformed(prefix, &syntax);
        }
        // The text is JSON, only not what the field takes: a number for an enum, 1e999, nested too deep.
        if reason == "expected value" {
            reason = "invalid type, expected a string".to_owned();
        }
    }
    // For these, serde names the object; the field itself is what a reader looks for.
    let named = |what: &str| reason.strip_prefix(what).and_then(|rest| rest.split('`').next());
    if let Some(field) = named("missing field `") {
        return DecodeError::new(DecodeErrorKind::Missing, join(&path, field), reason);
    }
    match named("duplicate field `") {
        Some(field) if !path.ends_with(field) => {
            DecodeError::new(DecodeErrorKind::Invalid, join(&path, field), reason)
        }
        _ => DecodeError::new(DecodeErrorKind::Invalid, path, reason),
    }
}

/// The text is not JSON: no field is at fault, but a place in the text.
pub(crate) fn malformed(prefix: &str, error: &serde_json::Error) -> DecodeError {
    DecodeError::new(DecodeErrorKind::Syntax, join(prefix, "."), error.to_string())
}

fn join(prefix: &str, path: &str) -> String {
    match (prefix, path) {
        ("" | ".", "." | "") => ".".to_owned(),
        ("" | ".", path) => path.to_owned(),
        (prefix, "." | "") => prefix.to_owned(),
        (prefix, path) => format!("{prefix}.{path}"),
    }
}

/// Where a field is named, line and column say nothing more.
pub(crate) fn without_position(error: &serde_json::Error) -> String {
    let mut text = error.to_string();
    if error.line() > 0
        && let Some(at) = text.rfind(" at line ")
    {
        text.truncate(at);
    }
    text
}

fn cut(mut text: String) -> String {
    if text.len() > MAX_ERROR_TEXT {
        let mut end = MAX_ERROR_TEXT - '…'.len_utf8();
        while !text.is_char_boundary(end) {
            end -= 1;
        }
        text.truncate(end);
        text.push('…');
    }
    text
}
