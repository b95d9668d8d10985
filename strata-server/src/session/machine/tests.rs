#![expect(clippy::disallowed_methods, reason = "any instant to start from; time itself is virtual")]

use ed25519_dalek::{Signer as _, SigningKey};
use serde_json::{Value, json};
use strata_proto::control::AgentSettings;

use super::*;

struct Rig {
    session: Session,
    now: Now,
}

impl Rig {
    fn new() -> Self {
        let now = Now { mono: Instant::now(), wall: Timestamp::from_unix_millis(1_000_000) };
        let config = SessionConfig { message_burst: 5, messages_per_s: 2, ..SessionConfig::default() };
        Self { session: Session::new(now, Limits::from(&config), 7), now }
    }

    /// A session that is open, with the token `t1` good for `ttl_s`.
    fn open(ttl_s: u64) -> Self {
        let mut rig = Self::new();
        rig.message("1", "auth.login", None, &login_by_key("k"));
        rig.accept("t1", ttl_s);
        rig
    }

    fn pass(&mut self, seconds: u64) {
        self.now.mono += Duration::from_secs(seconds);
        self.now.wall = self.now.wall.after(Duration::from_secs(seconds));
    }

    fn input(&mut self, input: Input<'_>) -> Vec<Output> {
        self.session.handle_input(self.now, input);
        let mut out = Vec::new();
        loop {
            match self.session.poll_output() {
                Output::Timeout(_) => return out,
                Output::Close(why) => {
                    out.push(Output::Close(why));
                    return out;
                }
                other => out.push(other),
            }
        }
    }

    fn message(&mut self, id: &str, kind: &str, token: Option<&str>, payload: &Value) -> Vec<Output> {
        let mut message = json!({ "id": id, "type": kind, "ts": self.now.wall, "payload": payload });
        if let Some(token) = token {
            message["token"] = token.into();
        }
        self.input(Input::Text(&message.to_string()))
    }

    fn accept(&mut self, token: &str, ttl_s: u64) -> Vec<Output> {
        let accepted = Accepted {
            sender: sender(),
            token: Secret::new(token),
            expires_at: self.now.wall.after(Duration::from_secs(ttl_s)),
            device_key: None,
            settings: AgentSettings::default(),
        };
        self.input(Input::Verdict(Verdict::Accepted(accepted)))
    }

    fn challenge(&mut self, public_key: [u8; 32]) -> Vec<Output> {
        let challenge = "nonce".to_owned();
        self.input(Input::Verdict(Verdict::Challenge { sender: sender(), challenge, public_key }))
    }

    fn deadline(&mut self) -> Duration {
        match self.session.poll_output() {
            Output::Timeout(at) => at - self.now.mono,
            other => panic!("{other:?}"),
        }
    }
}

fn sender() -> SenderId {
    "snd_1".parse().unwrap()
}

fn about() -> Value {
    json!({ "agent_version": "1", "hostname": "h", "arch": "a" })
}

fn login_by_key(key: &str) -> Value {
    let mut login = about();
    login["sender_id"] = "snd_1".into();
    login["device_key"] = key.into();
    login
}

fn status() -> Value {
    json!({ "network_interfaces": [], "media_inputs": [], "stream_state": "idle", "cpu_percent": 1.0,
            "mem_used_mb": 1, "uptime_s": 1 })
}

/// `(id, type, code or success)` of a text frame.
fn said(output: &Output) -> (String, String, Value) {
    let Output::Transmit(text) = output else { panic!("{output:?}") };
    let value: Value = serde_json::from_str(text).unwrap();
    let payload = &value["payload"];
    let what = if payload["code"].is_string() { payload["code"].clone() } else { payload["success"].clone() };
    (value["id"].as_str().unwrap().into(), value["type"].as_str().unwrap().into(), what)
}

fn error(id: &str, code: &str) -> (String, String, Value) {
    (id.into(), "error".into(), code.into())
}

#[test]
fn silence_before_login_is_closed_after_ten_seconds() {
    let mut rig = Rig::new();
    assert_eq!(rig.deadline(), Duration::from_secs(10));
    rig.pass(9);
    rig.input(Input::Alive);
    assert_eq!(rig.input(Input::Timeout), []);
    rig.pass(1);
    let out = rig.input(Input::Timeout);
    assert_eq!(said(&out[0]).2, "login_required");
    assert_eq!(out[1], Output::Close(Close::Policy("no login in time")));
}

#[test]
fn an_unanswered_challenge_is_closed_after_the_same_ten_seconds() {
    let mut rig = Rig::new();
    rig.pass(5);
    let mut login = about();
    login["sender_id"] = "snd_1".into();
    rig.message("1", "auth.login", None, &login);
    rig.input(Input::Verdict(Verdict::Challenge {
        sender: sender(),
        challenge: "c".into(),
        public_key: [0; 32],
    }));
    rig.pass(5);
    assert!(matches!(rig.input(Input::Timeout)[..], [_, Output::Close(Close::Policy(_))]));
}

#[test]
fn the_first_message_must_be_a_login() {
    let mut rig = Rig::new();
    let out = rig.message("7", "device.status", None, &status());
    assert_eq!(said(&out[0]), error("7", "login_required"));
    assert!(matches!(out[1], Output::Close(Close::Policy(_))));

    let out = Rig::new().input(Input::Text("{"));
    assert_eq!(said(&out[0]).2, "malformed_json");
    assert!(matches!(out[1], Output::Close(Close::Policy(_))));

    let out = Rig::new().message("8", "auth.login", None, &json!({}));
    assert_eq!(said(&out[0]), error("8", "missing_field"));
    assert!(matches!(out[1], Output::Close(Close::Policy(_))));
}

#[test]
fn binary_and_oversize_are_closed_with_their_codes() {
    assert_eq!(Rig::new().input(Input::Binary), [Output::Close(Close::Binary)]);
    assert_eq!(Rig::open(60).input(Input::TooBig), [Output::Close(Close::TooBig)]);
    assert_eq!((Close::Binary.code(), Close::TooBig.code()), (1003, 1009));
}

#[test]
fn a_device_with_a_key_pair_signs_a_challenge() {
    let key = SigningKey::from_bytes(&[3; 32]);
    let public_key = key.verifying_key().to_bytes();
    let mut rig = Rig::new();
    let mut login = about();
    login["sender_id"] = "snd_1".into();
    let out = rig.message("1", "auth.login", None, &login);
    assert_eq!(out, [Output::Authenticate(Attempt::Challenge { sender: sender(), public_key: None })]);

    let out = rig.challenge(public_key);
    let (id, kind, _) = said(&out[0]);
    assert_eq!(kind, "auth.challenge");
    let signature = base64_url(&key.sign(b"nonce").to_bytes());
    let response = json!({ "sender_id": "snd_1", "signature": signature });
    let out = rig.message(&id, "auth.challenge.response", None, &response);
    let [Output::Authenticate(Attempt::Proven { sender: proven, info, .. })] = &out[..] else {
        panic!("{out:?}")
    };
    assert_eq!((proven, info.hostname.as_str()), (&sender(), "h"));
    let out = rig.accept("t1", 60);
    assert_eq!(said(&out[0]), ("1".into(), "auth.login.response".into(), true.into()));
}

#[test]
fn an_enrolment_that_is_repeated_opens_only_with_a_signature() {
    let key = SigningKey::from_bytes(&[3; 32]);
    let public_key = key.verifying_key().to_bytes();
    for (signer, is_good) in [(&key, true), (&SigningKey::from_bytes(&[4; 32]), false)] {
        let mut rig = Rig::new();
        let mut login = about();
        login["enrollment_token"] = "enr_1".into();
        login["device_public_key"] = base64_url(&public_key).into();
        rig.message("1", "auth.login", None, &login);
        let out = rig.challenge(public_key);
        let [Output::Transmit(text)] = &out[..] else { panic!("{out:?}") };
        let asked: Value = serde_json::from_str(text).unwrap();
        assert_eq!(asked["payload"], json!({ "challenge": "nonce", "sender_id": "snd_1" }));
        assert_eq!(rig.session.sender(), None);
        let signature = base64_url(&signer.sign(b"nonce").to_bytes());
        let response = json!({ "sender_id": "snd_1", "signature": signature });
        let out = rig.message(asked["id"].as_str().unwrap(), "auth.challenge.response", None, &response);
        if is_good {
            assert!(matches!(&out[..], [Output::Authenticate(Attempt::Proven { .. })]), "{out:?}");
        } else {
            assert_eq!(said(&out[0]), ("1".into(), "auth.login.response".into(), false.into()));
            assert!(matches!(out[1], Output::Close(Close::Policy(_))));
        }
    }
}

#[test]
fn a_bad_signature_a_foreign_id_and_another_sender_are_refused() {
    let key = SigningKey::from_bytes(&[3; 32]);
    let public_key = key.verifying_key().to_bytes();
    let good = base64_url(&key.sign(b"nonce").to_bytes());
    let bad = base64_url(&key.sign(b"other").to_bytes());
    for (own_id, sender_id, signature) in
        [(true, "snd_1", &bad), (false, "snd_1", &good), (true, "snd_2", &good), (true, "snd_1", &"x".into())]
    {
        let mut rig = Rig::new();
        let mut login = about();
        login["sender_id"] = "snd_1".into();
        rig.message("1", "auth.login", None, &login);
        let out = rig.challenge(public_key);
        let id = if own_id { said(&out[0]).0 } else { "99".into() };
        let response = json!({ "sender_id": sender_id, "signature": signature });
        let out = rig.message(&id, "auth.challenge.response", None, &response);
        assert_eq!(said(&out[0]), ("1".into(), "auth.login.response".into(), false.into()));
        assert!(matches!(out[1], Output::Close(Close::Policy(_))));
    }
}

#[test]
fn a_refused_login_is_answered_and_closed() {
    let mut rig = Rig::new();
    rig.message("1", "auth.login", None, &login_by_key("k"));
    let fault = Fault::new(ErrorCode::REVOKED, "gone");
    let out = rig.input(Input::Verdict(Verdict::Refused(fault)));
    assert_eq!(said(&out[0]), ("1".into(), "auth.login.response".into(), false.into()));
    assert_eq!(out[1], Output::Close(Close::Policy("login failed")));
    assert_eq!(Close::Policy("").code(), 1008);
}

#[test]
fn every_message_needs_the_token_of_this_connection() {
    let mut rig = Rig::open(60);
    for token in [None, Some("t2"), Some("")] {
        let out = rig.message("2", "device.status", token, &status());
        assert_eq!(out.len(), 1);
        assert_eq!(said(&out[0]), error("2", "token_invalid"));
        rig.pass(1);
    }
    let out = rig.message("3", "device.status", Some("t1"), &status());
    assert_eq!(said(&out[0]), ("3".into(), "device.status.response".into(), true.into()));
    assert!(matches!(out[1], Output::Report(_, Report::Status(_))));
}

#[test]
fn an_expired_token_loses_no_message_and_a_new_login_on_the_same_socket_goes_on() {
    let mut rig = Rig::open(30);
    rig.pass(29);
    assert_eq!(rig.message("2", "stream.ended", Some("t1"), &ended()).len(), 1);
    rig.pass(1);
    // At the very millisecond of the expiry: refused with the request's id, not processed.
    let out = rig.message("3", "stream.ended", Some("t1"), &ended());
    assert_eq!(out.len(), 1);
    assert_eq!(said(&out[0]), error("3", "token_expired"));
    // What was accepted before is still answered.
    let out = rig.input(Input::EndStored("2".parse().unwrap(), Ok(())));
    assert_eq!(said(&out[0]), ("2".into(), "stream.ended.response".into(), true.into()));

    let out = rig.message("4", "auth.login", None, &login_by_key("k"));
    assert!(matches!(out[..], [Output::Authenticate(Attempt::DeviceKey { .. })]));
    let out = rig.accept("t2", 30);
    assert_eq!(said(&out[0]), ("4".into(), "auth.login.response".into(), true.into()));
    let out = rig.message("3", "stream.ended", Some("t2"), &ended());
    assert!(matches!(out[..], [Output::Report(_, Report::Ended(_))]));
    rig.pass(1);
    assert_eq!(
        said(&rig.message("5", "stream.stats", Some("t1"), &json!({}))[0]),
        error("5", "token_expired")
    );
}

#[test]
fn a_login_ahead_of_the_expiry_leaves_the_old_token_good_for_what_is_on_its_way() {
    let mut rig = Rig::open(30);
    rig.message("2", "auth.login", Some("t1"), &login_by_key("k"));
    rig.accept("t2", 60);
    for token in ["t1", "t2"] {
        assert_eq!(said(&rig.message("3", "device.status", Some(token), &status())[0]).2, true);
    }
}

#[test]
fn a_connection_stays_its_senders() {
    let mut rig = Rig::open(30);
    let mut login = login_by_key("k");
    login["sender_id"] = "snd_2".into();
    let out = rig.message("2", "auth.login", None, &login);
    assert_eq!(said(&out[0]).2, false);
    assert!(matches!(out[1], Output::Close(Close::Policy(_))));
}

#[test]
fn unknown_types_and_bad_payloads_are_answered_and_the_connection_lives() {
    let mut rig = Rig::open(60);
    let out = rig.message("2", "device.teleport", Some("t1"), &json!({}));
    assert_eq!(said(&out[0]), error("2", "unknown_type"));
    let out = rig.message("3", "stream.stats", Some("t1"), &json!({}));
    assert_eq!(said(&out[0]), error("3", "missing_field"));
    let out = rig.input(Input::Text(r#"{"id":"4","type":5}"#));
    assert_eq!(said(&out[0]), error("4", "invalid_field"));
    assert_eq!(said(&rig.message("5", "device.status", Some("t1"), &status())[0]).2, true);
}

#[test]
fn a_whole_journal_is_taken_at_once() {
    let mut rig = Rig::new();
    rig.session = Session::new(rig.now, Limits::from(&SessionConfig::default()), 7);
    rig.message("login", "auth.login", None, &login_by_key("k"));
    rig.accept("t1", 3600);
    for n in 0..strata_proto::control::JOURNAL_MESSAGES {
        let did = rig.message(&format!("e{n}"), "stream.ended", Some("t1"), &ended());
        assert!(matches!(did.as_slice(), [Output::Report(_, Report::Ended(_))]), "{n}: {did:?}");
    }
    // And it still has something to say of today.
    let did = rig.message("s", "device.status", Some("t1"), &status());
    assert_eq!(said(&did[0]).2, true);
}

#[test]
fn a_flood_is_told_to_wait_and_then_closed() {
    let mut rig = Rig::open(60);
    let send = |rig: &mut Rig| rig.message("2", "device.status", Some("t1"), &status());
    for _ in 0..4 {
        assert_eq!(said(&send(&mut rig)[0]).2, true);
    }
    for _ in 0..5 {
        assert_eq!(said(&send(&mut rig)[0]), error("2", "rate_limited"));
    }
    rig.pass(1);
    assert_eq!(said(&send(&mut rig)[0]).2, true);
    assert_eq!(said(&send(&mut rig)[0]).2, true);
    // Nonsense counts too.
    for _ in 0..5 {
        assert_eq!(said(&rig.input(Input::Text("{"))[0]).2, "rate_limited");
    }
    assert_eq!(send(&mut rig), [Output::Close(Close::Policy("too many messages"))]);
}

#[test]
fn pings_every_fifteen_seconds_and_gives_up_after_fortyfive() {
    let mut rig = Rig::open(3600);
    assert_eq!(rig.deadline(), Duration::from_secs(15));
    for _ in 0..2 {
        rig.pass(15);
        assert_eq!(rig.input(Input::Timeout), [Output::Ping]);
    }
    rig.pass(10);
    assert_eq!(rig.input(Input::Alive), []);
    rig.pass(5);
    assert_eq!(rig.input(Input::Timeout), [Output::Ping]);
    assert_eq!(rig.deadline(), Duration::from_secs(15));
    rig.pass(39);
    assert_eq!(rig.input(Input::Timeout), [Output::Ping]);
    assert_eq!(rig.deadline(), Duration::from_secs(1));
    rig.pass(1);
    assert_eq!(rig.input(Input::Timeout), [Output::Close(Close::Silent)]);
}

#[test]
fn replies_and_errors_of_the_agent_are_reported_with_their_request() {
    let mut rig = Rig::open(60);
    let out = rig.message("9", "stream.stop.response", Some("t1"), &json!({ "success": true }));
    let [Output::Report(id, Report::Reply(kind, reply))] = &out[..] else { panic!("{out:?}") };
    assert_eq!((id.as_str(), *kind, reply.success), ("9", Some(CommandKind::StreamStop), true));
    let out = rig.message("9", "error", Some("t1"), &json!({ "code": "unknown_type", "message": "?" }));
    let [Output::Report(_, Report::Reply(None, reply))] = &out[..] else { panic!("{out:?}") };
    assert!(!reply.success);
}

#[test]
fn nothing_follows_a_close() {
    let mut rig = Rig::open(60);
    rig.input(Input::Binary);
    assert_eq!(rig.message("2", "device.status", Some("t1"), &status()), []);
}

fn ended() -> Value {
    json!({ "stream_id": "str_1", "reason": "error", "duration_s": 1, "total_bytes": 1 })
}

fn base64_url(bytes: &[u8]) -> String {
    use base64::Engine as _;
    base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(bytes)
}
