//! `/api/senders`: create, list, rename, decommission; live status and statistics.

use std::time::Duration;

use axum::Json;
use axum::extract::{FromRequestParts, Path, State};
use axum::response::{IntoResponse, Response};
use http::request::Parts;
use http::{HeaderValue, StatusCode, header};
use strata_proto::control::{
    DeviceStatus, Role, SenderCreate, SenderCreated, SenderUpdate, SenderView, StreamStats,
};
use strata_proto::id::SenderId;
use strata_proto::token::EnrollUri;

use super::page::Query;
use super::{ApiError, App, Body, Caller, Operator, qr};

/// The sender of the path; an id that cannot be one is 404, like one that is not there.
#[derive(Debug, Clone)]
pub struct SenderPath(pub SenderId);

impl FromRequestParts<App> for SenderPath {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, ApiError> {
        let path = Path::<String>::from_request_parts(parts, app).await;
        let id = path.ok().and_then(|Path(text)| text.parse().ok());
        id.map(Self).ok_or_else(|| ApiError::not_found("there is no such sender"))
    }
}

/// Oldest first, a page at a time.
pub(super) async fn list(State(app): State<App>, caller: Caller, query: Query) -> Result<Response, ApiError> {
    caller.require(Role::Viewer)?;
    let wanted = query.wanted()?;
    let views = app.fleet().sender_page(&caller.scope(), wanted.page()).await?;
    query.answer(wanted.limit, views, |view| view.id.clone())
}

pub(super) async fn create(
    State(app): State<App>,
    Operator(caller): Operator,
    Body(body): Body<SenderCreate>,
) -> Result<impl IntoResponse, ApiError> {
    let ttl = body.enrollment_ttl_s.map(Duration::from_secs);
    let own = app.clone();
    let create = async move {
        let new = own.fleet().create_sender(&caller.account, &body.name, ttl).await?;
        own.audit(&caller, "sender.create", Some(new.view.id.to_string())).await;
        Ok(new)
    };
    let new = app.uninterrupted(create).await?;
    let config = app.config();
    let uri = EnrollUri { url: config.agent_url(), token: new.token.clone(), ca: config.ca }.to_string();
    let created = SenderCreated {
        enrollment_qr_svg: qr::svg(&uri).map_err(ApiError::internal)?,
        enrollment_qr_text: qr::text(&uri).map_err(ApiError::internal)?,
        enrollment_uri: uri,
        enrollment_token: new.token,
        enrollment_expires_at: new.expires_at,
        sender: new.view,
    };
    let location = HeaderValue::from_str(&format!("/api/senders/{}", created.sender.id));
    let location = location.map_err(ApiError::internal)?;
    Ok((StatusCode::CREATED, [(header::LOCATION, location)], Json(created)))
}

pub(super) async fn get(
    State(app): State<App>,
    caller: Caller,
    SenderPath(id): SenderPath,
) -> Result<Json<SenderView>, ApiError> {
    caller.require(Role::Viewer)?;
    Ok(Json(app.fleet().sender(&caller.scope(), &id).await?))
}

pub(super) async fn update(
    State(app): State<App>,
    Operator(caller): Operator,
    SenderPath(id): SenderPath,
    Body(body): Body<SenderUpdate>,
) -> Result<Json<SenderView>, ApiError> {
    let Some(name) = body.name else {
        return Ok(Json(app.fleet().sender(&caller.scope(), &id).await?));
    };
    let own = app.clone();
    let rename = async move {
        let view = own.fleet().rename_sender(&caller.scope(), &id, &name).await?;
        own.audit(&caller, "sender.update", Some(id.to_string())).await;
        Ok(Json(view))
    };
    app.uninterrupted(rename).await
}

pub(super) async fn remove(
    State(app): State<App>,
    Operator(caller): Operator,
    SenderPath(id): SenderPath,
) -> Result<StatusCode, ApiError> {
    let own = app.clone();
    let remove = async move {
        own.fleet().remove_sender(&caller.scope(), &id).await?;
        own.audit(&caller, "sender.delete", Some(id.to_string())).await;
        Ok(StatusCode::NO_CONTENT)
    };
    app.uninterrupted(remove).await
}

/// The last `device.status`, also of a sender that is offline now; 404 before the first.
pub(super) async fn status(
    State(app): State<App>,
    caller: Caller,
    SenderPath(id): SenderPath,
) -> Result<Json<DeviceStatus>, ApiError> {
    caller.require(Role::Viewer)?;
    let view = app.fleet().sender(&caller.scope(), &id).await?;
    let status = view.status.ok_or_else(|| ApiError::not_found("this sender has not reported yet"))?;
    Ok(Json(*status))
}

/// The last `stream.stats` of the running stream; 404 without one.
pub(super) async fn stats(
    State(app): State<App>,
    caller: Caller,
    SenderPath(id): SenderPath,
) -> Result<Json<StreamStats>, ApiError> {
    caller.require(Role::Viewer)?;
    app.fleet().sender(&caller.scope(), &id).await?;
    let stats = app.fleet().stats(&id).ok_or_else(|| ApiError::not_found("this sender is not streaming"))?;
    Ok(Json((*stats).clone()))
}
