//! Logs and statistics by UDP, as librist's tools send them with `-r`: a datagram per line, whether anybody takes them or not.
#![expect(clippy::disallowed_types, reason = "this is where the socket is")]

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, ToSocketAddrs as _, UdpSocket};
use std::sync::Arc;

use crate::end::Failure;

/// Where lines go.
#[derive(Debug, Clone)]
pub(crate) struct Remote(Arc<UdpSocket>);

impl Remote {
    /// To `HOST:PORT`.
    ///
    /// # Errors
    /// [`Failure`] naming the flag: of usage when that is no place, else when it has no address or there is no way to it.
    pub(crate) fn open(place: &str) -> Result<Self, Failure> {
        let usage = || Failure::Usage(format!("--remote-logging: expected HOST:PORT, got {place:.64?}"));
        let (host, port) = place.rsplit_once(':').ok_or_else(usage)?;
        if host.is_empty() || !port.parse::<u16>().is_ok_and(|port| port > 0) {
            return Err(usage());
        }
        let failed =
            |error: &dyn std::fmt::Display| Failure::Open(format!("--remote-logging: {place}: {error}"));
        let to = place.to_socket_addrs().map_err(|error| failed(&error))?.next();
        let to = to.ok_or_else(|| failed(&"no address"))?;
        let any = match to {
            SocketAddr::V4(_) => SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0)),
            SocketAddr::V6(_) => SocketAddr::from((Ipv6Addr::UNSPECIFIED, 0)),
        };
        let socket = UdpSocket::bind(any)
            .and_then(|socket| socket.connect(to).map(|()| socket))
            .and_then(|socket| socket.set_nonblocking(true).map(|()| socket));
        Ok(Self(Arc::new(socket.map_err(|error| failed(&error))?)))
    }

    /// Sends a line; it is gone when nobody takes it.
    pub(crate) fn send(&self, line: &[u8]) {
        let _ = self.0.send(line);
    }
}
