//! A client of the live WebSocket, `/api/ws`.

#![expect(clippy::disallowed_types, reason = "this is a driver: it dials")]

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use futures_util::{SinkExt as _, StreamExt as _};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use strata_proto::control::{LiveEvent, LiveFrame, LiveRequest, Topic};
use strata_proto::token::Secret;
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;

type Socket = WebSocketStream<TlsStream<TcpStream>>;

/// Installs the cryptography of TLS for this process; later calls change nothing.
pub fn install_provider() {
    // An error means that it is installed already.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
}

/// A subscription to topics; everything pushed since is kept until it is read.
#[derive(Debug)]
pub struct Live {
    frames: mpsc::UnboundedReceiver<LiveFrame>,
    reader: JoinHandle<()>,
}

impl Live {
    /// Connects to the control plane at `base` (`https://host:port`), logs in and subscribes.
    ///
    /// # Errors
    /// When it cannot be reached, is not signed by `ca`, or does not greet with `ready` within 10 s.
    pub async fn connect(base: &str, ca: &Path, token: &Secret, topics: Vec<Topic>) -> Result<Self> {
        let mut socket = dial(base, ca).await.context("/api/ws")?;
        let request = LiveRequest { token: Some(token.clone()), subscribe: topics, unsubscribe: Vec::new() };
        socket.send(Message::text(serde_json::to_string(&request)?)).await?;
        let (sender, frames) = mpsc::unbounded_channel();
        let reader = tokio::spawn(read(socket, sender));
        let mut live = Self { frames, reader };
        match live.next(Duration::from_secs(10)).await? {
            LiveFrame::Ready { .. } => Ok(live),
            other => bail!("/api/ws greeted with {other:?}, not ready"),
        }
    }

    /// The next frame.
    ///
    /// # Errors
    /// When none comes in time, or the connection ended.
    pub async fn next(&mut self, deadline: Duration) -> Result<LiveFrame> {
        match timeout(deadline, self.frames.recv()).await {
            Ok(Some(frame)) => Ok(frame),
            Ok(None) => bail!("/api/ws: closed"),
            Err(_) => bail!("/api/ws: nothing within {deadline:?}"),
        }
    }

    /// Reads events until `pick` takes one.
    ///
    /// # Errors
    /// When none was taken in time, or the connection ended; the message lists the events that came.
    pub async fn until<T>(
        &mut self,
        what: &str,
        deadline: Duration,
        mut pick: impl FnMut(&LiveEvent) -> Option<T>,
    ) -> Result<T> {
        let mut seen = Vec::new();
        let search = async {
            while let Some(frame) = self.frames.recv().await {
                let LiveFrame::Event(event) = frame else { continue };
                if let Some(found) = pick(&event) {
                    return Some(found);
                }
                seen.push(format!("{} {}", event.event, event.data));
            }
            None
        };
        let why = match timeout(deadline, search).await {
            Ok(Some(found)) => return Ok(found),
            Ok(None) => "/api/ws closed".to_owned(),
            Err(_) => format!("not within {deadline:?}"),
        };
        seen.dedup();
        let last = seen.split_off(seen.len().saturating_sub(10)).join("\n  ");
        bail!("event {what}: {why}; last events:\n  {last}")
    }
}

impl Drop for Live {
    fn drop(&mut self) {
        self.reader.abort();
    }
}

/// Reads until the end; answers pings on the way, which reading does.
async fn read(mut socket: Socket, frames: mpsc::UnboundedSender<LiveFrame>) {
    while let Some(Ok(message)) = socket.next().await {
        let Message::Text(text) = message else { continue };
        // A frame of a newer server is not this client's business.
        let Ok(frame) = serde_json::from_str(text.as_str()) else { continue };
        if frames.send(frame).is_err() {
            return;
        }
    }
}

async fn dial(base: &str, ca: &Path) -> Result<Socket> {
    install_provider();
    let address = base.strip_prefix("https://").context("expected https://host:port")?;
    let host = address.rsplit_once(':').map_or(address, |(host, _)| host).to_owned();
    let mut roots = rustls::RootCertStore::empty();
    for certificate in CertificateDer::pem_file_iter(ca)? {
        roots.add(certificate?)?;
    }
    let config = rustls::ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
    let tcp = TcpStream::connect(address).await?;
    let tls = TlsConnector::from(Arc::new(config)).connect(ServerName::try_from(host)?, tcp).await?;
    let (socket, _) = tokio_tungstenite::client_async(format!("wss://{address}/api/ws"), tls).await?;
    Ok(socket)
}
