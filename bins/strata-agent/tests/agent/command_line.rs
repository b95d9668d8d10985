//! What can be seen without a control plane.

use std::os::unix::fs::PermissionsExt as _;

use strata_proto::control::{DeviceStatus, InterfaceType, StreamState};

use crate::process::{output, program};

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

#[test]
fn a_bad_configuration_exits_with_78_and_names_the_key() {
    let dir = tempfile::tempdir().unwrap();
    let conf = dir.path().join("agent.conf");
    for (content, named) in [
        ("\nmedia_dri = \"/x\"", "agent.conf:2: "),
        ("\nmedia_dri = \"/x\"", "media_dri"),
        ("scan_interval_s = 0", "scan_interval_s"),
        ("enrollment_token = \"enr_x\"", "control_url"),
    ] {
        std::fs::write(&conf, content).unwrap();
        let output = output(&["--config", conf.to_str().unwrap()]);
        let words = text(&output.stderr);
        assert_eq!(output.status.code(), Some(78), "{words}");
        assert!(words.contains(named), "{words}");
    }
    let output = output(&["--config", "/nonexistent/agent.conf"]);
    assert_eq!(output.status.code(), Some(78));
    assert!(text(&output.stderr).contains("/nonexistent/agent.conf"));
}

#[test]
fn a_device_that_knows_no_control_plane_says_what_to_do() {
    let dir = tempfile::tempdir().unwrap();
    let output = output(&["--state-dir", dir.path().to_str().unwrap()]);
    let words = text(&output.stderr);
    assert_eq!(output.status.code(), Some(78), "{words}");
    assert!(words.contains("control_url") && words.contains("--enroll"), "{words}");
}

#[test]
fn a_bad_command_line_exits_with_2_and_help_teaches() {
    assert_eq!(output(&["--scan-interval-s", "often"]).status.code(), Some(2));
    assert_eq!(output(&["--no-such-flag"]).status.code(), Some(2));
    let loud = output(&["config", "check", "--log", "loud"]);
    assert_eq!(loud.status.code(), Some(2));
    assert!(text(&loud.stderr).contains("--log: expected error"), "{}", text(&loud.stderr));
    let help = text(&output(&["--help"]).stdout);
    for word in ["strata://enroll?", "Exit codes", "78", "130, 143", "STRATA_AGENT_STATE_DIR", "--media-dir"]
    {
        assert!(help.contains(word), "{word}: {help}");
    }
}

#[test]
fn a_bad_variable_exits_with_78_and_is_named() {
    for (variable, value) in [("STRATA_AGENT_MEDIA_DRI", "/x"), ("STRATA_AGENT_LOG", "loud")] {
        let output = program().args(["config", "check"]).env(variable, value).output().unwrap();
        let words = text(&output.stderr);
        assert_eq!(output.status.code(), Some(78), "{words}");
        assert!(words.contains(&format!("{variable}: ")) && !words.contains("agent.conf"), "{words}");
    }
}

#[test]
fn an_agent_without_its_pipeline_says_what_is_missing() {
    // A link is in another directory than the program, and is the same program.
    let dir = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let alone = dir.path().join("strata-agent");
    std::fs::hard_link(env!("CARGO_BIN_EXE_strata-agent"), &alone).unwrap();
    let report = || {
        let output =
            std::process::Command::new(&alone).args(["report", "--state-dir"]).arg(dir.path()).output();
        let output = output.unwrap();
        (output.status.code(), text(&output.stderr))
    };
    let (code, words) = report();
    let pipeline = dir.path().join("strata-agent-pipeline");
    assert_eq!(code, Some(1), "{words}");
    assert!(words.contains(pipeline.to_str().unwrap()) && words.contains("belongs beside"), "{words}");

    std::fs::write(&pipeline, "#!/bin/sh\necho 'libgstreamer-1.0.so.0 is missing' >&2; exit 127").unwrap();
    std::fs::set_permissions(&pipeline, std::fs::Permissions::from_mode(0o755)).unwrap();
    let (code, words) = report();
    assert!(code == Some(1) && words.contains("libgstreamer-1.0.so.0 is missing"), "{code:?} {words}");
}

#[test]
fn config_check_shows_the_result_without_secrets() {
    let dir = tempfile::tempdir().unwrap();
    let conf = dir.path().join("agent.conf");
    let state = dir.path().join("state");
    std::fs::write(
        &conf,
        format!(
            "state_dir = {state:?}\ncontrol_url = \"wss://h/agent/ws\"\nenrollment_token = \"enr_topsecret\"\n\
             scan_interval_s = 20"
        ),
    )
    .unwrap();
    let args = ["config", "check", "--config", conf.to_str().unwrap(), "--scan-interval-s", "30"];
    let shown = text(&output(&args).stdout);
    let value: serde_json::Value = serde_json::from_str(&shown).unwrap();
    assert_eq!(value["scan_interval_s"], 30, "flags win over the file");
    assert_eq!(value["device_key_path"], state.join("device.key").to_str().unwrap());
    assert!(!shown.contains("topsecret"), "{shown}");
}

#[test]
fn report_prints_a_device_status() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("broken.mp4"), vec![0; 2_000_000]).unwrap();
    let dir = dir.path().to_str().unwrap();
    let output = output(&["report", "--state-dir", dir, "--media-dir", dir]);
    let status: DeviceStatus = serde_json::from_slice(&output.stdout).unwrap();
    let lo = status.network_interfaces.iter().find(|i| i.name == "lo").unwrap();
    assert_eq!((lo.kind, lo.ip.as_deref()), (InterfaceType::Loopback, Some("127.0.0.1")));
    let [media] = &status.saved_media[..] else { panic!("{:?}", status.saved_media) };
    assert_eq!((media.name.as_str(), media.size_mb, media.duration_s), ("broken.mp4", 2, None));
    assert!(status.mem_used_mb > 0 && status.uptime_s > 0);
    assert_eq!((status.stream_state, status.running_streams), (StreamState::Idle, Some(vec![])));
}
