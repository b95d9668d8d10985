//! GRE over UDP as the Main Profile uses it (RFC 2784, RFC 2890, RFC 8086; TR-06-2).
//!
//! ```text
//!   0               1               2               3
//!  |C|0|K|S|0 0 0 0|0|H|RVer |  Ver |     EtherType   |  Ver 0; H: the key has 256 bits
//!  |  checksum (2), reserved (2)                      |  if C
//!  |  nonce of the key                                |  if K: what follows the header is encrypted
//!  |  sequence number                                 |  if S
//!  |  payload: ports and RTP or RTCP; a keep-alive; …
//! ```
//!
//! [`Header`] is the part in clear, [`Payload`] what follows it, once decrypted.

mod keepalive;
mod payload;

pub use keepalive::{Capabilities, KeepAlive};
pub use payload::{Head, Mode, Payload, Ports};

use super::error::DecodeError;

/// EtherType of an IPv4 datagram: full datagram mode.
pub const FULL_DATAGRAM: u16 = 0x0800;
/// EtherType of authentication (EAPOL).
pub const AUTHENTICATION: u16 = 0x888e;
/// EtherType of a keep-alive message.
pub const KEEP_ALIVE: u16 = 0x88b5;
/// EtherType of the reduced overhead mode: two ports instead of IP and UDP headers.
pub const REDUCED_OVERHEAD: u16 = 0x88b6;
/// EtherType of the VSF, whose types hold the same payloads for RVer 2 and above.
pub const VSF: u16 = 0xcce0;
/// The header in clear, without checksum.
pub const HEADER_LEN: usize = 4;
/// The same with nonce and number.
pub const KEYED_HEADER_LEN: usize = 12;
/// The longest header.
pub const MAX_HEADER_LEN: usize = 16;
/// The newest RVer that is understood.
pub const MAX_VERSION: u8 = 2;

const CHECKSUM: u8 = 0x80;
const KEY: u8 = 0x20;
const SEQUENCE: u8 = 0x10;
/// Routing, strict source route and recursion control of RFC 1701: with them set the header is of another length (RFC
/// 2784, 2.3).
const FOREIGN: u8 = 0x4c;
const KEY_256: u8 = 0x40;
const RESERVED: u8 = 0x80;

/// The header of a datagram.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Header {
    /// K: the nonce the key is derived with; without, nothing is encrypted.
    pub nonce: Option<u32>,
    /// S: counts datagrams, and makes the keystream of each another one.
    pub sequence: Option<u32>,
    /// RVer: 0 is TR-06-2:2020.
    pub version: u8,
    /// H: the key has 256 bits. Not known to RVer 0.
    pub key_256: bool,
    /// What follows.
    pub ether_type: u16,
}

impl Header {
    /// Whether a datagram is of the Main Profile rather than RTP of the Simple Profile, as both come to one port.
    ///
    /// Only a datagram that begins with the C bit could be RTP too; it would then have to be of payload type 0, 8
    /// or 16, and its sequence number one of the five EtherTypes. A transport stream (33) cannot be mistaken.
    #[must_use]
    pub fn is_gre(datagram: &[u8]) -> bool {
        let Some(&[b0, b1, t0, t1]) = datagram.first_chunk::<4>() else { return false };
        let ether_type = u16::from_be_bytes([t0, t1]);
        let known =
            matches!(ether_type, FULL_DATAGRAM | AUTHENTICATION | KEEP_ALIVE | REDUCED_OVERHEAD | VSF);
        let rtp_like = b0 >> 6 == 2;
        let version = (b1 >> 3) & 7;
        if rtp_like {
            known && b0 & FOREIGN == 0 && b1 & (RESERVED | 7) == 0 && version <= MAX_VERSION
        } else {
            // Neither RTP nor of a known type is still rather a tunnel than anything else.
            b0 >> 6 == 0
        }
    }

    /// Reads the header of a datagram, and where its payload starts. The checksum is stepped over: UDP has its own.
    ///
    /// # Errors
    /// [`DecodeError`] when the datagram is truncated, or its header is not of this kind of GRE.
    pub fn decode(datagram: &[u8]) -> Result<(Self, usize), DecodeError> {
        let truncated =
            |at, need| DecodeError::Truncated { at, need, have: datagram.len().saturating_sub(at) };
        let &[b0, b1, t0, t1] = datagram.first_chunk::<4>().ok_or(truncated(0, 4))?;
        let version = (b1 >> 3) & 7;
        if b0 & FOREIGN != 0 || b1 & 7 != 0 || version > MAX_VERSION {
            return Err(DecodeError::Gre { flags: u16::from_be_bytes([b0, b1]) });
        }
        let mut at = if b0 & CHECKSUM != 0 { 8 } else { 4 };
        let mut word = |present: bool| {
            if !present {
                return Ok(None);
            }
            let bytes = datagram.get(at..).and_then(<[u8]>::first_chunk::<4>).ok_or(truncated(at, 4))?;
            at += 4;
            Ok(Some(u32::from_be_bytes(*bytes)))
        };
        let nonce = word(b0 & KEY != 0)?;
        let sequence = word(b0 & SEQUENCE != 0)?;
        if datagram.len() < at {
            return Err(truncated(4, 4));
        }
        let ether_type = u16::from_be_bytes([t0, t1]);
        let key_256 = version > 0 && b1 & KEY_256 != 0;
        Ok((Self { nonce, sequence, version, key_256, ether_type }, at))
    }

    /// Appends the header's bytes, without checksum.
    pub fn encode(&self, out: &mut Vec<u8>) {
        let key = if self.nonce.is_some() { KEY } else { 0 };
        let sequence = if self.sequence.is_some() { SEQUENCE } else { 0 };
        let long = if self.key_256 && self.version > 0 { KEY_256 } else { 0 };
        out.extend([key | sequence, long | ((self.version & 7) << 3)]);
        out.extend(self.ether_type.to_be_bytes());
        for word in [self.nonce, self.sequence].into_iter().flatten() {
            out.extend(word.to_be_bytes());
        }
    }
}

#[cfg(test)]
mod tests;
