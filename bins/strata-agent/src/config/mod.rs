//! The agent's configuration: one set of keys, three sources.
//!
//! ```text
//! flags (--state-dir …)  >  environment (STRATA_AGENT_STATE_DIR …)  >  file (agent.conf, TOML)  >  default
//! ```
//! What is wrong is named as its source names it, so that it is clear what to change.
//! What the control plane sets with `config.set` lies in the state directory ([`settings`]) and wins
//! over the file, not over flags and environment.

mod environment;
mod layer;
mod origin;
pub(crate) mod settings;

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::{Map, Value, json};
use strata_daemon::logs::LogFormat;
use strata_proto::token::{EnrollUri, EnrollmentToken, Fingerprint};
use thiserror::Error;
use tracing_subscriber::filter::{LevelFilter, Targets};
use url::Url;

pub(crate) use layer::Layer;
use origin::Origin;
pub(crate) use settings::{Live, Settings};

/// Where the file is looked for when `--config` does not say.
pub(crate) const DEFAULT_FILE: &str = "/etc/strata/agent.conf";

/// A configuration that cannot be used: which key, and what it must be.
#[derive(Debug, Error)]
#[non_exhaustive]
pub(crate) enum ConfigError {
    /// The file is not there or cannot be read.
    #[error("{path}: cannot be read: {source}")]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The file is not TOML, or has an unknown key or a value of a wrong type.
    #[error("{path}:{line}: {reason}")]
    Syntax {
        /// The file.
        path: PathBuf,
        /// Line, from 1.
        line: usize,
        /// What is wrong; names the key. Never quotes the line, which may hold a secret.
        reason: String,
    },
    /// A variable is not known, or its value is of a wrong type.
    #[error("{name}: {reason}")]
    Variable {
        /// The variable.
        name: String,
        /// What is wrong and what is expected.
        reason: String,
    },
    /// A value is outside what its key allows.
    #[error("{}: {reason}", named(.key, .origin.as_ref()))]
    Value {
        /// The key.
        key: &'static str,
        /// Who gave it, if anybody did.
        origin: Option<Origin>,
        /// What is wrong and what is expected.
        reason: String,
    },
}

/// A whole, checked configuration.
#[derive(Debug, Clone)]
pub(crate) struct Config {
    /// Where to connect: given, or part of the enrolment string. Absent on a device that enrolled before.
    pub(crate) control_url: Option<Url>,
    /// The control plane's own CA, to be pinned.
    pub(crate) ca: Option<Fingerprint>,
    /// One-time token for the first connection.
    pub(crate) token: Option<EnrollmentToken>,
    /// Directory of what must survive a restart.
    pub(crate) state_dir: PathBuf,
    /// The device's private key.
    pub(crate) device_key_path: PathBuf,
    /// Directory of saved media; the only one that streams and file commands can reach.
    pub(crate) media_dir: PathBuf,
    /// Name the device reports.
    pub(crate) hostname: Option<String>,
    /// How log lines look.
    pub(crate) log_format: LogFormat,
    /// How many log lines are kept for `logs.get`.
    pub(crate) log_lines: usize,
    /// What can change while the agent runs.
    pub(crate) live: Live,
    /// Keys fixed by flag or environment, which `config.set` cannot change.
    pub(crate) fixed: Vec<&'static str>,
}

impl ConfigError {
    /// Whether it is the command line that must be changed.
    pub(crate) fn is_of_a_flag(&self) -> bool {
        matches!(self, Self::Value { origin: Some(Origin::Flag), .. })
    }

    /// The same, with the source that gave the value.
    fn given_by(self, find: impl FnOnce(&str) -> Option<Origin>) -> Self {
        match self {
            Self::Value { key, origin: None, reason } => Self::Value { key, origin: find(key), reason },
            other => other,
        }
    }
}

impl Config {
    /// Reads the file at `file` (the default one when it is there), lays the environment, what the control plane
    /// set, and `flags` over it, and checks the whole.
    ///
    /// # Errors
    /// [`ConfigError`] naming the flag, the variable, or the file with its line or key.
    pub(crate) fn load(
        file: Option<&Path>,
        flags: &Layer,
        environment: impl IntoIterator<Item = (OsString, OsString)>,
    ) -> Result<Self, ConfigError> {
        let path = file.unwrap_or(Path::new(DEFAULT_FILE));
        let layer = if file.is_some() || path.exists() { Layer::read(path)? } else { Layer::default() };
        let sources = [
            (Origin::Flag, flags.clone()),
            (Origin::Environment, environment::read(environment)?),
            (Origin::File(path.to_owned()), layer),
        ];
        let whole = sources.iter().fold(Layer::default(), |over, (_, layer)| over.over(layer.clone()));
        let giver = |key: &str| {
            let source = sources.iter().find(|(_, layer)| layer.keys().contains(&key))?;
            Some(source.0.clone())
        };
        let mut config = Self::resolve(whole).map_err(|error| error.given_by(giver))?;
        let given = sources[..2].iter().flat_map(|(_, layer)| layer.keys());
        config.fixed = given.filter(|key| settings::LIVE_KEYS.contains(key)).collect();
        let settings = Settings::read(&config.state_dir)?;
        let kept = |_: &str| Some(Origin::File(Settings::path(&config.state_dir)));
        settings.apply(&mut config.live, &config.fixed).map_err(|error| error.given_by(kept))?;
        Ok(config)
    }

    fn resolve(layer: Layer) -> Result<Self, ConfigError> {
        let (control_url, ca, token) = joining(&layer)?;
        let state_dir = absolute("state_dir", layer.state_dir.unwrap_or_else(|| DEFAULT_STATE.into()))?;
        let path = |key, given: Option<PathBuf>, name| match given {
            Some(path) => absolute(key, path),
            None => Ok(state_dir.join(name)),
        };
        Ok(Self {
            control_url,
            ca,
            token,
            device_key_path: path("device_key_path", layer.device_key_path, "device.key")?,
            media_dir: path("media_dir", layer.media_dir, "media")?,
            hostname: layer.hostname.map(|name| hostname(&name)).transpose()?,
            log_format: layer.log_format.unwrap_or_default(),
            log_lines: ranged("log_lines", layer.log_lines, 1000, 10..=10_000)?,
            live: Live {
                scan_interval: seconds("scan_interval_s", layer.scan_interval_s)?.unwrap_or(DEFAULT_SCAN),
                stats_interval: seconds("stats_interval_s", layer.stats_interval_s)?,
                log: log_filter(layer.log.as_deref().unwrap_or("info"))?,
            },
            state_dir,
            fixed: Vec::new(),
        })
    }

    /// The configuration as `config.get` and `config check` show it: secrets are redacted.
    pub(crate) fn shown(&self, live: &Live) -> Map<String, Value> {
        let mut map = Map::new();
        let mut put = |key: &str, value: Value| {
            if !value.is_null() {
                map.insert(key.to_owned(), value);
            }
        };
        put("control_url", json!(self.control_url.as_ref().map(Url::as_str)));
        put("ca_fingerprint", json!(self.ca.map(|ca| ca.to_string())));
        put("enrollment_token", json!(self.token.as_ref().map(|_| "enr_… (redacted)")));
        put("state_dir", json!(self.state_dir));
        put("device_key_path", json!(self.device_key_path));
        put("media_dir", json!(self.media_dir));
        put("hostname", json!(self.hostname));
        put("log_format", json!(self.log_format));
        put("log_lines", json!(self.log_lines));
        put("log", json!(live.log));
        put("scan_interval_s", json!(live.scan_interval.as_secs()));
        put("stats_interval_s", json!(live.stats_interval.map(|d| d.as_secs())));
        map
    }
}

type Joining = (Option<Url>, Option<Fingerprint>, Option<EnrollmentToken>);

/// Where to connect and with what token, from the separate keys or from the whole enrolment string.
fn joining(layer: &Layer) -> Result<Joining, ConfigError> {
    let url = layer.control_url.as_deref().map(control_url).transpose()?;
    let ca = layer.ca_fingerprint.as_deref().map(str::parse).transpose();
    let ca = ca.map_err(|e: strata_proto::token::TokenError| value("ca_fingerprint", e.to_string()))?;
    let Some(text) = layer.enrollment_token.as_ref().map(|secret| secret.expose().trim()) else {
        return Ok((url, ca, None));
    };
    if !text.starts_with("strata://") {
        let token = text.parse().map_err(|_| {
            value("enrollment_token", "expected enr_… or the whole strata://enroll?… string".to_owned())
        })?;
        if url.is_none() {
            return Err(value(
                "control_url",
                "missing: an enr_… token alone does not say where to connect; add control_url, or give the \
                 whole strata://enroll?… string as enrollment_token"
                    .to_owned(),
            ));
        }
        return Ok((url, ca, Some(token)));
    }
    let whole: EnrollUri = text
        .parse()
        .map_err(|e: strata_proto::token::TokenError| value("enrollment_token", e.to_string()))?;
    if url.as_ref().is_some_and(|url| *url != whole.url) {
        return Err(value("control_url", "differs from the url in enrollment_token; remove one".to_owned()));
    }
    if ca.is_some() && ca != whole.ca {
        return Err(value(
            "ca_fingerprint",
            "differs from the ca in enrollment_token; remove one".to_owned(),
        ));
    }
    Ok((Some(whole.url), whole.ca, Some(whole.token)))
}

fn control_url(text: &str) -> Result<Url, ConfigError> {
    let bad = || value("control_url", format!("expected wss://host[:port]/agent/ws, got {text:?}"));
    let url = Url::parse(text).map_err(|_| bad())?;
    if url.scheme() == "wss" && url.has_host() { Ok(url) } else { Err(bad()) }
}

fn absolute(key: &'static str, path: PathBuf) -> Result<PathBuf, ConfigError> {
    if path.as_os_str().is_empty() {
        return Err(value(key, "expected a path, got an empty text".to_owned()));
    }
    std::path::absolute(&path).map_err(|e| value(key, format!("{}: {e}", path.display())))
}

fn hostname(name: &str) -> Result<String, ConfigError> {
    let fits = (1..=253).contains(&name.len()) && !name.chars().any(char::is_control);
    if fits { Ok(name.to_owned()) } else { Err(value("hostname", "expected 1 to 253 characters".to_owned())) }
}

/// A time in whole seconds, 1 to 3600.
fn seconds(key: &'static str, given: Option<u64>) -> Result<Option<Duration>, ConfigError> {
    match given {
        Some(s) if !(1..=3600).contains(&s) => {
            Err(value(key, format!("expected 1 to 3600 seconds, got {s}")))
        }
        other => Ok(other.map(Duration::from_secs)),
    }
}

fn ranged(
    key: &'static str,
    given: Option<u64>,
    default: usize,
    range: std::ops::RangeInclusive<u64>,
) -> Result<usize, ConfigError> {
    match given {
        Some(n) if !range.contains(&n) => {
            Err(value(key, format!("expected {} to {}, got {n}", range.start(), range.end())))
        }
        Some(n) => Ok(usize::try_from(n).unwrap_or(usize::MAX)),
        None => Ok(default),
    }
}

/// A filter such as `info` or `info,strata_client=debug`, checked.
fn log_filter(text: &str) -> Result<String, ConfigError> {
    // `Targets` takes a lone word for a target at trace level; here it must be a level.
    let said = text.split(',').all(|part| part.contains('=') || part.trim().parse::<LevelFilter>().is_ok());
    match text.parse::<Targets>() {
        Ok(_) if said && !text.trim().is_empty() => Ok(text.trim().to_owned()),
        _ => Err(value(
            "log",
            format!("expected error, warn, info, debug, trace or target=level pairs, got {text:?}"),
        )),
    }
}

fn named(key: &str, origin: Option<&Origin>) -> String {
    origin.map_or_else(|| key.to_owned(), |origin| origin.name(key))
}

fn value(key: &'static str, reason: String) -> ConfigError {
    ConfigError::Value { key, origin: None, reason }
}

const DEFAULT_STATE: &str = "/var/lib/strata-agent";
/// Media files and device nodes are looked at this often; network interfaces report changes themselves.
const DEFAULT_SCAN: Duration = Duration::from_secs(10);

#[cfg(test)]
mod tests;
