//! The agent's main process: puts the parts together, runs them on one thread, and ends in order.
//!
//! ```text
//!   session driver ◄─► Device (commands) ─► Streams ─► streams driver ─► child
//!         ▲                     │
//!         └── status_changed ── Hardware ◄── hardware driver ◄── rtnetlink, /dev, media directory
//! ```
#![expect(clippy::disallowed_methods, reason = "this is a driver: it waits while it measures the load")]

use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use anyhow::Context as _;
use strata_client::role::agent::{self, Handle};
use strata_client::{Config as Client, Identity};
use strata_daemon::Signals;
use strata_proto::control::EndReason;
use tokio::sync::mpsc;
use tokio::task::{JoinError, JoinSet};

use crate::commands::{Device, Exit, Kept};
use crate::config::{Config, Settings};
use crate::control_plane::ControlPlane;
use crate::hardware::{self, Activity, Hardware, Options};
use crate::logs::Logs;
use crate::media_dir::MediaDir;
use crate::pipeline;
use crate::streams::{self, Streams};

/// Looks at the device once and prints what would be reported.
///
/// # Errors
/// When the kernel does not let itself be asked.
pub(crate) fn report(config: &Config) -> anyhow::Result<std::process::ExitCode> {
    let status = runtime()?.block_on(async {
        let options = options(config, &Settings::read(&config.state_dir)?, pipeline::find().await?);
        let (hardware, mut driver, socket) = hardware::open(options)?;
        let look = async {
            tokio::join!(driver.look(), tokio::time::sleep(LOAD_SAMPLE));
        };
        tokio::select! {
            () = look => {}
            () = socket => anyhow::bail!("the netlink socket was closed"),
        }
        Ok(hardware.status(&Activity::default()))
    })?;
    println!("{}", serde_json::to_string_pretty(&status)?);
    Ok(std::process::ExitCode::SUCCESS)
}

/// Serves the control plane until a signal or a command ends it.
///
/// # Errors
/// When a part cannot start, or ends by itself.
pub(crate) fn serve(config: Config, control_plane: ControlPlane) -> anyhow::Result<Option<Exit>> {
    let logs = Logs::new(config.log_lines).install(&config.live.log, config.log_format)?;
    tracing::info!(version = env!("CARGO_PKG_VERSION"), control_plane = %control_plane.url, state = %config.state_dir.display(), "strata-agent starts");
    let runtime = runtime()?;
    let program = runtime.block_on(pipeline::find())?;
    let identity = Identity::load_or_create_with_key(&config.state_dir, &config.device_key_path)?;
    let exit = runtime.block_on(live(config, control_plane, identity, logs, program));
    // A look at a slow disk must not hold up the end.
    runtime.shutdown_background();
    exit
}

async fn live(
    config: Config,
    control_plane: ControlPlane,
    identity: Identity,
    logs: Logs,
    program: PathBuf,
) -> anyhow::Result<Option<Exit>> {
    let mut signals = Signals::listen()?;
    let settings = Settings::read(&config.state_dir)?;
    if let Err(error) = std::fs::create_dir_all(&config.media_dir) {
        tracing::warn!(%error, path = %config.media_dir.display(), "cannot make the media directory");
    }
    let (hardware, mut hardware_driver, socket) =
        hardware::open(options(&config, &settings, program.clone()))
            .context("cannot ask the kernel for network interfaces")?;
    // One thread runs all parts: children are tied to the thread that made them (PR_SET_PDEATHSIG).
    let mut parts = JoinSet::new();
    parts.spawn(socket);
    // A command that comes right after the login must find the interfaces.
    hardware_driver.look_at_network().await;
    let hardware = Arc::new(hardware);
    let (streams, streams_driver) = streams::new(program, config.state_dir.join("run"));
    sweep(&config.state_dir.join("run"));
    let (exits, exits_rx) = mpsc::channel(1);
    let client = client(&config, &control_plane);
    let device = Device {
        control_plane,
        media: MediaDir::new(config.media_dir.clone()),
        hardware: Arc::clone(&hardware),
        streams: streams.clone(),
        logs,
        kept: Mutex::new(Kept::new(settings, &config)),
        exits,
        config,
    };
    let (handle, session) = agent::connect(client, identity, device)?;
    parts.spawn(hardware_driver.run());
    parts.spawn(streams_driver.run(handle.reporter().clone()));
    parts.spawn(session.run());
    let exit = tokio::select! {
        exit = ended(&mut signals, &handle, &hardware, exits_rx) => exit,
        part = parts.join_next() => return Err(broken(part)),
    };
    tracing::info!("strata-agent ends");
    tokio::select! {
        () = shut_down(&streams, handle) => Ok(exit),
        signal = signals.next() => {
            tracing::warn!("told to end a second time: ends at once");
            Ok(Some(Exit::Cut(signal)))
        }
    }
}

/// What to say of a part that ended while the others run.
fn broken(part: Option<Result<(), JoinError>>) -> anyhow::Error {
    let panicked = part.and_then(Result::err).map(|e| format!(": {e}")).unwrap_or_default();
    tracing::error!("a part of the agent ended by itself{panicked}");
    anyhow::anyhow!("a part of the agent ended by itself{panicked}")
}

/// Removes what a killed agent left behind: its streams died with it.
fn sweep(run_dir: &std::path::Path) {
    match std::fs::remove_dir_all(run_dir) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            tracing::warn!(%error, path = %run_dir.display(), "cannot be removed");
        }
        _ => {}
    }
}

/// Waits for a reason to end, and meanwhile tells the session what changes.
async fn ended(
    signals: &mut Signals,
    handle: &Handle,
    hardware: &Hardware,
    mut exits: mpsc::Receiver<Exit>,
) -> Option<Exit> {
    let mut changes = hardware.changes();
    loop {
        tokio::select! {
            _ = signals.next() => return None,
            Some(exit) = exits.recv() => return Some(exit),
            Ok(()) = changes.changed() => handle.reporter().status_changed(),
        }
    }
}

/// Stops a running stream, and hands over that it ended.
async fn shut_down(streams: &Streams, handle: Handle) {
    if tokio::time::timeout(STREAM_END, streams.stop(None, EndReason::AgentShutdown)).await.is_err() {
        tracing::warn!("the stream did not end in time");
    }
    if tokio::time::timeout(SESSION_END, handle.shutdown()).await.is_err() {
        tracing::warn!("the session did not end in time; what is left stays in the journal");
    }
}

fn client(config: &Config, control_plane: &ControlPlane) -> Client {
    let mut client = Client::new(control_plane.url.clone());
    client.ca = control_plane.ca;
    client.enrollment_token = config.token.clone();
    client.about.agent_version = env!("CARGO_PKG_VERSION").to_owned();
    if let Some(hostname) = &config.hostname {
        client.about.hostname = hostname.clone();
    }
    client
}

fn options(config: &Config, settings: &Settings, program: PathBuf) -> Options {
    Options {
        program,
        media_dir: config.media_dir.clone(),
        interval: config.live.scan_interval,
        disabled: settings.disabled_interfaces.clone(),
    }
}

fn runtime() -> anyhow::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_current_thread().enable_all().build().context("cannot start the runtime")
}

/// Long enough for clock ticks of 10 ms to mean something.
const LOAD_SAMPLE: Duration = Duration::from_millis(250);
/// End of stream (5 s), kill (2 s), and the report.
const STREAM_END: Duration = Duration::from_secs(8);
/// The session's own limit is 3 s.
const SESSION_END: Duration = Duration::from_secs(4);
