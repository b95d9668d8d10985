//! One-time tokens, and the keys devices are bound to.

use ed25519_dalek::{Signer as _, SigningKey};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use strata_proto::id::SenderId;
use strata_proto::time::Timestamp;
use strata_server::store::SenderRow;

use crate::place::{Place, Wire, about, now};

async fn refused(place: &Place, login: Value) -> (String, Wire) {
    let mut wire = place.dial("/agent/ws").await;
    wire.say("1", "auth.login", None, &about(login)).await;
    let answer = wire.hear().await;
    assert_eq!((&answer["id"], &answer["type"]), (&json!("1"), &json!("auth.login.response")));
    assert_eq!(answer["payload"]["success"], false, "{answer}");
    (answer["payload"]["error"]["code"].as_str().unwrap().to_owned(), wire)
}

fn base64(bytes: &[u8]) -> String {
    use base64::Engine as _;
    base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(bytes)
}

#[tokio::test]
async fn a_token_enrols_once_and_its_device_key_opens_later_sessions() {
    let place = Place::new().await;
    let admin = place.admin().await;
    let created = place.create_sender(&admin).await;
    let token = created.enrollment_token.expose();
    let agent = place.enroll(token).await;
    assert_eq!(agent.sender, created.sender.id.as_str());

    let (code, mut wire) = refused(&place, json!({ "enrollment_token": token })).await;
    assert_eq!((code.as_str(), wire.closed().await), ("invalid_enrollment_token", 1008));

    let mut again = place.agent_again(&agent).await;
    assert_eq!((again.sender.as_str(), again.device_key.as_ref()), (agent.sender.as_str(), None));
    again.lives().await;

    let wrong = json!({ "sender_id": agent.sender, "device_key": "dvk_wrong" });
    let (code, mut wire) = refused(&place, wrong).await;
    assert_eq!((code.as_str(), wire.closed().await), ("invalid_credentials", 1008));
}

#[tokio::test]
async fn a_wrong_token_is_refused() {
    let place = Place::new().await;
    let (code, mut wire) = refused(&place, json!({ "enrollment_token": "enr_wrong" })).await;
    assert_eq!((code.as_str(), wire.closed().await), ("invalid_enrollment_token", 1008));
}

#[tokio::test]
async fn an_expired_token_is_refused() {
    let place = Place::new().await;
    let admin = place.admin().await;
    let hash: String = Sha256::digest(b"enr_old").iter().map(|byte| format!("{byte:02x}")).collect();
    let (id, created_at) = ("snd_old".parse::<SenderId>().unwrap(), Timestamp::from_unix_millis(0));
    let row = SenderRow::new(id, admin.id.clone(), "Old".into(), created_at);
    place.server.store().insert_sender(&row, &hash, now()).await.unwrap();
    let (code, mut wire) = refused(&place, json!({ "enrollment_token": "enr_old" })).await;
    assert_eq!((code.as_str(), wire.closed().await), ("invalid_enrollment_token", 1008));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_agents_that_use_a_token_at_once_exactly_one_wins() {
    let place = Place::new().await;
    let admin = place.admin().await;
    for _ in 0..8 {
        let created = place.create_sender(&admin).await;
        let mut wires = Vec::new();
        for _ in 0..4 {
            wires.push(place.dial("/agent/ws").await);
        }
        let login = about(json!({ "enrollment_token": created.enrollment_token }));
        let tries = wires.into_iter().map(|mut wire| {
            let login = login.clone();
            tokio::spawn(async move {
                wire.say("1", "auth.login", None, &login).await;
                let answer = wire.hear().await;
                // The winner's connection must outlive the losers' ends.
                (answer["payload"]["success"] == true, wire)
            })
        });
        let mut won = Vec::new();
        for one in tries.collect::<Vec<_>>() {
            let (success, wire) = one.await.unwrap();
            won.extend(success.then_some(wire));
        }
        assert_eq!(won.len(), 1);
        assert!(place.server.fleet().is_online(&created.sender.id));
    }
}

#[tokio::test]
async fn a_key_pair_is_bound_at_enrollment_and_proven_by_a_challenge() {
    let place = Place::new().await;
    let admin = place.admin().await;
    let created = place.create_sender(&admin).await;
    let key = SigningKey::from_bytes(&[9; 32]);
    let public = base64(key.verifying_key().as_bytes());
    let mut wire = place.dial("/agent/ws").await;
    let login = json!({ "enrollment_token": created.enrollment_token, "device_public_key": public });
    wire.say("1", "auth.login", None, &about(login)).await;
    let answer = wire.hear().await;
    assert_eq!(answer["payload"]["success"], true, "{answer}");
    assert_eq!(answer["payload"]["device_key"], Value::Null);

    let mut wire = place.dial("/agent/ws").await;
    let login = json!({ "sender_id": created.sender.id, "device_public_key": public });
    wire.say("2", "auth.login", None, &about(login.clone())).await;
    let asked = wire.hear().await;
    assert_eq!(asked["type"], "auth.challenge");
    let challenge = asked["payload"]["challenge"].as_str().unwrap();
    let signature = base64(&key.sign(challenge.as_bytes()).to_bytes());
    let response = json!({ "sender_id": created.sender.id, "signature": signature });
    wire.say(asked["id"].as_str().unwrap(), "auth.challenge.response", None, &response).await;
    let answer = wire.hear().await;
    assert_eq!((&answer["id"], &answer["payload"]["success"]), (&json!("2"), &json!(true)), "{answer}");

    // An old signature is worth nothing for another connection's challenge.
    let mut wire = place.dial("/agent/ws").await;
    wire.say("3", "auth.login", None, &about(login)).await;
    let asked = wire.hear().await;
    wire.say(asked["id"].as_str().unwrap(), "auth.challenge.response", None, &response).await;
    assert_eq!(wire.hear().await["payload"]["error"]["code"], "invalid_credentials");
    assert_eq!(wire.closed().await, 1008);

    let other = base64(SigningKey::from_bytes(&[8; 32]).verifying_key().as_bytes());
    let login = json!({ "sender_id": created.sender.id, "device_public_key": other });
    let (code, mut wire) = refused(&place, login).await;
    assert_eq!((code.as_str(), wire.closed().await), ("invalid_credentials", 1008));
}

#[tokio::test]
async fn a_used_token_and_a_public_key_do_nothing_without_the_private_key() {
    let place = Place::new().await;
    let admin = place.admin().await;
    let created = place.create_sender(&admin).await;
    let key = SigningKey::from_bytes(&[9; 32]);
    let public = base64(key.verifying_key().as_bytes());
    let login = json!({ "enrollment_token": created.enrollment_token, "device_public_key": public });
    let login = about(login);
    let mut device = place.dial("/agent/ws").await;
    device.say("1", "auth.login", None, &login).await;
    assert_eq!(device.hear().await["payload"]["success"], true);

    // Of a thief and the device itself, both are asked; only the device can answer.
    for (signer, is_good) in [(SigningKey::from_bytes(&[8; 32]), false), (key, true)] {
        let mut wire = place.dial("/agent/ws").await;
        wire.say("2", "auth.login", None, &login).await;
        let asked = wire.hear().await;
        assert_eq!(asked["type"], "auth.challenge", "{asked}");
        assert_eq!(asked["payload"]["sender_id"], json!(created.sender.id));
        let challenge = asked["payload"]["challenge"].as_str().unwrap();
        let signature = base64(&signer.sign(challenge.as_bytes()).to_bytes());
        let response = json!({ "sender_id": created.sender.id, "signature": signature });
        wire.say(asked["id"].as_str().unwrap(), "auth.challenge.response", None, &response).await;
        let answer = wire.hear().await;
        assert_eq!(
            (&answer["id"], &answer["payload"]["success"]),
            (&json!("2"), &json!(is_good)),
            "{answer}"
        );
        if is_good {
            assert_eq!(answer["payload"]["sender_id"], json!(created.sender.id));
            assert_eq!(device.closed().await, 4001);
        } else {
            assert_eq!(wire.closed().await, 1008);
            device.say("3", "device.status", None, &crate::place::status()).await;
            assert_eq!(device.hear().await["id"], "3", "the device's own connection lives");
        }
    }
}

#[tokio::test]
async fn no_secret_lies_in_the_database() {
    let place = Place::new().await;
    let admin = place.admin().await;
    let created = place.create_sender(&admin).await;
    let agent = place.enroll(created.enrollment_token.expose()).await;
    let device_key = agent.device_key.clone().unwrap();
    let dir = place.stop().await;
    let mut file = std::fs::read(dir.path().join("strata.db")).unwrap();
    file.extend(std::fs::read(dir.path().join("strata.db-wal")).unwrap_or_default());
    for secret in [created.enrollment_token.expose(), &device_key, "correct horse"] {
        let found = file.windows(secret.len()).any(|window| window == secret.as_bytes());
        assert!(!found, "a secret was stored");
    }
}
