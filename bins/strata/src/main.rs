//! The operator's tool: `strata rist send`, `strata rist receive`, `strata netem`. `strata --help` says how.

mod cli;
mod end;
mod lines;
mod logs;
mod netem;
mod remote;
mod rist;
mod units;

use std::process::ExitCode;

use clap::Parser as _;

use cli::{Cli, Command};
use end::{End, Failure};
use logs::Shown;
use remote::Remote;
use strata_daemon::Signals;
use strata_media::net::as_task;

fn main() -> ExitCode {
    let cli = Cli::parse();
    let (remote, failure) = match cli.command.remote().map(Remote::open).transpose() {
        Ok(remote) => (remote, None),
        Err(failure) => (None, Some(failure)),
    };
    let Ok(shown) = Shown::new(cli.command.screen(), remote) else { return ExitCode::FAILURE };
    if let Some(failure) = failure {
        shown.end(Some(format!("error: {failure}\n")));
        return (&failure).into();
    }
    if let Err(error) = logs::init(cli.log(), cli.log_format, &shown) {
        shown.end(Some(format!("error: {error}\n")));
        return ExitCode::FAILURE;
    }
    // One thread: a stream is one loop around its machine, and hands packets over without waking another core.
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            tracing::error!(%error, "cannot start");
            shown.end(None);
            return ExitCode::FAILURE;
        }
    };
    let outcome = runtime.block_on(as_task(run(cli.command, shown.clone())));
    // Whatever is logged: who typed it wrong is told.
    shown.end(outcome.as_ref().err().map(|failure| format!("error: {failure}\n")));
    match outcome {
        Ok(end) => end.into(),
        Err(failure) => (&failure).into(),
    }
}

async fn run(command: Command, shown: Shown) -> Result<End, Failure> {
    let mut signals = Signals::listen().map_err(|error| Failure::Running(error.to_string()))?;
    match command {
        Command::Rist(rist::Rist::Send(args)) => rist::send(args, &shown, &mut signals).await,
        Command::Rist(rist::Rist::Receive(args)) => rist::receive(args, &shown, &mut signals).await,
        Command::Netem(args) => netem::run(args, &mut signals).await,
    }
}
