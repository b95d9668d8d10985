//! The command line.

use clap::{Parser, Subcommand, ValueEnum};
use strata::screen::Target;
use tracing_subscriber::filter::{LevelFilter, Targets};

use crate::netem::Netem;
use crate::rist::Rist;

/// Live video over RIST: several links as one, and bad links to try it with.
#[derive(Debug, Parser)]
#[command(name = "strata", version, propagate_version = true)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
    /// What is logged to standard error: off, error, warn, info, debug, trace, or target=level pairs such as
    /// info,strata_media=debug
    #[arg(long, global = true, env = "STRATA_LOG", value_name = "FILTER", default_value = "info",
          value_parser = filter)]
    pub(crate) log: Targets,
    /// How it is logged
    #[arg(long, global = true, env = "STRATA_LOG_FORMAT", default_value = "text")]
    pub(crate) log_format: LogFormat,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Send and receive by RIST, over one link or several
    #[command(subcommand)]
    Rist(Rist),
    Netem(Netem),
}

#[derive(Debug, Clone, Copy, ValueEnum)]
pub(crate) enum LogFormat {
    Text,
    Json,
}

impl Command {
    /// The terminal on which a table may be drawn, if there is one.
    pub(crate) fn screen(&self) -> Option<Target> {
        match self {
            Self::Rist(rist) => rist.screen(),
            Self::Netem(_) => None,
        }
    }
}

fn filter(text: &str) -> Result<Targets, String> {
    // `Targets` takes a lone word for a target, and would then log nothing else; here it must be a level.
    let known = |part: &str| part.contains('=') || (!part.is_empty() && part.parse::<LevelFilter>().is_ok());
    match text.parse::<Targets>() {
        Ok(targets) if text.split(',').map(str::trim).all(known) => Ok(targets),
        _ => Err("expected off, error, warn, info, debug, trace or target=level pairs".to_owned()),
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

    #[test]
    fn a_filter_is_levels() {
        filter("warn, strata_media=debug").unwrap();
        for refused in ["loud", "", "strata_media=loud"] {
            assert!(filter(refused).unwrap_err().contains("target=level"), "{refused}");
        }
    }
}
