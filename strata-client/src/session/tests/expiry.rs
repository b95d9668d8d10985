//! Session tokens that end while the connection lives.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use strata_proto::control::ErrorCode;

use super::*;

fn expired() -> ControlMessage {
    ControlMessage::Error(Fault::new(ErrorCode::TOKEN_EXPIRED, "the session token has expired"))
}

/// A token whose claims say that it lives for so long; times of a server whose clock is years off.
fn jwt(lifetime_s: i64) -> String {
    let iat = 1_000_000;
    let claims =
        format!(r#"{{"sub":"snd_1","iss":"s","iat":{iat},"exp":{},"role":"sender"}}"#, iat + lifetime_s);
    format!("h.{}.s", URL_SAFE_NO_PAD.encode(claims))
}

#[test]
fn no_message_is_lost_when_the_token_expires() {
    let mut rig = Rig::ready();
    rig.hear("c1", ControlMessage::Command(stop()));
    let mut did = rig.input(stats(1));
    did.extend(rig.input(ended(1)));
    did.extend(rig.input(Input::Reply { id: id("c1"), reply: Reply::ok() }));
    did.extend(rig.input(status()));
    let first: Vec<_> = sent(&did).into_iter().cloned().collect();
    assert_eq!(types(&did), ["stream.stats", "stream.ended", "stream.stop.response", "device.status"]);
    assert!(first.iter().all(|sent| sent.token == Some(Secret::new("token-1"))));

    // The server refuses all of them; the first refusal starts one login.
    let mut did = Vec::new();
    for refused in &first {
        did.extend(rig.hear(refused.id.as_str(), expired()));
    }
    assert_eq!(types(&did), ["auth.login"]);
    assert_eq!(rig.session.state(), State::Renewing);
    // What is made meanwhile waits.
    assert_eq!(sent(&rig.input(stats(2))), Vec::<&Envelope<_>>::new());

    let did = rig.accept(&did, "token-2");
    assert_eq!(events(&did), [&Event::Renewed]);
    let again = sent(&did);
    assert_eq!(again.len(), 5);
    for (again, first) in again.iter().zip(&first) {
        assert_eq!((&again.id, &again.message, again.ts), (&first.id, &first.message, first.ts));
    }
    assert!(again.iter().all(|sent| sent.token == Some(Secret::new("token-2"))));
    assert_eq!(rig.session.state(), State::Ready);
}

#[test]
fn a_refusal_that_comes_late_does_not_start_another_login() {
    let mut rig = Rig::ready();
    let first = sent(&rig.input(stats(1)))[0].id.clone();
    let second = sent(&rig.input(stats(2)))[0].id.clone();
    let did = rig.hear(first.as_str(), expired());
    rig.accept(&did, "token-2");
    let did = rig.hear(second.as_str(), expired());
    assert_eq!(types(&did), ["stream.stats"], "only sent again");
    assert_eq!(rig.session.state(), State::Ready);
}

#[test]
fn renews_before_the_token_expires_whatever_the_clocks_say() {
    for seed in 0..50 {
        let mut rig = Rig::enrolled();
        rig.session.rng = rand::SeedableRng::seed_from_u64(seed);
        let did = rig.input(Input::Connected);
        rig.accept(&did, &jwt(3600));
        let start = rig.elapsed();
        let mut did = Vec::new();
        while !types(&did).contains(&"auth.login".to_owned()) {
            did = rig.pass_alive(SECOND);
        }
        let after = (rig.elapsed() - start).as_secs();
        assert!((3060..=3421).contains(&after), "{after}");
        let did = rig.accept(&did, &jwt(3600));
        assert!(events(&did).contains(&&Event::Renewed));
    }
}

#[test]
fn tokens_that_tell_nothing_are_used_until_refused() {
    for token in ["opaque", "a.b.c", "..", "h.e30.s", "h.!!!.s"] {
        let mut rig = Rig::enrolled();
        let did = rig.input(Input::Connected);
        rig.accept(&did, token);
        let did = rig.pass_alive(100_000 * SECOND);
        assert!(!types(&did).contains(&"auth.login".to_owned()));
    }
    // Nor can strange claims make it spin.
    for lifetime in [0, -5, 1, i64::MAX / 2] {
        let mut rig = Rig::enrolled();
        let did = rig.input(Input::Connected);
        rig.accept(&did, &jwt(lifetime));
        assert_eq!(rig.session.state(), State::Ready);
        rig.pass(Duration::from_millis(900));
        assert_eq!(rig.session.state(), State::Ready);
    }
}

#[test]
fn a_server_that_refuses_all_its_tokens_is_left_alone_for_a_while() {
    let mut rig = Rig::ready();
    let first = sent(&rig.input(ended(1)))[0].id.clone();
    let mut logins = 0;
    let mut did = rig.hear(first.as_str(), expired());
    while disconnect(&did).is_none() {
        logins += 1;
        let resent = rig.accept(&did, "bad");
        did = rig.hear(sent(&resent)[0].id.as_str(), expired());
    }
    assert_eq!(logins, 5);
    assert!(matches!(disconnect(&did).unwrap().0, Disconnect::Protocol(_)));
}

#[test]
fn a_revoked_device_is_told_at_renewal() {
    let mut rig = Rig::ready();
    let did = rig.hear("x", expired());
    let did = rig.hear(login_id(&did).as_str(), refused(Fault::new(ErrorCode::REVOKED, "revoked")));
    assert!(matches!(disconnect(&did).unwrap().0, Disconnect::Refused(_)));
}
