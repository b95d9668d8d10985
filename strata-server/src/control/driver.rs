//! Runs the streams' tasks, and ends the streams of those that break off.

use std::collections::HashMap;
use std::sync::Arc;

use strata_proto::id::{SenderId, StreamId};
use tokio::sync::mpsc;
use tokio::task::{self, JoinSet};

use super::active::Active;
use super::receiver::Receiver;
use super::recover::dismiss;
use super::streams::Shared;
use super::task::Task;

/// Runs the streams' tasks.
///
/// Dropping it leaves receivers running: the next control plane finds them.
pub struct StreamsDriver {
    pub(super) shared: Arc<Shared>,
    pub(super) jobs: mpsc::Receiver<Job>,
    /// What was found at the start.
    pub(super) recovered: Vec<Job>,
}

/// Work for the driver.
pub(super) enum Job {
    /// A stream's task.
    Run(Box<Task>),
    /// A stream that a sender reports and nobody here knows.
    Reconcile(SenderId, StreamId),
    /// A receiver that belongs to no stream.
    Dismiss(Box<Receiver>),
}

impl StreamsDriver {
    /// Runs until every [`Streams`](super::Streams) handle is dropped. Receivers stay.
    pub async fn run(mut self) {
        let mut tasks = Tasks::default();
        for job in self.recovered.drain(..) {
            tasks.begin(&self.shared, job);
        }
        loop {
            tokio::select! {
                () = self.shared.detached.cancelled() => break,
                Some(ended) = tasks.set.join_next_with_id() => tasks.ended(&self.shared, ended),
                Some(job) = self.jobs.recv() => tasks.begin(&self.shared, job),
            }
        }
    }
}

/// The running tasks, and whose streams they are.
#[derive(Default)]
struct Tasks {
    set: JoinSet<()>,
    streams: HashMap<task::Id, Arc<Active>>,
}

impl Tasks {
    fn begin(&mut self, shared: &Arc<Shared>, job: Job) {
        match job {
            Job::Run(task) => {
                let active = Arc::clone(task.active());
                let id = self.set.spawn(task.run()).id();
                self.streams.insert(id, active);
            }
            Job::Reconcile(sender, stream) => {
                self.set.spawn(Arc::clone(shared).reconcile(sender, stream));
            }
            Job::Dismiss(receiver) => {
                self.set.spawn(dismiss(*receiver));
            }
        }
    }

    fn ended(&mut self, shared: &Arc<Shared>, ended: Result<(task::Id, ()), task::JoinError>) {
        let id = ended.as_ref().map_or_else(task::JoinError::id, |(id, ())| *id);
        let active = self.streams.remove(&id);
        let Err(error) = ended else { return };
        tracing::error!(stream = ?active.as_ref().map(|a| a.row().id), %error, "a task ended by a fault");
        if let Some(active) = active {
            self.set.spawn(Arc::clone(shared).broken_off(active));
        }
    }
}

impl std::fmt::Debug for StreamsDriver {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("StreamsDriver").finish_non_exhaustive()
    }
}
