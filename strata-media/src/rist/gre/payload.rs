//! What a tunnel carries.

use std::ops::Range;

use super::super::error::DecodeError;
use super::{FULL_DATAGRAM, KEEP_ALIVE, REDUCED_OVERHEAD, VSF};

/// Type of the VSF's EtherType that is RIST, and its subtypes.
const VSF_RIST: u16 = 0;
const VSF_REDUCED_OVERHEAD: u16 = 0;
const VSF_KEEP_ALIVE: u16 = 0x8000;
/// Protocol number of UDP.
const UDP: u8 = 17;
/// Source and destination of full datagrams: they go to who reads the tunnel, and no further.
const WITHIN: [u8; 4] = [127, 0, 0, 1];

/// The ports of a datagram within the tunnel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Ports {
    /// Where it comes from.
    pub source: u16,
    /// Where it goes.
    pub destination: u16,
}

/// How a datagram of the Simple Profile stands in a tunnel.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub enum Mode {
    /// With its ports alone.
    #[default]
    Reduced,
    /// With headers of IPv4 and UDP.
    Full,
}

/// What stands before it, and the EtherType that tells so.
#[derive(Debug, Clone, Copy)]
pub enum Head {
    /// [`Mode::Reduced`].
    Reduced([u8; 4]),
    /// [`Mode::Full`].
    Full([u8; 28]),
}

impl Head {
    /// Tells how it is to be read.
    #[must_use]
    pub fn ether_type(&self) -> u16 {
        match self {
            Self::Reduced(_) => REDUCED_OVERHEAD,
            Self::Full(_) => FULL_DATAGRAM,
        }
    }

    /// The bytes before the datagram.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        match self {
            Self::Reduced(bytes) => bytes,
            Self::Full(bytes) => bytes,
        }
    }
}

impl Mode {
    /// Bytes before a datagram.
    #[must_use]
    pub fn head_len(self) -> usize {
        match self {
            Self::Reduced => 4,
            Self::Full => 28,
        }
    }

    /// What stands before a datagram of `len` bytes, below 65 508.
    #[must_use]
    pub fn head(self, ports: Ports, len: usize) -> Head {
        let ([s0, s1], [d0, d1]) = (ports.source.to_be_bytes(), ports.destination.to_be_bytes());
        if self == Self::Reduced {
            return Head::Reduced([s0, s1, d0, d1]);
        }
        let [[t0, t1], [u0, u1]] = [len + 28, len + 8].map(|len| (len as u16).to_be_bytes());
        let [a, b, c, d] = WITHIN;
        // Whole, 64 hops, UDP without a checksum: GRE's datagram has one.
        let mut head = [
            0x45, 0, t0, t1, 0, 0, 0x40, 0, 64, UDP, 0, 0, a, b, c, d, a, b, c, d, s0, s1, d0, d1, u0, u1, 0,
            0,
        ];
        let [c0, c1] = checksum(&head[..20]).to_be_bytes();
        (head[10], head[11]) = (c0, c1);
        Head::Full(head)
    }
}

/// Of a header of IPv4 (RFC 791, 3.1).
fn checksum(header: &[u8]) -> u16 {
    let words = header.chunks_exact(2).map(|word| u32::from(u16::from_be_bytes([word[0], word[1]])));
    let sum: u32 = words.sum();
    // Two carries at most, of ten words.
    let folded = (sum >> 16) + (sum & 0xffff);
    !(((folded >> 16) + folded) as u16)
}

/// The payload of a datagram; ranges are places in the bytes it was read from.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Payload {
    /// A datagram of the Simple Profile, RTP or RTCP, in reduced overhead or full datagram mode.
    Datagram {
        /// How it stands there.
        mode: Mode,
        /// Its ports.
        ports: Ports,
        /// Where it is.
        data: Range<usize>,
    },
    /// A [keep-alive message](super::KeepAlive).
    KeepAlive(Range<usize>),
    /// Something that is not for RTP: authentication, other protocols, what VSF types to come may be. It keeps the
    /// tunnel alive (TR-06-2).
    Other {
        /// Its EtherType.
        ether_type: u16,
    },
}

impl Payload {
    /// Reads what follows a header with this EtherType, decrypted.
    ///
    /// # Errors
    /// [`DecodeError::Truncated`] when it is shorter than its type needs.
    pub fn decode(ether_type: u16, plain: &[u8]) -> Result<Self, DecodeError> {
        match ether_type {
            REDUCED_OVERHEAD => reduced(plain, 0),
            KEEP_ALIVE => Ok(Self::KeepAlive(0..plain.len())),
            FULL_DATAGRAM => Ok(full(plain).unwrap_or(Self::Other { ether_type })),
            VSF => match (word(plain, 0)?, word(plain, 2)?) {
                (VSF_RIST, VSF_REDUCED_OVERHEAD) => reduced(plain, 4),
                (VSF_RIST, VSF_KEEP_ALIVE) => Ok(Self::KeepAlive(4..plain.len())),
                _ => Ok(Self::Other { ether_type }),
            },
            _ => Ok(Self::Other { ether_type }),
        }
    }
}

fn word(plain: &[u8], at: usize) -> Result<u16, DecodeError> {
    match plain.get(at..at + 2) {
        Some(&[a, b]) => Ok(u16::from_be_bytes([a, b])),
        _ => Err(DecodeError::Truncated { at, need: 2, have: plain.len().saturating_sub(at) }),
    }
}

fn reduced(plain: &[u8], at: usize) -> Result<Payload, DecodeError> {
    let ports = Ports { source: word(plain, at)?, destination: word(plain, at + 2)? };
    Ok(Payload::Datagram { mode: Mode::Reduced, ports, data: at + Mode::Reduced.head_len()..plain.len() })
}

/// IPv4 and UDP, whole; everything else is not for RTP.
fn full(plain: &[u8]) -> Option<Payload> {
    let &[b0, _, l0, l1, _, _, f0, f1, _, protocol] = plain.first_chunk::<10>()?;
    let (header, total) = (usize::from(b0 & 0x0f) * 4, usize::from(u16::from_be_bytes([l0, l1])));
    let fragment = u16::from_be_bytes([f0, f1]) & 0x3fff != 0;
    if b0 >> 4 != 4 || header < 20 || protocol != UDP || fragment {
        return None;
    }
    let &[s0, s1, d0, d1, u0, u1, _, _] = plain.get(..total)?.get(header..)?.first_chunk::<8>()?;
    let end = header + usize::from(u16::from_be_bytes([u0, u1]));
    let ports = Ports { source: u16::from_be_bytes([s0, s1]), destination: u16::from_be_bytes([d0, d1]) };
    let datagram = Payload::Datagram { mode: Mode::Full, ports, data: header + 8..end };
    (header + 8 <= end && end <= total).then_some(datagram)
}
