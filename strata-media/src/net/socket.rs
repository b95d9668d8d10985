//! Opening socket pairs.
#![expect(clippy::disallowed_types, reason = "this is where the sockets are opened")]

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};

use socket2::{Domain, Protocol, Socket, Type};

use super::config::LinkConfig;

/// Asked of the kernel for each direction; it gives what `net.core.{r,w}mem_max` allow.
/// 4 MiB hold 300 ms of 100 Mbit/s.
const BUFFER_BYTES: usize = 4 << 20;
/// How often a port pair chosen by the system is tried for.
const PAIR_ATTEMPTS: usize = 64;

/// The two sockets of one link.
#[derive(Debug)]
pub(super) struct Pair {
    pub(super) rtp: UdpSocket,
    pub(super) rtcp: UdpSocket,
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
pub(super) fn connect(link: &LinkConfig) -> io::Result<Pair> {
    let rtcp_port = link.remote.port().checked_add(1).ok_or(io::ErrorKind::InvalidInput)?;
    let mut rtcp_remote = link.remote;
    rtcp_remote.set_port(rtcp_port);
    Ok(Pair { rtp: connect_one(link, link.remote)?, rtcp: connect_one(link, rtcp_remote)? })
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
                return Ok(Pair { rtp, rtcp: socket.into() });
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
    Ok(Pair { rtp: rtp.into(), rtcp: rtcp.into() })
}
