//! The agent's media pipeline: the program that loads GStreamer, so that the agent need not, and that may crash
//! without taking the agent down.
//!
//! | module | what it holds |
//! |---|---|
//! | `stream` | one stream: from configuration and commands on stdin to a bonded stream |
//! | `bond`, `links` | from `bonding_config` to what the engine takes |
//! | `probe` | one look at cameras and media files |

mod bond;
mod change;
mod links;
mod probe;
mod stream;

use std::process::ExitCode;

use clap::{Parser, Subcommand};
use nix::sys::prctl;
use nix::sys::signal::Signal;
use strata_agent_protocol::VERSION;

/// Media pipeline of strata-agent, which starts it; there is nothing to do with it by hand.
#[derive(Debug, Parser)]
#[command(version)]
struct Cli {
    /// Version of the agent that starts it; it must be the same.
    #[arg(long, value_name = "VERSION")]
    agent: String,
    /// What to do.
    #[command(subcommand)]
    task: Task,
}

/// What to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Subcommand)]
enum Task {
    /// Nothing: that it can be started is the answer.
    Check,
    /// One stream: configuration and commands on stdin, events on stdout.
    Stream,
    /// A look at cameras and media files: request on stdin, answers on stdout.
    Probe,
}

fn main() -> ExitCode {
    // Ties this process to the thread of the agent that started it: without the agent nobody could stop it.
    let _ = prctl::set_pdeathsig(Signal::SIGKILL);
    let cli = Cli::parse();
    let done = same_version(&cli.agent).and_then(|()| match cli.task {
        Task::Check => Ok(()),
        Task::Stream => stream::run(),
        Task::Probe => probe::run(),
    });
    let Err(error) = done else { return ExitCode::SUCCESS };
    match cli.task {
        Task::Stream => stream::failed(&error),
        Task::Check | Task::Probe => eprintln!("{error:#}"),
    }
    ExitCode::FAILURE
}

/// An agent whose programs were replaced while it runs would talk to a pipeline of another version.
fn same_version(agent: &str) -> anyhow::Result<()> {
    anyhow::ensure!(
        agent == VERSION,
        "the media pipeline is of version {VERSION} and the agent of {agent}: restart the agent"
    );
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory as _;

    #[test]
    fn the_command_line_is_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn an_agent_of_another_version_is_refused() {
        same_version(VERSION).unwrap();
        let error = same_version("0.0.0").unwrap_err().to_string();
        assert!(error.contains("0.0.0") && error.contains("restart the agent"), "{error}");
    }
}
