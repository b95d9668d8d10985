//! Sockets around the two links.

#![expect(clippy::disallowed_methods, clippy::disallowed_types, reason = "a driver has sockets and a clock")]

use std::collections::HashMap;
use std::future::{Future as _, poll_fn};
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use bytes::Bytes;
use tokio::io::ReadBuf;
use tokio::net::UdpSocket;
use tokio::sync::Notify;
use tokio::time::Sleep;

use super::super::netem::{Config, Link, Packet};
use super::{Mapping, RelayConfig, RelayError, RelayStats, lock};

/// Packets read from one socket before the others get their turn.
const BATCH: usize = 64;

/// Largest UDP payload.
const MAX_DATAGRAM: usize = 65_535;

/// A packet with the mapping and client it belongs to.
#[derive(Debug, Clone)]
struct Routed {
    mapping: usize,
    client: SocketAddr,
    data: Bytes,
}

impl Packet for Routed {
    fn size(&self) -> usize {
        self.data.len()
    }
}

/// What the handle and the driver share; never locked across a wait.
#[derive(Debug)]
pub(super) struct Shared {
    up: Link<Routed>,
    down: Link<Routed>,
    pub(super) closed: bool,
    clients: usize,
    refused: u64,
    send_errors: u64,
}

impl Shared {
    pub(super) fn new(config: &RelayConfig) -> Self {
        Self {
            up: Link::new(config.up.clone(), config.seed),
            // Another stream of randomness than upwards, from the same seed.
            down: Link::new(config.down.clone(), !config.seed),
            closed: false,
            clients: 0,
            refused: 0,
            send_errors: 0,
        }
    }

    pub(super) fn configure(&mut self, up: Config, down: Config) {
        let now = Instant::now();
        self.up.configure(now, up);
        self.down.configure(now, down);
    }

    pub(super) fn set_down(&mut self, down: bool) {
        let now = Instant::now();
        self.up.set_down(now, down);
        self.down.set_down(now, down);
    }

    pub(super) fn stats(&self) -> RelayStats {
        RelayStats {
            up: self.up.stats(),
            down: self.down.stats(),
            clients: self.clients,
            refused: self.refused,
            send_errors: self.send_errors,
        }
    }
}

/// Moves packets while [`run`](Self::run) does.
#[derive(Debug)]
pub struct RelayDriver {
    ports: Vec<Port>,
    shared: Arc<Mutex<Shared>>,
    wake: Arc<Notify>,
    max_clients: usize,
    client_idle: Duration,
    buffer: Vec<u8>,
}

#[derive(Debug)]
struct Port {
    mapping: Mapping,
    source: Option<IpAddr>,
    listen: UdpSocket,
    /// The same socket, for sending: tokio's refuses until the reactor has seen it once.
    answer: std::net::UdpSocket,
    clients: HashMap<SocketAddr, Client>,
}

#[derive(Debug)]
struct Client {
    socket: UdpSocket,
    /// The same socket, for sending.
    forward: std::net::UdpSocket,
    last_used: Instant,
}

impl RelayDriver {
    pub(super) fn bind(
        config: RelayConfig,
        shared: Arc<Mutex<Shared>>,
        wake: Arc<Notify>,
    ) -> Result<Self, RelayError> {
        let mut ports = Vec::new();
        for mapping in config.mappings {
            let address = mapping.listen;
            let bound = std::net::UdpSocket::bind(address).and_then(both_ways);
            let (listen, answer) = bound.map_err(|source| RelayError::Bind { address, source })?;
            ports.push(Port { mapping, source: config.source, listen, answer, clients: HashMap::new() });
        }
        let (max_clients, client_idle) = (config.max_clients, config.client_idle);
        Ok(Self { ports, shared, wake, max_clients, client_idle, buffer: vec![0; MAX_DATAGRAM] })
    }

    pub(super) fn local_addrs(&self) -> Vec<SocketAddr> {
        self.ports.iter().map(|p| p.listen.local_addr().unwrap_or(p.mapping.listen)).collect()
    }

    /// Relays until the handle is dropped.
    pub async fn run(mut self) {
        let mut timer = Box::pin(tokio::time::sleep(self.client_idle));
        let mut forget_at = Instant::now() + self.client_idle;
        let wake = Arc::clone(&self.wake);
        loop {
            let next = {
                let mut shared = lock(&self.shared);
                if shared.closed {
                    return;
                }
                let now = Instant::now();
                if now >= forget_at {
                    self.ports.iter_mut().for_each(|port| port.forget(now, self.client_idle));
                    forget_at = now + self.client_idle;
                }
                shared.clients = self.ports.iter().map(|port| port.clients.len()).sum();
                [Some(forget_at), shared.up.next_event(), shared.down.next_event()]
                    .into_iter()
                    .flatten()
                    .min()
            };
            timer.as_mut().reset(next.unwrap_or(forget_at).into());
            tokio::select! {
                () = wake.notified() => {}
                () = self.step(timer.as_mut()) => {}
            }
        }
    }

    /// Reads what there is, sends what is due; ready when something happened.
    async fn step(&mut self, mut timer: Pin<&mut Sleep>) {
        poll_fn(|cx| {
            let mut active = timer.as_mut().poll(cx).is_ready();
            let mut shared = lock(&self.shared);
            for (index, port) in self.ports.iter_mut().enumerate() {
                active |= port.read_clients(cx, index, self.max_clients, &mut self.buffer, &mut shared);
                active |= port.read_forwards(cx, index, &mut self.buffer, &mut shared);
            }
            let now = Instant::now();
            while let Some(d) = shared.up.poll(now) {
                let sent = self.ports[d.packet.mapping].send_up(now, &d.packet);
                shared.send_errors += u64::from(!sent);
            }
            while let Some(d) = shared.down.poll(now) {
                let port = &self.ports[d.packet.mapping];
                let sent = port.answer.send_to(&d.packet.data, d.packet.client).is_ok();
                shared.send_errors += u64::from(!sent);
            }
            if active { Poll::Ready(()) } else { Poll::Pending }
        })
        .await;
    }
}

impl Port {
    /// Whether anything came from clients.
    fn read_clients(
        &mut self,
        cx: &mut Context<'_>,
        mapping: usize,
        max_clients: usize,
        buffer: &mut [u8],
        shared: &mut Shared,
    ) -> bool {
        for n in 0..BATCH {
            let mut read = ReadBuf::new(buffer);
            let Poll::Ready(result) = self.listen.poll_recv_from(cx, &mut read) else { return n > 0 };
            // An error here is an earlier packet that found no taker; the next read goes on.
            let Ok(client) = result else { continue };
            let now = Instant::now();
            if !self.admit(now, client, max_clients) {
                shared.refused += 1;
                continue;
            }
            shared.up.push(now, Routed { mapping, client, data: Bytes::copy_from_slice(read.filled()) });
        }
        true
    }

    /// Whether anything came back.
    fn read_forwards(
        &mut self,
        cx: &mut Context<'_>,
        mapping: usize,
        buffer: &mut [u8],
        shared: &mut Shared,
    ) -> bool {
        let mut active = false;
        for (&client, state) in &mut self.clients {
            for _ in 0..BATCH {
                let mut read = ReadBuf::new(buffer);
                let Poll::Ready(result) = state.socket.poll_recv(cx, &mut read) else { break };
                active = true;
                if result.is_ok() {
                    state.last_used = Instant::now();
                    let data = Bytes::copy_from_slice(read.filled());
                    shared.down.push(state.last_used, Routed { mapping, client, data });
                }
            }
        }
        active
    }

    fn admit(&mut self, now: Instant, client: SocketAddr, max_clients: usize) -> bool {
        if let Some(known) = self.clients.get_mut(&client) {
            known.last_used = now;
            return true;
        }
        if self.clients.len() >= max_clients {
            return false;
        }
        let Ok((socket, forward)) = forward_socket(self.source, self.mapping.forward) else { return false };
        self.clients.insert(client, Client { socket, forward, last_used: now });
        true
    }

    fn send_up(&mut self, now: Instant, packet: &Routed) -> bool {
        let Some(client) = self.clients.get_mut(&packet.client) else { return false };
        client.last_used = now;
        client.forward.send(&packet.data).is_ok()
    }

    fn forget(&mut self, now: Instant, idle: Duration) {
        self.clients.retain(|_, client| now.saturating_duration_since(client.last_used) < idle);
    }
}

fn forward_socket(
    source: Option<IpAddr>,
    forward: SocketAddr,
) -> io::Result<(UdpSocket, std::net::UdpSocket)> {
    let any = if forward.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
    let socket = std::net::UdpSocket::bind(SocketAddr::new(source.unwrap_or(any), 0))?;
    socket.connect(forward)?;
    both_ways(socket)
}

/// Whether packets can come from an address.
pub(super) fn bindable(source: IpAddr) -> io::Result<()> {
    std::net::UdpSocket::bind(SocketAddr::new(source, 0)).map(drop)
}

/// A socket to read from in the reactor, and itself to send by without waiting.
fn both_ways(socket: std::net::UdpSocket) -> io::Result<(UdpSocket, std::net::UdpSocket)> {
    socket.set_nonblocking(true)?;
    let sending = socket.try_clone()?;
    Ok((UdpSocket::from_std(socket)?, sending))
}
