//! Builds a control plane from its configuration.

use std::time::Duration;

use crate::config::Config;
use crate::control::{Streams, StreamsDriver};
use crate::error::LoadError;
use crate::event::Events;
use crate::fleet::{Fleet, FleetDriver, Users};
use crate::http::{self, App};
use crate::session::{Close, Tokens};
use crate::store::Store;

/// A control plane: the handle. Nothing runs until its [`Driver`] and its router are run.
#[derive(Debug, Clone)]
pub struct Server {
    app: App,
}

/// The background work of a [`Server`].
#[derive(Debug)]
pub struct Driver {
    fleet: FleetDriver,
    streams: StreamsDriver,
}

impl Server {
    /// Opens or creates what is in the data directory, and builds the control plane on it.
    ///
    /// # Errors
    /// [`LoadError`] naming the key or file that cannot be used.
    pub async fn load(config: Config) -> Result<(Self, Driver), LoadError> {
        config.check()?;
        crate::store::file::make_dir(&config.data_dir)
            .map_err(|source| LoadError::DataDir { path: config.data_dir.clone(), source })?;
        let tokens = Tokens::load(&config.name, &config.data_dir.join("session.key"))?;
        let store = Store::open(&config.data_dir.join("strata.db")).await?;
        let events = Events::new();
        let users = Users::new(&config.fleet, store.clone(), tokens.clone()).map_err(LoadError::Password)?;
        let (fleet, fleet_driver) = Fleet::new(&config, store.clone(), events.clone(), tokens.clone());
        let (streams, streams_driver) =
            Streams::load(&config, fleet.clone(), store.clone(), events.clone()).await?;
        fleet.observe(streams.observer());
        let app = App::new(http::Parts { config, store, events, tokens, fleet, users, streams });
        Ok((Self { app }, Driver { fleet: fleet_driver, streams: streams_driver }))
    }

    /// Every route: REST below `/api`, `WS /agent/ws`, `/healthz`, `/metrics`. Serve it with
    /// `into_make_service_with_connect_info::<SocketAddr>()`, so that limits per address work.
    pub fn router(&self) -> axum::Router {
        http::router(self.app.clone())
    }

    /// Senders: presence, commands.
    #[must_use]
    pub fn fleet(&self) -> &Fleet {
        self.app.fleet()
    }

    /// Streams: start, stop, look.
    #[must_use]
    pub fn streams(&self) -> &Streams {
        self.app.streams()
    }

    /// Users.
    #[must_use]
    pub fn users(&self) -> &Users {
        self.app.users()
    }

    /// Live events.
    #[must_use]
    pub fn events(&self) -> &Events {
        self.app.events()
    }

    /// The database.
    #[must_use]
    pub fn store(&self) -> &Store {
        self.app.store()
    }

    /// Tells agents and live clients to go (1001), writes what is only in memory, closes the database.
    /// Receivers go on. Takes a few seconds at most.
    pub async fn shutdown(&self) {
        self.streams().detach();
        self.app.closing().cancel();
        self.fleet().disconnect_all(Close::GoingAway);
        let connections = self.app.connections();
        connections.close();
        if tokio::time::timeout(DRAIN_TIMEOUT, connections.wait()).await.is_err() {
            let left = connections.len();
            tracing::warn!(left, "connections and calls did not end in time; the database is closed to them");
        }
        self.fleet().flush().await;
        self.store().close().await;
    }
}

impl Driver {
    /// Runs until every handle of the server is gone.
    pub async fn run(self) {
        tokio::join!(self.fleet.run(), self.streams.run());
    }
}

/// How long connections may take to say goodbye.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(5);
