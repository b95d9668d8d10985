//! `WS /agent/ws`: where agents connect.

use std::net::SocketAddr;

use axum::Extension;
use axum::extract::{ConnectInfo, State};
use axum::response::{IntoResponse as _, Response};
use http::StatusCode;
use strata_proto::control::ErrorCode;

use super::upgrade::Upgrade;
use super::{ApiError, App, limit};
use crate::session::driver;
use crate::session::places::Full;

pub(super) async fn connect(
    State(app): State<App>,
    peer: Option<Extension<ConnectInfo<SocketAddr>>>,
    upgrade: Upgrade,
) -> Response {
    let network = peer.map(|Extension(ConnectInfo(peer))| limit::network(peer.ip()));
    let pending = match app.agent_places().admit(network) {
        Ok(pending) => pending,
        Err(Full::Agents) => return full("agents").into_response(),
        Err(Full::Pending) => return full("agents that have not logged in").into_response(),
        Err(Full::Network) => return crowded().into_response(),
    };
    let session = &app.config().session;
    let config = driver::websocket_config(session.max_message_bytes);
    let served = app.clone();
    upgrade.accept_gated(&app, config, Some(session.max_login_bytes), move |socket| async move {
        driver::serve(socket, pending, served.fleet().clone(), &served.config().session).await;
    })
}

/// Every place is taken.
pub(super) fn full(whom: &str) -> ApiError {
    let detail = format!("too many {whom} are connected; try again later");
    ApiError::new(StatusCode::SERVICE_UNAVAILABLE, ErrorCode::other("too_many_connections"), detail)
        .retry_after(30)
}

/// Every place for one address is taken.
fn crowded() -> ApiError {
    let detail = "too many connections from this address have not logged in; try again later";
    ApiError::new(StatusCode::TOO_MANY_REQUESTS, ErrorCode::RATE_LIMITED, detail).retry_after(10)
}
