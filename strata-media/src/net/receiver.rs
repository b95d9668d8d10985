//! The receiving end.
#![expect(clippy::disallowed_methods, reason = "a driver reads the clock and waits")]

use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::mpsc;
use tokio::time::Sleep;

use super::config::{ReceiverConfig, check_psk};
use super::error::NetError;
use super::front::Front;
use super::socket::{self, Pair};
use crate::rist::receiver::{Input, Output};
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
    let (pairs, addrs) = bind(&config)?;
    let (handle, packets, stats) = Receiver::open(config.output_capacity, addrs);
    Ok((handle, ReceiverDriver { packets, stats, pairs, config }))
}

/// Opens what a configuration names, once it is checked; the RTP addresses of that.
pub(super) fn bind(config: &ReceiverConfig) -> Result<(Vec<Pair>, Arc<[SocketAddr]>), NetError> {
    check(config)?;
    let mut pairs = Vec::new();
    let mut addrs = Vec::new();
    for &addr in &config.binds {
        let pair = socket::listen(addr).map_err(|source| NetError::Bind { addr, source })?;
        addrs.push(pair.rtp.local_addr().map_err(|source| NetError::Bind { addr, source })?);
        pairs.push(pair);
    }
    Ok((pairs, addrs.into()))
}

/// What the machine is made of: two links per pair, since tunnels are links of their own.
pub(super) fn machine_config(config: &ReceiverConfig) -> rist::ReceiverConfig {
    let mut machine = rist::ReceiverConfig::new(config.binds.len() * 2, socket::seed());
    machine.latency = config.latency;
    machine.cname.clone_from(&config.cname);
    machine
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
    /// A handle, and the ends of it that its driver holds.
    pub(super) fn open(
        capacity: usize,
        addrs: Arc<[SocketAddr]>,
    ) -> (Self, mpsc::Sender<Packet>, Arc<Mutex<ReceiverStats>>) {
        let (sender, packets) = mpsc::channel(capacity.max(1));
        let stats = Arc::new(Mutex::new(ReceiverStats::default()));
        (Self { packets, monitor: ReceiverMonitor { stats: stats.clone(), addrs } }, sender, stats)
    }

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
        let now = Instant::now();
        let running = Running {
            machine: rist::Receiver::new(now, machine_config(&self.config)),
            front: Front::register(self.pairs, self.config.psk, self.config.users)?,
            packets: self.packets,
            stats: self.stats,
            overflowed: 0,
            next_stats: now,
        };
        running.run().await;
        Ok(())
    }
}

/// A driver at work.
struct Running {
    packets: mpsc::Sender<Packet>,
    stats: Arc<Mutex<ReceiverStats>>,
    front: Front,
    machine: rist::Receiver,
    overflowed: u64,
    next_stats: Instant,
}

impl Running {
    async fn run(mut self) {
        let mut timer = std::pin::pin!(tokio::time::sleep(Duration::ZERO));
        loop {
            let due = self.perform();
            let now = Instant::now();
            self.publish(now);
            let near = wait_until(timer.as_mut(), now, due.min(self.next_stats));
            tokio::select! {
                biased;
                () = self.packets.closed() => return,
                () = timer.as_mut() => self.timeout(),
                () = self.front.readable(), if !near => self.receive(),
            }
        }
    }

    fn timeout(&mut self) {
        self.receive();
        let now = Instant::now();
        self.front.timeout(now);
        self.machine.handle_input(now, Input::Timeout);
    }

    fn receive(&mut self) {
        let now = Instant::now();
        let machine = &mut self.machine;
        self.front.receive(now, |input| machine.handle_input(now, input));
    }

    /// Does what the machines want; until when they want nothing more.
    fn perform(&mut self) -> Instant {
        let (now, machine) = (Instant::now(), &mut self.machine);
        let due = self.front.drain(|input| machine.handle_input(now, input));
        loop {
            match self.machine.poll_output() {
                Output::Transmit { link, to, data } => self.front.send(link, to, &data),
                Output::Packet(packet) => {
                    // A consumer that does not take its packets is not waited for.
                    if let Err(mpsc::error::TrySendError::Full(_)) = self.packets.try_send(packet) {
                        self.overflowed += 1;
                    }
                }
                Output::Timeout(at) => {
                    self.front.flush();
                    return at.min(due);
                }
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
        self.front.complete(&mut stats);
        *self.stats.lock().unwrap_or_else(PoisonError::into_inner) = stats;
    }
}

/// Sets the timer of a driver; whether it goes off so soon that sockets need not be looked at before: what comes until
/// then is taken then, with one wake-up for both.
pub(super) fn wait_until(mut timer: Pin<&mut Sleep>, now: Instant, due: Instant) -> bool {
    let due = tokio::time::Instant::from(due);
    if timer.deadline() != due || timer.is_elapsed() {
        timer.as_mut().reset(due);
    }
    due.duration_since(now.into()) <= COALESCE
}
