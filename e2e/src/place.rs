//! Loopback addresses that nobody else has, so that stages running side by side never meet.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};

use anyhow::{Result, bail};

/// Port whose listener marks a place as taken; the kernel frees it when its process ends.
const MARK_PORT: u16 = 19_999;

/// Places there are: 127.100.0.0/24 to 127.103.249.0/24.
const PLACES: u16 = 1000;

/// The addresses 127.A.B.0/24, all ports, until it is dropped.
#[derive(Debug)]
pub struct Place {
    net: [u8; 2],
    _mark: TcpListener,
}

impl Place {
    /// Takes the first free place.
    ///
    /// # Errors
    /// When all are taken, or 127.0.0.0/8 is not local (as on systems other than Linux).
    pub fn take() -> Result<Self> {
        let mut last = None;
        for n in 0..PLACES {
            let [high, low] = [u8::try_from(n / 250)?, u8::try_from(n % 250)?];
            let net = [100 + high, low];
            match TcpListener::bind((Ipv4Addr::new(127, net[0], net[1], 254), MARK_PORT)) {
                Ok(mark) => return Ok(Self { net, _mark: mark }),
                Err(error) => last = Some(error),
            }
        }
        bail!("no free loopback addresses in 127.100.0.0/14: {last:?}")
    }

    /// The `n`th address.
    #[must_use]
    pub fn ip(&self, n: u8) -> Ipv4Addr {
        Ipv4Addr::new(127, self.net[0], self.net[1], n)
    }

    /// Where receivers listen.
    #[must_use]
    pub fn receiver(&self) -> Ipv4Addr {
        self.ip(1)
    }

    /// Where the control plane listens.
    #[must_use]
    pub fn control(&self) -> SocketAddr {
        SocketAddr::from((self.ip(2), 8443))
    }

    /// Where link `n` is entered.
    ///
    /// # Panics
    /// For a link number that leaves no room below 254.
    #[must_use]
    pub fn link(&self, n: usize) -> Ipv4Addr {
        self.ip(u8::try_from(n + 10).ok().filter(|n| *n < 250).expect("at most 240 links"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_taken_once_and_free_again_when_dropped() {
        let (a, b) = (Place::take().unwrap(), Place::take().unwrap());
        assert_ne!(a.receiver(), b.receiver());
        let freed = a.net;
        drop(a);
        let taken: Vec<Place> = (0..3).map(|_| Place::take().unwrap()).collect();
        assert!(taken.iter().all(|place| place.net != b.net));
        assert!(freed != b.net);
    }
}
