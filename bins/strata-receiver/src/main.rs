//! The receiver of one Strata stream: bonded RIST in; MPEG-TS file, SRT and RTMP out.
//!
//! A process of its own, so that it outlives the control plane that started it. `strata-receiver --help` says how it is
//! used by hand; a control plane speaks to it through its control socket, see [`control`].

mod args;
mod config;
mod control;
mod serve;
mod stats;

use std::io::IsTerminal as _;
use std::process::ExitCode;

use strata_daemon::logs;

use args::Args;
use serve::{Failure, Reason};

fn main() -> ExitCode {
    let variables = std::env::vars_os().map(|(name, _)| name);
    let args = Args::read(std::env::args_os(), variables).unwrap_or_else(|error| error.exit());
    let ansi = std::io::stderr().is_terminal();
    if let Err(error) = logs::init(args.log.clone(), args.log_format, ansi, std::io::stderr) {
        eprintln!("strata-receiver: {error}");
        return ExitCode::FAILURE;
    }
    // One thread for the stream; outputs have their own.
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            tracing::error!(%error, "cannot start");
            return ExitCode::FAILURE;
        }
    };
    let outcome = runtime.block_on(serve::serve(args));
    // An output that hangs in a system call must not hold up the end.
    runtime.shutdown_background();
    match outcome {
        Ok(reason) => {
            tracing::info!(reason = reason.name(), "ended");
            match reason {
                // As a shell tells of a process that a signal ended.
                Reason::Cut(signal) => ExitCode::from(128 + signal),
                _ => ExitCode::SUCCESS,
            }
        }
        Err(failure) => {
            tracing::error!("{failure}");
            ExitCode::from(match failure {
                Failure::Input(_) => 2,
                Failure::Bind(_) => 3,
                Failure::Control(_) => 4,
                Failure::Running(_) | Failure::System(_) => 1,
            })
        }
    }
}
