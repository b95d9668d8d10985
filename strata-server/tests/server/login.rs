//! Logins of users: refresh tokens that rotate, and limits on trying.

use serde_json::{Value, json};
use strata_proto::control::Role;
use strata_proto::token::Secret;
use strata_server::fleet::UserError;

use crate::place::{Body, PASSWORD, Place};

async fn login(place: &Place, email: &str, password: &str) -> (u16, Value) {
    let body = json!({ "email": email, "password": password });
    place.call("POST", "/api/auth/login", None, Body::Json(&body)).await
}

async fn refresh(place: &Place, token: &str) -> (u16, Value) {
    place.call("POST", "/api/auth/refresh", Some(token), Body::None).await
}

fn refresh_token(tokens: &Value) -> String {
    tokens["refresh_token"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn a_user_logs_in_and_refreshes() {
    let place = Place::new().await;
    place.user("ann", Role::Operator, None).await;
    let (status, tokens) = login(&place, "Ann@Example.com", PASSWORD).await;
    assert_eq!((status, &tokens["user"]["role"]), (200, &json!("operator")), "{tokens}");
    let token = tokens["token"].as_str().unwrap();
    assert_eq!(place.call("GET", "/api/senders", Some(token), Body::None).await.0, 200);

    let (status, next) = refresh(&place, &refresh_token(&tokens)).await;
    assert_eq!(status, 200);
    assert_ne!(next["refresh_token"], tokens["refresh_token"]);
    let token = next["token"].as_str().unwrap();
    assert_eq!(place.call("GET", "/api/senders", Some(token), Body::None).await.0, 200);
    // The same in the body.
    let body = json!({ "refresh_token": next["refresh_token"] });
    assert_eq!(place.call("POST", "/api/auth/refresh", None, Body::Json(&body)).await.0, 200);
}

#[tokio::test]
async fn wrong_password_and_unknown_address_answer_alike() {
    let place = Place::new().await;
    place.user("ann", Role::Operator, None).await;
    let (status, wrong) = login(&place, "ann@example.com", "wrong").await;
    assert_eq!((status, &wrong["code"]), (401, &json!("invalid_credentials")));
    assert_eq!(login(&place, "bob@example.com", "wrong").await, (401, wrong));
}

#[tokio::test]
async fn reuse_of_a_refresh_token_revokes_its_family_and_no_other() {
    let place = Place::new().await;
    place.user("ann", Role::Operator, None).await;
    let (_, stolen) = login(&place, "ann@example.com", PASSWORD).await;
    let (_, other) = login(&place, "ann@example.com", PASSWORD).await;
    let (_, second) = refresh(&place, &refresh_token(&stolen)).await;
    let (status, problem) = refresh(&place, &refresh_token(&stolen)).await;
    assert_eq!((status, &problem["code"]), (401, &json!("refresh_token_reused")));
    let (status, problem) = refresh(&place, &refresh_token(&second)).await;
    assert_eq!((status, &problem["code"]), (401, &json!("invalid_refresh_token")));
    assert_eq!(refresh(&place, &refresh_token(&other)).await.0, 200);
}

#[tokio::test]
async fn a_new_password_ends_every_login() {
    let place = Place::new().await;
    place.user("ann", Role::Operator, None).await;
    let (_, tokens) = login(&place, "ann@example.com", PASSWORD).await;
    place.server.users().set_password("ann@example.com", Secret::new("another horse")).await.unwrap();
    assert_eq!(refresh(&place, &refresh_token(&tokens)).await.0, 401);
    assert_eq!(login(&place, "ann@example.com", PASSWORD).await.0, 401);
    assert_eq!(login(&place, "ann@example.com", "another horse").await.0, 200);
}

async fn may_look(place: &Place, tokens: &Value) -> u16 {
    place.call("GET", "/api/senders", tokens["token"].as_str(), Body::None).await.0
}

#[tokio::test]
async fn an_access_token_ends_with_the_password_and_with_the_user() {
    let place = Place::new().await;
    place.user("ann", Role::Operator, None).await;
    let users = place.server.users();
    let (_, before) = login(&place, "ann@example.com", PASSWORD).await;
    assert_eq!(may_look(&place, &before).await, 200);
    users.set_password("ann@example.com", Secret::new("another horse")).await.unwrap();
    let (status, problem) = place.call("GET", "/api/senders", before["token"].as_str(), Body::None).await;
    assert_eq!((status, &problem["code"]), (401, &json!("token_invalid")));

    // In the same second, too, the new login is good.
    let (_, after) = login(&place, "ann@example.com", "another horse").await;
    assert_eq!(may_look(&place, &after).await, 200);
    users.disable("Ann@example.com ").await.unwrap();
    assert_eq!(may_look(&place, &after).await, 401);
    assert_eq!(login(&place, "ann@example.com", "another horse").await.0, 401);
    assert_eq!(refresh(&place, &refresh_token(&after)).await.0, 401);

    users.enable("ann@example.com").await.unwrap();
    assert_eq!(may_look(&place, &after).await, 401, "what was revoked stays so");
    let (_, again) = login(&place, "ann@example.com", "another horse").await;
    assert_eq!(may_look(&place, &again).await, 200);
    assert!(matches!(users.disable("bob@example.com").await, Err(UserError::NotFound(_))));
    let entries = place.server.store().audit_entries(100).await.unwrap();
    for action in ["user.create", "user.set_password", "user.disable", "user.enable"] {
        assert_eq!(
            entries.iter().filter(|e| e.action == action && e.actor == "system").count(),
            1,
            "{action}"
        );
    }
}

#[tokio::test]
async fn an_access_token_is_no_refresh_token() {
    let place = Place::new().await;
    let ann = place.user("ann", Role::Operator, None).await;
    assert_eq!(refresh(&place, &ann.token).await.0, 401);
    assert_eq!(place.call("POST", "/api/auth/refresh", None, Body::None).await.0, 401);
}

#[tokio::test]
async fn a_wrong_login_is_audited_with_the_address_it_came_from() {
    let place = Place::new().await;
    place.user("ann", Role::Operator, None).await;
    login(&place, "ann@example.com", "wrong").await;
    let entries = place.server.store().audit_entries(1).await.unwrap();
    assert_eq!((entries[0].action.as_str(), entries[0].actor.as_str()), ("user.login_failed", "anonymous"));
    assert_eq!(entries[0].address.as_deref(), Some("127.0.0.1"));
    assert!(entries[0].target.is_some(), "whose password was tried");
    login(&place, "bob@example.com", "wrong").await;
    let entries = place.server.store().audit_entries(1).await.unwrap();
    assert_eq!((entries[0].action.as_str(), entries[0].target.as_deref()), ("user.login_failed", None));
}

#[tokio::test]
async fn tries_are_limited_per_account() {
    let place = Place::with(|config| config.http.logins_per_min_account = 3).await;
    place.user("ann", Role::Operator, None).await;
    for _ in 0..3 {
        assert_eq!(login(&place, "ann@example.com", "wrong").await.0, 401);
    }
    let (status, problem) = login(&place, " ANN@example.com", PASSWORD).await;
    assert_eq!((status, &problem["code"]), (429, &json!("rate_limited")));
    assert_eq!(login(&place, "bob@example.com", "wrong").await.0, 401);
}

#[tokio::test]
async fn tries_are_limited_per_address_and_no_header_changes_it() {
    let place = Place::with(|config| config.http.logins_per_min_address = 2).await;
    let attempt = |n: u32| {
        let request = place.http.post(format!("http://{}/api/auth/login", place.address));
        let body = json!({ "email": format!("u{n}@example.com"), "password": "wrong" });
        request.header("x-forwarded-for", format!("10.0.0.{n}")).json(&body).send()
    };
    assert_eq!(attempt(1).await.unwrap().status().as_u16(), 401);
    assert_eq!(attempt(2).await.unwrap().status().as_u16(), 401);
    let answer = attempt(3).await.unwrap();
    assert_eq!(answer.status().as_u16(), 429);
    let wait: u64 = answer.headers()["retry-after"].to_str().unwrap().parse().unwrap();
    assert!((1..=31).contains(&wait));
}
