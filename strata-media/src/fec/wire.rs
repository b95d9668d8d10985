//! What a repair packet and a shard look like.

use bytes::Bytes;
use thiserror::Error;

use super::{MAX_REPAIRS, MAX_SOURCES};
use crate::rist::extension::Nulls;
use crate::rist::rtp::MAX_PAYLOAD;

/// Payload type of repair packets: dynamic (RFC 3551, 6).
pub const PAYLOAD_TYPE: u8 = 126;
/// All bits but the one that tells repeated packets (TR-06-1, 5.3.3).
const SSRC_MASK: u32 = !1;
/// Not 0x47, so that a repair packet is never taken for a transport stream, whose null packets may be left out.
const VERSION: u8 = 1;
/// Bytes before the shard.
pub(super) const HEADER_LEN: usize = 8;
/// Bytes of a source shard before the payload.
const SHARD_HEADER: usize = 8;
/// With its header, a repair packet of so much fits into 1500 bytes in the Simple Profile. It bounds what a forged one can make
/// a receiver compute, too.
pub(super) const MAX_SHARD: usize = MAX_PAYLOAD - HEADER_LEN;
/// In the byte of the index: null packets are left out of what was coded.
const NULLS: u8 = 0x80;
/// Bits of [`Nulls::packets`].
const PACKETS: u8 = 7;

/// The SSRC of a stream's repair packets; and the stream's, of theirs.
#[must_use]
pub fn repair_ssrc(ssrc: u32) -> u32 {
    ssrc ^ SSRC_MASK
}

/// A repair packet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Repair {
    /// Sequence number of the first packet of its block, lower 32 bits.
    pub first: u32,
    /// How many packets the block has, 1 to 128.
    pub sources: u8,
    /// How many repair packets it has, 1 to 64.
    pub repairs: u8,
    /// Which of these it is, from 0.
    pub index: u8,
    /// Whether null packets are left out of what was coded.
    pub nulls: bool,
    /// What was coded; of even length.
    pub shard: Bytes,
}

/// A payload that is no repair packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum RepairError {
    /// It ends within its header, or its shard is too short, too long, or of odd length.
    #[error("repair packet of {0} bytes, expected 8 and a shard of 8 to 1432, even")]
    Length(usize),
    /// Of another version.
    #[error("repair packet of version {0}, expected 1")]
    Version(u8),
    /// Numbers that cannot be.
    #[error("repair packet {index} of {repairs} for {sources} packets, expected up to 64 for up to 128")]
    Counts {
        /// Source packets.
        sources: u8,
        /// Repair packets.
        repairs: u8,
        /// Which of these.
        index: u8,
    },
}

impl Repair {
    /// Its bytes: the payload of an RTP packet.
    #[must_use]
    pub fn encode(&self) -> Bytes {
        let mut out = Vec::with_capacity(HEADER_LEN + self.shard.len());
        let nulls = if self.nulls { NULLS } else { 0 };
        out.extend([VERSION, self.sources, self.repairs, nulls | self.index]);
        out.extend(self.first.to_be_bytes());
        out.extend_from_slice(&self.shard);
        out.into()
    }

    /// Reads the payload of an RTP packet.
    ///
    /// # Errors
    /// [`RepairError`] when it is none.
    pub fn decode(payload: &Bytes) -> Result<Self, RepairError> {
        let len = payload.len();
        let Some((&[version, sources, repairs, flagged, f0, f1, f2, f3], shard)) =
            payload.split_first_chunk::<HEADER_LEN>()
        else {
            return Err(RepairError::Length(len));
        };
        if version != VERSION {
            return Err(RepairError::Version(version));
        }
        let (nulls, index) = (flagged & NULLS != 0, flagged & !NULLS);
        let counted = (1..=MAX_SOURCES).contains(&usize::from(sources))
            && (1..=MAX_REPAIRS).contains(&usize::from(repairs))
            && index < repairs;
        if !counted {
            return Err(RepairError::Counts { sources, repairs, index });
        }
        if shard.len() < SHARD_HEADER || shard.len() > MAX_SHARD || shard.len() % 2 == 1 {
            return Err(RepairError::Length(len));
        }
        let first = u32::from_be_bytes([f0, f1, f2, f3]);
        Ok(Self { first, sources, repairs, index, nulls, shard: payload.slice(HEADER_LEN..) })
    }
}

/// Writes the source shard of a packet, without null packets or as it is, not filled up yet, in place of what is in `out`. `false`, and nothing written, when
/// the payload is longer than that of any shard.
pub(super) fn write_shard(payload: &[u8], timestamp: u32, without_nulls: bool, out: &mut Vec<u8>) -> bool {
    out.clear();
    if payload.len() > MAX_SHARD - SHARD_HEADER {
        return false;
    }
    out.resize(SHARD_HEADER, 0);
    let nulls = if without_nulls { Nulls::remove(payload, out) } else { None };
    if nulls.is_none() {
        out.extend_from_slice(payload);
    }
    let len = (out.len() - SHARD_HEADER) as u16;
    out[..2].copy_from_slice(&len.to_be_bytes());
    (out[2], out[3]) = nulls.map_or((0, 0), |nulls| (nulls.packets, nulls.removed));
    out[4..SHARD_HEADER].copy_from_slice(&timestamp.to_be_bytes());
    true
}

/// The payload and the time stamp of a source shard; `None` when it is none.
pub(super) fn read_shard(shard: &[u8]) -> Option<(Bytes, u32)> {
    let (&[l0, l1, packets, removed, t0, t1, t2, t3], body) = shard.split_first_chunk::<SHARD_HEADER>()?;
    let (body, filling) = body.split_at_checked(usize::from(u16::from_be_bytes([l0, l1])))?;
    let whole = (removed == 0) == (packets == 0) && packets <= PACKETS && removed < 0x80;
    if !whole || filling.iter().any(|&byte| byte != 0) {
        return None;
    }
    let timestamp = u32::from_be_bytes([t0, t1, t2, t3]);
    let payload = match removed {
        0 => Bytes::copy_from_slice(body),
        _ => Nulls { packets, long: false, removed }.restore(body),
    };
    Some((payload, timestamp))
}
