//! The agent role over a real connection.

use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use async_trait::async_trait;
use strata_client::role::agent::{self, Agent, Context, EndedError, Event, Handle, Reporter};
use strata_client::session::Disconnect;
use strata_client::{Config, Identity};
use strata_proto::control::{
    AgentMessage, CommandCancel, CommandKind, ConfigGet, ConfigGetResult, ControlMessage, DeviceStatus,
    EndReason, ErrorCode, Fault, FilesList, FilesListResult, InterfacesScan, LogsGet, LogsGetResult,
    MediaDelete, Reply, StreamEnded, StreamStop,
};
use strata_proto::id::MessageId;
use tokio::sync::Notify;
use tokio::task::JoinHandle;
use tokio_tungstenite::tungstenite::Message;

use super::server::{Peer, Server, identity};

/// An agent that can do a few things, and counts.
#[derive(Clone, Default)]
struct Camera {
    calls: Arc<AtomicUsize>,
    started: Arc<AtomicUsize>,
    /// Told of every config.get.
    asked: Arc<Notify>,
    /// Reported when the agent starts.
    at_start: Option<StreamEnded>,
}

#[async_trait]
impl Agent for Camera {
    fn capabilities(&self) -> Vec<CommandKind> {
        use CommandKind as C;
        vec![C::StreamStop, C::LogsGet, C::FilesList, C::MediaDelete, C::ConfigGet]
    }

    async fn started(&self, reporter: Reporter) {
        // What was found at start may be reported at once: nothing here waits for a login.
        if let Some(ended) = self.at_start.clone() {
            reporter.ended(ended).await.unwrap();
        }
        self.started.fetch_add(1, Ordering::SeqCst);
    }

    async fn status(&self) -> Option<DeviceStatus> {
        Some(DeviceStatus { uptime_s: 7, ..DeviceStatus::default() })
    }

    async fn stream_stop(&self, _: Context, command: StreamStop) -> Result<(), Fault> {
        self.calls.fetch_add(1, Ordering::SeqCst);
        Err(Fault::new(ErrorCode::NOT_FOUND, format!("no stream {}", command.stream_id)))
    }

    async fn logs_get(&self, ctx: Context, _: LogsGet) -> Result<LogsGetResult, Fault> {
        ctx.progress(50.0, None);
        // A command that would take for ever.
        std::future::pending().await
    }

    async fn config_get(&self, _: Context, _: ConfigGet) -> Result<ConfigGetResult, Fault> {
        self.asked.notify_one();
        let text = "x".repeat(900 * 1024);
        Ok(ConfigGetResult { values: [("text".to_owned(), text.into())].into_iter().collect() })
    }

    async fn files_list(&self, _: Context, _: FilesList) -> Result<FilesListResult, Fault> {
        panic!("a defect of the vendor's");
    }
}

struct Running {
    handle: Handle,
    driver: JoinHandle<()>,
    camera: Camera,
}

fn run(config: Config, identity: Identity) -> Running {
    run_camera(config, identity, Camera::default())
}

fn run_camera(config: Config, identity: Identity, camera: Camera) -> Running {
    let (handle, driver) = agent::connect(config, identity, camera.clone()).unwrap();
    Running { handle, driver: tokio::spawn(driver.run()), camera }
}

fn id(text: &str) -> MessageId {
    text.parse().unwrap()
}

fn stop() -> ControlMessage {
    let stream_id = "str_1".parse().unwrap();
    ControlMessage::Command(StreamStop { stream_id, reason: None }.into())
}

fn ended() -> StreamEnded {
    let stream_id = "str_1".parse().unwrap();
    StreamEnded { stream_id, reason: EndReason::UserStop, duration_s: 1, total_bytes: 2, error: None }
}

async fn reply(peer: &mut Peer) -> (MessageId, CommandKind, Reply) {
    let envelope = peer.next_important().await;
    match envelope.message {
        AgentMessage::Reply(kind, reply) => (envelope.id, kind, reply),
        other => panic!("not a reply: {other:?}"),
    }
}

#[tokio::test]
async fn enrols_reports_its_status_and_answers_commands() {
    let server = Server::start(&["localhost"]).await;
    let running = run(server.config(), identity());
    let mut events = running.handle.events();
    let mut peer = server.accept().await;
    let login = peer.log_in().await;
    assert_eq!(login.enrollment_token.unwrap().expose(), "enr_test");
    assert_eq!(login.device_public_key, Some(identity().public_key()));
    let capabilities = login.capabilities.unwrap();
    assert!(
        capabilities.contains(&"logs.get".to_owned()) && capabilities.contains(&"command.cancel".to_owned())
    );

    let status = peer.next().await.unwrap();
    assert_eq!(status.token.unwrap().expose(), "token");
    let AgentMessage::DeviceStatus(status) = status.message else {
        panic!("{status:?}", status = status.message)
    };
    assert_eq!(status.uptime_s, 7);

    peer.send(&id("c1"), stop()).await;
    let (answered, kind, answer) = reply(&mut peer).await;
    assert_eq!((answered, kind), (id("c1"), CommandKind::StreamStop));
    assert_eq!(answer.error.unwrap().code, ErrorCode::NOT_FOUND);

    assert_eq!(running.camera.started.load(Ordering::SeqCst), 1);
    assert!(matches!(events.next().await, Some(Event::Enrolled { .. })));
    assert!(matches!(events.next().await, Some(Event::LoggedIn { .. })));
}

#[tokio::test]
async fn what_is_not_written_is_unsupported_and_what_breaks_breaks_alone() {
    let server = Server::start(&["localhost"]).await;
    let running = run(server.config(), identity());
    let mut peer = server.accept().await;
    peer.log_in().await;
    // Not among the capabilities; among them, but not written; and one that panics.
    let scan = ControlMessage::Command(InterfacesScan {}.into());
    let delete = ControlMessage::Command(MediaDelete { path: "x".into() }.into());
    let list = ControlMessage::Command(FilesList::default().into());
    for (name, command, code) in [
        ("c1", scan, ErrorCode::UNSUPPORTED),
        ("c2", delete, ErrorCode::UNSUPPORTED),
        ("c3", list, ErrorCode::INTERNAL),
        ("c4", stop(), ErrorCode::NOT_FOUND),
    ] {
        peer.send(&id(name), command).await;
        let (answered, _, answer) = reply(&mut peer).await;
        assert_eq!((answered, answer.error.unwrap().code), (id(name), code));
    }
    assert!(!running.driver.is_finished());
}

#[tokio::test]
async fn a_running_command_is_cancelled_and_answered_once() {
    let server = Server::start(&["localhost"]).await;
    let _running = run(server.config(), identity());
    let mut peer = server.accept().await;
    peer.log_in().await;
    peer.send(&id("c1"), ControlMessage::Command(LogsGet::default().into())).await;
    let AgentMessage::Progress(progress) = peer.next_important().await.message else { panic!("no progress") };
    assert_eq!((progress.command_id, progress.percent), (id("c1"), 50.0));
    let cancel = |name| ControlMessage::Command(CommandCancel { command_id: id(name) }.into());
    peer.send(&id("c2"), cancel("c1")).await;
    let mut answers = [reply(&mut peer).await, reply(&mut peer).await];
    answers.sort_by(|a, b| a.0.cmp(&b.0));
    assert_eq!(answers[0].2.error.as_ref().unwrap().code, ErrorCode::CANCELLED);
    assert!(answers[1].2.success);
    // It is over: there is nothing to cancel, and the same request again is answered as before.
    peer.send(&id("c3"), cancel("c1")).await;
    assert_eq!(reply(&mut peer).await.2.error.unwrap().code, ErrorCode::NOT_FOUND);
    peer.send(&id("c1"), ControlMessage::Command(LogsGet::default().into())).await;
    assert_eq!(reply(&mut peer).await, answers[0]);
}

#[tokio::test]
async fn comes_back_after_the_server_drops_and_knows_answered_requests() {
    let server = Server::start(&["localhost"]).await;
    let running = run(server.config(), identity());
    let mut events = running.handle.events();
    let mut peer = server.accept().await;
    peer.log_in().await;
    peer.send(&id("c1"), stop()).await;
    let first = reply(&mut peer).await;
    drop(peer);

    let mut peer = server.accept().await;
    let login = peer.log_in().await;
    assert_eq!(login.enrollment_token, None, "the token is used only once");
    assert_eq!(login.sender_id, Some("snd_1".parse().unwrap()));
    // Nothing proved that the first answer had arrived, so it comes again by itself.
    assert_eq!(reply(&mut peer).await, first);
    peer.send(&id("c1"), stop()).await;
    assert_eq!(reply(&mut peer).await, first);
    assert_eq!(running.camera.calls.load(Ordering::SeqCst), 1, "carried out once");
    let mut seen = Vec::new();
    while seen.len() < 4 {
        seen.push(events.next().await.unwrap());
    }
    assert!(matches!(&seen[2], Event::Disconnected { cause: Disconnect::Broken(_), .. }), "{seen:?}");
}

#[tokio::test]
async fn the_end_of_a_stream_survives_the_process() {
    let directory = tempfile::tempdir().unwrap();
    let open = || Identity::load_or_create(directory.path()).unwrap();
    let server = Server::start(&["localhost"]).await;
    let running = run(server.config(), open());
    let mut peer = server.accept().await;
    peer.log_in().await;
    peer.next().await.unwrap();
    running.handle.reporter().ended(ended()).await.unwrap();
    // Killed, before the server answers.
    running.driver.abort();
    let _ = running.driver.await;
    drop(peer);

    let running = run(server.config(), open());
    let mut peer = server.accept().await;
    let login = peer.log_in().await;
    assert_eq!(login.sender_id, Some("snd_1".parse().unwrap()), "the identity is kept");
    let again = peer.next_important().await;
    assert_eq!(again.message, AgentMessage::StreamEnded(ended()));
    peer.send(&again.id, ControlMessage::StreamEndedReply(Reply::ok())).await;
    running.handle.shutdown().await;
    running.driver.await.unwrap();
    let journal = std::fs::read_to_string(directory.path().join("journal.jsonl")).unwrap();
    assert!(!journal.contains("stream.ended"), "acknowledged, so forgotten: {journal}");
}

#[tokio::test]
async fn an_end_that_is_not_on_disk_is_no_success_and_is_sent() {
    let directory = tempfile::tempdir().unwrap();
    let identity = Identity::load_or_create(directory.path()).unwrap();
    // The journal is written here first: no file can be made in a directory's place.
    let obstacle = directory.path().join("journal.new");
    std::fs::create_dir(&obstacle).unwrap();
    let server = Server::start(&["localhost"]).await;
    let running = run(server.config(), identity);
    let mut peer = server.accept().await;
    peer.log_in().await;
    let error = running.handle.reporter().ended(ended()).await.unwrap_err();
    assert!(
        matches!(&error, EndedError::NotSaved { reason } if reason.contains("journal.jsonl")),
        "{error:?}"
    );
    assert_eq!(peer.next_important().await.message, AgentMessage::StreamEnded(ended()));

    std::fs::remove_dir(&obstacle).unwrap();
    running.handle.reporter().ended(ended()).await.unwrap();
    let journal = std::fs::read_to_string(directory.path().join("journal.jsonl")).unwrap();
    assert_eq!(journal.matches("stream.ended").count(), 2, "the next write holds both: {journal}");
}

#[tokio::test]
async fn the_end_of_a_stream_may_be_reported_at_start() {
    let server = Server::start(&["localhost"]).await;
    let camera = Camera { at_start: Some(ended()), ..Camera::default() };
    let running = run_camera(server.config(), identity(), camera);
    let mut peer = server.accept().await;
    peer.log_in().await;
    assert_eq!(peer.next_important().await.message, AgentMessage::StreamEnded(ended()));
    assert_eq!(running.camera.started.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn shutdown_hands_over_what_counts_and_closes_in_good_order() {
    let server = Server::start(&["localhost"]).await;
    let running = run(server.config(), identity());
    let mut peer = server.accept().await;
    peer.log_in().await;
    peer.next().await.unwrap();
    running.handle.reporter().ended(ended()).await.unwrap();
    let closing = tokio::spawn(running.handle.shutdown());
    let envelope = peer.next_important().await;
    assert_eq!(envelope.message, AgentMessage::StreamEnded(ended()));
    assert!(!running.driver.is_finished(), "it waits for the acknowledgement");
    peer.send(&envelope.id, ControlMessage::StreamEndedReply(Reply::ok())).await;
    assert_eq!(peer.closed().await, Some(1000));
    drop(peer);
    closing.await.unwrap();
    running.driver.await.unwrap();
}

#[tokio::test]
async fn dropping_the_handle_ends_the_driver() {
    let server = Server::start(&["localhost"]).await;
    let running = run(server.config(), identity());
    let peer = server.accept().await;
    drop(running.handle);
    drop(peer);
    running.driver.await.unwrap();
}

#[tokio::test]
async fn oversized_and_binary_messages_close_with_the_right_code() {
    let server = Server::start(&["localhost"]).await;
    let mut config = server.config();
    config.session.max_message_bytes = 64 * 1024;
    let _running = run(config, identity());
    for (message, code) in
        [(Message::text("x".repeat(64 * 1024 + 1)), 1009), (Message::binary(vec![1, 2, 3]), 1003)]
    {
        let mut peer = server.accept().await;
        peer.log_in().await;
        peer.next().await.unwrap();
        peer.send_raw(message).await;
        assert_eq!(peer.closed().await, Some(code));
    }
    server.accept().await.log_in().await;
}

#[tokio::test]
async fn a_fault_in_the_servers_message_is_told_and_the_connection_lives() {
    let server = Server::start(&["localhost"]).await;
    let _running = run(server.config(), identity());
    let mut peer = server.accept().await;
    peer.log_in().await;
    peer.send_raw(Message::text("{ this is not JSON")).await;
    let ts = "2026-02-14T10:30:00Z";
    peer.send_raw(Message::text(format!(r#"{{"id":"q1","type":"no.such","ts":"{ts}","payload":{{}}}}"#)))
        .await;
    let envelope = peer.next_important().await;
    let AgentMessage::Error(fault) = envelope.message else { panic!("{:?}", envelope.message) };
    assert_eq!((envelope.id, fault.code), (id("q1"), ErrorCode::UNKNOWN_TYPE));
    peer.send_raw(Message::text(format!(r#"{{"id":"q2","type":"stream.stop","ts":"{ts}","payload":{{}}}}"#)))
        .await;
    let (answered, _, answer) = reply(&mut peer).await;
    let fault = answer.error.unwrap();
    assert_eq!(
        (answered, fault.code, fault.field.as_deref()),
        (id("q2"), ErrorCode::MISSING_FIELD, Some("payload.stream_id"))
    );
}

#[tokio::test]
async fn a_damaged_journal_is_set_aside() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("journal.jsonl");
    std::fs::write(&path, b"\x00\xffnot a journal\n{").unwrap();
    let identity = Identity::load_or_create(directory.path()).unwrap();
    let server = Server::start(&["localhost"]).await;
    let _running = run(server.config(), identity);
    server.accept().await.log_in().await;
    assert!(path.with_extension("damaged").exists());
}

#[tokio::test]
async fn a_server_that_asks_and_never_reads_is_left() {
    let server = Server::start(&["localhost"]).await;
    let running = run(server.config(), identity());
    let mut events = running.handle.events();
    let mut peer = server.accept().await;
    peer.log_in().await;
    let mut left = pin!(async {
        loop {
            if let Some(Event::Disconnected { cause, .. }) = events.next().await {
                break cause;
            }
        }
    });
    // Answers of 900 kB; what the system's buffers take is not known, so ask until it is too much.
    let mut number = 0;
    let cause = loop {
        number += 1;
        let ask = ControlMessage::Command(ConfigGet {}.into());
        // Whether the agent has gone is for its own event to say.
        peer.try_send(&id(&format!("c{number}")), ask).await;
        tokio::select! {
            cause = &mut left => break cause,
            () = running.camera.asked.notified() => {}
        }
    };
    assert!(matches!(&cause, Disconnect::Broken(reason) if reason.contains("does not read")), "{cause:?}");
}

#[tokio::test]
async fn a_server_that_accepts_and_says_nothing_is_given_up() {
    let server = Server::start(&["localhost"]).await;
    let mut config = server.config();
    config.connect_timeout = std::time::Duration::from_millis(50);
    let running = run(config, identity());
    let mut events = running.handle.events();
    // The connection waits in the listener's queue: TLS is never answered.
    match events.next().await {
        Some(Event::Disconnected { cause: Disconnect::Unreachable(reason), .. }) => {
            assert!(reason.contains("no answer"), "{reason}");
        }
        other => panic!("{other:?}"),
    }
}
