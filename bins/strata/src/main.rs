//! The operator's tool: `strata rist send`, `strata rist receive`, `strata netem`. `strata --help` says how.

mod cli;
mod end;
mod lines;
mod logs;
mod netem;
mod rist;
mod signals;

use std::io::{self, Write as _};
use std::process::ExitCode;

use clap::Parser as _;

use cli::{Cli, Command};
use end::{End, Failure};
use logs::Shown;
use signals::Signals;

fn main() -> ExitCode {
    let cli = Cli::parse();
    let shown = Shown::new(cli.command.screen());
    logs::init(cli.log, cli.log_format, &shown);
    // One thread: a stream is one loop around its machine, and hands packets over without waking another core.
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            tracing::error!(%error, "cannot start");
            return ExitCode::FAILURE;
        }
    };
    let outcome = runtime.block_on(run(cli.command, &shown));
    shown.keep();
    match outcome {
        Ok(end) => end.into(),
        Err(failure) => {
            // Whatever is logged: who typed it wrong is told.
            // Standard error may be closed, which is no reason to end otherwise.
            let _ = writeln!(io::stderr(), "error: {failure}");
            (&failure).into()
        }
    }
}

async fn run(command: Command, shown: &Shown) -> Result<End, Failure> {
    let mut signals = Signals::listen().map_err(|error| Failure::Running(error.to_string()))?;
    match command {
        Command::Rist(rist::Rist::Send(args)) => rist::send(args, shown, &mut signals).await,
        Command::Rist(rist::Rist::Receive(args)) => rist::receive(args, shown, &mut signals).await,
        Command::Netem(args) => netem::run(args, &mut signals).await,
    }
}
