//! The loop of a receiver: packets to every output.

#![expect(clippy::disallowed_methods, reason = "a driver has a clock")]

use std::path::PathBuf;
use std::time::{Duration, Instant};

use bytes::Bytes;
use tokio::sync::mpsc;

use super::super::error::PipelineError;
use super::ReceiveEvent;
use super::output::Output;
use super::worker::{SharedStats, Worker};
use crate::net::{Receiver, ReceiverDriver};

/// How often a receiver that ends looks whether its buffer is empty.
const DRAIN_LOOK: Duration = Duration::from_millis(120);

/// How long outputs may take to write what is left.
const END_TIMEOUT: Duration = Duration::from_secs(5);

#[derive(Debug)]
pub(super) enum Command {
    Outputs(Vec<Output>),
    Stop,
}

/// Runs a receiver.
#[derive(Debug)]
pub struct ReceiveDriver {
    receiver: Receiver,
    network: ReceiverDriver,
    commands: mpsc::UnboundedReceiver<Command>,
    workers: Workers,
    drain: Duration,
}

impl ReceiveDriver {
    pub(super) fn new(
        receiver: Receiver,
        network: ReceiverDriver,
        commands: mpsc::UnboundedReceiver<Command>,
        workers: Workers,
        drain: Duration,
    ) -> Self {
        Self { receiver, network, commands, workers, drain }
    }

    /// Runs until it is stopped or its handle dropped, and all outputs have written what they could within 5 s.
    ///
    /// # Errors
    /// [`PipelineError::Net`] when the network half fails; what came in is written even then.
    pub async fn run(self) -> Result<(), PipelineError> {
        let Self { mut receiver, network, mut commands, mut workers, drain } = self;
        workers.start();
        let network = network.run();
        tokio::pin!(network);
        let outcome = tokio::select! {
            () = serve(&mut receiver, &mut commands, &mut workers, drain) => Ok(()),
            result = &mut network => result.map_err(PipelineError::Net),
        };
        workers.end().await;
        outcome
    }
}

async fn serve(
    receiver: &mut Receiver,
    commands: &mut mpsc::UnboundedReceiver<Command>,
    workers: &mut Workers,
    drain: Duration,
) {
    loop {
        tokio::select! {
            packet = receiver.recv() => match packet {
                Some(packet) => workers.give(&packet.payload),
                None => return,
            },
            command = commands.recv() => match command {
                Some(Command::Outputs(outputs)) => workers.replace(outputs),
                Some(Command::Stop) | None => break,
            },
        }
    }
    // What has arrived is put out at its time; a sender that goes on is not waited for.
    let deadline = Instant::now() + drain;
    while let Some(left) = deadline.checked_duration_since(Instant::now()) {
        match tokio::time::timeout(left.min(DRAIN_LOOK), receiver.recv()).await {
            Ok(Some(packet)) => workers.give(&packet.payload),
            Ok(None) => return,
            Err(_) if receiver.stats().buffered_packets == 0 => return,
            Err(_) => {}
        }
    }
}

/// All outputs of a receiver.
#[derive(Debug)]
pub(super) struct Workers {
    record: Option<PathBuf>,
    wanted: Vec<Output>,
    running: Vec<Worker>,
    /// The recording is the first of them.
    recording: usize,
    stats: SharedStats,
    events: mpsc::Sender<ReceiveEvent>,
}

impl Workers {
    pub(super) fn new(
        record: Option<PathBuf>,
        wanted: Vec<Output>,
        stats: SharedStats,
        events: mpsc::Sender<ReceiveEvent>,
    ) -> Self {
        Self { record, wanted, running: Vec::new(), recording: 0, stats, events }
    }

    fn start(&mut self) {
        if let Some(path) = self.record.take() {
            self.running.push(Worker::start("record".into(), Output::File(path), self.events.clone()));
            self.recording = 1;
        }
        let wanted = std::mem::take(&mut self.wanted);
        self.replace(wanted);
    }

    fn give(&self, packet: &Bytes) {
        self.running.iter().for_each(|worker| worker.give(packet));
    }

    /// Keeps what is still wanted, ends the rest, starts what is new.
    fn replace(&mut self, outputs: Vec<Output>) {
        let mut before = self.running.split_off(self.recording);
        for (n, output) in outputs.into_iter().enumerate() {
            let known = before.iter().position(|worker| worker.output == output);
            let fresh = || Worker::start(format!("output {}", n + 1), output, self.events.clone());
            let worker = known.map(|index| before.swap_remove(index)).unwrap_or_else(fresh);
            self.running.push(worker);
        }
        self.stats.set(self.running.iter());
        // Dropped: their threads write what they have and end by themselves.
        drop(before);
    }

    async fn end(self) {
        let ending = async {
            // All are told to end before the first is waited for.
            let ending: Vec<_> = self.running.into_iter().map(Worker::end).collect();
            for ended in ending {
                let _ = ended.await;
            }
        };
        let _ = tokio::time::timeout(END_TIMEOUT, ending).await;
    }
}
