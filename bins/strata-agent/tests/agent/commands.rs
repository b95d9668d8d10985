//! Commands that need no stream.

use serde_json::{Value, json};
use strata_proto::control::{Command, CommandKind, ErrorCode, Reply};

use crate::plane::{Device, Plane};
use crate::process::Agent;
use crate::run;

async fn ask(device: &mut Device, kind: CommandKind, payload: Value) -> Reply {
    device.ask(Command::decode(kind, &payload.to_string()).unwrap()).await
}

#[track_caller]
fn refused(reply: &Reply, code: &ErrorCode, field: &str) {
    let fault = reply.error.as_ref().expect("a fault");
    assert_eq!((&fault.code, fault.field.as_deref()), (code, Some(field)), "{}", fault.message);
}

#[test]
fn files_are_listed_and_deleted_below_the_media_directory_only() {
    run(async {
        let plane = Plane::start().await;
        let agent = Agent::enroll(&plane.enrollment());
        std::fs::write(agent.media().join("a.mp4"), "abc").unwrap();
        std::fs::write(agent.dir.path().join("outside"), "x").unwrap();
        let mut device = plane.device().await;
        let listed = ask(&mut device, CommandKind::FilesList, json!({})).await;
        assert_eq!(listed.result["files"][0]["path"], "a.mp4");
        let reply = ask(&mut device, CommandKind::MediaDelete, json!({"path": "../outside"})).await;
        refused(&reply, &ErrorCode::INVALID_FIELD, "payload.path");
        assert!(ask(&mut device, CommandKind::MediaDelete, json!({"path": "a.mp4"})).await.success);
        let reply = ask(&mut device, CommandKind::MediaDelete, json!({"path": "a.mp4"})).await;
        refused(&reply, &ErrorCode::NOT_FOUND, "payload.path");
        assert!(agent.dir.path().join("outside").exists() && !agent.media().join("a.mp4").exists());
    });
}

#[test]
fn settings_are_kept_over_a_restart_and_secrets_are_not_shown() {
    run(async {
        let plane = Plane::start().await;
        let mut agent = Agent::enroll(&plane.enrollment());
        let mut device = plane.device().await;
        let set = json!({"values": {"scan_interval_s": 77, "media_dir": "/"}});
        let reply = ask(&mut device, CommandKind::ConfigSet, set).await;
        refused(&reply, &ErrorCode::INVALID_FIELD, "payload.values.media_dir");
        let set = json!({"values": {"scan_interval_s": 77, "log": "debug"}});
        assert!(ask(&mut device, CommandKind::ConfigSet, set).await.success);
        let shown = ask(&mut device, CommandKind::ConfigGet, json!({})).await;
        assert_eq!(shown.result["values"]["scan_interval_s"], 77);
        assert!(!format!("{shown:?}").contains("enr_onetime"));

        // restart_agent is a new program in the same process.
        let pid = agent.pid();
        assert!(
            ask(&mut device, CommandKind::PowerCommand, json!({"action": "restart_agent"})).await.success
        );
        drop(device);
        let mut device = plane.device().await;
        let shown = ask(&mut device, CommandKind::ConfigGet, json!({})).await;
        assert_eq!(
            (&shown.result["values"]["scan_interval_s"], &shown.result["values"]["log"]),
            (&json!(77), &json!("debug"))
        );
        assert_eq!(agent.pid(), pid);
        agent.signal(nix::sys::signal::Signal::SIGINT);
        assert_eq!(agent.ended().await.code(), Some(0));
    });
}

#[test]
fn capabilities_are_what_is_really_there() {
    run(async {
        let plane = Plane::start().await;
        let _agent = Agent::enroll(&plane.enrollment());
        let mut device = plane.device().await;
        let can = device.login.capabilities.clone().unwrap();
        for kind in [CommandKind::StreamStart, CommandKind::LogsGet, CommandKind::CommandCancel] {
            assert!(can.iter().any(|c| c == kind.as_str()), "{kind} is missing in {can:?}");
        }
        let switch = json!({"stream_id": "str_1", "source": {"mode": "test"}});
        for (kind, payload) in [
            (CommandKind::SourceSwitch, switch),
            (CommandKind::AgentUpdate, json!({"binary_url": "https://x/y", "sha256": "00"})),
        ] {
            assert!(!can.iter().any(|c| c == kind.as_str()), "{kind}");
            let reply = ask(&mut device, kind, payload).await;
            assert_eq!(reply.error.unwrap().code, ErrorCode::UNSUPPORTED);
        }
        let band = json!({"interface": "lo", "action": "band_lock", "value": 3});
        refused(
            &ask(&mut device, CommandKind::InterfaceCommand, band).await,
            &ErrorCode::UNSUPPORTED,
            "payload.action",
        );
    });
}

#[test]
fn logs_can_be_read() {
    run(async {
        let plane = Plane::start().await;
        let _agent = Agent::enroll(&plane.enrollment());
        let mut device = plane.device().await;
        let reply = ask(&mut device, CommandKind::LogsGet, json!({"lines": 50, "level": "info"})).await;
        let lines = reply.result["lines"].to_string();
        assert!(lines.contains("strata-agent starts") && !lines.contains("enr_onetime"), "{lines}");
        let reply = ask(&mut device, CommandKind::LogsGet, json!({"level": "loud"})).await;
        refused(&reply, &ErrorCode::INVALID_FIELD, "payload.level");
    });
}

#[test]
fn a_disabled_interface_is_reported_and_not_used() {
    run(async {
        let plane = Plane::start().await;
        let agent = Agent::enroll(&plane.enrollment());
        let mut device = plane.device().await;
        device.status(|s| s.network_interfaces.iter().any(|i| i.name == "lo")).await;
        let order = json!({"interface": "eth99", "action": "disable"});
        refused(
            &ask(&mut device, CommandKind::InterfaceCommand, order).await,
            &ErrorCode::NOT_FOUND,
            "payload.interface",
        );
        let order = json!({"interface": "lo", "action": "disable"});
        assert!(ask(&mut device, CommandKind::InterfaceCommand, order).await.success);
        device
            .status(|s| s.network_interfaces.iter().any(|i| i.name == "lo" && i.enabled == Some(false)))
            .await;
        let start = json!({
            "stream_id": "str_1", "source": {"mode": "test"}, "destinations": [],
            "bonding_config": {"version": 1, "links": [{"id": 0, "uri": "rist://127.0.0.1:2", "interface": "lo"}]},
        });
        let field = "payload.bonding_config.links[0].interface";
        refused(&ask(&mut device, CommandKind::StreamStart, start).await, &ErrorCode::INVALID_FIELD, field);
        assert!(std::fs::read_to_string(agent.state().join("settings.toml")).unwrap().contains("lo"));
        let order = json!({"interface": "lo", "action": "enable"});
        assert!(ask(&mut device, CommandKind::InterfaceCommand, order).await.success);
        let scan = ask(&mut device, CommandKind::InterfacesScan, json!({})).await;
        let all = scan.result["network_interfaces"].as_array().unwrap().clone();
        assert!(all.iter().all(|i| i["enabled"] == true), "{all:?}");
    });
}
