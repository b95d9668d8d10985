//! The receiving end.
#![expect(clippy::disallowed_methods, reason = "a driver reads the clock and waits")]

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use bytes::BytesMut;
use tokio::sync::mpsc;

use super::channel::Inbox;
use super::config::{ReceiverConfig, check_psk};
use super::error::NetError;
use super::socket::{self, LinkSockets, Pair};
use crate::rist::gre::Header;
use crate::rist::receiver::{Input, Output};
use crate::rist::tunnel::{Config, Listener, ListenerInput, ListenerOutput};
use crate::rist::{self, Packet, ReceiverStats};

/// Most socket pairs of a receiver.
const MAX_BINDS: usize = 16;
/// A wake-up that is due so soon is not preceded by another one.
const COALESCE: Duration = Duration::from_millis(1);
/// How often statistics are published.
const STATS_INTERVAL: Duration = Duration::from_millis(100);

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
    config: ReceiverConfig,
}

/// Opens the sockets of a receiver, all of them.
///
/// # Errors
/// [`NetError::Config`] names the field that cannot work; [`NetError::Bind`] when an address cannot be had.
pub fn receiver(config: ReceiverConfig) -> Result<(Receiver, ReceiverDriver), NetError> {
    check(&config)?;
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
    Ok((Receiver { packets, monitor }, ReceiverDriver { packets: sender, stats, pairs, config }))
}

fn check(config: &ReceiverConfig) -> Result<(), NetError> {
    let error = |field: String, reason: &str| Err(NetError::Config { field, reason: reason.to_owned() });
    if config.binds.is_empty() || config.binds.len() > MAX_BINDS {
        return error("binds".to_owned(), "1 to 16 addresses are expected");
    }
    if config.latency.is_zero() || config.latency > socket::MAX_LATENCY {
        return error("latency".to_owned(), "1 ms to 60 s are expected");
    }
    check_psk(config.psk.as_ref())?;
    for (index, &addr) in config.binds.iter().enumerate() {
        if addr.port() != 0 && !socket::is_rtp_port(addr) {
            return error(
                format!("binds[{index}]"),
                "the port of RTP must be even (RTCP is the port above), or 0 for any",
            );
        }
    }
    Ok(())
}

impl Receiver {
    /// The next packet, at its playout time; `None` when the driver has ended.
    pub async fn recv(&mut self) -> Option<Packet> {
        self.packets.recv().await
    }

    /// Waits for the next packet and appends it and those that are due with it to `packets`, up to `limit`; how many,
    /// 0 when the driver has ended.
    pub async fn recv_many(&mut self, packets: &mut Vec<Packet>, limit: usize) -> usize {
        self.packets.recv_many(packets, limit).await
    }

    /// The same as [`recv`](Self::recv) from a thread that is not part of a runtime.
    ///
    /// # Panics
    /// When called from within a runtime.
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
        self.monitor.local_addrs()
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
        // Tunnels are links of their own to the machine, so that nobody can take their place from outside.
        let mut config = rist::ReceiverConfig::new(self.pairs.len() * 2, socket::seed());
        config.latency = self.config.latency;
        config.cname = self.config.cname;
        let now = Instant::now();
        let running = Running {
            packets: self.packets,
            stats: self.stats,
            sockets: self.pairs.into_iter().map(LinkSockets::register).collect::<Result<_, _>>()?,
            machine: rist::Receiver::new(now, config),
            listener: Listener::new(now, Config::new(self.config.psk), socket::seed()),
            datagram: Vec::new(),
            overflowed: 0,
            next_stats: now,
            inbox: Inbox::default(),
        };
        running.run().await;
        Ok(())
    }
}

/// A driver at work.
struct Running {
    packets: mpsc::Sender<Packet>,
    stats: Arc<Mutex<ReceiverStats>>,
    sockets: Vec<LinkSockets>,
    machine: rist::Receiver,
    listener: Listener,
    /// A tunnel's datagram on its way out.
    datagram: Vec<u8>,
    overflowed: u64,
    next_stats: Instant,
    inbox: Inbox,
}

impl Running {
    async fn run(mut self) {
        let mut timer = std::pin::pin!(tokio::time::sleep(Duration::ZERO));
        loop {
            let due = self.perform();
            self.sockets.iter_mut().for_each(LinkSockets::flush);
            let now = Instant::now();
            self.publish(now);
            let due = tokio::time::Instant::from(due.min(self.next_stats));
            if timer.deadline() != due || timer.is_elapsed() {
                timer.as_mut().reset(due);
            }
            // What comes until a time that is near is taken then: one wake-up for both.
            let near = due.duration_since(now.into()) <= COALESCE;
            tokio::select! {
                biased;
                () = self.packets.closed() => return,
                () = timer.as_mut() => self.timeout(),
                () = socket::any_readable(&self.sockets), if !near => self.receive(),
            }
        }
    }

    fn timeout(&mut self) {
        self.receive();
        let now = Instant::now();
        self.listener.handle_input(now, ListenerInput::Timeout);
        self.machine.handle_input(now, Input::Timeout);
    }

    fn receive(&mut self) {
        let now = Instant::now();
        let mut inbox = std::mem::take(&mut self.inbox);
        for link in 0..self.sockets.len() {
            for (data, from) in inbox.receive(&self.sockets[link].rtp) {
                self.take(now, link, from, data);
            }
            let Some(rtcp) = &self.sockets[link].rtcp else { continue };
            for (data, from) in inbox.receive(rtcp) {
                if self.listener.is_secret() {
                    self.listener.refuse_clear();
                } else {
                    self.machine.handle_input(now, Input::Rtcp { link, from, data: &data });
                }
            }
        }
        self.inbox = inbox;
    }

    /// Takes what came to an RTP port.
    fn take(&mut self, now: Instant, link: usize, from: SocketAddr, data: BytesMut) {
        if Header::is_gre(&data) {
            self.listener.handle_input(now, ListenerInput::Datagram { link, from, data });
            self.drain_tunnels(now);
        } else if self.listener.is_secret() {
            self.listener.refuse_clear();
        } else {
            self.machine.handle_input(now, Input::Rtp { link, from, data: data.freeze() });
        }
    }

    /// Gives what came out of tunnels to the machine; until when they want nothing more.
    fn drain_tunnels(&mut self, now: Instant) -> Instant {
        let tunnels = self.sockets.len();
        loop {
            match self.listener.poll_output() {
                ListenerOutput::Rtp { link, from, data } => {
                    self.machine.handle_input(now, Input::Rtp { link: link + tunnels, from, data });
                }
                ListenerOutput::Rtcp { link, from, data } => {
                    self.machine.handle_input(now, Input::Rtcp { link: link + tunnels, from, data: &data });
                }
                ListenerOutput::Transmit { link, to, data } => self.sockets[link].rtp.send_to(&[&data], to),
                ListenerOutput::Timeout(at) => return at,
            }
        }
    }

    fn send(&mut self, link: usize, to: SocketAddr, data: &[u8]) {
        match link.checked_sub(self.sockets.len()) {
            None => {
                if let Some(rtcp) = &mut self.sockets[link].rtcp {
                    rtcp.send_to(&[data], to);
                }
            }
            Some(tunnel) => {
                self.listener.rtcp(tunnel, to, data, &mut self.datagram);
                if !self.datagram.is_empty() {
                    self.sockets[tunnel].rtp.send_to(&[&self.datagram], to);
                }
            }
        }
    }

    /// Does what the machines want; until when they want nothing more.
    fn perform(&mut self) -> Instant {
        let due = self.drain_tunnels(Instant::now());
        loop {
            match self.machine.poll_output() {
                Output::Transmit { link, to, data } => self.send(link, to, &data),
                Output::Packet(packet) => {
                    // A consumer that does not take its packets is not waited for.
                    if let Err(mpsc::error::TrySendError::Full(_)) = self.packets.try_send(packet) {
                        self.overflowed += 1;
                    }
                }
                Output::Timeout(at) => return at.min(due),
            }
        }
    }

    fn publish(&mut self, now: Instant) {
        if now < self.next_stats {
            return;
        }
        self.next_stats = now + STATS_INTERVAL;
        let mut stats = self.machine.stats(now);
        stats.overflowed_packets += self.overflowed;
        stats.tunnel = self.listener.counters();
        let tunnels = stats.paths.split_off(self.sockets.len());
        for (path, tunnel) in stats.paths.iter_mut().zip(tunnels) {
            path.packets += tunnel.packets;
            path.bytes += tunnel.bytes;
            path.rtcp_packets += tunnel.rtcp_packets;
            path.rtt = tunnel.rtt.or(path.rtt);
        }
        *self.stats.lock().unwrap_or_else(PoisonError::into_inner) = stats;
    }
}
