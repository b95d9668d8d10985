//! `WS /agent/ws`: where agents connect.

use axum::extract::State;
use axum::response::{IntoResponse as _, Response};
use http::StatusCode;
use strata_proto::control::ErrorCode;

use super::upgrade::Upgrade;
use super::{ApiError, App};
use crate::session::driver;

pub(super) async fn connect(State(app): State<App>, upgrade: Upgrade) -> Response {
    let Some(permit) = app.agent_permit() else { return full("agents").into_response() };
    let config = driver::websocket_config(app.config().session.max_message_bytes);
    let served = app.clone();
    upgrade.accept(&app, config, move |socket| async move {
        let _permit = permit;
        driver::serve(socket, served.fleet().clone(), &served.config().session).await;
    })
}

/// Every place is taken.
pub(super) fn full(whom: &str) -> ApiError {
    let detail = format!("too many {whom} are connected; try again later");
    ApiError::new(StatusCode::SERVICE_UNAVAILABLE, ErrorCode::other("too_many_connections"), detail)
        .retry_after(30)
}
