//! Socket pairs: opening, and reading and writing without waiting.
#![expect(clippy::disallowed_types, reason = "this is where the sockets are")]

use std::collections::hash_map::RandomState;
use std::future::poll_fn;
use std::hash::BuildHasher;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::task::Poll;
use std::time::Duration;

use socket2::{Domain, Protocol, Socket, Type};

use super::channel::Channel;
use super::config::{LinkConfig, Profile};
use super::error::NetError;

/// Longest latency that can be configured.
pub(super) const MAX_LATENCY: Duration = Duration::from_secs(60);
/// Asked of the kernel for each direction; it gives what `net.core.{r,w}mem_max` allow.
/// 4 MiB hold 300 ms of 100 Mbit/s.
const BUFFER_BYTES: usize = 4 << 20;
/// How often a port pair chosen by the system is tried for.
const PAIR_ATTEMPTS: usize = 64;

/// The two sockets of one link; with the Main Profile, a sender has but one.
#[derive(Debug)]
pub(super) struct Pair {
    pub(super) rtp: UdpSocket,
    pub(super) rtcp: Option<UdpSocket>,
}

fn open(addr: SocketAddr) -> io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(addr), Type::DGRAM, Some(Protocol::UDP))?;
    socket.set_nonblocking(true)?;
    // The kernel cuts what it does not allow; a smaller buffer is no reason to fail.
    let _ = socket.set_recv_buffer_size(BUFFER_BYTES);
    let _ = socket.set_send_buffer_size(BUFFER_BYTES);
    Ok(socket)
}

/// Opens the sockets of a sender's link, bound as it says and connected to the receiver, so that only the
/// receiver is heard and the kernel's errors come back.
pub(super) fn connect(link: &LinkConfig, profile: Profile) -> io::Result<Pair> {
    if profile == Profile::Main {
        return Ok(Pair { rtp: connect_one(link, link.remote)?, rtcp: None });
    }
    let rtcp_port = link.remote.port().checked_add(1).ok_or(io::ErrorKind::InvalidInput)?;
    let mut rtcp_remote = link.remote;
    rtcp_remote.set_port(rtcp_port);
    Ok(Pair { rtp: connect_one(link, link.remote)?, rtcp: Some(connect_one(link, rtcp_remote)?) })
}

fn connect_one(link: &LinkConfig, remote: SocketAddr) -> io::Result<UdpSocket> {
    let socket = open(remote)?;
    if let Some(interface) = &link.interface {
        socket.bind_device(Some(interface.as_bytes()))?;
    }
    let any =
        if remote.is_ipv4() { IpAddr::V4(Ipv4Addr::UNSPECIFIED) } else { IpAddr::V6(Ipv6Addr::UNSPECIFIED) };
    socket.bind(&SocketAddr::new(link.source.unwrap_or(any), 0).into())?;
    socket.connect(&remote.into())?;
    Ok(socket.into())
}

/// Opens the sockets of a receiver: `addr` and the port above, or any such pair when the port is 0.
pub(super) fn listen(addr: SocketAddr) -> io::Result<Pair> {
    if addr.port() != 0 {
        return listen_at(addr);
    }
    // Odd ports are kept until the end, so that the system does not offer them again.
    let mut refused = Vec::new();
    for _ in 0..PAIR_ATTEMPTS {
        let socket = open(addr)?;
        socket.bind(&addr.into())?;
        let rtp: UdpSocket = socket.into();
        let mut above = rtp.local_addr()?;
        if above.port() % 2 == 0 {
            above.set_port(above.port() + 1);
            let socket = open(above)?;
            if socket.bind(&above.into()).is_ok() {
                return Ok(Pair { rtp, rtcp: Some(socket.into()) });
            }
        }
        refused.push(rtp);
    }
    Err(io::Error::new(io::ErrorKind::AddrInUse, "no free pair of ports"))
}

fn listen_at(addr: SocketAddr) -> io::Result<Pair> {
    let mut above = addr;
    above.set_port(addr.port().checked_add(1).ok_or(io::ErrorKind::InvalidInput)?);
    let rtp = open(addr)?;
    rtp.bind(&addr.into())?;
    let rtcp = open(above)?;
    rtcp.bind(&above.into())?;
    Ok(Pair { rtp: rtp.into(), rtcp: Some(rtcp.into()) })
}

/// A number nobody can guess: the standard library keys its hashers from the system's randomness.
pub(super) fn seed() -> u64 {
    RandomState::new().hash_one(0)
}

/// Whether a port can be that of RTP: even, and with one above (TR-06-1, 5.1.1).
pub(super) fn is_rtp_port(addr: SocketAddr) -> bool {
    addr.port() != 0 && addr.port().is_multiple_of(2)
}

/// A socket pair in a runtime.
#[derive(Debug)]
pub(super) struct LinkSockets {
    /// RTP, or a tunnel.
    pub(super) rtp: Channel,
    pub(super) rtcp: Option<Channel>,
}

impl LinkSockets {
    /// Gives a pair to the current runtime.
    pub(super) fn register(pair: Pair) -> Result<Self, NetError> {
        let rtcp = pair.rtcp.map(Channel::register).transpose()?;
        Ok(Self { rtp: Channel::register(pair.rtp)?, rtcp })
    }

    /// Whether a send failed in a way that does not pass by itself.
    pub(super) fn is_broken(&self) -> bool {
        self.rtp.is_broken() || self.rtcp.as_ref().is_some_and(Channel::is_broken)
    }

    /// Sends what was gathered.
    pub(super) fn flush(&mut self) {
        self.rtp.flush();
        if let Some(rtcp) = &mut self.rtcp {
            rtcp.flush();
        }
    }
}

/// Waits until a connected pair's socket for RTCP can be read.
pub(super) async fn readable(pairs: &[Option<LinkSockets>]) {
    poll_fn(|cx| {
        let any = pairs.iter().flatten().fold(false, |any, pair| {
            pair.rtcp.as_ref().unwrap_or(&pair.rtp).poll_readable(cx).is_ready() | any
        });
        if any { Poll::Ready(()) } else { Poll::Pending }
    })
    .await;
}

/// Waits until a socket of listening pairs can be read.
pub(super) async fn any_readable(pairs: &[LinkSockets]) {
    poll_fn(|cx| {
        let any = pairs.iter().fold(false, |any, pair| {
            let rtp = pair.rtp.poll_readable(cx).is_ready();
            let rtcp = pair.rtcp.as_ref().is_some_and(|rtcp| rtcp.poll_readable(cx).is_ready());
            rtcp | rtp | any
        });
        if any { Poll::Ready(()) } else { Poll::Pending }
    })
    .await;
}
