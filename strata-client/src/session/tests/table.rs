//! Every state × every input: what the machine does, and where it is then.

use std::fmt::Write as _;

use strata_proto::control::ErrorCode;

use super::*;

/// Takes a new rig into `state`; its login's id, if one is under way.
fn bring(state: State) -> (Rig, MessageId) {
    let mut rig = Rig::enrolled();
    let mut login = id("none");
    if state == State::Dialing {
        rig.drain();
    } else if matches!(state, State::LoggingIn | State::Proving) {
        rig.drain();
        login = login_id(&rig.input(Input::Connected));
        if state == State::Proving {
            rig.hear("ch", challenge());
        }
    } else {
        rig.log_in();
        rig.jump(SECOND);
    }
    match state {
        State::Renewing => {
            let did = rig.hear("x", ControlMessage::Error(Fault::new(ErrorCode::TOKEN_EXPIRED, "expired")));
            login = login_id(&did);
        }
        State::Waiting => {
            rig.input(Input::Broken("gone"));
        }
        State::Closing => {
            rig.input(ended(1));
            rig.input(Input::Shutdown);
        }
        State::Closed => {
            rig.input(Input::Shutdown);
        }
        _ => {}
    }
    assert_eq!(rig.session.state(), state);
    (rig, login)
}

/// Gives the named input.
fn give(rig: &mut Rig, login: &MessageId, name: &str) -> Vec<Did> {
    let fault = |code: ErrorCode| Fault::new(code, "…");
    let login = login.as_str();
    match name {
        "Connected" => rig.input(Input::Connected),
        "DialFailed" => rig.input(Input::DialFailed("refused")),
        "Text: auth.challenge" => rig.hear("ch2", challenge()),
        "Text: login accepted" => rig.hear(login, accepted("token-2")),
        "Text: login refused" => rig.hear(login, refused(fault(ErrorCode::REVOKED))),
        "Text: another login's answer" => rig.hear("other", accepted("token-2")),
        "Text: error about the login" => {
            rig.hear(login, ControlMessage::Error(fault(ErrorCode::INVALID_FIELD)))
        }
        "Text: error token_expired" => rig.hear("m", ControlMessage::Error(fault(ErrorCode::TOKEN_EXPIRED))),
        "Text: another error" => rig.hear("m", ControlMessage::Error(fault(ErrorCode::INTERNAL))),
        "Text: a command" => rig.hear("c", ControlMessage::Command(stop())),
        "Text: an answer to nothing" => rig.hear("m", ControlMessage::StreamEndedReply(Reply::ok())),
        "Text: a bad command" => rig.input(Input::Text(
            r#"{"id":"c","type":"stream.stop","ts":"2026-02-14T10:30:00Z","payload":{}}"#,
        )),
        "Text: unknown type" => {
            rig.input(Input::Text(r#"{"id":"c","type":"no.such","ts":"2026-02-14T10:30:00Z","payload":{}}"#))
        }
        "Text: not JSON" => rig.input(Input::Text("{")),
        "Binary" => rig.input(Input::Binary),
        "TooBig" => rig.input(Input::TooBig),
        "Ping" => rig.input(Input::Ping),
        "Pong" => rig.input(Input::Pong(&[0; 8])),
        "Closed 1000" => rig.input(Input::Closed { code: 1000, reason: "" }),
        "Closed 1001" => rig.input(Input::Closed { code: 1001, reason: "restart" }),
        "Closed 1008" => rig.input(Input::Closed { code: 1008, reason: "policy" }),
        "Closed 1009" => rig.input(Input::Closed { code: 1009, reason: "" }),
        "Closed 4001" => rig.input(Input::Closed { code: 4001, reason: "replaced" }),
        "Broken" => rig.input(Input::Broken("reset")),
        "Send: device.status" => rig.input(status()),
        "Send: stream.stats" => rig.input(stats(1)),
        "Send: stream.ended" => rig.input(ended(2)),
        "Reply to nothing" => rig.input(Input::Reply { id: id("c"), reply: Reply::ok() }),
        "StatusChanged" => rig.input(Input::StatusChanged),
        "Shutdown" => rig.input(Input::Shutdown),
        "Timeout, early" => rig.input(Input::Timeout),
        "Timeout, when asked for" => {
            let Output::Timeout(at) = rig.session.poll_output() else { panic!("drained") };
            if let Some(at) = at {
                rig.jump(at.saturating_duration_since(rig.now.monotonic));
            }
            rig.input(Input::Timeout)
        }
        "silence" => {
            rig.jump(45 * SECOND);
            rig.input(Input::Timeout)
        }
        other => panic!("no input {other}"),
    }
}

const STATES: [State; 8] = [
    State::Dialing,
    State::LoggingIn,
    State::Proving,
    State::Ready,
    State::Renewing,
    State::Waiting,
    State::Closing,
    State::Closed,
];

const INPUTS: [&str; 33] = [
    "Connected",
    "DialFailed",
    "Text: auth.challenge",
    "Text: login accepted",
    "Text: login refused",
    "Text: another login's answer",
    "Text: error about the login",
    "Text: error token_expired",
    "Text: another error",
    "Text: a command",
    "Text: an answer to nothing",
    "Text: a bad command",
    "Text: unknown type",
    "Text: not JSON",
    "Binary",
    "TooBig",
    "Ping",
    "Pong",
    "Closed 1000",
    "Closed 1001",
    "Closed 1008",
    "Closed 1009",
    "Closed 4001",
    "Broken",
    "Send: device.status",
    "Send: stream.stats",
    "Send: stream.ended",
    "Reply to nothing",
    "StatusChanged",
    "Shutdown",
    "Timeout, early",
    "Timeout, when asked for",
    "silence",
];

/// One word or two for each thing done.
fn show(did: &Did) -> String {
    match did {
        Did::Dial => "dial".into(),
        Did::Ping(_) => "ping".into(),
        Did::Close(code) => format!("close({code})"),
        Did::Sent(sent) => {
            let token = sent.token.as_ref().map(|token| format!(" +{}", token.expose())).unwrap_or_default();
            format!("send({}{token})", sent.message.message_type())
        }
        Did::Event(Event::Disconnected { cause, retry_in }) => {
            let kind = format!("{cause:?}");
            let kind = kind.split(['(', ' ']).next().unwrap_or_default().to_owned();
            format!("Disconnected({kind}, retry in {:.1} s)", retry_in.as_secs_f64())
        }
        Did::Event(event) => {
            let name = format!("{event:?}");
            name.split(['(', ' ', '{']).next().unwrap_or_default().to_owned()
        }
    }
}

#[test]
fn every_state_and_input() {
    let mut table = String::new();
    for state in STATES {
        writeln!(table, "{state:?}").unwrap();
        for name in INPUTS {
            let (mut rig, login) = bring(state);
            let did = give(&mut rig, &login, name);
            let did: Vec<String> = did.iter().map(show).collect();
            let next = rig.session.state();
            let next = if next == state { "·".to_owned() } else { format!("{next:?}") };
            let did = if did.is_empty() { "–".to_owned() } else { did.join(", ") };
            writeln!(table, "  {name:<29} → {next:<9} {did}").unwrap();
        }
    }
    insta::assert_snapshot!(table);
}
