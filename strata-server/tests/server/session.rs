//! Agents' connections: the fence, revocation, close codes, commands.

use std::time::Duration;

use futures_util::SinkExt as _;
use serde_json::json;
use strata_proto::control::{Command, CommandKind, FilesList, InterfacesScan, Presence, StreamStop};
use strata_proto::id::SenderId;
use strata_server::fleet::CommandError;
use tungstenite::Message;

use crate::place::{Body, Place, about, within};

#[tokio::test]
async fn a_revoked_sender_is_disconnected_at_once_and_stays_out() {
    let place = Place::new().await;
    let admin = place.admin().await;
    let mut agent = place.agent(&admin).await;
    let path = format!("/api/senders/{}", agent.sender);
    let (status, _) = place.call("DELETE", &path, Some(&admin.token), Body::None).await;
    assert_eq!(status, 204);
    let id: SenderId = agent.sender.parse().unwrap();
    assert!(!place.server.fleet().is_online(&id));
    assert_eq!(agent.wire.closed().await, 1008);

    let mut wire = place.dial("/agent/ws").await;
    let login = json!({ "sender_id": agent.sender, "device_key": agent.device_key });
    wire.say("1", "auth.login", None, &about(login)).await;
    assert_eq!(wire.hear().await["payload"]["error"]["code"], "revoked");
    assert_eq!(wire.closed().await, 1008);
    let (status, _) = place.call("GET", &path, Some(&admin.token), Body::None).await;
    assert_eq!(status, 404);
}

#[tokio::test]
async fn an_enrollment_token_of_a_revoked_sender_is_worth_nothing() {
    let place = Place::new().await;
    let admin = place.admin().await;
    let created = place.create_sender(&admin).await;
    let path = format!("/api/senders/{}", created.sender.id);
    place.call("DELETE", &path, Some(&admin.token), Body::None).await;
    let mut wire = place.dial("/agent/ws").await;
    let login = json!({ "enrollment_token": created.enrollment_token });
    wire.say("1", "auth.login", None, &about(login)).await;
    assert_eq!(wire.hear().await["payload"]["success"], false);
    assert_eq!(wire.closed().await, 1008);
}

#[tokio::test]
async fn a_new_login_replaces_the_old_socket_whose_late_close_changes_nothing() {
    let place = Place::new().await;
    let admin = place.admin().await;
    let mut old = place.agent(&admin).await;
    let mut new = place.agent_again(&old).await;
    assert_eq!(old.wire.closed().await, 4001);
    // The old socket closes after the new login, and then dies.
    drop(old.wire.socket.close(None).await);
    drop(old.wire);
    new.lives().await;
    let id: SenderId = new.sender.parse().unwrap();
    assert_eq!(place.server.fleet().presence(&id).presence, Presence::Online);
    let request = place.server.fleet().request(&id, InterfacesScan {}, Duration::from_secs(20));
    let answer = async {
        let asked = new.wire.hear().await;
        new.say(asked["id"].as_str().unwrap(), "interfaces.scan.response", &json!({ "success": true })).await;
    };
    assert!(within(async { tokio::join!(request, answer) }).await.0.unwrap().success);
}

#[tokio::test]
async fn a_message_that_is_too_big_is_closed_with_1009() {
    let place = Place::with(|config| config.session.max_message_bytes = 4096).await;
    let admin = place.admin().await;
    let mut agent = place.agent(&admin).await;
    agent.lives().await;
    // More than socket buffers hold: the close frame must come although the message is not read.
    let (mut sink, mut stream) = futures_util::StreamExt::split(agent.wire.socket);
    let send = async {
        let _ = sink.send(Message::text("x".repeat(8 * 1024 * 1024))).await;
    };
    let hear = async {
        while let Some(Ok(message)) = futures_util::StreamExt::next(&mut stream).await {
            if let Message::Close(Some(frame)) = message {
                return u16::from(frame.code);
            }
        }
        0
    };
    let ((), code) = within(async { tokio::join!(send, hear) }).await;
    assert_eq!(code, 1009);
}

#[tokio::test]
async fn a_message_at_the_limit_is_served() {
    let place = Place::with(|config| config.session.max_message_bytes = 4096).await;
    let admin = place.admin().await;
    let mut agent = place.agent(&admin).await;
    agent.wire.text(&"x".repeat(4096)).await;
    assert_eq!(agent.wire.hear().await["payload"]["code"], "malformed_json");
    agent.lives().await;
}

#[tokio::test]
async fn what_is_too_big_for_a_stranger_is_served_after_the_login() {
    let place = Place::new().await;
    let admin = place.admin().await;
    let text = "x".repeat(20 * 1024);
    let mut stranger = place.dial("/agent/ws").await;
    stranger.text(&text).await;
    assert_eq!(stranger.closed().await, 1009);
    // In many small messages it is no less.
    let mut stranger = place.dial("/agent/ws").await;
    for _ in 0..200 {
        if stranger.socket.send(Message::Ping(vec![0; 120].into())).await.is_err() {
            break;
        }
    }
    assert_eq!(stranger.closed().await, 1009);

    let mut agent = place.agent(&admin).await;
    agent.wire.text(&text).await;
    assert_eq!(agent.wire.hear().await["payload"]["code"], "malformed_json");
    agent.lives().await;
}

#[tokio::test]
async fn strangers_of_one_address_take_neither_more_than_their_share_nor_an_agents_place() {
    let place = Place::with(|config| {
        config.session.max_connections = 2;
        config.session.max_pending_per_address = 2;
    })
    .await;
    let admin = place.admin().await;
    let mut agent = place.agent(&admin).await;
    let (mut first, _second) = (place.dial("/agent/ws").await, place.dial("/agent/ws").await);
    assert_eq!(place.refused("/agent/ws").await, 429);
    agent.lives().await;
    // Who logs in is a stranger no longer.
    let created = place.create_sender(&admin).await;
    let login = json!({ "enrollment_token": created.enrollment_token });
    first.say("1", "auth.login", None, &about(login)).await;
    assert_eq!(first.hear().await["payload"]["success"], true);
    // Both places of agents are taken now.
    assert_eq!(place.refused("/agent/ws").await, 503);
    agent.lives().await;
}

#[tokio::test]
async fn a_login_that_finds_every_place_taken_meanwhile_is_told_to_try_again() {
    let place = Place::with(|config| config.session.max_connections = 1).await;
    let admin = place.admin().await;
    let mut late = place.dial("/agent/ws").await;
    let mut agent = place.agent(&admin).await;
    let created = place.create_sender(&admin).await;
    let login = json!({ "enrollment_token": created.enrollment_token });
    late.say("1", "auth.login", None, &about(login)).await;
    assert_eq!(late.closed().await, 1013);
    agent.lives().await;
}

#[tokio::test]
async fn strangers_of_all_addresses_are_limited_too() {
    let place = Place::with(|config| config.session.max_pending = 1).await;
    let _stranger = place.dial("/agent/ws").await;
    assert_eq!(place.refused("/agent/ws").await, 503);
}

#[tokio::test]
async fn binary_is_closed_with_1003_and_a_foreign_first_message_with_1008() {
    let place = Place::new().await;
    let admin = place.admin().await;
    let mut agent = place.agent(&admin).await;
    agent.wire.socket.send(Message::binary(vec![1, 2, 3])).await.unwrap();
    assert_eq!(agent.wire.closed().await, 1003);

    let mut wire = place.dial("/agent/ws").await;
    wire.say("1", "device.status", None, &crate::place::status()).await;
    let answer = wire.hear().await;
    assert_eq!((&answer["id"], &answer["payload"]["code"]), (&json!("1"), &json!("login_required")));
    assert_eq!(wire.closed().await, 1008);
}

#[tokio::test]
async fn commands_reach_the_agent_and_their_replies_the_caller() {
    let place = Place::new().await;
    let admin = place.admin().await;
    let mut agent = place.agent(&admin).await;
    let id: SenderId = agent.sender.parse().unwrap();
    let fleet = place.server.fleet();
    let stop = StreamStop { stream_id: "str_1".parse().unwrap(), reason: None };
    let request = fleet.request(&id, stop, Duration::from_secs(20));
    let answer = async {
        let asked = agent.wire.hear().await;
        assert_eq!(
            (&asked["type"], &asked["payload"]["stream_id"]),
            (&json!("stream.stop"), &json!("str_1"))
        );
        let fault =
            json!({ "success": false, "error": { "code": "not_found", "message": "no such stream" } });
        agent.say("foreign", "stream.stop.response", &json!({ "success": true })).await;
        agent.say(asked["id"].as_str().unwrap(), "stream.stop.response", &fault).await;
    };
    let (reply, ()) = within(async { tokio::join!(request, answer) }).await;
    assert_eq!(reply.unwrap().error.unwrap().code.as_str(), "not_found");

    // A connection that ends while a command waits.
    let request = fleet.request(&id, InterfacesScan {}, Duration::from_secs(20));
    let leave = async {
        agent.wire.hear().await;
        drop(agent.wire);
    };
    let (reply, ()) = within(async { tokio::join!(request, leave) }).await;
    assert_eq!(reply, Err(CommandError::Gone));
    assert_eq!(
        fleet.request(&id, InterfacesScan {}, Duration::from_secs(20)).await,
        Err(CommandError::Offline)
    );
}

#[tokio::test]
async fn a_command_the_agent_does_not_list_is_refused_before_it_is_sent() {
    let place = Place::new().await;
    let admin = place.admin().await;
    let created = place.create_sender(&admin).await;
    let mut wire = place.dial("/agent/ws").await;
    let login =
        json!({ "enrollment_token": created.enrollment_token, "capabilities": ["stream.start", "new.one"] });
    wire.say("1", "auth.login", None, &about(login)).await;
    assert_eq!(wire.hear().await["payload"]["success"], true);
    let fleet = place.server.fleet();
    let refused =
        fleet.request(&created.sender.id, Command::from(FilesList::default()), Duration::ZERO).await;
    assert_eq!(refused, Err(CommandError::Unsupported(CommandKind::FilesList)));
    let listed = fleet.capabilities(&created.sender.id).unwrap();
    assert_eq!(listed, ["stream.start", "new.one"]);
}

#[tokio::test]
async fn a_command_without_an_answer_ends_at_its_deadline() {
    let place = Place::new().await;
    let admin = place.admin().await;
    let agent = place.agent(&admin).await;
    let id: SenderId = agent.sender.parse().unwrap();
    let request = place.server.fleet().request(&id, InterfacesScan {}, Duration::from_millis(50));
    assert_eq!(request.await, Err(CommandError::Timeout));
}

#[tokio::test]
async fn a_journal_of_ended_streams_is_stored_whole() {
    let place = Place::new().await;
    let admin = place.admin().await;
    let mut agent = place.agent(&admin).await;
    let count = 300;
    for n in 0..count {
        let ended = json!({ "stream_id": format!("str_{n}"), "reason": "user_stop", "duration_s": 1,
                            "total_bytes": 1 });
        agent.say(&format!("e{n}"), "stream.ended", &ended).await;
    }
    let mut answered = std::collections::BTreeSet::new();
    for _ in 0..count {
        let answer = agent.wire.hear().await;
        assert_eq!(answer["payload"]["success"], true, "{answer}");
        answered.insert(answer["id"].as_str().unwrap().to_owned());
    }
    assert_eq!(answered.len(), count);
}

#[tokio::test]
async fn a_shutdown_tells_agents_to_go() {
    let place = Place::new().await;
    let admin = place.admin().await;
    let mut agent = place.agent(&admin).await;
    let (code, ()) = tokio::join!(agent.wire.closed(), place.server.shutdown());
    assert_eq!(code, 1001);
}
