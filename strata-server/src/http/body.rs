//! JSON bodies whose errors name the field.

use axum::body::Bytes;
use axum::extract::{FromRequest, Request};
use http::{StatusCode, header};
use serde::de::DeserializeOwned;
use strata_proto::control::ErrorCode;
use strata_proto::{DecodeError, DecodeErrorKind};

use super::{ApiError, App};

/// A JSON body. Not JSON at all is 400, a field that does not fit is 422 with its path, too big is 413.
#[derive(Debug, Clone, Copy)]
pub struct Body<T>(pub T);

/// The same, but an empty body is `T::default()`.
#[derive(Debug, Clone, Copy)]
pub struct OptionalBody<T>(pub T);

impl<T: DeserializeOwned> FromRequest<App> for Body<T> {
    type Rejection = ApiError;

    async fn from_request(request: Request, app: &App) -> Result<Self, ApiError> {
        decode(&read(request, app).await?).map(Self)
    }
}

impl<T: DeserializeOwned + Default> FromRequest<App> for OptionalBody<T> {
    type Rejection = ApiError;

    async fn from_request(request: Request, app: &App) -> Result<Self, ApiError> {
        let bytes = read(request, app).await?;
        if bytes.is_empty() { Ok(Self(T::default())) } else { decode(&bytes).map(Self) }
    }
}

async fn read(request: Request, app: &App) -> Result<Bytes, ApiError> {
    if let Some(kind) = request.headers().get(header::CONTENT_TYPE) {
        let essence = kind.to_str().unwrap_or_default().split(';').next().unwrap_or_default().trim();
        if !essence.eq_ignore_ascii_case("application/json") {
            let detail = "expected Content-Type: application/json";
            let code = ErrorCode::other("unsupported_media_type");
            return Err(ApiError::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, code, detail));
        }
    }
    Bytes::from_request(request, app).await.map_err(|rejection| {
        let (status, code) = match rejection.status() {
            StatusCode::PAYLOAD_TOO_LARGE => (StatusCode::PAYLOAD_TOO_LARGE, "body_too_large"),
            _ => (StatusCode::BAD_REQUEST, "body_unreadable"),
        };
        ApiError::new(status, ErrorCode::other(code), rejection.body_text())
    })
}

fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, ApiError> {
    let text = std::str::from_utf8(bytes)
        .map_err(|e| DecodeError::new(DecodeErrorKind::Syntax, ".", format!("not UTF-8: {e}")))?;
    Ok(strata_proto::error::from_json(text, "")?)
}
