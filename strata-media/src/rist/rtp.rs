//! RTP packets (RFC 3550, 5.1) as RIST uses them (TR-06-1, 5.1).

use std::ops::Range;

use super::error::DecodeError;

/// Payload type of an MPEG transport stream (RFC 3551; SMPTE 2022-2).
pub const PAYLOAD_TYPE_TS: u8 = 33;
/// Ticks per second of the time stamp of an MPEG transport stream.
pub const CLOCK_HZ: u64 = 90_000;
/// Bytes of a header without contributing sources and extension.
pub const HEADER_LEN: usize = 12;
/// Longest payload, bytes, that fits into 1500 with the headers of RTP, UDP (8) and IPv6 (40).
pub const MAX_PAYLOAD: usize = 1500 - HEADER_LEN - 8 - 40;
/// Lowest bit of the SSRC: set on a retransmission (TR-06-1, 5.3.3).
pub const RETRANSMISSION_BIT: u32 = 1;

/// The SSRC of a stream, without the retransmission bit.
#[must_use]
pub fn stream(ssrc: u32) -> u32 {
    ssrc & !RETRANSMISSION_BIT
}

/// The fixed header of an RTP packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Header {
    /// Marker bit.
    pub marker: bool,
    /// Payload type, 7 bits.
    pub payload_type: u8,
    /// Sequence number.
    pub sequence: u16,
    /// Time stamp, in ticks of the payload's clock.
    pub timestamp: u32,
    /// Source, with the retransmission bit as it is on the wire.
    pub ssrc: u32,
}

impl Header {
    /// Whether the packet is a retransmission.
    #[must_use]
    pub fn is_retransmission(&self) -> bool {
        self.ssrc & RETRANSMISSION_BIT != 0
    }

    /// The source without the retransmission bit.
    #[must_use]
    pub fn stream(&self) -> u32 {
        stream(self.ssrc)
    }

    /// The header's bytes: no padding, no extension, no contributing sources.
    #[must_use]
    pub fn encode(&self) -> [u8; HEADER_LEN] {
        let mut out = [0; HEADER_LEN];
        out[0] = 0x80;
        out[1] = (u8::from(self.marker) << 7) | (self.payload_type & 0x7f);
        out[2..4].copy_from_slice(&self.sequence.to_be_bytes());
        out[4..8].copy_from_slice(&self.timestamp.to_be_bytes());
        out[8..12].copy_from_slice(&self.ssrc.to_be_bytes());
        out
    }

    /// Reads a packet: its header, and where its payload is, after contributing sources and extension and
    /// without padding. The payload may be empty.
    ///
    /// # Errors
    /// [`DecodeError`] when the packet is truncated, not of version 2, or padded beyond its start.
    pub fn decode(packet: &[u8]) -> Result<(Self, Range<usize>), DecodeError> {
        let Some((fixed, _)) = packet.split_first_chunk::<HEADER_LEN>() else {
            return Err(DecodeError::Truncated { at: 0, need: HEADER_LEN, have: packet.len() });
        };
        let [b0, b1, s0, s1, t0, t1, t2, t3, i0, i1, i2, i3] = *fixed;
        if b0 >> 6 != 2 {
            return Err(DecodeError::Version { at: 0, version: b0 >> 6 });
        }
        let header = Self {
            marker: b1 & 0x80 != 0,
            payload_type: b1 & 0x7f,
            sequence: u16::from_be_bytes([s0, s1]),
            timestamp: u32::from_be_bytes([t0, t1, t2, t3]),
            ssrc: u32::from_be_bytes([i0, i1, i2, i3]),
        };
        let start = payload_start(packet, b0)?;
        let end = if b0 & 0x20 != 0 { padded_end(packet, start)? } else { packet.len() };
        Ok((header, start..end))
    }
}

fn payload_start(packet: &[u8], b0: u8) -> Result<usize, DecodeError> {
    let truncated = |at, need| DecodeError::Truncated { at, need, have: packet.len().saturating_sub(at) };
    let mut start = HEADER_LEN + usize::from(b0 & 0x0f) * 4;
    if packet.len() < start {
        return Err(truncated(HEADER_LEN, start - HEADER_LEN));
    }
    if b0 & 0x10 != 0 {
        let Some(&[_, _, l0, l1]) = packet.get(start..start + 4) else {
            return Err(truncated(start, 4));
        };
        let len = 4 + usize::from(u16::from_be_bytes([l0, l1])) * 4;
        if packet.len() < start + len {
            return Err(truncated(start, len));
        }
        start += len;
    }
    Ok(start)
}

fn padded_end(packet: &[u8], start: usize) -> Result<usize, DecodeError> {
    let padding = usize::from(packet.last().copied().unwrap_or(0));
    let have = packet.len() - start;
    if padding == 0 || padding > have {
        return Err(DecodeError::Padding { padding, have });
    }
    Ok(packet.len() - padding)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What librist puts on the wire: `80 21 seq ts ssrc`.
    #[test]
    fn header_is_byte_exact() {
        let header = Header {
            marker: false,
            payload_type: PAYLOAD_TYPE_TS,
            sequence: 0x1234,
            timestamp: 0x89ab_cdef,
            ssrc: 0x0102_0304,
        };
        let bytes = header.encode();
        assert_eq!(bytes, *b"\x80\x21\x12\x34\x89\xab\xcd\xef\x01\x02\x03\x04");
        assert_eq!(Header::decode(&bytes), Ok((header, 12..12)));
    }

    #[test]
    fn retransmission_is_the_lowest_bit_of_the_ssrc() {
        let mut packet = *b"\x80\x21\0\x01\0\0\0\x02\xca\xfe\xba\xbfTS";
        let (header, payload) = Header::decode(&packet).unwrap();
        assert!(header.is_retransmission());
        assert_eq!((header.stream(), payload), (0xcafe_babe, 12..14));
        packet[11] &= !1;
        assert!(!Header::decode(&packet).unwrap().0.is_retransmission());
    }

    #[test]
    fn contributing_sources_extension_and_padding_are_not_payload() {
        // One contributing source, an extension of one word, three bytes of padding.
        let packet = b"\xb1\x21\0\x01\0\0\0\x02\0\0\0\x04\0\0\0\x09RI\0\x01\0\0\0\0TS\0\0\x03";
        let (_, payload) = Header::decode(packet).unwrap();
        assert_eq!(&packet[payload], b"TS");
    }

    #[test]
    fn broken_packets_are_told_apart() {
        let decode = |bytes: &[u8]| Header::decode(bytes).unwrap_err();
        assert_eq!(decode(&[0x80; 11]), DecodeError::Truncated { at: 0, need: 12, have: 11 });
        assert_eq!(decode(&[0x40; 12]), DecodeError::Version { at: 0, version: 1 });
        assert_eq!(
            decode(b"\x81\x21\0\x01\0\0\0\x02\0\0\0\x04"),
            DecodeError::Truncated { at: 12, need: 4, have: 0 }
        );
        assert_eq!(
            decode(b"\x90\x21\0\x01\0\0\0\x02\0\0\0\x04RI\xff\xff"),
            DecodeError::Truncated { at: 12, need: 4 + 65535 * 4, have: 4 }
        );
        assert_eq!(
            decode(b"\xa0\x21\0\x01\0\0\0\x02\0\0\0\x04\x02"),
            DecodeError::Padding { padding: 2, have: 1 }
        );
    }
}
