//! What the control plane can ask for: the agent role, made of the device's parts.
//!
//! `source.switch` and `agent.update` are not here yet and answer `unsupported`.

mod diagnostics;
mod interfaces;
mod power;
mod settings;

use std::collections::BTreeSet;
use std::str::FromStr as _;
use std::sync::Mutex;

use async_trait::async_trait;
use serde_json::{Map, Value};
use strata_agent_protocol::interfaces::Rules;
use strata_client::role::agent::{Agent, Context};
use strata_proto::control::{
    AgentSettings, CommandKind, ConfigGet, ConfigGetResult, ConfigSet, ConfigUpdate, DeviceStatus,
    DiagnosticsNetwork, EndReason, ErrorCode, Fault, FilesList, FilesListResult, InterfaceCommand,
    InterfacesScan, InterfacesScanResult, LogsGet, LogsGetResult, MediaDelete, PowerAction, PowerCommand,
    StreamStart, StreamStop,
};
use tokio::sync::mpsc;
use tracing::Level;

use crate::config::Config;
use crate::control_plane::ControlPlane;
use crate::hardware::Hardware;
use crate::logs::Logs;
use crate::media_dir::{MediaDir, PathError};
use crate::streams::Streams;
use crate::streams::plan::{Facts, Interfaces, check_update, plan};
pub(crate) use settings::Kept;

/// The device, as the control plane sees it.
#[derive(Debug)]
pub(crate) struct Device {
    pub(crate) config: Config,
    pub(crate) control_plane: ControlPlane,
    pub(crate) hardware: std::sync::Arc<Hardware>,
    pub(crate) streams: Streams,
    pub(crate) media: MediaDir,
    pub(crate) logs: Logs,
    pub(crate) kept: Mutex<Kept>,
    /// Where orders go that end the process.
    pub(crate) exits: mpsc::Sender<Exit>,
}

/// Why the agent ends, other than as told by one signal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Exit {
    /// To start anew.
    Restart,
    /// Because the machine is restarted or switched off, by this program with this argument.
    Machine(&'static str),
    /// Because a second signal, of this number, cut its orderly end short.
    Cut(u8),
}

impl Device {
    /// Whether a stream keeps the agent from restarting, unless `force`.
    fn idle(&self, force: Option<bool>) -> Result<(), Fault> {
        match self.streams.activity().running.first() {
            Some(stream) if force != Some(true) => Err(Fault::new(
                ErrorCode::BUSY_STREAMING,
                format!("stream {stream} is running; stop it first, or force"),
            )),
            _ => Ok(()),
        }
    }

    fn rules(&self) -> Rules {
        self.kept().settings.rules()
    }
}

#[async_trait]
impl Agent for Device {
    fn capabilities(&self) -> Vec<CommandKind> {
        let mut can = vec![
            CommandKind::StreamStart,
            CommandKind::StreamStop,
            CommandKind::ConfigUpdate,
            CommandKind::InterfaceCommand,
            CommandKind::InterfacesScan,
            CommandKind::FilesList,
            CommandKind::MediaDelete,
            CommandKind::LogsGet,
            CommandKind::PowerCommand,
            CommandKind::ConfigGet,
            CommandKind::ConfigSet,
        ];
        if diagnostics::ping_program().is_some() {
            can.push(CommandKind::DiagnosticsNetwork);
        }
        can
    }

    async fn logged_in(&self, settings: AgentSettings) {
        if let Err(error) = self.control_plane.remember(&self.config.state_dir) {
            tracing::error!("the next start will not know the control plane: {error:#}");
        }
        let interval = self.kept().wished(settings);
        self.streams.set_stats_interval(interval).await;
    }

    async fn status(&self) -> Option<DeviceStatus> {
        Some(self.hardware.status(&self.streams.activity()))
    }

    async fn stream_start(&self, _: Context, command: StreamStart) -> Result<(), Fault> {
        let seen = self.hardware.seen();
        let (interval, log) = {
            let kept = self.kept();
            (kept.stats_interval(), kept.live.log.clone())
        };
        let facts = Facts {
            media: &self.media,
            interfaces: Interfaces {
                present: &seen.interfaces,
                rules: &self.rules(),
                in_use: &BTreeSet::new(),
            },
            stats_interval_ms: u64::try_from(interval.as_millis()).unwrap_or(u64::MAX),
            log: &log,
        };
        self.streams.start(plan(&command, &facts)?).await
    }

    async fn stream_stop(&self, _: Context, command: StreamStop) -> Result<(), Fault> {
        let reason = match command.reason.as_deref() {
            Some("user_request" | "user_stop") => EndReason::UserStop,
            Some("timeout") => EndReason::Timeout,
            _ => EndReason::ControlPlaneStop,
        };
        self.streams.stop(Some(command.stream_id), reason).await
    }

    async fn config_update(&self, _: Context, command: ConfigUpdate) -> Result<(), Fault> {
        let interfaces = Interfaces {
            present: &self.hardware.seen().interfaces,
            rules: &self.rules(),
            in_use: &self.streams.activity().interfaces,
        };
        let update = check_update(&command, &interfaces)?;
        self.streams.update(update).await
    }

    async fn interface_command(&self, ctx: Context, command: InterfaceCommand) -> Result<(), Fault> {
        self.command_interface(&ctx, command).await
    }

    async fn interfaces_scan(&self, _: Context, _: InterfacesScan) -> Result<InterfacesScanResult, Fault> {
        self.hardware.scan().await;
        Ok(InterfacesScanResult { network_interfaces: self.hardware.seen().interfaces })
    }

    async fn files_list(&self, _: Context, command: FilesList) -> Result<FilesListResult, Fault> {
        let media = self.media.clone();
        let list = move || match media.list(command.path.as_deref()) {
            // A media directory that nobody made yet is an empty one.
            Err(PathError::Missing(_)) if command.path.is_none() => Ok(Vec::new()),
            listed => listed,
        };
        let files = off_loop(list).await?.map_err(|e| path_fault(&e))?;
        Ok(FilesListResult { files })
    }

    async fn media_delete(&self, _: Context, command: MediaDelete) -> Result<(), Fault> {
        let media = self.media.clone();
        let path = command.path.clone();
        off_loop(move || media.delete(&path)).await?.map_err(|e| path_fault(&e))?;
        tracing::info!(path = command.path, "deleted a media file for the control plane");
        Ok(())
    }

    async fn logs_get(&self, _: Context, command: LogsGet) -> Result<LogsGetResult, Fault> {
        let level = command.level.as_deref().map_or(Ok(Level::TRACE), Level::from_str).map_err(|_| {
            let message = "expected error, warn, info, debug or trace";
            Fault::new(ErrorCode::INVALID_FIELD, message).with_field("payload.level")
        })?;
        let count = command.lines.unwrap_or(DEFAULT_LOG_LINES).min(MAX_LOG_LINES);
        Ok(LogsGetResult { lines: self.logs.newest(usize::try_from(count).unwrap_or(usize::MAX), level) })
    }

    async fn diagnostics_network(
        &self,
        ctx: Context,
        command: DiagnosticsNetwork,
    ) -> Result<Map<String, Value>, Fault> {
        diagnostics::run(&ctx, &command, &self.hardware.seen().interfaces).await
    }

    async fn power_command(&self, _: Context, command: PowerCommand) -> Result<(), Fault> {
        let exit = match command.action {
            PowerAction::RestartAgent => Exit::Restart,
            action => power::machine(action)?,
        };
        self.idle(command.force)?;
        tracing::info!(action = ?command.action, "asked for by the control plane");
        let full = |_| Fault::new(ErrorCode::INTERNAL, "the agent is ending already");
        self.exits.try_send(exit).map_err(full)
    }

    async fn config_get(&self, _: Context, _: ConfigGet) -> Result<ConfigGetResult, Fault> {
        Ok(ConfigGetResult { values: self.config.shown(&self.kept().live) })
    }

    async fn config_set(&self, _: Context, command: ConfigSet) -> Result<(), Fault> {
        let (live, stats_interval) = {
            let mut kept = self.kept();
            let next = kept.settings.with(&command.values, &self.config.fixed)?;
            kept.keep(next, &self.config)?;
            (kept.live.clone(), kept.stats_interval())
        };
        if let Err(error) = self.logs.set_filter(&live.log) {
            tracing::warn!(%error, "the log filter could not be changed");
        }
        self.hardware.set_interval(live.scan_interval);
        self.streams.set_stats_interval(stats_interval).await;
        Ok(())
    }
}

/// Runs what may wait for a disk beside the session's loop.
async fn off_loop<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, Fault> {
    tokio::task::spawn_blocking(work).await.map_err(|e| Fault::new(ErrorCode::INTERNAL, e.to_string()))
}

fn path_fault(error: &PathError) -> Fault {
    let code = match error {
        PathError::Missing(_) => ErrorCode::NOT_FOUND,
        PathError::Outside(_) | PathError::Kind { .. } => ErrorCode::INVALID_FIELD,
        PathError::Io { .. } => ErrorCode::INTERNAL,
    };
    Fault::new(code, error.to_string()).with_field("payload.path")
}

/// `logs.get` (control-facts, *Commands*).
const DEFAULT_LOG_LINES: u32 = 200;
/// Lines are at most 1 KiB; the answer must fit a message of 1 MiB.
const MAX_LOG_LINES: u32 = 500;
