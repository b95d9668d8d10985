//! Where the configuration comes from: a TOML file, then the environment.

use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Error, bail};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use strata_daemon::logs::LogFormat;
use strata_server::ConfigError;
use toml::{Table, Value};
use tracing_subscriber::EnvFilter;

/// All that the program is told.
#[derive(Debug)]
pub(crate) struct Settings {
    pub(crate) own: Own,
    pub(crate) server: strata_server::Config,
}

/// What is the program's business and not the library's.
#[derive(Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Own {
    /// Where to serve HTTPS.
    pub(crate) listen: SocketAddr,
    pub(crate) tls: Tls,
    pub(crate) log: Log,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Tls {
    pub(crate) cert: Option<PathBuf>,
    pub(crate) key: Option<PathBuf>,
    pub(crate) names: Vec<String>,
}

#[derive(Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Log {
    pub(crate) format: LogFormat,
    pub(crate) filter: String,
}

impl Default for Own {
    fn default() -> Self {
        Self { listen: SocketAddr::from(([0, 0, 0, 0], 8443)), tls: Tls::default(), log: Log::default() }
    }
}

impl Default for Log {
    fn default() -> Self {
        Self { format: LogFormat::Text, filter: "info".to_owned() }
    }
}

impl Settings {
    pub(crate) fn load(file: Option<&Path>) -> anyhow::Result<Self> {
        let default = crate::default_config();
        let file = file.or_else(|| default.exists().then_some(default));
        let text = match file {
            Some(path) => std::fs::read_to_string(path).with_context(|| path.display().to_string())?,
            None => String::new(),
        };
        let place = file.map_or_else(|| "configuration".to_owned(), |path| path.display().to_string());
        Self::parse(&place, &text, variables()?.into_iter())
    }

    /// `place` is where `text` is from, and to blame for what no variable has set.
    fn parse(
        place: &str,
        text: &str,
        variables: impl Iterator<Item = (String, String)>,
    ) -> anyhow::Result<Self> {
        let mut table: Table = text.parse().with_context(|| place.to_owned())?;
        let mut overrides = Vec::new();
        for (name, value) in variables {
            let Some(key) = own_key(&name) else { continue };
            let key = key.to_ascii_lowercase().replace("__", ".");
            set(&mut table, &key, &value).with_context(|| variable(&name))?;
            overrides.push((name, key));
        }
        Self::from_table(table).map_err(|error| {
            let guilty = overrides.iter().find(|(_, key)| covers(key, &error.key));
            let place = guilty.map_or_else(|| place.to_owned(), |(name, _)| variable(name));
            Error::new(error).context(place)
        })
    }

    fn from_table(mut table: Table) -> Result<Self, ConfigError> {
        let known = || OWN.into_iter().chain(strata_server::Config::KEYS);
        if let Some(unknown) = table.keys().find(|key| !known().any(|known| known == *key)) {
            let known = known().collect::<Vec<_>>().join(", ");
            return Err(ConfigError::new(unknown, format!("unknown key, expected one of {known}")));
        }
        let own = OWN.iter().filter_map(|key| table.remove_entry(*key)).collect();
        let own: Own = decode(own)?;
        own.check()?;
        let rest = toml::to_string(&table).map_err(|e| ConfigError::new(".", e.to_string()))?;
        let server = strata_server::Config::from_toml(&rest)?;
        Ok(Self { own, server })
    }

    /// Whether others than this machine may connect, but would be told to look for it on their own:
    /// `public_url` is what enrolment strings and streams' addresses are made of.
    pub(crate) fn leads_astray(&self) -> bool {
        let host = self.server.public_url.host_str().unwrap_or_default().trim_matches(['[', ']']);
        let is_local = host == "localhost" || host.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback());
        is_local && !self.own.listen.ip().is_loopback()
    }
}

impl Own {
    fn check(&self) -> Result<(), ConfigError> {
        let missing = |key, other| {
            ConfigError::new(key, format!("is missing: {other} is set, and they belong together"))
        };
        match (&self.tls.cert, &self.tls.key) {
            (Some(_), None) => return Err(missing("tls.key", "tls.cert")),
            (None, Some(_)) => return Err(missing("tls.cert", "tls.key")),
            _ => {}
        }
        self.log.filter().map(drop)
    }
}

impl Log {
    /// What is logged.
    pub(crate) fn filter(&self) -> Result<EnvFilter, ConfigError> {
        EnvFilter::try_new(&self.filter).map_err(|error| {
            let reason = format!("{error}; expected such as info or warn,strata_server=debug");
            ConfigError::new("log.filter", reason)
        })
    }
}

/// Those of the environment that are ours.
fn variables() -> anyhow::Result<Vec<(String, String)>> {
    let names = std::env::vars_os().filter_map(|(name, value)| Some((name.into_string().ok()?, value)));
    let ours = names.filter(|(name, _)| name.starts_with(PREFIX));
    ours.map(|(name, value)| match value.into_string() {
        Ok(value) => Ok((name, value)),
        Err(_) => bail!("{}: is not UTF-8", variable(&name)),
    })
    .collect()
}

/// The key in the name of a variable. None for `STRATA_CONTROL_CONFIG`, and for what Kubernetes sets in every
/// container when a service is called `strata-control`, or begins so: `…_SERVICE_HOST`, `…_PORT`,
/// `…_PORT_8443_TCP_ADDR` and the like.
fn own_key(name: &str) -> Option<&str> {
    let key = name.strip_prefix(PREFIX).filter(|key| *key != "CONFIG")?;
    let service = name.contains("_SERVICE_") || name.contains("_PORT_") || name.ends_with("_PORT");
    // Two underscores stand for the dot after a section, so that it is meant for this program.
    (!service || key.contains("__")).then_some(key)
}

/// Sets `section.key`. A value that is TOML (a number, true, a list) is taken as such, others as text.
fn set(table: &mut Table, key: &str, value: &str) -> anyhow::Result<()> {
    let parsed = format!("x = {value}").parse::<Table>().ok().and_then(|mut t| t.remove("x"));
    let value = parsed.unwrap_or_else(|| Value::String(value.to_owned()));
    let (place, name) = match key.split_once('.') {
        None => (table, key),
        Some((section, name)) => {
            let place = table.entry(section).or_insert_with(|| Value::Table(Table::new()));
            (place.as_table_mut().with_context(|| format!("{section} is not a section"))?, name)
        }
    };
    place.insert(name.to_owned(), value);
    Ok(())
}

/// Whether what is at the path `key` was set by whoever set `own`.
fn covers(own: &str, key: &str) -> bool {
    key.strip_prefix(own).is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']))
}

fn variable(name: &str) -> String {
    format!("environment variable {name}")
}

fn decode<T: DeserializeOwned>(table: Table) -> Result<T, ConfigError> {
    serde_path_to_error::deserialize(Value::Table(table))
        .map_err(|e| ConfigError::new(e.path().to_string(), e.inner().message()))
}

const PREFIX: &str = "STRATA_CONTROL_";
/// Keys of [`Own`]; all others are the library's.
const OWN: [&str; 3] = ["listen", "tls", "log"];

#[cfg(test)]
mod tests;
