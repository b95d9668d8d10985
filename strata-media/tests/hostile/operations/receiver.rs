//! A receiver under any sequence of operations: raw datagrams, valid packets with any header, reports, time.
//! Output is in order, and what it keeps and sends is bounded.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use bytes::Bytes;
use strata_media::fec::repair_ssrc;
use strata_media::rist::receiver::{Input, Output};
use strata_media::rist::rtcp::Writer;
use strata_media::rist::rtp::Header;
use strata_media::rist::{Receiver, ReceiverConfig};

use super::Bytecode;

/// Runs the operations that `data` stands for.
pub fn run(start: Instant, data: &[u8]) {
    let mut code = Bytecode(data);
    let mut now = start;
    let mut receiver = Receiver::new(start, ReceiverConfig::new(2, 1));
    let (mut last, mut restarts) = (None, 0);
    let (mut seq, mut stamp, mut last_seq) = (0u16, 0u32, 0u16);
    while !code.0.is_empty() {
        let op = code.byte();
        let link = usize::from(op >> 7);
        let from = SocketAddr::from(([10, 0, 0, op >> 3], 6000));
        match op % 8 {
            0 => now += Duration::from_millis(code.byte().into()),
            1 => now += Duration::from_millis(u64::from(code.byte()) * 50),
            2 => {
                let len = code.byte().into();
                receiver.handle_input(now, Input::Rtcp { link, from, data: code.take(len) });
            }
            3 => {
                let len = code.byte().into();
                let data = Bytes::copy_from_slice(code.take(len));
                receiver.handle_input(now, Input::Rtp { link, from, data });
            }
            4 => {
                let mut writer = Writer::new();
                writer.sender_report(4, 1 << 40, stamp, 1, 1);
                writer.source_description(4, "fuzz");
                if op & 64 != 0 {
                    writer.capabilities(4, code.byte().into());
                }
                writer.echo_request(4, code.word().into());
                receiver.handle_input(now, Input::Rtcp { link, from, data: &writer.finish() });
            }
            kind => {
                match kind {
                    5 => (seq, stamp) = (seq.wrapping_add(1), stamp.wrapping_add(900)),
                    6 => seq = seq.wrapping_add_signed(code.byte() as i8 as i16 * 50),
                    _ => (seq, stamp) = (code.word() as u16, code.word()),
                }
                let ssrc = 4 | u32::from(op >> 6 & 1) | u32::from(op >> 5 & 1) << 8;
                // Repair packets of the stream, or of another.
                let repair = op & 16 != 0 && kind == 7;
                let (payload_type, ssrc) = if repair { (126, repair_ssrc(ssrc)) } else { (33, ssrc) };
                let header = Header { marker: false, payload_type, sequence: seq, timestamp: stamp, ssrc };
                let mut data = header.encode().to_vec();
                if repair {
                    data.extend([1, 1 + code.byte() % 8, 1 + code.byte() % 4, code.byte() % 4, 0, 0]);
                    data.extend(last_seq.to_be_bytes());
                    data.extend(code.take(24));
                } else {
                    last_seq = seq;
                }
                let data = Bytes::from(data);
                receiver.handle_input(now, Input::Rtp { link, from, data });
            }
        }
        for round in 0.. {
            assert!(round < 200_000, "does not come to an end");
            match receiver.poll_output() {
                Output::Timeout(at) if at <= now => receiver.handle_input(now, Input::Timeout),
                Output::Timeout(_) => break,
                Output::Packet(packet) => {
                    let stats = receiver.stats(now);
                    if stats.restarts != restarts {
                        (restarts, last) = (stats.restarts, None);
                    }
                    assert!(last.is_none_or(|last| last + 1 + packet.lost_before == packet.sequence));
                    last = Some(packet.sequence);
                }
                _ => {}
            }
        }
        assert!(receiver.stats(now).buffered_packets <= 1 << 17);
    }
}
