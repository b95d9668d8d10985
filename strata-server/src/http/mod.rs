//! REST, live WebSocket, agents' WebSocket, health and metrics, as one [`axum::Router`].
//!
//! Errors are problem documents ([`ApiError`]); bodies are decoded by [`Body`], which names the field
//! that does not fit; [`Caller`] is the user of the access token. What belongs to other accounts answers
//! 404, as if it were not there.

mod body;
mod caller;
mod error;
mod streams;

use std::sync::Arc;

use axum::Router;

pub use body::{Body, OptionalBody};
pub use caller::Caller;
pub use error::ApiError;

use crate::config::Config;
use crate::control::Streams;
use crate::event::Events;
use crate::fleet::{Fleet, Users};
use crate::session::Tokens;
use crate::store::Store;

/// What handlers work on; cheap to clone.
#[derive(Debug, Clone)]
pub struct App {
    inner: Arc<Parts>,
}

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
        Self { inner: Arc::new(parts) }
    }

    /// The configuration.
    #[must_use]
    pub fn config(&self) -> &Config {
        &self.inner.config
    }

    /// The database.
    #[must_use]
    pub fn store(&self) -> &Store {
        &self.inner.store
    }

    /// Live events.
    #[must_use]
    pub fn events(&self) -> &Events {
        &self.inner.events
    }

    /// Senders.
    #[must_use]
    pub fn fleet(&self) -> &Fleet {
        &self.inner.fleet
    }

    /// Users.
    #[must_use]
    pub fn users(&self) -> &Users {
        &self.inner.users
    }

    /// Streams.
    #[must_use]
    pub fn streams(&self) -> &Streams {
        &self.inner.streams
    }

    pub(crate) fn tokens(&self) -> &Tokens {
        &self.inner.tokens
    }

    /// Appends to the audit log what `caller` just did; a failure to write is logged, not answered.
    pub async fn audit(&self, caller: &Caller, action: &str, target: Option<String>) {
        let entry = crate::store::AuditEntry {
            at: crate::clock::wall(),
            actor: caller.user.to_string(),
            action: action.to_owned(),
            target,
            address: caller.address.map(|address| address.to_string()),
            detail: None,
        };
        if let Err(error) = self.store().audit(&entry).await {
            tracing::error!(%error, action, "audit entry not written");
        }
    }
}

/// Every route, ready to be served or merged into another router.
pub(crate) fn router(app: App) -> Router {
    Router::new().merge(streams::routes()).with_state(app)
}
