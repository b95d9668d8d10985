//! One UDP socket in a runtime. Datagrams of the same length are gathered and sent by one system call (GSO), those that
//! have come are read by one (GRO, `recvmmsg`): system calls and wake-ups are what a stream costs.
#![expect(clippy::disallowed_types, reason = "this is where the sockets are")]

use std::io::{self, IoSliceMut};
use std::net::{SocketAddr, UdpSocket};
use std::task::{Context, Poll};
use std::vec::Drain;

use bytes::BytesMut;
use nix::sys::socket::{setsockopt, sockopt};
use quinn_udp::{RecvMeta, Transmit, UdpSocketState};
use rustix::net::sockopt::{
    Ipv4PathMtuDiscovery, Ipv6PathMtuDiscovery, set_ip_mtu_discover, set_ipv6_mtu_discover,
};
use tokio::io::Interest;

use super::error::NetError;

/// Most bytes of datagrams that are sent together: what the length field of IP can tell, less headers.
const MAX_GATHERED: usize = 65_000;
/// Most bytes the kernel puts into one buffer, whatever it has put together.
const MOST_RECEIVED: usize = 65_535;
/// Datagrams are read into pieces of this, which their payloads then share. A piece is used as long as there is room for
/// [`MOST_RECEIVED`], so that three quarters of it are.
const PIECE_BYTES: usize = 256 << 10;
/// Buffers that are read into by one system call; each takes up to 64 datagrams.
const BUFFERS: usize = 8;

/// A socket, and what is to be sent by it.
#[derive(Debug)]
pub(super) struct Channel {
    socket: tokio::net::UdpSocket,
    state: UdpSocketState,
    /// Where it is connected.
    remote: Option<SocketAddr>,
    gathered: Gathered,
    /// Whether the system said that the socket cannot be used any more.
    broken: bool,
}

/// Datagrams to one address, all of one length but the last, which may be shorter.
#[derive(Debug, Default)]
struct Gathered {
    data: Vec<u8>,
    to: Option<SocketAddr>,
    /// Length of each.
    segment: usize,
    count: usize,
}

impl Gathered {
    /// Whether another datagram can go with them.
    fn takes(&self, to: SocketAddr, len: usize, most: usize) -> bool {
        self.count == 0
            || self.to == Some(to)
                && self.count < most
                && len <= self.segment
                && self.data.len() == self.segment * self.count
                && self.data.len() + len <= MAX_GATHERED
    }
}

impl Channel {
    /// Gives a socket to the current runtime.
    pub(super) fn register(socket: UdpSocket) -> Result<Self, NetError> {
        let error = |source| NetError::Io { what: "cannot register the socket with the runtime", source };
        let state = UdpSocketState::new((&socket).into()).map_err(error)?;
        may_fragment(&socket).map_err(error)?;
        let remote = socket.peer_addr().ok();
        let socket = tokio::net::UdpSocket::from_std(socket).map_err(error)?;
        Ok(Self { socket, state, remote, gathered: Gathered::default(), broken: false })
    }

    /// Whether a send failed in a way that does not pass by itself.
    pub(super) fn is_broken(&self) -> bool {
        self.broken
    }

    /// Gathers a datagram for where the socket is connected. [`flush`](Self::flush) sends it, or another one that does
    /// not go with it.
    pub(super) fn send(&mut self, parts: &[&[u8]]) {
        if let Some(to) = self.remote {
            self.send_to(parts, to);
        }
    }

    /// The same for any address.
    pub(super) fn send_to(&mut self, parts: &[&[u8]], to: SocketAddr) {
        let len = parts.iter().map(|part| part.len()).sum();
        if !self.gathered.takes(to, len, self.state.max_gso_segments()) {
            self.flush();
        }
        let gathered = &mut self.gathered;
        if gathered.count == 0 {
            (gathered.segment, gathered.to) = (len, Some(to));
        }
        gathered.count += 1;
        parts.iter().for_each(|part| gathered.data.extend_from_slice(part));
    }

    /// Sends what was gathered. What the system does not take is lost, as on any link, and is asked for again.
    pub(super) fn flush(&mut self) {
        let mut gathered = std::mem::take(&mut self.gathered);
        if let Some(to) = gathered.to.filter(|_| gathered.count > 0) {
            let (data, segment) = (&gathered.data, gathered.segment);
            let sent = self.transmit(to, data, (gathered.count > 1).then_some(segment));
            if sent.is_err_and(|error| self.is_lasting(&error)) {
                // What cannot be sent together, by this device or for its path, may be sent one by one.
                for datagram in data.chunks(segment) {
                    self.note(self.transmit(to, datagram, None).err());
                }
            }
        }
        gathered.data.clear();
        gathered.count = 0;
        self.gathered = gathered;
    }

    // Not through the runtime: it takes a socket for full until it has looked at it once.
    fn transmit(
        &self,
        destination: SocketAddr,
        contents: &[u8],
        segment_size: Option<usize>,
    ) -> io::Result<()> {
        let transmit = Transmit { destination, ecn: None, contents, segment_size, src_ip: None };
        self.state.try_send((&self.socket).into(), &transmit)
    }

    /// Full buffers pass, and so does a peer that is not there yet.
    fn is_lasting(&self, error: &io::Error) -> bool {
        !matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::ConnectionRefused)
    }

    fn note(&mut self, error: Option<io::Error>) {
        if let Some(error) = error.filter(|error| self.is_lasting(error))
            && !std::mem::replace(&mut self.broken, true)
        {
            tracing::debug!(%error, "socket failed");
        }
    }

    /// Whether there may be something to read; the task is woken when there is.
    pub(super) fn poll_readable(&self, cx: &mut Context<'_>) -> Poll<()> {
        self.socket.poll_recv_ready(cx).map(drop)
    }
}

/// The sockets of a link may fragment what is too long for a path that is known, as the system does by default;
/// `quinn_udp` forbids it, since QUIC finds out what fits.
fn may_fragment(socket: &UdpSocket) -> io::Result<()> {
    if socket.local_addr()?.is_ipv4() {
        return Ok(set_ip_mtu_discover(socket, Ipv4PathMtuDiscovery::WANT)?);
    }
    setsockopt(socket, sockopt::Ipv6DontFrag, &false)?;
    Ok(set_ipv6_mtu_discover(socket, Ipv6PathMtuDiscovery::WANT)?)
}

/// Memory that datagrams are read into.
#[derive(Debug, Default)]
pub(super) struct Inbox {
    pieces: [BytesMut; BUFFERS],
    came: Vec<(BytesMut, SocketAddr)>,
}

impl Inbox {
    /// Reads what has come to a socket, up to 512 datagrams, and where they are from. They share memory.
    pub(super) fn receive(&mut self, channel: &Channel) -> Drain<'_, (BytesMut, SocketAddr)> {
        for piece in self.pieces.iter_mut().filter(|piece| piece.len() < MOST_RECEIVED) {
            *piece = BytesMut::zeroed(PIECE_BYTES);
        }
        let mut buffers = self.pieces.each_mut().map(|piece| IoSliceMut::new(&mut piece[..MOST_RECEIVED]));
        let (mut metas, mut count) = ([RecvMeta::default(); BUFFERS], 0);
        // An error of the socket, such as that nobody listens at the other end, is seen by what does not come.
        let _ = channel.socket.try_io(Interest::READABLE, || {
            count = channel.state.recv((&channel.socket).into(), &mut buffers, &mut metas)?;
            // There was no more: the runtime need not look again before it is told.
            if count < BUFFERS { Err(io::ErrorKind::WouldBlock.into()) } else { Ok(()) }
        });
        for (piece, meta) in self.pieces.iter_mut().zip(&metas[..count]) {
            let mut data = piece.split_to(meta.len);
            while !data.is_empty() {
                let datagram = data.split_to(meta.stride.clamp(1, data.len()));
                self.came.push((datagram, meta.addr));
            }
        }
        self.came.drain(..)
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;
    use std::net::IpAddr;

    use nix::sys::socket::getsockopt;
    use rustix::net::sockopt::{ip_mtu_discover, ipv6_mtu_discover};

    use super::*;

    fn channel(ip: &str) -> Channel {
        let ip: IpAddr = ip.parse().unwrap();
        Channel::register(UdpSocket::bind((ip, 0)).unwrap()).unwrap()
    }

    /// Of any lengths, to more than one address: each comes whole, and in the order of its address.
    #[tokio::test]
    async fn datagrams_that_are_gathered_come_apart() {
        let (mut from, to) = (channel("127.0.0.1"), [channel("127.0.0.1"), channel("127.0.0.1")]);
        let addrs = to.each_ref().map(|channel| channel.socket.local_addr().unwrap());
        let lens = [1328, 1328, 1328, 56, 1328, 1400, 1400, 7, 7, 1, 9000, 9000];
        let sent: Vec<_> =
            lens.iter().cycle().take(24).enumerate().map(|(i, &len)| vec![i as u8; len]).collect();
        for (i, datagram) in sent.iter().enumerate() {
            let (head, tail) = datagram.split_at(datagram.len().min(12));
            from.send_to(&[head, tail], addrs[usize::from(i % 5 == 0)]);
        }
        from.flush();
        let mut inbox = Inbox::default();
        for (index, channel) in to.iter().enumerate() {
            let mut came = Vec::new();
            let expected: Vec<_> =
                (0..sent.len()).filter(|i| usize::from(i % 5 == 0) == index).map(|i| &sent[i][..]).collect();
            while came.len() < expected.len() {
                poll_fn(|cx| channel.poll_readable(cx)).await;
                came.extend(inbox.receive(channel).map(|(data, _)| data));
            }
            assert!(came == expected);
        }
        assert!(!from.is_broken());
    }

    /// As by the system's default, what is too long for a path is fragmented.
    #[tokio::test]
    async fn fragmentation_stays_allowed() {
        let v4 = channel("127.0.0.1");
        assert_eq!(ip_mtu_discover(&v4.socket).unwrap(), Ipv4PathMtuDiscovery::WANT);
        let v6 = channel("::1");
        assert_eq!(ipv6_mtu_discover(&v6.socket).unwrap(), Ipv6PathMtuDiscovery::WANT);
        assert!(!getsockopt(&v6.socket, sockopt::Ipv6DontFrag).unwrap());
    }
}
