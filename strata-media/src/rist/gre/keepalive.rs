//! Keep-alive messages (TR-06-2): who is there, what it can do, and that it leaves.

use super::super::error::DecodeError;

/// What a device says of itself: 16 bits, highest first X R B A P E L N D T V J, then reserved ones.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct Capabilities(pub u16);

impl Capabilities {
    /// B: it takes a stream over several links.
    pub const BONDING: Self = Self(0x2000);
    /// E: it takes a stream that is sent twice (SMPTE 2022-7).
    pub const SEAMLESS: Self = Self(0x0400);
    /// N: it restores null packets.
    pub const NULL_PACKETS: Self = Self(0x0100);
    /// D: it leaves.
    pub const DISCONNECT: Self = Self(0x0080);
    /// T: the other end is to connect anew.
    pub const RECONNECT: Self = Self(0x0040);
    /// V: it takes reduced overhead.
    pub const REDUCED_OVERHEAD: Self = Self(0x0020);
    /// J: a JSON text follows.
    pub const JSON: Self = Self(0x0010);

    /// These and those.
    #[must_use]
    pub const fn with(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Whether it has all of those.
    #[must_use]
    pub const fn has(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }
}

/// A keep-alive message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KeepAlive<'a> {
    /// Who: a MAC address, or a number in the form of one.
    pub mac: [u8; 6],
    /// What it can do or wants.
    pub capabilities: Capabilities,
    /// A JSON object with addresses and names, as it came; may be empty, and what is not known in it is ignored.
    pub json: &'a [u8],
}

impl<'a> KeepAlive<'a> {
    /// Reads the payload of a keep-alive datagram.
    ///
    /// # Errors
    /// [`DecodeError::Truncated`] when it is shorter than eight bytes.
    pub fn decode(payload: &'a [u8]) -> Result<Self, DecodeError> {
        let Some((&[a, b, c, d, e, f, c0, c1], json)) = payload.split_first_chunk::<8>() else {
            return Err(DecodeError::Truncated { at: 0, need: 8, have: payload.len() });
        };
        let capabilities = Capabilities(u16::from_be_bytes([c0, c1]));
        Ok(Self { mac: [a, b, c, d, e, f], capabilities, json })
    }

    /// Appends its bytes.
    pub fn encode(&self, out: &mut Vec<u8>) {
        out.extend(self.mac);
        out.extend(self.capabilities.0.to_be_bytes());
        out.extend_from_slice(self.json);
    }
}
