//! Congestion control feedback (RFC 8888): which packets arrived on one path, and when.
//!
//! ```text
//!  sender SSRC │ per run: SSRC, first number, count, 16 bits per packet │ time of the report
//!                                                    R ECN offset
//! ```
//!
//! A path of a bond carries some of the numbers only, so a source may have several runs in one report.

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
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Run {
    /// The source as it is on the wire: repeated packets have their own.
    pub ssrc: u32,
    /// Number of the first packet.
    pub first: u16,
    /// Per packet: how long before the report it arrived, in 1/1024 s; `None` if it did not.
    pub offsets: Vec<Option<u16>>,
}

impl Run {
    /// Bytes on the wire.
    fn len(&self) -> usize {
        RUN_HEADER + self.offsets.len().next_multiple_of(2) * 2
    }

    /// Cuts off what comes after `count` packets.
    fn split_off(&mut self, count: usize) -> Self {
        let first = self.first.wrapping_add(count as u16);
        Self { ssrc: self.ssrc, first, offsets: self.offsets.split_off(count) }
    }
}

/// Parts of `runs`, in order, that have up to `room` bytes each, which is at least one run of two packets.
pub(in crate::rist) fn parts(runs: Vec<Run>, room: usize) -> Vec<Vec<Run>> {
    let room = room.max(RUN_HEADER + 4);
    let (mut parts, mut part, mut left) = (Vec::new(), Vec::new(), room);
    for mut run in runs {
        while run.len() > left {
            let count = left.saturating_sub(RUN_HEADER) / 4 * 2;
            // A few packets are not worth the header of another run.
            if count >= WORTHWHILE || part.is_empty() {
                let rest = run.split_off(count);
                part.push(std::mem::replace(&mut run, rest));
            }
            parts.push(std::mem::take(&mut part));
            left = room;
        }
        left -= run.len();
        part.push(run);
    }
    parts.extend((!part.is_empty()).then_some(part));
    parts
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
    pub fn congestion_feedback(&mut self, sender_ssrc: u32, runs: &[Run], timestamp: u32) {
        let words = |run: &Run| 2 + run.offsets.len().div_ceil(2);
        self.header(FORMAT, TRANSPORT_FEEDBACK, (2 + runs.iter().map(words).sum::<usize>()) as u16);
        self.words([sender_ssrc]);
        for run in runs {
            self.words([run.ssrc, (u32::from(run.first) << 16) | run.offsets.len() as u32]);
            let metric = |offset: &Option<u16>| offset.map_or(0, |offset| RECEIVED | offset.min(MAX_OFFSET));
            self.out.extend(run.offsets.iter().flat_map(|offset| metric(offset).to_be_bytes()));
            if run.offsets.len() % 2 == 1 {
                self.out.extend([0, 0]);
            }
        }
        self.words([timestamp]);
    }
}
