//! A running stream is changed by `POST /api/senders/{id}/stream/update`.

use reqwest::StatusCode;
use serde_json::{Value, json};
use strata_proto::control::{Command, ConfigUpdate, LinkPriority, StreamLife};

use crate::agent::{Agent, Manner, start_body};
use crate::started;
use crate::world::World;

fn two_links() -> Value {
    json!({"source": {"mode": "test"}, "links": [{}, {}], "latency_ms": 100})
}

async fn told(agent: &mut Agent) -> ConfigUpdate {
    match agent.command().await {
        Command::ConfigUpdate(update) => update,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_change_goes_to_the_device_as_it_is_asked_for_and_links_to_the_streams_ports() {
    let world = World::new(|_| {}).await;
    let mut agent = world.agent(Manner::Willing).await;
    let (status, started) = world.start_stream(&agent.sender, two_links()).await;
    assert_eq!(status, StatusCode::CREATED, "{started}");
    assert!(matches!(agent.command().await, Command::StreamStart(_)));

    let example = json!({"scheduler": {"discard_deadline_ms": 300, "redundancy_spare_ratio": 0.4}});
    let (status, view) = world.update_stream(&agent.sender, example.clone()).await;
    assert_eq!((status, &view["id"]), (StatusCode::OK, &started["id"]), "{view}");
    assert_eq!(serde_json::to_value(told(&mut agent).await).unwrap(), example);

    let beyond = json!({"scheduler": {"max_ahead_ms": 20, "critical_target_links": 3}});
    assert_eq!(world.update_stream(&agent.sender, beyond.clone()).await.0, StatusCode::OK);
    assert_eq!(serde_json::to_value(told(&mut agent).await).unwrap(), beyond);

    let costs = json!({"id": 1, "interface": "wwan1", "priority": "backup", "weight": 5, "metered": true, "cap_mb": 9});
    let body = json!({"encoder": {"bitrate_kbps": 900}, "links": [costs, {"id": 0}]});
    assert_eq!(world.update_stream(&agent.sender, body).await.0, StatusCode::OK);
    let update = told(&mut agent).await;
    assert_eq!(update.encoder.unwrap().bitrate_kbps, Some(900));
    let links = update.links.unwrap();
    let uri = |port| format!("rist://{}:{port}?buffer=100", world.config.bind);
    assert_eq!((links[0].id, links[0].uri.as_str()), (1, uri(15_002).as_str()));
    assert_eq!((links[1].id, links[1].uri.as_str()), (0, uri(15_000).as_str()));
    let cost = (links[0].priority, links[0].weight, links[0].metered, links[0].cap_mb);
    assert_eq!(cost, (Some(LinkPriority::Backup), Some(5), Some(true), Some(9)));
    assert_eq!((links[0].interface.as_deref(), &links[1].interface), (Some("wwan1"), &None));

    let newest = world.store().await.audit_entries(1).await.unwrap().remove(0);
    assert_eq!((newest.action.as_str(), newest.target.as_deref()), ("stream.update", started["id"].as_str()));
}

#[tokio::test]
async fn what_cannot_be_is_refused_as_a_whole_and_names_its_field() {
    let world = World::new(|_| {}).await;
    let mut agent = world.agent(Manner::Willing).await;
    world.start_stream(&agent.sender, two_links()).await;
    assert!(matches!(agent.command().await, Command::StreamStart(_)));
    for (body, field) in [
        (json!({}), "."),
        (json!({"scheduler": {}}), "scheduler"),
        (json!({"scheduler": {"discard_dedline_ms": 300}}), "scheduler"),
        (json!({"scheduler": {"redundancy_spare_ratio": 2}}), "scheduler.redundancy_spare_ratio"),
        (json!({"encoder": {}}), "encoder.bitrate_kbps"),
        (json!({"encoder": {"bitrate_kbps": 49}}), "encoder.bitrate_kbps"),
        (json!({"encoder": {"bitrate_kbps": 200_001}}), "encoder.bitrate_kbps"),
        (json!({"links": []}), "links"),
        (json!({"links": [{"id": 0}, {"id": 1}, {"id": 2}]}), "links"),
        (json!({"links": [{"id": 0}, {"id": 2}]}), "links[1].id"),
        (json!({"links": [{"id": 1}, {"id": 1}]}), "links[1].id"),
        (json!({"links": [{"id": 1, "interface": ""}]}), "links[0].interface"),
        (json!({"links": [{"id": 1, "priority": "first"}]}), "links[0].priority"),
        (json!({"encoder": {"bitrate_kbps": 900}, "links": [{"id": 4_294_967_295u32}]}), "links[0].id"),
    ] {
        let (status, problem) = world.update_stream(&agent.sender, body.clone()).await;
        let got = (status, &problem["field"]);
        assert_eq!(got, (StatusCode::UNPROCESSABLE_ENTITY, &json!(field)), "{body}: {problem}");
    }
    assert!(agent.commands.try_recv().is_err(), "the device was not asked");
}

#[tokio::test]
async fn what_the_device_answers_is_the_answer() {
    let world = World::new(|config| config.command_timeout_s = 1).await;
    let (wrong, gone) = (StatusCode::UNPROCESSABLE_ENTITY, StatusCode::BAD_GATEWAY);
    let interface = "links[0].interface";
    for (manner, status, code, field) in [
        (Manner::Set("not_found", Some("payload.links[0].interface")), wrong, "not_found", json!(interface)),
        (Manner::Set("not_found", None), StatusCode::CONFLICT, "not_streaming", Value::Null),
        (Manner::Set("invalid_field", Some("payload.links[0].uri")), gone, "invalid_field", Value::Null),
        (Manner::Set("rate_limited", None), StatusCode::TOO_MANY_REQUESTS, "rate_limited", Value::Null),
        (Manner::Set("pipeline_failed", None), gone, "pipeline_failed", Value::Null),
        (Manner::Deaf, StatusCode::GATEWAY_TIMEOUT, "timeout", Value::Null),
        (Manner::Timid, gone, "sender_gone", Value::Null),
    ] {
        let (agent, mut live) = (world.agent(manner).await, world.live().await);
        world.start_stream(&agent.sender, start_body()).await;
        let (got, problem) = world.update_stream(&agent.sender, json!({"links": [{"id": 0}]})).await;
        let got = (got, &problem["code"], &problem["field"]);
        assert_eq!(got, (status, &json!(code), &field), "{problem}");
        assert_ne!(world.store().await.audit_entries(1).await.unwrap()[0].action, "stream.update");
        let agent = agent.again(&world.agent_url(), Manner::Willing).await;
        world.stop_stream(&agent.sender).await;
        live.state(StreamLife::Ended).await;
    }
}

#[tokio::test]
async fn without_a_stream_or_without_its_device_nothing_is_changed() {
    let world = World::new(|_| {}).await;
    let (mut agent, mut live) = (world.agent(Manner::Willing).await, world.live().await);
    let body = json!({"encoder": {"bitrate_kbps": 900}});
    let (status, problem) = world.update_stream(&agent.sender, body.clone()).await;
    assert_eq!((status, &problem["code"]), (StatusCode::CONFLICT, &json!("not_streaming")));
    started(&world, &mut agent, &mut live).await;
    let agent = agent.hang_up();
    live.until("stream.state", |view: &Value| view["observed"] == false).await;
    let (status, problem) = world.update_stream(&agent.sender, body).await;
    assert_eq!((status, &problem["code"]), (StatusCode::CONFLICT, &json!("sender_offline")));
}
