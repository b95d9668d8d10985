//! A listener under any sequence of operations: raw datagrams, those of clients with the right and a wrong key, changed
//! and repeated ones, time. What it keeps and answers is bounded, and who has another key is never heard: nothing it
//! sends, whole or cut off, gives RTP or RTCP, or is answered. What is changed on its way may be heard, as there is no
//! integrity check.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use bytes::BytesMut;
use strata_media::rist::rtcp::Writer;
use strata_media::rist::rtp::Header;
use strata_media::rist::tunnel::{Listener, ListenerInput, ListenerOutput};

use super::{Bytecode, callers};

/// Runs the operations that `data` stands for.
pub fn run(start: Instant, data: &[u8]) {
    let (mut now, mut code) = (start, Bytecode(data));
    let (own, mut clients) = callers(now, code.byte());
    let mut listener = Listener::new(now, own, 32, 1);
    let (mut datagram, mut answers, mut inputs) = (Vec::new(), 0u32, 0u32);
    // Whether the datagram is the other key's, but for what was cut off.
    let mut foreign = false;
    while let &[op, value] = code.take(2) {
        let from = SocketAddr::from(([10, 0, 0, op >> 3], 6000));
        let client = &mut clients[usize::from(value & 1)];
        match op % 8 {
            0 => now += Duration::from_millis(value.into()),
            1 => now += Duration::from_millis(u64::from(value) * 50),
            2 => (datagram, foreign) = (code.take(value.into()).to_vec(), false),
            3 => {
                foreign = value & 1 == 1;
                let header =
                    Header { marker: false, payload_type: 33, sequence: value.into(), timestamp: 1, ssrc: 4 };
                client.rtp(&header.encode(), 0, &[0x47; 188], &mut datagram);
            }
            4 => {
                foreign = value & 1 == 1;
                let mut writer = Writer::new();
                writer.sender_report(4, 1 << 40, 1, 1, 1);
                client.rtcp(&writer.finish(), &mut datagram);
            }
            5 => {
                foreign = false;
                if let Some(byte) = datagram.get_mut(usize::from(value)) {
                    *byte ^= 1 << (op >> 5);
                }
            }
            6 => datagram.truncate(value.into()),
            _ => listener.rtcp(0, from, &[0x80, 201, 0, 1, 0, 0, 0, 1], &mut Vec::new()),
        }
        inputs += 1;
        let data = BytesMut::from(&datagram[..]);
        listener.handle_input(now, ListenerInput::Datagram { link: 0, from, data });
        loop {
            match listener.poll_output() {
                ListenerOutput::Timeout(_) => break,
                output => {
                    assert!(!foreign, "{output:?} for another key");
                    answers += u32::from(matches!(output, ListenerOutput::Transmit { .. }));
                }
            }
        }
        listener.handle_input(now, ListenerInput::Timeout);
        loop {
            match listener.poll_output() {
                ListenerOutput::Timeout(_) => break,
                output => {
                    assert!(
                        matches!(output, ListenerOutput::Transmit { .. }),
                        "{output:?} without a datagram"
                    );
                    answers += 1;
                }
            }
        }
        assert!(listener.peers() <= 32);
        // One to a greeting or a farewell, and one per peer and five seconds.
        assert!(answers <= inputs * 34, "{answers} answers to {inputs} datagrams");
    }
}
