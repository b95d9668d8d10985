//! Who calls, under any sequence of operations: what its server answers, what somebody with another key says, changed and repeated
//! datagrams, time. Who has another key is never heard, and what is said is bounded by what came and by time.

use std::time::{Duration, Instant};

use bytes::BytesMut;
use strata_media::rist::rtcp::Writer;
use strata_media::rist::rtp::Header;
use strata_media::rist::tunnel::{Client, ClientOutput, Input, Session};

use super::{Bytecode, callers};

/// Runs the operations that `data` stands for.
pub fn run(start: Instant, data: &[u8]) {
    let (mut now, mut code) = (start, Bytecode(data));
    let (own, mut servers) = callers(now, code.byte());
    let mut client = Client::new(now, own, 1);
    let (mut datagram, mut said, mut inputs) = (Vec::new(), 0u32, 0u32);
    // Whether the datagram is the other key's, but for what was cut off; and whether the peer has left.
    let (mut foreign, mut gone) = (false, false);
    while let &[op, value] = code.take(2) {
        let server = &mut servers[usize::from(value & 1)];
        match op % 8 {
            0 => now += Duration::from_millis(value.into()),
            1 => now += Duration::from_millis(u64::from(value) * 50),
            2 => (datagram, foreign) = (code.take(value.into()).to_vec(), false),
            3 => {
                foreign = value & 1 == 1;
                let header =
                    Header { marker: false, payload_type: 33, sequence: value.into(), timestamp: 1, ssrc: 4 };
                server.rtp(&header.encode(), 0, &[0x47; 188], &mut datagram);
            }
            4 => {
                foreign = value & 1 == 1;
                let mut writer = Writer::new();
                writer.receiver_report(4, None);
                server.rtcp(&writer.finish(), &mut datagram);
            }
            5 => {
                foreign = false;
                if let Some(byte) = datagram.get_mut(usize::from(value)) {
                    *byte ^= 1 << (op >> 5);
                }
            }
            // A greeting or a farewell.
            6 => {
                if value & 2 != 0 {
                    server.handle_input(now, Input::Close);
                }
                while let Some(message) = spoken(server) {
                    (datagram, foreign) = (message, value & 1 == 1);
                }
                if value & 4 != 0 {
                    datagram.truncate(usize::from(value) >> 3);
                }
            }
            _ => client.greet(now),
        }
        inputs += 1;
        for input in [Input::Datagram(BytesMut::from(&datagram[..])), Input::Timeout] {
            let from_peer = matches!(input, Input::Datagram(_));
            client.handle_input(now, input);
            for round in 0.. {
                assert!(round < 1000, "does not come to an end");
                match client.poll_output() {
                    ClientOutput::Timeout(_) => break,
                    ClientOutput::Transmit(_) => said += 1,
                    ClientOutput::Left => {
                        assert!(from_peer && !gone && !foreign, "left twice, or by nobody");
                        gone = true;
                    }
                    ClientOutput::Back => {
                        assert!(gone, "back without having left");
                        gone = false;
                    }
                    output => assert!(from_peer && !foreign && !gone, "{output:?} of nobody"),
                }
            }
        }
    }
    let lasted = now.saturating_duration_since(start).as_secs() as u32;
    // A session's greetings to each datagram, and a keep-alive message every five seconds.
    assert!(said <= 4 + inputs * 8 + lasted / 5, "{said} to {inputs} in {lasted} s");
}

/// What a peer has to say on its own.
fn spoken(peer: &mut Session) -> Option<Vec<u8>> {
    loop {
        match peer.poll_output() {
            strata_media::rist::tunnel::Output::Transmit(data) => return Some(data),
            strata_media::rist::tunnel::Output::Timeout(_) => return None,
            _ => {}
        }
    }
}
