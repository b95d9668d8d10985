//! What the control plane changes on a running agent, kept in `STATE_DIR/settings.toml`.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write as _;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use strata_agent_protocol::interfaces::{Preference, Rules};
use strata_proto::control::{ErrorCode, Fault};

use super::{ConfigError, layer, log_filter, seconds};

/// Settings that can change while the agent runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Live {
    /// Time between two looks at media files and device nodes.
    pub(crate) scan_interval: Duration,
    /// Time between two `stream.stats`; the control plane's wish when absent.
    pub(crate) stats_interval: Option<Duration>,
    /// What is logged.
    pub(crate) log: String,
}

/// The file's content: only what was set.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Settings {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    scan_interval_s: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    stats_interval_s: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    log: Option<String>,
    /// Interfaces that streams must not use (`interface.command`).
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub(crate) disabled_interfaces: BTreeSet<String>,
    /// How streams prefer interfaces (`interface.command`).
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) preferred_interfaces: BTreeMap<String, Preference>,
}

impl Settings {
    /// What was said of interfaces.
    pub(crate) fn rules(&self) -> Rules {
        Rules { disabled: self.disabled_interfaces.clone(), preferences: self.preferred_interfaces.clone() }
    }

    /// Where the file lies.
    pub(super) fn path(state_dir: &Path) -> PathBuf {
        state_dir.join(FILE)
    }

    /// Reads the file; nothing is set when it is not there.
    ///
    /// # Errors
    /// [`ConfigError`] when the file is there and cannot be read.
    pub(crate) fn read(state_dir: &Path) -> Result<Self, ConfigError> {
        let path = Self::path(state_dir);
        match std::fs::read_to_string(&path) {
            Ok(text) => layer::parse(&text, &path),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Self::default()),
            Err(source) => Err(ConfigError::Unreadable { path, source }),
        }
    }

    /// Replaces the file in one step.
    ///
    /// # Errors
    /// When the directory cannot be written.
    pub(crate) fn write(&self, state_dir: &Path) -> std::io::Result<()> {
        let text = toml::to_string(self).map_err(std::io::Error::other)?;
        replace(&Self::path(state_dir), text.as_bytes())
    }

    /// Lays what was set over `live`, except where a flag or the environment fixed the key.
    ///
    /// # Errors
    /// [`ConfigError::Value`] naming the key whose value is not allowed.
    pub(crate) fn apply(&self, live: &mut Live, fixed: &[&'static str]) -> Result<(), ConfigError> {
        let free = |key| !fixed.contains(&key);
        if let Some(time) =
            seconds("scan_interval_s", self.scan_interval_s)?.filter(|_| free("scan_interval_s"))
        {
            live.scan_interval = time;
        }
        if let Some(time) =
            seconds("stats_interval_s", self.stats_interval_s)?.filter(|_| free("stats_interval_s"))
        {
            live.stats_interval = Some(time);
        }
        if let Some(filter) = self.log.as_deref().filter(|_| free("log")) {
            live.log = log_filter(filter)?;
        }
        Ok(())
    }

    /// The settings with the values of a `config.set` laid over them. All values are checked; the
    /// first one that is refused leaves everything as it was.
    ///
    /// # Errors
    /// A [`Fault`] whose field names the key.
    pub(crate) fn with(&self, values: &Map<String, Value>, fixed: &[&'static str]) -> Result<Self, Fault> {
        let mut next = self.clone();
        for (key, value) in values {
            let field = format!("payload.values.{key}");
            let bad = |reason: String| Fault::new(ErrorCode::INVALID_FIELD, reason).with_field(field.clone());
            if fixed.contains(&key.as_str()) {
                return Err(bad(format!("{key} is fixed on the device by a flag or the environment")));
            }
            let number = || value.as_u64().ok_or_else(|| bad("expected whole seconds, 1 to 3600".to_owned()));
            match key.as_str() {
                "scan_interval_s" => next.scan_interval_s = Some(number()?),
                "stats_interval_s" => next.stats_interval_s = Some(number()?),
                "log" => {
                    let text =
                        value.as_str().ok_or_else(|| bad("expected a text such as info".to_owned()))?;
                    next.log = Some(text.to_owned());
                }
                _ => {
                    return Err(bad(format!(
                        "{key:.64} cannot be changed on a running agent; these can: {}",
                        LIVE_KEYS.join(", ")
                    )));
                }
            }
            let mut scratch =
                Live { scan_interval: Duration::ZERO, stats_interval: None, log: String::new() };
            next.apply(&mut scratch, &[]).map_err(|e| bad(e.to_string()))?;
        }
        Ok(next)
    }
}

/// Writes `content` beside `path` and renames it into place, so that a reader or a power cut sees the
/// old or the new file and nothing between. A directory that is not there is made for its owner only.
pub(crate) fn replace(path: &Path, content: &[u8]) -> std::io::Result<()> {
    let directory = path.parent().unwrap_or(Path::new("."));
    std::fs::DirBuilder::new().recursive(true).mode(0o700).create(directory)?;
    let staged = path.with_extension("new");
    let mut file = std::fs::File::create(&staged)?;
    file.write_all(content)?;
    file.sync_all()?;
    std::fs::rename(&staged, path)?;
    std::fs::File::open(directory)?.sync_all()
}

const FILE: &str = "settings.toml";
/// Keys of [`Live`].
pub(super) const LIVE_KEYS: [&str; 3] = ["scan_interval_s", "stats_interval_s", "log"];
