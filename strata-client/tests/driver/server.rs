//! A control plane as small as can be: TLS with its own CA, WebSocket, and a script by hand.

#![expect(clippy::disallowed_types, reason = "the test's server has a real socket")]

use std::sync::Arc;
use std::time::Duration;

use futures_util::{SinkExt as _, StreamExt as _};
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use strata_client::config::About;
use strata_client::{Config, Identity};
use strata_proto::control::{AgentMessage, ControlMessage, Envelope, LoginResponse};
use strata_proto::id::MessageId;
use strata_proto::time::Timestamp;
use strata_proto::token::{Fingerprint, Secret};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;

/// A listening server.
pub(crate) struct Server {
    listener: TcpListener,
    acceptor: TlsAcceptor,
    chain: Vec<CertificateDer<'static>>,
    pub(crate) ca: Fingerprint,
}

/// One connection to it.
pub(crate) struct Peer {
    socket: WebSocketStream<TlsStream<TcpStream>>,
}

impl Server {
    /// Listens on a free port of 127.0.0.1, with a certificate for `names`.
    pub(crate) async fn start(names: &[&str]) -> Self {
        Self::with(certificates(names, 2000)).await
    }

    /// With a certificate for localhost that is valid from this year on.
    pub(crate) async fn valid_from(year: i32) -> Self {
        Self::with(certificates(&["localhost"], year)).await
    }

    /// Like [`Server::start`], but the chain's CA is that of `other`, which did not make the leaf.
    pub(crate) async fn with_foreign_leaf(other: &Self) -> Self {
        let (mut chain, key, _) = certificates(&["localhost"], 2000);
        chain[1] = other.chain[1].clone();
        Self::with((chain, key, other.ca)).await
    }

    async fn with((chain, key, ca): Certificates) -> Self {
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = rustls::ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(chain.clone(), key)
            .unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        Self { listener, acceptor: TlsAcceptor::from(Arc::new(config)), chain, ca }
    }

    /// A configuration that reaches this server.
    pub(crate) fn config(&self) -> Config {
        let port = self.listener.local_addr().unwrap().port();
        let url = format!("wss://localhost:{port}/agent/ws").parse().unwrap();
        let mut config = Config::new(url);
        config.ca = Some(self.ca);
        config.enrollment_token = Some("enr_test".parse().unwrap());
        config.about =
            About { agent_version: "1.2.3".into(), hostname: "camera-1".into(), arch: "aarch64".into() };
        // Attempts follow each other at once: the tests do not wait for jitter.
        config.session.backoff_min = Duration::from_millis(10);
        config.session.backoff_max = Duration::from_millis(10);
        config
    }

    /// The next connection, TLS and upgrade done.
    pub(crate) async fn accept(&self) -> Peer {
        self.try_accept().await.expect("a good connection")
    }

    /// The next connection, or why it failed.
    pub(crate) async fn try_accept(&self) -> Result<Peer, String> {
        let (tcp, _) = self.listener.accept().await.unwrap();
        let tls = self.acceptor.accept(tcp).await.map_err(|e| e.to_string())?;
        let socket = tokio_tungstenite::accept_async(tls).await.map_err(|e| e.to_string())?;
        Ok(Peer { socket })
    }
}

impl Peer {
    /// The next message of the agent; `None` when it has closed.
    pub(crate) async fn next(&mut self) -> Option<Envelope<AgentMessage>> {
        loop {
            match self.socket.next().await?.ok()? {
                Message::Text(text) => return Some(Envelope::decode(&text).expect("an agent's message")),
                Message::Close(_) => return None,
                _ => {}
            }
        }
    }

    /// The next message that is no telemetry.
    pub(crate) async fn next_important(&mut self) -> Envelope<AgentMessage> {
        loop {
            let envelope = self.next().await.expect("a message");
            if !matches!(envelope.message, AgentMessage::DeviceStatus(_) | AgentMessage::StreamStats(_)) {
                return envelope;
            }
        }
    }

    pub(crate) async fn send(&mut self, id: &MessageId, message: ControlMessage) {
        assert!(self.try_send(id, message).await, "the agent has gone");
    }

    /// Like [`Peer::send`]; `false` when the agent has gone.
    pub(crate) async fn try_send(&mut self, id: &MessageId, message: ControlMessage) -> bool {
        let ts = Timestamp::from_unix_millis(1_771_064_000_000);
        let text = Envelope::new(id.clone(), ts, message).encode().unwrap();
        self.socket.send(Message::text(text)).await.is_ok()
    }

    pub(crate) async fn send_raw(&mut self, message: Message) {
        self.socket.send(message).await.unwrap();
    }

    /// The agent's next close frame: its code.
    pub(crate) async fn closed(&mut self) -> Option<u16> {
        loop {
            if let Message::Close(frame) = self.socket.next().await?.ok()? {
                return frame.map(|frame| frame.code.into());
            }
        }
    }

    /// Accepts the agent's login, whatever it is.
    pub(crate) async fn log_in(&mut self) -> strata_proto::control::Login {
        let envelope = self.next().await.expect("a login");
        let AgentMessage::Login(login) = envelope.message else { panic!("not a login: {envelope:?}") };
        let response = LoginResponse {
            success: true,
            sender_id: Some("snd_1".parse().unwrap()),
            session_token: Some(Secret::new("token")),
            ..LoginResponse::default()
        };
        self.send(&envelope.id, ControlMessage::LoginResponse(response)).await;
        login
    }
}

/// An identity in memory.
pub(crate) fn identity() -> Identity {
    Identity::from_seed([7; 32])
}

type Certificates = (Vec<CertificateDer<'static>>, PrivateKeyDer<'static>, Fingerprint);

fn certificates(names: &[&str], year: i32) -> Certificates {
    use sha2::Digest as _;
    let ca_key = KeyPair::generate().unwrap();
    let mut ca_params = CertificateParams::new(Vec::new()).unwrap();
    ca_params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    let ca = ca_params.self_signed(&ca_key).unwrap();
    let issuer = Issuer::new(ca_params, ca_key);
    let key = KeyPair::generate().unwrap();
    let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
    let mut params = CertificateParams::new(names).unwrap();
    params.not_before = rcgen::date_time_ymd(year, 1, 1);
    let leaf = params.signed_by(&key, &issuer).unwrap();
    let fingerprint = Fingerprint(sha2::Sha256::digest(ca.der()).into());
    (
        vec![leaf.der().clone(), ca.der().clone()],
        PrivateKeyDer::Pkcs8(key.serialize_der().into()),
        fingerprint,
    )
}
