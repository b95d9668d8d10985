//! Every invalid golden message over a live socket: a typed error, and the connection lives.

use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::place::{Body, Place};

/// `(file, text, error)` of every invalid vector of a group.
fn invalid(group: &str) -> Vec<(PathBuf, String, Value)> {
    let root =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../strata-proto/vectors/control/invalid").join(group);
    let mut found = Vec::new();
    let mut dirs = vec![root];
    while let Some(dir) = dirs.pop() {
        for entry in std::fs::read_dir(&dir).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                dirs.push(path);
                continue;
            }
            let vector: Value = serde_json::from_str(&std::fs::read_to_string(&path).unwrap()).unwrap();
            let text = match &vector["text"] {
                Value::String(text) => text.clone(),
                _ => vector["input"].to_string(),
            };
            found.push((path, text, vector["error"].clone()));
        }
    }
    assert!(!found.is_empty());
    found
}

#[tokio::test]
async fn agents_messages() {
    let place = Place::with(|config| config.session.message_burst = 100_000).await;
    let admin = place.admin().await;
    let mut agent = place.agent(&admin).await;
    for (path, text, error) in invalid("agent") {
        // The faults are behind the token, so it is put into the message as a field of its own.
        let token = format!("{{\"token\":\"{}\",", agent.token);
        let text = match text.strip_prefix('{') {
            Some(rest) if !rest.contains("\"token\"") && !rest.trim_start().starts_with('}') => {
                format!("{token}{rest}")
            }
            _ => text,
        };
        agent.wire.text(&text).await;
        let answer = agent.wire.hear().await;
        let (path, payload) = (path.display(), &answer["payload"]);
        assert_eq!(answer["type"], "error", "{path}: {answer}");
        assert_eq!(payload["code"], error["kind"], "{path}: {answer}");
        assert_eq!(payload["field"], error["path"], "{path}: {answer}");
        // Of two ids neither is the message's.
        if error["path"] != "id"
            && let Ok(sent) = serde_json::from_str::<Value>(&text)
            && let Some(id) =
                sent["id"].as_str().filter(|id| id.parse::<strata_proto::id::MessageId>().is_ok())
        {
            assert_eq!(answer["id"], id, "{path}");
        }
    }
    agent.lives().await;
}

#[tokio::test]
async fn live_requests() {
    let place = Place::new().await;
    let admin = place.admin().await;
    let mut wire = place.dial("/api/ws").await;
    wire.text(&json!({ "token": admin.token }).to_string()).await;
    assert_eq!(wire.hear().await["type"], "ready");
    for (path, text, error) in invalid("live_request") {
        wire.text(&text).await;
        let answer = wire.hear().await;
        let path = path.display();
        assert_eq!(answer["type"], "error", "{path}: {answer}");
        assert_eq!((&answer["code"], &answer["field"]), (&error["kind"], &error["path"]), "{path}");
    }
    wire.text(r#"{"subscribe":["sender:*"]}"#).await;
    assert_eq!(wire.hear().await["type"], "snapshot");
}

#[tokio::test]
async fn request_bodies() {
    let place = Place::with(|config| config.http.logins_per_min_address = 100_000).await;
    let admin = place.admin().await;
    let created = place.create_sender(&admin).await;
    let sender = format!("/api/senders/{}", created.sender.id);
    let routes = [
        ("SenderCreate", "POST", "/api/senders".to_owned()),
        ("SenderUpdate", "PATCH", sender.clone()),
        ("LoginRequest", "POST", "/api/auth/login".to_owned()),
        ("RefreshRequest", "POST", "/api/auth/refresh".to_owned()),
        ("StartStream", "POST", format!("{sender}/stream/start")),
        ("StopStream", "POST", format!("{sender}/stream/stop")),
        ("UpdateStream", "POST", format!("{sender}/stream/update")),
    ];
    for (kind, method, route) in routes {
        for (path, text, error) in invalid(&format!("rest/{kind}")) {
            let (status, problem) = place.call(method, &route, Some(&admin.token), Body::Text(&text)).await;
            let path = path.display();
            let expected = if error["kind"] == "malformed_json" { 400 } else { 422 };
            assert_eq!(status, expected, "{path}: {problem}");
            assert_eq!((&problem["code"], &problem["field"]), (&error["kind"], &error["path"]), "{path}");
        }
    }
}
