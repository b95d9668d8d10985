//! How much RTCP is read: what who can send datagrams from a peer's address makes this end do is bounded, however much comes.

use std::time::Instant;

use super::budget::Budget;

/// Bytes of datagrams at once, and per second. Of a stream of 1 Gbit/s, 100 000 packets a second, a receiver tells what arrived on two
/// links by one (2 bytes a packet, 0.4 MB), and asks for one in ten 20 times (4 bytes each, 0.8 MB); this is three times that.
const BYTES: u32 = 4 << 20;
/// What a datagram takes beside its bytes: ten reports a second of a thousand members of a group are 1.3 MB.
const DATAGRAM: usize = 64;
/// Numbers that are asked for, at once and per second: those are 200 000.
const NUMBERS: u32 = 1_000_000;

/// Of one peer.
#[derive(Debug)]
pub(super) struct Intake {
    bytes: Budget,
    numbers: Budget,
}

impl Intake {
    pub(super) fn new(now: Instant) -> Self {
        Self { bytes: Budget::new(now, BYTES), numbers: Budget::new(now, NUMBERS) }
    }

    /// Whether a datagram is read.
    pub(super) fn takes(&mut self, now: Instant, len: usize) -> bool {
        let cost = u32::try_from(len + DATAGRAM).unwrap_or(u32::MAX);
        self.bytes.take_all(now, cost)
    }

    /// How many of so many numbers are looked at.
    pub(super) fn numbers(&mut self, now: Instant, count: usize) -> usize {
        let count = u32::try_from(count).unwrap_or(u32::MAX);
        self.numbers.take_some(now, count) as usize
    }
}
