//! Streams from the outside: REST, the live WebSocket, an agent's WebSocket, receiver processes.
//!
//! The receiver is a stand-in that holds its ports and counts packets; the end-to-end tests use the
//! real programs. Every wait is for an event.

#![expect(clippy::disallowed_types, reason = "tests over real loopback sockets")]
#![expect(clippy::unwrap_used, reason = "a helper that fails fails its test")]

mod agent;
mod update;
mod world;

use std::net::UdpSocket;

use agent::{Agent, Manner, start_body};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use strata_proto::control::{Command, EndReason, StreamLife, StreamView};
use strata_proto::id::StreamId;
use world::{Live, World};

async fn started(world: &World, agent: &mut Agent, live: &mut Live) -> StreamView {
    let (status, view) = world.start_stream(&agent.sender, start_body()).await;
    assert_eq!(status, StatusCode::CREATED, "{view}");
    assert!(matches!(agent.command().await, Command::StreamStart(_)));
    live.state(StreamLife::Live).await
}

/// The pool has two pairs: both can be had only when nothing is leaked.
async fn all_ports_are_free(world: &World, agent: &Agent) {
    let body = json!({"source": {"mode": "test"}, "links": [{}, {}]});
    let (status, view) = world.start_stream(&agent.sender, body).await;
    assert_eq!(status, StatusCode::CREATED, "{view}");
}

#[tokio::test]
async fn a_stream_lives_from_start_to_stop() {
    let world = World::new(|_| {}).await;
    let (mut agent, mut live) = (world.agent(Manner::Willing).await, world.live().await);
    let (status, started) = world.start_stream(&agent.sender, start_body()).await;
    assert_eq!(status, StatusCode::CREATED, "{started}");
    assert!(matches!(agent.command().await, Command::StreamStart(_)));
    // Its first packet makes the file, and then the stream live.
    let made = |news: &Value| news["part"] == "record" && news["path"] == started["recording"];
    live.until("stream.recording", made).await;
    let view = live.state(StreamLife::Live).await;
    assert_eq!((view.ports.as_slice(), view.observed), (&[15_000][..], true));
    live.until("stream.receiver_stats", |stats: &Value| stats["delivered_packets"] != 0).await;
    let (_, listed) = world.call(Method::GET, "/api/streams", None).await;
    assert_eq!(listed[0]["id"], json!(view.id));
    let shown = world.stream(&view.id).await;
    assert!(shown.receiver_stats.unwrap().delivered_packets > 0);
    assert!(std::path::Path::new(&shown.recording.unwrap()).exists());
    assert!(world.log(&view.id).exists());
    let metrics = world.metrics().await;
    for line in ["strata_streams{state=\"live\"} 1", "strata_receivers 1"] {
        assert!(metrics.lines().any(|found| found == line), "{line}: {metrics}");
    }
    let delivered = "strata_receiver_packets_total{outcome=\"delivered\"} ";
    let delivered = metrics.lines().find_map(|line| line.strip_prefix(delivered)).unwrap();
    assert!(delivered.parse::<u64>().unwrap() > 0);
    assert!(!metrics.contains(view.id.as_str()), "no series per stream: {metrics}");

    let (status, stopping) = world.stop_stream(&agent.sender).await;
    assert_eq!((status, &stopping["state"]), (StatusCode::ACCEPTED, &json!("stopping")));
    assert!(matches!(agent.command().await, Command::StreamStop(_)));
    let over = live.state(StreamLife::Ended).await;
    assert_eq!((over.end_reason, over.error), (Some(EndReason::UserStop), None));
    assert!(!world.log(&view.id).exists(), "nothing is to be found out about a clean end");
    let counted = world.stream(&view.id).await.receiver_stats.expect("the last statistics are kept");
    assert!(counted.delivered_packets > 0 && counted.links[0].port == 15_000);
    assert!(world.metrics().await.contains("strata_receivers 0"));
    assert_eq!(world.call(Method::GET, "/api/streams", None).await.1, json!([]));
    assert_eq!(world.call(Method::GET, "/api/streams?all=true", None).await.1[0]["state"], "ended");
    assert_eq!(world.stop_stream(&agent.sender).await.1["code"], "not_streaming");
    all_ports_are_free(&world, &agent).await;
}

#[tokio::test]
async fn running_streams_and_their_history_come_in_pages_newest_first() {
    let world = World::new(|_| {}).await;
    let mut ids = Vec::new();
    for _ in 0..2 {
        let agent = world.agent(Manner::Willing).await;
        let (status, view) = world.start_stream(&agent.sender, start_body()).await;
        assert_eq!(status, StatusCode::CREATED, "{view}");
        ids.push(view["id"].as_str().unwrap().to_owned());
    }
    ids.sort_unstable();
    for query in ["", "all=true&"] {
        let page = async |rest: &str| {
            let path = format!("/api/streams?{query}{rest}");
            let listed = world.call(Method::GET, &path, None).await.1;
            listed.as_array().unwrap().iter().map(|view| view["id"].as_str().unwrap().to_owned()).collect()
        };
        let (first, second): (Vec<String>, Vec<String>) =
            (page("limit=1").await, page(&format!("limit=1&after={}", ids[1])).await);
        assert_eq!((first, second), (vec![ids[1].clone()], vec![ids[0].clone()]), "{query}");
        let after_the_last: Vec<String> = page(&format!("after={}", ids[0])).await;
        assert!(after_the_last.is_empty());
    }
}

#[tokio::test]
async fn of_two_starts_at_once_one_wins() {
    let world = World::new(|_| {}).await;
    let agent = world.agent(Manner::Willing).await;
    let (one, two) = tokio::join!(
        world.start_stream(&agent.sender, start_body()),
        world.start_stream(&agent.sender, start_body())
    );
    let (won, lost) = if one.0 == StatusCode::CREATED { (one, two) } else { (two, one) };
    assert_eq!((won.0, lost.0), (StatusCode::CREATED, StatusCode::CONFLICT), "{} {}", won.1, lost.1);
    assert_eq!(lost.1["code"], "stream_active");
    let (status, third) = world.start_stream(&agent.sender, start_body()).await;
    assert_eq!((status, &third["stream_id"]), (StatusCode::CONFLICT, &won.1["id"]));
}

#[tokio::test]
async fn a_start_that_fails_says_where_and_leaves_nothing() {
    let world = World::new(|config| config.command_timeout_s = 1).await;
    for (manner, status, code) in [
        (Manner::Refusing, StatusCode::CONFLICT, "busy_streaming"),
        (Manner::Silent, StatusCode::GATEWAY_TIMEOUT, "timeout"),
        (Manner::Leaving, StatusCode::BAD_GATEWAY, "sender_gone"),
    ] {
        let agent = world.agent(manner).await;
        let mut live = world.live().await;
        let body = json!({"source": {"mode": "test"}, "links": [{}, {}]});
        let (got, problem) = world.start_stream(&agent.sender, body).await;
        assert_eq!((got, &problem["code"]), (status, &json!(code)), "{problem}");
        let failed = live.state(StreamLife::Failed).await;
        assert!(failed.error.unwrap().starts_with("starting the sender: "));
        let agent = agent.again(&world.agent_url(), Manner::Willing).await;
        all_ports_are_free(&world, &agent).await;
        world.stop_stream(&agent.sender).await;
        live.state(StreamLife::Ended).await;
    }
}

#[tokio::test]
async fn what_the_device_does_not_take_is_the_callers_fault_in_the_callers_words() {
    let world = World::new(|_| {}).await;
    let (wrong, broken) = (StatusCode::UNPROCESSABLE_ENTITY, StatusCode::BAD_GATEWAY);
    for (code, field, status, shown) in [
        ("not_found", "payload.bonding_config.links[0].interface", wrong, json!("links[0].interface")),
        ("invalid_field", "payload.encoder.tune", wrong, json!("encoder.tune")),
        ("invalid_field", "payload.source.path", wrong, json!("source.path")),
        ("missing_field", "payload.source.device", wrong, json!("source.device")),
        ("unsupported", "payload.bonding_config.scheduler.fec", wrong, json!("scheduler.fec")),
        ("invalid_field", "payload.destinations[0]", broken, Value::Null),
        ("invalid_field", "payload.bonding_config.links[0].uri", broken, Value::Null),
        ("pipeline_failed", "payload.source", broken, json!("source")),
    ] {
        let agent = world.agent(Manner::Faulting(code, field)).await;
        let (got, problem) = world.start_stream(&agent.sender, start_body()).await;
        assert_eq!((got, &problem["code"], &problem["field"]), (status, &json!(code), &shown), "{problem}");
    }
}

#[tokio::test]
async fn a_start_whose_caller_goes_away_is_finished_and_audited() {
    let world = World::new(|_| {}).await;
    let mut agent = world.agent(Manner::Late).await;
    let sender = agent.sender.clone();
    {
        let start = std::pin::pin!(world.start_stream(&sender, start_body()));
        let asked = std::pin::pin!(agent.command());
        let either = futures_util::future::select(start, asked).await;
        assert!(matches!(either, futures_util::future::Either::Right((Command::StreamStart(_), _))));
    }
    agent.accept();
    let store = world.store().await;
    let entry = loop {
        let newest = store.audit_entries(1).await.unwrap().remove(0);
        if newest.action == "stream.start" {
            break newest;
        }
    };
    assert!(world.stream(&entry.target.unwrap().parse().unwrap()).await.ended_at.is_none());
}

#[tokio::test]
async fn an_offline_sender_and_a_bad_request_start_nothing() {
    let world = World::new(|_| {}).await;
    let agent = world.agent(Manner::Willing).await;
    let (status, problem) =
        world.start_stream(&agent.sender, json!({"source": {"mode": "v4l2"}, "links": [{}]})).await;
    assert_eq!((status, &problem["field"]), (StatusCode::UNPROCESSABLE_ENTITY, &json!("source.device")));
    let (status, problem) = world.start_stream(&agent.sender, json!({"source": {"mode": 3}})).await;
    assert_eq!((status, &problem["field"]), (StatusCode::UNPROCESSABLE_ENTITY, &json!("source.mode")));

    let (_, created) = world.call(Method::POST, "/api/senders", Some(json!({"name": "never there"}))).await;
    let never = created["sender"]["id"].as_str().unwrap().parse().unwrap();
    let (status, problem) = world.start_stream(&never, start_body()).await;
    assert_eq!((status, &problem["code"]), (StatusCode::CONFLICT, &json!("sender_offline")));
    let unknown = "snd_unknown".parse().unwrap();
    assert_eq!(world.start_stream(&unknown, start_body()).await.0, StatusCode::NOT_FOUND);
    assert_eq!(world.call(Method::GET, "/api/streams?all=true", None).await.1, json!([]));
}

#[tokio::test]
async fn a_receiver_that_does_not_start_is_reported() {
    let world = World::new(|config| config.receiver = Some("/bin/false".into())).await;
    let mut agent = world.agent(Manner::Willing).await;
    let (status, problem) = world.start_stream(&agent.sender, start_body()).await;
    assert_eq!((status, &problem["code"]), (StatusCode::SERVICE_UNAVAILABLE, &json!("receiver_failed")));
    assert!(problem["detail"].as_str().unwrap().contains("exit status: 1"), "{problem}");
    assert!(agent.commands.try_recv().is_err(), "the agent was not asked");
}

#[tokio::test]
async fn ports_that_others_hold_are_skipped_and_exhaustion_is_said() {
    let world = World::new(|_| {}).await;
    let agent = world.agent(Manner::Willing).await;
    let rtcp_of_the_first = UdpSocket::bind((world.config.bind, 15_001)).unwrap();
    let two = json!({"source": {"mode": "test"}, "links": [{}, {}]});
    let (status, problem) = world.start_stream(&agent.sender, two).await;
    assert_eq!((status, &problem["code"]), (StatusCode::SERVICE_UNAVAILABLE, &json!("ports_exhausted")));
    let (status, view) = world.start_stream(&agent.sender, start_body()).await;
    assert_eq!((status, &view["ports"]), (StatusCode::CREATED, &json!([15_002])), "{view}");
    drop(rtcp_of_the_first);
}

#[tokio::test]
async fn a_receiver_that_crashes_fails_its_stream_and_stops_the_agent() {
    let world = World::new(|_| {}).await;
    let (mut agent, mut live) = (world.agent(Manner::Willing).await, world.live().await);
    started(&world, &mut agent, &mut live).await;
    agent.media().crash_receiver();
    let failed = live.state(StreamLife::Failed).await;
    assert!(failed.error.unwrap().starts_with("receiver: "));
    assert!(world.log(&failed.id).exists());
    live.until("alert", |alert: &Value| alert["code"] == "stream_failed").await;
    assert!(matches!(agent.command().await, Command::StreamStop(_)));
    assert_eq!(std::fs::read_dir(world.run_dir()).unwrap().filter(is_socket).count(), 0);
    all_ports_are_free(&world, &agent).await;
}

#[tokio::test]
async fn a_killed_control_plane_finds_its_receiver_again() {
    let mut world = World::new(|_| {}).await;
    let (mut agent, mut live) = (world.agent(Manner::Willing).await, world.live().await);
    let before = started(&world, &mut agent, &mut live).await;
    world.kill();
    // What a receiver that died meanwhile leaves.
    drop(std::os::unix::net::UnixListener::bind(world.run_dir().join("str_dead.sock")).unwrap());
    world.start().await;
    let adopted = world.stream(&before.id).await;
    assert_eq!((adopted.state, adopted.observed, &adopted.ports), (StreamLife::Live, false, &before.ports));
    assert_eq!(std::fs::read_dir(world.run_dir()).unwrap().filter(is_socket).count(), 1);
    assert_eq!(world.presence(&agent.sender).await, json!("unobserved"));

    let mut live = world.live().await;
    let mut agent = agent.again(&world.agent_url(), Manner::Willing).await;
    agent.report(&[&before.id]);
    live.until("stream.state", |view: &StreamView| view.observed).await;
    assert_eq!(world.presence(&agent.sender).await, json!("online"));
    live.until("stream.receiver_stats", |stats: &Value| stats["delivered_packets"] != 0).await;
    let other = world.agent(Manner::Willing).await;
    let (status, _) = world.start_stream(&other.sender, start_body()).await;
    assert_eq!(status, StatusCode::CREATED, "the other pair is free");
    assert_eq!(world.stop_stream(&agent.sender).await.0, StatusCode::ACCEPTED);
    assert!(matches!(agent.command().await, Command::StreamStop(_)));
    live.until("stream.state", |v: &StreamView| v.id == before.id && v.state == StreamLife::Ended).await;
}

#[tokio::test]
async fn a_sender_that_does_not_come_back_after_a_restart_is_offline_when_its_stream_is_over() {
    let mut world = World::new(|config| config.unobserved_grace_s = 1).await;
    let (mut agent, mut live) = (world.agent(Manner::Willing).await, world.live().await);
    started(&world, &mut agent, &mut live).await;
    world.kill();
    world.start().await;
    let mut live = world.live().await;
    assert_eq!(world.presence(&agent.sender).await, json!("unobserved"));
    agent.media().stop();
    live.state(StreamLife::Ended).await;
    // It is told with the end of the stream, just after it.
    while world.presence(&agent.sender).await != json!("offline") {}
}

#[tokio::test]
async fn a_stream_whose_receiver_is_gone_after_a_restart_has_failed() {
    let mut world = World::new(|_| {}).await;
    let (mut agent, mut live) = (world.agent(Manner::Willing).await, world.live().await);
    let before = started(&world, &mut agent, &mut live).await;
    let socket = world.run_dir().join(format!("{}.sock", before.id));
    world.kill();
    agent.media().crash_receiver();
    // The process is gone when nobody answers at its socket any more.
    while std::os::unix::net::UnixStream::connect(&socket).is_ok() {
        tokio::task::yield_now().await;
    }
    world.start().await;
    let failed = world.stream(&before.id).await;
    assert_eq!((failed.state, failed.end_reason), (StreamLife::Failed, Some(EndReason::Error)));
    let mut agent = agent.again(&world.agent_url(), Manner::Willing).await;
    agent.report(&[&before.id]);
    let Command::StreamStop(stop) = agent.command().await else { panic!() };
    assert_eq!(stop.stream_id, before.id);
}

#[tokio::test]
async fn a_stream_nobody_knows_is_stopped() {
    let world = World::new(|_| {}).await;
    let mut agent = world.agent(Manner::Willing).await;
    let unknown: StreamId = "str_unknown".parse().unwrap();
    agent.report(&[&unknown]);
    let Command::StreamStop(stop) = agent.command().await else { panic!() };
    assert_eq!(stop.stream_id, unknown);
}

#[tokio::test]
async fn a_stream_presumed_dead_is_taken_up_again_when_its_agent_reports_it() {
    let world = World::new(|config| config.unobserved_grace_s = 1).await;
    let (mut agent, mut live) = (world.agent(Manner::Willing).await, world.live().await);
    let before = started(&world, &mut agent, &mut live).await;
    let (media, url) = (agent.media(), world.agent_url());
    let hung_up = agent.hang_up();
    media.stop();
    live.until("stream.state", |view: &StreamView| !view.observed).await;
    let over = live.state(StreamLife::Ended).await;
    assert_eq!(over.end_reason, Some(EndReason::Timeout));

    let agent = hung_up.again(&url, Manner::Willing).await;
    media.start(&format!("{}:{}", world.config.bind, before.ports[0]));
    agent.report(&[&before.id]);
    let revived = live.state(StreamLife::Live).await;
    assert_eq!((&revived.id, &revived.ports, revived.observed), (&before.id, &before.ports, true));
    assert_ne!(revived.recording, before.recording, "the first part is kept");
}

/// A stream that is forwarded, live.
async fn forwarded(world: &World, agent: &mut Agent, live: &mut Live) -> StreamView {
    let mut body = start_body();
    body["platform_dest"] = json!("srt://live.example.com:9000");
    let (status, view) = world.start_stream(&agent.sender, body).await;
    assert_eq!(status, StatusCode::CREATED, "{view}");
    assert!(matches!(agent.command().await, Command::StreamStart(_)));
    live_and_forwarded(live).await
}

/// Waits, in either order, for the stream to be live and for the stand-in's answer to whoever tells it where to.
async fn live_and_forwarded(live: &mut Live) -> StreamView {
    let (mut view, mut told) = (None, false);
    loop {
        let (event, data) = live.event().await;
        told |= event == "alert" && data["code"] == "receiver_error";
        if event == "stream.state" && data["state"] == json!(StreamLife::Live) {
            view = Some(serde_json::from_value(data).unwrap());
        }
        if let (Some(view), true) = (&view, told) {
            return StreamView::clone(view);
        }
    }
}

#[tokio::test]
async fn a_stream_that_is_taken_up_again_is_forwarded_again() {
    let world = World::new(|config| config.unobserved_grace_s = 1).await;
    let (mut agent, mut live) = (world.agent(Manner::Willing).await, world.live().await);
    let before = forwarded(&world, &mut agent, &mut live).await;
    let (media, url) = (agent.media(), world.agent_url());
    let hung_up = agent.hang_up();
    media.stop();
    live.state(StreamLife::Ended).await;

    let agent = hung_up.again(&url, Manner::Willing).await;
    media.start(&format!("{}:{}", world.config.bind, before.ports[0]));
    agent.report(&[&before.id]);
    assert_eq!(live_and_forwarded(&mut live).await.id, before.id);
}

#[tokio::test]
async fn that_a_stream_is_not_forwarded_again_after_a_restart_is_said() {
    let mut world = World::new(|config| config.unobserved_grace_s = 1).await;
    let (mut agent, mut live) = (world.agent(Manner::Willing).await, world.live().await);
    let before = forwarded(&world, &mut agent, &mut live).await;
    world.kill();
    world.start().await;
    let mut live = world.live().await;
    let (media, hung_up) = (agent.media(), agent.hang_up());
    media.stop();
    live.state(StreamLife::Ended).await;

    let agent = hung_up.again(&world.agent_url(), Manner::Willing).await;
    media.start(&format!("{}:{}", world.config.bind, before.ports[0]));
    agent.report(&[&before.id]);
    let lost = live.until("alert", |alert: &Value| alert["code"] == "forward_lost").await;
    assert_eq!(lost["sender_id"], json!(agent.sender));
    assert_eq!(live.state(StreamLife::Live).await.id, before.id);
}

#[tokio::test]
async fn a_stream_that_its_agent_no_longer_runs_fails() {
    let world = World::new(|_| {}).await;
    let (mut agent, mut live) = (world.agent(Manner::Willing).await, world.live().await);
    started(&world, &mut agent, &mut live).await;
    // Reports that come at once count as one: the device says it again and again.
    let failed = loop {
        agent.report(&[]);
        let (event, data) = live.event().await;
        if event == "stream.state" {
            let view: StreamView = serde_json::from_value(data).unwrap();
            if view.state == StreamLife::Failed {
                break view;
            }
        }
    };
    assert_eq!(failed.error.as_deref(), Some("the sender no longer runs the stream"));
}

#[tokio::test]
async fn a_stream_without_media_does_not_become_live() {
    let world = World::new(|config| config.starting_grace_s = 1).await;
    let (mut agent, mut live) = (world.agent(Manner::Willing).await, world.live().await);
    agent.media().block();
    world.start_stream(&agent.sender, start_body()).await;
    assert!(matches!(agent.command().await, Command::StreamStart(_)));
    let failed = live.state(StreamLife::Failed).await;
    assert_eq!((failed.end_reason, failed.live_at), (Some(EndReason::Timeout), None));
    assert!(matches!(agent.command().await, Command::StreamStop(_)));
}

fn is_socket(entry: &std::io::Result<std::fs::DirEntry>) -> bool {
    entry.as_ref().is_ok_and(|entry| entry.path().extension().is_some_and(|extension| extension == "sock"))
}
