//! `config.update` of a running stream: as a whole, or not at all.

use serde_json::{Value, json};
use strata_media::net;
use strata_proto::control::{CommandKind, ErrorCode, Reply, StreamStats};

use crate::plane::Plane;
use crate::process::Agent;
use crate::run;
use crate::stream::{ask, stats};

/// The same, with `more` instead of what `good` says there.
fn with(good: &Value, part: &str, more: &Value) -> Value {
    let mut update = good.clone();
    match (&mut update[part], more) {
        (Value::Object(fields), Value::Object(more)) => fields.extend(more.clone()),
        (Value::Array(items), more) => items.push(more.clone()),
        (other, _) => panic!("{other}"),
    }
    update
}

#[test]
fn an_update_that_cannot_be_says_why_and_changes_nothing() {
    run(async {
        let plane = Plane::start().await;
        let any = ([127, 0, 0, 1], 0).into();
        let (mut received, driver) = net::receiver(net::ReceiverConfig::new(vec![any; 3])).unwrap();
        tokio::spawn(driver.run());
        let monitor = received.monitor();
        tokio::spawn(async move { while received.recv().await.is_some() {} });
        let agent = Agent::enroll(&plane.enrollment());
        let mut device = plane.device().await;
        let links: Vec<_> = monitor.local_addrs().iter().zip(0u32..).collect();
        let link = |id: usize| json!({"id": links[id].1, "uri": format!("rist://{}", links[id].0)});
        let start = json!({
            "stream_id": "str_1", "source": {"mode": "test", "resolution": "320x240", "framerate": 15},
            "encoder": {"bitrate_kbps": 300}, "destinations": [],
            "bonding_config": {"version": 1, "links": [link(0), link(1)]},
        });
        assert_eq!(ask(&mut device, CommandKind::StreamStart, start).await, Reply::ok());
        let state =
            |s: &StreamStats| (s.target_bitrate_kbps, s.links.iter().map(|l| l.id).collect::<Vec<_>>());
        let before = (Some(300), vec![0, 1]);
        stats(&mut device, |s| state(s) == before && s.links.iter().all(|link| link.sent_bytes > 0)).await;
        let kept = || std::fs::read_to_string(agent.state().join("run/str_1.toml")).unwrap();
        let first = kept();

        let good = json!({
            "encoder": {"bitrate_kbps": 200}, "links": [link(0), link(1), link(2)],
            "scheduler": {"redundancy_enabled": true, "redundancy_spare_ratio": 1.0, "max_ahead_ms": 20, "critical_target_links": 3},
        });
        let twice = link(1);
        for (part, more, field, reason) in [
            (
                "scheduler",
                json!({"storm_unreliable_max_age_ms": 0}),
                "scheduler.storm_unreliable_max_age_ms",
                "1 to 60000",
            ),
            ("scheduler", json!({"max_ahead_ms": 1001}), "scheduler.max_ahead_ms", "1 to 1000"),
            ("encoder", json!({"min_bitrate_kbps": 201}), "encoder.min_bitrate_kbps", "200"),
            ("links", twice, "links[3].id", "another link"),
            ("links", json!({"id": 3, "uri": "rist://127.0.0.1:0"}), "links[3].uri", "port"),
        ] {
            let update = with(&good, part, &more);
            let fault = ask(&mut device, CommandKind::ConfigUpdate, update).await.error.unwrap();
            assert_eq!(fault.field, Some(format!("payload.{field}")), "{}", fault.message);
            assert_eq!(fault.code, ErrorCode::INVALID_FIELD, "{}", fault.message);
            assert!(fault.message.contains(reason), "{}", fault.message);
            // The first of these may have been on its way.
            stats(&mut device, |_| true).await;
            assert_eq!(state(&stats(&mut device, |_| true).await), before, "{field}");
            assert_eq!(kept(), first, "{field}");
        }
        // Most packets would come twice.
        let seen = monitor.stats();
        assert!(seen.duplicate_packets * 2 < seen.delivered_packets, "{seen:?}");

        assert_eq!(ask(&mut device, CommandKind::ConfigUpdate, good).await, Reply::ok());
        stats(&mut device, |s| state(s) == (Some(200), vec![0, 1, 2])).await;
        for said in ["max_ahead_ms = 20", "critical_target_links = 3"] {
            assert!(kept().contains(said) && !first.contains(said), "{}", kept());
        }
        // What a link is known by: it has answered, packets arrive, and no queue has shown what it carries.
        let known = |s: &StreamStats| {
            s.links.iter().all(|l| {
                l.rtt_min_ms.is_some_and(|rtt| rtt > 0.0 && rtt <= l.rtt_ms)
                    && l.delivery_bps.is_some_and(|bps| bps > 0)
                    && l.capacity_confidence.is_some_and(|share| (0.0..1.0).contains(&share))
            })
        };
        stats(&mut device, known).await;
        let stop = json!({"stream_id": "str_1", "reason": "user_request"});
        assert_eq!(ask(&mut device, CommandKind::StreamStop, stop).await, Reply::ok());
    });
}
