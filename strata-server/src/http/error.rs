//! Errors of the API as problem documents (RFC 9457).

use axum::response::{IntoResponse, Response};
use http::{HeaderValue, StatusCode, header};
use serde_json::{Map, Value};
use strata_proto::control::{ErrorCode, Fault, Problem};
use strata_proto::{DecodeError, DecodeErrorKind};

use crate::fleet::{CommandError, FleetError, UserError};
use crate::store::StoreError;

/// An error of the API: HTTP status, stable code, words for people, and the field that caused it.
#[derive(Debug, Clone, PartialEq)]
pub struct ApiError {
    status: StatusCode,
    code: ErrorCode,
    detail: String,
    field: Option<String>,
    retry_after_s: Option<u64>,
    extra: Map<String, Value>,
}

impl ApiError {
    /// An error with a stable `code` for programs and a `detail` for people.
    #[must_use]
    pub fn new(status: StatusCode, code: ErrorCode, detail: impl Into<String>) -> Self {
        let (detail, extra) = (detail.into(), Map::new());
        Self { status, code, detail, field: None, retry_after_s: None, extra }
    }

    /// 404 `not_found`.
    #[must_use]
    pub fn not_found(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, ErrorCode::NOT_FOUND, detail)
    }

    /// 409 with a code of its own, such as `stream_active`.
    #[must_use]
    pub fn conflict(code: &'static str, detail: impl Into<String>) -> Self {
        Self::new(StatusCode::CONFLICT, ErrorCode::other(code), detail)
    }

    /// 422 `invalid_field` about the field at `path`.
    #[must_use]
    pub fn invalid(path: impl Into<String>, detail: impl Into<String>) -> Self {
        Self::new(StatusCode::UNPROCESSABLE_ENTITY, ErrorCode::INVALID_FIELD, detail).with_field(path)
    }

    /// 500 `internal`; the reason goes to the log, not to the caller.
    #[must_use]
    pub fn internal(reason: impl std::fmt::Display) -> Self {
        tracing::error!(%reason, "request failed");
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, ErrorCode::INTERNAL, "something broke on the server")
    }

    /// The agent answered that it would not do it; code and field are the agent's. 422 when the request
    /// asks for what the device does not have or cannot do, 409 when the device is busy, 429 when it is still at the request
    /// before, 502 for what the caller cannot help: any other fault, and one in what the control plane added (`ours`).
    #[must_use]
    pub fn refused(fault: &Fault, ours: bool) -> Self {
        let asked = [
            ErrorCode::INVALID_FIELD,
            ErrorCode::MISSING_FIELD,
            ErrorCode::NOT_FOUND,
            ErrorCode::UNSUPPORTED,
        ];
        let status = match &fault.code {
            _ if ours => StatusCode::BAD_GATEWAY,
            code if asked.contains(code) => StatusCode::UNPROCESSABLE_ENTITY,
            code if *code == ErrorCode::BUSY_STREAMING => StatusCode::CONFLICT,
            code if *code == ErrorCode::RATE_LIMITED => StatusCode::TOO_MANY_REQUESTS,
            _ => StatusCode::BAD_GATEWAY,
        };
        let mut error = Self::new(status, fault.code.clone(), fault.message.clone());
        error.field.clone_from(&fault.field);
        error
    }

    /// The same error, naming the field that caused it.
    #[must_use]
    pub fn with_field(mut self, path: impl Into<String>) -> Self {
        self.field = Some(path.into());
        self
    }

    /// The same error with a further member.
    #[must_use]
    pub fn with(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.extra.insert(name.to_owned(), value.into());
        self
    }

    /// The same error with `Retry-After`.
    #[must_use]
    pub fn retry_after(mut self, seconds: u64) -> Self {
        self.retry_after_s = Some(seconds);
        self
    }

    /// HTTP status.
    #[must_use]
    pub fn status(&self) -> StatusCode {
        self.status
    }

    /// Stable reason for programs.
    #[must_use]
    pub fn code(&self) -> &ErrorCode {
        &self.code
    }

    /// As the fault of a live WebSocket frame.
    #[must_use]
    pub fn into_fault(self) -> Fault {
        Fault { code: self.code, message: self.detail, field: self.field }
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let problem = Problem {
            kind: "about:blank".to_owned(),
            title: self.status.canonical_reason().unwrap_or("Error").to_owned(),
            status: self.status.as_u16(),
            code: self.code.as_str().to_owned(),
            detail: self.detail,
            field: self.field,
            extra: self.extra,
        };
        let body = serde_json::to_string(&problem).unwrap_or_default();
        let kind = (header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        let mut response = (self.status, [kind], body).into_response();
        if let Some(seconds) = self.retry_after_s {
            response.headers_mut().insert(header::RETRY_AFTER, seconds.into());
        }
        if self.status == StatusCode::UNAUTHORIZED {
            response.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        response
    }
}

impl From<DecodeError> for ApiError {
    fn from(error: DecodeError) -> Self {
        let status = match error.kind {
            DecodeErrorKind::Syntax => StatusCode::BAD_REQUEST,
            _ => StatusCode::UNPROCESSABLE_ENTITY,
        };
        Self::new(status, ErrorCode::other(error.kind.code()), error.reason).with_field(error.path)
    }
}

impl From<StoreError> for ApiError {
    fn from(error: StoreError) -> Self {
        Self::internal(error)
    }
}

impl From<FleetError> for ApiError {
    fn from(error: FleetError) -> Self {
        match error {
            FleetError::NotFound(_) => Self::not_found(error.to_string()),
            FleetError::Invalid { field, reason } => Self::invalid(field, reason),
            FleetError::Store(error) => error.into(),
        }
    }
}

impl From<UserError> for ApiError {
    fn from(error: UserError) -> Self {
        let unauthorized =
            |code| Self::new(StatusCode::UNAUTHORIZED, ErrorCode::other(code), error.to_string());
        match error {
            UserError::Credentials => unauthorized("invalid_credentials"),
            UserError::Refresh(crate::store::RefreshRefusal::Reused) => unauthorized("refresh_token_reused"),
            UserError::Refresh(_) => unauthorized("invalid_refresh_token"),
            UserError::NotFound(_) => Self::not_found(error.to_string()),
            UserError::Taken(_) => Self::conflict("email_taken", error.to_string()),
            UserError::Invalid { field, reason } => Self::invalid(field, reason),
            UserError::Store(error) => error.into(),
            UserError::Crypto(reason) => Self::internal(reason),
        }
    }
}

impl From<CommandError> for ApiError {
    fn from(error: CommandError) -> Self {
        let (status, code) = match error {
            CommandError::Offline => (StatusCode::CONFLICT, ErrorCode::SENDER_OFFLINE),
            CommandError::Unsupported(_) => (StatusCode::CONFLICT, ErrorCode::UNSUPPORTED),
            CommandError::Busy => (StatusCode::TOO_MANY_REQUESTS, ErrorCode::RATE_LIMITED),
            CommandError::Gone => (StatusCode::BAD_GATEWAY, ErrorCode::other("sender_gone")),
            CommandError::Timeout => (StatusCode::GATEWAY_TIMEOUT, ErrorCode::TIMEOUT),
        };
        Self::new(status, code, error.to_string())
    }
}
