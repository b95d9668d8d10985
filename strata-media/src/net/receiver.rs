//! The receiving end.
#![expect(clippy::disallowed_methods, reason = "a driver reads the clock")]

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use tokio::sync::{Notify, mpsc};

use super::config::{LinkConfig, Membership, Profile, ReceiverConfig, check_psk, seed};
use super::error::NetError;
use super::front::Front;
use super::links;
use super::multicast;
use super::serve::{Machine, serve};
use super::socket::{self, Pair};
use super::wish::Wish;
use crate::rist::receiver::{Input, Output};
use crate::rist::{self, Packet, ReceiverStats, tunnel};

/// Most socket pairs of a receiver.
const MAX_BINDS: usize = 16;

/// Takes packets from a receiver. Dropping it ends the driver.
#[derive(Debug)]
pub struct Receiver {
    packets: mpsc::Receiver<Packet>,
    monitor: ReceiverMonitor,
}

/// Reads the statistics of a receiver, and asks for keyframes, from anywhere.
#[derive(Debug, Clone)]
pub struct ReceiverMonitor {
    wish: Arc<Wish>,
    stats: Arc<Mutex<ReceiverStats>>,
    addrs: Arc<[SocketAddr]>,
}

/// Runs a receiver.
#[derive(Debug)]
pub struct ReceiverDriver {
    ends: Ends,
    wished: Arc<Notify>,
    pairs: Vec<Pair>,
    config: ReceiverConfig,
}

/// Opens the sockets of a receiver, all of them.
///
/// # Errors
/// [`NetError::Config`] names the field that cannot work; [`NetError::Bind`] when an address cannot be had.
pub fn receiver(config: ReceiverConfig) -> Result<(Receiver, ReceiverDriver), NetError> {
    let (pairs, addrs) = bind(&config)?;
    let wished = Arc::<Notify>::default();
    let (handle, ends) = Receiver::open(config.output_capacity, addrs, &wished);
    Ok((handle, ReceiverDriver { ends, wished, pairs, config }))
}

/// Opens what a configuration names, once it is checked; the RTP addresses of that.
pub(super) fn bind(config: &ReceiverConfig) -> Result<(Vec<Pair>, Arc<[SocketAddr]>), NetError> {
    check(config)?;
    let mut pairs = Vec::new();
    let mut addrs = Vec::new();
    for (index, &addr) in config.binds.iter().enumerate() {
        let opened = if addr.ip().is_multicast() {
            let membership = config.memberships.iter().find(|membership| membership.bind == index);
            multicast::receive(addr, membership.unwrap_or(&Membership::new(index)))
        } else {
            socket::listen(addr)
        };
        let pair = opened.map_err(|source| NetError::Bind { addr, source })?;
        addrs.push(pair.rtp.local_addr().map_err(|source| NetError::Bind { addr, source })?);
        pairs.push(pair);
    }
    for link in &config.calls {
        let opened = socket::connect(link, Profile::Main);
        pairs.push(opened.map_err(|source| NetError::Call { addr: link.remote, source })?);
        addrs.push(link.remote);
    }
    Ok((pairs, addrs.into()))
}

/// What the machine is made of: two links per pair, since tunnels are links of their own.
///
/// # Errors
/// [`NetError::Io`] when the system has no random numbers.
pub(super) fn machine_config(config: &ReceiverConfig) -> Result<rist::ReceiverConfig, NetError> {
    let mut machine = rist::ReceiverConfig::new((config.binds.len() + config.calls.len()) * 2, seed()?);
    machine.latency = config.latency;
    let group = |addr: &SocketAddr| socket::above(*addr).ok().filter(|addr| addr.ip().is_multicast());
    machine.groups = config.binds.iter().map(group).collect();
    machine.fec = config.fec;
    machine.cname.clone_from(&config.cname);
    Ok(machine)
}

fn check(config: &ReceiverConfig) -> Result<(), NetError> {
    let error = |field: String, reason: &str| Err(NetError::Config { field, reason: reason.to_owned() });
    if !(1..=MAX_BINDS).contains(&(config.binds.len() + config.calls.len())) {
        return error("binds".to_owned(), "1 to 16 addresses are expected, with those of calls");
    }
    if !config.calls.is_empty() {
        check_calls(&config.calls)?;
    }
    if config.users.is_some() && config.binds.is_empty() {
        return error("users".to_owned(), "only where callers are listened to");
    }
    if config.credentials.is_some() && config.calls.is_empty() {
        return error("credentials".to_owned(), "only with a sender that is called");
    }
    if config.latency.is_zero() || config.latency > socket::MAX_LATENCY {
        return error("latency".to_owned(), "1 ms to 60 s are expected");
    }
    check_psk(config.psk.as_ref())?;
    for (index, membership) in config.memberships.iter().enumerate() {
        let bind = config.binds.get(membership.bind);
        if !bind.is_some_and(|addr| addr.ip().is_multicast()) {
            return error(
                format!("memberships[{index}].bind"),
                "not the place of a multicast group in binds",
            );
        }
    }
    for (index, &addr) in config.binds.iter().enumerate() {
        if addr.ip().is_multicast() {
            check_group(config, index, addr)?;
        }
        if addr.port() != 0 && !socket::is_rtp_port(addr) {
            return error(
                format!("binds[{index}]"),
                "the port of RTP must be even (RTCP is the port above), or 0 for any",
            );
        }
    }
    Ok(())
}

fn check_calls(calls: &[LinkConfig]) -> Result<(), NetError> {
    if let Some(index) = calls.iter().position(|link| link.listens) {
        let reason = "it listens; such an address is one of binds".to_owned();
        return Err(NetError::Config { field: format!("calls[{index}].listens"), reason });
    }
    links::check(calls, Profile::Main).map_err(|error| match error {
        NetError::Config { field, reason } => {
            NetError::Config { field: field.replace("links[", "calls["), reason }
        }
        NetError::Unsupported { field, reason } => {
            NetError::Unsupported { field: field.replace("links[", "calls["), reason }
        }
        other => other,
    })
}

fn check_group(config: &ReceiverConfig, index: usize, addr: SocketAddr) -> Result<(), NetError> {
    let field = format!("binds[{index}]");
    if config.psk.is_some() || config.users.is_some() {
        let reason = "a multicast group takes only the Simple Profile, which knows no secret and no users";
        return Err(NetError::Unsupported { field, reason: reason.to_owned() });
    }
    if addr.port() == 0 {
        return Err(NetError::Config { field, reason: "the port of a group must not be 0".to_owned() });
    }
    Ok(())
}

/// The driver's ends of a stream.
#[derive(Debug)]
pub(super) struct Ends {
    pub(super) packets: mpsc::Sender<Packet>,
    pub(super) wish: Arc<Wish>,
    stats: Arc<Mutex<ReceiverStats>>,
    overflowed: u64,
}

impl Ends {
    /// Gives a packet to the consumer. One that does not take its packets is not waited for.
    pub(super) fn give(&mut self, packet: Packet) {
        if let Err(mpsc::error::TrySendError::Full(_)) = self.packets.try_send(packet) {
            self.overflowed += 1;
        }
    }

    /// Makes statistics of the machine known.
    pub(super) fn publish(&self, mut stats: ReceiverStats, front: &Front, counters: tunnel::Counters) {
        stats.overflowed_packets += self.overflowed;
        front.complete(&mut stats, counters);
        *self.stats.lock().unwrap_or_else(PoisonError::into_inner) = stats;
    }
}

impl Receiver {
    /// A handle, and the ends of it that its driver holds, which is notified of wishes.
    pub(super) fn open(capacity: usize, addrs: Arc<[SocketAddr]>, driver: &Arc<Notify>) -> (Self, Ends) {
        let (sender, packets) = mpsc::channel(capacity.max(1));
        let stats = Arc::new(Mutex::new(ReceiverStats::default()));
        let wish = Wish::of(driver);
        let monitor = ReceiverMonitor { wish: wish.clone(), stats: stats.clone(), addrs };
        (Self { packets, monitor }, Ends { packets: sender, stats, wish, overflowed: 0 })
    }

    /// Asks the sender's encoder for a keyframe, as a decoder does that cannot go on without one. It is asked twice in a second
    /// at most. Nothing comes of it unless the sender is one of Strata's that takes it ([`SenderConfig::keyframes`]).
    ///
    /// [`SenderConfig::keyframes`]: super::SenderConfig::keyframes
    pub fn request_keyframe(&self) {
        self.monitor.request_keyframe();
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

    /// RTP addresses that are listened at, in the order of [`ReceiverConfig::binds`]; then those that are called.
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
    /// As [`Receiver::request_keyframe`].
    pub fn request_keyframe(&self) {
        self.wish.keyframe();
    }

    /// Statistics, at most 100 ms old.
    #[must_use]
    pub fn stats(&self) -> ReceiverStats {
        self.stats.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// RTP addresses that are listened at, in the order of [`ReceiverConfig::binds`]; then those that are called.
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
        let front = Front::register(self.pairs, &self.config, 1)?;
        let machine = rist::Receiver::new(Instant::now(), machine_config(&self.config)?);
        serve(front, One { machine, ends: self.ends, wished: self.wished }).await;
        Ok(())
    }
}

/// The machine of one stream, and who takes what it gives.
struct One {
    machine: rist::Receiver,
    ends: Ends,
    wished: Arc<Notify>,
}

impl Machine for One {
    fn handle_input(&mut self, now: Instant, input: Input<'_>) {
        self.machine.handle_input(now, input);
    }

    fn perform(&mut self, front: &mut Front) -> Instant {
        loop {
            match self.machine.poll_output() {
                Output::Transmit { link, to, data } => front.send(link, to, &data),
                Output::Packet(packet) => self.ends.give(packet),
                Output::Timeout(at) => return at,
            }
        }
    }

    fn publish(&mut self, now: Instant, front: &Front) {
        self.ends.publish(self.machine.stats(now), front, front.counters());
    }

    fn wished(&self) -> &Notify {
        &self.wished
    }

    fn take_wishes(&mut self, now: Instant) {
        if self.ends.wish.take() {
            self.machine.handle_input(now, Input::KeyframeWanted);
        }
    }

    fn closed(&self) -> impl Future<Output = ()> + Send {
        self.ends.packets.closed()
    }
}
