//! Addresses, sockets and links of these tests.

use std::net::SocketAddr;
use std::time::Duration;

use nix::sys::socket::{setsockopt, sockopt::RcvBufForce};
use strata_media::testing::netem::Config;
use strata_media::testing::relay::{Mapping, Relay, RelayConfig, relay};
use tokio::net::UdpSocket;

/// Constant latency at both ends.
pub(crate) const LATENCY: Duration = Duration::from_secs(4);
/// For what a program puts out when it was held up: 4.2 Mbit/s for as long as the latency.
const RECEIVE_BUFFER_BYTES: usize = 8 << 20;

/// An address of one test's own, so that fixed ports meet nobody.
pub(crate) fn own(test: u8, host: u8, port: u16) -> SocketAddr {
    let pid = std::process::id();
    SocketAddr::from(([127, 100 + test, pid as u8, host + ((pid >> 8) as u8 & 0xf0)], port))
}

/// A socket that a program sends to; it may have to wait for being read.
pub(crate) async fn sink(addr: SocketAddr) -> UdpSocket {
    let socket = UdpSocket::bind(addr).await.unwrap();
    // As root more than the system's limit; else the default has to do.
    let _ = setsockopt(&socket, RcvBufForce, &RECEIVE_BUFFER_BYTES);
    socket
}

/// A link of 20 Mbit/s, 20 ms and 2 % of loss each way, in front of a receiver at `to`.
pub(crate) fn lossy(to: SocketAddr) -> (Relay, SocketAddr) {
    let above = |addr: SocketAddr| SocketAddr::new(addr.ip(), addr.port() + 1);
    let listen = SocketAddr::new(to.ip(), to.port() + 100);
    let mapping = |listen, forward| Mapping { listen, forward };
    let mappings = vec![mapping(listen, to), mapping(above(listen), above(to))];
    let link = Config::simple(20_000_000, Duration::from_millis(20), 0.02);
    let (relay, driver) = relay(RelayConfig::new(mappings, link)).expect("addresses of its own");
    tokio::spawn(driver.run());
    (relay, listen)
}

/// Twice the delay of a link: what a round trip over it takes at least.
pub(crate) const ROUND_TRIP: Duration = Duration::from_millis(40);
