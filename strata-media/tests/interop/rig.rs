//! Addresses, sockets and links of these tests.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use nix::sys::socket::setsockopt;
use nix::sys::socket::sockopt::{RcvBuf, RcvBufForce};
use strata_media::bond::LinkStats;
use strata_media::testing::netem::Config;
use strata_media::testing::relay::{Mapping, Relay, RelayConfig, relay};
use tokio::net::UdpSocket;

/// Constant latency at both ends: a program that is held up for three seconds, as busy machines do it, still has as long
/// to ask for what its socket had no room for.
pub(crate) const LATENCY: Duration = Duration::from_secs(6);
/// The longest a test may take on a machine that has other things to do.
pub(crate) const PATIENCE: Duration = Duration::from_secs(240);
/// For what a program puts out when it was held up: 4.2 Mbit/s for as long as the latency.
const RECEIVE_BUFFER_BYTES: usize = 8 << 20;

/// An address of one test's own, so that fixed ports meet nobody: a number per test, hosts below 16, ports below 7500,
/// and 16 bits of the process's number.
pub(crate) fn own(test: u8, host: u8, port: u16) -> SocketAddr {
    let [.., high, low] = std::process::id().to_be_bytes();
    SocketAddr::from(([127, 100 + test, low, host + (high << 4)], port + u16::from(high >> 4) * 2500))
}

/// A socket that a program sends to; it may have to wait for being read.
pub(crate) async fn sink(addr: SocketAddr) -> UdpSocket {
    let socket = UdpSocket::bind(addr).await.unwrap();
    // As root more than the system's limit; else as much as that, and what waits must fit.
    if setsockopt(&socket, RcvBufForce, &RECEIVE_BUFFER_BYTES).is_err() {
        setsockopt(&socket, RcvBuf, &RECEIVE_BUFFER_BYTES).unwrap();
    }
    socket
}

/// Link number `index` to a receiver at `to`: 20 Mbit/s, 20 ms and 2 % of loss each way, a source address of its own.
pub(crate) fn link(index: u8, to: SocketAddr) -> (Relay, SocketAddr) {
    link_of(index, to, Duration::from_millis(20))
}

/// The same with another delay.
pub(crate) fn link_of(index: u8, to: SocketAddr, way: Duration) -> (Relay, SocketAddr) {
    let IpAddr::V4(ip) = to.ip() else { panic!("{to} is not of IPv4") };
    let above = |addr: SocketAddr| SocketAddr::new(addr.ip(), addr.port() + 1);
    let listen = SocketAddr::new(to.ip(), to.port() + 100 * (u16::from(index) + 1));
    let mapping = |listen, forward| Mapping { listen, forward };
    let mappings = vec![mapping(listen, to), mapping(above(listen), above(to))];
    let link = Config::simple(20_000_000, way, 0.02);
    let mut config = RelayConfig::new(mappings, link);
    let [a, b, c, d] = ip.octets();
    (config.seed, config.source) = (index.into(), Some([a, b, c, d + SOURCES + index].into()));
    let (relay, driver) = relay(config).expect("addresses of its own");
    tokio::spawn(driver.run());
    (relay, listen)
}

/// Added to a receiver's address, the first source of a link: above what [`own`] is asked for.
const SOURCES: u8 = 8;
/// Twice the delay of a link: what a round trip over it takes at least.
pub(crate) const ROUND_TRIP: Duration = Duration::from_millis(40);

/// Whether what was measured of a link can be one.
pub(crate) fn is_round_trip(link: &LinkStats) -> bool {
    link.rtt_ms >= Some(ROUND_TRIP.as_secs_f64() * 1e3)
}
