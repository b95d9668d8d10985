//! The command line.

use clap::{Parser, Subcommand};
use strata::screen::Target;
use strata_daemon::logs::{LogFormat, filter};
use tracing_subscriber::filter::{LevelFilter, Targets};

use crate::netem::Netem;
use crate::rist::Rist;

/// Headings of what helps show, in this order.
pub(crate) const OF_STREAMS: &str = "Streams";
pub(crate) const OF_KEYS: &str = "Encryption and users";
pub(crate) const OF_LOGS: &str = "Statistics and logs";
/// Places below the last of them: that of a flag of all commands would be among the first of each.
pub(crate) const LOGS_PLACE: usize = 100;

/// Live video over RIST: several links as one, and bad links to try it with.
#[derive(Debug, Parser)]
#[command(name = "strata", version, propagate_version = true)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
    /// What is logged to standard error: off, error, warn, info, debug, trace, or target=level pairs such as
    /// info,strata_media=debug [default: info]
    #[arg(long, global = true, env = "STRATA_LOG", value_name = "FILTER", value_parser = filter)]
    #[arg(help_heading = OF_LOGS, display_order = LOGS_PLACE + 4)]
    log: Option<Targets>,
    /// How it is logged
    #[arg(long, global = true, env = "STRATA_LOG_FORMAT", value_name = "FORMAT", default_value = "text")]
    #[arg(help_heading = OF_LOGS, display_order = LOGS_PLACE + 5)]
    pub(crate) log_format: LogFormat,
}

impl Cli {
    /// What is logged: as librist's `-v` says where `--log` does not.
    pub(crate) fn log(&self) -> Targets {
        let level = self.command.verbosity().unwrap_or(LevelFilter::INFO);
        self.log.clone().unwrap_or_else(|| Targets::new().with_default(level))
    }
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Send and receive by RIST, over one link or several
    #[command(subcommand)]
    Rist(Rist),
    Netem(Netem),
}

impl Command {
    /// The terminal on which a table may be drawn, if there is one.
    pub(crate) fn screen(&self) -> Option<Target> {
        match self {
            Self::Rist(rist) => rist.screen(),
            Self::Netem(_) => None,
        }
    }

    /// What is logged, if a flag of its own says so.
    fn verbosity(&self) -> Option<LevelFilter> {
        match self {
            Self::Rist(rist) => rist.verbosity(),
            Self::Netem(_) => None,
        }
    }

    /// Where logs and statistics go too, if they are to.
    pub(crate) fn remote(&self) -> Option<&str> {
        match self {
            Self::Rist(rist) => rist.remote(),
            Self::Netem(_) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory as _;

    #[test]
    fn the_command_line_is_sound() {
        Cli::command().debug_assert();
    }
}
