//! Every route, asked by everybody.

use serde_json::json;
use strata_proto::control::Role;
use tower::ServiceExt as _;

use crate::place::{Body, Place};

/// Method, path (`{}` is a sender of the operator), and the status for: nobody, another account's
/// operator, a viewer of the account, its operator, an administrator.
const ROUTES: &[(&str, &str, [u16; 5])] = &[
    ("GET", "/api/senders", [401, 200, 200, 200, 200]),
    ("POST", "/api/senders", [401, 422, 403, 422, 422]),
    ("GET", "/api/senders/{}", [401, 404, 200, 200, 200]),
    ("PATCH", "/api/senders/{}", [401, 404, 403, 200, 200]),
    ("GET", "/api/senders/{}/status", [401, 404, 404, 404, 404]),
    ("GET", "/api/senders/{}/stats", [401, 404, 404, 404, 404]),
    ("POST", "/api/senders/{}/stream/start", [401, 422, 403, 422, 422]),
    ("POST", "/api/senders/{}/stream/stop", [401, 404, 403, 409, 409]),
    ("POST", "/api/senders/{}/stream/update", [401, 404, 403, 409, 409]),
    ("GET", "/api/streams", [401, 200, 200, 200, 200]),
    ("GET", "/api/streams/str_none", [401, 404, 404, 404, 404]),
    // The administrator cannot find what the operator just removed; its own try is below.
    ("DELETE", "/api/senders/{}", [401, 404, 403, 204, 404]),
    ("GET", "/healthz", [200, 200, 200, 200, 200]),
    ("GET", "/metrics", [200, 200, 200, 200, 200]),
    ("POST", "/api/auth/login", [422, 422, 422, 422, 422]),
    ("GET", "/api/auth/login", [405, 405, 405, 405, 405]),
    ("PUT", "/api/senders/{}", [405, 405, 405, 405, 405]),
    ("GET", "/api/ws", [426, 426, 426, 426, 426]),
    ("GET", "/agent/ws", [426, 426, 426, 426, 426]),
    ("GET", "/api/nothing/here", [404, 404, 404, 404, 404]),
    ("GET", "/api", [404, 404, 404, 404, 404]),
];

#[tokio::test]
async fn every_route_and_role() {
    let place = Place::new().await;
    let operator = place.user("operator", Role::Operator, None).await;
    let viewer = place.user("viewer", Role::Viewer, Some(operator.id.clone())).await;
    let other = place.user("other", Role::Operator, None).await;
    let admin = place.admin().await;
    let sender = place.create_sender(&operator).await.sender.id;
    let callers = [None, Some(&other), Some(&viewer), Some(&operator), Some(&admin)];
    for (method, route, expected) in ROUTES {
        let path = route.replace("{}", sender.as_str());
        for (caller, expected) in callers.iter().zip(expected) {
            let token = caller.map(|user| user.token.as_str());
            let body = json!({});
            let body = if *method == "GET" { Body::None } else { Body::Json(&body) };
            let (status, answer) = place.call(method, &path, token, body).await;
            let who = caller.map_or("nobody", |user| user.id.as_str());
            assert_eq!(status, *expected, "{method} {route} by {who}: {answer}");
            if status >= 400 {
                assert_eq!(answer["status"], status, "{method} {route}: {answer}");
                assert!(answer["code"].is_string() && answer["type"] == "about:blank", "{answer}");
            }
        }
    }
    let sender = place.create_sender(&operator).await.sender.id;
    let path = format!("/api/senders/{sender}");
    assert_eq!(place.call("DELETE", &path, Some(&admin.token), Body::None).await.0, 204);
}

#[tokio::test]
async fn a_list_shows_only_the_accounts_own_and_an_administrator_all() {
    let place = Place::new().await;
    let one = place.user("one", Role::Operator, None).await;
    let two = place.user("two", Role::Operator, None).await;
    let viewer = place.user("viewer", Role::Viewer, Some(one.id.clone())).await;
    let admin = place.admin().await;
    place.create_sender(&one).await;
    place.create_sender(&one).await;
    place.create_sender(&two).await;
    for (user, count) in [(&one, 2), (&two, 1), (&viewer, 2), (&admin, 3)] {
        let (_, list) = place.call("GET", "/api/senders", Some(&user.token), Body::None).await;
        assert_eq!(list.as_array().unwrap().len(), count);
    }
}

#[tokio::test]
async fn a_senders_session_token_opens_no_rest_route() {
    let place = Place::new().await;
    let admin = place.admin().await;
    let agent = place.agent(&admin).await;
    for token in [agent.token.as_str(), "nonsense", ""] {
        let (status, _) = place.call("GET", "/api/senders", Some(token), Body::None).await;
        assert_eq!(status, 401);
    }
}

#[tokio::test]
async fn answers_carry_security_headers_and_problems_their_media_type() {
    let place = Place::new().await;
    // As strata-control serves it.
    let router = place.server.router().fallback(strata_server::http::not_found);
    for (method, path, status) in [
        ("GET", "/healthz", 200),
        ("PUT", "/healthz", 405),
        ("GET", "/api/senders", 401),
        ("PUT", "/api/senders", 405),
        ("GET", "/api/nothing", 404),
        ("DELETE", "/api/nothing", 404),
        ("GET", "/agent/ws", 426),
        ("DELETE", "/agent/ws", 405),
        ("GET", "/", 404),
        ("POST", "/nothing/at/all", 404),
    ] {
        let request = http::Request::builder().method(method).uri(path).body(axum::body::Body::empty());
        let answer = router.clone().oneshot(request.unwrap()).await.unwrap();
        assert_eq!(answer.status().as_u16(), status, "{method} {path}");
        for name in [
            "cache-control",
            "content-security-policy",
            "referrer-policy",
            "strict-transport-security",
            "x-content-type-options",
            "x-frame-options",
        ] {
            assert!(answer.headers().contains_key(name), "{method} {path}: {name}");
        }
        if status >= 400 {
            assert_eq!(answer.headers()["content-type"], "application/problem+json", "{method} {path}");
        }
    }
}

#[tokio::test]
async fn the_router_merges_into_another_with_its_own_fallback() {
    let place = Place::new().await;
    let theirs = axum::Router::new()
        .route("/", axum::routing::get(|| async { "theirs" }))
        .fallback(|| async { "their fallback" });
    let _merged: axum::Router = theirs.merge(place.server.router());
}
