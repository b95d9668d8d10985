//! Which control plane the device belongs to: given, or remembered from the start before.

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

/// The control plane of `config`, which is remembered, or else the remembered one.
///
/// # Errors
/// When the state directory cannot be read or written.
pub(crate) fn find(config: &Config) -> anyhow::Result<Option<ControlPlane>> {
    let path = config.state_dir.join(FILE);
    let before = read(&path).with_context(|| format!("cannot read {}", path.display()))?;
    let Some(url) = config.control_url.clone() else { return Ok(before) };
    let now = ControlPlane { url, ca: config.ca };
    if before.as_ref() != Some(&now) {
        let remembered = Remembered { url: now.url.to_string(), ca: now.ca.map(|ca| ca.to_string()) };
        settings::replace(&path, toml::to_string(&remembered)?.as_bytes())
            .with_context(|| format!("cannot write {}", path.display()))?;
    }
    Ok(Some(now))
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
    fn a_given_control_plane_is_remembered() {
        let dir = tempfile::tempdir().unwrap();
        let conf = dir.path().join("agent.conf");
        std::fs::write(&conf, "").unwrap();
        let load = |url: Option<&str>| {
            let given = Layer {
                state_dir: Some(dir.path().join("state")),
                control_url: url.map(str::to_owned),
                ca_fingerprint: url.map(|_| format!("sha256:{}", "0a".repeat(32))),
                ..Layer::default()
            };
            Config::load(Some(&conf), &given, []).unwrap()
        };
        assert_eq!(find(&load(None)).unwrap(), None);
        let given = find(&load(Some("wss://one/agent/ws"))).unwrap().unwrap();
        assert_eq!(find(&load(None)).unwrap().as_ref(), Some(&given));
        let other = find(&load(Some("wss://two/agent/ws"))).unwrap().unwrap();
        assert_eq!(find(&load(None)).unwrap(), Some(other));
    }
}
