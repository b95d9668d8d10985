//! From a command to the vendor's method, and from its result to a reply.

use serde::Serialize;
use strata_proto::control::{Command, ErrorCode, Fault, Reply};

use super::{Agent, Context};

/// Carries out `command` with the method it belongs to.
pub(super) async fn dispatch<A: Agent + ?Sized>(agent: &A, ctx: Context, command: Command) -> Reply {
    if !agent.capabilities().contains(&ctx.kind) {
        return reply::<()>(Err(super::unsupported(&ctx)));
    }
    match command {
        Command::StreamStart(c) => reply(agent.stream_start(ctx, c).await),
        Command::StreamStop(c) => reply(agent.stream_stop(ctx, c).await),
        Command::ConfigUpdate(c) => reply(agent.config_update(ctx, c).await),
        Command::AgentUpdate(c) => reply(agent.agent_update(ctx, c).await),
        Command::SourceSwitch(c) => reply(agent.source_switch(ctx, c).await),
        Command::InterfaceCommand(c) => reply(agent.interface_command(ctx, c).await),
        Command::InterfacesScan(c) => reply(agent.interfaces_scan(ctx, c).await),
        Command::FilesList(c) => reply(agent.files_list(ctx, c).await),
        Command::MediaDelete(c) => reply(agent.media_delete(ctx, c).await),
        Command::LogsGet(c) => reply(agent.logs_get(ctx, c).await),
        Command::DiagnosticsNetwork(c) => reply(agent.diagnostics_network(ctx, c).await),
        Command::PowerCommand(c) => reply(agent.power_command(ctx, c).await),
        Command::ConfigGet(c) => reply(agent.config_get(ctx, c).await),
        Command::ConfigSet(c) => reply(agent.config_set(ctx, c).await),
        // `command.cancel` is answered before it comes here; the rest are commands of a newer protocol.
        _ => reply::<()>(Err(super::unsupported(&ctx))),
    }
}

fn reply<T: Serialize>(result: Result<T, Fault>) -> Reply {
    let value = match result.map(|value| serde_json::to_value(value)) {
        Err(fault) => return Reply::failed(fault),
        Ok(Ok(serde_json::Value::Null)) => return Reply::ok(),
        Ok(value) => value,
    };
    value.and_then(|value| Reply::with(&value)).unwrap_or_else(|e| {
        Reply::failed(Fault::new(ErrorCode::INTERNAL, format!("the result cannot be written as JSON: {e}")))
    })
}
