//! A link that waits to be called, under any sequence of operations: receivers that call and answer or do not, from any address, with the
//! right and a wrong key, changed and repeated datagrams, media, time. Media goes only to an address that has answered what it was
//! asked, and what is said to others is bounded.

use std::collections::HashSet;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use bytes::BytesMut;
use strata_media::rist::rtcp::{Compound, Packet, Writer};
use strata_media::rist::rtp::Header;
use strata_media::rist::tunnel::{Host, HostInput, HostOutput, Input, Output, Session};

use super::{Bytecode, callers};

/// The time stamp of the echo request that a client is sent, if it is one.
fn asked(client: &mut Session, now: Instant, data: &[u8]) -> Option<u64> {
    client.handle_input(now, Input::Datagram(BytesMut::from(data)));
    let mut stamp = None;
    loop {
        match client.poll_output() {
            Output::Timeout(_) => return stamp,
            Output::Rtcp(data) => {
                let packets = Compound::parse(&data).expect("it is RTCP");
                for packet in packets.flatten() {
                    if let Packet::EchoRequest { timestamp, .. } = packet {
                        stamp = Some(timestamp);
                    }
                }
            }
            _ => {}
        }
    }
}

/// Runs the operations that `data` stands for.
pub fn run(start: Instant, data: &[u8]) {
    let (mut now, mut code) = (start, Bytecode(data));
    let (own, mut clients) = callers(now, code.byte());
    let mut host = Host::new(now, own, 4, 1);
    let header = Header { marker: false, payload_type: 33, sequence: 1, timestamp: 1, ssrc: 4 }.encode();
    let (mut datagram, mut media) = (Vec::new(), Vec::new());
    // Who was asked last; whose answer the datagram is; and who has sent its own: only these may be called.
    let mut question: Option<(SocketAddr, u64)> = None;
    let mut answers = None;
    let mut answered = HashSet::new();
    let (mut inputs, mut said) = (0u32, 0u32);
    while let &[op, value] = code.take(2) {
        let mut from = SocketAddr::from(([10, 0, 0, op >> 3], 6000 + u16::from(value >> 6)));
        let mut writer = Writer::new();
        match op % 8 {
            0 => now += Duration::from_millis(value.into()),
            1 => now += Duration::from_millis(u64::from(value) * 50),
            2 => (datagram, answers) = (code.take(value.into()).to_vec(), None),
            3 => {
                answers = None;
                writer.receiver_report(2, None);
                writer.source_description(2, "fuzz");
                clients[usize::from(value & 1)].rtcp(&writer.finish(), &mut datagram);
            }
            // Who was asked answers, or another one in its place.
            4 => {
                let Some((to, stamp)) = question else { continue };
                if value & 2 == 0 {
                    from = to;
                }
                answers = Some(to);
                writer.receiver_report(2, None);
                writer.echo_response(2, stamp, 0, &[]);
                clients[0].rtcp(&writer.finish(), &mut datagram);
            }
            5 => {
                if let Some(byte) = datagram.get_mut(usize::from(value)) {
                    *byte ^= 1 << (op >> 5);
                }
            }
            6 => datagram.truncate(value.into()),
            _ => {
                let to = host.rtp(&header, 0, &[0x47; 188], &mut media);
                assert!(to.is_none_or(|to| answered.contains(&to)), "media to {to:?}");
                continue;
            }
        }
        inputs += 1;
        if answers == Some(from) {
            answered.insert(from);
        }
        host.handle_input(now, HostInput::Datagram { from, data: BytesMut::from(&datagram[..]) });
        host.handle_input(now, HostInput::Timeout);
        for round in 0.. {
            assert!(round < 10_000, "does not come to an end");
            match host.poll_output() {
                HostOutput::Timeout(_) => break,
                HostOutput::Called(addr) => assert!(answered.contains(&addr), "called by {addr}"),
                HostOutput::Transmit { to, data } => {
                    said += 1;
                    if let Some(stamp) = asked(&mut clients[0], now, &data) {
                        question = Some((to, stamp));
                    }
                }
                _ => {}
            }
        }
    }
    let lasted = now.saturating_duration_since(start).as_secs() as u32;
    // A question or some words to each datagram, and a keep-alive message per tunnel and five seconds.
    assert!(said <= inputs * 4 + 32 * (lasted / 5 + 1), "{said} to {inputs} in {lasted} s");
}
