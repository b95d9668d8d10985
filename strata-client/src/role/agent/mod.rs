//! The sender agent: a field device that is steered by a control plane and broadcasts.
//!
//! Implement [`Agent`] — one method per command, each answering `unsupported` until it is written —
//! and hand it to [`connect`]. What comes back is a [`Handle`] and a [`Driver`]; nothing runs until
//! the driver's [`run`](Driver::run) is awaited, wherever the caller wants it to, and dropping the
//! handle ends it.
//!
//! ```text
//!   your program           strata_client::role::agent               control plane
//!   ───────────            ──────────────────────────               ─────────────
//!   impl Agent ◄── stream_start(ctx, …) ── Driver ◄──── stream.start ────  REST
//!        │                                   │
//!        └─ Result<T, Fault> ───────────────►│────── stream.start.response ──►
//!   Reporter.stats(…), .ended(…) ───────────►│────── stream.stats, stream.ended ►
//!   Handle.events() ◄── LoggedIn, … ─────────│
//! ```
//!
//! Commands run concurrently inside the driver's task: a handler that waits for something awaits it,
//! and work that blocks or must outlive the command belongs in a task of the vendor's own.
//! `command.cancel` is the framework's: it drops the handler's future and answers `cancelled`.

mod dispatch;
mod event;
mod handle;
mod run;
mod work;

use async_trait::async_trait;
use serde_json::{Map, Value};
use strata_proto::control::{
    AgentSettings, AgentUpdate, CommandKind, ConfigGet, ConfigGetResult, ConfigSet, ConfigUpdate,
    DeviceStatus, DiagnosticsNetwork, ErrorCode, Fault, FilesList, FilesListResult, InterfaceCommand,
    InterfacesScan, InterfacesScanResult, LogsGet, LogsGetResult, MediaDelete, PowerCommand, SourceSwitch,
    StreamStart, StreamStop,
};

pub use event::{Event, Events};
pub use handle::{Context, EndedError, Handle, Reporter};
pub use run::{Driver, connect};

/// What a vendor implements: one method per command.
///
/// Every command method gets a [`Context`], by which it reports progress and telemetry, and returns
/// the command's typed result or the [`Fault`] that the control plane is told. A method that is
/// not written answers `unsupported`.
///
/// The future of a command may be dropped at any `await` when the control plane cancels it or the
/// driver ends; what must not stop half-way belongs in a task of its own. A method that panics is
/// logged and ends nothing else: a command is answered `internal`.
#[async_trait]
pub trait Agent: Send + Sync + 'static {
    /// The commands this agent carries out on this host, now; asked before each connection and told
    /// to the server at login.
    ///
    /// List exactly the commands whose methods are written and can work here: the server does not
    /// send the others, and if one comes nevertheless it is answered `unsupported` without a call.
    /// `command.cancel` is added by the framework.
    fn capabilities(&self) -> Vec<CommandKind>;

    /// Called once, when the driver begins to run; the reporter may be kept and cloned. Runs beside
    /// the session like a command, and the first `device.status` waits for it.
    async fn started(&self, reporter: Reporter) {
        let _ = reporter;
    }

    /// Called after each login with what the server wants of the agent. Awaited before the first
    /// `device.status`.
    async fn logged_in(&self, settings: AgentSettings) {
        let _ = settings;
    }

    /// The state of the device, for `device.status`: asked for after each login, at each interval,
    /// and soon after [`Reporter::status_changed`]. `None` sends nothing.
    ///
    /// At most one call runs at a time. One that is not done within 30 s is dropped and logged; the
    /// next interval asks again.
    async fn status(&self) -> Option<DeviceStatus> {
        None
    }

    /// `stream.start`: start a broadcast. Return once it is certain that it starts.
    async fn stream_start(&self, ctx: Context, command: StreamStart) -> Result<(), Fault> {
        let _ = command;
        Err(unsupported(&ctx))
    }

    /// `stream.stop`: stop a broadcast. Its end is reported with [`Reporter::ended`].
    async fn stream_stop(&self, ctx: Context, command: StreamStop) -> Result<(), Fault> {
        let _ = command;
        Err(unsupported(&ctx))
    }

    /// `config.update`: change a running stream's configuration.
    async fn config_update(&self, ctx: Context, command: ConfigUpdate) -> Result<(), Fault> {
        let _ = command;
        Err(unsupported(&ctx))
    }

    /// `agent.update`: replace the agent's software.
    async fn agent_update(&self, ctx: Context, command: AgentUpdate) -> Result<(), Fault> {
        let _ = command;
        Err(unsupported(&ctx))
    }

    /// `source.switch`: take pictures from another source, without stopping the stream.
    async fn source_switch(&self, ctx: Context, command: SourceSwitch) -> Result<(), Fault> {
        let _ = command;
        Err(unsupported(&ctx))
    }

    /// `interface.command`: change one network interface.
    async fn interface_command(&self, ctx: Context, command: InterfaceCommand) -> Result<(), Fault> {
        let _ = command;
        Err(unsupported(&ctx))
    }

    /// `interfaces.scan`: look for network interfaces again.
    async fn interfaces_scan(
        &self,
        ctx: Context,
        command: InterfacesScan,
    ) -> Result<InterfacesScanResult, Fault> {
        let _ = command;
        Err(unsupported(&ctx))
    }

    /// `files.list`: list files below a configured root.
    async fn files_list(&self, ctx: Context, command: FilesList) -> Result<FilesListResult, Fault> {
        let _ = command;
        Err(unsupported(&ctx))
    }

    /// `media.delete`: delete a saved file.
    async fn media_delete(&self, ctx: Context, command: MediaDelete) -> Result<(), Fault> {
        let _ = command;
        Err(unsupported(&ctx))
    }

    /// `logs.get`: read the agent's log.
    async fn logs_get(&self, ctx: Context, command: LogsGet) -> Result<LogsGetResult, Fault> {
        let _ = command;
        Err(unsupported(&ctx))
    }

    /// `diagnostics.network`: measure the network. The result's fields depend on what is measured.
    async fn diagnostics_network(
        &self,
        ctx: Context,
        command: DiagnosticsNetwork,
    ) -> Result<Map<String, Value>, Fault> {
        let _ = command;
        Err(unsupported(&ctx))
    }

    /// `power.command`: restart the agent, reboot or shut down the device.
    ///
    /// Return before it happens, so that the answer goes out: the journal keeps it otherwise.
    async fn power_command(&self, ctx: Context, command: PowerCommand) -> Result<(), Fault> {
        let _ = command;
        Err(unsupported(&ctx))
    }

    /// `config.get`: read the agent's configuration.
    async fn config_get(&self, ctx: Context, command: ConfigGet) -> Result<ConfigGetResult, Fault> {
        let _ = command;
        Err(unsupported(&ctx))
    }

    /// `config.set`: change the agent's configuration.
    async fn config_set(&self, ctx: Context, command: ConfigSet) -> Result<(), Fault> {
        let _ = command;
        Err(unsupported(&ctx))
    }
}

fn unsupported(ctx: &Context) -> Fault {
    Fault::new(ErrorCode::UNSUPPORTED, format!("this agent does not support {}", ctx.kind()))
}
