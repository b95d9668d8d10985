//! Socket pairs: opening, and reading and writing without waiting.
#![expect(clippy::disallowed_types, reason = "this is where the sockets are")]

use std::fmt;
use std::future::poll_fn;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::task::Poll;
use std::time::{Duration, Instant};

use nix::ifaddrs::{InterfaceAddress, getifaddrs};
use socket2::{Domain, Protocol, Socket, Type};

use super::channel::Channel;
use super::config::{LinkConfig, Profile};
use super::error::NetError;
use super::multicast;

/// Longest latency that can be configured.
pub(super) const MAX_LATENCY: Duration = Duration::from_secs(60);
/// Sockets that break sooner than that are not opened anew before: what breaks them has not passed.
const LEAST_AGE: Duration = Duration::from_secs(2);
/// How often a port pair chosen by the system is tried for.
const PAIR_ATTEMPTS: usize = 64;

/// The two sockets of one link; with the Main Profile, a sender has but one.
#[derive(Debug)]
pub(super) struct Pair {
    pub(super) rtp: UdpSocket,
    pub(super) rtcp: Option<UdpSocket>,
    /// Where receivers answer, if the link leads to a group: RTCP is sent there too.
    pub(super) group: Option<(UdpSocket, SocketAddr)>,
}

pub(super) fn open(addr: SocketAddr) -> io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(addr), Type::DGRAM, Some(Protocol::UDP))?;
    socket.set_nonblocking(true)?;
    Ok(socket)
}

/// Opens the sockets of a sender's link, bound as it says and connected to the receiver, so that only the
/// receiver is heard and the kernel's errors come back; one that listens is connected to nobody.
pub(super) fn connect(link: &LinkConfig, profile: Profile) -> io::Result<Pair> {
    if link.listens {
        let socket = open(link.remote)?;
        multicast::go_by(&socket, link)?;
        socket.bind(&link.remote.into())?;
        return Ok(Pair { rtp: socket.into(), rtcp: None, group: None });
    }
    if profile == Profile::Main {
        return Ok(Pair { rtp: connect_one(link, link.remote)?, rtcp: None, group: None });
    }
    if link.remote.ip().is_multicast() {
        return multicast::send(link);
    }
    let rtcp = connect_one(link, above(link.remote)?)?;
    Ok(Pair { rtp: connect_one(link, link.remote)?, rtcp: Some(rtcp), group: None })
}

/// The address of RTCP for one of RTP.
pub(super) fn above(mut addr: SocketAddr) -> io::Result<SocketAddr> {
    addr.set_port(addr.port().checked_add(1).ok_or(io::ErrorKind::InvalidInput)?);
    Ok(addr)
}

/// All addresses of this machine, of the family of `addr`.
pub(super) fn unspecified(addr: SocketAddr) -> IpAddr {
    if addr.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() }
}

pub(super) fn connect_one(link: &LinkConfig, remote: SocketAddr) -> io::Result<UdpSocket> {
    let socket = open(remote)?;
    multicast::go_by(&socket, link)?;
    check_interface(link)?;
    bind_source(&socket, link)?;
    socket.connect(&remote.into())?;
    Ok(socket.into())
}

/// Refuses an interface without an address: the system would send by it from another interface's, where the answers go. One that
/// borrows an address has it named as the link's source.
fn check_interface(link: &LinkConfig) -> io::Result<()> {
    let Some(name) = link.interface.as_ref().filter(|_| link.source.is_none()) else { return Ok(()) };
    let (is_v4, family) = if link.remote.is_ipv4() { (true, "IPv4") } else { (false, "IPv6") };
    let is_its = |found: InterfaceAddress| {
        let address = found.address.filter(|_| found.interface_name == *name);
        address.is_some_and(|it| {
            if is_v4 { it.as_sockaddr_in().is_some() } else { it.as_sockaddr_in6().is_some() }
        })
    };
    if link.remote.ip().is_multicast() || getifaddrs()?.any(is_its) {
        return Ok(());
    }
    Err(io::Error::new(
        io::ErrorKind::AddrNotAvailable,
        format!("interface {name}: it has no {family} address"),
    ))
}

/// Binds a socket to an interface. The system's error does not say which.
pub(super) fn bind_interface(socket: &Socket, name: &str) -> io::Result<()> {
    socket.bind_device(Some(name.as_bytes())).map_err(|error| named(&error, format_args!("interface {name}")))
}

/// Binds a socket to where a link comes from, and a port that the system chooses. Nor does its error say which address that is.
pub(super) fn bind_source(socket: &Socket, link: &LinkConfig) -> io::Result<()> {
    let source = link.source.unwrap_or(unspecified(link.remote));
    let bound = socket.bind(&SocketAddr::new(source, 0).into());
    bound.map_err(|error| named(&error, format_args!("source {source}")))
}

fn named(error: &io::Error, what: fmt::Arguments<'_>) -> io::Error {
    io::Error::new(error.kind(), format!("{what}: {error}"))
}

/// From where the system would have a link go now.
pub(super) fn source(link: &LinkConfig) -> io::Result<IpAddr> {
    let socket = connect_one(link, link.remote)?;
    Ok(socket.local_addr()?.ip())
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
                return Ok(Pair { rtp, rtcp: Some(socket.into()), group: None });
            }
        }
        refused.push(rtp);
    }
    Err(io::Error::new(io::ErrorKind::AddrInUse, "no free pair of ports"))
}

fn listen_at(addr: SocketAddr) -> io::Result<Pair> {
    let above = above(addr)?;
    let rtp = open(addr)?;
    rtp.bind(&addr.into())?;
    let rtcp = open(above)?;
    rtcp.bind(&above.into())?;
    Ok(Pair { rtp: rtp.into(), rtcp: Some(rtcp.into()), group: None })
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
    /// A sender's, where a group answers.
    pub(super) group: Option<Channel>,
    /// Whether something had come when RTP was last read.
    pub(super) busy: bool,
    opened: Instant,
}

impl LinkSockets {
    /// Gives a pair that was opened just `now` to the current runtime.
    pub(super) fn register(now: Instant, pair: Pair) -> Result<Self, NetError> {
        let mut rtcp = pair.rtcp.map(Channel::register).transpose()?;
        let group = pair.group.map(|(socket, addr)| {
            rtcp = rtcp.take().map(|rtcp| rtcp.aimed_at(addr));
            Channel::register(socket)
        });
        Ok(Self {
            rtp: Channel::register(pair.rtp)?,
            group: group.transpose()?,
            rtcp,
            busy: false,
            opened: now,
        })
    }

    /// Whether a send failed in a way that does not pass by itself, and it is time to open others in their place.
    pub(super) fn is_to_be_mended(&self, now: Instant) -> bool {
        let broken = self.rtp.is_broken() || self.rtcp.as_ref().is_some_and(Channel::is_broken);
        broken && now >= self.opened + LEAST_AGE
    }

    /// When they were opened.
    #[cfg(test)]
    pub(super) fn opened(&self) -> Instant {
        self.opened
    }

    /// Where RTP is sent from.
    pub(super) fn ip(&self) -> Option<IpAddr> {
        self.rtp.local_addr().ok().map(|addr| addr.ip())
    }

    fn channels(&self) -> impl Iterator<Item = &Channel> {
        [Some(&self.rtp), self.rtcp.as_ref(), self.group.as_ref()].into_iter().flatten()
    }

    /// Datagrams that the system did not take.
    pub(super) fn refused(&self) -> u64 {
        self.channels().map(Channel::refused).sum()
    }

    /// Bytes of IP that went and came since this was last asked.
    pub(super) fn take_carried(&self) -> u64 {
        self.channels().map(Channel::take_carried).sum()
    }

    /// Sends what was gathered.
    pub(super) fn flush(&mut self) {
        self.rtp.flush();
        if let Some(rtcp) = &mut self.rtcp {
            rtcp.flush();
        }
    }

    /// Whether some of it waits for the system.
    pub(super) fn is_held_up(&self) -> bool {
        self.rtp.is_held_up() || self.rtcp.as_ref().is_some_and(Channel::is_held_up)
    }
}

/// Waits until one of a sender's sockets for RTCP, or for tunnels, can be read.
pub(super) async fn readable(pairs: &[Option<LinkSockets>]) {
    poll_fn(|cx| {
        let any = pairs.iter().flatten().fold(false, |any, pair| {
            let group = pair.group.as_ref().is_some_and(|group| group.poll_readable(cx).is_ready());
            pair.rtcp.as_ref().unwrap_or(&pair.rtp).poll_readable(cx).is_ready() | group | any
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
