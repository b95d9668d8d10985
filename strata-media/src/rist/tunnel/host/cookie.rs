//! Time stamps of echo requests that need not be remembered, so that forged addresses take no memory, and no other's place.

use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use aws_lc_rs::hmac;

use super::super::super::seed::Seed;

/// An answer counts for so long, and up to twice that: the longest round trip is much shorter.
const EPOCH: Duration = Duration::from_secs(2);

/// A time stamp is the first 64 bits of an HMAC-SHA-256 over address and time, with a key that nobody else has.
#[derive(Debug)]
pub(super) struct Cookies {
    key: hmac::Key,
    started: Instant,
}

impl Cookies {
    pub(super) fn new(now: Instant, seed: &mut Seed) -> Self {
        let key: Vec<u8> = (0..4).flat_map(|_| seed.next().to_be_bytes()).collect();
        Self { key: hmac::Key::new(hmac::HMAC_SHA256, &key), started: now }
    }

    /// What an address is asked with now.
    pub(super) fn stamp(&self, now: Instant, addr: SocketAddr) -> u64 {
        self.of(self.epoch(now), addr)
    }

    /// Whether that address was asked so, lately.
    pub(super) fn is_of(&self, now: Instant, addr: SocketAddr, stamp: u64) -> bool {
        let epoch = self.epoch(now);
        [Some(epoch), epoch.checked_sub(1)].into_iter().flatten().any(|epoch| self.of(epoch, addr) == stamp)
    }

    fn epoch(&self, now: Instant) -> u64 {
        now.saturating_duration_since(self.started).as_secs() / EPOCH.as_secs()
    }

    fn of(&self, epoch: u64, addr: SocketAddr) -> u64 {
        let ip = match addr.ip() {
            IpAddr::V4(ip) => ip.to_ipv6_mapped(),
            IpAddr::V6(ip) => ip,
        };
        let mut input = [0; 26];
        input[..8].copy_from_slice(&epoch.to_be_bytes());
        input[8..24].copy_from_slice(&ip.octets());
        input[24..].copy_from_slice(&addr.port().to_be_bytes());
        let tag = hmac::sign(&self.key, &input);
        tag.as_ref().iter().take(8).fold(0, |number, &byte| (number << 8) | u64::from(byte))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[expect(clippy::disallowed_methods, reason = "any instant will do")]
    fn a_stamp_is_of_one_address_and_of_some_time() {
        let now = Instant::now();
        let cookies = Cookies::new(now, &mut Seed::from(1));
        let at = |host: u8, port: u16| SocketAddr::from(([10, 0, 0, host], port));
        let stamp = cookies.stamp(now, at(1, 1000));
        for late in [Duration::ZERO, EPOCH, EPOCH * 2 - Duration::from_millis(1)] {
            assert!(cookies.is_of(now + late, at(1, 1000), stamp), "{late:?}");
        }
        assert!(!cookies.is_of(now + EPOCH * 2, at(1, 1000), stamp));
        assert!(!cookies.is_of(now, at(2, 1000), stamp) && !cookies.is_of(now, at(1, 1001), stamp));
        let other = Cookies::new(now, &mut Seed::from(2));
        assert!(!other.is_of(now, at(1, 1000), stamp));
    }
}
