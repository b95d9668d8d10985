//! How much may be said to who has not shown where it is: no more than a multiple of what came from there, so that nobody
//! has a receiver flood an address by forging it (as RFC 9000, 8.1).

use std::net::IpAddr;
use std::time::Instant;

/// Bytes out per byte in. With what a tunnel says by itself, at most one more, it is the three of RFC 9000.
const FACTOR: usize = 2;
/// IPv4 and UDP, bytes: what came had them at least.
const HEADERS: usize = 28;
/// The same and a tunnel's own, bytes: what goes has no more, but over IPv6, where what came has more too.
const WRAPPED: usize = HEADERS + 16;
/// Most that is saved up, bytes: a burst of requests. Media go on filling it.
const MOST: usize = 1 << 16;
/// Addresses at a time: those of all sources and of all peers.
const MAX_ADDRESSES: usize = 64;

#[derive(Debug)]
struct Allowance {
    ip: IpAddr,
    left: usize,
    heard: Instant,
}

/// By address, bounded.
#[derive(Debug, Default)]
pub(super) struct Allowances {
    list: Vec<Allowance>,
}

impl Allowances {
    /// So many bytes, without headers, came from there.
    pub(super) fn came(&mut self, now: Instant, ip: IpAddr, len: usize) {
        let more = (len + HEADERS) * FACTOR;
        if let Some(allowance) = self.list.iter_mut().find(|allowance| allowance.ip == ip) {
            allowance.left = (allowance.left + more).min(MOST);
            allowance.heard = now;
            return;
        }
        if self.list.len() == MAX_ADDRESSES {
            let oldest = (0..MAX_ADDRESSES).min_by_key(|&index| self.list[index].heard);
            oldest.map(|index| self.list.swap_remove(index));
        }
        self.list.push(Allowance { ip, left: more.min(MOST), heard: now });
    }

    /// Whether so many bytes, without headers, may go there; they count then.
    pub(super) fn take(&mut self, ip: IpAddr, len: usize) -> bool {
        let found = self.list.iter_mut().find(|allowance| allowance.ip == ip);
        let left = found.and_then(|allowance| Some((allowance.left.checked_sub(len + WRAPPED)?, allowance)));
        left.map(|(left, allowance)| allowance.left = left).is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[expect(clippy::disallowed_methods, reason = "any instant will do")]
    fn twice_what_came_may_go_and_addresses_are_bounded() {
        let (now, mut allowances) = (Instant::now(), Allowances::default());
        let ip = |host: u8| IpAddr::from([10, 0, 0, host]);
        assert!(!allowances.take(ip(1), 0));
        allowances.came(now, ip(1), 72);
        assert!(!allowances.take(ip(1), 157) && allowances.take(ip(1), 156) && !allowances.take(ip(1), 0));
        (0..=255).for_each(|host| allowances.came(now, ip(host), 72));
        assert_eq!(allowances.list.len(), MAX_ADDRESSES);
        (0..1000).for_each(|_| allowances.came(now, ip(255), 1400));
        assert!(!allowances.take(ip(255), MOST) && allowances.take(ip(255), MOST - WRAPPED));
    }
}
