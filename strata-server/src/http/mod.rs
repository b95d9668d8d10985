//! REST, live WebSocket, agents' WebSocket, health and metrics, as one [`axum::Router`].
//!
//! Errors are problem documents ([`ApiError`]); bodies are decoded by [`Body`], which names the field
//! that does not fit; [`Caller`] is the user of the access token. What belongs to other accounts answers
//! 404, as if it were not there.

mod agent;
mod auth;
mod body;
mod caller;
mod error;
mod health;
mod layers;
mod limit;
mod live;
mod page;
mod qr;
mod senders;
mod streams;
mod task;
mod upgrade;

use std::sync::Arc;

use axum::extract::DefaultBodyLimit;
use axum::response::{IntoResponse as _, Response};
use axum::routing::{any, get, post};
use axum::{Router, middleware};
use http::{Method, StatusCode, Uri};
use strata_proto::control::ErrorCode;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tower_http::catch_panic::CatchPanicLayer;

pub use body::{Body, OptionalBody};
pub use caller::{Caller, Operator};
pub use error::ApiError;
pub use senders::SenderPath;

use crate::config::Config;
use crate::control::Streams;
use crate::event::Events;
use crate::fleet::{Fleet, Users};
use crate::session::Tokens;
use crate::session::places::Places;
use crate::store::{AuditEntry, Store};
use health::Metrics;
use limit::LoginLimit;

/// What handlers work on; cheap to clone.
#[derive(Debug, Clone)]
pub struct App {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    parts: Parts,
    metrics: Metrics,
    login_limit: LoginLimit,
    agent_places: Arc<Places>,
    live_places: Arc<Semaphore>,
    connections: TaskTracker,
    closing: CancellationToken,
}

/// What an [`App`] is made of.
#[derive(Debug)]
pub(crate) struct Parts {
    pub(crate) config: Config,
    pub(crate) store: Store,
    pub(crate) events: Events,
    pub(crate) tokens: Tokens,
    pub(crate) fleet: Fleet,
    pub(crate) users: Users,
    pub(crate) streams: Streams,
}

impl App {
    pub(crate) fn new(parts: Parts) -> Self {
        let places = |limit: usize| Arc::new(Semaphore::new(limit.min(Semaphore::MAX_PERMITS)));
        let inner = Inner {
            metrics: Metrics::new(),
            login_limit: LoginLimit::new(&parts.config.http),
            agent_places: Places::new(&parts.config.session),
            live_places: places(parts.config.http.live_connections),
            connections: TaskTracker::new(),
            closing: CancellationToken::new(),
            parts,
        };
        Self { inner: Arc::new(inner) }
    }

    /// The configuration.
    #[must_use]
    pub fn config(&self) -> &Config {
        &self.inner.parts.config
    }

    /// The database.
    #[must_use]
    pub fn store(&self) -> &Store {
        &self.inner.parts.store
    }

    /// Live events.
    #[must_use]
    pub fn events(&self) -> &Events {
        &self.inner.parts.events
    }

    /// Senders.
    #[must_use]
    pub fn fleet(&self) -> &Fleet {
        &self.inner.parts.fleet
    }

    /// Users.
    #[must_use]
    pub fn users(&self) -> &Users {
        &self.inner.parts.users
    }

    /// Streams.
    #[must_use]
    pub fn streams(&self) -> &Streams {
        &self.inner.parts.streams
    }

    pub(crate) fn tokens(&self) -> &Tokens {
        &self.inner.parts.tokens
    }

    /// The tasks of upgraded connections.
    pub(crate) fn connections(&self) -> &TaskTracker {
        &self.inner.connections
    }

    /// Cancelled when the server shuts down.
    pub(crate) fn closing(&self) -> &CancellationToken {
        &self.inner.closing
    }

    fn metrics(&self) -> &Metrics {
        &self.inner.metrics
    }

    fn login_limit(&self) -> &LoginLimit {
        &self.inner.login_limit
    }

    fn agent_places(&self) -> &Arc<Places> {
        &self.inner.agent_places
    }

    fn live_permit(&self) -> Option<OwnedSemaphorePermit> {
        Arc::clone(&self.inner.live_places).try_acquire_owned().ok()
    }

    /// Appends to the audit log what `caller` just did; a failure to write is logged, not answered.
    pub async fn audit(&self, caller: &Caller, action: &str, target: Option<String>) {
        let entry = AuditEntry {
            at: crate::clock::wall(),
            actor: caller.user.to_string(),
            action: action.to_owned(),
            target,
            address: caller.address.map(|address| address.to_string()),
            detail: None,
        };
        self.write_audit(&entry).await;
    }

    async fn write_audit(&self, entry: &AuditEntry) {
        if let Err(error) = self.store().audit(entry).await {
            tracing::error!(%error, action = entry.action, "audit entry not written");
        }
    }
}

/// Every route, ready to be served or merged into another router: it has no fallback of its own, only a
/// catch-all below `/api`.
pub(crate) fn router(app: App) -> Router {
    Router::new()
        .route("/api/auth/login", post(auth::login))
        .route("/api/auth/refresh", post(auth::refresh))
        .route("/api/senders", get(senders::list).post(senders::create))
        .route("/api/senders/{id}", get(senders::get).patch(senders::update).delete(senders::remove))
        .route("/api/senders/{id}/status", get(senders::status))
        .route("/api/senders/{id}/stats", get(senders::stats))
        .merge(streams::routes())
        .route("/api/ws", get(live::connect))
        .route("/agent/ws", get(agent::connect))
        .route("/healthz", get(health::healthz))
        .route("/metrics", get(health::metrics))
        .method_not_allowed_fallback(method_not_allowed)
        .route("/api", any(not_found))
        .route("/api/{*rest}", any(not_found))
        .layer(DefaultBodyLimit::max(app.config().http.max_body_bytes))
        .layer(middleware::from_fn_with_state(app.clone(), layers::time_limit))
        .layer(CatchPanicLayer::custom(layers::on_panic))
        .layer(middleware::from_fn_with_state(app.clone(), layers::count))
        .layer(middleware::from_fn(layers::security_headers))
        .with_state(app)
}

/// Answers 404 as a problem document with the headers of every other answer; a fallback for the router
/// this one is merged into, whose layers do not reach a fallback.
pub async fn not_found(uri: Uri) -> Response {
    let path: String = uri.path().chars().take(128).collect();
    layers::secured(ApiError::not_found(format!("there is nothing at {path}")).into_response())
}

async fn method_not_allowed(method: Method) -> ApiError {
    let detail = format!("{method} is not possible here; see the Allow header");
    ApiError::new(StatusCode::METHOD_NOT_ALLOWED, ErrorCode::other("method_not_allowed"), detail)
}
