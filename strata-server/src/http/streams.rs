//! `/api/senders/{id}/stream/…` and `/api/streams` (`control.md` §5).

use axum::extract::{Path, State};
use axum::response::Response;
use axum::routing::{get, post};
use axum::{Json, Router};
use http::StatusCode;
use strata_proto::control::{ErrorCode, Fault, Role, StartStream, StopStream, StreamView, UpdateStream};
use strata_proto::id::StreamId;

use super::page::Query;
use super::senders::SenderPath;
use super::{ApiError, App, Body, Caller, Operator, OptionalBody};
use crate::control::{NotStreaming, StartError, UpdateError};

pub(super) fn routes() -> Router<App> {
    Router::new()
        .route("/api/senders/{id}/stream/start", post(start))
        .route("/api/senders/{id}/stream/stop", post(stop))
        .route("/api/senders/{id}/stream/update", post(update))
        .route("/api/streams", get(list))
        .route("/api/streams/{id}", get(one))
}

/// 201 when the agent has accepted; the stream is `live` when media flow.
async fn start(
    State(app): State<App>,
    Operator(caller): Operator,
    SenderPath(id): SenderPath,
    Body(body): Body<StartStream>,
) -> Result<(StatusCode, Json<StreamView>), ApiError> {
    let own = app.clone();
    let start = async move {
        let sender = own.fleet().sender(&caller.scope(), &id).await?;
        let view = own.streams().start(&sender.id, &sender.owner, body).await?;
        own.audit(&caller, "stream.start", Some(view.id.to_string())).await;
        Ok((StatusCode::CREATED, Json(view)))
    };
    app.uninterrupted(start).await
}

/// 202: agent and receiver get their time to finish.
async fn stop(
    State(app): State<App>,
    Operator(caller): Operator,
    SenderPath(id): SenderPath,
    OptionalBody(body): OptionalBody<StopStream>,
) -> Result<(StatusCode, Json<StreamView>), ApiError> {
    if body.reason.as_ref().is_some_and(|reason| reason.chars().count() > 128) {
        return Err(ApiError::invalid("reason", "expected at most 128 characters"));
    }
    let own = app.clone();
    let stop = async move {
        let sender = own.fleet().sender(&caller.scope(), &id).await?;
        let view = own.streams().stop(&sender.id, body.reason).await?;
        own.audit(&caller, "stream.stop", Some(view.id.to_string())).await;
        Ok((StatusCode::ACCEPTED, Json(view)))
    };
    app.uninterrupted(stop).await
}

/// 200 when the agent has carried it out.
async fn update(
    State(app): State<App>,
    Operator(caller): Operator,
    SenderPath(id): SenderPath,
    Body(body): Body<UpdateStream>,
) -> Result<Json<StreamView>, ApiError> {
    let own = app.clone();
    let update = async move {
        let sender = own.fleet().sender(&caller.scope(), &id).await?;
        let view = own.streams().update(&sender.id, body).await?;
        own.audit(&caller, "stream.update", Some(view.id.to_string())).await;
        Ok(Json(view))
    };
    app.uninterrupted(update).await
}

/// Newest first, a page at a time; with `all=true` those that are over too.
async fn list(State(app): State<App>, caller: Caller, query: Query) -> Result<Response, ApiError> {
    caller.require(Role::Viewer)?;
    let wanted = query.wanted()?;
    let scope = caller.scope();
    let views = match query.get("all", "expected true or false")?.unwrap_or(false) {
        true => app.streams().history(&scope, wanted.page()).await?,
        false => app.streams().page(&scope, wanted.page()).await?,
    };
    query.answer(wanted.limit, views, |view| view.id.clone())
}

async fn one(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<Json<StreamView>, ApiError> {
    caller.require(Role::Viewer)?;
    let unknown = || ApiError::not_found(format!("there is no stream {id}"));
    let id: StreamId = id.parse().map_err(|_| unknown())?;
    let view = app.streams().views(&caller.scope(), Some(&id)).await?.pop();
    view.map(Json).ok_or_else(unknown)
}

impl From<StartError> for ApiError {
    fn from(error: StartError) -> Self {
        let text = error.to_string();
        let unavailable =
            |code| Self::new(StatusCode::SERVICE_UNAVAILABLE, ErrorCode::other(code), text.clone());
        match error {
            StartError::Invalid(fault) => unfit(fault),
            StartError::Active(id) => {
                let error = Self::conflict("stream_active", text);
                id.into_iter().fold(error, |error, id| error.with("stream_id", id.to_string()))
            }
            StartError::Ports(_) => unavailable("ports_exhausted"),
            StartError::Receiver(_) => unavailable("receiver_failed"),
            StartError::ShuttingDown => unavailable("shutting_down"),
            StartError::Command(error) => error.into(),
            StartError::Refused(fault) => refused(fault),
            StartError::Failed(_) => Self::conflict("stream_ended", text),
            StartError::Store(error) => error.into(),
        }
    }
}

impl From<UpdateError> for ApiError {
    fn from(error: UpdateError) -> Self {
        match error {
            UpdateError::Invalid(fault) => unfit(fault),
            UpdateError::NotStreaming(error) => error.into(),
            UpdateError::Command(error) => error.into(),
            // The device has lost the stream and will say so.
            UpdateError::Refused(fault) if fault.code == ErrorCode::NOT_FOUND && fault.field.is_none() => {
                NotStreaming.into()
            }
            UpdateError::Refused(fault) => refused(fault),
        }
    }
}

/// What is wrong with the request, found here.
fn unfit(Fault { code, message, field }: Fault) -> ApiError {
    let error = ApiError::new(StatusCode::UNPROCESSABLE_ENTITY, code, message);
    field.into_iter().fold(error, ApiError::with_field)
}

/// What the agent refused.
fn refused(Fault { code, message, field }: Fault) -> ApiError {
    // A field of the command that the caller did not write is no fault of the caller.
    let written = field.as_deref().map(body_path);
    let ours = matches!(written, Some(None));
    ApiError::refused(&Fault { code, message, field: written.flatten() }, ours)
}

/// Where the field at `path` of the agent's command stands in the request's body; `None` for what the
/// control plane put there, such as addresses.
fn body_path(path: &str) -> Option<String> {
    let path = path.strip_prefix("payload.").unwrap_or(path);
    let path = path.strip_prefix("bonding_config.").unwrap_or(path);
    let field = path.strip_prefix("links[").and_then(|link| Some(link.split_once("].")?.1));
    let of_link = field.is_some_and(|field| field != "id" && field != "uri");
    let part = path.split(['.', '[']).next().unwrap_or_default();
    (of_link || ["source", "encoder", "scheduler"].contains(&part)).then(|| path.to_owned())
}

impl From<NotStreaming> for ApiError {
    fn from(error: NotStreaming) -> Self {
        Self::conflict("not_streaming", error.to_string())
    }
}
