//! The RTP header extension "RI" of the Main Profile (TR-06-2): null packets that were left out, and the upper half of
//! a 32-bit sequence number.
//!
//! ```text
//!  |  0x52 'R'     |  0x49 'I'     |  length 1 (words)             |
//!  |N|E|Size |0 0 0|T|  removed    |  upper half of the number     |
//! ```

use std::ops::Range;

use bytes::{Bytes, BytesMut};

/// What marks the extension, with its length in words.
const MARK: [u8; 4] = [0x52, 0x49, 0, 1];
/// Bytes on the wire, the mark included.
pub const LEN: usize = 8;
/// Packets of transport stream that can be told of.
const MAX_PACKETS: usize = 7;
/// A packet of transport stream, and one with room for error correction.
const PACKET: usize = 188;
const LONG_PACKET: usize = 204;
const SYNC: u8 = 0x47;
/// A piece of memory is kept as long as any payload in it: as much as what is received is read into.
const PIECE_BYTES: usize = 256 << 10;

/// The extension.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct Extension {
    /// N: null packets were left out.
    pub nulls: Option<Nulls>,
    /// E: the upper half of the sequence number.
    pub sequence: Option<u16>,
}

/// Null packets that were left out of a payload.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Nulls {
    /// How many packets there were in all, 1 to 7; 0 when that is not told.
    pub packets: u8,
    /// T: packets of 204 bytes.
    pub long: bool,
    /// Seven bits, highest first: the packet at this place was left out.
    pub removed: u8,
}

impl Extension {
    /// The bytes that stand between RTP header (whose X bit is to be set) and payload.
    #[must_use]
    pub fn encode(&self) -> [u8; LEN] {
        let mut out = [0; LEN];
        out[..4].copy_from_slice(&MARK);
        if let Some(nulls) = self.nulls {
            out[4] |= 0x80 | ((nulls.packets & 7) << 3);
            out[5] = (u8::from(nulls.long) << 7) | (nulls.removed & 0x7f);
        }
        if let Some(sequence) = self.sequence {
            out[4] |= 0x40;
            out[6..].copy_from_slice(&sequence.to_be_bytes());
        }
        out
    }

    /// Finds it in an RTP packet; `None` when there is none, or another one.
    #[must_use]
    pub fn find(packet: &[u8]) -> Option<Self> {
        let b0 = *packet.first()?;
        let at = 12 + usize::from(b0 & 0x0f) * 4;
        let &[m0, m1, m2, m3, flags, removed, s0, s1] = packet.get(at..)?.first_chunk::<LEN>()?;
        if b0 & 0x10 == 0 || [m0, m1, m2, m3] != MARK {
            return None;
        }
        let nulls = (flags & 0x80 != 0).then_some(Nulls {
            packets: (flags >> 3) & 7,
            long: removed & 0x80 != 0,
            removed: removed & 0x7f,
        });
        let sequence = (flags & 0x40 != 0).then_some(u16::from_be_bytes([s0, s1]));
        Some(Self { nulls, sequence })
    }
}

impl Nulls {
    /// Leaves the null packets (PID 0x1fff) of a transport stream out: the rest is appended to `out`. `None`, and
    /// nothing appended, when there are none or the payload is not one to seven whole packets.
    pub fn remove(payload: &[u8], out: &mut Vec<u8>) -> Option<Self> {
        let packets = payload.len() / PACKET;
        if !payload.len().is_multiple_of(PACKET) || !(1..=MAX_PACKETS).contains(&packets) {
            return None;
        }
        let mut removed = 0;
        for (place, packet) in payload.chunks_exact(PACKET).enumerate() {
            match *packet {
                [SYNC, p0, p1, ..] if p0 & 0x1f == 0x1f && p1 == 0xff => removed |= 0x40 >> place,
                [SYNC, ..] => {}
                _ => return None,
            }
        }
        if removed == 0 {
            return None;
        }
        let kept =
            payload.chunks_exact(PACKET).enumerate().filter(|(place, _)| removed & (0x40 >> place) == 0);
        kept.for_each(|(_, packet)| out.extend_from_slice(packet));
        Some(Self { packets: packets as u8, long: false, removed })
    }

    /// The payload with its null packets, filled with ones.
    #[must_use]
    pub fn restore(&self, payload: &[u8]) -> Bytes {
        let mut out = BytesMut::with_capacity(Self::most(payload));
        self.restore_into(payload, &mut out);
        out.freeze()
    }

    /// Bytes it may have then.
    const fn most(payload: &[u8]) -> usize {
        payload.len() + MAX_PACKETS * LONG_PACKET
    }

    fn restore_into(&self, payload: &[u8], out: &mut BytesMut) {
        let size = if self.long { LONG_PACKET } else { PACKET };
        let packets = if self.packets == 0 { MAX_PACKETS } else { usize::from(self.packets) };
        let mut rest = payload;
        for place in 0..packets {
            if self.removed & (0x40 >> place) != 0 {
                let start = out.len();
                out.extend([SYNC, 0x1f, 0xff, 0x10]);
                out.resize(start + PACKET, 0xff);
                out.resize(start + size, 0);
            } else if !rest.is_empty() {
                let (packet, tail) = rest.split_at(size.min(rest.len()));
                out.extend_from_slice(packet);
                rest = tail;
            }
        }
        out.extend_from_slice(rest);
    }
}

impl Extension {
    /// The payload of the RTP packet it is of, with the null packets it was sent without.
    pub(super) fn restored(self, packet: &Bytes, payload: Range<usize>, memory: &mut Memory) -> Bytes {
        match self.nulls {
            Some(nulls) => memory.restore(nulls, &packet[payload]),
            None => packet.slice(payload),
        }
    }
}

/// What payloads are restored in, piece by piece: an allocation for each would be one per packet.
#[derive(Debug, Default)]
pub(super) struct Memory(BytesMut);

impl Memory {
    fn restore(&mut self, nulls: Nulls, payload: &[u8]) -> Bytes {
        let most = Nulls::most(payload);
        if self.0.capacity() < most {
            self.0 = BytesMut::with_capacity(most.max(PIECE_BYTES));
        }
        nulls.restore_into(payload, &mut self.0);
        self.0.split().freeze()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// `count` packets, those in `nulls` null ones.
    fn stream(count: usize, nulls: u8) -> Vec<u8> {
        let packet = |place: usize| {
            let null = nulls & (0x40 >> place) != 0;
            let mut packet =
                if null { vec![SYNC, 0x1f, 0xff, 0x10] } else { vec![SYNC, 1, 0, 0x10, place as u8] };
            packet.resize(PACKET, 0xff);
            packet
        };
        (0..count).flat_map(packet).collect()
    }

    /// What `ristsender -n` puts on the wire for seven packets, the fourth of them null.
    #[test]
    fn the_fourth_of_seven() {
        let mut out = Vec::new();
        let nulls = Nulls::remove(&stream(7, 0x08), &mut out).unwrap();
        assert_eq!((nulls.removed, out.len()), (0x08, 6 * PACKET));
        let librist = b"\x90\x21\0\0\0\0\0\0\0\0\0\0RI\0\x01\x80\x08\0\0";
        let found = Extension::find(librist).unwrap();
        assert_eq!(found, Extension { nulls: Some(Nulls { packets: 0, ..nulls }), sequence: None });
        assert_eq!(found.nulls.unwrap().restore(&out), stream(7, 0x08));
    }

    #[test]
    fn what_is_no_transport_stream_stays_as_it_is() {
        let mut out = Vec::new();
        let mut odd = stream(2, 0x40);
        odd.push(0);
        let mut unsynchronized = stream(2, 0x40);
        unsynchronized[PACKET] = 0;
        for payload in [&b""[..], &odd, &unsynchronized, &stream(8, 0x40), &stream(3, 0)] {
            assert_eq!((Nulls::remove(payload, &mut out), out.len()), (None, 0));
        }
    }

    #[test]
    fn packets_of_204_bytes_are_restored_as_such() {
        let nulls = Nulls { packets: 2, long: true, removed: 0x20 };
        let restored = nulls.restore(&[SYNC; LONG_PACKET]);
        assert_eq!(restored.len(), 2 * LONG_PACKET);
        assert_eq!(restored[LONG_PACKET..LONG_PACKET + 4], [SYNC, 0x1f, 0xff, 0x10]);
    }

    #[test]
    fn other_extensions_are_not_it() {
        assert_eq!(Extension::find(b"\x90\x21\0\0\0\0\0\0\0\0\0\0XX\0\x01\x80\x08\0\0"), None);
        assert_eq!(Extension::find(b"\x80\x21\0\0\0\0\0\0\0\0\0\0RI\0\x01\x80\x08\0\0"), None, "no X bit");
        assert_eq!(Extension::find(b"\x90\x21\0\0\0\0\0\0\0\0\0\0RI\0\x01\x80\x08\0"), None, "cut off");
        assert_eq!(Extension::find(b""), None);
    }

    proptest! {
        #[test]
        fn what_is_removed_is_restored(count in 1usize..=7, nulls in 0u8..0x80, told: bool) {
            let payload = stream(count, nulls);
            let mut out = Vec::new();
            let there = nulls & !(0x7f >> count);
            match Nulls::remove(&payload, &mut out) {
                None => prop_assert_eq!(there, 0),
                Some(found) => {
                    prop_assert_eq!(found.removed, there);
                    let packets = if told { found.packets } else { 0 };
                    prop_assert_eq!(Nulls { packets, ..found }.restore(&out), payload);
                }
            }
        }

        #[test]
        fn any_extension_is_written_and_found(packets in 0u8..8, long: bool, removed in 0u8..0x80, n: bool, sequence: Option<u16>) {
            let extension = Extension { nulls: n.then_some(Nulls { packets, long, removed }), sequence };
            let mut packet = vec![0x91; 16];
            packet.extend(extension.encode());
            prop_assert_eq!(Extension::find(&packet), Some(extension));
        }

        #[test]
        fn any_payload_is_restored_within_bounds(packets in 0u8..8, long: bool, removed: u8, payload: Vec<u8>) {
            let restored = Nulls { packets, long, removed }.restore(&payload);
            prop_assert!(restored.len() >= payload.len() && restored.len() <= payload.len() + 7 * LONG_PACKET);
        }
    }
}
