//! What every request goes through: a time limit, security headers, counting.

use axum::extract::{MatchedPath, Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use http::{HeaderName, HeaderValue, StatusCode, header};
use strata_proto::control::ErrorCode;

use super::{ApiError, App};

/// Answers 504 when a handler takes too long. WebSockets answer 101 at once and live on.
pub(super) async fn time_limit(State(app): State<App>, request: Request, next: Next) -> Response {
    let limit = app.config().http.request_timeout();
    match tokio::time::timeout(limit, next.run(request)).await {
        Ok(response) => response,
        Err(_) => {
            let detail = "the request took too long";
            ApiError::new(StatusCode::GATEWAY_TIMEOUT, ErrorCode::TIMEOUT, detail).into_response()
        }
    }
}

/// Adds headers that keep browsers from guessing, framing and caching.
pub(super) async fn security_headers(request: Request, next: Next) -> Response {
    secured(next.run(request).await)
}

/// The same for an answer that no layer sees.
pub(super) fn secured(mut response: Response) -> Response {
    for (name, value) in HEADERS {
        response.headers_mut().entry(name).or_insert(HeaderValue::from_static(value));
    }
    response
}

/// Counts answers by route and status, and logs them without their query.
pub(super) async fn count(State(app): State<App>, request: Request, next: Next) -> Response {
    let method = request.method().clone();
    let matched = request.extensions().get::<MatchedPath>().cloned();
    let route = matched.as_ref().map(MatchedPath::as_str);
    let response = next.run(request).await;
    app.metrics().answered(&method, route, response.status());
    tracing::debug!(%method, route, status = response.status().as_u16(), "answered");
    response
}

/// The answer to a panic: the request is lost, the server is not.
pub(super) fn on_panic(_: Box<dyn std::any::Any + Send>) -> Response {
    ApiError::internal("a handler panicked").into_response()
}

const HEADERS: [(HeaderName, &str); 6] = [
    (header::CACHE_CONTROL, "no-store"),
    (header::CONTENT_SECURITY_POLICY, "default-src 'none'; frame-ancestors 'none'"),
    (header::REFERRER_POLICY, "no-referrer"),
    (header::STRICT_TRANSPORT_SECURITY, "max-age=31536000"),
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::X_FRAME_OPTIONS, "DENY"),
];
