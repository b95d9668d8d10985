//! One output: a thread, a bounded queue, and the patience to try again.

#![expect(clippy::disallowed_methods, reason = "a driver has a clock")]

use std::path::PathBuf;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use tokio::sync::{mpsc, oneshot};

use super::ReceiveEvent;
use super::file::FileWriter;
use super::forward::Forward;
use super::output::Output;

/// Packets that wait for an output: some seconds of any stream; more are lost to this output.
const QUEUE: usize = 8192;

/// How often an output is looked after when nothing comes.
const TICK: Duration = Duration::from_millis(200);

const FIRST_RETRY: Duration = Duration::from_secs(1);
const LAST_RETRY: Duration = Duration::from_secs(30);
/// An output that worked for so long starts over with the first retry.
const PROVEN: Duration = Duration::from_secs(30);

/// Something packets can be written to. It may block: it has a thread of its own.
pub(super) trait Writer: Send {
    /// Takes a packet.
    fn write(&mut self, now: Instant, packet: &Bytes) -> Result<(), String>;
    /// Is called every now and then.
    fn tick(&mut self, now: Instant) -> Result<(), String>;
    /// Writes what is left.
    fn finish(&mut self) -> Result<(), String>;
}

/// How an output is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum OutputState {
    /// Nothing has come yet.
    #[default]
    Waiting,
    /// It takes packets.
    Running,
    /// It failed and is tried again.
    Failed,
}

/// What an output did so far.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct OutputStats {
    /// Which: `record`, or `output N`.
    pub part: String,
    /// How it is.
    pub state: OutputState,
    /// Bytes it took.
    pub bytes: u64,
    /// Packets it did not get: while it had failed, or because it did not keep up.
    pub dropped: u64,
    /// How often it failed.
    pub failures: u64,
}

/// Statistics of all outputs, for the handle.
#[derive(Debug, Clone, Default)]
pub(super) struct SharedStats(Arc<Mutex<Vec<Arc<Mutex<OutputStats>>>>>);

impl SharedStats {
    pub(super) fn get(&self) -> Vec<OutputStats> {
        lock(&self.0).iter().map(|stats| lock(stats).clone()).collect()
    }

    pub(super) fn set<'a>(&self, workers: impl Iterator<Item = &'a Worker>) {
        *lock(&self.0) = workers.map(|w| Arc::clone(&w.stats)).collect();
    }
}

/// An output with its thread.
#[derive(Debug)]
pub(super) struct Worker {
    pub(super) output: Output,
    packets: SyncSender<Bytes>,
    stats: Arc<Mutex<OutputStats>>,
    ended: oneshot::Receiver<()>,
}

impl Worker {
    /// Starts an output.
    pub(super) fn start(part: String, output: Output, events: mpsc::Sender<ReceiveEvent>) -> Self {
        let (packets, queue) = sync_channel(QUEUE);
        let (end, ended) = oneshot::channel();
        let stats = Arc::new(Mutex::new(OutputStats { part: part.clone(), ..OutputStats::default() }));
        let job = Job {
            output: output.clone(),
            events: events.clone(),
            stats: Arc::clone(&stats),
            writer: None,
            file: None,
            retry: FIRST_RETRY,
            retry_at: None,
            since: Instant::now(),
        };
        let thread = std::thread::Builder::new().name(part.clone());
        let started = thread.spawn(move || {
            job.run(&queue);
            drop(end);
        });
        if let Err(error) = started {
            let _ = events.try_send(ReceiveEvent::Error { part, message: format!("cannot start: {error}") });
        }
        Self { output, packets, stats, ended }
    }

    /// Gives it a packet, unless it does not keep up.
    pub(super) fn give(&self, packet: &Bytes) {
        if let Err(TrySendError::Full(_) | TrySendError::Disconnected(_)) =
            self.packets.try_send(packet.clone())
        {
            lock(&self.stats).dropped += 1;
        }
    }

    /// Lets it write what it has and end; what is given back resolves when it did.
    pub(super) fn end(self) -> oneshot::Receiver<()> {
        self.ended
    }
}

struct Job {
    output: Output,
    events: mpsc::Sender<ReceiveEvent>,
    stats: Arc<Mutex<OutputStats>>,
    writer: Option<Box<dyn Writer>>,
    /// The file that was made, to go on with after a failure.
    file: Option<PathBuf>,
    retry: Duration,
    retry_at: Option<Instant>,
    since: Instant,
}

impl Job {
    fn run(mut self, queue: &Receiver<Bytes>) {
        // Who waits to be called must be reachable before anything comes; everyone else is bothered when there is something.
        if matches!(self.output, Output::Srt(_)) {
            self.open(Instant::now());
        }
        loop {
            let packet = queue.recv_timeout(TICK);
            let now = Instant::now();
            match packet {
                Ok(packet) => self.packet(now, &packet),
                Err(RecvTimeoutError::Timeout) => self.attend(now, |w| w.tick(now)),
                Err(RecvTimeoutError::Disconnected) => return self.attend(now, |w| w.finish()),
            }
        }
    }

    fn packet(&mut self, now: Instant, packet: &Bytes) {
        if self.writer.is_none() && self.retry_at.is_none_or(|at| now >= at) {
            self.open(now);
        }
        let before = self.writer.is_some();
        self.attend(now, |w| w.write(now, packet));
        let mut stats = lock(&self.stats);
        if before && self.writer.is_some() {
            stats.bytes += packet.len() as u64;
        } else {
            stats.dropped += 1;
        }
    }

    fn open(&mut self, now: Instant) {
        match self.writer(now) {
            Ok(writer) => {
                self.writer = Some(writer);
                self.since = now;
                lock(&self.stats).state = OutputState::Running;
            }
            Err(message) => self.fail(now, message),
        }
    }

    fn writer(&mut self, now: Instant) -> Result<Box<dyn Writer>, String> {
        let Output::File(path) = &self.output else { return Ok(Box::new(Forward::open(now, &self.output)?)) };
        if let Some(file) = &self.file {
            return Ok(Box::new(FileWriter::resume(file)?));
        }
        let (writer, path) = FileWriter::create(path)?;
        self.file = Some(path.clone());
        let part = lock(&self.stats).part.clone();
        let _ = self.events.try_send(ReceiveEvent::Recording { part, path });
        Ok(Box::new(writer))
    }

    /// Does something with the writer, if there is one, and gives it up when that fails.
    fn attend(&mut self, now: Instant, act: impl FnOnce(&mut dyn Writer) -> Result<(), String>) {
        let Some(writer) = &mut self.writer else { return };
        if let Err(message) = act(writer.as_mut()) {
            self.writer = None;
            self.fail(now, message);
        }
    }

    fn fail(&mut self, now: Instant, message: String) {
        if now.saturating_duration_since(self.since) >= PROVEN {
            self.retry = FIRST_RETRY;
        }
        self.retry_at = Some(now + self.retry);
        self.retry = (self.retry * 2).min(LAST_RETRY);
        let mut stats = lock(&self.stats);
        stats.state = OutputState::Failed;
        stats.failures += 1;
        let part = stats.part.clone();
        drop(stats);
        let _ = self.events.try_send(ReceiveEvent::Error { part, message });
    }
}

fn lock<T: ?Sized>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
