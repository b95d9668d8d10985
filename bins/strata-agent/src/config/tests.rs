use std::path::PathBuf;

use serde_json::json;
use strata_proto::token::Secret;

use super::*;

fn file(text: &str) -> (tempfile::TempDir, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("agent.conf");
    let state = dir.path().join("state");
    std::fs::write(&path, format!("{text}\nstate_dir = {state:?}\n")).unwrap();
    (dir, path)
}

fn load(text: &str) -> Result<Config, String> {
    let (_dir, path) = file(text);
    Config::load(Some(&path), &Layer::default(), []).map_err(|e| e.to_string())
}

#[test]
fn unknown_key_is_named_with_its_line() {
    let error = load("log = \"info\"\nmedia_dri = \"/x\"").unwrap_err();
    assert!(error.contains("agent.conf:2:"), "{error}");
    assert!(error.contains("`media_dri`"), "{error}");
}

#[test]
fn wrong_types_and_ranges_name_the_key() {
    for (text, key) in [
        ("scan_interval_s = \"often\"", "scan_interval_s"),
        ("scan_interval_s = 0", "scan_interval_s: expected 1 to 3600 seconds, got 0"),
        ("stats_interval_s = 3601", "stats_interval_s: expected 1 to 3600 seconds, got 3601"),
        ("log_lines = 9", "log_lines: expected 10 to 10000, got 9"),
        ("log = \"loud\"", "log: expected error, warn, info"),
        ("log_format = \"xml\"", "log_format"),
        ("control_url = \"http://host/agent/ws\"", "control_url: expected wss://"),
        ("control_url = \"wss://h/agent/ws\"\nca_fingerprint = \"sha256:12\"", "ca_fingerprint: invalid"),
        ("enrollment_token = \"enr_x\"", "control_url: missing"),
        ("enrollment_token = \"strata://enroll?url=x\"", "enrollment_token: invalid enrollment string"),
        ("media_dir = \"\"", "media_dir: expected a path"),
    ] {
        let error = load(text).unwrap_err();
        assert!(error.contains(key), "{text}: {error}");
    }
}

#[test]
fn broken_line_does_not_show_the_secret() {
    let error = load("enrollment_token = \"enr_topsecret").unwrap_err();
    assert!(error.contains("agent.conf:1: enrollment_token"), "{error}");
    assert!(!error.contains("topsecret"), "{error}");
}

#[test]
fn enrolment_string_is_enough() {
    let ca = format!("sha256:{}", "ab".repeat(32));
    let text = format!(
        "enrollment_token = \"strata://enroll?url=wss%3A%2F%2Fc.example%3A8443%2Fagent%2Fws&token=enr_1&ca={ca}\""
    );
    let config = load(&text).unwrap();
    assert_eq!(config.control_url.unwrap().as_str(), "wss://c.example:8443/agent/ws");
    assert_eq!(config.ca.unwrap().to_string(), ca);
    assert_eq!(config.token.unwrap().expose(), "enr_1");
    let error = load(&format!("{text}\ncontrol_url = \"wss://other/agent/ws\"")).unwrap_err();
    assert!(error.contains("agent.conf: control_url: differs"), "{error}");
}

/// Variables of the agent, among others.
fn variables(given: &[(&str, &str)]) -> Vec<(OsString, OsString)> {
    let own = given.iter().map(|(key, value)| (format!("STRATA_AGENT_{key}").into(), value.into()));
    own.chain([("STRATA_AGENT_CONFIG".into(), "x".into()), ("LOG".into(), "loud".into())]).collect()
}

#[test]
fn what_is_wrong_is_named_as_its_source_names_it() {
    let (dir, path) = file("log = \"loud\"");
    let load = |flags: Layer, environment: &[(&str, &str)]| {
        Config::load(Some(&path), &flags, variables(environment)).unwrap_err()
    };
    let log = |text: &str| Layer { log: Some(text.to_owned()), ..Layer::default() };
    for (flags, environment, said) in [
        (log("loud"), &[][..], "--log: expected error"),
        (log("info"), &[("LOGG", "info")], "STRATA_AGENT_LOGG: is not known; these are: STRATA_AGENT_ENROLL"),
        (
            log("info"),
            &[("SCAN_INTERVAL_S", "often")],
            "STRATA_AGENT_SCAN_INTERVAL_S: expected a whole number",
        ),
        (log("info"), &[("LOG_FORMAT", "xml")], "STRATA_AGENT_LOG_FORMAT: expected text or json"),
        (log("info"), &[("LOG_LINES", "1")], "STRATA_AGENT_LOG_LINES: expected 10 to 10000, got 1"),
        (Layer::default(), &[("LOG", "louder")], "STRATA_AGENT_LOG: expected error"),
        (Layer::default(), &[], &format!("{}: log: expected error", path.display())),
    ] {
        let is_of_a_flag = flags.log.as_deref() == Some("loud");
        let error = load(flags, environment);
        assert!(error.to_string().starts_with(said), "{said}: {error}");
        assert_eq!(error.is_of_a_flag(), is_of_a_flag, "{error}");
    }
    let state = dir.path().join("state");
    settings::replace(&state.join("settings.toml"), b"scan_interval_s = 0").unwrap();
    let error = load(log("info"), &[]).to_string();
    assert!(error.contains("settings.toml: scan_interval_s: expected 1 to 3600"), "{error}");
}

#[test]
fn variables_that_kubernetes_sets_for_a_service_are_passed_over() {
    let (_dir, path) = file("");
    let load = |key| Config::load(Some(&path), &Layer::default(), variables(&[(key, "tcp://10.0.0.1:8443")]));
    for key in [
        "SERVICE_HOST",
        "SERVICE_PORT",
        "SERVICE_PORT_HTTPS",
        "PORT",
        "PORT_8443_TCP",
        "PORT_8443_TCP_ADDR",
        "METRICS_SERVICE_HOST",
        "METRICS_PORT",
    ] {
        load(key).unwrap();
        assert!(!layer::KEYS.iter().any(|known| environment::variable(known).ends_with(key)), "{key}");
    }
    for key in ["SERVICES", "PORTS", "REPORT"] {
        assert!(load(key).unwrap_err().to_string().contains("is not known"), "{key}");
    }
}

#[test]
fn every_key_has_a_variable() {
    for key in layer::KEYS {
        let value = if key == "log_format" { "json" } else { "7" };
        let name = environment::variable(key).into();
        assert_eq!(environment::read([(name, value.into())]).unwrap().keys(), [key]);
    }
}

#[test]
fn given_wins_over_settings_over_file() {
    let (dir, path) = file("scan_interval_s = 20\nstats_interval_s = 2");
    let state = dir.path().join("state");
    let set = json!({"scan_interval_s": 30, "stats_interval_s": 3});
    Settings::default().with(set.as_object().unwrap(), &[]).unwrap().write(&state).unwrap();
    let given = Layer { stats_interval_s: Some(4), ..Layer::default() };
    let environment = variables(&[("STATS_INTERVAL_S", "5"), ("LOG", "warn")]);
    let config = Config::load(Some(&path), &given, environment).unwrap();
    assert_eq!(config.live.scan_interval.as_secs(), 30);
    assert_eq!(config.live.stats_interval.unwrap().as_secs(), 4);
    assert_eq!(config.live.log, "warn");
    assert_eq!(config.fixed, ["stats_interval_s", "stats_interval_s", "log"]);
}

#[test]
fn set_refuses_naming_the_field_and_changes_nothing() {
    let settings = Settings::default();
    for (values, field, said) in [
        (json!({"media_dir": "/"}), "payload.values.media_dir", "cannot be changed"),
        (json!({"log": "loud"}), "payload.values.log", "expected error"),
        (json!({"scan_interval_s": 0}), "payload.values.scan_interval_s", "1 to 3600"),
        (json!({"scan_interval_s": "x"}), "payload.values.scan_interval_s", "whole seconds"),
        (json!({"stats_interval_s": 2}), "payload.values.stats_interval_s", "fixed"),
    ] {
        let fault = settings.with(values.as_object().unwrap(), &["stats_interval_s"]).unwrap_err();
        assert_eq!(fault.field.as_deref(), Some(field));
        assert!(fault.message.contains(said), "{}", fault.message);
    }
}

#[test]
fn shown_configuration_has_no_secret() {
    let given = Layer {
        enrollment_token: Some(Secret::new("enr_topsecret")),
        control_url: Some("wss://h/agent/ws".to_owned()),
        state_dir: Some("/nonexistent/strata".into()),
        ..Layer::default()
    };
    let config = Config::resolve(given).unwrap();
    let shown = serde_json::to_string(&config.shown(&config.live)).unwrap();
    assert!(!shown.contains("topsecret") && shown.contains("redacted"), "{shown}");
    assert!(!format!("{config:?}").contains("topsecret"));
}

#[test]
fn example_file_is_valid() {
    let text = include_str!("../../agent.conf.example");
    let uncommented: String = text
        .lines()
        .filter(|l| !l.starts_with("# "))
        .map(|l| format!("{}\n", l.trim_start_matches('#')))
        .collect();
    load(&uncommented.replace("state_dir", "#state_dir")).unwrap();
    load(&text.replace("state_dir", "#state_dir")).unwrap();
}
