//! Where the configuration comes from: a TOML file, then the environment.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use toml::{Table, Value};

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

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum LogFormat {
    Text,
    Json,
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
        let overrides = std::env::vars_os()
            .filter_map(|(key, value)| Some((key.into_string().ok()?, value.into_string().ok()?)));
        let settings = Self::parse(&text, overrides);
        settings.with_context(|| file.map_or_else(|| "configuration".to_owned(), |p| p.display().to_string()))
    }

    fn parse(text: &str, environment: impl Iterator<Item = (String, String)>) -> anyhow::Result<Self> {
        let mut table: Table = text.parse()?;
        for (name, value) in environment {
            match name.strip_prefix(PREFIX) {
                None | Some("CONFIG") => {}
                Some(key) => set(&mut table, key, &value).with_context(|| name.clone())?,
            }
        }
        let own = OWN.iter().filter_map(|key| table.remove_entry(*key)).collect();
        let own: Own = decode(own)?;
        if own.tls.cert.is_some() != own.tls.key.is_some() {
            bail!("configuration key tls: cert and key belong together");
        }
        let server = strata_server::Config::from_toml(&toml::to_string(&table)?)?;
        Ok(Self { own, server })
    }
}

/// Sets `SECTION__KEY`. A value that is TOML (a number, true, a list) is taken as such, others as text.
fn set(table: &mut Table, key: &str, value: &str) -> anyhow::Result<()> {
    let key = key.to_ascii_lowercase();
    let parsed = format!("x = {value}").parse::<Table>().ok().and_then(|mut t| t.remove("x"));
    let value = parsed.unwrap_or_else(|| Value::String(value.to_owned()));
    let (place, name) = match key.split_once("__") {
        None => (table, key.as_str()),
        Some((section, name)) => {
            let place = table.entry(section).or_insert_with(|| Value::Table(Table::new()));
            (place.as_table_mut().with_context(|| format!("{section} is not a section"))?, name)
        }
    };
    place.insert(name.to_owned(), value);
    Ok(())
}

fn decode<T: DeserializeOwned>(table: Table) -> anyhow::Result<T> {
    serde_path_to_error::deserialize(Value::Table(table))
        .map_err(|e| anyhow::anyhow!("configuration key {}: {}", e.path(), e.inner().message()))
}

const PREFIX: &str = "STRATA_CONTROL_";
/// Keys of [`Own`]; all others are the library's.
const OWN: [&str; 3] = ["listen", "tls", "log"];

#[cfg(test)]
mod tests;
