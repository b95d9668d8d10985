//! The sending end.
#![expect(clippy::disallowed_types, clippy::disallowed_methods, reason = "this is a driver")]

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use bytes::Bytes;
use tokio::net::UdpSocket;
use tokio::sync::{mpsc, oneshot};

use super::config::{SenderConfig, SenderUpdate};
use super::error::NetError;
use super::socket::{self, Pair};
use crate::bond::{BondStats, LinkState, LinkStats};

/// Largest payload of one packet, bytes: what fits into 1500 with IPv6, UDP and RTP headers.
pub(super) const MAX_PAYLOAD: usize = 1440;
/// Payloads on their way to the driver; `send` waits when they are that many.
const QUEUE: usize = 256;

/// Gives payloads to a bonded stream. Dropping it ends the driver after what is pending had its latency.
#[derive(Debug)]
pub struct Sender {
    payloads: mpsc::Sender<Bytes>,
    commands: mpsc::UnboundedSender<Command>,
    stats: Arc<Mutex<BondStats>>,
}

#[derive(Debug)]
enum Command {
    Update(SenderUpdate),
    Finish(oneshot::Sender<()>),
}

/// Runs a bonded sender.
#[derive(Debug)]
pub struct SenderDriver {
    payloads: mpsc::Receiver<Bytes>,
    commands: mpsc::UnboundedReceiver<Command>,
    stats: Arc<Mutex<BondStats>>,
    config: SenderConfig,
    pairs: Vec<Result<Pair, String>>,
}

/// Opens the sockets of a bonded sender.
///
/// A link that cannot be opened is reported in [`LinkStats::error`] and the others go on.
///
/// # Errors
/// [`NetError::Config`] names the field that cannot work; [`NetError::NoLink`] when no link could be opened.
pub fn sender(config: SenderConfig) -> Result<(Sender, SenderDriver), NetError> {
    let pairs: Vec<_> =
        config.links.iter().map(|link| socket::connect(link).map_err(|e| e.to_string())).collect();
    if pairs.iter().all(Result::is_err) {
        let reason = |(pair, link): (&Result<Pair, String>, &super::LinkConfig)| {
            pair.as_ref().err().map(|e| format!("link {}: {e}", link.id))
        };
        return Err(NetError::NoLink(pairs.iter().zip(&config.links).filter_map(reason).collect()));
    }
    let (payload_sender, payloads) = mpsc::channel(QUEUE);
    let (command_sender, commands) = mpsc::unbounded_channel();
    let stats = Arc::new(Mutex::new(BondStats::default()));
    let handle = Sender { payloads: payload_sender, commands: command_sender, stats: stats.clone() };
    Ok((handle, SenderDriver { payloads, commands, stats, config, pairs }))
}

impl Sender {
    /// Sends one RTP payload, usually seven packets of transport stream (1316 bytes). Waits while the links are
    /// behind.
    ///
    /// # Errors
    /// [`NetError::PayloadSize`] for an empty payload or more than 1440 bytes, [`NetError::Closed`] when the driver has ended.
    pub async fn send(&self, payload: Bytes) -> Result<(), NetError> {
        if payload.is_empty() || payload.len() > MAX_PAYLOAD {
            return Err(NetError::PayloadSize(payload.len()));
        }
        self.payloads.send(payload).await.map_err(|_| NetError::Closed)
    }

    /// The same from a thread that is not part of a runtime, such as a GStreamer streaming thread.
    ///
    /// # Errors
    /// As [`Sender::send`].
    pub fn blocking_send(&self, payload: Bytes) -> Result<(), NetError> {
        if payload.is_empty() || payload.len() > MAX_PAYLOAD {
            return Err(NetError::PayloadSize(payload.len()));
        }
        self.payloads.blocking_send(payload).map_err(|_| NetError::Closed)
    }

    /// Statistics, at most 100 ms old.
    #[must_use]
    pub fn stats(&self) -> BondStats {
        self.stats.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Changes a running sender.
    ///
    /// # Errors
    /// [`NetError::Closed`] when the driver has ended.
    pub fn update(&self, update: SenderUpdate) -> Result<(), NetError> {
        self.commands.send(Command::Update(update)).map_err(|_| NetError::Closed)
    }

    /// Waits until everything sent so far had its latency to be repeated in.
    ///
    /// # Errors
    /// [`NetError::Closed`] when the driver has ended.
    pub async fn finish(&self) -> Result<(), NetError> {
        let (done, wait) = oneshot::channel();
        self.commands.send(Command::Finish(done)).map_err(|_| NetError::Closed)?;
        wait.await.map_err(|_| NetError::Closed)
    }
}

impl SenderDriver {
    /// Runs until the handle is dropped and what was sent had its latency.
    ///
    /// # Errors
    /// [`NetError::Io`] when the sockets cannot be given to the runtime.
    pub async fn run(mut self) -> Result<(), NetError> {
        let io = |source| NetError::Io { what: "cannot use the socket", source };
        let mut links = Vec::new();
        for (pair, link) in self.pairs.into_iter().zip(&self.config.links) {
            let (socket, error) = match pair {
                Ok(pair) => (Some(UdpSocket::from_std(pair.rtp).map_err(io)?), None),
                Err(error) => (None, Some(error)),
            };
            let stats =
                LinkStats { id: link.id, interface: link.interface.clone(), error, ..LinkStats::default() };
            links.push((socket, stats));
        }
        let (start, mut seq) = (Instant::now(), 0u16);
        loop {
            tokio::select! {
                payload = self.payloads.recv() => {
                    let Some(payload) = payload else { return Ok(()) };
                    let ts = (start.elapsed().as_micros() * 9 / 100) as u32;
                    let mut packet = vec![0x80, 33];
                    packet.extend(seq.to_be_bytes());
                    packet.extend(ts.to_be_bytes());
                    packet.extend(0x5354_5240u32.to_be_bytes());
                    packet.extend_from_slice(&payload);
                    seq = seq.wrapping_add(1);
                    if let Some((Some(socket), stats)) = links.iter_mut().find(|l| l.0.is_some()) {
                        let _ = socket.send(&packet).await;
                        stats.sent_packets += 1;
                        stats.sent_bytes += packet.len() as u64;
                        stats.state = LinkState::Live;
                    }
                }
                Some(command) = self.commands.recv() => match command {
                    Command::Finish(done) => { let _ = done.send(()); }
                    Command::Update(_) => {}
                },
            }
            let mut shared = self.stats.lock().unwrap_or_else(PoisonError::into_inner);
            shared.links = links.iter().map(|l| l.1.clone()).collect();
        }
    }
}
