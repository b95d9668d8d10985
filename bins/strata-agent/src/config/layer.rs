//! One source of configuration: the same keys on the command line, in the environment and in the file.

use std::convert::Infallible;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use strata_daemon::logs::LogFormat;
use strata_proto::token::Secret;

use super::ConfigError;

/// What one source says; absent keys are left to the next one.
#[derive(Debug, Clone, Default, Deserialize, clap::Args)]
#[serde(deny_unknown_fields)]
pub(crate) struct Layer {
    /// How to join: the whole `strata://enroll?…` string, or the `enr_…` token alone (then
    /// --control-url says where). Needed on the first start only.
    #[arg(long = "enroll", global = true, value_name = "STRING", value_parser = secret)]
    pub(crate) enrollment_token: Option<Secret>,
    /// Control plane to connect to, such as wss://host:8443/agent/ws.
    #[arg(long, global = true, value_name = "URL")]
    pub(crate) control_url: Option<String>,
    /// SHA-256 of the control plane's own CA certificate, sha256:<64 hex digits>; without it the
    /// certificate must come from a public CA.
    #[arg(long, global = true, value_name = "SHA256")]
    pub(crate) ca_fingerprint: Option<String>,
    /// Directory of identity, journal and settings [default: /var/lib/strata-agent].
    #[arg(long, global = true, value_name = "DIR")]
    pub(crate) state_dir: Option<PathBuf>,
    /// The device's private key, made at the first start [default: STATE_DIR/device.key].
    #[arg(long, global = true, value_name = "FILE")]
    pub(crate) device_key_path: Option<PathBuf>,
    /// Directory of saved media, the only one streams can read files from [default: STATE_DIR/media].
    #[arg(long, global = true, value_name = "DIR")]
    pub(crate) media_dir: Option<PathBuf>,
    /// Name the device reports [default: the system's].
    #[arg(long, global = true, value_name = "NAME")]
    pub(crate) hostname: Option<String>,
    /// Seconds between two looks at media files and device nodes [default: 10].
    #[arg(long, global = true, value_name = "SECONDS")]
    pub(crate) scan_interval_s: Option<u64>,
    /// Seconds between two stream.stats [default: the control plane's wish, else 1].
    #[arg(long, global = true, value_name = "SECONDS")]
    pub(crate) stats_interval_s: Option<u64>,
    /// What is logged to stderr: error, warn, info, debug, trace, or target=level pairs [default: info].
    #[arg(long, global = true, value_name = "FILTER")]
    pub(crate) log: Option<String>,
    /// How log lines look [default: text].
    #[arg(long, global = true, value_name = "FORMAT", value_enum)]
    pub(crate) log_format: Option<LogFormat>,
    /// Log lines kept in memory for logs.get [default: 1000].
    #[arg(long, global = true, value_name = "N")]
    pub(crate) log_lines: Option<u64>,
}

/// Gives the names of all keys to a macro.
macro_rules! each_key {
    ($apply:ident) => {
        $apply!(enrollment_token control_url ca_fingerprint state_dir device_key_path media_dir hostname
            scan_interval_s stats_interval_s log log_format log_lines)
    };
}

/// All keys, as the file has them.
pub(super) const KEYS: [&str; 12] = {
    macro_rules! names {
        ($($key:ident)*) => { [$(stringify!($key)),*] };
    }
    each_key!(names)
};

impl Layer {
    /// Reads a TOML file.
    ///
    /// # Errors
    /// [`ConfigError`] with path and line; unknown keys are errors that name them.
    pub(super) fn read(path: &Path) -> Result<Self, ConfigError> {
        let text = std::fs::read_to_string(path)
            .map_err(|source| ConfigError::Unreadable { path: path.to_owned(), source })?;
        parse(&text, path)
    }

    /// This layer, with `below` where it says nothing.
    pub(super) fn over(self, below: Self) -> Self {
        macro_rules! merged {
            ($($key:ident)*) => { Self { $($key: self.$key.or(below.$key)),* } };
        }
        each_key!(merged)
    }

    /// Keys it says something about.
    pub(super) fn keys(&self) -> Vec<&'static str> {
        macro_rules! said {
            ($($key:ident)*) => { [$((stringify!($key), self.$key.is_some())),*] };
        }
        each_key!(said).into_iter().filter(|(_, said)| *said).map(|(key, _)| key).collect()
    }
}

/// Parses TOML into `T`, with the line of the first fault.
pub(super) fn parse<T: serde::de::DeserializeOwned>(text: &str, path: &Path) -> Result<T, ConfigError> {
    toml::from_str(text).map_err(|error| {
        let at = error.span().map_or(0, |span| span.start.min(text.len()));
        let line = text.as_bytes()[..at].iter().filter(|b| **b == b'\n').count() + 1;
        // Only the key may be quoted: the rest of the line may be a secret.
        let key = text.lines().nth(line - 1).and_then(|l| l.split_once('=')).map(|(key, _)| key.trim());
        let message = error.message().trim().replace('\n', "; ");
        let reason = match key {
            Some(key) if !message.contains(key) => format!("{key}: {message}"),
            _ => message,
        };
        ConfigError::Syntax { path: path.to_owned(), line, reason }
    })
}

fn secret(text: &str) -> Result<Secret, Infallible> {
    Ok(Secret::new(text))
}
