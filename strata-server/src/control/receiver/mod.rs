//! Receiver processes: one per stream, spawned detached, steered through a Unix socket (JSON lines).
//!
//! A receiver outlives the control plane: it is in a process group of its own, logs to a file, and
//! its socket stays in the run directory, where the next control plane finds it again.

#![expect(clippy::disallowed_methods, reason = "this is the driver of the receiver's socket and process")]

mod launch;
mod process;

use std::path::{Path, PathBuf};
use std::time::Duration;

use futures_util::{SinkExt as _, StreamExt as _};
use strata_proto::control::{ReceiverCommand, ReceiverEvent};
use strata_proto::id::StreamId;
use thiserror::Error;
use tokio::net::UnixStream;
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::process::Child;
use tokio_util::codec::{FramedRead, FramedWrite, LinesCodec};

use super::life::Gone;
pub use launch::{Launch, launch};

/// A connection to a running receiver.
#[derive(Debug)]
pub struct Receiver {
    stream_id: StreamId,
    pid: u32,
    ports: Vec<u16>,
    socket: PathBuf,
    events: FramedRead<OwnedReadHalf, LinesCodec>,
    commands: FramedWrite<OwnedWriteHalf, LinesCodec>,
    /// Absent when an earlier control plane started it.
    child: Option<Child>,
    stopped: Option<String>,
}

/// What comes from a receiver.
#[derive(Debug)]
pub enum News {
    /// It said something.
    Event(ReceiverEvent),
    /// Its process ended. Nothing comes after this.
    Gone(Gone),
}

/// A receiver could not be started or reached.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ReceiverError {
    /// The program could not be started.
    #[error("{}: {source}", program.display())]
    Spawn {
        /// The program.
        program: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A file or directory of the run directory could not be used.
    #[error("{}: {source}", path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// It ended before it was ready.
    #[error("it ended before it was ready ({status}): {log}")]
    Ended {
        /// Exit code or signal.
        status: String,
        /// The end of its log.
        log: String,
    },
    /// It did not say `ready` in time.
    #[error("it was not ready within {0:?}")]
    NotReady(Duration),
    /// Nothing answers at its socket: the process is gone.
    #[error("nobody listens")]
    Stale,
    /// It speaks another language.
    #[error("unexpected answer: {0}")]
    Protocol(String),
}

impl Receiver {
    /// Connects to the receiver that listens at `socket` and waits for its `ready`.
    ///
    /// # Errors
    /// [`ReceiverError::Stale`] when its process is gone, [`ReceiverError::NotReady`] when it does not
    /// greet within `limit`.
    pub async fn connect(socket: &Path, limit: Duration) -> Result<Self, ReceiverError> {
        tokio::time::timeout(limit, greet(socket)).await.map_err(|_| ReceiverError::NotReady(limit))?
    }

    /// Whose stream it receives.
    #[must_use]
    pub fn stream_id(&self) -> &StreamId {
        &self.stream_id
    }

    /// Its process.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.pid
    }

    /// The RTP ports it holds.
    #[must_use]
    pub fn ports(&self) -> &[u16] {
        &self.ports
    }

    /// Sends one command. A receiver that is gone says so through [`Receiver::next`].
    pub async fn send(&mut self, command: &ReceiverCommand) {
        let sent = match serde_json::to_string(command) {
            Ok(line) => self.commands.send(line).await.map_err(|e| e.to_string()),
            Err(e) => Err(e.to_string()),
        };
        if let Err(error) = sent {
            tracing::debug!(stream = %self.stream_id, error, "command to the receiver was not sent");
        }
    }

    /// Ends the process at once.
    pub fn kill(&self) {
        process::kill(self.pid, &self.stream_id);
    }

    /// The next thing that comes from it. Cancel-safe.
    pub async fn next(&mut self) -> News {
        loop {
            match self.events.next().await {
                Some(Ok(line)) => match serde_json::from_str(&line) {
                    Ok(ReceiverEvent::Stopped { reason }) => self.stopped = Some(reason),
                    Ok(event) => return News::Event(event),
                    Err(error) => {
                        tracing::warn!(stream = %self.stream_id, %error, "receiver sent what is no event");
                    }
                },
                Some(Err(_)) | None => return News::Gone(self.farewell().await),
            }
        }
    }

    /// The socket is closed: how did the process end?
    async fn farewell(&mut self) -> Gone {
        let status = process::ended(&mut self.child, self.pid, &self.stream_id).await;
        if let Err(error) = std::fs::remove_file(&self.socket)
            && error.kind() != std::io::ErrorKind::NotFound
        {
            tracing::warn!(path = %self.socket.display(), %error, "stale receiver socket stays");
        }
        match self.stopped.take().as_deref() {
            Some("stop") => Gone::Stopped,
            Some("idle") => Gone::Idle,
            Some(reason) => Gone::Crashed(format!("it stopped: {reason}")),
            None => Gone::Crashed(format!("it ended by itself ({status})")),
        }
    }
}

async fn greet(socket: &Path) -> Result<Receiver, ReceiverError> {
    let stream = UnixStream::connect(socket).await.map_err(|source| match source.kind() {
        std::io::ErrorKind::ConnectionRefused | std::io::ErrorKind::NotFound => ReceiverError::Stale,
        _ => ReceiverError::File { path: socket.to_owned(), source },
    })?;
    let (read, write) = stream.into_split();
    let mut events = FramedRead::new(read, LinesCodec::new_with_max_length(MAX_LINE));
    let line = match events.next().await {
        Some(Ok(line)) => line,
        Some(Err(error)) => return Err(ReceiverError::Protocol(error.to_string())),
        None => return Err(ReceiverError::Stale),
    };
    match serde_json::from_str(&line) {
        Ok(ReceiverEvent::Ready { stream_id, pid, ports }) => Ok(Receiver {
            stream_id,
            pid,
            ports,
            socket: socket.to_owned(),
            events,
            commands: FramedWrite::new(write, LinesCodec::new()),
            child: None,
            stopped: None,
        }),
        Ok(other) => Err(ReceiverError::Protocol(format!("{other:?} before ready"))),
        Err(error) => Err(ReceiverError::Protocol(error.to_string())),
    }
}

/// Statistics of eight links take some hundred bytes each.
const MAX_LINE: usize = 64 * 1024;

#[cfg(test)]
mod tests;
