//! The driver: one loop around the session, and the agent's work beside it.

use std::sync::Arc;

use strata_proto::control::{AgentSettings, DeviceStatus};
use tokio::sync::{broadcast, mpsc, oneshot};

use super::Agent;
use super::event::Event;
use super::handle::{EndedError, Handle, Op, Reporter};
use super::work::{Finished, Work};
use crate::driver::Connection;
use crate::session::{self, Input, Report};
use crate::{Config, Error, Identity};

/// Makes an agent's session: the end to keep, and the driver to run.
///
/// # Errors
/// [`Error::Address`] when the URL is not `wss://`, [`Error::NotEnrolled`] when the device has
/// neither enrolled nor a token, [`Error::Tls`] when there are no usable certificate authorities,
/// [`Error::File`] when the journal cannot be read.
pub fn connect(config: Config, identity: Identity, agent: impl Agent) -> Result<(Handle, Driver), Error> {
    let connection = Connection::new(&config, identity)?;
    let (ops, ops_rx) = mpsc::channel(OPS);
    let (events, _) = broadcast::channel(EVENTS);
    let (alive, alive_rx) = mpsc::channel(1);
    let reporter = Reporter { ops };
    let driver = Driver {
        connection,
        work: Work::new(Arc::new(agent), reporter.clone()),
        ops: ops_rx,
        alive: Some(alive_rx),
        events: events.clone(),
        settings: None,
        journalling: Vec::new(),
    };
    Ok((Handle { reporter, events, alive }, driver))
}

/// Runs the session: dials, reads, writes, waits, calls the agent.
#[must_use = "nothing happens until `run` is awaited"]
#[derive(Debug)]
pub struct Driver {
    connection: Connection,
    work: Work,
    ops: mpsc::Receiver<Op>,
    /// Ends with the handle; `None` once it has.
    alive: Option<mpsc::Receiver<()>>,
    events: broadcast::Sender<Event>,
    /// From a login, until the agent is told.
    settings: Option<AgentSettings>,
    /// Who waits for the journal to be on disk.
    journalling: Vec<oneshot::Sender<Result<(), EndedError>>>,
}

impl Driver {
    /// Runs until the handle is dropped, and hands over what must not be lost. Dropping the future
    /// instead ends the session at once, as a power cut would: the journal keeps it.
    pub async fn run(mut self) {
        self.work.start();
        self.connection.set_capabilities(self.work.capabilities());
        loop {
            tokio::select! {
                event = self.connection.next() => match event {
                    Some(event) => self.on_event(event),
                    None => break,
                },
                Some(op) = self.ops.recv() => self.on_op(op),
                finished = self.work.next() => self.on_finished(finished),
                () = is_dropped(&mut self.alive) => {
                    self.alive = None;
                    self.connection.input(Input::Shutdown);
                }
            }
        }
    }

    fn on_event(&mut self, event: session::Event) {
        match event {
            session::Event::Command { id, command } => self.work.command(id, *command),
            session::Event::StatusDue => self.work.status(self.settings.take()),
            session::Event::JournalChanged => self.journalled(),
            event => self.publish(event),
        }
    }

    /// The journal is on disk, or cannot be written.
    fn journalled(&mut self) {
        let outcome = match self.connection.unsaved() {
            None => Ok(()),
            Some(error) => Err(EndedError::NotSaved { reason: error.to_string() }),
        };
        for done in self.journalling.drain(..) {
            // Whoever waited may have given up.
            let _ = done.send(outcome.clone());
        }
    }

    fn publish(&mut self, event: session::Event) {
        use session::Event as E;
        let event = match event {
            E::Enrolled { sender_id, .. } => {
                tracing::info!(%sender_id, "enrolled");
                Event::Enrolled { sender_id }
            }
            E::LoggedIn { sender_id, settings } => {
                tracing::info!(%sender_id, "logged in");
                self.settings = Some(settings.clone());
                Event::LoggedIn { sender_id, settings }
            }
            E::Refused(fault) => {
                tracing::error!(code = fault.code.as_str(), message = fault.message, "login refused");
                Event::Refused(fault)
            }
            E::Disconnected { cause, retry_in } => {
                tracing::warn!(%cause, ?retry_in, "not connected");
                self.connection.set_capabilities(self.work.capabilities());
                Event::Disconnected { cause, retry_in }
            }
            E::Dropped { message_type, reason } => {
                tracing::warn!(message_type, %reason, "message dropped");
                Event::Dropped { message_type, reason: reason.into_owned() }
            }
            E::Closed => Event::Closed,
            E::Faulted { message_type, fault } => {
                let (code, message) = (fault.code.as_str(), fault.message);
                return tracing::warn!(message_type, code, message, "the server found fault with a message");
            }
            E::Misbehaved(error) => return tracing::warn!(%error, "the server sent what does not decode"),
            E::Unanswered { message_type } => return tracing::warn!(message_type, "no answer in time"),
            other => return tracing::debug!(?other, "session"),
        };
        // Nobody may be listening.
        let _ = self.events.send(event);
    }

    fn on_op(&mut self, op: Op) {
        let report = match op {
            Op::StatusChanged => return self.connection.input(Input::StatusChanged),
            Op::Stats(stats) => Report::Stats(stats),
            Op::Progress(progress) => Report::Progress(progress),
            Op::Ended(ended, done) => {
                self.journalling.push(done);
                Report::Ended(ended)
            }
        };
        self.connection.input(Input::Send(report));
    }

    fn on_finished(&mut self, finished: Finished) {
        match finished {
            Finished::Command(id, reply) => self.connection.input(Input::Reply { id, reply }),
            Finished::Status(Some(status)) => self.send_status(status),
            Finished::Status(None) => {}
        }
    }

    fn send_status(&mut self, status: DeviceStatus) {
        self.connection.input(Input::Send(Report::Status(Box::new(status))));
    }
}

async fn is_dropped(alive: &mut Option<mpsc::Receiver<()>>) {
    match alive {
        Some(alive) => while alive.recv().await.is_some() {},
        None => std::future::pending().await,
    }
}

/// Reports that may wait for the driver.
const OPS: usize = 64;
/// Events a slow reader may be behind.
const EVENTS: usize = 64;
