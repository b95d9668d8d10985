//! Links of a running stream, which come and go without a gap.

use std::net::SocketAddr;
use std::time::Duration;

use serde_json::{Value, json};
use strata_media::net::{self, ReceiverMonitor};
use strata_proto::control::{CommandKind, DeviceStatus, LinkState, LinkStats, Reply, StreamStats};

use crate::namespaces::{Far, own_network, readdress, unaddress, unplug};
use crate::plane::{Device, Plane};
use crate::process::Agent;
use crate::run;
use crate::stream::{ask, stats};

/// A receiver with three ports that takes all that comes; what it counts.
fn receiver() -> ReceiverMonitor {
    let any = ([127, 0, 0, 1], 0).into();
    let mut config = net::ReceiverConfig::new(vec![any; 3]);
    config.latency = LATENCY;
    let (mut received, driver) = net::receiver(config).unwrap();
    let monitor = received.monitor();
    tokio::spawn(driver.run());
    tokio::spawn(async move { while received.recv().await.is_some() {} });
    monitor
}

fn link(id: u32, to: SocketAddr, more: Value) -> Value {
    let mut link = json!({"id": id, "uri": format!("rist://{to}?buffer={}", LATENCY.as_millis())});
    link.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    link
}

async fn update(device: &mut Device, links: Value) -> Reply {
    ask(device, CommandKind::ConfigUpdate, json!({"links": links})).await
}

fn ids(stats: &StreamStats) -> Vec<u32> {
    stats.links.iter().map(|link| link.id).collect()
}

#[test]
fn links_are_added_changed_removed_and_replaced_without_a_gap() {
    run(async {
        let (plane, receiver) = (Plane::start().await, receiver());
        let to = |i: usize| receiver.local_addrs()[i];
        let agent = Agent::enroll(&plane.enrollment());
        let mut device = plane.device().await;
        let start = json!({
            "stream_id": "str_1", "source": {"mode": "test", "resolution": "320x240", "framerate": 15},
            "encoder": {"bitrate_kbps": 300}, "destinations": [],
            "bonding_config": {"version": 1, "links": [link(0, to(0), json!({}))]},
        });
        assert_eq!(ask(&mut device, CommandKind::StreamStart, start).await, Reply::ok());

        let costs = json!({"metered": true, "cap_mb": 100});
        let three = json!([
            link(0, to(0), json!({"priority": "backup"})),
            link(1, to(1), json!({"weight": 5})),
            link(2, to(2), costs),
        ]);
        assert_eq!(update(&mut device, three).await, Reply::ok());
        stats(&mut device, |s| ids(s) == [0, 1, 2] && s.links[1].sent_bytes > 0).await;
        let bond = std::fs::read_to_string(agent.state().join("run/str_1.toml")).unwrap();
        assert!(bond.contains("priority = \"backup\"") && bond.contains("cap_mb = 100"), "{bond}");

        let bad = json!([link(1, to(1), json!({})), link(1, to(0), json!({}))]);
        let fault = update(&mut device, bad).await.error.unwrap();
        assert_eq!(fault.field.as_deref(), Some("payload.links[1].id"));
        assert_eq!(ids(&stats(&mut device, |_| true).await), [0, 1, 2], "nothing of it applies");

        assert_eq!(update(&mut device, json!([link(1, to(1), json!({}))])).await, Reply::ok());
        stats(&mut device, |s| ids(s) == [1]).await;
        assert_eq!(update(&mut device, json!([link(9, to(2), json!({}))])).await, Reply::ok());
        stats(&mut device, |s| ids(s) == [9] && s.links[0].sent_bytes > 0).await;

        nothing_is_missing(&mut device, &receiver).await;
    });
}

/// Waits until all that has come is played out: no packet was lost, and every port had some.
async fn nothing_is_missing(device: &mut Device, receiver: &ReceiverMonitor) {
    let came = receiver.stats();
    let packets: u64 = came.paths.iter().map(|path| path.packets).sum();
    let wanted = packets - came.duplicate_packets;
    let played = || receiver.stats().delivered_packets + receiver.stats().lost_packets;
    while played() < wanted {
        stats(device, |_| true).await;
    }
    let played = receiver.stats();
    assert!(wanted > 0 && played.paths.iter().all(|path| path.packets > 0), "{played:?}");
    assert_eq!((played.lost_packets, played.restarts), (0, 0));
}

fn answers(link: &LinkStats) -> bool {
    !matches!(link.state, LinkState::Probe | LinkState::Dead)
}

/// Interfaces of its own, in a network namespace: one is unplugged and comes back with another address, the other one is
/// disabled and enabled again.
#[test]
fn interfaces_come_and_go_without_a_gap() {
    if !own_network("links::interfaces_come_and_go_without_a_gap") {
        return;
    }
    run(async {
        let far = Far::start(2, LATENCY);
        far.plug(0, 1);
        far.plug(1, 1);
        let plane = Plane::start().await;
        let _agent = Agent::enroll(&plane.enrollment());
        let mut device = plane.device().await;
        let near = |link: u8, more: Value| {
            let mut more = more;
            more["interface"] = json!(format!("near{link}"));
            self::link(link.into(), far.addr(link), more)
        };
        let there = |s: &DeviceStatus, name: &str| s.network_interfaces.iter().any(|i| i.name == name);
        device.status(|s| there(s, "near0") && there(s, "near1")).await;
        let start = json!({
            "stream_id": "str_1", "source": {"mode": "test", "resolution": "320x240", "framerate": 15},
            "encoder": {"bitrate_kbps": 300}, "destinations": [],
            "bonding_config": {"version": 1, "links": [near(0, json!({})), near(1, json!({}))]},
        });
        assert_eq!(ask(&mut device, CommandKind::StreamStart, start).await, Reply::ok());
        stats(&mut device, |s| s.links.iter().all(answers)).await;

        unplug(0);
        device.status(|s| !there(s, "near0")).await;
        let dead = stats(&mut device, |s| s.links[0].error.is_some()).await;
        assert_eq!((dead.links[0].state, &dead.links[1].error), (LinkState::Dead, &None), "{dead:?}");
        let both = json!([near(0, json!({"weight": 3})), near(1, json!({}))]);
        assert_eq!(update(&mut device, both).await, Reply::ok(), "a link may stay while it is unplugged");

        far.plug(0, 7);
        device.status(|s| there(s, "near0")).await;
        let back = stats(&mut device, |s| answers(&s.links[0])).await;
        assert_eq!(back.links[0].error, None);

        let order = |action| json!({"interface": "near1", "action": action});
        assert_eq!(ask(&mut device, CommandKind::InterfaceCommand, order("disable")).await, Reply::ok());
        // What was sent before the link was given up; then the counter stands still.
        stats(&mut device, |_| true).await;
        let silent = stats(&mut device, |_| true).await.links[1].sent_bytes;
        assert_eq!(stats(&mut device, |_| true).await.links[1].sent_bytes, silent);
        assert_eq!(ask(&mut device, CommandKind::InterfaceCommand, order("enable")).await, Reply::ok());
        stats(&mut device, |s| answers(&s.links[1])).await;
        nothing_is_missing(&mut device, &far.monitor).await;
    });
}

/// Interfaces that stay up, one at a time without an address: a link by interface goes on from the next address, whatever it is;
/// one from an address says that it is not there until it is.
#[test]
fn addresses_change_without_a_gap() {
    if !own_network("links::addresses_change_without_a_gap") {
        return;
    }
    run(async {
        let far = Far::start(3, LATENCY);
        (0..3).for_each(|link| far.plug(link, 1));
        let plane = Plane::start().await;
        let _agent = Agent::enroll(&plane.enrollment());
        let mut device = plane.device().await;
        let by = |link: u8| json!({"interface": format!("near{link}")});
        let mut from = link(1, far.addr(1), json!({}));
        from["uri"] = json!(format!("{}&source=10.9.1.1", from["uri"].as_str().unwrap()));
        let start = json!({
            "stream_id": "str_1", "source": {"mode": "test", "resolution": "320x240", "framerate": 15},
            "encoder": {"bitrate_kbps": 300}, "destinations": [],
            "bonding_config": {"version": 1, "links": [link(0, far.addr(0), by(0)), from, link(2, far.addr(2), by(2))]},
        });
        assert_eq!(ask(&mut device, CommandKind::StreamStart, start).await, Reply::ok());
        stats(&mut device, |s| s.links.iter().all(answers)).await;

        unaddress(0, 1);
        let dead =
            stats(&mut device, |s| s.links[0].state == LinkState::Dead && s.links[0].error.is_some()).await;
        assert_eq!(dead.links[0].error.as_deref(), Some("interface near0: it has no IPv4 address"));
        assert!(dead.links[1..].iter().all(answers), "{dead:?}");
        readdress(0, 7);
        let back = stats(&mut device, |s| answers(&s.links[0])).await;
        assert_eq!(back.links[0].error, None);

        unaddress(1, 1);
        let dead =
            stats(&mut device, |s| s.links[1].state == LinkState::Dead && s.links[1].error.is_some()).await;
        let reason = dead.links[1].error.as_deref().unwrap();
        assert!(reason.starts_with("source 10.9.1.1: "), "{reason}");
        readdress(1, 7);
        let still = stats(&mut device, |_| true).await;
        assert_eq!(still.links[1].error.as_deref(), Some(reason), "another one is not what was asked for");
        readdress(1, 1);
        let back = stats(&mut device, |s| answers(&s.links[1])).await;
        assert_eq!(back.links[1].error, None);
        nothing_is_missing(&mut device, &far.monitor).await;
    });
}

const LATENCY: Duration = Duration::from_secs(4);
