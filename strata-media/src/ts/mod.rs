//! What the packets of an MPEG transport stream are worth to who watches, without a clock and without I/O.
//!
//! ```text
//!  payload ──► packets ──► PAT ──► PMT ──► video: NAL units ──► keyframe, parameter set?
//!                                     └──► audio
//! ```
//!
//! Tables (ISO/IEC 13818-1, 2.4.4) are read as they come; nothing needs to be told beforehand. Checksums are not looked at: a
//! table that is wrong makes a priority wrong, and nothing else. Work per byte is constant, and memory bounded.

mod clock;
mod nal;
mod section;

use std::collections::BTreeMap;

pub use clock::{CLOCK_PERIOD, CLOCK_RATE, ClockReader};
use nal::{Codec, Units};
use section::Section;

/// What a payload is worth: the most that one of its packets is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Priority {
    /// Pictures that others do not all depend on, and what is not known.
    #[default]
    Normal,
    /// Sound.
    Audio,
    /// Without it nothing can be decoded for a while: tables, parameter sets, keyframes.
    Critical,
}

/// Reads a transport stream and tells the priority of each payload.
#[derive(Debug, Default)]
pub struct Classifier {
    pat: Section,
    /// By PID.
    programs: BTreeMap<u16, Section>,
    streams: BTreeMap<u16, Stream>,
}

/// An elementary stream.
#[derive(Debug)]
struct Stream {
    /// PID of its program's map.
    program: u16,
    content: Content,
}

#[derive(Debug)]
enum Content {
    Audio,
    /// Of a codec whose units are known.
    Units(Units),
    /// Of another one: whether the picture is one to start with, as the packets say.
    Pictures(bool),
}

/// One packet of a transport stream.
struct Packet<'a> {
    pid: u16,
    /// A section or PES packet begins in it.
    starts: bool,
    scrambled: bool,
    /// Its adaptation field, from the flags on.
    field: &'a [u8],
    payload: &'a [u8],
}

impl Classifier {
    /// Nothing is known yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes the next payload: whole packets of 188 bytes, or 204 with room for error correction. Of any other nothing is
    /// known.
    pub fn classify(&mut self, payload: &[u8]) -> Priority {
        packets(payload).map(|packet| self.packet(&packet)).max().unwrap_or_default()
    }

    fn packet(&mut self, packet: &Packet<'_>) -> Priority {
        if packet.pid == PAT_PID {
            if let Some(table) = self.pat.push(packet.starts, packet.payload) {
                self.set_programs(&table);
            }
            return Priority::Critical;
        }
        if let Some(section) = self.programs.get_mut(&packet.pid) {
            if let Some(table) = section.push(packet.starts, packet.payload) {
                self.set_streams(packet.pid, &table);
            }
            return Priority::Critical;
        }
        let critical = match self.streams.get_mut(&packet.pid).map(|stream| &mut stream.content) {
            None => false,
            Some(Content::Audio) => return Priority::Audio,
            Some(Content::Units(units)) if !packet.scrambled => units.push(packet.starts, packet.payload),
            Some(Content::Units(_)) => packet.random_access(),
            Some(Content::Pictures(start)) => {
                *start = if packet.starts { packet.random_access() } else { *start };
                *start
            }
        };
        if critical { Priority::Critical } else { Priority::Normal }
    }

    fn set_programs(&mut self, table: &[u8]) {
        let pids: Vec<_> = section::programs(table).take(MAX_PROGRAMS).collect();
        self.programs.retain(|pid, _| pids.contains(pid));
        let known = &self.programs;
        self.streams.retain(|_, stream| known.contains_key(&stream.program));
        for pid in pids {
            self.programs.entry(pid).or_default();
        }
    }

    fn set_streams(&mut self, program: u16, table: &[u8]) {
        let mut before = std::mem::take(&mut self.streams);
        let given = section::streams(table).take(MAX_STREAMS);
        for (pid, content) in given.filter_map(|(kind, pid)| Some((pid, Content::of(kind)?))) {
            // What is known of one that goes on is kept: maps are repeated in the middle of pictures.
            let kept = before.remove(&pid).map(|stream| stream.content);
            let content = kept.filter(|kept| kept.is_like(&content)).unwrap_or(content);
            self.streams.insert(pid, Stream { program, content });
        }
        let others = before.into_iter().filter(|(_, stream)| stream.program != program);
        for (pid, stream) in others.take(MAX_PROGRAMS * MAX_STREAMS - self.streams.len()) {
            self.streams.entry(pid).or_insert(stream);
        }
    }
}

impl Content {
    /// By its stream type (ISO/IEC 13818-1, table 2-34; 0x81 and 0x87 are ATSC's AC-3 and E-AC-3).
    fn of(kind: u8) -> Option<Self> {
        match kind {
            0x1b => Some(Self::Units(Units::new(Codec::H264))),
            0x24 => Some(Self::Units(Units::new(Codec::H265))),
            0x01 | 0x02 | 0x10 | 0x21 | 0x33 => Some(Self::Pictures(false)),
            0x03 | 0x04 | 0x0f | 0x11 | 0x1c | 0x81 | 0x87 => Some(Self::Audio),
            _ => None,
        }
    }

    fn is_like(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Units(a), Self::Units(b)) => a.codec() == b.codec(),
            _ => std::mem::discriminant(self) == std::mem::discriminant(other),
        }
    }
}

/// The packets of a payload that has whole ones.
fn packets(payload: &[u8]) -> impl Iterator<Item = Packet<'_>> {
    let size = if payload.len().is_multiple_of(PACKET) { PACKET } else { PACKET_WITH_FEC };
    let whole = if payload.len().is_multiple_of(size) { payload } else { &[] };
    whole.chunks_exact(size).filter_map(|packet| Packet::parse(&packet[..PACKET]))
}

impl<'a> Packet<'a> {
    fn parse(packet: &'a [u8]) -> Option<Self> {
        let broken = packet[1] & 0x80 != 0;
        if packet[0] != SYNC || broken {
            return None;
        }
        let (has_field, has_payload) = (packet[3] & 0x20 != 0, packet[3] & 0x10 != 0);
        let field = if has_field { 1 + usize::from(packet[4]) } else { 0 };
        let payload = packet.get(4 + field..).filter(|_| has_payload).unwrap_or_default();
        Some(Self {
            pid: u16::from_be_bytes([packet[1] & 0x1f, packet[2]]),
            starts: packet[1] & 0x40 != 0,
            scrambled: packet[3] & 0xc0 != 0,
            field: packet.get(5..4 + field).unwrap_or_default(),
            payload,
        })
    }

    /// Decoding can start here, it says.
    fn random_access(&self) -> bool {
        self.field.first().is_some_and(|flags| flags & 0x40 != 0)
    }

    /// What it says of its program's clock: 33 bits of a 300th of the rate, and 9 bits of the rate.
    fn clock(&self) -> Option<u64> {
        let &[flags, a, b, c, d, e, f, ..] = self.field else { return None };
        let base = (u64::from(u32::from_be_bytes([a, b, c, d])) << 1) | u64::from(e >> 7);
        let extension = u64::from(u16::from_be_bytes([e & 1, f]));
        (flags & 0x10 != 0).then_some((base * 300 + extension) % CLOCK_PERIOD)
    }
}

const SYNC: u8 = 0x47;
const PACKET: usize = 188;
const PACKET_WITH_FEC: usize = 204;
const PAT_PID: u16 = 0;
/// A contribution has one program; a multiplex rarely more than these.
const MAX_PROGRAMS: usize = 32;
const MAX_STREAMS: usize = 32;

#[cfg(test)]
mod tests;
