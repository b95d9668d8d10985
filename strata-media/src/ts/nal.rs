//! NAL units in PES packets: which of them everything after depends on.

/// A codec whose units are known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Codec {
    /// Rec. ITU-T H.264.
    H264,
    /// Rec. ITU-T H.265.
    H265,
}

/// The units of one video stream, found byte by byte, across packets.
#[derive(Debug)]
pub(super) struct Units {
    codec: Codec,
    /// Bytes of the PES header that are still to come; `None` when no picture is under way.
    header: Option<usize>,
    /// Zeros that came last.
    zeros: u8,
    /// The next byte is a unit's first.
    prefixed: bool,
    /// The unit under way is one that matters.
    critical: bool,
}

impl Units {
    pub(super) fn new(codec: Codec) -> Self {
        Self { codec, header: None, zeros: 0, prefixed: false, critical: false }
    }

    pub(super) fn codec(&self) -> Codec {
        self.codec
    }

    /// Takes a packet's payload; whether it holds anything of a unit that matters.
    pub(super) fn push(&mut self, starts: bool, payload: &[u8]) -> bool {
        if starts {
            *self = Self { header: header(payload), ..Self::new(self.codec) };
        }
        let Some(left) = &mut self.header else { return false };
        let skipped = payload.len().min(*left);
        *left -= skipped;
        self.scan(&payload[skipped..])
    }

    fn scan(&mut self, mut bytes: &[u8]) -> bool {
        let mut found = self.critical && !self.prefixed && !bytes.is_empty();
        while let Some((&byte, rest)) = bytes.split_first() {
            bytes = rest;
            if self.prefixed {
                self.critical = self.codec.is_critical(byte);
                found |= self.critical;
            }
            let prefix = byte == 1 && self.zeros >= 2;
            self.zeros = if byte == 0 { (self.zeros + 1).min(2) } else { 0 };
            self.prefixed = prefix;
            if self.zeros == 0 && !prefix {
                // Nothing begins before the next zero.
                let next = bytes.iter().position(|&byte| byte == 0).unwrap_or(bytes.len());
                bytes = &bytes[next..];
            }
        }
        found
    }
}

impl Codec {
    /// By the first byte of the unit's header.
    fn is_critical(self, byte: u8) -> bool {
        match self {
            // 7.4.1, table 7-1: IDR slice, sequence and picture parameter set.
            Self::H264 => matches!(byte & 0x1f, 5 | 7 | 8),
            // 7.4.2.2, table 7-1: pictures where decoding can start; video, sequence and picture parameter set.
            Self::H265 => matches!((byte >> 1) & 0x3f, 16..=21 | 32..=34),
        }
    }
}

/// Bytes of the PES header that begins a payload (ISO/IEC 13818-1, 2.4.3.6).
fn header(payload: &[u8]) -> Option<usize> {
    let fixed: &[u8; FIXED] = payload.first_chunk()?;
    (fixed[..3] == [0, 0, 1]).then(|| FIXED + usize::from(fixed[8]))
}

/// Start code, stream id, length, flags, and the length of what else is in the header.
const FIXED: usize = 9;
