//! What goes to an RTP port.

use bytes::Bytes;

use super::history::Entry;
use super::rtp::{HEADER_LEN, Header, PAYLOAD_TYPE_TS};

/// A packet for the wire: header and payload are to be sent as one datagram.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Media {
    /// RTP header.
    pub header: [u8; HEADER_LEN],
    /// Upper half of the sequence number, for the header extension of the Main Profile.
    pub upper: u16,
    /// Payload.
    pub payload: Bytes,
}

impl Media {
    /// A packet that is kept.
    pub(super) fn of(ssrc: u32, number: u64, entry: &Entry) -> Self {
        let header = Header {
            marker: false,
            payload_type: PAYLOAD_TYPE_TS,
            sequence: number as u16,
            timestamp: entry.timestamp,
            ssrc,
        };
        Self { header: header.encode(), upper: (number >> 16) as u16, payload: entry.payload.clone() }
    }

    /// Bytes of the datagram.
    #[must_use]
    pub fn len(&self) -> usize {
        HEADER_LEN + self.payload.len()
    }

    /// Never true: there is always a header.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        false
    }
}
