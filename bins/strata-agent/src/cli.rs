//! The command line.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

use crate::config::Layer;

/// Field-device agent of Strata: joins a control plane, reports the device's hardware, and sends
/// bonded live video when it is told to.
#[derive(Debug, Parser)]
#[command(version, after_long_help = MORE)]
pub(crate) struct Cli {
    /// What to do; `run` when absent.
    #[command(subcommand)]
    pub(crate) action: Option<Action>,
    /// Flags of the configuration.
    #[command(flatten)]
    pub(crate) source: ConfigSource,
}

/// Where the configuration comes from.
#[derive(Debug, Clone, Args)]
pub(crate) struct ConfigSource {
    /// Configuration file, TOML [default: /etc/strata/agent.conf when it is there].
    #[arg(long, short, value_name = "FILE", env = "STRATA_AGENT_CONFIG", global = true)]
    pub(crate) config: Option<PathBuf>,
    /// Keys given as flags.
    #[command(flatten)]
    pub(crate) flags: Layer,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub(crate) enum Action {
    /// Join the control plane and serve it until SIGTERM or SIGINT (the default).
    Run,
    /// Print what the agent would report about this device, as JSON, and exit.
    #[command(alias = "status")]
    Report,
    /// Look at the configuration.
    #[command(subcommand)]
    Config(ConfigAction),
}

/// What to do with the configuration.
#[derive(Debug, Clone, Copy, Subcommand)]
pub(crate) enum ConfigAction {
    /// Check file, environment and flags, and print the result without secrets.
    Check,
}

const MORE: &str = "\
First start, with the string that the control plane shows for a new sender:
  strata-agent --enroll 'strata://enroll?url=…&token=…&ca=…'
The device makes its own key, enrols once, and needs no string afterwards:
  strata-agent

Flags win over the environment, which wins over the file. The environment has a variable for every key
of the file: STRATA_AGENT_STATE_DIR for state_dir, STRATA_AGENT_ENROLLMENT_TOKEN for what --enroll takes.

SIGTERM and SIGINT stop a running stream in order, report its end, and exit; a second one meanwhile ends
the agent at once.

Exit codes:
  0         ended as asked
  1         failed while running; the last log line says why
  2         wrong command line; the message names the flag
  78        wrong configuration in the file or the environment; the message names file and key, or the
            variable (do not restart before it is changed)
  130, 143  ended at once by a second SIGINT, SIGTERM";
