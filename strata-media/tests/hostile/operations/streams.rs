//! Many streams at one place, under any sequence of operations: packets of any source from any host, reports, farewells, raw datagrams,
//! time. There are never more than there is room for, each is told of before it gives packets and once when it is over, and each
//! gives its packets in order.

use std::collections::{HashMap, HashSet};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use bytes::Bytes;
use strata_media::rist::ReceiverConfig;
use strata_media::rist::receiver::Input;
use strata_media::rist::rtcp::Writer;
use strata_media::rist::rtp::Header;
use strata_media::rist::streams::{Output, Streams};

use super::Bytecode;

/// Room for so many.
const MOST: usize = 4;

/// Runs the operations that `data` stands for.
pub fn run(start: Instant, data: &[u8]) {
    let mut code = Bytecode(data);
    let mut now = start;
    let mut config = ReceiverConfig::new(2, 1);
    config.latency = Duration::from_millis(200);
    let mut streams = Streams::new(now, config, MOST);
    let mut numbers = HashMap::<u32, u16>::new();
    // Streams there are, of all that were told of, with the last packet of each, and how often another did not follow.
    let (mut open, mut told) = (HashMap::<u64, (Option<u64>, u64)>::new(), HashSet::new());
    while !code.0.is_empty() {
        let op = code.byte();
        let link = usize::from(op >> 7);
        let from = SocketAddr::from(([10, 0, 0, op >> 4 & 3], 6000));
        match op % 8 {
            0 => now += Duration::from_millis(code.byte().into()),
            1 => now += Duration::from_millis(u64::from(code.byte()) * 50),
            2 => {
                let len = usize::from(code.byte() % 32);
                streams.handle_input(now, Input::Rtcp { link, from, data: code.take(len) });
            }
            3 => {
                let len = usize::from(code.byte() % 32);
                let data = Bytes::copy_from_slice(code.take(len));
                streams.handle_input(now, Input::Rtp { link, from, data });
            }
            4 => {
                let ssrc = u32::from(code.byte() % 16);
                let mut writer = Writer::new();
                writer.sender_report(ssrc, 1 << 40, 0, 1, 1);
                writer.source_description(ssrc, "fuzz");
                if op & 8 != 0 {
                    writer.bye(ssrc);
                }
                streams.handle_input(now, Input::Rtcp { link, from, data: &writer.finish() });
            }
            5 => streams.handle_input(now, Input::KeyframeWanted),
            kind => {
                let byte = code.byte();
                let ssrc = u32::from(byte % 16);
                let number = numbers.entry(ssrc >> 1).or_default();
                // The next one, or one further on.
                *number = number.wrapping_add(if kind == 6 { 1 } else { u16::from(byte >> 4) * 300 });
                let (sequence, timestamp) = (*number, u32::from(*number) * 900);
                let header = Header { marker: false, payload_type: 33, sequence, timestamp, ssrc };
                let data = Bytes::from(header.encode().to_vec());
                streams.handle_input(now, Input::Rtp { link, from, data });
            }
        }
        for round in 0.. {
            assert!(round < 200_000, "does not come to an end");
            match streams.poll_output() {
                Output::Timeout(at) if at <= now => streams.handle_input(now, Input::Timeout),
                Output::Timeout(_) => break,
                Output::Opened { stream, .. } => {
                    assert!(told.insert(stream), "{stream} again");
                    open.insert(stream, (None, 0));
                }
                Output::Closed { stream } => {
                    assert!(open.remove(&stream).is_some(), "{stream} was not there")
                }
                Output::Packet { stream, packet } => {
                    let (last, breaks) = open.get_mut(&stream).expect("a stream that was told of");
                    let follows = last.is_none_or(|last| last + 1 + packet.lost_before == packet.sequence);
                    *breaks += u64::from(!follows);
                    // It may have begun anew after a packet that is only put out now.
                    let restarts = streams.stats(now, stream).map(|stats| stats.restarts);
                    assert!(restarts.is_none_or(|restarts| *breaks <= restarts), "{last:?} {packet:?}");
                    *last = Some(packet.sequence);
                }
                _ => {}
            }
        }
        assert!(open.len() <= MOST, "{} streams", open.len());
    }
}
