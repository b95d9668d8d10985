//! After a restart: which receivers still run, and whose streams they are.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt as _;
use strata_proto::control::{EndReason, ReceiverCommand, StreamLife};
use strata_proto::id::StreamId;

use super::driver::Job;
use super::life::{Input, Life, Outcome};
use super::receiver::{News, Receiver, ReceiverError};
use super::run_dir::SOCKET;
use super::streams::Shared;
use super::task::Task;
use crate::store::{StoreError, StreamRow};

impl Shared {
    /// Finds running receivers by their sockets: those of unfinished streams are taken up again,
    /// others are to be dismissed; unfinished streams without one are failed.
    pub(super) async fn recover(self: &Arc<Self>) -> Result<Vec<Job>, StoreError> {
        let rows = self.store.unfinished_streams().await?;
        let mut unfinished: HashMap<StreamId, StreamRow> =
            rows.into_iter().map(|row| (row.id.clone(), row)).collect();
        let sockets = sockets(&self.run_dir);
        let mut found = futures_util::stream::iter(sockets).map(connect).buffer_unordered(AT_ONCE);
        let mut jobs = Vec::new();
        while let Some(receiver) = found.next().await {
            let Some(receiver) = receiver else { continue };
            jobs.push(match unfinished.remove(receiver.stream_id()) {
                Some(row) => self.adopt(row, receiver),
                None => {
                    tracing::warn!(stream = %receiver.stream_id(), "receiver of a stream that is over");
                    Job::Dismiss(Box::new(receiver))
                }
            });
        }
        for row in unfinished.into_values() {
            self.fail(row).await?;
        }
        self.tidy_logs();
        Ok(jobs)
    }

    fn adopt(self: &Arc<Self>, mut row: StreamRow, receiver: Receiver) -> Job {
        tracing::info!(stream = %row.id, pid = receiver.pid(), ports = ?receiver.ports(), "receiver found again");
        row.ports = receiver.ports().to_vec();
        let holds_ports = self.claim(&row.ports);
        if !holds_ports {
            // They are another stream's, or of no pair of the pool: not this one's to give back.
            tracing::error!(stream = %row.id, ports = ?row.ports, "ports of a receiver are taken");
        }
        // The agent's own word came before the restart: only the receiver is left to be drained.
        let ended = row.reason.filter(|_| row.state != StreamLife::Stopping);
        let ended = ended.map(|reason| Input::AgentEnded(reason, row.error.clone()));
        let known = row.reason.filter(|_| row.state == StreamLife::Stopping).map(|reason| Outcome {
            failed: row.error.is_some() && !row.presumed,
            reason,
            error: row.error.clone(),
            presumed: row.presumed,
        });
        let life = Life::adopt(self.graces(&row), row.state, known, crate::clock::mono());
        let launch = self.launch(&row);
        self.fleet.unobserved(&row.sender, &row.owner);
        let active = self.enlist(row, false);
        active.lock().holds_ports = holds_ports;
        let task = Task::new(Arc::clone(self), active, life, launch).adopting(receiver, ended);
        Job::Run(Box::new(task))
    }

    /// The agent, if it still sends, is told to stop when it reports the stream.
    async fn fail(&self, mut row: StreamRow) -> Result<(), StoreError> {
        tracing::warn!(stream = %row.id, "receiver was gone when the control plane came back");
        if row.state == StreamLife::Stopping {
            row.state = if row.error.is_some() { StreamLife::Failed } else { StreamLife::Ended };
        } else {
            row.state = StreamLife::Failed;
            row.reason.get_or_insert(EndReason::Error);
            row.error
                .get_or_insert_with(|| "receiver: it was gone when the control plane came back".to_owned());
        }
        row.ended_at = Some(crate::clock::wall());
        self.store.update_stream(&row).await
    }
}

/// Tells a receiver that nobody needs to end, and waits until it has.
pub(super) async fn dismiss(mut receiver: Receiver) {
    receiver.send(&ReceiverCommand::Stop).await;
    let gone = async { while !matches!(receiver.next().await, News::Gone(_)) {} };
    if tokio::time::timeout(DISMISSAL, gone).await.is_err() {
        receiver.kill();
    }
}

async fn connect(socket: PathBuf) -> Option<Receiver> {
    match Receiver::connect(&socket, GREETING).await {
        Ok(receiver) => Some(receiver),
        Err(ReceiverError::Stale) => {
            tracing::info!(path = %socket.display(), "socket of a dead receiver is removed");
            drop(std::fs::remove_file(&socket));
            None
        }
        Err(error) => {
            tracing::error!(path = %socket.display(), %error, "receiver cannot be reached");
            None
        }
    }
}

fn sockets(directory: &Path) -> Vec<PathBuf> {
    let entries = match std::fs::read_dir(directory) {
        Ok(entries) => entries,
        Err(error) => {
            tracing::error!(path = %directory.display(), %error, "run directory cannot be read");
            return Vec::new();
        }
    };
    let paths = entries.filter_map(|entry| entry.ok().map(|entry| entry.path()));
    paths.filter(|path| path.extension().is_some_and(|extension| extension == SOCKET)).collect()
}

/// A receiver greets at once; one that hangs must not hold up the others for long.
pub(super) const GREETING: Duration = Duration::from_secs(3);
const DISMISSAL: Duration = Duration::from_secs(20);
const AT_ONCE: usize = 16;
