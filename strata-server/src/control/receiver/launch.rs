//! Starting a receiver process.

use std::fs::OpenOptions;
use std::net::IpAddr;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use strata_proto::id::StreamId;
use tokio::process::{Child, Command};

use super::{Receiver, ReceiverError};

/// What a receiver is started with.
#[derive(Debug, Clone)]
pub struct Launch {
    /// The program, `strata-receiver`.
    pub program: PathBuf,
    /// Whose stream it receives.
    pub stream_id: StreamId,
    /// Address it binds.
    pub bind: IpAddr,
    /// RTP ports, one per link.
    pub ports: Vec<u16>,
    /// Where it listens for the control plane.
    pub socket: PathBuf,
    /// File its log is appended to.
    pub log: PathBuf,
    /// Playout latency, ms.
    pub latency_ms: u32,
    /// It ends by itself when nothing comes in for this long.
    pub idle_timeout: Duration,
    /// File the stream is written to.
    pub record: Option<PathBuf>,
    /// How long it may take to bind its ports.
    pub ready_within: Duration,
}

/// Starts a receiver and waits until it is ready. When this future is dropped or fails, the process
/// is ended.
///
/// # Errors
/// [`ReceiverError`] says which step failed, with the end of the receiver's log.
pub async fn launch(launch: Launch) -> Result<Receiver, ReceiverError> {
    if let Some(directory) = launch.record.as_deref().and_then(Path::parent) {
        std::fs::create_dir_all(directory)
            .map_err(|source| ReceiverError::File { path: directory.to_owned(), source })?;
    }
    // A socket that a dead receiver of the same stream left would be in the way.
    drop(std::fs::remove_file(&launch.socket));
    let mut starting = Starting(Some(spawn(&launch)?));
    let ready = tokio::select! {
        ready = greeting(&launch.socket) => ready,
        status = starting.wait() => Err(ReceiverError::Ended { status, log: tail(&launch.log) }),
        () = tokio::time::sleep(launch.ready_within) => Err(ReceiverError::NotReady(launch.ready_within)),
    };
    match ready {
        Ok(mut receiver) => {
            receiver.child = starting.0.take();
            Ok(receiver)
        }
        Err(error) => {
            drop(std::fs::remove_file(&launch.socket));
            Err(error)
        }
    }
}

/// A process that is ended unless it gets ready: once ready, it outlives its starter.
struct Starting(Option<Child>);

impl Starting {
    async fn wait(&mut self) -> String {
        match &mut self.0 {
            Some(child) => child.wait().await.map_or_else(|e| e.to_string(), |status| status.to_string()),
            None => std::future::pending().await,
        }
    }
}

impl Drop for Starting {
    fn drop(&mut self) {
        if let Some(mut child) = self.0.take() {
            // It may have ended by itself already; the runtime reaps it either way.
            drop(child.start_kill());
        }
    }
}

/// The greeting of a receiver that is being started: its socket appears when its ports are bound.
async fn greeting(socket: &Path) -> Result<Receiver, ReceiverError> {
    loop {
        match super::greet(socket).await {
            Err(ReceiverError::Stale) => tokio::time::sleep(POLL).await,
            other => return other,
        }
    }
}

fn spawn(launch: &Launch) -> Result<Child, ReceiverError> {
    let log = OpenOptions::new()
        .create(true)
        .append(true)
        .mode(0o640)
        .open(&launch.log)
        .map_err(|source| ReceiverError::File { path: launch.log.clone(), source })?;
    let ports: Vec<String> = launch.ports.iter().map(u16::to_string).collect();
    let mut command = Command::new(&launch.program);
    command
        .arg("--stream-id")
        .arg(launch.stream_id.as_str())
        .args(["--bind", &launch.bind.to_string()])
        .args(["--ports", &ports.join(",")])
        .arg("--control-socket")
        .arg(&launch.socket)
        .args(["--latency-ms", &launch.latency_ms.to_string()])
        .args(["--idle-timeout-s", &launch.idle_timeout.as_secs().max(1).to_string()]);
    if let Some(file) = &launch.record {
        command.arg("--record").arg(file);
    }
    // Settings of the control plane, secrets among them, are none of the receiver's business.
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("STRATA_CONTROL_") {
            command.env_remove(name);
        }
    }
    let errors =
        log.try_clone().map_err(|source| ReceiverError::File { path: launch.log.clone(), source })?;
    command.stdin(Stdio::null()).stdout(log).stderr(errors).process_group(0);
    command.spawn().map_err(|source| ReceiverError::Spawn { program: launch.program.clone(), source })
}

/// The end of a log, for the error message.
fn tail(log: &Path) -> String {
    let text = std::fs::read(log).unwrap_or_default();
    let text = String::from_utf8_lossy(&text[text.len().saturating_sub(TAIL)..]).into_owned();
    let lines: Vec<&str> = text.lines().rev().filter(|line| !line.trim().is_empty()).take(3).collect();
    lines.into_iter().rev().collect::<Vec<_>>().join(" | ")
}

/// A receiver is ready within some 100 ms; this is how late that is noticed.
const POLL: Duration = Duration::from_millis(10);
const TAIL: usize = 1024;
