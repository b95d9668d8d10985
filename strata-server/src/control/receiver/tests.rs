//! A stand-in receiver (a few lines of Python) shows what the supervisor does with a process; the
//! real one is in the end-to-end tests.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use super::*;

const ID: &str = "str_0000";

/// Greets each connection, echoes `stats` with what it was told, obeys `stop`.
const STAND_IN: &str = r#"#!/usr/bin/env python3
import json, os, socket, sys
arg = dict(zip(sys.argv[1::2], sys.argv[2::2]))
if arg["--latency-ms"] == "1":
    sys.exit("port 15000: address in use")
server = socket.socket(socket.AF_UNIX)
server.bind(arg["--control-socket"])
server.listen()
while True:
    link, _ = server.accept()
    lines = link.makefile("rw")
    def say(**event):
        lines.write(json.dumps(event) + "\n"); lines.flush()
    say(event="ready", stream_id=arg["--stream-id"], pid=os.getpid(),
        ports=[int(p) for p in arg["--ports"].split(",")])
    for line in lines:
        command = json.loads(line)
        if command["cmd"] == "stop":
            say(event="stopped", reason="stop"); sys.exit(0)
        if command["cmd"] == "update_forward":
            say(event="error", part="output 0", message=command["outputs"][0]["uri"])
        if command["cmd"] == "stats":
            os._exit(3)
"#;

fn plan(dir: &Path, latency_ms: u32) -> Launch {
    let program = dir.join("receiver");
    std::fs::write(&program, STAND_IN).unwrap();
    std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).unwrap();
    Launch {
        program,
        stream_id: ID.parse().unwrap(),
        bind: "127.0.0.1".parse().unwrap(),
        ports: vec![15_000, 15_002],
        socket: dir.join("receiver.sock"),
        log: dir.join("receiver.log"),
        latency_ms,
        idle_timeout: Duration::from_secs(60),
        record: None,
        ready_within: Duration::from_secs(30),
    }
}

#[tokio::test]
async fn a_receiver_is_steered_through_its_socket_and_stopped() {
    let dir = tempfile::tempdir().unwrap();
    let mut receiver = launch(plan(dir.path(), 1000)).await.unwrap();
    assert_eq!(receiver.ports(), [15_000, 15_002]);
    let outputs = vec![strata_proto::control::ReceiverOutput {
        uri: strata_proto::token::Secret::new("srt://127.0.0.1:9000"),
    }];
    receiver.send(&ReceiverCommand::UpdateForward { outputs }).await;
    let News::Event(ReceiverEvent::Error { message, .. }) = receiver.next().await else { panic!() };
    assert_eq!(message, "srt://127.0.0.1:9000");
    receiver.send(&ReceiverCommand::Stop).await;
    let News::Gone(gone) = receiver.next().await else { panic!() };
    assert_eq!(gone, Gone::Stopped);
    assert!(!dir.path().join("receiver.sock").exists());
}

#[tokio::test]
async fn a_crash_is_seen_with_its_cause() {
    let dir = tempfile::tempdir().unwrap();
    let mut receiver = launch(plan(dir.path(), 1000)).await.unwrap();
    receiver.send(&ReceiverCommand::Stats).await;
    let News::Gone(gone) = receiver.next().await else { panic!() };
    assert_eq!(gone, Gone::Crashed("it ended by itself (exit status: 3)".to_owned()));

    let mut receiver = launch(plan(dir.path(), 1000)).await.unwrap();
    receiver.kill();
    let News::Gone(Gone::Crashed(cause)) = receiver.next().await else { panic!() };
    assert!(cause.contains("signal: 9"), "{cause}");
}

#[tokio::test]
async fn a_receiver_outlives_its_starter_and_is_found_again() {
    let dir = tempfile::tempdir().unwrap();
    let plan = plan(dir.path(), 1000);
    let first = launch(plan.clone()).await.unwrap();
    let pid = first.pid();
    drop(first);
    let mut again = Receiver::connect(&plan.socket, Duration::from_secs(10)).await.unwrap();
    assert_eq!((again.pid(), again.stream_id().as_str(), again.ports()), (pid, ID, &[15_000, 15_002][..]));
    again.kill();
    let News::Gone(Gone::Crashed(_)) = again.next().await else { panic!() };
}

#[tokio::test]
async fn a_receiver_that_cannot_bind_says_why() {
    let dir = tempfile::tempdir().unwrap();
    let error = launch(plan(dir.path(), 1)).await.unwrap_err();
    let text = error.to_string();
    assert!(text.contains("exit status: 1") && text.contains("port 15000: address in use"), "{text}");
    let mut missing = plan(dir.path(), 1000);
    missing.program = dir.path().join("no-such-program");
    let error = launch(missing).await.unwrap_err();
    assert!(error.to_string().contains("no-such-program"), "{error}");
}

#[tokio::test]
async fn the_socket_of_a_dead_process_is_stale() {
    let dir = tempfile::tempdir().unwrap();
    let socket = dir.path().join("dead.sock");
    drop(std::os::unix::net::UnixListener::bind(&socket).unwrap());
    let error = Receiver::connect(&socket, Duration::from_secs(10)).await.unwrap_err();
    assert!(matches!(error, ReceiverError::Stale), "{error}");
}
