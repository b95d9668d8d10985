//! Which control plane the device belongs to: given, or the one that let it in last.

use std::path::Path;

use anyhow::Context as _;
use serde::{Deserialize, Serialize};
use strata_proto::token::Fingerprint;
use url::Url;

use crate::config::{Config, settings};

/// Where to connect, and whom to trust there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ControlPlane {
    /// `wss://host[:port]/agent/ws`
    pub(crate) url: Url,
    /// Its own CA; public ones when absent.
    pub(crate) ca: Option<Fingerprint>,
}

#[derive(Serialize, Deserialize)]
struct Remembered {
    url: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    ca: Option<String>,
}

/// The control plane of `config`, or else the remembered one.
///
/// # Errors
/// When the state directory cannot be read.
pub(crate) fn find(config: &Config) -> anyhow::Result<Option<ControlPlane>> {
    match config.control_url.clone() {
        Some(url) => Ok(Some(ControlPlane { url, ca: config.ca })),
        None => {
            let path = config.state_dir.join(FILE);
            read(&path).with_context(|| format!("cannot read {}", path.display()))
        }
    }
}

impl ControlPlane {
    /// Keeps it for starts that are told nothing. Only one that let the device in: an enrolment string that is no
    /// good must not replace what works.
    ///
    /// # Errors
    /// When the state directory cannot be written.
    pub(crate) fn remember(&self, state_dir: &Path) -> anyhow::Result<()> {
        let path = state_dir.join(FILE);
        if read(&path).is_ok_and(|before| before.as_ref() == Some(self)) {
            return Ok(());
        }
        let remembered = Remembered { url: self.url.to_string(), ca: self.ca.map(|ca| ca.to_string()) };
        settings::replace(&path, toml::to_string(&remembered)?.as_bytes())
            .with_context(|| format!("cannot write {}", path.display()))
    }
}

fn read(path: &Path) -> anyhow::Result<Option<ControlPlane>> {
    let text = match std::fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error.into()),
    };
    let remembered: Remembered = toml::from_str(&text)?;
    let ca = remembered.ca.map(|ca| ca.parse()).transpose()?;
    Ok(Some(ControlPlane { url: remembered.url.parse()?, ca }))
}

const FILE: &str = "control-plane.toml";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Layer;

    #[test]
    fn only_what_is_to_be_remembered_is_found_again() {
        let dir = tempfile::tempdir().unwrap();
        let conf = dir.path().join("agent.conf");
        std::fs::write(&conf, "").unwrap();
        let state = dir.path().join("state");
        let load = |url: Option<&str>| {
            let given = Layer {
                state_dir: Some(state.clone()),
                control_url: url.map(str::to_owned),
                ca_fingerprint: url.map(|_| format!("sha256:{}", "0a".repeat(32))),
                ..Layer::default()
            };
            Config::load(Some(&conf), &given, []).unwrap()
        };
        let one = find(&load(Some("wss://one/agent/ws"))).unwrap().unwrap();
        assert_eq!(find(&load(None)).unwrap(), None);
        assert!(!state.exists(), "looking makes nothing");
        one.remember(&state).unwrap();
        let two = find(&load(Some("wss://two/agent/ws"))).unwrap().unwrap();
        assert_eq!(find(&load(None)).unwrap().as_ref(), Some(&one));
        two.remember(&state).unwrap();
        assert_eq!(find(&load(None)).unwrap(), Some(two));
    }
}
