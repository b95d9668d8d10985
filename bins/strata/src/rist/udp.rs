//! The UDP side: where the stream comes in, and where it goes; as it is, or with a header of RTP on every datagram.

use std::collections::VecDeque;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::str::FromStr;
use std::task::{Context, Poll};

use bytes::Bytes;
use nix::sys::socket::{setsockopt, sockopt};
use socket2::{Domain, InterfaceIndexOrAddress, Protocol, Socket, Type};
use strata_media::net::{Channel, Inbox};
use strata_media::rist::DecodeError;
use strata_media::rist::rtp::{Header, PAYLOAD_TYPE_TS};
use tokio::net::lookup_host;

/// `udp://[@]host:port[?miface=INTERFACE&ttl=HOPS]`, or the same with `rtp://`, as librist's tools take it; the `@` means
/// nothing here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct UdpUrl {
    rtp: bool,
    host: String,
    port: u16,
    interface: Option<String>,
    pub(super) hops: Option<u8>,
    /// The port of the tunnel that tells streams apart.
    pub(super) stream: Option<u16>,
}

impl FromStr for UdpUrl {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (scheme, rest) = text.split_once("://").unwrap_or_default();
        let rtp = match scheme {
            "udp" => false,
            "rtp" => true,
            _ => return Err("expected udp://HOST:PORT or rtp://HOST:PORT".to_owned()),
        };
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
        let mut url = Self { rtp, host, port, interface: None, hops: None, stream: None };
        for part in query.split('&').filter(|part| !part.is_empty()) {
            match part.split_once('=').unwrap_or((part, "")) {
                (name, "") => return Err(format!("{name}: expected a value after =")),
                ("miface" | "interface", name) => url.interface = Some(name.to_owned()),
                ("ttl", hops) => {
                    url.hops =
                        Some(hops.parse().map_err(|_| format!("ttl: {hops:?}, 0 to 255 are expected"))?);
                }
                ("stream-id", number) => url.stream = Some(stream(number)?),
                (name @ ("rtp-timestamp" | "rtp-sequence" | "rtp-ptype"), _) => {
                    return Err(format!("{name}: unsupported: {RTP_HEADERS}"));
                }
                (name, _) => {
                    return Err(format!(
                        "{name}: unknown parameter; these are known: miface, ttl, stream-id"
                    ));
                }
            }
        }
        Ok(url)
    }
}

/// Of media; reports go to the port above.
fn stream(number: &str) -> Result<u16, String> {
    let port = number.parse().ok().filter(|port: &u16| *port > 0 && port.is_multiple_of(2));
    port.ok_or_else(|| format!("stream-id: {number:?}, an even number from 2 to 65534 is expected"))
}

/// What is done with headers of RTP.
const RTP_HEADERS: &str =
    "headers of rtp:// are taken off, and put on with the numbers and time stamps of RIST and type 33";

impl UdpUrl {
    async fn resolve(&self) -> Result<SocketAddr, String> {
        let found = lookup_host((self.host.as_str(), self.port)).await;
        let found = found.map_err(|error| format!("{}: {error}", self.host))?.next();
        found.ok_or_else(|| format!("{}: no address", self.host))
    }
}

/// Asked of the kernel; it gives what `net.core.{r,w}mem_max` allow. 4 MiB hold 300 ms of 100 Mbit/s.
const BUFFER_BYTES: usize = 4 << 20;

/// Where datagrams come in.
#[derive(Debug)]
pub(super) struct Input {
    channel: Channel,
    inbox: Inbox,
    rtp: bool,
    /// Read, and not taken yet.
    came: VecDeque<Bytes>,
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
            Ok(socket)
        };
        let failed = |error: &dyn std::error::Error| format!("cannot listen on udp {addr}: {error}");
        let socket = open().map_err(|error: io::Error| failed(&error))?;
        let channel = Channel::register(socket.into()).map_err(|error| failed(&error))?;
        Ok(Self { channel, inbox: Inbox::default(), rtp: url.rtp, came: VecDeque::new() })
    }

    pub(super) fn local_addr(&self) -> io::Result<SocketAddr> {
        self.channel.local_addr()
    }

    /// Whether there may be a datagram; the task is woken when there is.
    pub(super) fn poll_readable(&self, cx: &mut Context<'_>) -> Poll<()> {
        if self.came.is_empty() { self.channel.poll_readable(cx) } else { Poll::Ready(()) }
    }

    /// Lets what comes wake nobody until it is looked for, or wake again.
    pub(super) fn mute(&mut self, muted: bool) {
        self.channel.mute(muted);
    }

    /// What the next datagram carries, if one has come; not, if it is to be RTP and is none.
    pub(super) fn next(&mut self) -> Option<Result<Bytes, DecodeError>> {
        if self.came.is_empty() {
            self.came.extend(self.inbox.receive(&self.channel).map(|(data, _)| data.freeze()));
        }
        let datagram = self.came.pop_front()?;
        if self.rtp {
            return Some(Header::decode(&datagram).map(|(_, payload)| datagram.slice(payload)));
        }
        Some(Ok(datagram))
    }
}

/// Where datagrams go.
#[derive(Debug)]
pub(super) struct Output {
    channel: Channel,
    to: SocketAddr,
    /// Source of the stream, if it goes out as RTP.
    ssrc: Option<u32>,
}

impl Output {
    /// Opens it; `ssrc` is told where it is RTP.
    pub(super) async fn open(url: &UdpUrl, ssrc: u32) -> Result<Self, String> {
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
            Ok(socket)
        };
        let failed = |error: &dyn std::error::Error| format!("cannot send to udp {to}: {error}");
        let socket = open().map_err(|error: io::Error| failed(&error))?;
        let channel = Channel::register(socket.into()).map_err(|error| failed(&error))?;
        Ok(Self { channel, to, ssrc: url.rtp.then_some(ssrc) })
    }

    /// Gathers a datagram, of what came with this number and time stamp: a packet that is missing is missed in the numbers of
    /// RTP. One that the system does not take is gone, as on any network.
    pub(super) fn send(&mut self, payload: &[u8], number: u64, timestamp: u32) {
        let Some(ssrc) = self.ssrc else { return self.channel.send_to(&[payload], self.to) };
        let sequence = number as u16;
        let header = Header { marker: false, payload_type: PAYLOAD_TYPE_TS, sequence, timestamp, ssrc };
        self.channel.send_to(&[&header.encode(), payload], self.to);
    }

    /// Sends what was gathered.
    pub(super) fn flush(&mut self) {
        self.channel.flush();
    }

    /// Datagrams the system did not take.
    pub(super) fn refused(&self) -> u64 {
        self.channel.refused()
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
    use std::future::poll_fn;

    use super::*;

    /// Every part of these, and each with another character in every place, or one more.
    #[test]
    fn whatever_is_typed_is_read_or_refused_with_a_reason() {
        let mut refused = 0;
        let mut typed = |text: &str| match text.parse::<UdpUrl>() {
            Ok(url) => assert!(!url.host.is_empty(), "{text:?}: {url:?}"),
            Err(reason) => {
                refused += 1;
                assert!(!reason.is_empty(), "{text:?}");
            }
        };
        let known =
            ["udp://@239.1.1.1:5000?miface=eth0&ttl=4", "rtp://[::1]:5000/?stream-id=5000", "udp://a:1"];
        for url in known {
            assert!(url.parse::<UdpUrl>().is_ok(), "{url}");
            for from in 0..url.len() {
                (from..=url.len()).for_each(|to| typed(&url[from..to]));
                for other in "?&=@:[]/%-09é\0 ".chars() {
                    typed(&format!("{}{other}{}", &url[..from], &url[from + 1..]));
                    typed(&format!("{}{other}{}", &url[..from], &url[from..]));
                }
            }
        }
        assert!(refused > 1000, "{refused}");
    }

    #[test]
    fn forms_of_librist_are_read() {
        let url = |host: &str, port| UdpUrl {
            rtp: false,
            host: host.to_owned(),
            port,
            interface: None,
            hops: None,
            stream: None,
        };
        assert_eq!("udp://127.0.0.1:5000".parse(), Ok(url("127.0.0.1", 5000)));
        assert_eq!("udp://@127.0.0.1:5000/".parse(), Ok(url("127.0.0.1", 5000)));
        assert_eq!("udp://@:5000".parse(), Ok(url("0.0.0.0", 5000)));
        assert_eq!("udp://[::1]:5000".parse(), Ok(url("::1", 5000)));
        assert_eq!("rtp://[::1]:5000".parse(), Ok(UdpUrl { rtp: true, ..url("::1", 5000) }));
        let group = UdpUrl { interface: Some("eth0".into()), hops: Some(4), ..url("239.1.1.1", 5000) };
        assert_eq!("udp://239.1.1.1:5000?miface=eth0&ttl=4".parse(), Ok(group));
        let stream = UdpUrl { stream: Some(2000), ..url("::1", 5000) };
        assert_eq!("udp://[::1]:5000?stream-id=2000".parse(), Ok(stream));
    }

    #[test]
    fn what_is_refused_is_named() {
        for (text, said) in [
            ("rist://h:1", "expected udp://HOST:PORT or rtp://"),
            ("h:1", "expected udp://"),
            ("udp://h", "port: expected one"),
            ("udp://h:65536", "port: expected 0 to 65535"),
            ("udp://::1:5000", "host: expected an address, IPv6 in brackets"),
            ("udp://h:1?ttl=256", r#"ttl: "256", 0 to 255"#),
            ("udp://h:1?miface", "miface: expected a value"),
            ("udp://h:1?buffer=1", "buffer: unknown parameter"),
            ("udp://h:1?stream-id=1", r#"stream-id: "1", an even number"#),
            ("udp://h:1?stream-id=0", r#"stream-id: "0", an even number"#),
            ("udp://h:1?stream-id=65536", r#"stream-id: "65536", an even number"#),
            ("rtp://h:1?rtp-ptype=96", "rtp-ptype: unsupported: headers of rtp://"),
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
        let mut output = Output::open(&url.parse().unwrap(), 7).await.unwrap();
        output.send(b"to all", 0x1_0002, 9);
        output.flush();
        assert_eq!(output.refused(), 0);
        poll_fn(|cx| input.poll_readable(cx)).await;
        assert_eq!(input.next().unwrap().unwrap(), "to all");
    }

    #[tokio::test]
    async fn headers_of_rtp_are_put_on_and_taken_off() {
        let open =
            async |scheme: &str| Input::open(&format!("{scheme}://127.0.0.1:0").parse().unwrap()).await;
        for (scheme, carried) in
            [("udp", &b"\x80\x21\0\x02\0\0\0\x09\0\0\0\x07to all"[..]), ("rtp", b"to all")]
        {
            let mut input = open(scheme).await.unwrap();
            let url = format!("rtp://{}", input.local_addr().unwrap());
            let mut output = Output::open(&url.parse().unwrap(), 7).await.unwrap();
            output.send(b"to all", 0x1_0002, 9);
            output.flush();
            poll_fn(|cx| input.poll_readable(cx)).await;
            assert_eq!(input.next().unwrap().unwrap(), carried);
        }
        let mut input = open("rtp").await.unwrap();
        let url = format!("udp://{}", input.local_addr().unwrap());
        let mut output = Output::open(&url.parse().unwrap(), 7).await.unwrap();
        output.send(b"to all", 0x1_0002, 9);
        output.flush();
        poll_fn(|cx| input.poll_readable(cx)).await;
        assert!(input.next().unwrap().is_err(), "it is no RTP");
    }
}
