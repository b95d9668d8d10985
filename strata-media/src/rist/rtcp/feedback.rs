//! Congestion control feedback (RFC 8888): which packets arrived on one path, and when.
//!
//! ```text
//!  sender SSRC │ per run: SSRC, first number, count, 16 bits per packet │ time of the report
//!                                                    R ECN offset
//! ```
//!
//! A path of a bond carries some of the numbers only, so a source may have several runs in one report.

use bytes::BufMut;

use super::{TRANSPORT_FEEDBACK, Writer};

/// Format of transport layer feedback (RFC 8888, 3.1).
pub(super) const FORMAT: u8 = 11;
/// Longest offset that can be told; what arrived earlier is told as this (RFC 8888, 3.1: 0x1FFE).
pub const MAX_OFFSET: u16 = 0x1ffe;
/// No time is known (0x1FFF).
const NO_OFFSET: u16 = 0x1fff;
/// The packet was received.
const RECEIVED: u16 = 0x8000;
/// Bytes of a run without its packets.
const RUN_HEADER: usize = 8;
/// A run is not cut for fewer packets than that.
const WORTHWHILE: usize = 16;

/// Packets that follow each other in number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Run<'a> {
    /// The source as it is on the wire: repeated packets have their own.
    pub ssrc: u32,
    /// Number of the first packet.
    pub first: u16,
    /// Per packet: how long before the report it arrived, in 1/1024 s; `None` if it did not.
    pub offsets: &'a [Option<u16>],
}

/// The runs of a report, in memory that the next one uses again.
#[derive(Debug, Default)]
pub(in crate::rist) struct Runs {
    heads: Vec<Head>,
    /// Of all runs, one after the other.
    offsets: Vec<Option<u16>>,
}

#[derive(Debug)]
struct Head {
    ssrc: u32,
    first: u16,
    /// Where its offsets begin.
    start: usize,
}

impl Runs {
    /// Leaves none.
    pub(in crate::rist) fn clear(&mut self) {
        self.heads.clear();
        self.offsets.clear();
    }

    /// Whether there is none.
    pub(in crate::rist) fn is_empty(&self) -> bool {
        self.heads.is_empty()
    }

    /// Begins a run with a packet.
    pub(in crate::rist) fn begin(&mut self, ssrc: u32, first: u16, offset: u16) {
        self.heads.push(Head { ssrc, first, start: self.offsets.len() });
        self.offsets.push(Some(offset));
    }

    /// Adds a packet to the last run, and those before it, so many, which did not arrive.
    pub(in crate::rist) fn extend(&mut self, gap: u16, offset: u16) {
        self.offsets.extend(std::iter::repeat_n(None, usize::from(gap)));
        self.offsets.push(Some(offset));
    }

    /// SSRC of the last run, and the number that follows it.
    pub(in crate::rist) fn last(&self) -> Option<(u32, u16)> {
        let head = self.heads.last()?;
        Some((head.ssrc, head.first.wrapping_add((self.offsets.len() - head.start) as u16)))
    }

    fn len_of(&self, run: usize) -> usize {
        self.heads.get(run + 1).map_or(self.offsets.len(), |next| next.start) - self.heads[run].start
    }

    /// Parts that have up to `room` bytes each on the wire, which is at least one run of two packets.
    pub(in crate::rist) fn parts(&self, room: usize) -> impl Iterator<Item = Part<'_>> {
        let mut from = Place::default();
        std::iter::from_fn(move || {
            let to = self.cut(from, room.max(RUN_HEADER + 4));
            let part = Part { runs: self, from, to };
            from = to;
            (part.from != part.to).then_some(part)
        })
    }

    /// Where a part ends that begins here.
    fn cut(&self, from: Place, room: usize) -> Place {
        let (mut to, mut left) = (from, room);
        while to.run < self.heads.len() {
            let len = RUN_HEADER + (self.len_of(to.run) - to.packet).next_multiple_of(2) * 2;
            if len > left {
                let count = left.saturating_sub(RUN_HEADER) / 4 * 2;
                // A few packets are not worth the header of another run.
                if count >= WORTHWHILE || to == from {
                    to.packet += count;
                }
                break;
            }
            left -= len;
            to = Place { run: to.run + 1, packet: 0 };
        }
        to
    }
}

/// A packet of a run.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Place {
    run: usize,
    packet: usize,
}

/// Runs that go in one datagram; the first and the last may be cut.
#[derive(Debug, Clone, Copy)]
pub(in crate::rist) struct Part<'a> {
    runs: &'a Runs,
    from: Place,
    to: Place,
}

impl<'a> Part<'a> {
    pub(in crate::rist) fn runs(self) -> impl Iterator<Item = Run<'a>> + Clone {
        let Self { runs, from, to } = self;
        let last = if to.packet > 0 { to.run + 1 } else { to.run };
        (from.run..last).map(move |run| {
            let &Head { ssrc, first, start } = &runs.heads[run];
            let begin = if run == from.run { from.packet } else { 0 };
            let end = if run == to.run { to.packet } else { runs.len_of(run) };
            Run {
                ssrc,
                first: first.wrapping_add(begin as u16),
                offsets: &runs.offsets[start + begin..start + end],
            }
        })
    }
}

/// A packet that arrived.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Arrival {
    /// The source as it is on the wire.
    pub ssrc: u32,
    /// Its number.
    pub sequence: u16,
    /// How long before the report it arrived, in 1/1024 s.
    pub offset: u16,
}

/// The arrivals that a report tells; packets whose time is not known are left out.
#[derive(Debug, Clone)]
pub struct Arrivals<'a> {
    runs: &'a [u8],
    metrics: &'a [u8],
    ssrc: u32,
    sequence: u16,
}

impl<'a> Arrivals<'a> {
    /// Checks that whole runs fill `runs`; the error is how many bytes there should have been.
    pub(super) fn new(runs: &'a [u8]) -> Result<Self, usize> {
        let (mut rest, mut at) = (runs, 0);
        while !rest.is_empty() {
            let (_, _, len) = run_header(rest).ok_or(at + RUN_HEADER)?;
            let len = RUN_HEADER + len.next_multiple_of(4);
            rest = rest.get(len..).ok_or(at + len)?;
            at += len;
        }
        Ok(Self { runs, metrics: &[], ssrc: 0, sequence: 0 })
    }
}

/// SSRC, first number, and bytes of metrics without padding.
fn run_header(runs: &[u8]) -> Option<(u32, u16, usize)> {
    let (&[s0, s1, s2, s3, b0, b1, n0, n1], _) = runs.split_first_chunk::<RUN_HEADER>()?;
    let count = usize::from(u16::from_be_bytes([n0, n1]));
    Some((u32::from_be_bytes([s0, s1, s2, s3]), u16::from_be_bytes([b0, b1]), count * 2))
}

impl Iterator for Arrivals<'_> {
    type Item = Arrival;

    fn next(&mut self) -> Option<Arrival> {
        loop {
            let Some((&[m0, m1], rest)) = self.metrics.split_first_chunk::<2>() else {
                let (ssrc, first, len) = run_header(self.runs)?;
                (self.ssrc, self.sequence) = (ssrc, first);
                self.metrics = self.runs.get(RUN_HEADER..RUN_HEADER + len)?;
                self.runs = self.runs.get(RUN_HEADER + len.next_multiple_of(4)..)?;
                continue;
            };
            self.metrics = rest;
            let (metric, sequence) = (u16::from_be_bytes([m0, m1]), self.sequence);
            self.sequence = sequence.wrapping_add(1);
            let offset = metric & NO_OFFSET;
            if metric & RECEIVED != 0 && offset != NO_OFFSET {
                return Some(Arrival { ssrc: self.ssrc, sequence, offset });
            }
        }
    }
}

impl Writer {
    /// Bytes of [`Writer::congestion_feedback`] without its runs.
    pub const FEEDBACK_LEN: usize = 12;

    /// Which packets arrived until `timestamp`, the receiver's time in 1/65536 s (RFC 8888, 3.1). ECN is not told.
    pub fn congestion_feedback<'a>(
        &mut self,
        sender_ssrc: u32,
        runs: impl IntoIterator<Item = Run<'a>, IntoIter: Clone>,
        timestamp: u32,
    ) {
        let runs = runs.into_iter();
        let words = runs.clone().map(|run| 2 + run.offsets.len().div_ceil(2)).sum::<usize>();
        self.header(FORMAT, TRANSPORT_FEEDBACK, (2 + words) as u16);
        self.words([sender_ssrc]);
        for run in runs {
            self.words([run.ssrc, (u32::from(run.first) << 16) | run.offsets.len() as u32]);
            for offset in run.offsets {
                self.out.put_u16(offset.map_or(0, |offset| RECEIVED | offset.min(MAX_OFFSET)));
            }
            if run.offsets.len() % 2 == 1 {
                self.out.put_u16(0);
            }
        }
        self.words([timestamp]);
    }
}
