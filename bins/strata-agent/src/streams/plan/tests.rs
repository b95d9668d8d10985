use serde_json::{Value, json};
use strata_proto::control::{InterfaceState, InterfaceType};

use super::*;

fn start(change: impl FnOnce(&mut Value)) -> StreamStart {
    let mut value = json!({
        "stream_id": "str_1",
        "source": {"mode": "test"},
        "destinations": ["rist://127.0.0.1:15000", "rist://127.0.0.1:15002"],
        "bonding_config": {
            "version": 1,
            "links": [
                {"id": 0, "uri": "rist://127.0.0.1:15000", "interface": "eth0"},
                {"id": 1, "uri": "rist://127.0.0.1:15002?buffer=500"},
            ],
        },
    });
    change(&mut value);
    serde_json::from_value(value).unwrap()
}

fn try_plan(start: &StreamStart) -> Result<PipelineConfig, Fault> {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("clip.mp4"), "x").unwrap();
    let interface = |name: &str| NetworkInterface {
        name: name.to_owned(),
        ..serde_json::from_value(json!({"name": "", "type": "ethernet", "state": "connected"})).unwrap()
    };
    let interfaces = [interface("eth0"), interface("wwan0")];
    assert_eq!(
        (interfaces[0].kind, interfaces[0].state),
        (InterfaceType::Ethernet, InterfaceState::Connected)
    );
    let facts = Facts {
        media: &MediaDir::new(dir.path().to_owned()),
        interfaces: &interfaces,
        disabled: &BTreeSet::from(["wwan0".to_owned()]),
        stats_interval_ms: 1000,
        log: "info",
    };
    plan(start, &facts)
}

#[test]
fn a_good_start_is_a_plan() {
    let plan = try_plan(&start(|v| v["source"] = json!({"mode": "file", "path": "clip.mp4"}))).unwrap();
    assert!(plan.source.path.unwrap().ends_with("/clip.mp4"));
    assert_eq!((plan.latency_ms, plan.bonding.links.len()), (500, 2));
}

#[test]
fn without_a_bond_every_destination_is_a_link() {
    let plan = try_plan(&start(|v| {
        v.as_object_mut().unwrap().remove("bonding_config");
    }))
    .unwrap();
    let links: Vec<_> = plan.bonding.links.iter().map(|l| (l.id, l.uri.as_str())).collect();
    assert_eq!(links, [(0, "rist://127.0.0.1:15000"), (1, "rist://127.0.0.1:15002")]);
    assert_eq!((plan.latency_ms, plan.bonding.version), (1000, 1));
}

#[test]
fn every_refusal_names_its_field() {
    type Change = fn(&mut Value);
    let cases: [(&str, Change); 19] = [
        ("source.path", |v| v["source"] = json!({"mode": "file"})),
        ("source.path", |v| v["source"] = json!({"mode": "file", "path": "../../etc/passwd"})),
        ("source.path", |v| v["source"] = json!({"mode": "file", "path": "absent.mp4"})),
        ("source.device", |v| v["source"] = json!({"mode": "v4l2"})),
        ("source.device", |v| v["source"] = json!({"mode": "v4l2", "device": "/etc/passwd"})),
        ("source.device", |v| v["source"] = json!({"mode": "v4l2", "device": "/dev/null"})),
        ("source.device", |v| v["source"] = json!({"mode": "v4l2", "device": "/dev/video99"})),
        ("source.uri", |v| v["source"] = json!({"mode": "rtsp", "uri": "file:///etc/passwd"})),
        ("encoder.bitrate_kbps", |v| v["encoder"] = json!({"bitrate_kbps": 1})),
        ("encoder.tune", |v| v["encoder"] = json!({"tune": "loud"})),
        ("destinations[1]", |v| v["destinations"][1] = json!("rist://127.0.0.1:15001")),
        ("destinations[0]", |v| v["destinations"][0] = json!("udp://127.0.0.1:15000")),
        ("bonding_config.version", |v| v["bonding_config"]["version"] = json!(2)),
        ("bonding_config.links", |v| v["bonding_config"]["links"] = json!([])),
        ("bonding_config.links[1].id", |v| v["bonding_config"]["links"][1]["id"] = json!(0)),
        ("bonding_config.links[1].uri", |v| {
            v["bonding_config"]["links"][1]["uri"] = json!("rist://h:2?buffer=1")
        }),
        ("bonding_config.links[0].interface", |v| {
            v["bonding_config"]["links"][0]["interface"] = json!("eth9")
        }),
        ("bonding_config.links[0].interface", |v| {
            v["bonding_config"]["links"][0]["interface"] = json!("wwan0")
        }),
        ("bonding_config.scheduler.discard_deadline_ms", |v| {
            v["bonding_config"]["scheduler"] = json!({"discard_deadline_ms": 0});
        }),
    ];
    for (field, change) in cases {
        let fault = try_plan(&start(change)).unwrap_err();
        assert_eq!(fault.field.as_deref(), Some(format!("payload.{field}").as_str()), "{}", fault.message);
    }
}

#[test]
fn an_update_is_checked_as_a_whole() {
    let check = |value: Value| check_update(&serde_json::from_value(value).unwrap());
    check(json!({"scheduler": {"discard_deadline_ms": 300}, "encoder": {"bitrate_kbps": 4000}})).unwrap();
    let fault = check(json!({"scheduler": {"discard_deadline_ms": 300}, "encoder": {"bitrate_kbps": 4}}));
    assert_eq!(fault.unwrap_err().field.as_deref(), Some("payload.encoder.bitrate_kbps"));
    let fault = check(json!({"scheduler": {"redundancy_max_packet_bytes": 70000}})).unwrap_err();
    assert_eq!(fault.field.as_deref(), Some("payload.scheduler.redundancy_max_packet_bytes"));
}

/// What a stream.start and a config.update with this scheduler answer.
fn answers(scheduler: &Value) -> [Result<(), Fault>; 2] {
    let start = start(|v| v["bonding_config"]["scheduler"] = scheduler.clone());
    let update = serde_json::from_value(json!({"scheduler": scheduler})).unwrap();
    [try_plan(&start).map(drop), check_update(&update)]
}

#[test]
fn every_part_of_the_scheduler_is_taken_at_the_start_and_later() {
    for scheduler in [
        json!({"storm_enabled": true, "discard_deadline_ms": 200, "redundancy_enabled": true, "critical_broadcast": true}),
        json!({"discard_deadline_ms": 300, "redundancy_spare_ratio": 0.4}),
        json!({"failover_suspect_ms": 300, "failover_readmit_ms": 0}),
        json!({"storm_enabled": false, "redundancy_enabled": false, "critical_broadcast": false}),
        json!({"redundancy_spare_ratio": 0, "redundancy_max_packet_bytes": 0, "redundancy_target_links": 1}),
        json!({"storm_enabled": true, "storm_reliable_weight": 0.7, "storm_unreliable_max_age_ms": 100}),
    ] {
        for answer in answers(&scheduler) {
            answer.unwrap();
        }
    }
    for (name, value) in [
        ("storm_unreliable_max_age_ms", json!(0)),
        ("discard_deadline_ms", json!(60_001)),
        ("redundancy_max_packet_bytes", json!(65_536)),
        ("failover_suspect_ms", json!(49)),
        ("failover_readmit_ms", json!(60_001)),
    ] {
        let fields = answers(&json!({name: value})).map(|answer| answer.unwrap_err().field.unwrap());
        let expected = ["payload.bonding_config.scheduler", "payload.scheduler"];
        assert_eq!(fields, expected.map(|place| format!("{place}.{name}")));
    }
}
