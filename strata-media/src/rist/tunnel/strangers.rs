//! Whose key is derived, while nobody knows who has one: a derivation takes half a millisecond, a nonce that asks for one nothing.
//!
//! A peer says its nonce again with every datagram. Who makes up another one each time, from however many addresses, never does: the
//! last derivations of a second are kept for what was seen before. Who repeats what it made up has a part of these, as
//! anybody has who repeats.

use std::net::{IpAddr, SocketAddr};
use std::time::Instant;

use aws_lc_rs::hmac;

use super::super::budget::Budget;
use super::super::seed::Seed;

/// Keys at once, and per second, of one stranger, and of all: a derivation takes about half a millisecond, so this is under one percent
/// of a core.
pub(super) const DERIVED: u32 = 16;
/// Of those of all, so many are kept for what was seen before.
const KEPT: u32 = 8;
/// What was seen last, 16 KB: while 10 000 datagrams a second come with nonces of their own, one is still known after 100 ms, when the next
/// report comes, in four cases of five.
const PLACES: usize = 4096;

/// All who have not shown a key.
#[derive(Debug)]
pub(super) struct Strangers {
    budget: Budget,
    key: hmac::Key,
    /// A part of the name of who was there last, where the other part says. 0 is nobody.
    seen: Vec<u32>,
}

/// One of them.
#[derive(Debug)]
pub(super) struct Stranger<'a> {
    pub(super) strangers: &'a mut Strangers,
    pub(super) from: SocketAddr,
}

impl Strangers {
    pub(super) fn new(now: Instant, seed: &mut Seed) -> Self {
        let key: Vec<u8> = (0..4).flat_map(|_| seed.next().to_be_bytes()).collect();
        let key = hmac::Key::new(hmac::HMAC_SHA256, &key);
        Self { budget: Budget::new(now, DERIVED), key, seen: Vec::new() }
    }

    /// Whether this nonce came from there before, as far as is known; from now on it is.
    fn knows(&mut self, from: SocketAddr, nonce: u32) -> bool {
        let ip = match from.ip() {
            IpAddr::V4(ip) => ip.to_ipv6_mapped(),
            IpAddr::V6(ip) => ip,
        };
        let mut input = [0; 22];
        input[..16].copy_from_slice(&ip.octets());
        input[16..18].copy_from_slice(&from.port().to_be_bytes());
        input[18..].copy_from_slice(&nonce.to_be_bytes());
        // With a key that nobody else has: who could choose a place would keep another one out of it.
        let tag = hmac::sign(&self.key, &input);
        let number = |range: std::ops::Range<usize>| {
            tag.as_ref()[range].iter().fold(0, |number, &byte| (number << 8) | u32::from(byte))
        };
        self.seen.resize(PLACES, 0);
        let name = number(0..4).max(1);
        std::mem::replace(&mut self.seen[number(4..8) as usize % PLACES], name) == name
    }
}

impl Stranger<'_> {
    /// Whether a key may be derived with this nonce.
    pub(super) fn may_derive(&mut self, now: Instant, nonce: u32) -> bool {
        let keeps = if self.strangers.knows(self.from, nonce) { 0 } else { KEPT };
        self.strangers.budget.take_above(now, keeps)
    }

    /// Whether a password may be computed with.
    pub(super) fn may_compute(&mut self, now: Instant) -> bool {
        self.strangers.budget.take(now)
    }
}
