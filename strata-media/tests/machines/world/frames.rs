//! A source of pictures, as a live encoder is one: the payloads of a picture come at once, and a keyframe is many times as
//! large as the others.

use std::time::Duration;

use super::PAYLOAD;

/// Time between two pictures: 30 in a second.
pub(crate) const PERIOD: Duration = Duration::from_nanos(33_333_333);
/// Pictures from keyframe to keyframe: 2 s.
pub(crate) const GROUP: u64 = 60;

const PACKET: usize = 188;
/// Of a payload, but for the last two: a null packet, and one of which nothing is known, whose end is the payload's number.
const PACKETS: usize = PAYLOAD / PACKET - 2;
const PMT: u16 = 0x100;
const VIDEO: u16 = 0x101;
const UNKNOWN: u16 = 0x1ffe;
const NULL: u16 = 0x1fff;

/// Sizes of pictures, in payloads.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Frames {
    pub(crate) keyframe: u64,
    pub(crate) other: u64,
}

impl Frames {
    /// A stream of about `bps` whose keyframes have so many bytes.
    pub(crate) fn new(bps: u64, keyframe: u64) -> Self {
        let payloads = |bytes: u64| bytes.div_ceil(PAYLOAD as u64);
        let group = bps / 8 * GROUP / 30;
        Self { keyframe: payloads(keyframe), other: payloads((group - keyframe) / (GROUP - 1)) }
    }

    /// One whose keyframes are so many times as large as the mean picture.
    pub(crate) fn times(bps: u64, times: u64) -> Self {
        Self::new(bps, bps / 8 / 30 * times)
    }

    fn of_group(&self) -> u64 {
        self.keyframe + self.other * (GROUP - 1)
    }

    /// The first payload of the n-th keyframe, from 0.
    pub(crate) fn first_of(&self, group: u64) -> u64 {
        group * self.of_group()
    }

    /// Payloads of the picture that begins with this one.
    pub(crate) fn payloads(&self, number: u64) -> u64 {
        if self.is_critical(number) { self.keyframe } else { self.other }
    }

    /// Whether a payload is of a keyframe.
    pub(crate) fn is_critical(&self, number: u64) -> bool {
        number % self.of_group() < self.keyframe
    }

    /// A payload, but for its last eight bytes.
    pub(crate) fn content(&self, number: u64) -> Vec<u8> {
        let place = number % self.of_group();
        let critical = place < self.keyframe;
        let starts = if critical { place == 0 } else { (place - self.keyframe).is_multiple_of(self.other) };
        let mut payload = if place == 0 { tables().concat() } else { Vec::new() };
        if starts {
            let units: &[u8] =
                if critical { &[0x67, 0x64, 0, 0, 1, 0x68, 0xee, 0, 0, 1, 0x65] } else { &[0x41] };
            payload.extend(packet(
                VIDEO,
                true,
                &[&[0, 0, 1, 0xe0, 0, 0, 0x80, 0, 0, 0, 0, 1], units].concat(),
            ));
        }
        while payload.len() < PACKETS * PACKET {
            payload.extend(packet(VIDEO, false, &[]));
        }
        payload.extend(packet(NULL, false, &[]));
        payload.extend(packet(UNKNOWN, false, &[]));
        payload
    }
}

/// A packet of `pid`, in which something may begin.
pub(crate) fn packet(pid: u16, starts: bool, content: &[u8]) -> [u8; PACKET] {
    let mut packet = [0xff; PACKET];
    let [high, low] = pid.to_be_bytes();
    packet[..4].copy_from_slice(&[0x47, high | u8::from(starts) << 6, low, 0x10]);
    packet[4..4 + content.len()].copy_from_slice(content);
    packet
}

/// PAT and PMT of a programme of H.264 ([`VIDEO`]) and AAC, the next PID.
pub(crate) fn tables() -> [[u8; PACKET]; 2] {
    let pat = packet(0, true, &[0, 0, 0xb0, 13, 0, 1, 0xc1, 0, 0, 0, 1, 0xe1, 0x00, 0, 0, 0, 0]);
    let streams = [0x1b, 0xe1, 0x01, 0xf0, 0, 0x0f, 0xe1, 0x02, 0xf0, 0];
    let map = [&[0, 2, 0xb0, 23, 0, 1, 0xc1, 0, 0, 0xe1, 0x01, 0xf0, 0][..], &streams, &[0; 4]].concat();
    [pat, packet(PMT, true, &map)]
}
