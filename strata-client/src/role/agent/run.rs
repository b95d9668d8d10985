//! The driver: one loop around the session.

use std::sync::Arc;

use tokio::sync::{broadcast, mpsc};

use super::event::Event;
use super::handle::{Handle, Op, Reporter};
use super::{Agent, dispatch};
use crate::{Config, Error, Identity};

/// Makes an agent's session: the end to keep, and the driver to run.
///
/// # Errors
/// [`Error::Address`] when the URL is not `wss://`, [`Error::NotEnrolled`] when the device has
/// neither enrolled nor a token, [`Error::Tls`] when there are no usable certificate authorities.
pub fn connect(config: Config, identity: Identity, agent: impl Agent) -> Result<(Handle, Driver), Error> {
    if config.url.scheme() != "wss" || !config.url.has_host() {
        return Err(Error::Address { url: config.url.to_string() });
    }
    if identity.sender_id().is_none() && config.enrollment_token.is_none() {
        return Err(Error::NotEnrolled);
    }
    let (ops, ops_rx) = mpsc::channel(OPS);
    let (events, _) = broadcast::channel(EVENTS);
    let (alive, alive_rx) = mpsc::channel(1);
    let reporter = Reporter { ops };
    let driver = Driver {
        agent: Arc::new(agent),
        ops: ops_rx,
        alive: alive_rx,
        events: events.clone(),
        reporter: reporter.clone(),
    };
    Ok((Handle { reporter, events, alive }, driver))
}

/// Runs the session: dials, reads, writes, waits, calls the agent.
#[must_use = "nothing happens until `run` is awaited"]
pub struct Driver {
    agent: Arc<dyn Agent>,
    ops: mpsc::Receiver<Op>,
    alive: mpsc::Receiver<()>,
    events: broadcast::Sender<Event>,
    reporter: Reporter,
}

impl Driver {
    /// Runs until the handle is dropped. Dropping the future instead ends the session at once,
    /// as a power cut would: the journal keeps what must not be lost.
    pub async fn run(mut self) {
        self.agent.started(self.reporter.clone()).await;
        let _ = (&mut self.ops, dispatch::dispatch::<dyn Agent>);
        let _ = self.alive.recv().await;
        let _ = self.events.send(Event::Closed);
    }
}

impl std::fmt::Debug for Driver {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Driver").finish_non_exhaustive()
    }
}

/// Reports that may wait for the driver.
const OPS: usize = 64;
/// Events a slow reader may be behind.
const EVENTS: usize = 64;
