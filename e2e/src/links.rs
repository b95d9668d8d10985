//! The links between agent and receiver: emulated, one relay each, in this process.

use std::net::{Ipv4Addr, SocketAddr};
use std::ops::RangeInclusive;
use std::time::Duration;

use anyhow::Result;
use strata_media::testing::netem;
use strata_media::testing::relay::{Mapping, Relay, RelayConfig, RelayStats, relay};
use tokio::task::JoinHandle;

use crate::place::Place;

/// What a link does to packets, both ways.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct LinkSpec {
    /// Rate, bit/s.
    pub rate_bps: u64,
    /// Time a packet takes, one way.
    pub delay: Duration,
    /// Share of packets lost, 0 to 1.
    pub loss: f64,
}

impl LinkSpec {
    /// The demo's links: 10 Mbit/s, 40 ms, 1 % loss, and 5 Mbit/s, 80 ms, 2 %.
    pub const DEMO: [Self; 2] = [
        Self { rate_bps: 10_000_000, delay: Duration::from_millis(40), loss: 0.01 },
        Self { rate_bps: 5_000_000, delay: Duration::from_millis(80), loss: 0.02 },
    ];
}

/// One emulated link, which works until this is dropped.
#[derive(Debug)]
pub struct Link {
    /// Its far end, as the agent sees it.
    pub address: Ipv4Addr,
    relay: Relay,
    driver: JoinHandle<()>,
}

impl Link {
    /// A link from `place.link(n)` to `place.receiver()`, for every port of `ports`.
    ///
    /// # Errors
    /// When a port is taken.
    pub async fn new(place: &Place, n: usize, ports: RangeInclusive<u16>, spec: LinkSpec) -> Result<Self> {
        let address = place.link(n);
        let mapping = |port| Mapping {
            listen: SocketAddr::from((address, port)),
            forward: SocketAddr::from((place.receiver(), port)),
        };
        let config = netem::Config::simple(spec.rate_bps, spec.delay, spec.loss);
        let mut config = RelayConfig::new(ports.map(mapping).collect(), config);
        config.seed = n as u64 + 1;
        let (relay, driver) = relay(config)?;
        Ok(Self { address, relay, driver: tokio::spawn(driver.run()) })
    }

    /// What went over it so far.
    #[must_use]
    pub fn stats(&self) -> RelayStats {
        self.relay.stats()
    }

    /// Starts or ends an outage.
    pub fn set_down(&self, down: bool) {
        self.relay.set_down(down);
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        self.driver.abort();
    }
}
