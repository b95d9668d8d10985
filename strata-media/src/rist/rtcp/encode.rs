//! Writing RTCP.

use bytes::{BufMut, Bytes, BytesMut};

use super::{
    APPLICATION, BYE, Loss, NAME, PAYLOAD_FEEDBACK, PICTURE_LOSS, RECEIVER_REPORT, ReportBlock,
    SENDER_REPORT, SOURCE_DESCRIPTION, STRATA, SUBTYPE_CAPABILITIES, SUBTYPE_ECHO_REQUEST,
    SUBTYPE_ECHO_RESPONSE, SUBTYPE_EXTENDED_SEQUENCE, SUBTYPE_RANGE_NACK, TRANSPORT_FEEDBACK,
};

/// Memory of a writer that writes one datagram, bytes.
const ONE: usize = 128;
/// Memory of one that writes many, and what is left of it at least when the next one begins.
const MANY: usize = 16 << 10;
const LONG: usize = 1500;

/// Writes compound packets, part by part, each complete. Start with a report and a source description.
#[derive(Debug)]
pub struct Writer {
    pub(super) out: BytesMut,
    /// So much memory is asked for at a time.
    piece: usize,
}

impl Default for Writer {
    fn default() -> Self {
        Self::new()
    }
}

impl Writer {
    /// For one datagram.
    #[must_use]
    pub fn new() -> Self {
        Self { out: BytesMut::new(), piece: ONE }
    }

    /// For many, one after the other: they share memory, which is used again once all that is in it were dropped.
    #[must_use]
    pub fn lasting() -> Self {
        Self { out: BytesMut::new(), piece: MANY }
    }

    /// The datagram; what is written next begins another one.
    #[must_use]
    pub fn finish(&mut self) -> Bytes {
        self.out.split().freeze()
    }

    /// Bytes written so far.
    #[must_use]
    pub fn len(&self) -> usize {
        self.out.len()
    }

    /// Whether nothing has been written yet.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.out.is_empty()
    }

    pub(super) fn header(&mut self, count: u8, packet_type: u8, words: u16) {
        if self.out.is_empty() && self.out.capacity() < self.piece.min(LONG) {
            self.out.reserve(self.piece);
        }
        self.out.put_slice(&[0x80 | (count & 0x1f), packet_type]);
        self.out.put_u16(words);
    }

    pub(super) fn words<const N: usize>(&mut self, words: [u32; N]) {
        for word in words {
            self.out.put_u32(word);
        }
    }

    /// SR with no report blocks (TR-06-1, 5.2.2). `ntp` in 1/2^32 s.
    pub fn sender_report(&mut self, ssrc: u32, ntp: u64, rtp_time: u32, packets: u32, octets: u32) {
        self.header(0, SENDER_REPORT, 6);
        self.words([ssrc, (ntp >> 32) as u32, ntp as u32, rtp_time, packets, octets]);
    }

    /// RR with one block, or an empty one (TR-06-1, 5.2.3 and 5.2.4).
    pub fn receiver_report(&mut self, ssrc: u32, block: Option<&ReportBlock>) {
        let Some(block) = block else {
            self.header(0, RECEIVER_REPORT, 1);
            return self.words([ssrc]);
        };
        self.header(1, RECEIVER_REPORT, 7);
        let lost = (u32::from(block.fraction_lost) << 24) | (block.cumulative_lost as u32 & 0x00ff_ffff);
        self.words([ssrc, block.ssrc, lost, block.highest, block.jitter, block.last_report, block.delay]);
    }

    /// SDES with the canonical name, cut to 255 bytes, and one to four zero bytes (TR-06-1, 5.2.5).
    pub fn source_description(&mut self, ssrc: u32, cname: &str) {
        let cname = &cname.as_bytes()[..cname.len().min(255)];
        let items = 2 + cname.len();
        let padding = 4 - items % 4;
        self.header(1, SOURCE_DESCRIPTION, 1 + ((items + padding) / 4) as u16);
        self.words([ssrc]);
        self.out.put_slice(&[1, cname.len() as u8]);
        self.out.extend_from_slice(cname);
        self.out.put_bytes(0, padding);
    }

    /// Range based request (TR-06-1, 5.3.2.2).
    pub fn range_nack(&mut self, media_ssrc: u32, losses: &[Loss]) {
        self.header(SUBTYPE_RANGE_NACK, APPLICATION, 2 + losses.len() as u16);
        self.words([media_ssrc, u32::from_be_bytes(NAME)]);
        for loss in losses {
            self.words([(u32::from(loss.first) << 16) | u32::from(loss.additional)]);
        }
    }

    /// The upper half of the sequence numbers in the request that follows (TR-06-2, EXTSEQ).
    pub fn extended_sequence(&mut self, media_ssrc: u32, upper: u16) {
        self.header(SUBTYPE_EXTENDED_SEQUENCE, APPLICATION, 3);
        self.words([media_ssrc, u32::from_be_bytes(NAME), u32::from(upper) << 16]);
    }

    /// Bitmask based request (TR-06-1, 5.3.2.1; RFC 4585, 6.2.1): each pair is the first lost number, and a
    /// mask of the 16 after it, lowest bit first.
    pub fn bitmask_nack(&mut self, sender_ssrc: u32, media_ssrc: u32, entries: &[(u16, u16)]) {
        self.header(1, TRANSPORT_FEEDBACK, 2 + entries.len() as u16);
        self.words([sender_ssrc, media_ssrc]);
        for &(first, mask) in entries {
            self.words([(u32::from(first) << 16) | u32::from(mask)]);
        }
    }

    /// A request to send `timestamp` back (TR-06-1:2020, 5.2.6).
    pub fn echo_request(&mut self, ssrc: u32, timestamp: u64) {
        self.header(SUBTYPE_ECHO_REQUEST, APPLICATION, 5);
        self.words([ssrc, u32::from_be_bytes(NAME), (timestamp >> 32) as u32, timestamp as u32, 0]);
    }

    /// The answer to a request, after `processing_us`. The padding is cut to whole words and 1024 bytes.
    pub fn echo_response(&mut self, ssrc: u32, timestamp: u64, processing_us: u32, padding: &[u8]) {
        let padding = &padding[..padding.len().min(1024) / 4 * 4];
        self.header(SUBTYPE_ECHO_RESPONSE, APPLICATION, 5 + (padding.len() / 4) as u16);
        let time = [(timestamp >> 32) as u32, timestamp as u32];
        self.words([ssrc, u32::from_be_bytes(NAME), time[0], time[1], processing_us]);
        self.out.extend_from_slice(padding);
    }

    /// What the sender of the packet understands beyond the standard: [`super::TAKES_FEEDBACK`], [`super::TAKES_REPAIRS`],
    /// [`super::TAKES_PICTURE_LOSS`], [`super::RESTS`].
    pub fn capabilities(&mut self, ssrc: u32, capabilities: u32) {
        self.header(SUBTYPE_CAPABILITIES, APPLICATION, 3);
        self.words([ssrc, u32::from_be_bytes(STRATA), capabilities]);
    }

    /// Pictures were lost, so that a keyframe is wanted (RFC 4585, 6.3.1).
    pub fn picture_loss(&mut self, sender_ssrc: u32, media_ssrc: u32) {
        self.header(PICTURE_LOSS, PAYLOAD_FEEDBACK, 2);
        self.words([sender_ssrc, media_ssrc]);
    }

    /// BYE: the source leaves.
    pub fn bye(&mut self, ssrc: u32) {
        self.header(1, BYE, 1);
        self.words([ssrc]);
    }
}
