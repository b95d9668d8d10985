//! A bond under any sequence of operations: payloads, raw RTCP, valid requests for anything, links that come and
//! go, time. It never repeats more than it was given, and a bit.

use std::time::{Duration, Instant};

use bytes::Bytes;
use strata_media::bond::sender::{Input, Output};
use strata_media::bond::{BondConfig, BondLink, LinkStats, Sender};
use strata_media::rist::rtcp::{Loss, Run, Writer};

use super::Bytecode;

/// Runs the operations that `data` stands for.
pub fn run(start: Instant, data: &[u8]) {
    let mut code = Bytecode(data);
    let mut now = start;
    let links = (0..1 + code.byte() % 3).map(|id| BondLink { id: id.into(), ..BondLink::default() });
    let mut sender = Sender::new(now, BondConfig::new(links.collect(), 1));
    let count = sender.stats(now).links.len();
    let ssrc = sender.ssrc();
    let payload = Bytes::from_static(&[0x47; 1316]);
    // What came in by RTCP is answered: echoes of the links, with the right time stamps.
    let mut echoes = Vec::new();
    // Copies that are sent unasked: of the first packet, and of the last one before each pause.
    let (mut last_payload, mut unasked) = (now, 6);
    while !code.0.is_empty() {
        let op = code.byte();
        let link = usize::from(op >> 6) % count;
        match op % 8 {
            0 => now += Duration::from_millis(code.byte().into()),
            1 | 2 => {
                if now >= last_payload + Duration::from_millis(100) {
                    unasked += 3;
                }
                last_payload = now;
                sender.handle_input(now, Input::Payload(payload.clone()));
            }
            3 => {
                let len = code.byte().into();
                sender.handle_input(now, Input::Rtcp { link, data: code.take(len) });
            }
            4 => {
                let mut writer = Writer::new();
                writer.receiver_report(9, None);
                let losses = [Loss { first: code.half(), additional: code.half() }; 4];
                writer.range_nack(ssrc, &losses);
                writer.bitmask_nack(9, ssrc | 1, &[(code.half(), code.half())]);
                sender.handle_input(now, Input::Rtcp { link, data: &writer.finish() });
            }
            5 => {
                let mut writer = Writer::new();
                writer.receiver_report(9, None);
                if let Some((link, stamp)) = echoes.pop() {
                    writer.echo_response(9, stamp, 0, &[]);
                    sender.handle_input(now, Input::Rtcp { link, data: &writer.finish() });
                }
            }
            6 if op & 16 != 0 => {
                let mut writer = Writer::new();
                writer.receiver_report(9, None);
                let offsets: Vec<Option<u16>> =
                    code.take(8).iter().map(|&byte| (byte > 9).then_some(byte.into())).collect();
                let runs =
                    [Run { ssrc: ssrc | u32::from(op >> 5 & 1), first: code.half(), offsets: &offsets }];
                writer.congestion_feedback(9, runs, u32::from(code.half()) << 8);
                sender.handle_input(now, Input::Rtcp { link, data: &writer.finish() });
            }
            6 => {
                let error = (op & 8 != 0).then(|| "gone".to_owned());
                sender.handle_input(now, Input::LinkError { link, error });
            }
            _ => sender.handle_input(now, Input::Enable { link, enabled: op & 8 != 0 }),
        }
        for round in 0.. {
            assert!(round < 100_000, "does not come to an end");
            match sender.poll_output() {
                Output::Timeout(at) if at <= now => sender.handle_input(now, Input::Timeout),
                Output::Timeout(_) => break,
                Output::Rtcp { link, data } if echoes.len() < 64 => {
                    // SR, SDES, then the echo request: its time stamp is 12 bytes from its start.
                    let stamp = data.len().checked_sub(12).and_then(|at| data.get(at..at + 8));
                    let stamp = stamp.and_then(|bytes| bytes.try_into().ok()).map(u64::from_be_bytes);
                    echoes.extend(stamp.map(|stamp| (link, stamp)));
                }
                _ => {}
            }
        }
        let stats = sender.stats(now);
        // 64 KiB may be repeated of a stream that has just begun.
        let most = stats.packets + (64 << 10) / payload.len() as u64 + unasked;
        assert!(stats.retransmitted <= most, "{stats:?}");
        // No link carries a packet twice that was not repeated.
        let first = |link: &LinkStats| link.sent_packets - link.retransmitted;
        assert!(stats.links.iter().all(|link| first(link) <= stats.packets), "{stats:?}");
        assert!(stats.pending <= 4096);
    }
}
