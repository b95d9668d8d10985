//! The handle on all streams: start, stop, look; and what their tasks share.

use std::collections::{HashMap, HashSet};
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use serde::Serialize;
use strata_proto::control::{
    EndReason, ErrorCode, Fault, Presence, Reply, StartStream, StreamLife, StreamStop, StreamView, Topic,
};
use strata_proto::id::{SenderId, StreamId, UserId};
use thiserror::Error;
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::{CancellationToken, DropGuard};

use super::active::{Active, view};
use super::config::StreamsConfig;
use super::driver::{Job, StreamsDriver};
use super::forwards::Forwards;
use super::life::Life;
use super::plan::Plan;
use super::ports::{PortPool, PortsExhausted};
use super::receiver::Launch;
use super::run_dir::{self, SOCKET, absolute};
use super::task::Task;
use super::totals::{Summary, Totals};
use crate::config::Config;
use crate::error::LoadError;
use crate::event::Events;
use crate::fleet::{CommandError, Fleet, Observer, Scope};
use crate::store::{Page, Store, StoreError, StreamRow};

/// Handle to the streams; cheap to clone. Dropping the last one ends the [`StreamsDriver`].
#[derive(Debug, Clone)]
pub struct Streams {
    pub(super) shared: Arc<Shared>,
    _alive: Arc<DropGuard>,
}

/// Why a stream was not started. What had been done was undone.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum StartError {
    /// The request cannot be carried out; the fault names the field.
    #[error("{}", .0.message)]
    Invalid(Fault),
    /// The sender has a stream that is not over.
    #[error("the sender has a stream already")]
    Active(Option<StreamId>),
    /// No ports are left.
    #[error(transparent)]
    Ports(#[from] PortsExhausted),
    /// The receiver was not ready.
    #[error("starting the receiver: {0}")]
    Receiver(String),
    /// The agent could not be asked.
    #[error("starting the sender: {0}")]
    Command(CommandError),
    /// The agent refused.
    #[error("the sender refused: {}", .0.message)]
    Refused(Fault),
    /// Something else ended it before the agent had accepted.
    #[error("{0}")]
    Failed(String),
    /// The control plane is shutting down.
    #[error("the control plane is shutting down")]
    ShuttingDown,
    /// The database failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// The sender has no stream that could be stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("the sender has no stream that runs")]
pub struct NotStreaming;

pub(super) struct Shared {
    pub(super) fleet: Fleet,
    pub(super) store: Store,
    events: Events,
    pub(super) config: StreamsConfig,
    pub(super) hosts: Vec<String>,
    pub(super) run_dir: PathBuf,
    recordings: PathBuf,
    ports: Mutex<PortPool>,
    live: Mutex<Index>,
    pub(super) detached: CancellationToken,
    pub(super) totals: Totals,
    pub(super) forwards: Forwards,
    pub(super) jobs: mpsc::Sender<Job>,
}

#[derive(Default)]
struct Index {
    by_id: HashMap<StreamId, Arc<Active>>,
    by_sender: HashMap<SenderId, Arc<Active>>,
    /// Senders whose stream is being entered.
    turns: HashSet<SenderId>,
    /// Streams that an agent reported and nobody knows, being looked up.
    strange: HashSet<StreamId>,
}

/// The right to enter a stream of one sender; nobody else has it until this is dropped.
struct Turn<'a> {
    shared: &'a Shared,
    sender: &'a SenderId,
}

impl<'a> Turn<'a> {
    fn take(shared: &'a Shared, sender: &'a SenderId) -> Option<Self> {
        let free = shared.index().turns.insert(sender.clone());
        free.then(|| Self { shared, sender })
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        self.shared.index().turns.remove(self.sender);
    }
}

impl std::fmt::Debug for Shared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Shared").finish_non_exhaustive()
    }
}

impl Streams {
    /// Streams of this fleet, and the driver of their tasks.
    ///
    /// Finds the receivers that an earlier control plane started and takes their streams up again,
    /// ports included; streams whose receiver is gone are failed. Agents must not connect before.
    ///
    /// # Errors
    /// [`LoadError::Config`] naming the key that cannot be served, [`LoadError::Store`].
    pub async fn load(
        config: &Config,
        fleet: Fleet,
        store: Store,
        events: Events,
    ) -> Result<(Self, StreamsDriver), LoadError> {
        let run_dir = run_dir::make(&config.streams.run_dir(&config.data_dir))?;
        let mut hosts = config.streams.hosts.clone();
        if hosts.is_empty() {
            hosts.extend(config.public_url.host().map(|host| match host {
                url::Host::Ipv6(address) => address.to_string(),
                other => other.to_string(),
            }));
        }
        let (jobs, received) = mpsc::channel(JOBS);
        let shared = Arc::new(Shared {
            fleet,
            store,
            events,
            ports: Mutex::new(PortPool::new(config.streams.ports.clone())),
            recordings: absolute(&config.streams.recordings_dir(&config.data_dir)),
            config: config.streams.clone(),
            hosts,
            run_dir,
            live: Mutex::default(),
            detached: CancellationToken::new(),
            totals: Totals::default(),
            forwards: Forwards::default(),
            jobs,
        });
        let recovered = shared.recover().await?;
        let driver = StreamsDriver { shared: Arc::clone(&shared), jobs: received, recovered };
        let alive = Arc::new(shared.detached.clone().drop_guard());
        Ok((Self { shared, _alive: alive }, driver))
    }

    /// Starts a stream of a sender that belongs to `owner`. Returns when the agent has accepted; the
    /// stream is live when media flow.
    ///
    /// Ports are allocated, the receiver is started and ready, then the agent is asked. A failure on
    /// the way undoes what was done before this returns.
    ///
    /// # Errors
    /// [`StartError`] says which step failed.
    pub async fn start(
        &self,
        sender: &SenderId,
        owner: &UserId,
        body: StartStream,
    ) -> Result<StreamView, StartError> {
        let shared = &self.shared;
        let status = shared.fleet.status(sender);
        let plan = Plan::new(body, status.as_deref(), &shared.config).map_err(StartError::Invalid)?;
        // Two requests at once must not compete for ports: the second one is told why it is refused.
        let turn = Turn::take(shared, sender).ok_or(StartError::Active(None))?;
        if let Some(active) = shared.of_sender(sender) {
            return Err(StartError::Active(Some(active.row().id)));
        }
        if shared.fleet.presence(sender).presence != Presence::Online {
            return Err(StartError::Command(CommandError::Offline));
        }
        let ports = shared.allocate(plan.links.len())?;
        let row = shared.new_row(sender, owner, &plan, ports);
        match shared.store.insert_stream(&row).await {
            Ok(true) => {}
            refused => {
                shared.release(&row.ports);
                return Err(refused.map_or_else(StartError::Store, |_| StartError::Active(None)));
            }
        }
        let command = plan.command(row.id.clone(), &row.ports, &shared.hosts);
        let life = Life::start(shared.graces(&row), crate::clock::mono());
        let (starter, outcome) = oneshot::channel();
        shared.forwards.keep(sender, &row.id, plan.forward.as_ref());
        let active = shared.enlist(row.clone(), true);
        drop(turn);
        let task = Task::new(Arc::clone(shared), Arc::clone(&active), life, shared.launch(&row))
            .forwarding(plan.forward)
            .starting(command, starter);
        if shared.jobs.send(Job::Run(Box::new(task))).await.is_err() {
            return Err(StartError::ShuttingDown);
        }
        outcome.await.map_err(|_| shared.lost())??;
        Ok(active.view(true))
    }

    /// Ends the stream of a sender. Returns when it is `stopping`; the agent and then the receiver
    /// get their time to finish. The agent is told `reason`, `user_request` when absent.
    ///
    /// # Errors
    /// [`NotStreaming`].
    pub async fn stop(&self, sender: &SenderId, reason: Option<String>) -> Result<StreamView, NotStreaming> {
        let active = self.shared.of_sender(sender).filter(|active| !active.over()).ok_or(NotStreaming)?;
        active.lock().stop_reason = reason;
        active.inbox.stop(EndReason::UserStop);
        let mut state = active.state.subscribe();
        let stopping = |state: &StreamLife| !matches!(state, StreamLife::Starting | StreamLife::Live);
        state.wait_for(stopping).await.map_err(|_| NotStreaming)?;
        Ok(active.view(true))
    }

    /// Ends the [`StreamsDriver`] and with it every stream's task, for shutdown: what happens to agents
    /// and receivers from now on is for the next control plane to find out. Receivers stay.
    pub fn detach(&self) {
        self.shared.detached.cancel();
    }

    /// What hears the agents: give it to [`Fleet::observe`].
    #[must_use]
    pub fn observer(&self) -> Weak<dyn Observer> {
        let shared: Weak<Shared> = Arc::downgrade(&self.shared);
        shared
    }

    /// Streams within `scope` that are not over; with `stream`, that one alone, over or not, with its
    /// statistics.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn views(
        &self,
        scope: &Scope,
        stream: Option<&StreamId>,
    ) -> Result<Vec<StreamView>, StoreError> {
        self.shared.stream_views(scope, stream).await
    }

    /// How many streams and receivers there are, and what the receivers counted; for metrics.
    #[must_use]
    pub fn summary(&self) -> Summary {
        let state = |active: Arc<Active>| {
            let now = active.lock();
            (now.row.state, now.receiving)
        };
        self.shared.totals.summary(self.shared.all().into_iter().map(state))
    }

    /// A part of the streams within `scope` that are not over, newest first.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn page(&self, scope: &Scope, page: Page<'_, StreamId>) -> Result<Vec<StreamView>, StoreError> {
        let mut views = self.views(scope, None).await?;
        views.retain(|view| page.after.is_none_or(|after| view.id < *after));
        views.truncate(usize::try_from(page.limit).unwrap_or(usize::MAX));
        Ok(views)
    }

    /// A part of all streams within `scope`, newest first, those that are over included.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn history(
        &self,
        scope: &Scope,
        page: Page<'_, StreamId>,
    ) -> Result<Vec<StreamView>, StoreError> {
        let rows = self.shared.store.streams(scope, page).await?;
        Ok(rows.into_iter().map(|row| self.shared.present(row)).collect())
    }
}

impl Shared {
    /// What a start is told whose task is gone without a word.
    fn lost(&self) -> StartError {
        if self.detached.is_cancelled() {
            return StartError::ShuttingDown;
        }
        StartError::Failed("the task of the stream broke off".to_owned())
    }

    pub(super) fn command_timeout(&self) -> Duration {
        Duration::from_secs(self.config.command_timeout_s)
    }

    pub(super) fn graces(&self, row: &StreamRow) -> super::Graces {
        self.config.graces(Duration::from_millis(u64::from(row.latency_ms)))
    }

    fn allocate(&self, count: usize) -> Result<Vec<u16>, PortsExhausted> {
        let bind = self.config.bind;
        let mut ports = self.ports.lock().unwrap_or_else(PoisonError::into_inner);
        ports.allocate(count, |port| can_bind(bind, port) && can_bind(bind, port + 1))
    }

    pub(super) fn claim(&self, ports: &[u16]) -> bool {
        self.ports.lock().unwrap_or_else(PoisonError::into_inner).claim(ports)
    }

    pub(super) fn release(&self, ports: &[u16]) {
        self.ports.lock().unwrap_or_else(PoisonError::into_inner).release(ports);
    }

    fn new_row(&self, sender: &SenderId, owner: &UserId, plan: &Plan, ports: Vec<u16>) -> StreamRow {
        let created_at = crate::clock::wall();
        let id = StreamId::generate(created_at, crate::entropy::bytes());
        StreamRow {
            sender: sender.clone(),
            owner: owner.clone(),
            state: StreamLife::Starting,
            created_at,
            live_at: None,
            ended_at: None,
            reason: None,
            error: None,
            presumed: false,
            ports,
            latency_ms: plan.latency_ms,
            recording: plan.record.then(|| self.recording(&id)),
            forwards: plan.forward.is_some(),
            receiver_stats: None,
            id,
        }
    }

    /// A file that is not there yet: a stream that is revived must not write over its own past.
    pub(super) fn recording(&self, id: &StreamId) -> String {
        let first = self.recordings.join(format!("{id}.ts"));
        let further = (2..=u32::MAX).map(|n| self.recordings.join(format!("{id}-{n}.ts")));
        let free = std::iter::once(first).chain(further).find(|file| !file.exists());
        free.unwrap_or_default().to_string_lossy().into_owned()
    }

    pub(super) fn socket(&self, id: &StreamId) -> PathBuf {
        self.run_dir.join(format!("{id}.{SOCKET}"))
    }

    pub(super) fn launch(&self, row: &StreamRow) -> Launch {
        Launch {
            program: self.config.receiver_program(),
            stream_id: row.id.clone(),
            bind: self.config.bind,
            ports: row.ports.clone(),
            socket: self.socket(&row.id),
            log: self.log(&row.id),
            latency_ms: row.latency_ms,
            idle_timeout: Duration::from_secs(self.config.idle_timeout_s),
            record: row.recording.as_ref().map(PathBuf::from),
            ready_within: Duration::from_secs(self.config.ready_timeout_s),
        }
    }

    fn index(&self) -> MutexGuard<'_, Index> {
        self.live.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn enlist(&self, row: StreamRow, observed: bool) -> Arc<Active> {
        let (id, sender) = (row.id.clone(), row.sender.clone());
        let active = Arc::new(Active::new(row, observed));
        let mut index = self.index();
        index.by_id.insert(id, Arc::clone(&active));
        index.by_sender.insert(sender, Arc::clone(&active));
        active
    }

    pub(super) fn forget(&self, active: &Arc<Active>) {
        let row = active.row();
        let mut index = self.index();
        index.by_id.remove(&row.id);
        if index.by_sender.get(&row.sender).is_some_and(|other| Arc::ptr_eq(other, active)) {
            index.by_sender.remove(&row.sender);
        }
        drop(index);
        if !row.presumed {
            self.forwards.forget(&row.sender, &row.id);
        }
    }

    pub(super) fn of_sender(&self, sender: &SenderId) -> Option<Arc<Active>> {
        self.index().by_sender.get(sender).cloned()
    }

    pub(super) fn by_id(&self, id: &StreamId) -> Option<Arc<Active>> {
        self.index().by_id.get(id).cloned()
    }

    pub(super) fn all(&self) -> Vec<Arc<Active>> {
        self.index().by_id.values().cloned().collect()
    }

    /// Whether this stream is not being looked up already.
    pub(super) fn begin_lookup(&self, id: &StreamId) -> bool {
        let mut index = self.index();
        index.strange.len() < JOBS && index.strange.insert(id.clone())
    }

    pub(super) fn end_lookup(&self, id: &StreamId) {
        self.index().strange.remove(id);
    }

    pub(super) fn present(&self, row: StreamRow) -> StreamView {
        match self.by_id(&row.id) {
            Some(active) => active.view(false),
            None => view(row),
        }
    }

    pub(super) fn publish(&self, row: &StreamRow, event: &str, data: &impl Serialize) {
        let topic = Topic::Stream(row.id.clone());
        self.events.publish(crate::clock::wall(), &row.owner, topic, event, data);
    }

    /// Asks an agent to stop a stream; that it is offline or does not know the stream is fine.
    pub(super) async fn tell_stop(self: Arc<Self>, sender: SenderId, stop: StreamStop) {
        let stream = stop.stream_id.clone();
        match self.fleet.request(&sender, stop, self.command_timeout()).await {
            Ok(_) | Err(CommandError::Offline) => {}
            Err(error) => tracing::warn!(%stream, %sender, %error, "stream.stop was not answered"),
        }
    }
}

/// Why an agent refused.
pub(super) fn fault_of(reply: Reply) -> Fault {
    reply.error.unwrap_or_else(|| Fault::new(ErrorCode::INTERNAL, "the sender gave no reason"))
}

/// Whether a receiver could bind this port now.
#[expect(clippy::disallowed_types, reason = "the port pool's probe: binds and lets go")]
fn can_bind(address: IpAddr, port: u16) -> bool {
    std::net::UdpSocket::bind(SocketAddr::new(address, port)).is_ok()
}

/// Streams that may wait to be run, and reports that may wait to be looked up.
const JOBS: usize = 256;
