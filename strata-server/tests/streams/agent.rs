//! A scripted agent over a real WebSocket: enrols, logs in again, answers commands as told.

use std::net::UdpSocket;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::{SinkExt as _, StreamExt as _};
use serde_json::{Value, json};
use strata_proto::control::{
    AgentMessage, Command, CommandKind, ControlMessage, DeviceStatus, EndReason, Envelope, ErrorCode, Fault,
    Login, Reply, StreamEnded,
};
use strata_proto::id::{MessageId, SenderId, StreamId};
use strata_proto::time::Timestamp;
use strata_proto::token::Secret;
use tokio::sync::mpsc;
use tokio_tungstenite::tungstenite::Message as Frame;

/// How the agent takes `stream.start`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Manner {
    /// Accepts and sends media, and every change.
    Willing,
    /// Accepts and sends media, and answers a change with this code, about this field of the command if there is one.
    Set(&'static str, Option<&'static str>),
    /// Accepts and sends media, and answers no change.
    Deaf,
    /// Accepts and sends media, and hangs up when it is to change.
    Timid,
    /// Answers `busy_streaming`.
    Refusing,
    /// Answers this code, about this field of the command.
    Faulting(&'static str, &'static str),
    /// Accepts when the test says so; sends no media.
    Late,
    /// Says nothing.
    Silent,
    /// Hangs up.
    Leaving,
}

#[derive(Debug)]
pub(crate) struct Agent {
    pub(crate) sender: SenderId,
    pub(crate) key: Secret,
    /// Every command that came, in order.
    pub(crate) commands: mpsc::UnboundedReceiver<Command>,
    say: mpsc::UnboundedSender<(MessageId, AgentMessage)>,
    /// The `stream.start` that waits for its answer.
    asked: Arc<Mutex<Option<MessageId>>>,
    media: Media,
    task: tokio::task::JoinHandle<()>,
}

/// What sends packets while it is on; shared by the connections of one device.
#[derive(Debug, Clone, Default)]
pub(crate) struct Media {
    target: Arc<Mutex<Option<String>>>,
    on: Arc<AtomicBool>,
}

impl Media {
    pub(crate) fn start(&self, target: &str) {
        *self.target.lock().unwrap() = Some(target.to_owned());
        if self.on.swap(true, Ordering::SeqCst) {
            return;
        }
        let (on, target) = (Arc::clone(&self.on), target.to_owned());
        tokio::spawn(async move {
            let socket = UdpSocket::bind("0.0.0.0:0").unwrap();
            let mut packets = tokio::time::interval(PACKET);
            while on.load(Ordering::SeqCst) {
                packets.tick().await;
                drop(socket.send_to(b"media", &target));
            }
        });
    }

    /// Nothing is sent, although a stream runs.
    pub(crate) fn block(&self) {
        self.on.store(true, Ordering::SeqCst);
    }

    pub(crate) fn stop(&self) {
        self.on.store(false, Ordering::SeqCst);
    }

    /// Makes the stand-in receiver end itself.
    pub(crate) fn crash_receiver(&self) {
        let target = self.target.lock().unwrap().clone().unwrap();
        UdpSocket::bind("0.0.0.0:0").unwrap().send_to(b"crash", target).unwrap();
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Agent {
    pub(crate) async fn enroll(url: &str, token: &str, manner: Manner) -> Self {
        let login = Login { enrollment_token: Some(token.parse().unwrap()), ..Login::default() };
        Self::connect(url, login, manner, Media::default()).await
    }

    /// Closes the connection; the device goes on.
    pub(crate) fn hang_up(self) -> Self {
        self.task.abort();
        self
    }

    /// The same device on a new connection.
    pub(crate) async fn again(self, url: &str, manner: Manner) -> Self {
        let (sender, key, media) = (self.sender.clone(), self.key.clone(), self.media.clone());
        drop(self);
        let login = Login { sender_id: Some(sender), device_key: Some(key), ..Login::default() };
        Self::connect(url, login, manner, media).await
    }

    pub(crate) fn media(&self) -> Media {
        self.media.clone()
    }

    /// Sends `device.status` with these running streams.
    pub(crate) fn report(&self, running: &[&StreamId]) {
        let running = running.iter().map(|id| (*id).clone()).collect();
        let status = DeviceStatus { running_streams: Some(running), ..DeviceStatus::default() };
        self.say(AgentMessage::DeviceStatus(Box::new(status)));
    }

    pub(crate) fn say(&self, message: AgentMessage) {
        self.say.send((id(), message)).unwrap();
    }

    /// Answers the `stream.start` that a late agent has not answered.
    pub(crate) fn accept(&self) {
        let request = self.asked.lock().unwrap().take().unwrap();
        self.say.send((request, AgentMessage::Reply(CommandKind::StreamStart, Reply::ok()))).unwrap();
    }

    pub(crate) async fn command(&mut self) -> Command {
        self.commands.recv().await.unwrap()
    }

    async fn connect(url: &str, mut login: Login, manner: Manner, media: Media) -> Self {
        login.agent_version = "test".to_owned();
        let (mut socket, _) = tokio_tungstenite::connect_async(url).await.unwrap();
        socket.send(frame(id(), None, AgentMessage::Login(login.clone()))).await.unwrap();
        let text = socket.next().await.unwrap().unwrap().into_text().unwrap();
        let answer: Envelope<ControlMessage> = Envelope::decode(&text).unwrap();
        let ControlMessage::LoginResponse(answer) = answer.message else { panic!("{text}") };
        assert!(answer.success, "{answer:?}");
        let key = answer.device_key.or(login.device_key).unwrap();
        let (say, mut said) = mpsc::unbounded_channel::<(MessageId, AgentMessage)>();
        let (seen, commands) = mpsc::unbounded_channel();
        let (token, shared) = (answer.session_token, media.clone());
        let asked = Arc::new(Mutex::new(None));
        let waiting = Arc::clone(&asked);
        let task = tokio::spawn(async move {
            loop {
                tokio::select! {
                    Some((id, message)) = said.recv() => {
                        if socket.send(frame(id, token.clone(), message)).await.is_err() { return }
                    }
                    incoming = socket.next() => {
                        let Some(Ok(incoming)) = incoming else { return };
                        let Frame::Text(text) = incoming else { continue };
                        let envelope: Envelope<ControlMessage> = Envelope::decode(&text).unwrap();
                        let ControlMessage::Command(command) = envelope.message else { continue };
                        if matches!(command, Command::StreamStart(_)) {
                            *waiting.lock().unwrap() = Some(envelope.id.clone());
                        }
                        drop(seen.send(command.clone()));
                        for (id, message) in answers(envelope.id, &command, manner, &shared) {
                            let Some(message) = message else { return };
                            if socket.send(frame(id, token.clone(), message)).await.is_err() { return }
                        }
                    }
                }
            }
        });
        Self { sender: answer.sender_id.unwrap(), key, commands, say, asked, media, task }
    }
}

/// What is answered to a command; `None` hangs up.
fn answers(
    request: MessageId,
    command: &Command,
    manner: Manner,
    media: &Media,
) -> Vec<(MessageId, Option<AgentMessage>)> {
    let reply = |reply| (request.clone(), Some(AgentMessage::Reply(command.kind(), reply)));
    match (command, manner) {
        (Command::ConfigUpdate(_), Manner::Willing) => vec![reply(Reply::ok())],
        (Command::ConfigUpdate(_), Manner::Set(code, field)) => {
            let fault = Fault::new(ErrorCode::other(code), "not that");
            let fault = field.into_iter().fold(fault, Fault::with_field);
            vec![reply(Reply::failed(fault))]
        }
        (Command::ConfigUpdate(_), Manner::Deaf) => Vec::new(),
        (Command::ConfigUpdate(_), Manner::Timid) => vec![(id(), None)],
        (Command::StreamStart(start), Manner::Willing | Manner::Set(..) | Manner::Deaf | Manner::Timid) => {
            let address = start.destinations[0].strip_prefix("rist://").unwrap();
            media.start(address.split('?').next().unwrap());
            vec![reply(Reply::ok())]
        }
        (Command::StreamStart(_), Manner::Refusing) => {
            vec![reply(Reply::failed(Fault::new(ErrorCode::BUSY_STREAMING, "the camera is in use")))]
        }
        (Command::StreamStart(_), Manner::Faulting(code, field)) => {
            vec![reply(Reply::failed(Fault::new(ErrorCode::other(code), "not that").with_field(field)))]
        }
        (Command::StreamStart(_), Manner::Silent | Manner::Late) => Vec::new(),
        (Command::StreamStart(_), Manner::Leaving) => vec![(id(), None)],
        (Command::StreamStop(stop), _) => {
            media.stop();
            let ended = StreamEnded {
                stream_id: stop.stream_id.clone(),
                reason: EndReason::ControlPlaneStop,
                duration_s: 1,
                total_bytes: 1,
                error: None,
            };
            vec![reply(Reply::ok()), (id(), Some(AgentMessage::StreamEnded(ended)))]
        }
        _ => vec![reply(Reply::failed(Fault::new(ErrorCode::UNSUPPORTED, "not here")))],
    }
}

fn frame(id: MessageId, token: Option<Secret>, message: AgentMessage) -> Frame {
    let mut envelope = Envelope::new(id, "2026-02-14T10:30:00Z".parse().unwrap(), message);
    envelope.token = token;
    Frame::text(envelope.encode().unwrap())
}

fn id() -> MessageId {
    static COUNT: std::sync::atomic::AtomicU64 = std::sync::atomic::AtomicU64::new(0);
    let count = COUNT.fetch_add(1, Ordering::SeqCst).to_be_bytes();
    let mut random = [0; 10];
    random[2..].copy_from_slice(&count);
    MessageId::generate(Timestamp::from_unix_millis(1_770_000_000_000), random)
}

/// Between two packets: a rate that costs nothing. No test depends on it.
const PACKET: Duration = Duration::from_millis(10);

/// The usual body of a start: test picture over one link.
pub(crate) fn start_body() -> Value {
    json!({"source": {"mode": "test"}, "links": [{}], "latency_ms": 100})
}
