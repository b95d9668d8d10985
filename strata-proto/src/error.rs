//! Why bytes did not become a message: which field, what was expected.

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
    /// Makes an error about the field at `path`.
    #[must_use]
    pub fn new(kind: DecodeErrorKind, path: impl Into<String>, reason: impl Into<String>) -> Self {
        Self { kind, path: path.into(), reason: reason.into() }
    }
}

/// Decodes one JSON document into `T`, prefixing the error's path with `prefix` (empty for none).
///
/// # Errors
/// [`DecodeError`] with the JSON path of the first field that did not fit.
pub fn from_json<'de, T: serde::Deserialize<'de>>(json: &'de str, prefix: &str) -> Result<T, DecodeError> {
    let mut de = serde_json::Deserializer::from_str(json);
    let value = serde_path_to_error::deserialize(&mut de).map_err(|e| located(prefix, &e))?;
    de.end().map_err(|e| DecodeError::new(DecodeErrorKind::Syntax, root(prefix), e.to_string()))?;
    Ok(value)
}

fn located(prefix: &str, error: &serde_path_to_error::Error<serde_json::Error>) -> DecodeError {
    let inner = error.inner();
    let reason = strip_position(&inner.to_string());
    let mut path = join(prefix, &error.path().to_string());
    let kind = match inner.classify() {
        serde_json::error::Category::Data => match reason.strip_prefix("missing field `") {
            Some(rest) => {
                // serde names the struct's path; the missing field itself is what a reader looks for.
                path = join(&path, rest.trim_end_matches('`'));
                DecodeErrorKind::Missing
            }
            None => DecodeErrorKind::Invalid,
        },
        _ => DecodeErrorKind::Syntax,
    };
    DecodeError::new(kind, path, reason)
}

fn join(prefix: &str, path: &str) -> String {
    match (prefix, path) {
        ("" | ".", "." | "") => ".".to_owned(),
        ("" | ".", path) => path.to_owned(),
        (prefix, "." | "") => prefix.to_owned(),
        (prefix, path) => format!("{prefix}.{path}"),
    }
}

fn root(prefix: &str) -> String {
    join(prefix, ".")
}

/// Line and column mean little in a one-line message, and would change with unrelated fields.
fn strip_position(message: &str) -> String {
    message.rsplit_once(" at line ").map_or(message, |(head, _)| head).to_owned()
}
