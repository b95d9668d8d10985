//! The environment as a source: `STRATA_AGENT_STATE_DIR` for the key `state_dir`, and so on.

use std::ffi::OsString;

use clap::ValueEnum as _;
use strata_daemon::logs::LogFormat;
use strata_proto::token::Secret;

use super::ConfigError;
use super::layer::{KEYS, Layer};

/// Reads what the variables say; those of other programs are passed over, and those that Kubernetes sets for
/// services.
///
/// # Errors
/// [`ConfigError::Variable`] naming a variable that is no key, or whose value is of a wrong type.
pub(super) fn read(variables: impl IntoIterator<Item = (OsString, OsString)>) -> Result<Layer, ConfigError> {
    let mut layer = Layer::default();
    for (name, value) in variables {
        let name = name.to_string_lossy();
        let Some(key) = name.strip_prefix(PREFIX).filter(|key| *key != FILE) else { continue };
        if is_of_a_service(&name) {
            continue;
        }
        set(&mut layer, key, value)
            .map_err(|reason| ConfigError::Variable { name: name.clone().into_owned(), reason })?;
    }
    Ok(layer)
}

/// The variable of a key.
pub(super) fn variable(key: &str) -> String {
    format!("{PREFIX}{}", key.to_ascii_uppercase())
}

/// Kubernetes sets `STRATA_AGENT_SERVICE_HOST`, `STRATA_AGENT_PORT`, `STRATA_AGENT_PORT_8443_TCP_ADDR` and others in
/// every container of a namespace with a Service named `strata-agent` (or `strata-agent-…`).
fn is_of_a_service(name: &str) -> bool {
    name.contains("_SERVICE_") || name.ends_with("_PORT") || name.contains("_PORT_")
}

fn set(layer: &mut Layer, key: &str, value: OsString) -> Result<(), String> {
    match key {
        "STATE_DIR" => layer.state_dir = Some(value.into()),
        "DEVICE_KEY_PATH" => layer.device_key_path = Some(value.into()),
        "MEDIA_DIR" => layer.media_dir = Some(value.into()),
        "ENROLLMENT_TOKEN" => layer.enrollment_token = Some(Secret::new(text(value)?)),
        "CONTROL_URL" => layer.control_url = Some(text(value)?),
        "CA_FINGERPRINT" => layer.ca_fingerprint = Some(text(value)?),
        "HOSTNAME" => layer.hostname = Some(text(value)?),
        "SCAN_INTERVAL_S" => layer.scan_interval_s = Some(number(value)?),
        "STATS_INTERVAL_S" => layer.stats_interval_s = Some(number(value)?),
        "LOG" => layer.log = Some(text(value)?),
        "LOG_FORMAT" => layer.log_format = Some(log_format(value)?),
        "LOG_LINES" => layer.log_lines = Some(number(value)?),
        _ => {
            let known: Vec<_> = KEYS.into_iter().map(variable).collect();
            return Err(format!("is not known; these are: {}", known.join(", ")));
        }
    }
    Ok(())
}

fn text(value: OsString) -> Result<String, String> {
    value.into_string().map_err(|_| "expected UTF-8".to_owned())
}

fn number(value: OsString) -> Result<u64, String> {
    let text = text(value)?;
    text.trim().parse().map_err(|_| format!("expected a whole number, got {text:?}"))
}

fn log_format(value: OsString) -> Result<LogFormat, String> {
    let text = text(value)?;
    LogFormat::from_str(&text, false).map_err(|_| format!("expected text or json, got {text:?}"))
}

const PREFIX: &str = "STRATA_AGENT_";
/// Names the file; no key of it.
const FILE: &str = "CONFIG";
