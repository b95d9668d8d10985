//! Why a datagram was refused.

use thiserror::Error;

/// A datagram that breaks the rules of RTP, RTCP or GRE. Offsets and lengths are in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Error)]
#[non_exhaustive]
pub enum DecodeError {
    /// It ends too early.
    #[error("truncated at offset {at}: {need} bytes needed, {have} there")]
    Truncated {
        /// Where the incomplete part starts.
        at: usize,
        /// How many bytes that part has.
        need: usize,
        /// How many are there.
        have: usize,
    },
    /// Not version 2 (RFC 3550, 5.1).
    #[error("RTP version {version} at offset {at}, expected 2")]
    Version {
        /// Where.
        at: usize,
        /// What is there.
        version: u8,
    },
    /// A padding count that is zero or larger than what it pads (RFC 3550, 5.1).
    #[error("padding of {padding} bytes in {have}")]
    Padding {
        /// The count in the last byte.
        padding: usize,
        /// Bytes it could be taken from.
        have: usize,
    },
    /// An RTCP datagram that does not begin with a sender or receiver report (RFC 3550, 6.1; TR-06-1, 5.2.1).
    #[error("RTCP starts with packet type {0}, expected 200 (SR) or 201 (RR)")]
    NotCompound(u8),
    /// A GRE header of another kind: another version, source routes (RFC 2784, 2.3), or an RVer that is not known.
    #[error("GRE flags {flags:#06x}, expected version 0, RVer 0 to 2 and no routing")]
    Gre {
        /// The first 16 bits.
        flags: u16,
    },
    /// A packet whose length cannot hold what its type requires.
    #[error("RTCP packet of type {packet_type} at offset {at} has {have} bytes, needs {need}")]
    Short {
        /// Where the packet starts.
        at: usize,
        /// Its type.
        packet_type: u8,
        /// Bytes it needs.
        need: usize,
        /// Bytes it has.
        have: usize,
    },
}
