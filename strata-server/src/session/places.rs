//! Room for connections of agents: little for those that have not logged in, and not all of it for one
//! address, so that strangers cannot keep agents out.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::config::SessionConfig;

/// Every place there is.
#[derive(Debug)]
pub(crate) struct Places {
    agents: Arc<Semaphore>,
    pending: Arc<Semaphore>,
    max_per_network: usize,
    by_network: Mutex<HashMap<IpAddr, usize>>,
}

/// Why there is no place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Full {
    /// Too many agents are connected.
    Agents,
    /// Too many connections have not logged in.
    Pending,
    /// Too many of them are from this network.
    Network,
}

/// The place of a connection that has not logged in.
#[derive(Debug)]
pub(crate) struct Pending {
    places: Arc<Places>,
    network: Option<IpAddr>,
    _permit: OwnedSemaphorePermit,
}

impl Places {
    pub(crate) fn new(config: &SessionConfig) -> Arc<Self> {
        let semaphore = |limit: usize| Arc::new(Semaphore::new(limit.min(Semaphore::MAX_PERMITS)));
        Arc::new(Self {
            agents: semaphore(config.max_connections),
            pending: semaphore(config.max_pending),
            max_per_network: config.max_pending_per_address,
            by_network: Mutex::default(),
        })
    }

    /// A place for a new connection. `network` is `None` when the server was not told of peers; then only
    /// the total is limited.
    pub(crate) fn admit(self: &Arc<Self>, network: Option<IpAddr>) -> Result<Pending, Full> {
        if self.agents.available_permits() == 0 {
            return Err(Full::Agents);
        }
        let permit = Arc::clone(&self.pending).try_acquire_owned().map_err(|_| Full::Pending)?;
        let network = network.filter(|_| self.max_per_network > 0);
        if let Some(network) = network {
            let mut by_network = self.by_network();
            let count = by_network.entry(network).or_default();
            // Not reached by a new entry, so none stays behind empty.
            if *count >= self.max_per_network {
                return Err(Full::Network);
            }
            *count += 1;
        }
        Ok(Pending { places: Arc::clone(self), network, _permit: permit })
    }

    fn by_network(&self) -> MutexGuard<'_, HashMap<IpAddr, usize>> {
        self.by_network.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Pending {
    /// A place for an agent that logs in, if there is one.
    pub(crate) fn agent(&self) -> Option<OwnedSemaphorePermit> {
        Arc::clone(&self.places.agents).try_acquire_owned().ok()
    }
}

impl Drop for Pending {
    fn drop(&mut self) {
        let Some(network) = self.network else { return };
        let mut by_network = self.places.by_network();
        if let Some(count) = by_network.get_mut(&network) {
            *count -= 1;
            if *count == 0 {
                by_network.remove(&network);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn places(agents: usize, pending: usize, per_address: usize) -> Arc<Places> {
        Places::new(&SessionConfig {
            max_connections: agents,
            max_pending: pending,
            max_pending_per_address: per_address,
            ..SessionConfig::default()
        })
    }

    fn address(last: u8) -> Option<IpAddr> {
        Some(IpAddr::from([192, 0, 2, last]))
    }

    #[test]
    fn one_address_gets_its_share_and_others_theirs() {
        let places = places(10, 3, 2);
        let first = places.admit(address(1)).unwrap();
        let _second = places.admit(address(1)).unwrap();
        assert_eq!(places.admit(address(1)).unwrap_err(), Full::Network);
        let other = places.admit(address(2)).unwrap();
        assert_eq!(places.admit(address(3)).unwrap_err(), Full::Pending);
        drop((first, other));
        assert_eq!(places.by_network().len(), 1);
        drop(places.admit(address(1)).unwrap());
    }

    #[test]
    fn no_limit_per_address_leaves_the_total() {
        let places = places(10, 2, 0);
        let _first = places.admit(address(1)).unwrap();
        let _second = places.admit(address(1)).unwrap();
        assert_eq!(places.admit(address(1)).unwrap_err(), Full::Pending);
        assert!(places.by_network().is_empty());
    }

    #[test]
    fn who_has_not_logged_in_takes_no_agents_place() {
        let places = places(1, 2, 0);
        let (first, second) = (places.admit(None).unwrap(), places.admit(None).unwrap());
        let agent = first.agent().unwrap();
        assert!(second.agent().is_none());
        drop(first);
        assert_eq!(places.admit(None).unwrap_err(), Full::Agents);
        drop(agent);
        assert!(second.agent().is_some());
    }
}
