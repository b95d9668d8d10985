//! A receiving end for many streams.
#![expect(clippy::disallowed_methods, reason = "a driver reads the clock")]

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use tokio::sync::{Notify, mpsc};

use super::config::ReceiverConfig;
use super::error::NetError;
use super::front::Front;
use super::receiver::{Ends, Receiver, bind, machine_config};
use super::serve::{Machine, serve};
use super::socket::Pair;
use crate::rist::receiver::Input;
use crate::rist::streams::Output;
use crate::rist::{Streams, tunnel};

/// Most streams of a listener.
const MAX_STREAMS: usize = 256;

/// Takes up the streams that come to a set of ports. Dropping it ends the driver, and all streams.
#[derive(Debug)]
pub struct Listener {
    accepted: mpsc::Receiver<Accepted>,
    addrs: Arc<[SocketAddr]>,
    stats: Arc<Mutex<ListenerStats>>,
}

/// What a listener counts beside its streams, since its start.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ListenerStats {
    /// Streams at present that somebody hears.
    pub streams: usize,
    /// Datagrams that were not understood, of no stream, or of one there was no room for.
    pub rejected_datagrams: u64,
    /// Datagrams to senders that the system did not take.
    pub refused_datagrams: u64,
    /// What the Main Profile's tunnels took and refused, over all streams; so do the statistics of each.
    pub tunnel: tunnel::Counters,
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
    /// The port within the tunnel that it comes to, by which senders tell their streams apart (`stream-id` of librist's tools); `None`
    /// by the Simple Profile.
    pub virtual_port: Option<u16>,
}

/// Runs a listener.
#[derive(Debug)]
pub struct ListenerDriver {
    accepted: mpsc::Sender<Accepted>,
    addrs: Arc<[SocketAddr]>,
    pairs: Vec<Pair>,
    config: ReceiverConfig,
    most: usize,
    stats: Arc<Mutex<ListenerStats>>,
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
    let stats = Arc::<Mutex<ListenerStats>>::default();
    let listener = Listener { accepted, addrs: addrs.clone(), stats: stats.clone() };
    Ok((listener, ListenerDriver { accepted: sender, addrs, pairs, config, most: max_streams, stats }))
}

impl Listener {
    /// The next stream; `None` when the driver has ended.
    pub async fn accept(&mut self) -> Option<Accepted> {
        self.accepted.recv().await
    }

    /// What was refused, at most 100 ms old.
    #[must_use]
    pub fn stats(&self) -> ListenerStats {
        *self.stats.lock().unwrap_or_else(PoisonError::into_inner)
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
        let front = Front::register(self.pairs, &self.config, self.most)?;
        let many = Many {
            streams: Streams::new(Instant::now(), machine_config(&self.config)?, self.most),
            accepted: self.accepted,
            addrs: self.addrs,
            capacity: self.config.output_capacity,
            open: HashMap::new(),
            wished: Arc::default(),
            stats: self.stats,
        };
        serve(front, many).await;
        Ok(())
    }
}

/// The machine of many streams, and who takes what it gives.
struct Many {
    streams: Streams,
    accepted: mpsc::Sender<Accepted>,
    addrs: Arc<[SocketAddr]>,
    capacity: usize,
    open: HashMap<u64, Ends>,
    wished: Arc<Notify>,
    stats: Arc<Mutex<ListenerStats>>,
}

impl Many {
    fn accept(&mut self, stream: u64, ssrc: u32, from: SocketAddr, virtual_port: Option<u16>) {
        let (receiver, ends) = Receiver::open(self.capacity, self.addrs.clone(), &self.wished);
        // Nobody waits for as many as there may be: the stream goes unheard.
        if self.accepted.try_send(Accepted { receiver, ssrc, from, virtual_port }).is_ok() {
            self.open.insert(stream, ends);
        }
    }
}

impl Machine for Many {
    fn handle_input(&mut self, now: Instant, input: Input<'_>) {
        self.streams.handle_input(now, input);
    }

    fn perform(&mut self, front: &mut Front) -> Instant {
        loop {
            match self.streams.poll_output() {
                Output::Transmit { link, to, data } => front.send(link, to, &data),
                Output::Opened { stream, ssrc, from } => {
                    self.accept(stream, ssrc, from, front.virtual_port(from));
                }
                Output::Packet { stream, packet } => {
                    if let Some(open) = self.open.get_mut(&stream) {
                        open.give(packet);
                    }
                }
                Output::Closed { stream } => {
                    self.open.remove(&stream);
                }
                Output::Timeout(at) => return at,
            }
        }
    }

    fn publish(&mut self, now: Instant, front: &Front) {
        self.open.retain(|_, open| !open.packets.is_closed());
        let counters = front.counters();
        *self.stats.lock().unwrap_or_else(PoisonError::into_inner) = ListenerStats {
            streams: self.open.len(),
            rejected_datagrams: self.streams.rejected(),
            refused_datagrams: front.refused(),
            tunnel: counters,
        };
        for (&stream, open) in &self.open {
            if let Some(stats) = self.streams.stats(now, stream) {
                open.publish(stats, front, counters);
            }
        }
    }

    fn wished(&self) -> &Notify {
        &self.wished
    }

    fn take_wishes(&mut self, now: Instant) {
        for (&stream, open) in &self.open {
            if open.wish.take() {
                self.streams.want_keyframe(now, stream);
            }
        }
    }

    fn closed(&self) -> impl Future<Output = ()> + Send {
        self.accepted.closed()
    }
}
