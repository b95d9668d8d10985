//! One source of configuration: the same keys in the file, the environment and on the command line.

use std::convert::Infallible;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use strata_proto::token::Secret;

use super::ConfigError;

/// What one source says; absent keys are left to the next one.
#[derive(Debug, Clone, Default, Deserialize, clap::Args)]
#[serde(deny_unknown_fields)]
pub(crate) struct Layer {
    /// How to join: the whole `strata://enroll?…` string, or the `enr_…` token alone (then
    /// --control-url says where). Needed on the first start only.
    #[arg(
        long = "enroll",
        global = true,
        value_name = "STRING",
        env = "STRATA_AGENT_ENROLLMENT_TOKEN",
        hide_env_values = true,
        value_parser = secret
    )]
    pub(crate) enrollment_token: Option<Secret>,
    /// Control plane to connect to, such as wss://host:8443/agent/ws.
    #[arg(long, global = true, value_name = "URL", env = "STRATA_AGENT_CONTROL_URL")]
    pub(crate) control_url: Option<String>,
    /// SHA-256 of the control plane's own CA certificate, sha256:<64 hex digits>; without it the
    /// certificate must come from a public CA.
    #[arg(long, global = true, value_name = "SHA256", env = "STRATA_AGENT_CA_FINGERPRINT")]
    pub(crate) ca_fingerprint: Option<String>,
    /// Directory of identity, journal and settings [default: /var/lib/strata-agent].
    #[arg(long, global = true, value_name = "DIR", env = "STRATA_AGENT_STATE_DIR")]
    pub(crate) state_dir: Option<PathBuf>,
    /// The device's private key, made at the first start [default: STATE_DIR/device.key].
    #[arg(long, global = true, value_name = "FILE", env = "STRATA_AGENT_DEVICE_KEY_PATH")]
    pub(crate) device_key_path: Option<PathBuf>,
    /// Directory of saved media, the only one streams can read files from [default: STATE_DIR/media].
    #[arg(long, global = true, value_name = "DIR", env = "STRATA_AGENT_MEDIA_DIR")]
    pub(crate) media_dir: Option<PathBuf>,
    /// Name the device reports [default: the system's].
    #[arg(long, global = true, value_name = "NAME", env = "STRATA_AGENT_HOSTNAME")]
    pub(crate) hostname: Option<String>,
    /// Seconds between two looks at media files and device nodes [default: 10].
    #[arg(long, global = true, value_name = "SECONDS", env = "STRATA_AGENT_SCAN_INTERVAL_S")]
    pub(crate) scan_interval_s: Option<u64>,
    /// Seconds between two stream.stats [default: the control plane's wish, else 1].
    #[arg(long, global = true, value_name = "SECONDS", env = "STRATA_AGENT_STATS_INTERVAL_S")]
    pub(crate) stats_interval_s: Option<u64>,
    /// What is logged to stderr: error, warn, info, debug, trace, or target=level pairs [default: info].
    #[arg(long, global = true, value_name = "FILTER", env = "STRATA_AGENT_LOG")]
    pub(crate) log: Option<String>,
    /// How log lines look [default: text].
    #[arg(long, global = true, value_name = "FORMAT", env = "STRATA_AGENT_LOG_FORMAT", value_enum)]
    pub(crate) log_format: Option<LogFormat>,
    /// Log lines kept in memory for logs.get [default: 1000].
    #[arg(long, global = true, value_name = "N", env = "STRATA_AGENT_LOG_LINES")]
    pub(crate) log_lines: Option<u64>,
}

/// How log lines look.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "snake_case")]
pub(crate) enum LogFormat {
    /// One line of text per event.
    #[default]
    Text,
    /// One JSON object per event.
    Json,
}

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
        Self {
            enrollment_token: self.enrollment_token.or(below.enrollment_token),
            control_url: self.control_url.or(below.control_url),
            ca_fingerprint: self.ca_fingerprint.or(below.ca_fingerprint),
            state_dir: self.state_dir.or(below.state_dir),
            device_key_path: self.device_key_path.or(below.device_key_path),
            media_dir: self.media_dir.or(below.media_dir),
            hostname: self.hostname.or(below.hostname),
            scan_interval_s: self.scan_interval_s.or(below.scan_interval_s),
            stats_interval_s: self.stats_interval_s.or(below.stats_interval_s),
            log: self.log.or(below.log),
            log_format: self.log_format.or(below.log_format),
            log_lines: self.log_lines.or(below.log_lines),
        }
    }

    /// Keys that could change live, were they not fixed by this layer.
    pub(super) fn live_keys(&self) -> Vec<&'static str> {
        let mut keys = Vec::new();
        let mut fixed = |set: bool, key| {
            if set {
                keys.push(key);
            }
        };
        fixed(self.scan_interval_s.is_some(), "scan_interval_s");
        fixed(self.stats_interval_s.is_some(), "stats_interval_s");
        fixed(self.log.is_some(), "log");
        keys
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
