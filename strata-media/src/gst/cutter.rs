//! Buffers of any size, cut into payloads: whole packets of a transport stream, at most seven.

use bytes::{Buf as _, Bytes, BytesMut};

/// Of a transport stream (ISO/IEC 13818-1, 2.4.3).
const PACKET: usize = 188;
const SYNC: u8 = 0x47;
/// Seven packets, what fits into one RTP packet (SMPTE 2022-2).
pub(super) const PAYLOAD: usize = 7 * PACKET;

/// Cuts a stream. What comes with one buffer leaves with it, but for a packet that the buffer ends in.
#[derive(Debug, Default)]
pub(super) struct Cutter {
    /// The begin of a packet.
    rest: BytesMut,
    /// Bytes that were no part of a packet.
    skipped: u64,
}

impl Cutter {
    /// The payloads of the next bytes. They share its memory.
    pub(super) fn cut(&mut self, data: Bytes) -> Vec<Bytes> {
        let mut data = if self.rest.is_empty() {
            data
        } else {
            self.rest.extend_from_slice(&data);
            self.rest.split().freeze()
        };
        let mut payloads = Vec::with_capacity(data.len().div_ceil(PAYLOAD));
        while data.len() >= PACKET {
            if data[0] != SYNC {
                let garbage = begin(&data);
                data.advance(garbage);
                self.skipped += garbage as u64;
                continue;
            }
            let whole =
                data.chunks_exact(PACKET).take(PAYLOAD / PACKET).take_while(|packet| packet[0] == SYNC);
            let len = whole.count() * PACKET;
            payloads.push(data.split_to(len));
        }
        self.rest.extend_from_slice(&data);
        payloads
    }

    /// Forgets a packet that will not be complete.
    pub(super) fn reset(&mut self) {
        self.skipped += self.rest.len() as u64;
        self.rest.clear();
    }

    /// How many bytes were no part of a packet, since this was last asked.
    pub(super) fn skipped(&mut self) -> u64 {
        std::mem::take(&mut self.skipped)
    }
}

/// Where the first packet begins that another one follows, as far as can be seen.
fn begin(data: &[u8]) -> usize {
    let is_begin = |&at: &usize| data[at] == SYNC && data.get(at + PACKET).is_none_or(|next| *next == SYNC);
    (1..data.len()).find(is_begin).unwrap_or(data.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn packets(count: u8) -> Vec<u8> {
        (0..count).flat_map(|n| [vec![SYNC], vec![n; PACKET - 1]].concat()).collect()
    }

    fn lens(payloads: &[Bytes]) -> Vec<usize> {
        payloads.iter().map(|payload| payload.len() / PACKET).collect()
    }

    #[test]
    fn what_comes_with_a_buffer_leaves_with_it() {
        let mut cutter = Cutter::default();
        let data = packets(16);
        let payloads = cutter.cut(data.clone().into());
        assert_eq!(lens(&payloads), [7, 7, 2]);
        assert_eq!(payloads.concat(), data);
        assert_eq!(lens(&cutter.cut(packets(7).into())), [7]);
        assert_eq!(lens(&cutter.cut(packets(1).into())), [1]);
    }

    #[test]
    fn a_packet_may_lie_in_two_buffers() {
        let mut cutter = Cutter::default();
        let data = packets(44);
        let parts: Vec<_> =
            data.chunks(1000).flat_map(|part| cutter.cut(Bytes::copy_from_slice(part))).collect();
        assert!(parts.iter().all(|payload| payload.len() % PACKET == 0 && payload.len() <= PAYLOAD));
        assert_eq!(parts.concat(), data);
        assert_eq!(cutter.skipped(), 0);
    }

    #[test]
    fn what_is_no_packet_is_left_out_and_counted() {
        let mut cutter = Cutter::default();
        let data = [vec![1, 2, SYNC, 3], packets(3), vec![9; 50], packets(2)].concat();
        assert_eq!(cutter.cut(data.into()).concat(), [packets(3), packets(2)].concat());
        assert_eq!((cutter.skipped(), cutter.skipped()), (54, 0));
        assert_eq!(cutter.cut(vec![7; 1000].into()), Vec::<Bytes>::new());
        assert_eq!(cutter.skipped(), 1000);
        cutter.cut(packets(1)[..100].to_vec().into());
        cutter.reset();
        assert_eq!(cutter.cut(packets(1).into()).concat(), packets(1));
        assert_eq!(cutter.skipped(), 100);
    }
}
