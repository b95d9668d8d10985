//! From an HTTP request to a WebSocket (RFC 6455 §4.2), without more buffers than needed.

use std::future::Future;

use axum::body::Body;
use axum::extract::FromRequestParts;
use axum::response::Response;
use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use hyper::upgrade::{OnUpgrade, Upgraded};
use hyper_util::rt::TokioIo;
use strata_proto::control::ErrorCode;
use tokio_tungstenite::WebSocketStream;
use tungstenite::handshake::derive_accept_key;
use tungstenite::protocol::{Role, WebSocketConfig};

use super::{ApiError, App};
use crate::session::gate::Gate;

/// The server's end of a WebSocket.
pub(super) type Socket = WebSocketStream<Gate<TokioIo<Upgraded>>>;

/// A request that wants to become a WebSocket.
#[derive(Debug)]
pub(super) struct Upgrade {
    key: HeaderValue,
    on_upgrade: OnUpgrade,
}

impl Upgrade {
    /// Answers 101 and runs `serve` on the socket, as a task that `app` knows of.
    pub(super) fn accept<F>(
        self,
        app: &App,
        config: WebSocketConfig,
        serve: impl FnOnce(Socket) -> F + Send + 'static,
    ) -> Response
    where
        F: Future<Output = ()> + Send + 'static,
    {
        self.accept_gated(app, config, None, serve)
    }

    /// The same, reading no more than `limit` bytes until the gate is lifted.
    pub(super) fn accept_gated<F>(
        self,
        app: &App,
        config: WebSocketConfig,
        limit: Option<usize>,
        serve: impl FnOnce(Socket) -> F + Send + 'static,
    ) -> Response
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let Self { key, on_upgrade } = self;
        let accept = derive_accept_key(key.as_bytes());
        // Boxed after the upgrade: the handshake's and the session's state never lie side by side.
        app.connections().spawn(async move {
            let upgraded = match on_upgrade.await {
                Ok(upgraded) => Gate::new(TokioIo::new(upgraded), limit),
                Err(error) => return tracing::debug!(%error, "upgrade failed"),
            };
            let socket = WebSocketStream::from_raw_socket(upgraded, Role::Server, Some(config)).await;
            Box::pin(serve(socket)).await;
        });
        let mut response = Response::new(Body::empty());
        *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
        let headers = response.headers_mut();
        headers.insert(header::CONNECTION, HeaderValue::from_static("upgrade"));
        headers.insert(header::UPGRADE, HeaderValue::from_static("websocket"));
        if let Ok(accept) = HeaderValue::from_str(&accept) {
            headers.insert(header::SEC_WEBSOCKET_ACCEPT, accept);
        }
        response
    }
}

impl<S: Sync> FromRequestParts<S> for Upgrade {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, ApiError> {
        let wanted = parts.method == Method::GET
            && has_token(&parts.headers, header::CONNECTION, "upgrade")
            && has_token(&parts.headers, header::UPGRADE, "websocket")
            && has_token(&parts.headers, header::SEC_WEBSOCKET_VERSION, "13");
        let key = parts.headers.get(header::SEC_WEBSOCKET_KEY).cloned();
        let on_upgrade = parts.extensions.remove::<OnUpgrade>();
        match (wanted, key, on_upgrade) {
            (true, Some(key), Some(on_upgrade)) => Ok(Self { key, on_upgrade }),
            _ => {
                let code = ErrorCode::other("upgrade_required");
                let detail = "this is a WebSocket (version 13)";
                Err(ApiError::new(StatusCode::UPGRADE_REQUIRED, code, detail))
            }
        }
    }
}

fn has_token(headers: &HeaderMap, name: HeaderName, token: &str) -> bool {
    let values = headers.get_all(name);
    let mut parts = values.iter().filter_map(|v| v.to_str().ok()).flat_map(|v| v.split(','));
    parts.any(|part| part.trim().eq_ignore_ascii_case(token))
}
