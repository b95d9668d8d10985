use std::collections::BTreeSet;

use serde_json::{Value, json};
use strata_agent_protocol::interfaces::Rules;
use strata_proto::control::{InterfaceState, InterfaceType, LinkPriority, NetworkInterface};

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

fn interface(name: &str) -> NetworkInterface {
    let found = json!({"name": name, "type": "ethernet", "state": "connected"});
    serde_json::from_value(found).unwrap()
}

/// `eth0`, `wwan0`, which is disabled, and `wwan1`, which was unplugged while a stream uses it.
fn with_interfaces<T>(check: impl FnOnce(Interfaces<'_>) -> T) -> T {
    let present = [interface("eth0"), interface("wwan0")];
    assert_eq!((present[0].kind, present[0].state), (InterfaceType::Ethernet, InterfaceState::Connected));
    let rules = Rules { disabled: BTreeSet::from(["wwan0".to_owned()]), ..Rules::default() };
    let in_use = BTreeSet::from(["wwan1".to_owned()]);
    check(Interfaces { present: &present, rules: &rules, in_use: &in_use })
}

fn try_plan(start: &StreamStart) -> Result<PipelineConfig, Fault> {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("clip.mp4"), "x").unwrap();
    let media = MediaDir::new(dir.path().to_owned());
    with_interfaces(|interfaces| {
        plan(start, &Facts { media: &media, interfaces, stats_interval_ms: 1000, log: "info" })
    })
}

fn try_update(update: Value) -> Result<ConfigUpdate, Fault> {
    let update = serde_json::from_value(update).unwrap();
    with_interfaces(|interfaces| check_update(&update, &interfaces))
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
    let cases: [(&str, Change); 22] = [
        ("source.path", |v| v["source"] = json!({"mode": "file"})),
        ("source.path", |v| v["source"] = json!({"mode": "file", "path": "../../etc/passwd"})),
        ("source.path", |v| v["source"] = json!({"mode": "file", "path": "absent.mp4"})),
        ("source.device", |v| v["source"] = json!({"mode": "v4l2"})),
        ("source.device", |v| v["source"] = json!({"mode": "v4l2", "device": "/etc/passwd"})),
        ("source.device", |v| v["source"] = json!({"mode": "v4l2", "device": "/dev/null"})),
        ("source.device", |v| v["source"] = json!({"mode": "v4l2", "device": "/dev/video99"})),
        ("source.uri", |v| v["source"] = json!({"mode": "rtsp", "uri": "file:///etc/passwd"})),
        ("encoder.bitrate_kbps", |v| v["encoder"] = json!({"bitrate_kbps": 1})),
        ("encoder.min_bitrate_kbps", |v| {
            v["encoder"] = json!({"bitrate_kbps": 500, "min_bitrate_kbps": 501})
        }),
        ("encoder.tune", |v| v["encoder"] = json!({"tune": "loud"})),
        ("destinations[1]", |v| v["destinations"][1] = json!("rist://127.0.0.1:15001")),
        ("destinations[0]", |v| v["destinations"][0] = json!("udp://127.0.0.1:15000")),
        ("destinations[1]", |v| v["destinations"][1] = json!("rist://127.0.0.1:15000?colour=red")),
        ("bonding_config.version", |v| v["bonding_config"]["version"] = json!(2)),
        ("bonding_config.links", |v| v["bonding_config"]["links"] = json!([])),
        ("bonding_config.links", |v| {
            v["destinations"][0] = json!("rist://127.0.0.1:15000?secret=topsecret");
        }),
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
    let check = try_update;
    check(json!({"scheduler": {"discard_deadline_ms": 300}, "encoder": {"bitrate_kbps": 4000}})).unwrap();
    let fault = check(json!({"scheduler": {"discard_deadline_ms": 300}, "encoder": {"bitrate_kbps": 4}}));
    assert_eq!(fault.unwrap_err().field.as_deref(), Some("payload.encoder.bitrate_kbps"));
    let fault = check(json!({"scheduler": {"redundancy_max_packet_bytes": 70000}})).unwrap_err();
    assert_eq!(fault.field.as_deref(), Some("payload.scheduler.redundancy_max_packet_bytes"));
}

/// What a stream.start and a config.update with this scheduler answer.
fn answers(scheduler: &Value) -> [Result<(), Fault>; 2] {
    let start = start(|v| v["bonding_config"]["scheduler"] = scheduler.clone());
    [try_plan(&start).map(drop), try_update(json!({"scheduler": scheduler})).map(drop)]
}

#[test]
fn every_part_of_the_scheduler_is_taken_at_the_start_and_later() {
    for scheduler in [
        json!({"storm_enabled": true, "discard_deadline_ms": 200, "redundancy_enabled": true, "critical_broadcast": true}),
        json!({"discard_deadline_ms": 300, "redundancy_spare_ratio": 0.4}),
        json!({"failover_suspect_ms": 300, "failover_readmit_ms": 0}),
        json!({"max_ahead_ms": 1000, "critical_broadcast": true, "critical_target_links": 3}),
        json!({"fec_enabled": false, "fec_max_ratio": 1}),
        json!({"mode": "economy"}),
        json!({"mode": "balanced", "redundancy_spare_ratio": 0.3}),
        json!({"mode": "robust"}),
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
        ("max_ahead_ms", json!(0)),
        ("max_ahead_ms", json!(1001)),
        ("redundancy_max_packet_bytes", json!(65_536)),
        ("failover_suspect_ms", json!(49)),
        ("failover_readmit_ms", json!(60_001)),
    ] {
        let fields = answers(&json!({name: value})).map(|answer| answer.unwrap_err().field.unwrap());
        let expected = ["payload.bonding_config.scheduler", "payload.scheduler"];
        assert_eq!(fields, expected.map(|place| format!("{place}.{name}")));
    }
}

const PLACE: &str = "rist://127.0.0.1:15002";

fn updated_links(links: &Value) -> Result<Vec<BondingLink>, Fault> {
    try_update(json!({"scheduler": {"discard_deadline_ms": 300}, "links": links})).map(|u| u.links.unwrap())
}

#[test]
fn what_a_link_s_address_says_is_the_same_as_its_fields() {
    let uri = format!("{PLACE}?weight=5&backup=1&metered&cap=500&interface=eth0&buffer=400");
    let expected = BondingLink {
        id: 1,
        uri: uri.clone(),
        interface: Some("eth0".to_owned()),
        priority: Some(LinkPriority::Backup),
        weight: Some(5),
        metered: Some(true),
        cap_mb: Some(500),
    };
    let said = json!({"id": 1, "uri": uri});
    let both = serde_json::to_value(&expected).unwrap();
    for link in [said, both] {
        assert_eq!(updated_links(&json!([link])).unwrap(), std::slice::from_ref(&expected));
        let start = try_plan(&start(|v| v["bonding_config"]["links"] = json!([link]))).unwrap();
        assert_eq!((start.bonding.links, start.latency_ms), (vec![expected.clone()], 400));
    }
    let start = try_plan(&start(|v| {
        v.as_object_mut().unwrap().remove("bonding_config");
        v["destinations"] = json!([PLACE, uri]);
    }));
    assert_eq!(start.unwrap().bonding.links[1], expected);
}

#[test]
fn a_refused_link_names_its_field_at_the_start_and_later() {
    for (field, change) in [
        ("[1].weight", json!({"weight": 4, "uri": format!("{PLACE}?weight=5")})),
        ("[1].priority", json!({"priority": "normal", "uri": format!("{PLACE}?backup=1")})),
        ("[1].priority", json!({"priority": "backup", "uri": format!("{PLACE}?backup=0")})),
        ("[1].metered", json!({"metered": false, "uri": format!("{PLACE}?metered=1")})),
        ("[1].cap_mb", json!({"cap_mb": 1, "uri": format!("{PLACE}?cap=2")})),
        ("[1].interface", json!({"interface": "eth0", "uri": format!("{PLACE}?interface=wwan0")})),
        ("[1].interface", json!({"uri": format!("{PLACE}?interface=eth9")})),
        ("[1].interface", json!({"interface": "wwan0"})),
        ("[1].uri", json!({"uri": format!("{PLACE}?weight=1000001")})),
        ("[1].uri", json!({"uri": format!("{PLACE}?backup=2")})),
        ("[1].uri", json!({"uri": format!("{PLACE}?metered=yes")})),
        ("[1].uri", json!({"uri": format!("{PLACE}?cap=0")})),
        ("[1].uri", json!({"uri": "rist://127.0.0.1:15003"})),
        ("[1].id", json!({"id": 0})),
    ] {
        let mut link = json!({"id": 1, "uri": PLACE});
        link.as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
        let links = json!([{"id": 0, "uri": "rist://127.0.0.1:15000"}, link]);
        let fault = updated_links(&links).unwrap_err();
        assert_eq!(fault.field, Some(format!("payload.links{field}")), "{}", fault.message);
        let fault = try_plan(&start(|v| v["bonding_config"]["links"] = links)).unwrap_err();
        assert_eq!(fault.field, Some(format!("payload.bonding_config.links{field}")), "{}", fault.message);
    }
    let fault = updated_links(&json!([])).unwrap_err();
    assert_eq!(fault.field.as_deref(), Some("payload.links"));
}

#[test]
fn a_link_of_the_running_stream_may_stay_while_its_interface_is_away() {
    let links = json!([{"id": 0, "uri": PLACE, "interface": "wwan1"}]);
    updated_links(&links).unwrap();
    let fault = updated_links(&json!([{"id": 0, "uri": PLACE, "interface": "wwan2"}])).unwrap_err();
    assert_eq!(fault.code, ErrorCode::NOT_FOUND);
}

#[test]
fn what_a_running_stream_has_in_common_stays() {
    let link = |id: u32, query: &str| json!({"id": id, "uri": format!("{PLACE}{query}")});
    let secret = "?secret=topsecret&aes-type=128&username=me&password=topsecret&cname=van";
    let running = try_plan(&start(|v| v["bonding_config"]["links"] = json!([link(0, secret), link(1, "")])));
    let running = running.unwrap();
    let change = |links: Value| {
        let update = try_update(json!({"links": links})).unwrap();
        check_change(&running, &update)
    };
    change(json!([link(1, ""), link(2, secret)])).unwrap();
    change(json!([link(5, &format!("{secret}&weight=5"))])).unwrap();
    for (links, field, words) in [
        (json!([link(0, "")]), "payload.links[0].uri", "another secret"),
        (
            json!([link(1, ""), link(0, &secret.replace("128", "256"))]),
            "payload.links[1].uri",
            "another secret",
        ),
        (
            json!([link(0, "?secret=topsecret&aes-type=128&cname=van")]),
            "payload.links[0].uri",
            "another username",
        ),
        (json!([link(0, &secret.replace("van", "bus"))]), "payload.links[0].uri", "another cname"),
    ] {
        let fault = change(links).unwrap_err();
        assert_eq!(fault.field.as_deref(), Some(field), "{}", fault.message);
        assert!(
            fault.message.starts_with(words) && !fault.message.contains("topsecret"),
            "{}",
            fault.message
        );
    }
}

#[test]
fn what_changes_of_the_encoder_goes_with_what_does_not() {
    let running =
        try_plan(&start(|v| v["encoder"] = json!({"bitrate_kbps": 2000, "min_bitrate_kbps": 1000}))).unwrap();
    let change = |encoder: Value| {
        try_update(json!({"encoder": encoder})).and_then(|update| check_change(&running, &update))
    };
    change(json!({"adaptive": false, "ramp_percent": 50})).unwrap();
    change(json!({"bitrate_kbps": 1000})).unwrap();
    change(json!({"bitrate_kbps": 800, "min_bitrate_kbps": 800})).unwrap();
    for wrong in [
        json!({"bitrate_kbps": 999}),
        json!({"min_bitrate_kbps": 2001}),
        json!({"bitrate_kbps": 800, "min_bitrate_kbps": 801}),
    ] {
        let fault = change(wrong).unwrap_err();
        assert_eq!(fault.field.as_deref(), Some("payload.encoder.min_bitrate_kbps"), "{}", fault.message);
    }
}
