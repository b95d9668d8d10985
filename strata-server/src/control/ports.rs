//! The pool of RTP/RTCP port pairs: even P for RTP, P + 1 for RTCP (TR-06-1 §5.1, `control.md` §6).

use std::collections::BTreeSet;
use std::ops::RangeInclusive;

use thiserror::Error;

/// Hands out port pairs; knows which are taken, asks a probe about those that others may hold.
///
/// Pairs are handed out in turn, so that a port just freed rests: late packets of the old stream
/// must not reach the receiver of a new one.
#[derive(Debug)]
pub struct PortPool {
    first: u16,
    pairs: u16,
    next: u16,
    taken: BTreeSet<u16>,
}

/// No port pairs are left.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("{wanted} port pairs wanted, {free} of the pool's {total} are free")]
pub struct PortsExhausted {
    /// How many pairs were asked for.
    pub wanted: usize,
    /// How many could have been had.
    pub free: usize,
    /// How many pairs the pool has.
    pub total: u16,
}

impl PortPool {
    /// A pool over `range`, both ends included; pairs start at even ports and lie in it whole.
    #[must_use]
    pub fn new(range: RangeInclusive<u16>) -> Self {
        let first = u32::from(*range.start()).next_multiple_of(2);
        let ports = (u32::from(*range.end()) + 1).saturating_sub(first);
        let pairs = u16::try_from(ports / 2).unwrap_or(u16::MAX);
        Self { first: u16::try_from(first).unwrap_or(0), pairs, next: 0, taken: BTreeSet::new() }
    }

    /// How many pairs the pool has.
    #[must_use]
    pub fn total(&self) -> u16 {
        self.pairs
    }

    /// How many pairs are handed out.
    #[must_use]
    pub fn taken(&self) -> usize {
        self.taken.len()
    }

    /// Takes `count` pairs and returns their RTP ports in ascending order of the turn. `probe` says
    /// whether an RTP port and its RTCP port can be bound now; pairs that cannot are skipped.
    ///
    /// # Errors
    /// [`PortsExhausted`]; nothing is taken then.
    pub fn allocate(
        &mut self,
        count: usize,
        mut probe: impl FnMut(u16) -> bool,
    ) -> Result<Vec<u16>, PortsExhausted> {
        let mut found = Vec::with_capacity(count);
        let mut next = self.next;
        for _ in 0..self.pairs {
            if found.len() == count {
                break;
            }
            let port = self.first + 2 * next;
            next = (next + 1) % self.pairs;
            if !self.taken.contains(&port) && probe(port) {
                found.push(port);
            }
        }
        if found.len() < count {
            return Err(PortsExhausted { wanted: count, free: found.len(), total: self.pairs });
        }
        self.next = next;
        self.taken.extend(&found);
        Ok(found)
    }

    /// Takes exactly these RTP ports, for a receiver that holds them already; ports outside the
    /// range are allowed, since the range may have been configured anew.
    ///
    /// Returns whether all were free; otherwise nothing is taken.
    pub fn claim(&mut self, ports: &[u16]) -> bool {
        let free = ports.iter().all(|port| !self.taken.contains(port));
        if free {
            self.taken.extend(ports);
        }
        free
    }

    /// Gives pairs back; pairs that are not taken stay so.
    pub fn release(&mut self, ports: &[u16]) {
        for port in ports {
            self.taken.remove(port);
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_default_range_holds_500_pairs() {
        let mut pool = PortPool::new(15_000..=16_000);
        assert_eq!(pool.total(), 500);
        let all = pool.allocate(500, |_| true).unwrap();
        assert_eq!((all[0], all[1], all[499]), (15_000, 15_002, 15_998));
        assert_eq!(
            pool.allocate(1, |_| true),
            Err(PortsExhausted { wanted: 1, free: 0, total: 500 }),
            "16000 has no RTCP port inside the range"
        );
    }

    #[test]
    fn odd_and_tiny_ranges() {
        assert_eq!(PortPool::new(15_001..=15_003).allocate(1, |_| true).unwrap(), [15_002]);
        assert_eq!(PortPool::new(15_001..=15_002).total(), 0);
        assert_eq!(PortPool::new(65_534..=65_535).allocate(1, |_| true).unwrap(), [65_534]);
        assert_eq!(PortPool::new(65_535..=65_535).total(), 0);
    }

    #[test]
    fn a_pair_that_others_hold_is_skipped_and_a_failure_takes_nothing() {
        let mut pool = PortPool::new(15_000..=15_007);
        assert_eq!(pool.allocate(2, |p| p != 15_002).unwrap(), [15_000, 15_004]);
        let error = pool.allocate(2, |p| p != 15_002).unwrap_err();
        assert_eq!(error, PortsExhausted { wanted: 2, free: 1, total: 4 });
        assert_eq!(pool.taken(), 2);
        assert_eq!(pool.allocate(2, |_| true).unwrap(), [15_006, 15_002]);
    }

    #[test]
    fn a_freed_pair_rests_until_its_turn() {
        let mut pool = PortPool::new(15_000..=15_005);
        let first = pool.allocate(1, |_| true).unwrap();
        pool.release(&first);
        assert_eq!(pool.allocate(1, |_| true).unwrap(), [15_002]);
        assert_eq!(pool.allocate(2, |_| true).unwrap(), [15_004, 15_000]);
    }

    #[test]
    fn claimed_pairs_are_taken_whole_or_not_at_all() {
        let mut pool = PortPool::new(15_000..=15_005);
        assert!(pool.claim(&[15_002, 20_000]));
        assert!(!pool.claim(&[15_004, 15_002]));
        assert_eq!(pool.allocate(2, |_| true).unwrap(), [15_000, 15_004]);
    }

    proptest! {
        #[test]
        fn no_pair_is_ever_handed_out_twice(steps in prop::collection::vec((0_usize..4, any::<bool>()), 0..64)) {
            let mut pool = PortPool::new(15_000..=15_015);
            let mut held: Vec<Vec<u16>> = Vec::new();
            for (count, give_back) in steps {
                if give_back && !held.is_empty() {
                    pool.release(&held.remove(0));
                } else if let Ok(ports) = pool.allocate(count, |_| true) {
                    prop_assert!(held.iter().flatten().all(|port| !ports.contains(port)));
                    prop_assert!(ports.iter().all(|p| p % 2 == 0 && (15_000..15_015).contains(p)));
                    held.push(ports);
                }
                prop_assert_eq!(pool.taken(), held.iter().map(Vec::len).sum::<usize>());
            }
        }
    }
}
