//! What survives a restart: everything that was promised.

use serde_json::json;

use crate::place::{Body, Place};

#[tokio::test]
async fn senders_users_keys_and_last_seen_survive() {
    let place = Place::new().await;
    let admin = place.admin().await;
    let waiting = place.create_sender(&admin).await;
    let mut agent = place.agent(&admin).await;
    agent.lives().await;
    let dir = place.stop().await;

    let place = Place::on(dir, |_| ()).await;
    // The access token is still good: the key that signed it survived.
    let path = format!("/api/senders/{}", agent.sender);
    let (code, view) = place.call("GET", &path, Some(&admin.token), Body::None).await;
    assert_eq!((code, &view["presence"]), (200, &json!("offline")), "{view}");
    assert_eq!((&view["presence_cause"], &view["hostname"]), (&json!("server_shutdown"), &json!("field-1")));
    assert!(view["last_seen"].is_string());
    place.agent_again(&agent).await.lives().await;
    place.enroll(waiting.enrollment_token.expose()).await.lives().await;
    assert!(!place.server.users().is_empty().await.unwrap());
}

#[tokio::test]
async fn a_configuration_that_cannot_be_served_names_its_key() {
    for (text, key) in [
        ("colour = 1", "colour"),
        ("[session]\ntokn_ttl_s = 1", "session.tokn_ttl_s"),
        ("[session]\nping_interval_s = \"often\"", "session.ping_interval_s"),
        ("[session]\nping_interval_s = 50", "session.silence_timeout_s"),
        ("[fleet]\naccess_ttl_s = 0", "fleet.access_ttl_s"),
        ("public_url = \"ftp://x\"", "public_url"),
    ] {
        let error = strata_server::Config::from_toml(text).unwrap_err();
        assert_eq!(error.key, key, "{error}");
        assert!(error.to_string().contains(key));
    }
}
