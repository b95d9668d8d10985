//! From an address to an open WebSocket: name lookup, TCP, TLS, upgrade.

#![expect(clippy::disallowed_types, reason = "this is where the socket is made")]

use std::io;
use std::time::Duration;

use rustls::CertificateError;
use rustls::pki_types::ServerName;
use strata_proto::token::Fingerprint;
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use url::{Host, Url};

use crate::{Config, Error};

pub(super) type Socket = WebSocketStream<TlsStream<TcpStream>>;

/// Everything needed to open a connection, any number of times.
#[derive(Clone)]
pub(super) struct Dialer {
    url: Url,
    host: String,
    port: u16,
    name: ServerName<'static>,
    tls: TlsConnector,
    ca: Option<Fingerprint>,
    websocket: WebSocketConfig,
    limit: Duration,
}

impl Dialer {
    pub(super) fn new(config: &Config) -> Result<Self, Error> {
        let address = || Error::Address { url: config.url.to_string() };
        let (host, name) = match config.url.host().ok_or_else(address)? {
            Host::Domain(name) => {
                let host = name.to_owned();
                (host.clone(), ServerName::try_from(host).map_err(|_| address())?)
            }
            Host::Ipv4(ip) => (ip.to_string(), ServerName::from(std::net::IpAddr::from(ip))),
            Host::Ipv6(ip) => (ip.to_string(), ServerName::from(std::net::IpAddr::from(ip))),
        };
        let max = config.session.max_message_bytes;
        let websocket = WebSocketConfig::default()
            // The default of 128 KiB costs ten times the memory of the session.
            .read_buffer_size(4 * 1024)
            .write_buffer_size(4 * 1024)
            .max_write_buffer_size(4 * max.max(64 * 1024))
            .max_message_size(Some(max))
            .max_frame_size(Some(max));
        Ok(Self {
            host,
            name,
            port: config.url.port_or_known_default().unwrap_or(443),
            url: config.url.clone(),
            tls: TlsConnector::from(crate::tls::client_config(config.ca)?),
            ca: config.ca,
            websocket,
            limit: config.connect_timeout,
        })
    }

    /// Opens a connection within the time limit.
    pub(super) async fn dial(self) -> Result<Socket, String> {
        match timeout(self.limit, self.open()).await {
            Ok(outcome) => outcome,
            Err(_) => Err(format!("no answer from {} within {:?}", self.host, self.limit)),
        }
    }

    async fn open(&self) -> Result<Socket, String> {
        let tcp = self.tcp().await.map_err(|e| format!("{}:{}: {e}", self.host, self.port))?;
        let tls = self.tls.connect(self.name.clone(), tcp).await;
        let tls = tls.map_err(|e| format!("TLS with {}: {e}{}", self.host, self.advice(&e)))?;
        let upgrade =
            tokio_tungstenite::client_async_with_config(self.url.as_str(), tls, Some(self.websocket));
        let (socket, _) = upgrade.await.map_err(|e| format!("WebSocket upgrade at {}: {e}", self.url))?;
        Ok(socket)
    }

    /// What people can do about a certificate that does not verify.
    fn advice(&self, error: &io::Error) -> String {
        let tls = error.get_ref().and_then(|e| e.downcast_ref::<rustls::Error>());
        let Some(rustls::Error::InvalidCertificate(reason)) = tls else { return String::new() };
        match (reason, &self.ca) {
            (CertificateError::UnknownIssuer, Some(ca)) => {
                format!(" (not the pinned CA {ca}: has the control plane been set up anew?)")
            }
            (CertificateError::UnknownIssuer, None) => {
                " (a CA of its own must be pinned by fingerprint)".into()
            }
            (CertificateError::NotValidYetContext { .. } | CertificateError::ExpiredContext { .. }, _) => {
                " (is this device's clock right?)".into()
            }
            _ => String::new(),
        }
    }

    /// Tries every address the name has; a dead one must not use up all the time.
    async fn tcp(&self) -> io::Result<TcpStream> {
        let mut outcome = Err(io::Error::new(io::ErrorKind::NotFound, "the name has no address"));
        for address in tokio::net::lookup_host((self.host.as_str(), self.port)).await? {
            let attempt = timeout(self.limit / 3, TcpStream::connect(address)).await;
            outcome = attempt.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()));
            if let Ok(tcp) = &outcome {
                tcp.set_nodelay(true)?;
                break;
            }
        }
        outcome
    }
}

impl std::fmt::Debug for Dialer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Dialer").field("url", &self.url.as_str()).finish_non_exhaustive()
    }
}
