//! A control plane that does what the test says, over real TLS.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use futures_util::{SinkExt as _, StreamExt as _};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use sha2::Digest as _;
use strata_proto::control::{
    AgentMessage, Command, ControlMessage, DeviceStatus, Envelope, ErrorCode, Fault, Login, LoginResponse,
    Reply, StreamEnded,
};
use strata_proto::id::MessageId;
use strata_proto::token::{EnrollUri, Fingerprint, Secret};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message as Frame;

/// Listens on loopback, with a certificate of its own.
pub(crate) struct Plane {
    listener: TcpListener,
    acceptor: TlsAcceptor,
    ca: Fingerprint,
}

/// A device that is connected and logged in.
pub(crate) struct Device {
    socket: Socket,
    /// What the device said at login.
    pub(crate) login: Login,
    unread: VecDeque<AgentMessage>,
}

impl Plane {
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (chain, key, ca) = certificates();
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = rustls::ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(chain, key)
            .unwrap();
        Self { listener, acceptor: TlsAcceptor::from(Arc::new(config)), ca }
    }

    /// All that a fresh agent needs.
    pub(crate) fn enrollment(&self) -> String {
        let url = format!("wss://127.0.0.1:{}/agent/ws", self.listener.local_addr().unwrap().port());
        let token = "enr_onetime".parse().unwrap();
        EnrollUri { url: url.parse().unwrap(), token, ca: Some(self.ca) }.to_string()
    }

    /// Waits for a device and lets it in.
    pub(crate) async fn device(&self) -> Device {
        let response = LoginResponse {
            success: true,
            sender_id: Some("snd_test".parse().unwrap()),
            session_token: Some(Secret::new("session")),
            ..LoginResponse::default()
        };
        self.answer(response).await
    }

    /// Waits for a device and does not let it in.
    pub(crate) async fn refuse(&self) {
        let fault = Fault::new(ErrorCode::other("invalid_token"), "this token is not known");
        let mut device = self.answer(LoginResponse { error: Some(fault), ..LoginResponse::default() }).await;
        while device.receive().await.is_some() {}
    }

    async fn answer(&self, response: LoginResponse) -> Device {
        let (tcp, _) = self.listener.accept().await.unwrap();
        let tls = self.acceptor.accept(tcp).await.unwrap();
        let mut socket = tokio_tungstenite::accept_async(tls).await.unwrap();
        let (id, message) = read(&mut socket).await.expect("a login");
        let AgentMessage::Login(login) = message else { panic!("not a login: {message:?}") };
        write(&mut socket, id, ControlMessage::LoginResponse(response)).await;
        Device { socket, login, unread: VecDeque::new() }
    }
}

impl Device {
    /// Sends a command and waits for its answer; what comes meanwhile is kept.
    pub(crate) async fn ask(&mut self, command: impl Into<Command>) -> Reply {
        // Never twice in a process: a request that comes again is answered from the agent's record.
        let number = REQUESTS.fetch_add(1, Ordering::Relaxed);
        let wanted: MessageId = format!("request-{number}").parse().unwrap();
        write(&mut self.socket, wanted.clone(), ControlMessage::Command(command.into())).await;
        loop {
            match self.receive().await.expect("an answer before the end of the connection") {
                (id, AgentMessage::Reply(_, reply)) if id == wanted => return reply,
                (_, message) => self.unread.push_back(message),
            }
        }
    }

    /// The next message for which `pick` gives something; others are passed over. `None` at the end
    /// of the connection.
    pub(crate) async fn find<T>(&mut self, mut pick: impl FnMut(AgentMessage) -> Option<T>) -> Option<T> {
        loop {
            let message = match self.unread.pop_front() {
                Some(message) => message,
                None => self.receive().await?.1,
            };
            if let Some(found) = pick(message) {
                return Some(found);
            }
        }
    }

    /// The next `device.status` that `fits`.
    pub(crate) async fn status(&mut self, fits: impl Fn(&DeviceStatus) -> bool) -> DeviceStatus {
        let pick = |message| match message {
            AgentMessage::DeviceStatus(status) if fits(&status) => Some(*status),
            _ => None,
        };
        self.find(pick).await.expect("a device.status")
    }

    /// The next `stream.ended`.
    pub(crate) async fn ended(&mut self) -> StreamEnded {
        let pick = |message| match message {
            AgentMessage::StreamEnded(ended) => Some(ended),
            _ => None,
        };
        self.find(pick).await.expect("a stream.ended")
    }

    async fn receive(&mut self) -> Option<(MessageId, AgentMessage)> {
        let (id, message) = read(&mut self.socket).await?;
        match &message {
            AgentMessage::DeviceStatus(_) => {
                write(&mut self.socket, id.clone(), ControlMessage::DeviceStatusReply(Reply::ok())).await;
            }
            AgentMessage::StreamEnded(_) => {
                write(&mut self.socket, id.clone(), ControlMessage::StreamEndedReply(Reply::ok())).await;
            }
            _ => {}
        }
        Some((id, message))
    }
}

static REQUESTS: AtomicU64 = AtomicU64::new(1);

type Socket = WebSocketStream<TlsStream<TcpStream>>;

async fn read(socket: &mut Socket) -> Option<(MessageId, AgentMessage)> {
    loop {
        match socket.next().await? {
            Ok(Frame::Text(text)) => {
                let envelope = Envelope::<AgentMessage>::decode(&text).unwrap();
                return Some((envelope.id, envelope.message));
            }
            Ok(Frame::Close(_)) | Err(_) => return None,
            Ok(_) => {}
        }
    }
}

/// The agent may have gone meanwhile; then reading tells.
async fn write(socket: &mut Socket, id: MessageId, message: ControlMessage) {
    #[expect(clippy::disallowed_methods, reason = "a message carries the time")]
    let now = SystemTime::now().into();
    let text = Envelope::new(id, now, message).encode().unwrap();
    let _ = socket.send(Frame::text(text)).await;
}

fn certificates() -> (Vec<CertificateDer<'static>>, PrivateKeyDer<'static>, Fingerprint) {
    let key = || rcgen::KeyPair::generate().unwrap();
    let (ca_key, leaf_key) = (key(), key());
    let mut ca = rcgen::CertificateParams::default();
    ca.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Constrained(0));
    let mut leaf = rcgen::CertificateParams::new(vec!["127.0.0.1".to_owned()]).unwrap();
    leaf.extended_key_usages = vec![rcgen::ExtendedKeyUsagePurpose::ServerAuth];
    for params in [&mut ca, &mut leaf] {
        #[expect(clippy::disallowed_methods, reason = "a certificate is valid at a time")]
        let now = SystemTime::now();
        params.not_before = (now - Duration::from_secs(3600)).into();
        params.not_after = (now + Duration::from_secs(3600)).into();
    }
    let ca_cert = ca.self_signed(&ca_key).unwrap();
    let leaf_cert = leaf.signed_by(&leaf_key, &rcgen::Issuer::new(ca, ca_key)).unwrap();
    let fingerprint = Fingerprint(sha2::Sha256::digest(ca_cert.der()).into());
    let key = PrivateKeyDer::try_from(leaf_key.serialize_der()).unwrap();
    (vec![leaf_cert.der().clone(), ca_cert.der().clone()], key, fingerprint)
}
