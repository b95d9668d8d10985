//! From a bonded stream to files and other people's servers.
//!
//! Every output has a thread of its own and a bounded queue, because disks and foreign servers block: an output that
//! fails or does not keep up loses its own packets, says so, and is tried again after 1, 2, 4 … 30 s, while the others
//! do not notice. These are the only threads this crate starts by itself; each ends with its output.

mod driver;
mod file;
mod forward;
mod output;
mod worker;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use tokio::sync::mpsc;

use super::error::PipelineError;
use crate::net::{self, ReceiverConfig, ReceiverMonitor};
use crate::rist::ReceiverStats;

use driver::Command;
pub use driver::ReceiveDriver;
pub use output::{Output, OutputError};
pub use worker::{OutputState, OutputStats};

/// Events that wait for the handle's owner; more of them are dropped.
const EVENTS: usize = 64;

/// Outputs that one receiver has at most.
const MAX_OUTPUTS: usize = 16;

/// What to receive, and where to put it.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct ReceiveConfig {
    /// Where to listen, and with which latency.
    pub net: ReceiverConfig,
    /// A file for the transport stream as it came, made when the first byte comes. An existing file is not touched: the
    /// new one is then called `name-1.ts`, and so on. It stays when the outputs are replaced.
    pub record: Option<PathBuf>,
    /// Where else it goes.
    pub outputs: Vec<Output>,
}

impl ReceiveConfig {
    /// Receives, and puts it nowhere yet.
    #[must_use]
    pub fn new(net: ReceiverConfig) -> Self {
        Self { net, record: None, outputs: Vec::new() }
    }
}

/// Steers a running receiver. Dropping it ends the receiver as [`Receive::stop`] does.
#[derive(Debug)]
pub struct Receive {
    commands: mpsc::UnboundedSender<Command>,
    events: mpsc::Receiver<ReceiveEvent>,
    monitor: ReceiverMonitor,
    outputs: worker::SharedStats,
}

impl Receive {
    /// Forwards to these outputs what is played out from now on, also when it came before. Outputs that are in the new list too go
    /// on undisturbed; the others write what they were given, and end.
    ///
    /// # Errors
    /// [`PipelineError::Config`] when there are more than 16, [`PipelineError::Closed`] when the driver has ended.
    pub fn set_outputs(&self, outputs: Vec<Output>) -> Result<(), PipelineError> {
        check(&outputs)?;
        self.tell(Command::Outputs(outputs))
    }

    /// Puts out what is still buffered, writes what is left, and ends.
    ///
    /// # Errors
    /// [`PipelineError::Closed`] when the driver has ended.
    pub fn stop(&self) -> Result<(), PipelineError> {
        self.tell(Command::Stop)
    }

    /// What happens, in order; `None` when the driver has ended.
    pub async fn event(&mut self) -> Option<ReceiveEvent> {
        self.events.recv().await
    }

    /// Statistics, at most 100 ms old.
    #[must_use]
    pub fn stats(&self) -> ReceiveStats {
        ReceiveStats { net: self.monitor.stats(), outputs: self.outputs.get() }
    }

    /// RTP addresses that are listened at; RTCP is one port above each.
    #[must_use]
    pub fn local_addrs(&self) -> &[SocketAddr] {
        self.monitor.local_addrs()
    }

    fn tell(&self, command: Command) -> Result<(), PipelineError> {
        self.commands.send(command).map_err(|_| PipelineError::Closed)
    }
}

/// Statistics of a receiver.
#[derive(Debug, Clone, Default, PartialEq)]
#[non_exhaustive]
pub struct ReceiveStats {
    /// What came in.
    pub net: ReceiverStats,
    /// What went out, the recording first.
    pub outputs: Vec<OutputStats>,
}

/// What happens to a receiver.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum ReceiveEvent {
    /// The first byte came and a file was made for it.
    Recording {
        /// Which: `record`, or `output N`, counted from 1.
        part: String,
        /// The file; another name than the one asked for when that was taken.
        path: PathBuf,
    },
    /// An output failed; it is tried again, and the others go on.
    Error {
        /// Which: `record`, or `output N`, counted from 1.
        part: String,
        /// Why, without addresses or keys.
        message: String,
    },
}

/// Binds the ports of a receiver. Packets flow with [`ReceiveDriver::run`].
///
/// # Errors
/// An address that cannot be had, or too many outputs. What is wrong with an output itself is an event later.
pub fn receive(config: ReceiveConfig) -> Result<(Receive, ReceiveDriver), PipelineError> {
    check(&config.outputs)?;
    let latency = config.net.latency;
    let (receiver, network) = net::receiver(config.net)?;
    let (command_sender, commands) = mpsc::unbounded_channel();
    let (event_sender, events) = mpsc::channel(EVENTS);
    let stats = worker::SharedStats::default();
    let handle =
        Receive { commands: command_sender, events, monitor: receiver.monitor(), outputs: stats.clone() };
    let workers = driver::Workers::new(config.record, config.outputs, stats, event_sender);
    Ok((
        handle,
        ReceiveDriver::new(receiver, network, commands, workers, latency + Duration::from_millis(300)),
    ))
}

fn check(outputs: &[Output]) -> Result<(), PipelineError> {
    if outputs.len() <= MAX_OUTPUTS {
        return Ok(());
    }
    let reason = format!("{} outputs, at most {MAX_OUTPUTS}", outputs.len());
    Err(PipelineError::Config { field: "outputs", reason })
}
