//! `/api/senders`: what is created, shown, changed and refused.

use futures_util::future::{Either, select};
use serde_json::{Value, json};
use strata_proto::control::{Presence, Role};
use strata_proto::token::{EnrollUri, Fingerprint};
use tower::ServiceExt as _;

use crate::place::{Body, Place, status};

#[tokio::test]
async fn creating_a_sender_gives_all_that_a_fresh_agent_needs() {
    let ca = Fingerprint([7; 32]);
    let place = Place::with(|config| {
        config.public_url = "https://control.example.com:8443".parse().unwrap();
        config.ca = Some(ca);
    })
    .await;
    let admin = place.admin().await;
    let created = place.create_sender(&admin).await;
    let uri: EnrollUri = created.enrollment_uri.parse().unwrap();
    assert_eq!(uri.url.as_str(), "wss://control.example.com:8443/agent/ws");
    assert_eq!((uri.token, uri.ca), (created.enrollment_token, Some(ca)));
    assert!(created.enrollment_qr_svg.contains("<svg"));
    assert!(created.enrollment_qr_text.lines().count() > 10);
    let life = created.enrollment_expires_at.since(created.sender.created_at);
    assert_eq!(life.as_secs(), 24 * 3600);
    assert_eq!((created.sender.presence, created.sender.enrolled), (Presence::Offline, false));
    assert_eq!(created.sender.presence_cause.as_deref(), Some("never_connected"));
}

#[tokio::test]
async fn a_sender_shows_its_device_and_its_presence() {
    let place = Place::new().await;
    let admin = place.admin().await;
    let mut agent = place.agent(&admin).await;
    let path = format!("/api/senders/{}", agent.sender);
    let token = Some(admin.token.as_str());
    assert_eq!(place.call("GET", &format!("{path}/status"), token, Body::None).await.0, 404);
    agent.lives().await;

    let (_, view) = place.call("GET", &path, token, Body::None).await;
    assert_eq!((&view["presence"], &view["enrolled"]), (&json!("online"), &json!(true)));
    assert_eq!((&view["hostname"], &view["arch"]), (&json!("field-1"), &json!("aarch64")));
    assert_eq!(view["status"]["uptime_s"], 86400);
    let (_, shown) = place.call("GET", &format!("{path}/status"), token, Body::None).await;
    assert_eq!(shown["cpu_percent"], status()["cpu_percent"]);
    let (_, list) = place.call("GET", "/api/senders", token, Body::None).await;
    assert_eq!(list[0]["status"], Value::Null);

    agent.wire.socket.close(None).await.unwrap();
    // The answer to our close frame comes after the fleet was told.
    while let Some(Ok(_)) = futures_util::StreamExt::next(&mut agent.wire.socket).await {}
    let (_, view) = place.call("GET", &path, token, Body::None).await;
    assert_eq!((&view["presence"], &view["presence_cause"]), (&json!("offline"), &json!("closed")));
    assert!(view["last_seen"].is_string());
    // The last report is still there.
    assert_eq!(place.call("GET", &format!("{path}/status"), token, Body::None).await.0, 200);
}

#[tokio::test]
async fn a_sender_is_renamed() {
    let place = Place::new().await;
    let admin = place.admin().await;
    let path = format!("/api/senders/{}", place.create_sender(&admin).await.sender.id);
    let token = Some(admin.token.as_str());
    let (code, view) = place.call("PATCH", &path, token, Body::Json(&json!({ "name": " Van 2 " }))).await;
    assert_eq!((code, &view["name"]), (200, &json!("Van 2")));
    let (code, view) = place.call("PATCH", &path, token, Body::Json(&json!({}))).await;
    assert_eq!((code, &view["name"]), (200, &json!("Van 2")));
}

#[tokio::test]
async fn bad_bodies_name_the_field() {
    let place = Place::with(|config| config.http.max_body_bytes = 2048).await;
    let admin = place.admin().await;
    let token = Some(admin.token.as_str());
    let long = format!("{{\"name\":\"{}\"}}", "x".repeat(129));
    let huge = format!("{{\"name\":\"{}\"}}", "x".repeat(4096));
    for (body, expected, code, field) in [
        ("{\"name\":", 400, "malformed_json", "."),
        ("{\"name\":5}", 422, "invalid_field", "name"),
        ("{}", 422, "missing_field", "name"),
        ("{\"name\":\"\"}", 422, "invalid_field", "name"),
        ("{\"name\":\"a\\u0007\"}", 422, "invalid_field", "name"),
        (&long, 422, "invalid_field", "name"),
        ("{\"name\":\"a\",\"enrollment_ttl_s\":0}", 422, "invalid_field", "enrollment_ttl_s"),
        ("{\"name\":\"a\",\"enrollment_ttl_s\":-1}", 422, "invalid_field", "enrollment_ttl_s"),
        ("{\"name\":\"a\",\"colour\":1}", 422, "invalid_field", "colour"),
    ] {
        let (status, problem) = place.call("POST", "/api/senders", token, Body::Text(body)).await;
        assert_eq!((status, &problem["code"]), (expected, &json!(code)), "{body}: {problem}");
        assert_eq!(problem["field"], field, "{body}: {problem}");
    }
    let (status, problem) = place.call("POST", "/api/senders", token, Body::Text(&huge)).await;
    assert_eq!((status, &problem["code"]), (413, &json!("body_too_large")));
    let answer = place.http.post(format!("http://{}/api/senders", place.address)).bearer_auth(&admin.token);
    let answer = answer.header("content-type", "text/plain").body("{}").send().await.unwrap();
    assert_eq!(answer.status().as_u16(), 415);
}

#[tokio::test]
async fn a_sender_is_decommissioned_to_the_end_though_the_caller_has_gone_away() {
    let place = Place::new().await;
    let admin = place.admin().await;
    let mut agent = place.agent(&admin).await;
    let request = http::Request::delete(format!("/api/senders/{}", agent.sender))
        .header("authorization", format!("Bearer {}", admin.token))
        .body(axum::body::Body::empty())
        .unwrap();
    {
        // What hyper does to a request whose connection is closed: it is dropped, here in the midst of its
        // work, between the disconnection and the audit entry.
        let removal = std::pin::pin!(place.server.router().oneshot(request));
        let closed = std::pin::pin!(agent.wire.closed());
        if let Either::Right((code, _)) = select(removal, closed).await {
            assert_eq!(code, 1008);
        }
    }

    let place = Place::on(place.stop().await, |_| ()).await;
    let entries = place.server.store().audit_entries(1).await.unwrap();
    assert_eq!(entries[0].action, "sender.delete");
    assert_eq!(entries[0].target.as_deref(), Some(agent.sender.as_str()));
}

#[tokio::test]
async fn state_changing_calls_leave_audit_entries() {
    let place = Place::new().await;
    let admin = place.admin().await;
    let agent = place.agent(&admin).await;
    let path = format!("/api/senders/{}", agent.sender);
    let token = Some(admin.token.as_str());
    place.call("PATCH", &path, token, Body::Json(&json!({ "name": "Van" }))).await;
    place.call("DELETE", &path, token, Body::None).await;
    let mut entries = place.server.store().audit_entries(10).await.unwrap();
    entries.retain(|entry| entry.action.starts_with("sender."));
    let mut actions: Vec<_> = entries.iter().map(|e| (e.action.as_str(), e.actor.as_str())).collect();
    actions.reverse();
    let (admin, sender) = (admin.id.as_str(), agent.sender.as_str());
    assert_eq!(
        actions,
        [
            ("sender.create", admin),
            ("sender.enroll", sender),
            ("sender.update", admin),
            ("sender.delete", admin)
        ]
    );
    assert!(entries.iter().all(|e| e.target.as_deref() == Some(sender)));
    assert_eq!(entries[0].address.as_deref(), Some("127.0.0.1"));
}

#[tokio::test]
async fn a_list_comes_in_pages_that_lead_to_the_next() {
    let place = Place::new().await;
    let one = place.user("one", Role::Operator, None).await;
    let two = place.user("two", Role::Operator, None).await;
    let mut expected = Vec::new();
    for _ in 0..5 {
        expected.push(place.create_sender(&one).await.sender.id.to_string());
        place.create_sender(&two).await;
    }
    expected.sort_unstable();
    let (mut path, mut sizes, mut seen) = ("/api/senders?limit=2".to_owned(), Vec::new(), Vec::new());
    loop {
        let request = place.http.get(format!("http://{}{path}", place.address)).bearer_auth(&one.token);
        let answer = request.send().await.unwrap();
        let link = answer.headers().get("link").map(|link| link.to_str().unwrap().to_owned());
        let page: Vec<Value> = answer.json().await.unwrap();
        sizes.push(page.len());
        seen.extend(page.iter().map(|view| view["id"].as_str().unwrap().to_owned()));
        let Some(link) = link else { break };
        path = link.strip_prefix('<').unwrap().strip_suffix(">; rel=\"next\"").unwrap().to_owned();
    }
    assert_eq!((sizes, seen), (vec![2, 2, 1], expected));

    let token = Some(one.token.as_str());
    for (query, field) in
        [("limit=0", "limit"), ("limit=501", "limit"), ("limit=x", "limit"), ("after=str_1", "after")]
    {
        for list in ["senders", "streams"] {
            let query = if list == "streams" { query.replace("str_", "snd_") } else { query.to_owned() };
            let (status, problem) =
                place.call("GET", &format!("/api/{list}?{query}"), token, Body::None).await;
            assert_eq!((status, &problem["field"]), (422, &json!(field)), "{list} {query}: {problem}");
        }
    }
    let (status, problem) = place.call("GET", "/api/streams?all=maybe", token, Body::None).await;
    assert_eq!((status, &problem["field"]), (422, &json!("all")));
}

#[tokio::test]
async fn health_and_metrics() {
    let place = Place::new().await;
    let admin = place.admin().await;
    let _agent = place.agent(&admin).await;
    let (code, health) = place.call("GET", "/healthz", None, Body::None).await;
    assert_eq!((code, &health["status"]), (200, &json!("ok")));
    let (code, text) = place.call("GET", "/metrics", None, Body::None).await;
    let text = text.as_str().unwrap();
    assert_eq!(code, 200);
    assert!(text.contains("strata_agents_online 1"), "{text}");
    assert!(text.contains(r#"route="/api/senders",status="201"} 1"#), "{text}");
}
