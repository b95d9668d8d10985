//! The UDP side: where the stream comes in, and where it goes.
#![expect(clippy::disallowed_types, reason = "this is where the sockets are")]

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::str::FromStr;

use bytes::{Bytes, BytesMut};
use nix::sys::socket::{setsockopt, sockopt};
use socket2::{Domain, InterfaceIndexOrAddress, Protocol, Socket, Type};
use tokio::net::{UdpSocket, lookup_host};

/// `udp://[@]host:port[?miface=INTERFACE&ttl=HOPS]`, as librist's tools take it; the `@` means nothing here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct UdpUrl {
    host: String,
    port: u16,
    interface: Option<String>,
    pub(super) hops: Option<u8>,
}

impl FromStr for UdpUrl {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let rest = text.strip_prefix("udp://").ok_or("expected udp://HOST:PORT")?;
        let (address, query) = rest.split_once('?').unwrap_or((rest, ""));
        let address = address.strip_suffix('/').unwrap_or(address);
        let address = address.strip_prefix('@').unwrap_or(address);
        let (host, port) = address.rsplit_once(':').ok_or("port: expected one after the host and a colon")?;
        let port = port.parse().map_err(|_| "port: expected 0 to 65535")?;
        let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
        if bare.is_none() && host.contains(':') {
            return Err("host: expected an address, IPv6 in brackets, or a name".to_owned());
        }
        let host = match bare.unwrap_or(host) {
            "" => Ipv4Addr::UNSPECIFIED.to_string(),
            host => host.to_owned(),
        };
        let mut url = Self { host, port, interface: None, hops: None };
        for part in query.split('&').filter(|part| !part.is_empty()) {
            match part.split_once('=').unwrap_or((part, "")) {
                (name, "") => return Err(format!("{name}: expected a value after =")),
                ("miface" | "interface", name) => url.interface = Some(name.to_owned()),
                ("ttl", hops) => {
                    url.hops =
                        Some(hops.parse().map_err(|_| format!("ttl: {hops:?}, 0 to 255 are expected"))?);
                }
                (name, _) => return Err(format!("{name}: unknown parameter; these are known: miface, ttl")),
            }
        }
        Ok(url)
    }
}

impl UdpUrl {
    async fn resolve(&self) -> Result<SocketAddr, String> {
        let found = lookup_host((self.host.as_str(), self.port)).await;
        let found = found.map_err(|error| format!("{}: {error}", self.host))?.next();
        found.ok_or_else(|| format!("{}: no address", self.host))
    }
}

/// Room for one datagram; a longer one is cut, and is too long for a packet either way.
const DATAGRAM_BYTES: usize = 2048;
/// Datagrams are read into pieces of this, which they then share.
const SLAB_BYTES: usize = 128 << 10;
/// Asked of the kernel; it gives what `net.core.{r,w}mem_max` allow. 4 MiB hold 300 ms of 100 Mbit/s.
const BUFFER_BYTES: usize = 4 << 20;

/// Where datagrams come in.
#[derive(Debug)]
pub(super) struct Input {
    socket: UdpSocket,
    slab: BytesMut,
}

impl Input {
    /// Listens, and joins the group if it is one.
    pub(super) async fn open(url: &UdpUrl) -> Result<Self, String> {
        let addr = url.resolve().await?;
        let open = || {
            let socket = socket(addr)?;
            if addr.ip().is_multicast() {
                // Others on this machine may listen to the group too.
                socket.set_reuse_address(true)?;
            }
            socket.bind(&addr.into())?;
            join(&socket, addr.ip(), url.interface.as_deref())?;
            UdpSocket::from_std(socket.into())
        };
        let socket = open().map_err(|error| format!("cannot listen on udp {addr}: {error}"))?;
        Ok(Self { socket, slab: BytesMut::new() })
    }

    pub(super) fn local_addr(&self) -> io::Result<SocketAddr> {
        self.socket.local_addr()
    }

    /// Waits until there may be a datagram.
    pub(super) async fn readable(&self) -> io::Result<()> {
        self.socket.readable().await
    }

    /// The next datagram, if one has come.
    pub(super) fn next(&mut self) -> Option<Bytes> {
        if self.slab.capacity() < DATAGRAM_BYTES {
            self.slab = BytesMut::with_capacity(SLAB_BYTES);
        }
        // An error of a socket that is not connected tells of one datagram, and the next one may be well.
        self.socket.try_recv_buf(&mut self.slab).ok()?;
        Some(self.slab.split().freeze())
    }
}

/// Where datagrams go.
#[derive(Debug)]
pub(super) struct Output {
    socket: UdpSocket,
    to: SocketAddr,
    /// Datagrams the system did not take.
    pub(super) refused: u64,
}

impl Output {
    pub(super) async fn open(url: &UdpUrl) -> Result<Self, String> {
        let to = url.resolve().await?;
        if to.port() == 0 {
            return Err(format!("udp {to}: port: 1 to 65535 are expected"));
        }
        let open = || {
            let socket = socket(to)?;
            if let Some(interface) = &url.interface {
                socket.bind_device(Some(interface.as_bytes()))?;
            }
            match (url.hops.map(u32::from), to.is_ipv4(), to.ip().is_multicast()) {
                (None, ..) => {}
                (Some(hops), true, true) => socket.set_multicast_ttl_v4(hops)?,
                (Some(hops), true, false) => socket.set_ttl_v4(hops)?,
                (Some(hops), false, true) => socket.set_multicast_hops_v6(hops)?,
                (Some(hops), false, false) => socket.set_unicast_hops_v6(hops)?,
            }
            UdpSocket::from_std(socket.into())
        };
        let socket = open().map_err(|error| format!("cannot send to udp {to}: {error}"))?;
        Ok(Self { socket, to, refused: 0 })
    }

    /// Sends a datagram. One that the system does not take is gone, as on any network.
    pub(super) fn send(&mut self, datagram: &[u8]) {
        // Not through the runtime: it takes a socket for full until it has looked at it once.
        if socket2::SockRef::from(&self.socket).send_to(datagram, &self.to.into()).is_err() {
            self.refused += 1;
        }
    }
}

fn socket(addr: SocketAddr) -> io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(addr), Type::DGRAM, Some(Protocol::UDP))?;
    socket.set_nonblocking(true)?;
    // The kernel cuts what it does not allow, unless it is an administrator's; a smaller buffer is no reason to fail.
    if setsockopt(&socket, sockopt::RcvBufForce, &BUFFER_BYTES).is_err() {
        let _ = socket.set_recv_buffer_size(BUFFER_BYTES);
    }
    let _ = socket.set_send_buffer_size(BUFFER_BYTES);
    Ok(socket)
}

/// Joins a group on an interface, or on the one the system chooses; nothing to do for another address.
fn join(socket: &Socket, group: IpAddr, interface: Option<&str>) -> io::Result<()> {
    let index =
        interface.map_or(Ok(0), |name| nix::net::if_::if_nametoindex(name).map_err(io::Error::from))?;
    match group {
        IpAddr::V4(group) if group.is_multicast() => {
            socket.join_multicast_v4_n(&group, &InterfaceIndexOrAddress::Index(index))
        }
        IpAddr::V6(group) if group.is_multicast() => socket.join_multicast_v6(&group, index),
        _ => interface.map_or(Ok(()), |name| socket.bind_device(Some(name.as_bytes()))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forms_of_librist_are_read() {
        let url = |host: &str, port| UdpUrl { host: host.to_owned(), port, interface: None, hops: None };
        assert_eq!("udp://127.0.0.1:5000".parse(), Ok(url("127.0.0.1", 5000)));
        assert_eq!("udp://@127.0.0.1:5000/".parse(), Ok(url("127.0.0.1", 5000)));
        assert_eq!("udp://@:5000".parse(), Ok(url("0.0.0.0", 5000)));
        assert_eq!("udp://[::1]:5000".parse(), Ok(url("::1", 5000)));
        let group = UdpUrl { interface: Some("eth0".into()), hops: Some(4), ..url("239.1.1.1", 5000) };
        assert_eq!("udp://239.1.1.1:5000?miface=eth0&ttl=4".parse(), Ok(group));
    }

    #[test]
    fn what_is_refused_is_named() {
        for (text, said) in [
            ("rtp://h:1", "expected udp://"),
            ("udp://h", "port: expected one"),
            ("udp://h:65536", "port: expected 0 to 65535"),
            ("udp://::1:5000", "host: expected an address, IPv6 in brackets"),
            ("udp://h:1?ttl=256", r#"ttl: "256", 0 to 255"#),
            ("udp://h:1?miface", "miface: expected a value"),
            ("udp://h:1?buffer=1", "buffer: unknown parameter"),
        ] {
            let error = text.parse::<UdpUrl>().unwrap_err();
            assert!(error.contains(said), "{text}: {error}");
        }
    }

    #[tokio::test]
    async fn a_group_is_joined_and_reached() {
        let mut input = Input::open(&"udp://239.255.77.1:0?miface=lo".parse().unwrap()).await.unwrap();
        let port = input.local_addr().unwrap().port();
        let url = format!("udp://239.255.77.1:{port}?miface=lo&ttl=0");
        let mut output = Output::open(&url.parse().unwrap()).await.unwrap();
        output.send(b"to all");
        assert_eq!(output.refused, 0);
        input.readable().await.unwrap();
        assert_eq!(input.next().unwrap(), "to all");
    }
}
