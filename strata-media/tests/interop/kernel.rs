//! What the kernel tells of another program's UDP socket.

use std::net::SocketAddr;

use tokio::time::interval;

use crate::stream::TICK;

/// What waits in a socket that nobody reads stays below this: half of what Linux gives one by default, in which a
/// datagram of 1316 bytes takes 2304.
const MAX_QUEUED_BYTES: usize = 64 << 10;

/// Returns once a program has bound a socket to `addr`.
pub(crate) async fn bound(addr: SocketAddr) {
    let mut timer = interval(TICK);
    while queued_bytes(addr).is_none() {
        timer.tick().await;
    }
}

/// Returns once the socket bound to `addr` has room for more.
pub(crate) async fn room(addr: SocketAddr) {
    let mut timer = interval(TICK);
    while queued_bytes(addr).is_some_and(|queued| queued > MAX_QUEUED_BYTES) {
        timer.tick().await;
    }
}

/// Bytes of the kernel's memory that wait to be read from the socket bound to `addr`: of `/proc/net/udp`, whose lines
/// are `sl local_address rem_address st tx_queue:rx_queue …`, with addresses as the memory has them.
fn queued_bytes(addr: SocketAddr) -> Option<usize> {
    let SocketAddr::V4(addr) = addr else { panic!("{addr} is not of IPv4") };
    let local = format!("{:08X}:{:04X}", u32::from_ne_bytes(addr.ip().octets()), addr.port());
    let sockets = std::fs::read_to_string("/proc/net/udp").unwrap();
    let line = sockets.lines().find(|line| line.split_whitespace().nth(1) == Some(&local))?;
    let (_, queued) = line.split_whitespace().nth(4)?.split_once(':')?;
    Some(usize::from_str_radix(queued, 16).unwrap())
}
