//! A receiver under any sequence of operations: raw datagrams, valid packets with any header, reports, time.
//! Output is in order, and what it keeps and sends is bounded.
#![no_main]

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use bytes::Bytes;
use libfuzzer_sys::fuzz_target;
use strata_media::rist::receiver::{Input, Output};
use strata_media::rist::rtcp::Writer;
use strata_media::rist::rtp::Header;
use strata_media::rist::{Receiver, ReceiverConfig};

struct Bytecode<'a>(&'a [u8]);

impl<'a> Bytecode<'a> {
    fn take(&mut self, len: usize) -> &'a [u8] {
        let (head, tail) = self.0.split_at(len.min(self.0.len()));
        self.0 = tail;
        head
    }

    fn byte(&mut self) -> u8 {
        self.take(1).first().copied().unwrap_or(0)
    }

    fn word(&mut self) -> u32 {
        (0..4).fold(0, |word, _| word << 8 | u32::from(self.byte()))
    }
}

fuzz_target!(|data: &[u8]| {
    let mut code = Bytecode(data);
    let start = Instant::now();
    let mut now = start;
    let mut receiver = Receiver::new(start, ReceiverConfig::new(2, 1));
    let (mut last, mut restarts) = (None, 0);
    let (mut seq, mut stamp) = (0u16, 0u32);
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
                let header = Header { marker: false, payload_type: 33, sequence: seq, timestamp: stamp, ssrc };
                let data = Bytes::copy_from_slice(&header.encode());
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
});
