//! Field-device agent of Strata: joins a control plane and sends bonded live video.
//!
//! | module | what it holds |
//! |---|---|
//! | `config` | keys, their sources, and what can change on a running agent |
//! | `hardware` | interfaces, cameras, saved media, load: what `device.status` says |
//! | `streams` | the running stream: its child process, retries, statistics, end |
//! | `pipeline` | the other program, whose processes alone load GStreamer |
//! | `commands` | what the control plane can ask for |
//! | `logs` | stderr and the ring behind `logs.get` |

mod cli;
mod commands;
mod config;
mod control_plane;
mod hardware;
mod logs;
mod media_dir;
mod pipeline;
mod run;
mod streams;

use std::os::unix::process::CommandExt as _;
use std::process::{Command, ExitCode};

use anyhow::Context as _;
use clap::Parser as _;

use cli::{Action, Cli, ConfigAction};
use commands::Exit;
use config::Config;

/// What clap ends with, too.
const EXIT_USAGE: u8 = 2;
/// sysexits.h: something was found in an unconfigured or misconfigured state.
const EXIT_CONFIG: u8 = 78;

fn main() -> ExitCode {
    let cli = Cli::parse();
    let config = match Config::load(cli.source.config.as_deref(), &cli.source.flags, std::env::vars_os()) {
        Ok(config) => config,
        Err(error) => {
            eprintln!("strata-agent: configuration: {error}");
            return ExitCode::from(if error.is_of_a_flag() { EXIT_USAGE } else { EXIT_CONFIG });
        }
    };
    let done = match cli.action.unwrap_or(Action::Run) {
        Action::Config(ConfigAction::Check) => check(&config),
        Action::Report => run::report(&config),
        Action::Run => serve(config),
    };
    match done {
        Ok(code) => code,
        Err(error) => {
            eprintln!("strata-agent: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn check(config: &Config) -> anyhow::Result<ExitCode> {
    println!("{}", serde_json::to_string_pretty(&config.shown(&config.live))?);
    Ok(ExitCode::SUCCESS)
}

fn serve(config: Config) -> anyhow::Result<ExitCode> {
    let program = std::env::current_exe().context("cannot find the agent's own program")?;
    let Some(url) = control_plane::find(&config)? else {
        eprintln!(
            "strata-agent: configuration: control_url: missing, and this device has not enrolled before; \
             start it once with --enroll 'strata://enroll?…'"
        );
        return Ok(ExitCode::from(EXIT_CONFIG));
    };
    match run::serve(config, url)? {
        None => Ok(ExitCode::SUCCESS),
        // As a shell tells of a process that a signal ended.
        Some(Exit::Cut(signal)) => Ok(ExitCode::from(128 + signal)),
        // Only returns when it fails.
        Some(Exit::Restart) => {
            let error = Command::new(&program).args(std::env::args_os().skip(1)).exec();
            Err(error).with_context(|| format!("cannot start {} anew", program.display()))
        }
        Some(Exit::Machine(verb)) => {
            let status = Command::new("systemctl").arg(verb).status().context("cannot run systemctl")?;
            anyhow::ensure!(status.success(), "systemctl {verb}: {status}");
            Ok(ExitCode::SUCCESS)
        }
    }
}
