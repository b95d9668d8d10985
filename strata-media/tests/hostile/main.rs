//! Peers and strangers that break the rules: nothing panics, nothing is sent to who did not ask properly, and work
//! and memory stay bounded. What is refused is counted.
#![expect(unsafe_code, reason = "an allocator that counts is one")]
#![expect(clippy::unwrap_used, reason = "what cannot be made here fails the test where it stands")]

mod any;
mod crowds;
mod feedback;
mod floods;
mod memory;
mod operations;
mod remnants;
mod reports;
mod strays;
mod tunnels;

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use bytes::Bytes;
use strata_media::bond::sender::{Input as SendInput, Output as SendOutput};
use strata_media::bond::{BondConfig, BondLink, Sender};
use strata_media::rist::receiver::{Input, Output};
use strata_media::rist::rtcp::{self, Compound, Loss, TAKES_FEEDBACK, Writer};
use strata_media::rist::rtp::Header;
use strata_media::rist::{Receiver, ReceiverConfig};

use memory::held;

const MS: Duration = Duration::from_millis(1);
const SSRC: u32 = 0x1000;

#[expect(clippy::disallowed_methods, reason = "virtual time starts anywhere")]
fn start() -> Instant {
    Instant::now()
}

fn peer(host: u8) -> SocketAddr {
    SocketAddr::from(([10, 0, 0, host], 6001))
}

/// Media packets and RTCP datagrams the sender wants to send.
fn sent(sender: &mut Sender) -> (usize, usize) {
    let mut sent = (0, 0);
    loop {
        match sender.poll_output() {
            SendOutput::Rtp { .. } => sent.0 += 1,
            SendOutput::Rtcp { .. } => sent.1 += 1,
            _ => return sent,
        }
    }
}

/// A sender that has sent `packets`, one per millisecond, and the time.
fn sending(packets: u32) -> (Sender, Instant) {
    let mut now = start();
    let mut sender = Sender::new(now, BondConfig::new(vec![BondLink::default()], 1));
    for _ in 0..packets {
        now += MS;
        sender.handle_input(now, SendInput::Payload(Bytes::from_static(&[0x47; 1316])));
        sender.handle_input(now, SendInput::Timeout);
        sent(&mut sender);
    }
    (sender, now)
}

fn request(media: u32, losses: &[Loss]) -> Vec<u8> {
    let mut writer = Writer::new();
    writer.receiver_report(9, None);
    writer.source_description(9, "hostile");
    writer.range_nack(media, losses);
    writer.finish().to_vec()
}

/// Everything, over and over, for ten seconds: no more is repeated than was sent, and that only once in a while.
#[test]
fn forged_ranges_make_no_storm() {
    let (mut sender, mut now) = sending(1000);
    let everything = request(sender.ssrc(), &[Loss { first: 0, additional: u16::MAX }; 200]);
    let mut media = 0;
    for _ in 0..1000 {
        now += MS * 10;
        sender.handle_input(now, SendInput::Rtcp { link: 0, data: &everything });
        media += sent(&mut sender).0;
    }
    let stats = sender.stats(now);
    assert!(media <= 1000, "{media} packets for 1000");
    // 4096 numbers of a datagram are looked at; most of them are refused, or unknown, each counted.
    assert!(stats.requested <= 1000 * 4097, "{stats:?}");
    assert!(stats.refused + stats.unknown_requests + 1000 >= stats.requested, "{stats:?}");
}

/// Some packets, over and over: those lost more than once are worth two copies, and each of these counts. By two links,
/// where what comes too late for a third try is sent on both.
#[test]
fn forged_requests_for_few_packets_make_no_more_of_them() {
    for links in [1, 2] {
        let mut now = start();
        let mut config = BondConfig::new(vec![BondLink::default(); links], 1);
        config.latency = MS * 20_000;
        let mut sender = Sender::new(now, config);
        let (mut given, mut repeated, mut twice) = (0, 0, 0);
        let mut first = None;
        for i in 0..4000 {
            now += MS * 5;
            if i < 500 {
                given += 1;
                sender.handle_input(now, SendInput::Payload(Bytes::from_static(&[0x47; 1316])));
            } else if let Some(first) = first {
                let few = request(sender.ssrc(), &[Loss { first, additional: 39 }]);
                sender.handle_input(now, SendInput::Rtcp { link: i % links, data: &few });
            }
            sender.handle_input(now, SendInput::Timeout);
            let mut numbers = Vec::new();
            loop {
                match sender.poll_output() {
                    SendOutput::Rtp { media, .. } => {
                        let number = u16::from_be_bytes([media.header[2], media.header[3]]);
                        first.get_or_insert(number);
                        numbers.extend((media.header[11] & 1 == 1).then_some(number));
                    }
                    SendOutput::Timeout(_) => break,
                    _ => {}
                }
            }
            repeated += numbers.len();
            numbers.sort_unstable();
            twice += numbers.windows(2).filter(|pair| pair[0] == pair[1]).count();
        }
        println!("{given} given, {repeated} repeated, {twice} of them with another copy");
        assert!(twice > 50, "{twice}");
        // Three copies of the first, and of the last.
        assert!(repeated <= given + 6, "{repeated} for {given}");
    }
}

#[test]
fn requests_for_another_stream_or_for_nothing_are_refused() {
    let (mut sender, now) = sending(100);
    let ssrc = sender.ssrc();
    let now = now + MS * 200;
    sender.handle_input(now, SendInput::Timeout);
    sent(&mut sender);
    sender.handle_input(
        now,
        SendInput::Rtcp { link: 0, data: &request(ssrc ^ 2, &[Loss { first: 0, additional: u16::MAX }]) },
    );
    assert_eq!((sent(&mut sender).0, sender.stats(now).requested), (0, 0));
    assert_eq!(sender.stats(now).foreign_requests, 1);
    // By masks, and with the upper half of long numbers, too.
    let mut writer = Writer::new();
    writer.receiver_report(9, None);
    writer.extended_sequence(ssrc ^ 2, 0);
    writer.bitmask_nack(9, ssrc ^ 2, &[(0, 0xffff)]);
    sender.handle_input(now, SendInput::Rtcp { link: 0, data: &writer.finish() });
    let stats = sender.stats(now);
    assert_eq!((sent(&mut sender).0, stats.requested, stats.foreign_requests), (0, 0, 3));
    // The range of numbers that were never sent: all but the last hundred and those that follow them.
    for first in (0..=u16::MAX).step_by(4096) {
        let data = request(ssrc, &[Loss { first, additional: 4095 }]);
        sender.handle_input(now, SendInput::Rtcp { link: 0, data: &data });
        sent(&mut sender);
    }
    let stats = sender.stats(now);
    assert_eq!((stats.requested, stats.unknown_requests), (65_536, 65_536 - 100), "{stats:?}");
    assert!(stats.refused <= 100, "{stats:?}");
}

#[test]
fn truncated_and_foreign_datagrams_are_counted() {
    let (mut sender, now) = sending(1);
    let whole = request(sender.ssrc(), &[Loss { first: 0, additional: 0 }]);
    for len in 0..whole.len() {
        sender.handle_input(now, SendInput::Rtcp { link: 0, data: &whole[..len] });
    }
    // Cut between two packets, a compound is whole again.
    let rejected = sender.stats(now).rejected_datagrams;
    assert_eq!(rejected, whole.len() as u64 - 2);
}

/// Echo requests at any rate are answered at most every 2 ms.
#[test]
fn a_flood_of_echo_requests_is_not_answered_in_full() {
    let (mut sender, now) = sending(1);
    let mut writer = Writer::new();
    writer.receiver_report(9, None);
    writer.echo_request(9, 1);
    let echo = writer.finish();
    for _ in 0..10_000 {
        sender.handle_input(now, SendInput::Rtcp { link: 0, data: &echo });
    }
    assert_eq!((sent(&mut sender).1, sender.stats(now).throttled_echoes), (1, 9999));
    let (mut receiver, mut answers) = (Receiver::new(now, ReceiverConfig::new(1, 1)), 0);
    for _ in 0..10_000 {
        receiver.handle_input(now, Input::Rtcp { link: 0, from: peer(1), data: &echo });
        answers += received(&mut receiver).1.len();
    }
    let stats = receiver.stats(now);
    assert_eq!((answers, stats.throttled_echoes, stats.unproven_datagrams), (1, 9999, 10_000));
}

fn rtp(sequence: u16, timestamp: u32, ssrc: u32) -> Bytes {
    let header = Header { marker: false, payload_type: 33, sequence, timestamp, ssrc };
    let mut data = header.encode().to_vec();
    data.extend_from_slice(&sequence.to_be_bytes());
    data.into()
}

/// The same with a sequence number of 32 bits.
fn long_rtp(sequence: u32, timestamp: u32, ssrc: u32) -> Bytes {
    let plain = rtp(sequence as u16, timestamp, ssrc);
    let mut data = plain[..12].to_vec();
    data[0] |= 0x10;
    data.extend_from_slice(b"RI\0\x01\x40\0");
    data.extend_from_slice(&((sequence >> 16) as u16).to_be_bytes());
    data.extend_from_slice(&plain[12..]);
    data.into()
}

/// Sequence numbers put out, and where datagrams went.
fn received(receiver: &mut Receiver) -> (Vec<u16>, Vec<SocketAddr>) {
    let (mut packets, mut peers) = (Vec::new(), Vec::new());
    loop {
        match receiver.poll_output() {
            Output::Packet(packet) => packets.push(packet.sequence as u16),
            Output::Transmit { to, .. } => peers.push(to),
            _ => return (packets, peers),
        }
    }
}

/// A stream of one packet per millisecond, disturbed by `disturb`, comes out as it went in.
fn undisturbed(mut disturb: impl FnMut(&mut Receiver, Instant, u16)) -> Receiver {
    let begin = start();
    let mut receiver = Receiver::new(begin, ReceiverConfig::new(1, 1));
    let mut out = Vec::new();
    for i in 0..5000u16 {
        let now = begin + MS * u32::from(i);
        let data = rtp(i, u32::from(i) * 90, SSRC);
        receiver.handle_input(now, Input::Rtp { link: 0, from: peer(1), data });
        disturb(&mut receiver, now, i);
        out.extend(received(&mut receiver).0);
    }
    receiver.handle_input(begin + MS * 7000, Input::Timeout);
    out.extend(received(&mut receiver).0);
    assert_eq!(out, (0..5000).collect::<Vec<_>>());
    receiver
}

#[test]
fn another_source_does_not_steal_a_living_stream() {
    let receiver = undisturbed(|receiver, now, i| {
        let data = rtp(i.wrapping_mul(77), u32::from(i) * 12345, 0x2000);
        receiver.handle_input(now, Input::Rtp { link: 0, from: peer(2), data });
        assert_eq!((receiver.stats(now).restarts, receiver.stats(now).ssrc), (0, Some(SSRC)));
    });
    assert!(receiver.stats(start()).rejected_datagrams > 4000);
}

/// The same source with numbers and times that cannot be: taken for another one.
#[test]
fn a_jump_does_not_disturb() {
    let receiver = undisturbed(|receiver, now, i| {
        let data = rtp(i.wrapping_add(30_000), u32::from(i) * 90 + 90_000 * 3600, SSRC);
        receiver.handle_input(now, Input::Rtp { link: 0, from: peer(1), data });
    });
    assert_eq!(receiver.stats(start()).lost_packets, 0);
}

/// One datagram makes no room for a hundred thousand: neither of a source that only knocks, nor of a new one.
#[test]
fn a_gap_is_not_believed_because_of_one_datagram() {
    undisturbed(|receiver, now, i| {
        let data = long_rtp(u32::from(i) * 100_000, u32::from(i) * 90, 0x2000);
        receiver.handle_input(now, Input::Rtp { link: 0, from: peer(2), data });
        if i == 100 {
            assert_eq!(receiver.stats(now).rejected_datagrams, 100, "all but the first");
        }
    });
    let now = start();
    let mut receiver = Receiver::new(now, ReceiverConfig::new(1, 1));
    let mut overflowed = Vec::new();
    let take = |receiver: &mut Receiver, number| {
        let data = long_rtp(number, 0, SSRC);
        receiver.handle_input(now, Input::Rtp { link: 0, from: peer(1), data });
    };
    // A source that has sent nothing yet is believed less still.
    (0..1300).for_each(|number| take(&mut receiver, number));
    for number in [1300, 6300, 6300, 16_300, 16_301, 16_300, 16_302] {
        take(&mut receiver, number);
        overflowed.push(receiver.stats(now).overflowed_packets);
    }
    assert_eq!(overflowed, [0, 1, 2, 3, 3, 3, 3]);
    let stats = receiver.stats(now);
    assert_eq!((stats.buffered_packets, stats.rejected_datagrams), (1304, 0), "{stats:?}");
}

/// Who has not shown that it belongs to the stream gets an answer to its echo, but no reports and no requests: a
/// forged source address is not flooded.
#[test]
fn strangers_get_no_requests() {
    let begin = start();
    let mut receiver = Receiver::new(begin, ReceiverConfig::new(1, 1));
    let mut report = Writer::new();
    report.receiver_report(0x3000, None);
    report.source_description(0x3000, "stranger");
    let report = report.finish();
    let mut reached = Vec::new();
    for i in 0..2000u32 {
        let now = begin + MS * i;
        for host in 2..100 {
            receiver.handle_input(now, Input::Rtcp { link: 0, from: peer(host), data: &report });
        }
        // Every second packet is missing.
        let data = rtp(i as u16 * 2, i * 180, SSRC);
        receiver.handle_input(now, Input::Rtp { link: 0, from: peer(1), data });
        reached.extend(received(&mut receiver).1);
    }
    assert_eq!(reached, []);
    // There is room for 32; one more holds no more than they do.
    let stats = receiver.stats(begin);
    assert_eq!(stats.unproven_datagrams + stats.crowded_datagrams, 2000 * 98, "{stats:?}");
    assert_eq!(stats.unproven_datagrams, 2000 * 32, "{stats:?}");
    // The sender itself is heard among them, as soon as it reports.
    let now = begin + MS * 2000;
    let mut report = Writer::new();
    report.sender_report(SSRC, 1 << 33, 0, 1, 1);
    report.source_description(SSRC, "sender");
    receiver.handle_input(now, Input::Rtcp { link: 0, from: peer(1), data: &report.finish() });
    let (_, peers) = received(&mut receiver);
    assert!(!peers.is_empty() && peers.iter().all(|&to| to == peer(1)), "{peers:?}");
}

/// A link whose address changes every second, as with a carrier's address translation: the last one is told what
/// arrives as the first was.
#[test]
fn a_link_is_told_what_arrives_at_its_fortieth_address() {
    let begin = start();
    let mut receiver = Receiver::new(begin, ReceiverConfig::new(1, 1));
    let mut report = Writer::new();
    report.sender_report(SSRC, 1 << 33, 0, 1, 1);
    report.source_description(SSRC, "sender");
    report.capabilities(SSRC, TAKES_FEEDBACK);
    let report = report.finish();
    let mut told = [0; 40];
    for i in 0..4000u16 {
        let (now, host) = (begin + MS * 10 * u32::from(i), 1 + (i / 100) as u8);
        let data = rtp(i, u32::from(i) * 900, SSRC);
        receiver.handle_input(now, Input::Rtp { link: 0, from: peer(host), data });
        if i % 10 == 0 {
            receiver.handle_input(now, Input::Rtcp { link: 0, from: peer(host), data: &report });
        }
        loop {
            match receiver.poll_output() {
                Output::Transmit { to, data, .. } if to == peer(host) => {
                    let mut packets = Compound::parse(&data).unwrap();
                    let fed_back = packets.any(|packet| matches!(packet, Ok(rtcp::Packet::Feedback { .. })));
                    told[usize::from(host) - 1] += usize::from(fed_back);
                }
                Output::Timeout(_) => break,
                _ => {}
            }
        }
    }
    assert!(told.iter().all(|&told| told >= 8), "{told:?}");
}

/// What was heard once is heard again and again, in its time and later: it comes out once, and gives nobody a peer's place.
#[test]
fn replayed_datagrams_are_counted_and_change_nothing() {
    let mut heard = Vec::new();
    let receiver = undisturbed(|receiver, now, i| {
        let mut report = Writer::new();
        report.sender_report(SSRC, 1 << 33, 0, 1, 1);
        report.source_description(SSRC, "sender");
        let report = report.finish();
        heard.push((rtp(i, u32::from(i) * 90, SSRC), report));
        for back in [0, 1, 500, 900, 3000] {
            let Some((data, report)) = heard.len().checked_sub(1 + back).map(|place| &heard[place]) else {
                continue;
            };
            receiver.handle_input(now, Input::Rtp { link: 0, from: peer(2), data: data.clone() });
            receiver.handle_input(now, Input::Rtcp { link: 0, from: peer(1), data: report });
        }
    });
    let stats = receiver.stats(start());
    assert_eq!((stats.lost_packets, stats.restarts, stats.late_packets), (0, 0, 0), "{stats:?}");
    assert_eq!(stats.duplicate_packets, 5000 + 4999 + 4500 + 4100 + 2000);
}

/// A datagram that is cut off is no other one; what is cut off behind its header is a shorter packet.
#[test]
fn truncated_media_is_counted() {
    let whole = rtp(7, 0, 0x2000);
    let receiver = undisturbed(|receiver, now, i| {
        if i % 100 == 50 {
            for len in 0..12 {
                let data = whole.slice(..len);
                receiver.handle_input(now, Input::Rtp { link: 0, from: peer(2), data });
            }
            for len in 0..8 {
                receiver.handle_input(
                    now,
                    Input::Rtcp { link: 0, from: peer(2), data: &[0x80, 201, 0, 1, 0, 0, 0, 9][..len] },
                );
            }
        }
    });
    let stats = receiver.stats(start());
    assert_eq!(stats.rejected_datagrams, 50 * (12 + 8), "{stats:?}");
}

/// A stream that has shown that it is there, and then what `number` says, a packet per `interval` for two seconds; the most that is
/// held, and the datagrams that went back in the second of these.
fn gaps(interval: Duration, number: impl Fn(u32) -> u32) -> (isize, usize) {
    let begin = start();
    let before = held();
    let mut receiver = Receiver::new(begin, ReceiverConfig::new(1, 1));
    let mut report = Writer::new();
    report.sender_report(SSRC, 1 << 33, 0, 1, 1);
    report.source_description(SSRC, "sender");
    let report = report.finish();
    let (mut most, mut datagrams, mut now, mut at) = (0, 0, begin, 0);
    let end = begin + MS * 4000;
    for i in 0.. {
        now += if i < 2000 { MS } else { interval };
        if now >= end {
            break;
        }
        at = if i < 2000 { i } else { 2000 + number(i - 2000) };
        let data = rtp(at as u16, (now - begin).as_millis() as u32 * 90, SSRC);
        receiver.handle_input(now, Input::Rtp { link: 0, from: peer(1), data });
        if i % 100 == 0 {
            receiver.handle_input(now, Input::Rtcp { link: 0, from: peer(1), data: &report });
        }
        receiver.handle_input(now, Input::Timeout);
        let sent = received(&mut receiver).1.len();
        datagrams += if now >= end - MS * 1000 { sent } else { 0 };
        most = most.max(held() - before);
    }
    println!("to {at}: {most} bytes, {datagrams} datagrams; {:?}", receiver.stats(now));
    (most, datagrams)
}

/// Numbers as far apart as is believed: what is kept is what the window holds, of the stream and of the one that would take its place. 2^15
/// packets each, of which each has a place (40 bytes) and a request (48); twice as much at most, as lists grow by doubling. 256 KB for
/// what else there is.
#[test]
fn gaps_are_bounded() {
    let (most, _) = gaps(MS, |i| i / 2 * 15_000 + i % 2);
    let window = (1 << 15) * (40 + 48);
    assert!(most > window && most <= 2 * 2 * window + (256 << 10), "{most}");
}

/// Every second packet is lost, at 25 a millisecond: there is more to ask for than may be asked for. Eight datagrams are sent every 2 ms,
/// each of them twice as packets in it were asked for before, and a report and an echo request every 90 ms.
#[test]
fn requests_are_bounded() {
    let (_, datagrams) = gaps(MS * 2 / 25, |i| i * 2);
    let (most, reports) = (1000 / 2 * 8 * 2, 2 * (1000 / 90 + 1));
    assert!(datagrams > most / 2 && datagrams <= most + reports, "{datagrams}");
}
