//! Enrolment, and servers that do not keep to the protocol.

use strata_proto::control::ErrorCode;
use strata_proto::id::SenderId;

use super::*;

fn login(did: &[Did]) -> strata_proto::control::Login {
    match &sent(did)[0].message {
        AgentMessage::Login(login) => login.clone(),
        other => panic!("not a login: {other:?}"),
    }
}

#[test]
fn enrols_once_and_proves_itself_afterwards() {
    let mut rig = Rig::fresh();
    rig.drain();
    let did = rig.input(Input::Connected);
    assert_eq!(login(&did).enrollment_token.unwrap().expose(), "enr_first");
    assert!(login(&did).device_public_key.is_some());
    let did = rig.hear(login_id(&did).as_str(), accepted("t"));
    let sender_id: SenderId = "snd_1".parse().unwrap();
    assert_eq!(events(&did)[0], &Event::Enrolled { sender_id: sender_id.clone(), device_key: None });
    assert_eq!(rig.session.identity().sender_id(), Some(&sender_id));
    rig.input(Input::Broken("reset"));
    rig.pass(2 * SECOND);
    let did = rig.input(Input::Connected);
    assert_eq!((login(&did).enrollment_token, login(&did).sender_id), (None, Some(sender_id)));
}

#[test]
fn a_challenge_is_signed_as_it_stands() {
    use base64::Engine as _;
    use ed25519_dalek::{Signature, SigningKey, Verifier as _};
    let mut rig = Rig::enrolled();
    rig.input(Input::Connected);
    let did = rig.hear("ch-7", challenge());
    let sent = sent(&did)[0];
    let AgentMessage::ChallengeResponse(response) = &sent.message else { panic!("{sent:?}") };
    assert_eq!((&sent.id, response.sender_id.as_str()), (&id("ch-7"), "snd_1"));
    let bytes = base64::engine::general_purpose::URL_SAFE_NO_PAD.decode(&response.signature).unwrap();
    let key = SigningKey::from_bytes(&[1; 32]).verifying_key();
    key.verify(b"nonce", &Signature::from_slice(&bytes).unwrap()).unwrap();
}

#[test]
fn an_enrolment_whose_answer_was_lost_is_proven_and_answered_again() {
    let mut rig = Rig::fresh();
    let did = rig.input(Input::Connected);
    let first = login(&did);
    rig.input(Input::Broken("reset"));
    rig.pass(2 * SECOND);
    let did = rig.input(Input::Connected);
    assert_eq!(login(&did), first);
    let sender_id: SenderId = "snd_1".parse().unwrap();
    let challenge = Challenge { challenge: "nonce".into(), sender_id: Some(sender_id.clone()) };
    let proof = rig.hear("ch", ControlMessage::Challenge(challenge));
    let AgentMessage::ChallengeResponse(response) = &sent(&proof)[0].message else { panic!("{proof:?}") };
    assert_eq!(response.sender_id, sender_id);
    // It is that sender only when the server says that the proof is good.
    assert_eq!(rig.session.identity().sender_id(), None);
    let did = rig.hear(login_id(&did).as_str(), accepted("t"));
    assert_eq!(events(&did)[0], &Event::Enrolled { sender_id: sender_id.clone(), device_key: None });
    assert_eq!(rig.session.identity().sender_id(), Some(&sender_id));
}

#[test]
fn a_device_that_knows_who_it_is_does_not_sign_for_another() {
    let mut rig = Rig::enrolled();
    rig.input(Input::Connected);
    let challenge = Challenge { challenge: "nonce".into(), sender_id: Some("snd_9".parse().unwrap()) };
    let did = rig.hear("ch", ControlMessage::Challenge(challenge));
    let AgentMessage::ChallengeResponse(response) = &sent(&did)[0].message else { panic!("{did:?}") };
    assert_eq!(response.sender_id.as_str(), "snd_1");
}

#[test]
fn a_server_that_issues_a_device_key_gets_it_back() {
    let mut rig = Rig::fresh();
    let did = rig.input(Input::Connected);
    let response = LoginResponse {
        success: true,
        sender_id: Some("snd_9".parse().unwrap()),
        session_token: Some(Secret::new("t")),
        device_key: Some(Secret::new("key")),
        ..LoginResponse::default()
    };
    rig.hear(login_id(&did).as_str(), ControlMessage::LoginResponse(response));
    rig.input(Input::Broken("reset"));
    rig.pass(2 * SECOND);
    let login = login(&rig.input(Input::Connected));
    assert_eq!(login.device_key, Some(Secret::new("key")));
    assert_eq!(login.device_public_key, None);
}

#[test]
fn a_new_token_enrols_anew_and_a_useless_one_falls_back_to_the_key() {
    let mut identity = Identity::from_seed([1; 32]);
    identity.enrol("snd_1".parse().unwrap(), None, Some(&"enr_old".parse().unwrap()));
    // The token in the configuration is still the one it enrolled with.
    let mut rig = Rig::of(Config::default(), identity.clone(), Some("enr_old"));
    assert_eq!(login(&rig.input(Input::Connected)[1..]).enrollment_token, None);
    // Another one is a wish to enrol again …
    let mut rig = Rig::of(Config::default(), identity, Some("enr_new"));
    let did = rig.input(Input::Connected);
    assert!(login(&did[1..]).enrollment_token.is_some());
    // … and if it is no good, the device is still who it was.
    let fault = Fault::new(ErrorCode::INVALID_ENROLLMENT_TOKEN, "used");
    rig.hear(login_id(&did).as_str(), refused(fault));
    rig.pass(30 * SECOND);
    let login = login(&rig.input(Input::Connected));
    assert_eq!((login.enrollment_token, login.sender_id), (None, Some("snd_1".parse().unwrap())));
}

#[test]
fn a_device_without_identity_and_token_is_an_error() {
    let config = crate::Config::new("wss://control.example/agent/ws".parse().unwrap());
    let now = Rig::enrolled().now;
    let outcome = Session::new(&config, Identity::from_seed([1; 32]), [0; 32], now);
    assert!(matches!(outcome, Err(crate::Error::NotEnrolled)));
}

#[test]
fn login_responses_that_make_no_sense_end_the_connection() {
    let good = || match accepted("t") {
        ControlMessage::LoginResponse(response) => response,
        other => panic!("{other:?}"),
    };
    let no_token = LoginResponse { session_token: None, ..good() };
    let long_token = LoginResponse { session_token: Some(Secret::new("x".repeat(9000))), ..good() };
    let other_sender = LoginResponse { sender_id: Some("snd_2".parse().unwrap()), ..good() };
    for response in [no_token, long_token, other_sender] {
        let mut rig = Rig::enrolled();
        let did = rig.input(Input::Connected);
        let did = rig.hear(login_id(&did).as_str(), ControlMessage::LoginResponse(response));
        assert!(matches!(disconnect(&did), Some((Disconnect::Protocol(_), _))), "{did:?}");
    }
    // A device that has not enrolled cannot be challenged, nor enrolled without a name.
    let mut rig = Rig::fresh();
    rig.input(Input::Connected);
    assert!(disconnect(&rig.hear("ch", challenge())).is_some());
    let mut rig = Rig::fresh();
    let did = rig.input(Input::Connected);
    let nameless = ControlMessage::LoginResponse(LoginResponse { sender_id: None, ..good() });
    assert!(disconnect(&rig.hear(login_id(&did).as_str(), nameless)).is_some());
    assert_eq!(rig.session.identity().sender_id(), None);
}

#[test]
fn garbage_is_reported_answered_if_it_has_an_id_and_lived_with() {
    let ts = "2026-02-14T10:30:00Z";
    let mut rig = Rig::ready();
    for text in ["", "{", "null", "[]", "\u{0}", r#"{"id":5}"#, r#"{"id":""}"#] {
        let did = rig.input(Input::Text(text));
        assert!(matches!(events(&did)[..], [Event::Misbehaved(_)]) && did.len() == 1, "{text}: {did:?}");
    }
    let told = [
        (r#"{"id":"q"}"#.to_owned(), "error"),
        (format!(r#"{{"id":"q","type":"no.such","ts":"{ts}","payload":{{}}}}"#), "error"),
        (format!(r#"{{"id":"q","type":"stream.stop","ts":"{ts}","payload":{{}}}}"#), "stream.stop.response"),
        (
            r#"{"id":"q","type":"stream.stop","ts":"yesterday","payload":{}}"#.to_owned(),
            "stream.stop.response",
        ),
    ];
    for (text, answer) in told {
        let did = rig.input(Input::Text(&text));
        assert_eq!((types(&did), &sent(&did)[0].id), (vec![answer.to_owned()], &id("q")), "{text}");
    }
    // An answer to these would go round in circles.
    for message_type in ["error", "no.such.response", "stream.ended.response"] {
        let text = format!(r#"{{"id":"q","type":"{message_type}","ts":"{ts}","payload":7}}"#);
        let did = rig.input(Input::Text(&text));
        assert_eq!(types(&did), Vec::<String>::new(), "{text}");
    }
    assert_eq!(rig.session.state(), State::Ready);
    assert_eq!(disconnect(&rig.input(Input::Text(&"x".repeat(1024 * 1024)))), None);
    let did = rig.input(Input::Text(&"x".repeat(1024 * 1024 + 1)));
    assert_eq!(did[0], Did::Close(1009));
}

#[test]
fn commands_before_the_login_are_not_carried_out() {
    let mut rig = Rig::enrolled();
    rig.input(Input::Connected);
    let did = rig.hear("c1", ControlMessage::Command(stop()));
    assert!(matches!(events(&did)[..], [Event::Misbehaved(_)]) && did.len() == 1);
}
