//! The link emulator between real processes: a UDP relay.
//!
//! A link is a list of port mappings that share one [`netem::Link`](super::netem::Link) per direction, so that RTP and
//! RTCP of one path compete for the same bottleneck. Who sends to a `listen` address is a client; every client of every
//! mapping gets a forward socket of its own, so that the far end can tell them apart and answers find their way back.
//!
//! ```text
//!  client ──► listen ──►┐              ┌──► forward socket (one per client and mapping) ──► forward
//!                       ├── up: Link ──┤
//!  client ──► listen ──►┘              └──► …
//!  client ◄── listen ◄─── down: Link ◄──── forward socket ◄── forward
//! ```
//!
//! Nothing is spawned: [`relay`] returns a handle and a driver, and dropping the handle ends the driver.

mod driver;
#[cfg(test)]
mod tests;

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use thiserror::Error;
use tokio::sync::Notify;

pub use driver::RelayDriver;

use super::netem::{Config, ConfigError, LinkStats};
use driver::Shared;

/// What a relay connects, and what it does to packets on the way.
#[derive(Debug, Clone)]
pub struct RelayConfig {
    /// Ports of this link.
    pub mappings: Vec<Mapping>,
    /// Clients towards `forward`.
    pub up: Config,
    /// `forward` towards clients.
    pub down: Config,
    /// Seed of both directions.
    pub seed: u64,
    /// Clients that one mapping serves at most; packets of further ones are dropped.
    pub max_clients: usize,
    /// A client that was silent, and was sent nothing, for so long is forgotten.
    pub client_idle: Duration,
    /// Where packets to `forward` come from; the system's choice when `None`. Who tells links apart by their source
    /// address, as librist does with the Simple Profile, needs another one for each.
    pub source: Option<IpAddr>,
}

impl RelayConfig {
    /// Both directions alike, seed 0, 64 clients, forgotten after 60 s, any source address.
    #[must_use]
    pub fn new(mappings: Vec<Mapping>, both: Config) -> Self {
        let (up, down) = (both.clone(), both);
        let client_idle = Duration::from_secs(60);
        Self { mappings, up, down, seed: 0, max_clients: 64, client_idle, source: None }
    }

    /// What would only be seen when a client comes.
    fn check_addresses(&self) -> Result<(), RelayError> {
        for &Mapping { forward, .. } in &self.mappings {
            if forward.port() == 0 {
                return Err(RelayError::Forward { address: forward });
            }
            if let Some(source_ip) = self.source.filter(|source| source.is_ipv4() != forward.is_ipv4()) {
                return Err(RelayError::Family { source_ip, forward });
            }
        }
        self.source.map_or(Ok(()), |address| {
            driver::bindable(address).map_err(|source| RelayError::Source { address, source })
        })
    }
}

/// One port of a link.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mapping {
    /// Where clients send to; port 0 takes a free one, see [`Relay::local_addrs`].
    pub listen: SocketAddr,
    /// Where their packets go.
    pub forward: SocketAddr,
}

/// Statistics of a relay.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct RelayStats {
    /// Clients towards `forward`.
    pub up: LinkStats,
    /// `forward` towards clients.
    pub down: LinkStats,
    /// Clients known now, over all mappings.
    pub clients: usize,
    /// Packets of clients that were one too many.
    pub refused: u64,
    /// Packets that the operating system did not take.
    pub send_errors: u64,
}

/// Steers a running relay. Dropping it ends the driver.
#[derive(Debug)]
pub struct Relay {
    shared: Arc<Mutex<Shared>>,
    wake: Arc<Notify>,
    local: Vec<SocketAddr>,
}

/// Binds the sockets of a relay; call it within a tokio runtime. It works while [`RelayDriver::run`] does.
///
/// # Errors
/// A configuration that cannot be, or an address that cannot be bound.
pub fn relay(config: RelayConfig) -> Result<(Relay, RelayDriver), RelayError> {
    config.up.check().map_err(|source| RelayError::Config { direction: "up", source })?;
    config.down.check().map_err(|source| RelayError::Config { direction: "down", source })?;
    config.check_addresses()?;
    let wake = Arc::new(Notify::new());
    let shared = Arc::new(Mutex::new(Shared::new(&config)));
    let driver = RelayDriver::bind(config, Arc::clone(&shared), Arc::clone(&wake))?;
    let local = driver.local_addrs();
    Ok((Relay { shared, wake, local }, driver))
}

impl Relay {
    /// Where clients send to, one per mapping, in order.
    #[must_use]
    pub fn local_addrs(&self) -> &[SocketAddr] {
        &self.local
    }

    /// Changes what the link does to packets, from now on.
    ///
    /// # Errors
    /// The first field that is out of range; then nothing changes.
    pub fn configure(&self, up: Config, down: Config) -> Result<(), ConfigError> {
        up.check().and_then(|()| down.check())?;
        self.with(|shared| shared.configure(up, down));
        Ok(())
    }

    /// Starts or ends an outage in both directions.
    pub fn set_down(&self, down: bool) {
        self.with(|shared| shared.set_down(down));
    }

    /// What it did so far.
    #[must_use]
    pub fn stats(&self) -> RelayStats {
        lock(&self.shared).stats()
    }

    fn with(&self, change: impl FnOnce(&mut Shared)) {
        change(&mut lock(&self.shared));
        self.wake.notify_one();
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.with(|shared| shared.closed = true);
    }
}

/// A relay that cannot start.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum RelayError {
    /// A direction cannot be.
    #[error("{direction}: {source}")]
    Config {
        /// `up` or `down`.
        direction: &'static str,
        /// What is wrong.
        source: ConfigError,
    },
    /// A port that packets cannot be passed on to.
    #[error("cannot pass on to udp {address}: port 0")]
    Forward {
        /// The address.
        address: SocketAddr,
    },
    /// A source that is of another family than where packets are passed on to.
    #[error("{source_ip} is of another family than {forward}")]
    Family {
        /// The source.
        source_ip: IpAddr,
        /// Where packets go.
        forward: SocketAddr,
    },
    /// Not an address of this machine.
    #[error("cannot pass on from {address}: {source}")]
    Source {
        /// The address.
        address: IpAddr,
        /// What the operating system says.
        source: io::Error,
    },
    /// An address cannot be listened on.
    #[error("cannot listen on udp {address}: {source}")]
    Bind {
        /// The address.
        address: SocketAddr,
        /// What the operating system says.
        source: io::Error,
    },
}

fn lock(shared: &Mutex<Shared>) -> MutexGuard<'_, Shared> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}
