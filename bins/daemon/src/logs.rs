//! Logs of a process: what is logged, how a line looks, and where lines go.

use clap::ValueEnum;
use serde::{Deserialize, Serialize};
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::{SubscriberInitExt as _, TryInitError};
use tracing_subscriber::{Layer, Registry};

/// How log lines look.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, ValueEnum)]
#[serde(rename_all = "snake_case")]
pub enum LogFormat {
    /// One line of text per event
    #[default]
    Text,
    /// One JSON object per event
    Json,
}

/// Reads what is to be logged.
///
/// # Errors
/// What was expected.
pub fn filter(text: &str) -> Result<Targets, String> {
    // `Targets` takes a lone word for a target, and would then log nothing else; here it must be a level.
    let known = |part: &str| part.contains('=') || (!part.is_empty() && part.parse::<LevelFilter>().is_ok());
    match text.parse::<Targets>() {
        Ok(targets) if text.split(',').map(str::trim).all(known) => Ok(targets),
        _ => Err("expected off, error, warn, info, debug, trace or target=level pairs".to_owned()),
    }
}

/// Logs what passes `filter` from now on, with colours if `ansi`.
///
/// # Errors
/// When this process has a log already.
pub fn init<F, W>(filter: F, format: LogFormat, ansi: bool, writer: W) -> Result<(), TryInitError>
where
    F: Layer<Registry> + Send + Sync + 'static,
    W: for<'a> MakeWriter<'a> + Send + Sync + 'static,
{
    let lines = tracing_subscriber::fmt::layer().with_ansi(ansi).with_writer(writer);
    let registry = tracing_subscriber::registry().with(filter);
    match format {
        LogFormat::Text => registry.with(lines).try_init(),
        LogFormat::Json => registry.with(lines.json()).try_init(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_filter_is_levels() {
        filter("warn, strata_media=debug").unwrap();
        for refused in ["loud", "", "strata_media=loud"] {
            assert!(filter(refused).unwrap_err().contains("target=level"), "{refused}");
        }
    }
}
