//! Which host has how many streams, so that none has all of them (one host's SSRCs cost it next to nothing).

use std::collections::HashMap;
use std::net::IpAddr;

/// Streams by the host their first packet came from.
#[derive(Debug, Default)]
pub(super) struct Hosts(HashMap<IpAddr, usize>);

impl Hosts {
    /// How many this one has.
    pub(super) fn streams(&self, ip: IpAddr) -> usize {
        self.0.get(&ip).copied().unwrap_or(0)
    }

    /// It has one more.
    pub(super) fn came(&mut self, ip: IpAddr) {
        *self.0.entry(ip).or_default() += 1;
    }

    /// It has one less.
    pub(super) fn went(&mut self, ip: IpAddr) {
        match self.0.get_mut(&ip) {
            Some(streams) if *streams > 1 => *streams -= 1,
            _ => drop(self.0.remove(&ip)),
        }
    }
}
