//! One UDP socket in a runtime. Datagrams of the same length are gathered and sent by one system call (GSO), those that
//! have come are read by one (GRO, `recvmmsg`): system calls and wake-ups are what a stream costs.
#![expect(clippy::disallowed_types, reason = "this is where the sockets are")]

use std::future::poll_fn;
use std::io::{self, IoSliceMut};
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::os::fd::{AsRawFd, RawFd};
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::vec::Drain;

use bytes::BytesMut;
use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags};
use nix::sys::socket::{setsockopt, sockopt};
use quinn_udp::{RecvMeta, Transmit, UdpSocketState};
use rustix::net::sockopt::{
    Ipv4PathMtuDiscovery, Ipv6PathMtuDiscovery, ipv6_v6only as only_v6, set_ip_mtu_discover,
    set_ipv6_mtu_discover,
};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

use super::error::NetError;

/// What the kernel is asked to keep of what comes while this process stands still: 80 ms of 800 Mbit/s, as each datagram counts
/// about twice.
const RECEIVE_BYTES: usize = 16 << 20;
/// What it is asked to take before it has sent any.
const SEND_BYTES: usize = 4 << 20;
/// Most bytes of datagrams that are sent together: what the length field of IP can tell, less headers.
const MAX_GATHERED: usize = 65_000;
/// Most bytes the kernel puts into one buffer, whatever it has put together.
const MOST_RECEIVED: usize = 65_535;
/// Datagrams are read into pieces of this, which their payloads then share. A piece is used as long as there is room for
/// [`MOST_RECEIVED`], so that three quarters of it are.
const PIECE_BYTES: usize = 256 << 10;
/// Buffers that are read into by one system call; each takes up to 64 datagrams.
const BUFFERS: usize = 8;

/// A UDP socket of the current runtime, and what is to be sent by it.
///
/// ```
/// # use std::net::UdpSocket;
/// use strata_media::net::{Channel, Inbox};
///
/// # tokio::runtime::Builder::new_current_thread().enable_io().build()?.block_on(async {
/// let mut from = Channel::register(UdpSocket::bind("127.0.0.1:0")?)?;
/// let to = Channel::register(UdpSocket::bind("127.0.0.1:0")?)?;
/// let addr = to.local_addr()?;
/// (0..3).for_each(|_| from.send_to(&[b"header", b"payload"], addr));
/// from.flush();
/// let (mut inbox, mut came) = (Inbox::default(), 0);
/// while came < 3 {
///     to.readable().await;
///     came += inbox.receive(&to).filter(|(data, _)| data == "headerpayload").count();
/// }
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// # })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Channel {
    /// Waited for only to be read: else the runtime wakes for each datagram that has left.
    socket: AsyncFd<Watched>,
    /// Whether what comes wakes nobody: somebody looks by themselves.
    muted: bool,
    state: UdpSocketState,
    /// Where it is connected, or what it sends goes if nothing else is said.
    remote: Option<SocketAddr>,
    /// Whether the peer's errors come to it.
    connected: bool,
    gathered: Gathered,
    /// Whether the system said that the socket cannot be used any more.
    broken: bool,
    refused: u64,
    /// Bytes of IP that went and came, not asked for yet.
    carried: AtomicU64,
}

/// A socket that the runtime is told of by way of this, so that it can be left out.
#[derive(Debug)]
struct Watched {
    socket: UdpSocket,
    epoll: Epoll,
}

impl Watched {
    fn new(socket: UdpSocket) -> io::Result<Self> {
        let epoll = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)?;
        epoll.add(&socket, EpollEvent::new(EpollFlags::EPOLLIN, 0))?;
        Ok(Self { socket, epoll })
    }

    fn mute(&self, muted: bool) -> io::Result<()> {
        let events = if muted { EpollFlags::empty() } else { EpollFlags::EPOLLIN };
        Ok(self.epoll.modify(&self.socket, &mut EpollEvent::new(events, 0))?)
    }
}

impl AsRawFd for Watched {
    fn as_raw_fd(&self) -> RawFd {
        self.epoll.0.as_raw_fd()
    }
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
    /// Whether another datagram can go with them; an empty one would not be seen there.
    fn takes(&self, to: SocketAddr, len: usize, most: usize) -> bool {
        self.count == 0
            || self.to == Some(to)
                && self.count < most
                && (1..=self.segment).contains(&len)
                && self.data.len() == self.segment * self.count
                && self.data.len() + len <= MAX_GATHERED
    }
}

impl Channel {
    /// Gives a socket to the current runtime, with buffers for what comes while its process stands still.
    ///
    /// # Errors
    /// [`NetError::Io`] when the socket, or the runtime, does not allow it.
    pub fn register(socket: UdpSocket) -> Result<Self, NetError> {
        let error = |source| NetError::Io { what: "cannot register the socket with the runtime", source };
        socket.set_nonblocking(true).map_err(error)?;
        let state = UdpSocketState::new((&socket).into()).map_err(error)?;
        may_fragment(&socket).map_err(error)?;
        grow_buffers(&socket);
        let remote = socket.peer_addr().ok();
        let watched = Watched::new(socket).map_err(error)?;
        #[expect(
            deprecated,
            reason = "the new form is unsafe for types that change their descriptor; this one does not"
        )]
        let socket = AsyncFd::with_interest(watched, Interest::READABLE).map_err(error)?;
        let connected = remote.is_some();
        Ok(Self {
            socket,
            muted: false,
            state,
            remote,
            connected,
            gathered: Gathered::default(),
            broken: false,
            refused: 0,
            carried: AtomicU64::new(0),
        })
    }

    /// The address it is bound to.
    ///
    /// # Errors
    /// The system's.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.socket.get_ref().socket.local_addr()
    }

    /// Datagrams that the system did not take; they are gone.
    #[must_use]
    pub fn refused(&self) -> u64 {
        self.refused
    }

    /// Whether what was gathered still waits after [`flush`](Self::flush), as the system's buffer is full: what does not
    /// go with it is refused until then.
    #[must_use]
    pub fn is_held_up(&self) -> bool {
        self.gathered.count > 0
    }

    /// Bytes that went and came since this was last asked, headers of IP and UDP included.
    pub(super) fn take_carried(&self) -> u64 {
        self.carried.swap(0, Ordering::Relaxed)
    }

    fn carry(&self, peer: SocketAddr, datagrams: usize, bytes: usize) {
        self.carried.fetch_add((datagrams * headers(peer.ip()) + bytes) as u64, Ordering::Relaxed);
    }

    /// The same, with what it sends going there if nothing else is said.
    pub(super) fn aimed_at(self, remote: SocketAddr) -> Self {
        Self { remote: Some(remote), ..self }
    }

    /// Whether a send failed in a way that does not pass by itself.
    pub(super) fn is_broken(&self) -> bool {
        self.broken
    }

    /// The same for where the socket is connected.
    pub(super) fn send(&mut self, parts: &[&[u8]]) {
        if let Some(to) = self.remote {
            self.send_to(parts, to);
        }
    }

    /// Gathers a datagram, made of these parts, for an address. [`flush`](Self::flush) sends it, or another one that does
    /// not go with it.
    pub fn send_to(&mut self, parts: &[&[u8]], to: SocketAddr) {
        let len = parts.iter().map(|part| part.len()).sum();
        let most = self.state.max_gso_segments();
        if !self.gathered.takes(to, len, most) {
            self.flush();
            if !self.gathered.takes(to, len, most) {
                self.refused += 1;
                return;
            }
        }
        let gathered = &mut self.gathered;
        if gathered.count == 0 {
            (gathered.segment, gathered.to) = (len, Some(to));
        }
        gathered.count += 1;
        parts.iter().for_each(|part| gathered.data.extend_from_slice(part));
    }

    /// Sends what was gathered; while the system's buffer is full, it waits for the next time. What the system does not take
    /// is lost, as on any link, and is asked for again.
    pub fn flush(&mut self) {
        let mut gathered = std::mem::take(&mut self.gathered);
        if let Some(to) = gathered.to.filter(|_| gathered.count > 0) {
            let (data, segment) = (&gathered.data, gathered.segment);
            match self.transmit(to, data, (gathered.count > 1).then_some(segment)) {
                Ok(()) => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    self.gathered = gathered;
                    return;
                }
                // What cannot be sent together, by this device or for its path, may be sent one by one.
                Err(error) if self.is_lasting(&error) => {
                    for datagram in data.chunks(segment.max(1)) {
                        self.note(self.transmit(to, datagram, None).err());
                    }
                }
                Err(_) => self.refused += gathered.count as u64,
            }
        }
        gathered.data.clear();
        gathered.count = 0;
        self.gathered = gathered;
    }

    fn transmit(
        &self,
        destination: SocketAddr,
        contents: &[u8],
        segment_size: Option<usize>,
    ) -> io::Result<()> {
        let transmit = Transmit { destination, ecn: None, contents, segment_size, src_ip: None };
        self.state.try_send((&self.socket.get_ref().socket).into(), &transmit)?;
        let datagrams = segment_size.map_or(1, |segment| contents.len().div_ceil(segment));
        self.carry(destination, datagrams, contents.len());
        Ok(())
    }

    /// Full buffers pass, and so does a peer that is not there yet.
    fn is_lasting(&self, error: &io::Error) -> bool {
        !matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::ConnectionRefused)
    }

    fn note(&mut self, error: Option<io::Error>) {
        self.refused += u64::from(error.is_some());
        if let Some(error) = error.filter(|error| self.is_lasting(error))
            && !std::mem::replace(&mut self.broken, true)
        {
            tracing::debug!(%error, "socket failed");
        }
    }

    /// Lets what comes wake nobody, or wake again; what has come meanwhile does then. Datagrams that are read with others a moment later
    /// need no wake-up of their own, neither of who reads them nor by who sends them: it costs more than they do.
    pub fn mute(&mut self, muted: bool) {
        if self.muted != muted && self.socket.get_ref().mute(muted).is_ok() {
            self.muted = muted;
        }
    }

    /// Whether what comes wakes nobody.
    #[cfg(test)]
    pub(super) fn is_muted(&self) -> bool {
        self.muted
    }

    /// Waits until there may be something to read.
    pub async fn readable(&self) {
        poll_fn(|cx| self.poll_readable(cx)).await;
    }

    /// Whether there may be something to read; the task is woken when there is.
    pub fn poll_readable(&self, cx: &mut Context<'_>) -> Poll<()> {
        self.socket.poll_read_ready(cx).map(drop)
    }
}

#[cfg(test)]
impl Channel {
    /// Waits for datagrams: how many each system call of who sent them took, and their length. Loopback hands on what was sent together
    /// as it is, and puts nothing together.
    pub(super) async fn sent_together(&self) -> Vec<(usize, usize)> {
        self.readable().await;
        let mut pieces = vec![vec![0; MOST_RECEIVED]; BUFFERS];
        let mut buffers: Vec<_> = pieces.iter_mut().map(|piece| IoSliceMut::new(piece)).collect();
        let mut metas = [RecvMeta::default(); BUFFERS];
        let receive = |watched: &Watched| self.state.recv((&watched.socket).into(), &mut buffers, &mut metas);
        let count = self.socket.try_io(Interest::READABLE, receive).unwrap_or(0);
        metas[..count].iter().map(|meta| (meta.len.div_ceil(meta.stride), meta.stride)).collect()
    }
}

/// Bytes of the headers of IP and UDP before a datagram to or from there: of IPv4 too where that comes to a socket of IPv6.
fn headers(ip: IpAddr) -> usize {
    if ip.to_canonical().is_ipv4() { 20 + 8 } else { 40 + 8 }
}

/// The kernel gives what `net.core.{r,w}mem_max` allow; an administrator's process may take more of what it receives, and takes no
/// more of what it sends, which would only wait out of sight. Less is no reason to fail.
fn grow_buffers(socket: &UdpSocket) {
    if setsockopt(socket, sockopt::RcvBufForce, &RECEIVE_BYTES).is_err() {
        let _ = setsockopt(socket, sockopt::RcvBuf, &RECEIVE_BYTES);
    }
    let _ = setsockopt(socket, sockopt::SndBuf, &SEND_BYTES);
}

/// The sockets of a link may fragment what is too long for a path that is known, as the system does by default;
/// `quinn_udp` forbids it, since QUIC finds out what fits.
fn may_fragment(socket: &UdpSocket) -> io::Result<()> {
    let v4 = socket.local_addr()?.is_ipv4();
    if v4 || !only_v6(socket)? {
        // Of IPv6 too, when what it sends may be of IPv4 (RFC 3493, 3.7).
        set_ip_mtu_discover(socket, Ipv4PathMtuDiscovery::WANT)?;
    }
    if v4 {
        return Ok(());
    }
    setsockopt(socket, sockopt::Ipv6DontFrag, &false)?;
    Ok(set_ipv6_mtu_discover(socket, Ipv6PathMtuDiscovery::WANT)?)
}

/// Memory that datagrams are read into.
#[derive(Debug, Default)]
pub struct Inbox {
    pieces: [BytesMut; BUFFERS],
    came: Vec<(BytesMut, SocketAddr)>,
}

impl Inbox {
    /// Reads what has come to a socket, up to 512 datagrams, and where they are from. They share memory.
    pub fn receive(&mut self, channel: &Channel) -> Drain<'_, (BytesMut, SocketAddr)> {
        for piece in self.pieces.iter_mut().filter(|piece| piece.len() < MOST_RECEIVED) {
            *piece = BytesMut::zeroed(PIECE_BYTES);
        }
        let mut buffers = self.pieces.each_mut().map(|piece| IoSliceMut::new(&mut piece[..MOST_RECEIVED]));
        let (mut metas, mut count) = ([RecvMeta::default(); BUFFERS], 0);
        // An error of the socket, such as that nobody listens at the other end, is seen by what does not come.
        let mut read = |watched: &Watched| {
            count = channel.state.recv((&watched.socket).into(), &mut buffers, &mut metas)?;
            // There was no more: the runtime need not look again before it is told. Unless it was an error of the peer that
            // cut it short: that is told by the next call, and what came after it is read by the one after.
            if count < BUFFERS && !channel.connected { Err(io::ErrorKind::WouldBlock.into()) } else { Ok(()) }
        };
        // The runtime knows nothing of one that is muted.
        let _ = if channel.muted {
            read(channel.socket.get_ref())
        } else {
            channel.socket.try_io(Interest::READABLE, read)
        };
        for (piece, meta) in self.pieces.iter_mut().zip(&metas[..count]) {
            let mut data = piece.split_to(meta.len);
            while !data.is_empty() {
                let datagram = data.split_to(meta.stride.clamp(1, data.len()));
                channel.carry(meta.addr, 1, datagram.len());
                self.came.push((datagram, meta.addr));
            }
        }
        self.came.drain(..)
    }
}

#[cfg(test)]
mod tests {
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
        let addrs = to.each_ref().map(|channel| channel.local_addr().unwrap());
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
                channel.readable().await;
                came.extend(inbox.receive(channel).map(|(data, _)| data));
            }
            assert!(came == expected);
        }
        assert!(!from.is_broken());
    }

    /// As many of them in a row as there may be: they are datagrams like others, and go with none.
    #[tokio::test]
    async fn empty_datagrams_go_alone() {
        let (mut from, to) = (channel("127.0.0.1"), UdpSocket::bind("127.0.0.1:0").unwrap());
        let sent: [&[u8]; 7] = [b"", b"", b"12", b"", b"", b"", b"3"];
        sent.iter().for_each(|datagram| from.send_to(&[datagram], to.local_addr().unwrap()));
        from.flush();
        let came = sent.map(|_| {
            let mut data = [0; 4];
            let len = to.recv(&mut data).unwrap();
            data[..len].to_vec()
        });
        assert_eq!(came, sent.map(<[u8]>::to_vec));
    }

    /// Who may, gets more than the system's limit; the kernel counts twice what it was asked for.
    #[tokio::test]
    async fn much_may_come_while_a_process_stands_still() {
        let channel = channel("127.0.0.1");
        let bytes = getsockopt(&channel.socket.get_ref().socket, sockopt::RcvBuf).unwrap();
        let limit = std::fs::read_to_string("/proc/sys/net/core/rmem_max").unwrap();
        let limit = if nix::unistd::geteuid().is_root() { usize::MAX } else { limit.trim().parse().unwrap() };
        assert_eq!(bytes, RECEIVE_BYTES.min(limit) * 2);
    }

    /// Bytes of memory that wait to be read from the socket at `addr`: of `/proc/net/udp`, whose lines are
    /// `sl local_address rem_address st tx_queue:rx_queue …`.
    fn queued_bytes(addr: SocketAddr) -> usize {
        let local = format!(":{:04X}", addr.port());
        let sockets = std::fs::read_to_string("/proc/net/udp").unwrap();
        let lines = sockets.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
        let queues = lines.filter(|words| words[1].ends_with(&local)).map(|words| words[4].to_owned());
        queues.map(|queues| usize::from_str_radix(queues.split_once(':').unwrap().1, 16).unwrap()).sum()
    }

    const LONG: [u8; 1328] = [0; 1328];

    #[tokio::test]
    async fn a_system_call_sends_as_many_as_go_together() {
        let (mut from, to) = (channel("127.0.0.1"), channel("127.0.0.1"));
        let most = from.state.max_gso_segments().min(MAX_GATHERED / LONG.len());
        // Linux sends up to 64 together, of this length as many as fit the length field of IP.
        assert_eq!(most, 48);
        (0..100).for_each(|_| from.send_to(&[&LONG], to.local_addr().unwrap()));
        from.flush();
        let (expected, mut calls) = ([48, 48, 4].map(|datagrams| (datagrams, LONG.len())), Vec::new());
        while calls.len() < expected.len() {
            calls.extend(to.sent_together().await);
            // What goes in more calls takes more memory: of that, not all may come, and is not waited for.
            assert!(expected.starts_with(&calls), "{calls:?}");
        }
    }

    /// Those that came together, and those that came alone.
    #[tokio::test]
    async fn a_system_call_receives_all_that_has_come() {
        let (mut from, to) = (channel("127.0.0.1"), channel("127.0.0.1"));
        let addr = to.local_addr().unwrap();
        for _ in 0..5 {
            from.send_to(&[&LONG], addr);
            from.flush();
        }
        (0..96).for_each(|_| from.send_to(&[&LONG], addr));
        from.flush();
        // Some of it may be on its way; what there is takes more memory than its bytes, and less than twice that.
        while queued_bytes(addr) < 101 * LONG.len() {
            tokio::task::yield_now().await;
        }
        to.readable().await;
        assert_eq!(Inbox::default().receive(&to).count(), 101);
    }

    #[tokio::test]
    async fn what_comes_to_one_that_is_muted_wakes_nobody_until_it_no_longer_is() {
        let (mut from, mut muted, other) = (channel("127.0.0.1"), channel("127.0.0.1"), channel("127.0.0.1"));
        let mut inbox = Inbox::default();
        muted.mute(true);
        for _ in 0..2 {
            for to in [&muted, &other] {
                from.send_to(&[b"1"], to.local_addr().unwrap());
            }
            from.flush();
            // What was sent before it has come too.
            other.readable().await;
            assert_eq!(inbox.receive(&other).count(), 1);
            assert!(poll_fn(|cx| Poll::Ready(muted.poll_readable(cx))).await.is_pending());
        }
        // Who looks finds it all the same.
        assert_eq!(inbox.receive(&muted).count(), 2);
        from.send_to(&[b"2"], muted.local_addr().unwrap());
        from.flush();
        muted.mute(false);
        muted.readable().await;
        assert_eq!(inbox.receive(&muted).count(), 1);
    }

    /// Nothing wakes the task again for what was there before.
    #[tokio::test]
    async fn an_error_of_the_peer_hides_nothing_that_has_come() {
        let peer = UdpSocket::bind("127.0.0.1:0").unwrap();
        let addr = peer.local_addr().unwrap();
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        socket.connect(addr).unwrap();
        let own = socket.local_addr().unwrap();
        let mut channel = Channel::register(socket).unwrap();
        peer.send_to(b"1", own).unwrap();
        drop(peer);
        channel.send(&[b"nobody is there"]);
        channel.flush();
        let peer = UdpSocket::bind(addr).unwrap();
        peer.send_to(b"2", own).unwrap();
        let (mut inbox, mut came) = (Inbox::default(), Vec::new());
        while came.len() < 2 {
            channel.readable().await;
            came.extend(inbox.receive(&channel).map(|(data, _)| data));
        }
        assert_eq!(came, [&b"1"[..], b"2"]);
    }

    /// As by the system's default, what is too long for a path is fragmented.
    #[tokio::test]
    async fn fragmentation_stays_allowed() {
        let v4 = channel("127.0.0.1");
        assert_eq!(ip_mtu_discover(&v4.socket.get_ref().socket).unwrap(), Ipv4PathMtuDiscovery::WANT);
        let v6 = channel("::1");
        assert_eq!(ipv6_mtu_discover(&v6.socket.get_ref().socket).unwrap(), Ipv6PathMtuDiscovery::WANT);
        assert!(!getsockopt(&v6.socket.get_ref().socket, sockopt::Ipv6DontFrag).unwrap());
        // What goes to ::ffff:10.0.0.1 is of IPv4.
        let both = channel("::");
        assert_eq!(ip_mtu_discover(&both.socket.get_ref().socket).unwrap(), Ipv4PathMtuDiscovery::WANT);
    }
}
