//! Every invalid golden message to an agent over a live socket: a typed error where there is a message to
//! answer, and the connection lives.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use serde_json::Value;
use serde_json::value::RawValue;
use strata_client::role::agent::{self, Agent};
use strata_proto::control::{AgentMessage, CommandKind, ControlMessage, ErrorCode, Fault, InterfacesScan};
use strata_proto::id::MessageId;
use tokio_tungstenite::tungstenite::Message;

use super::server::{Server, identity};

/// Does nothing, so that every good command is answered `unsupported`.
struct Idle;

impl Agent for Idle {
    fn capabilities(&self) -> Vec<CommandKind> {
        Vec::new()
    }
}

/// `(file, text, error)` of every invalid vector of what an agent receives.
fn invalid() -> Vec<(PathBuf, String, Value)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../strata-proto/vectors/control/invalid/control");
    let entries = |dir: &Path| std::fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path());
    let files = entries(&root).flat_map(|kind| entries(&kind));
    let read = |path: PathBuf| {
        let mut vector: Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
        let text = match &vector["text"] {
            Value::String(text) => text.clone(),
            _ => vector["input"].to_string(),
        };
        (path, text, vector["error"].take())
    };
    files.map(read).collect()
}

/// The id that an answer to this text has; `None` where there must be none.
fn answerable(text: &str, error: &Value) -> Option<MessageId> {
    // As raw text: a number may be one that cannot be read.
    let sent: HashMap<String, Box<RawValue>> = serde_json::from_str(text).ok()?;
    let member = |name: &str| serde_json::from_str::<String>(sent.get(name)?.get()).ok();
    let id = member("id")?.parse().ok()?;
    let message_type = member("type").unwrap_or_default();
    // Answers and errors are not answered: it would go round in circles. Of two ids neither is the message's.
    let is_answer = message_type == "error" || message_type.ends_with(".response");
    (!is_answer && error["path"] != "id").then_some(id)
}

#[tokio::test]
async fn every_invalid_message_is_answered_and_the_connection_lives() {
    let server = Server::start(&["localhost"]).await;
    let (_handle, driver) = agent::connect(server.config(), identity(), Idle).unwrap();
    tokio::spawn(driver.run());
    let mut peer = server.accept().await;
    peer.log_in().await;
    let mut answered = 0;
    let vectors = invalid();
    for (n, (path, text, error)) in vectors.iter().enumerate() {
        let path = path.display();
        peer.send_raw(Message::text(text.clone())).await;
        if let Some(id) = answerable(text, error) {
            let envelope = peer.next_important().await;
            let fault: Fault = match envelope.message {
                AgentMessage::Reply(_, reply) => reply.error.expect("a failure"),
                AgentMessage::Error(fault) => fault,
                other => panic!("{path}: {other:?}"),
            };
            assert_eq!(envelope.id, id, "{path}");
            assert_eq!(fault.code.as_str(), error["kind"], "{path}: {fault:?}");
            assert_eq!(fault.field.as_deref(), error["path"].as_str(), "{path}: {fault:?}");
            answered += 1;
        }
        // The next thing it says is the answer to a good command.
        let good: MessageId = format!("good-{n}").parse().unwrap();
        peer.send(&good, ControlMessage::Command(InterfacesScan {}.into())).await;
        let envelope = peer.next_important().await;
        let AgentMessage::Reply(_, reply) = envelope.message else { panic!("{path}: {envelope:?}") };
        assert_eq!((envelope.id, reply.error.unwrap().code), (good, ErrorCode::UNSUPPORTED), "{path}");
    }
    assert!(answered > vectors.len() / 2, "{answered} of {}", vectors.len());
}
