//! The receiving end.
#![expect(clippy::disallowed_types, reason = "this is a driver")]

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use tokio::net::UdpSocket;
use tokio::sync::mpsc;

use super::config::ReceiverConfig;
use super::error::NetError;
use super::socket::{self, Pair};
use crate::rist::ReceiverStats;

/// A packet of the stream, in order.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Packet {
    /// The RTP payload.
    pub payload: Bytes,
    /// Sequence number, extended over wraps.
    pub sequence: u64,
    /// RTP time stamp, 90 kHz.
    pub timestamp: u32,
    /// Packets lost for good right before this one.
    pub lost_before: u64,
}

/// Takes packets from a receiver. Dropping it ends the driver.
#[derive(Debug)]
pub struct Receiver {
    packets: mpsc::Receiver<Packet>,
    monitor: ReceiverMonitor,
}

/// Reads the statistics of a receiver, from anywhere.
#[derive(Debug, Clone)]
pub struct ReceiverMonitor {
    stats: Arc<Mutex<ReceiverStats>>,
    addrs: Arc<[SocketAddr]>,
}

/// Runs a receiver.
#[derive(Debug)]
pub struct ReceiverDriver {
    packets: mpsc::Sender<Packet>,
    stats: Arc<Mutex<ReceiverStats>>,
    pairs: Vec<Pair>,
}

/// Opens the sockets of a receiver, all of them.
///
/// # Errors
/// [`NetError::Config`] names the field that cannot work; [`NetError::Bind`] when an address cannot be had.
pub fn receiver(config: ReceiverConfig) -> Result<(Receiver, ReceiverDriver), NetError> {
    let mut pairs = Vec::new();
    let mut addrs = Vec::new();
    for &addr in &config.binds {
        let pair = socket::listen(addr).map_err(|source| NetError::Bind { addr, source })?;
        addrs.push(pair.rtp.local_addr().map_err(|source| NetError::Bind { addr, source })?);
        pairs.push(pair);
    }
    let (sender, packets) = mpsc::channel(config.output_capacity.max(1));
    let stats = Arc::new(Mutex::new(ReceiverStats::default()));
    let monitor = ReceiverMonitor { stats: stats.clone(), addrs: addrs.into() };
    Ok((Receiver { packets, monitor }, ReceiverDriver { packets: sender, stats, pairs }))
}

impl Receiver {
    /// The next packet, at its playout time; `None` when the driver has ended.
    pub async fn recv(&mut self) -> Option<Packet> {
        self.packets.recv().await
    }

    /// The same from a thread that is not part of a runtime.
    pub fn blocking_recv(&mut self) -> Option<Packet> {
        self.packets.blocking_recv()
    }

    /// Statistics, at most 100 ms old.
    #[must_use]
    pub fn stats(&self) -> ReceiverStats {
        self.monitor.stats()
    }

    /// RTP addresses that are listened at, in the order of [`ReceiverConfig::binds`].
    #[must_use]
    pub fn local_addrs(&self) -> &[SocketAddr] {
        &self.monitor.addrs
    }

    /// A reader of the statistics that may be kept elsewhere.
    #[must_use]
    pub fn monitor(&self) -> ReceiverMonitor {
        self.monitor.clone()
    }
}

impl ReceiverMonitor {
    /// Statistics, at most 100 ms old.
    #[must_use]
    pub fn stats(&self) -> ReceiverStats {
        self.stats.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// RTP addresses that are listened at, in the order of [`ReceiverConfig::binds`].
    #[must_use]
    pub fn local_addrs(&self) -> &[SocketAddr] {
        &self.addrs
    }
}

impl ReceiverDriver {
    /// Runs until the handle is dropped.
    ///
    /// # Errors
    /// [`NetError::Io`] when the sockets cannot be given to the runtime.
    pub async fn run(self) -> Result<(), NetError> {
        let io = |source| NetError::Io { what: "cannot use the socket", source };
        let sockets = self
            .pairs
            .into_iter()
            .map(|pair| UdpSocket::from_std(pair.rtp).map_err(io))
            .collect::<Result<Vec<_>, _>>()?;
        let mut buffer = vec![0; 2048];
        let Some(socket) = sockets.first() else { return Ok(()) };
        loop {
            tokio::select! {
                () = self.packets.closed() => return Ok(()),
                Ok(n) = socket.recv(&mut buffer) => {
                    let Some(payload) = buffer.get(12..n) else { continue };
                    let payload = Bytes::copy_from_slice(payload);
                    let mut stats = self.stats.lock().unwrap_or_else(PoisonError::into_inner);
                    stats.delivered_packets += 1;
                    stats.delivered_bytes += payload.len() as u64;
                    let sequence = u64::from(u16::from_be_bytes([buffer[2], buffer[3]]));
                    let timestamp = u32::from_be_bytes([buffer[4], buffer[5], buffer[6], buffer[7]]);
                    let _ = self.packets.try_send(Packet { payload, sequence, timestamp, lost_before: 0 });
                }
            }
        }
    }
}
