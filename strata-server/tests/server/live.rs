//! `/api/ws`: snapshots, events, ownership, lag.

use futures_util::SinkExt as _;
use serde_json::{Value, json};
use strata_proto::control::{Role, Topic};

use tungstenite::Message;

use crate::place::{Place, User, Wire, now, status};

async fn listen(place: &Place, user: &User, topics: &[&str]) -> Wire {
    let mut wire = place.dial("/api/ws").await;
    wire.text(&json!({ "token": user.token, "subscribe": topics }).to_string()).await;
    assert_eq!(wire.hear().await["type"], "ready");
    wire
}

#[tokio::test]
async fn a_snapshot_comes_first_and_then_events_with_growing_numbers() {
    let place = Place::new().await;
    let admin = place.admin().await;
    let created = place.create_sender(&admin).await;
    let topic = format!("sender:{}", created.sender.id);
    let mut wire = listen(&place, &admin, &[&topic]).await;
    let snapshot = wire.hear().await;
    assert_eq!((&snapshot["type"], &snapshot["topic"]), (&json!("snapshot"), &json!(topic)));
    assert_eq!(snapshot["data"][0]["presence"], "offline");

    let mut agent = place.enroll(created.enrollment_token.expose()).await;
    agent.lives().await;
    drop(agent);
    let mut last = snapshot["seq"].as_u64().unwrap();
    for (event, key, value) in [
        ("sender.presence", "presence", json!("online")),
        ("sender.status", "uptime_s", status()["uptime_s"].clone()),
        ("sender.presence", "presence", json!("offline")),
    ] {
        let heard = wire.hear().await;
        assert_eq!((&heard["type"], &heard["event"]), (&json!("event"), &json!(event)), "{heard}");
        assert_eq!((&heard["topic"], &heard["data"][key]), (&json!(topic), &value), "{heard}");
        let seq = heard["seq"].as_u64().unwrap();
        assert!(seq > last);
        last = seq;
    }
}

#[tokio::test]
async fn nobody_hears_of_other_accounts() {
    let place = Place::new().await;
    let one = place.user("one", Role::Operator, None).await;
    let two = place.user("two", Role::Operator, None).await;
    let admin = place.admin().await;
    let theirs = place.create_sender(&two).await;
    let mut wire = listen(&place, &one, &[&format!("sender:{}", theirs.sender.id), "sender:*"]).await;
    let refused = wire.hear().await;
    assert_eq!((&refused["type"], &refused["code"]), (&json!("error"), &json!("not_found")), "{refused}");
    assert_eq!(refused["field"], "subscribe[0]");
    assert_eq!(wire.hear().await["data"], json!([]));
    let mut all = listen(&place, &admin, &["sender:*"]).await;
    assert_eq!(all.hear().await["data"][0]["id"], theirs.sender.id.as_str());

    let foreign = place.enroll(theirs.enrollment_token.expose()).await;
    assert_eq!(all.hear().await["topic"], format!("sender:{}", foreign.sender));
    let own = place.agent(&one).await;
    let heard = wire.hear().await;
    assert_eq!(heard["topic"], format!("sender:{}", own.sender));
    assert_eq!(all.hear().await["topic"], heard["topic"]);
}

#[tokio::test]
async fn unsubscribing_ends_a_topics_events() {
    let place = Place::new().await;
    let admin = place.admin().await;
    let mut wire = listen(&place, &admin, &["sender:*", "stream:*"]).await;
    wire.hear().await;
    assert_eq!(wire.hear().await["topic"], "stream:*");
    wire.text(r#"{"unsubscribe":["sender:*"],"subscribe":["stream:*"]}"#).await;
    wire.hear().await;
    let _agent = place.agent(&admin).await;
    publish(&place, &admin, "stream:str_1", 1);
    assert_eq!(wire.hear().await["topic"], "stream:str_1");
}

#[tokio::test]
async fn a_slow_client_is_told_what_it_missed_and_gets_a_fresh_snapshot() {
    let place = Place::with(|config| config.http.live_queue = 4).await;
    let admin = place.admin().await;
    let created = place.create_sender(&admin).await;
    let mut wire = listen(&place, &admin, &["sender:*"]).await;
    wire.hear().await;
    // This thread publishes without letting the connection's task run: the client cannot keep up.
    for n in 0..10 {
        publish(&place, &admin, &format!("sender:{}", created.sender.id), n);
    }
    let lagged = wire.hear().await;
    assert_eq!((&lagged["type"], &lagged["missed"]), (&json!("lagged"), &json!(10)), "{lagged}");
    let snapshot = wire.hear().await;
    assert_eq!((&snapshot["type"], &snapshot["data"][0]["name"]), (&json!("snapshot"), &json!("Camera")));
    let seq = publish(&place, &admin, &format!("sender:{}", created.sender.id), 11);
    let event = wire.hear().await;
    assert_eq!((&event["seq"], &event["data"]), (&json!(seq), &json!(11)));
    assert!(snapshot["seq"].as_u64().unwrap() < seq);
}

#[tokio::test]
async fn without_a_good_token_the_connection_is_closed() {
    let place = Place::new().await;
    let admin = place.admin().await;
    let agent = place.agent(&admin).await;
    for (first, code) in [
        (json!({ "subscribe": ["sender:*"] }), "login_required"),
        (json!({ "token": "nonsense" }), "token_invalid"),
        (json!({ "token": agent.token }), "token_invalid"),
    ] {
        let mut wire = place.dial("/api/ws").await;
        wire.text(&first.to_string()).await;
        assert_eq!(wire.hear().await["code"], code);
        assert_eq!(wire.closed().await, 1008);
    }
}

#[tokio::test]
async fn a_topic_that_cannot_be_one_is_named_and_the_connection_lives() {
    let place = Place::new().await;
    let admin = place.admin().await;
    let mut wire = place.dial("/api/ws").await;
    let first = json!({ "token": admin.token, "subscribe": ["sender:*", "nonsense"] });
    wire.text(&first.to_string()).await;
    assert_eq!(wire.hear().await["type"], "ready");
    let refused = wire.hear().await;
    assert_eq!((&refused["type"], &refused["field"]), (&json!("error"), &json!("subscribe[1]")), "{refused}");
    wire.text(r#"{"subscribe":["sender:*"]}"#).await;
    assert_eq!(wire.hear().await["topic"], "sender:*");

    for (first, closing) in [
        (json!({ "subscribe": ["nonsense"] }), json!("subscribe[0]")),
        (json!({ "token": "nonsense", "subscribe": ["nonsense"] }), json!("token")),
    ] {
        let mut wire = place.dial("/api/ws").await;
        wire.text(&first.to_string()).await;
        assert_eq!(wire.hear().await["field"], closing);
        assert_eq!(wire.closed().await, 1008);
    }
}

#[tokio::test]
async fn the_end_of_the_token_ends_the_connection() {
    let place = Place::with(|config| config.fleet.access_ttl_s = 1).await;
    let admin = place.admin().await;
    let mut wire = place.dial("/api/ws").await;
    wire.text(&json!({ "token": admin.token }).to_string()).await;
    // A token may end before it is first shown; both ways it is told and closed.
    let mut heard = wire.hear().await;
    if heard["type"] == "ready" {
        heard = wire.hear().await;
    }
    assert_eq!(heard["code"], "token_expired");
    assert_eq!(wire.closed().await, 1008);
}

#[tokio::test]
async fn a_disabled_user_hears_nothing_more() {
    let place = Place::with(|config| config.session.ping_interval_s = 1).await;
    let admin = place.admin().await;
    let mut wire = listen(&place, &admin, &["stream:*"]).await;
    assert_eq!(wire.hear().await["type"], "snapshot");
    place.server.users().disable("admin@example.com").await.unwrap();
    let told = wire.hear().await;
    assert_eq!((&told["code"], &told["field"]), (&json!("token_invalid"), &json!("token")));
    assert_eq!(wire.closed().await, 1008);
}

#[tokio::test]
async fn a_client_may_not_subscribe_without_end() {
    let place = Place::with(|config| config.http.live_topics = 1).await;
    let admin = place.admin().await;
    let mut wire = listen(&place, &admin, &["sender:*", "stream:*"]).await;
    assert_eq!(wire.hear().await["type"], "snapshot");
    let refused = wire.hear().await;
    assert_eq!((&refused["code"], &refused["field"]), (&json!("rate_limited"), &json!("subscribe[1]")));
}

#[tokio::test]
async fn one_request_may_not_ask_for_snapshots_without_end() {
    let place = Place::with(|config| config.http.live_topics = 3).await;
    let admin = place.admin().await;
    let mut wire = listen(&place, &admin, &["stream:*"; 100]).await;
    for _ in 0..3 {
        assert_eq!(wire.hear().await["type"], "snapshot");
    }
    let refused = wire.hear().await;
    assert_eq!((&refused["code"], &refused["field"]), (&json!("rate_limited"), &json!("subscribe[3]")));
}

#[tokio::test]
async fn a_client_that_asks_too_often_is_refused_and_one_that_does_not_heed_it_is_closed() {
    let place = Place::with(|config| {
        config.http.live_request_burst = 50;
        config.http.live_requests_per_s = 1;
    })
    .await;
    let admin = place.admin().await;
    let mut wire = listen(&place, &admin, &["stream:*"]).await;
    assert_eq!(wire.hear().await["type"], "snapshot");
    let ask = r#"{"subscribe":["stream:*"]}"#;
    let mut asked = 0;
    let refused = loop {
        wire.text(ask).await;
        asked += 1;
        let answer = wire.hear().await;
        if answer["type"] != "snapshot" {
            break answer;
        }
    };
    assert!(asked > 50, "{asked}");
    assert_eq!((&refused["type"], &refused["code"]), (&json!("error"), &json!("rate_limited")), "{refused}");
    // It lives: what it subscribed is heard.
    let seq = publish(&place, &admin, "stream:str_1", 1);
    assert_eq!(wire.hear().await["seq"], json!(seq));

    // The connection may end while this is still being written.
    for _ in 0..1000 {
        if wire.socket.send(Message::text(ask)).await.is_err() {
            break;
        }
    }
    assert_eq!(wire.closed().await, 1008);
}

fn publish(place: &Place, owner: &User, topic: &str, data: u64) -> u64 {
    let topic: Topic = topic.parse().unwrap();
    place.server.events().publish(now(), &owner.id, topic, "test", &Value::from(data))
}
