//! Tables of a transport stream: put together from packets, and read.

/// Longest section of these tables, header included (ISO/IEC 13818-1, 2.4.4.4).
const MAX_LEN: usize = 1024;
/// Table ids.
const PAT: u8 = 0;
const PMT: u8 = 2;
/// Bytes of header, and of the checksum at the end.
const HEADER: usize = 8;
const CHECKSUM: usize = 4;
/// Of null packets, and of a clock that no program has.
const NO_PID: u16 = 0x1fff;

/// The section of one PID that is under way.
#[derive(Debug, Default)]
pub(super) struct Section {
    buffer: Vec<u8>,
}

impl Section {
    /// Takes a packet's payload; gives a section that is whole now.
    pub(super) fn push(&mut self, starts: bool, payload: &[u8]) -> Option<Vec<u8>> {
        if !starts {
            return self.extend(payload);
        }
        let (&pointer, rest) = payload.split_first()?;
        let (before, after) = rest.split_at_checked(usize::from(pointer))?;
        let whole = self.extend(before);
        self.buffer.clear();
        self.buffer.extend_from_slice(after);
        whole.or_else(|| self.extend(&[]))
    }

    fn extend(&mut self, part: &[u8]) -> Option<Vec<u8>> {
        // What does not continue a section is none.
        if self.buffer.is_empty() {
            return None;
        }
        self.buffer.extend_from_slice(part);
        let len = 3 + usize::from(u16::from_be_bytes([self.buffer.get(1)? & 0x0f, *self.buffer.get(2)?]));
        if len > MAX_LEN {
            self.buffer.clear();
            return None;
        }
        if self.buffer.len() < len {
            return None;
        }
        let mut section = std::mem::take(&mut self.buffer);
        section.truncate(len);
        Some(section)
    }
}

/// Entries of a table that holds now.
fn entries(section: &[u8], table: u8, header: usize) -> &[u8] {
    let current = section.len() >= HEADER && section[0] == table && section[5] & 1 == 1;
    let end = section.len().saturating_sub(CHECKSUM);
    section.get(header..end).filter(|_| current).unwrap_or_default()
}

/// PIDs of the maps that a PAT names.
pub(super) fn programs(section: &[u8]) -> impl Iterator<Item = u16> {
    let entries = entries(section, PAT, HEADER).chunks_exact(4);
    // Program 0 is the network's own table.
    entries.filter(|entry| entry[..2] != [0, 0]).map(|entry| pid(entry[2], entry[3]))
}

/// PID that the clock of a PMT's program is told by, if one does.
pub(super) fn clock(section: &[u8]) -> Option<u16> {
    let &[high, low, ..] = entries(section, PMT, HEADER) else { return None };
    Some(pid(high, low)).filter(|&pid| pid != NO_PID)
}

/// Types and PIDs of the streams that a PMT names.
pub(super) fn streams(section: &[u8]) -> impl Iterator<Item = (u8, u16)> {
    let info = section.get(10..12).map_or(0, |len| length(len[0], len[1]));
    let mut rest = entries(section, PMT, HEADER + 4 + info);
    std::iter::from_fn(move || {
        let (entry, after) = rest.split_at_checked(5)?;
        rest = after.get(length(entry[3], entry[4])..).unwrap_or_default();
        Some((entry[0], pid(entry[1], entry[2])))
    })
}

fn pid(high: u8, low: u8) -> u16 {
    u16::from_be_bytes([high & 0x1f, low])
}

fn length(high: u8, low: u8) -> usize {
    usize::from(u16::from_be_bytes([high & 0x0f, low]))
}
