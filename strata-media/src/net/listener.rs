//! A receiving end for many streams.
#![expect(clippy::disallowed_methods, reason = "a driver reads the clock and waits")]

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::mpsc;

use super::config::ReceiverConfig;
use super::error::NetError;
use super::front::Front;
use super::receiver::{Receiver, bind, machine_config, wait_until};
use super::socket::Pair;
use crate::rist::receiver::Input;
use crate::rist::streams::Output;
use crate::rist::{Packet, ReceiverStats, Streams};

/// Most streams of a listener.
const MAX_STREAMS: usize = 256;
/// How often statistics are published.
const STATS_INTERVAL: Duration = Duration::from_millis(100);

/// Takes up the streams that come to a set of ports. Dropping it ends the driver, and all streams.
#[derive(Debug)]
pub struct Listener {
    accepted: mpsc::Receiver<Accepted>,
    addrs: Arc<[SocketAddr]>,
}

/// A stream that has come.
#[derive(Debug)]
#[non_exhaustive]
pub struct Accepted {
    /// Its packets and statistics; ends after the stream was silent for 10 s, or said goodbye. Dropping it leaves the
    /// stream unheard.
    pub receiver: Receiver,
    /// Its SSRC, with the retransmission bit 0.
    pub ssrc: u32,
    /// Where its first packet came from.
    pub from: SocketAddr,
}

/// Runs a listener.
#[derive(Debug)]
pub struct ListenerDriver {
    accepted: mpsc::Sender<Accepted>,
    addrs: Arc<[SocketAddr]>,
    pairs: Vec<Pair>,
    config: ReceiverConfig,
    most: usize,
}

/// Opens the sockets of a listener: each stream that comes to any of them is received as `config` says, at most
/// `max_streams` at a time. What comes beyond is not answered.
///
/// # Errors
/// As [`receiver`](super::receiver()); [`NetError::Config`] when `max_streams` is not from 1 to 256.
pub fn listener(config: ReceiverConfig, max_streams: usize) -> Result<(Listener, ListenerDriver), NetError> {
    if !(1..=MAX_STREAMS).contains(&max_streams) {
        let reason = format!("{max_streams} streams, 1 to {MAX_STREAMS} are expected");
        return Err(NetError::Config { field: "max_streams".to_owned(), reason });
    }
    let (pairs, addrs) = bind(&config)?;
    let (sender, accepted) = mpsc::channel(max_streams);
    let listener = Listener { accepted, addrs: addrs.clone() };
    Ok((listener, ListenerDriver { accepted: sender, addrs, pairs, config, most: max_streams }))
}

impl Listener {
    /// The next stream; `None` when the driver has ended.
    pub async fn accept(&mut self) -> Option<Accepted> {
        self.accepted.recv().await
    }

    /// RTP addresses that are listened at, in the order of [`ReceiverConfig::binds`].
    #[must_use]
    pub fn local_addrs(&self) -> &[SocketAddr] {
        &self.addrs
    }
}

impl ListenerDriver {
    /// Runs until the handle is dropped.
    ///
    /// # Errors
    /// [`NetError::Io`] when the sockets cannot be given to the runtime.
    pub async fn run(self) -> Result<(), NetError> {
        let now = Instant::now();
        let running = Running {
            streams: Streams::new(now, machine_config(&self.config), self.most),
            front: Front::register(self.pairs, self.config.psk, self.config.users)?,
            accepted: self.accepted,
            addrs: self.addrs,
            capacity: self.config.output_capacity,
            open: HashMap::new(),
            next_stats: now,
        };
        running.run().await;
        Ok(())
    }
}

/// A driver at work.
struct Running {
    accepted: mpsc::Sender<Accepted>,
    addrs: Arc<[SocketAddr]>,
    capacity: usize,
    front: Front,
    streams: Streams,
    open: HashMap<u64, Open>,
    next_stats: Instant,
}

/// The driver's ends of a stream.
struct Open {
    packets: mpsc::Sender<Packet>,
    stats: Arc<Mutex<ReceiverStats>>,
    overflowed: u64,
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
                () = self.accepted.closed() => return,
                () = timer.as_mut() => self.timeout(),
                () = self.front.readable(), if !near => self.receive(),
            }
        }
    }

    fn timeout(&mut self) {
        self.receive();
        let now = Instant::now();
        self.front.timeout(now);
        self.streams.handle_input(now, Input::Timeout);
    }

    fn receive(&mut self) {
        let now = Instant::now();
        let streams = &mut self.streams;
        self.front.receive(now, |input| streams.handle_input(now, input));
    }

    /// Does what the machines want; until when they want nothing more.
    fn perform(&mut self) -> Instant {
        let (now, streams) = (Instant::now(), &mut self.streams);
        let due = self.front.drain(|input| streams.handle_input(now, input));
        loop {
            match self.streams.poll_output() {
                Output::Transmit { link, to, data } => self.front.send(link, to, &data),
                Output::Opened { stream, ssrc, from } => self.accept(stream, ssrc, from),
                Output::Packet { stream, packet } => {
                    if let Some(open) = self.open.get_mut(&stream)
                        && let Err(mpsc::error::TrySendError::Full(_)) = open.packets.try_send(packet)
                    {
                        open.overflowed += 1;
                    }
                }
                Output::Closed { stream } => {
                    self.open.remove(&stream);
                }
                Output::Timeout(at) => {
                    self.front.flush();
                    return at.min(due);
                }
            }
        }
    }

    fn accept(&mut self, stream: u64, ssrc: u32, from: SocketAddr) {
        let (receiver, packets, stats) = Receiver::open(self.capacity, self.addrs.clone());
        // Nobody waits for as many as there may be: the stream goes unheard.
        if self.accepted.try_send(Accepted { receiver, ssrc, from }).is_ok() {
            self.open.insert(stream, Open { packets, stats, overflowed: 0 });
        }
    }

    fn publish(&mut self, now: Instant) {
        if now < self.next_stats {
            return;
        }
        self.next_stats = now + STATS_INTERVAL;
        self.open.retain(|_, open| !open.packets.is_closed());
        for (&stream, open) in &self.open {
            if let Some(mut stats) = self.streams.stats(now, stream) {
                stats.overflowed_packets += open.overflowed;
                self.front.complete(&mut stats);
                *open.stats.lock().unwrap_or_else(PoisonError::into_inner) = stats;
            }
        }
    }
}
