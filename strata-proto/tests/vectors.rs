//! Walks `vectors/`: every file is tried, and every message has the files it must have.
//! What the directories mean is in `vectors/README.md`.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use strata_proto::control::{
    AgentMessage, CommandKind, ControlMessage, DestinationCreate, DestinationUpdate, DestinationView,
    Envelope, LiveFrame, LiveRequest, LoginRequest, LoginTokens, Message, Problem, RawEnvelope,
    ReceiverCommand, ReceiverEvent, RefreshRequest, SenderCreate, SenderCreated, SenderUpdate, SenderView,
    StartStream, StopStream, StreamView, UpdateStream,
};
use strata_proto::{DecodeError, DecodeErrorKind, error};

/// One file, and where it lies: `control/<set>/<group>/<kind>/<name>.json`.
struct Vector {
    path: PathBuf,
    group: String,
    kind: String,
    name: String,
    content: String,
}

impl Vector {
    fn json(&self) -> Value {
        serde_json::from_str(&self.content).unwrap_or_else(|e| panic!("{}: {e}", self.path.display()))
    }

    /// `text` as it stands, or `input` as JSON.
    fn input(&self, file: &Value) -> String {
        match (file.get("text"), file.get("input")) {
            (Some(Value::String(text)), None) => text.clone(),
            (None, Some(input)) => input.to_string(),
            _ => panic!("{}: exactly one of text and input", self.path.display()),
        }
    }
}

#[test]
fn valid_vectors_decode_and_encode_to_the_same_value() {
    for vector in load("valid") {
        let encoded = decode(&vector, &vector.content)
            .unwrap_or_else(|e| panic!("{}: {e} ({:?})", vector.path.display(), e.kind));
        let encoded: Value = serde_json::from_str(&encoded).unwrap();
        assert_eq!(encoded, vector.json(), "{}", vector.path.display());
    }
}

#[test]
fn lenient_vectors_decode_and_encode_to_the_written_form() {
    for vector in load("lenient") {
        let file = vector.json();
        let encoded = decode(&vector, &vector.input(&file))
            .unwrap_or_else(|e| panic!("{}: {e} ({:?})", vector.path.display(), e.kind));
        let encoded: Value = serde_json::from_str(&encoded).unwrap();
        assert_eq!(encoded, file["output"], "{}", vector.path.display());
    }
}

#[test]
fn invalid_vectors_give_the_error_they_name() {
    let mut wrong = Vec::new();
    for vector in load("invalid") {
        let file = vector.json();
        let expected = &file["error"];
        let got = match decode(&vector, &vector.input(&file)) {
            Ok(encoded) => serde_json::json!({ "decoded": encoded }),
            Err(e) => serde_json::json!({ "kind": e.kind.code(), "path": e.path, "reason": e.reason }),
        };
        if got != *expected {
            wrong.push(format!("{}\n  expected {expected}\n  got      {got}", vector.path.display()));
        }
    }
    assert!(wrong.is_empty(), "{} vectors:\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn every_message_has_its_vectors() {
    let valid = load("valid");
    let invalid = load("invalid");
    let mut missing = Vec::new();
    for (group, kind) in every_kind() {
        if !valid.iter().any(|v| v.group == group && v.kind == kind) {
            missing.push(format!("valid/{group}/{kind}"));
        }
        for sort in sorts(group, &kind) {
            if !invalid.iter().any(|v| v.group == group && v.kind == kind && v.name.starts_with(sort)) {
                missing.push(format!("invalid/{group}/{kind}/{sort}"));
            }
        }
    }
    assert!(missing.is_empty(), "no vectors for:\n{}", missing.join("\n"));

    let known: BTreeSet<(String, String)> =
        every_kind().into_iter().map(|(group, kind)| (group.to_owned(), kind)).collect();
    for v in valid.iter().chain(&invalid).filter(|v| v.kind != ENVELOPE) {
        assert!(known.contains(&(v.group.clone(), v.kind.clone())), "{}: of no message", v.path.display());
    }
}

#[test]
fn a_message_that_does_not_decode_still_has_its_id() {
    for vector in load("invalid").iter().filter(|v| v.group == "agent" && v.kind != ENVELOPE) {
        let id = RawEnvelope::find_id(&vector.input(&vector.json()));
        let lost = vector.name.starts_with("bad_id") || vector.name.starts_with("not_json");
        assert_eq!(id.is_none(), lost, "{}: {id:?}", vector.path.display());
    }
}

/// What belongs to no single message: unknown types, envelopes without a type, …
const ENVELOPE: &str = "_any";

const LIVE_FRAMES: [&str; 5] = ["ready", "snapshot", "event", "lagged", "error"];
const RECEIVER_COMMANDS: [&str; 3] = ["stop", "stats", "update_forward"];
const RECEIVER_EVENTS: [&str; 5] = ["ready", "recording", "stats", "error", "stopped"];

fn every_kind() -> Vec<(&'static str, String)> {
    let agent = ["auth.login", "auth.challenge.response", "device.status", "stream.stats", "stream.ended"];
    let control =
        ["auth.challenge", "auth.login.response", "device.status.response", "stream.ended.response", "error"];
    let mut all: Vec<(&'static str, String)> = Vec::new();
    all.extend(agent.iter().chain(&["command.progress", "error"]).map(|kind| ("agent", (*kind).to_owned())));
    all.extend(CommandKind::ALL.iter().map(|kind| ("agent", format!("{kind}.response"))));
    all.extend(control.iter().map(|kind| ("control", (*kind).to_owned())));
    all.extend(CommandKind::ALL.iter().map(|kind| ("control", kind.to_string())));
    all.push(("live_request", "request".to_owned()));
    all.extend(LIVE_FRAMES.iter().map(|kind| ("live_frame", (*kind).to_owned())));
    all.extend(RECEIVER_COMMANDS.iter().map(|kind| ("receiver_command", (*kind).to_owned())));
    all.extend(RECEIVER_EVENTS.iter().map(|kind| ("receiver_event", (*kind).to_owned())));
    all.extend(BODIES.iter().map(|(kind, _)| ("rest", (*kind).to_owned())));
    all
}

/// The sorts of fault that can be made in a message of this kind.
fn sorts(group: &str, kind: &str) -> Vec<&'static str> {
    let mut sorts = vec!["wrong_type", "not_json"];
    if decodes_without_fields(group, kind).is_err() {
        sorts.push("missing_field");
    }
    if matches!(group, "agent" | "control") {
        sorts.extend(["bad_ts", "bad_id"]);
    }
    if group == "receiver_command" && matches!(kind, "stop" | "stats") {
        return vec!["not_json"];
    }
    sorts
}

fn decodes_without_fields(group: &str, kind: &str) -> Result<(), DecodeError> {
    match group {
        "agent" => AgentMessage::decode(kind, "{}").map(|_| ()),
        "control" => ControlMessage::decode(kind, "{}").map(|_| ()),
        "live_request" => LiveRequest::decode("{}").map(|_| ()),
        "live_frame" => LiveFrame::decode(&format!(r#"{{"type":"{kind}"}}"#)).map(|_| ()),
        "receiver_command" => ReceiverCommand::decode(&format!(r#"{{"cmd":"{kind}"}}"#)).map(|_| ()),
        "receiver_event" => ReceiverEvent::decode(&format!(r#"{{"event":"{kind}"}}"#)).map(|_| ()),
        _ => body(kind)("{}").map(|_| ()),
    }
}

/// Decodes with the decoder of the vector's group, and encodes again.
fn decode(vector: &Vector, text: &str) -> Result<String, DecodeError> {
    match &*vector.group {
        "agent" => envelope::<AgentMessage>(vector, text),
        "control" => envelope::<ControlMessage>(vector, text),
        "live_request" => LiveRequest::decode(text).map(|x| to_json(&x)),
        "live_frame" => LiveFrame::decode(text).map(|x| tagged(vector, "type", &x)),
        "receiver_command" => ReceiverCommand::decode(text).map(|x| tagged(vector, "cmd", &x)),
        "receiver_event" => ReceiverEvent::decode(text).map(|x| tagged(vector, "event", &x)),
        "rest" => body(&vector.kind)(text),
        other => panic!("{}: no decoder for {other}", vector.path.display()),
    }
}

fn envelope<M: Message>(vector: &Vector, text: &str) -> Result<String, DecodeError> {
    let envelope = Envelope::<M>::decode(text)?;
    if vector.kind != ENVELOPE {
        assert_eq!(envelope.message.message_type(), *vector.kind, "{}", vector.path.display());
    }
    Ok(envelope.encode().expect("encodable"))
}

fn tagged<T: Serialize>(vector: &Vector, tag: &str, value: &T) -> String {
    let json = serde_json::to_value(value).expect("serialisable");
    if vector.kind != ENVELOPE {
        assert_eq!(json[tag], *vector.kind, "{}", vector.path.display());
    }
    json.to_string()
}

fn to_json<T: Serialize>(value: &T) -> String {
    serde_json::to_string(value).expect("serialisable")
}

type Body = fn(&str) -> Result<String, DecodeError>;

/// The REST bodies, by type name.
const BODIES: &[(&str, Body)] = &[
    ("DestinationCreate", rest::<DestinationCreate>),
    ("DestinationUpdate", rest::<DestinationUpdate>),
    ("DestinationView", rest::<DestinationView>),
    ("LoginRequest", rest::<LoginRequest>),
    ("LoginTokens", rest::<LoginTokens>),
    ("Problem", rest::<Problem>),
    ("RefreshRequest", rest::<RefreshRequest>),
    ("SenderCreate", rest::<SenderCreate>),
    ("SenderCreated", rest::<SenderCreated>),
    ("SenderUpdate", rest::<SenderUpdate>),
    ("SenderView", rest::<SenderView>),
    ("StartStream", rest::<StartStream>),
    ("StopStream", rest::<StopStream>),
    ("StreamView", rest::<StreamView>),
    ("UpdateStream", rest::<UpdateStream>),
];

fn body(kind: &str) -> Body {
    BODIES.iter().find(|(name, _)| *name == kind).unwrap_or_else(|| panic!("no body {kind}")).1
}

fn rest<T: DeserializeOwned + Serialize>(text: &str) -> Result<String, DecodeError> {
    error::from_json::<T>(text, "").map(|x| to_json(&x))
}

fn load(set: &str) -> Vec<Vector> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("vectors/control").join(set);
    let mut vectors = Vec::new();
    for group in entries(&root) {
        for kind in entries(&group) {
            vectors.extend(entries(&kind).into_iter().map(|path| read(&group, &kind, path)));
        }
    }
    assert!(!vectors.is_empty(), "{}: no vectors", root.display());
    vectors
}

fn read(group: &Path, kind: &Path, path: PathBuf) -> Vector {
    assert!(path.extension().is_some_and(|e| e == "json"), "{}: not a .json file", path.display());
    let text = |path: &Path| path.file_name().and_then(|n| n.to_str()).expect("named").to_owned();
    let content = std::fs::read_to_string(&path).expect("readable UTF-8");
    Vector { group: text(group), kind: text(kind), name: text(&path), path, content }
}

fn entries(directory: &Path) -> Vec<PathBuf> {
    let read = std::fs::read_dir(directory).unwrap_or_else(|e| panic!("{}: {e}", directory.display()));
    let mut paths: Vec<PathBuf> = read.map(|entry| entry.expect("readable directory").path()).collect();
    paths.sort();
    paths
}

#[test]
fn the_kinds_of_fault_have_distinct_codes() {
    let kinds = [
        DecodeErrorKind::Syntax,
        DecodeErrorKind::Missing,
        DecodeErrorKind::Invalid,
        DecodeErrorKind::UnknownType,
    ];
    assert_eq!(kinds.iter().map(|kind| kind.code()).collect::<BTreeSet<_>>().len(), kinds.len());
}
