//! Forged source addresses and crowds of sockets: nobody is sent a multiple of what came in its name, and who sends the stream
//! is served, whoever else speaks.

use std::net::SocketAddr;

use bytes::{Bytes, BytesMut};
use strata_media::rist::receiver::{Input, Output};
use strata_media::rist::rtcp::{Compound, Packet, Writer};
use strata_media::rist::tunnel::{Config, Listener, ListenerInput, ListenerOutput, Role, Session};
use strata_media::rist::{Receiver, ReceiverConfig};

use super::{MS, SSRC, peer, rtp, start};

/// IPv4 and UDP.
const HEADERS: usize = 28;
/// An empty report.
const REPORT: [u8; 8] = [0x80, 201, 0, 1, 0, 0, 0x30, 0];

fn at(host: u8, port: u16) -> SocketAddr {
    SocketAddr::from(([10, 0, 0, host], port))
}

/// Sends what the receiver wants to send.
fn drain(receiver: &mut Receiver, mut take: impl FnMut(SocketAddr, Bytes)) {
    loop {
        match receiver.poll_output() {
            Output::Transmit { to, data, .. } => take(to, data),
            Output::Timeout(_) => break,
            _ => {}
        }
    }
}

/// Forged datagrams of one address: by RTP one packet, some with gaps, by RTCP one report of `ports` ports.
fn forged(ports: u16, gaps: u16) -> Vec<(bool, u16, Bytes)> {
    let mut forged = vec![(true, 6000, rtp(100, 0, SSRC))];
    forged.extend((0..ports).map(|port| (false, 7000 + port, Bytes::from_static(&REPORT))));
    forged.extend((0..gaps).map(|gap| (true, 6000, rtp(102 + 2 * gap, u32::from(gap), SSRC))));
    forged
}

/// Whoever answers nothing is sent three times what came at most, by the Simple Profile and by the Main one in clear.
#[test]
fn forged_addresses_draw_no_more_than_three_times_what_came() {
    for (ports, gaps) in [(1, 0), (1, 100), (32, 0), (32, 1000)] {
        let begin = start();
        let mut receiver = Receiver::new(begin, ReceiverConfig::new(1, 1));
        let (mut came, mut went) = (0, 0);
        let mut forged = forged(ports, gaps).into_iter();
        for tick in 0..13_000 {
            let now = begin + MS * tick;
            receiver.handle_input(now, Input::Timeout);
            if let Some((is_rtp, port, data)) = forged.next() {
                came += data.len() + HEADERS;
                let from = at(7, port);
                match is_rtp {
                    true => receiver.handle_input(now, Input::Rtp { link: 0, from, data }),
                    false => receiver.handle_input(now, Input::Rtcp { link: 0, from, data: &data }),
                }
            }
            drain(&mut receiver, |_, data| went += data.len() + HEADERS);
        }
        println!("simple, {ports} ports, {gaps} gaps: {came} bytes drew {went}");
        assert!(went <= 3 * came, "{ports} {gaps}: {came} bytes drew {went}");
    }
}

#[test]
fn forged_addresses_draw_no_more_by_tunnels_in_clear() {
    for (ports, gaps) in [(1, 0), (1, 100), (32, 0), (32, 1000)] {
        let begin = start();
        let mut listener = Listener::new(begin, Config::default(), 32, 1);
        let mut receiver = Receiver::new(begin, ReceiverConfig::new(1, 1));
        let mut session = Session::new(begin, &Config::default(), Role::Client, 2);
        let (mut came, mut went) = (0, 0);
        let mut forged = forged(ports, gaps).into_iter();
        for tick in 0..65_000 {
            let now = begin + MS * tick;
            receiver.handle_input(now, Input::Timeout);
            listener.handle_input(now, ListenerInput::Timeout);
            let mut datagram = Vec::new();
            if let Some((is_rtp, port, data)) = forged.next() {
                match is_rtp {
                    true => session.rtp(data.first_chunk().unwrap(), 0, &data[12..], &mut datagram),
                    false => session.rtcp(&data, &mut datagram),
                }
                came += datagram.len() + HEADERS;
                let data = BytesMut::from(&datagram[..]);
                listener.handle_input(now, ListenerInput::Datagram { link: 0, from: at(7, port), data });
            }
            loop {
                match listener.poll_output() {
                    ListenerOutput::Rtp { link, from, data } => {
                        receiver.handle_input(now, Input::Rtp { link, from, data });
                    }
                    ListenerOutput::Rtcp { link, from, data } => {
                        receiver.handle_input(now, Input::Rtcp { link, from, data: &data });
                    }
                    ListenerOutput::Transmit { data, .. } => went += data.len() + HEADERS,
                    _ => break,
                }
            }
            drain(&mut receiver, |to, data| {
                listener.rtcp(0, to, &data, &mut datagram);
                went += if datagram.is_empty() { 0 } else { datagram.len() + HEADERS };
            });
        }
        println!("main, {ports} ports, {gaps} gaps: {came} bytes drew {went}");
        assert!(went <= 3 * came, "{ports} {gaps}: {came} bytes drew {went}");
    }
}

/// Every tenth packet of a stream at full rate is missing, and its sender answers no echo request, as some do not: every one of them is
/// asked for, and reports come. One that answers is asked when it falls silent, too.
#[test]
fn who_sends_media_and_answers_nothing_is_served() {
    for answers in [false, true] {
        let begin = start();
        let mut receiver = Receiver::new(begin, ReceiverConfig::new(1, 1));
        let (mut reports, mut late) = (0, 0);
        for i in 0..6000u32 {
            let now = begin + MS * i;
            receiver.handle_input(now, Input::Timeout);
            if i < 5000 && i % 10 != 9 {
                let mut data = rtp(i as u16, i * 90, SSRC).to_vec();
                data.resize(1328, 0x47);
                receiver.handle_input(now, Input::Rtp { link: 0, from: at(1, 6000), data: data.into() });
            }
            if i < 5000 && i % 100 == 0 {
                let mut report = Writer::new();
                report.sender_report(SSRC, 1 << 33, 0, 1, 1);
                report.source_description(SSRC, "sender");
                receiver
                    .handle_input(now, Input::Rtcp { link: 0, from: at(1, 6001), data: &report.finish() });
            }
            let mut echoes = Vec::new();
            drain(&mut receiver, |to, data| {
                assert_eq!(to, at(1, 6001));
                for packet in Compound::parse(&data).unwrap() {
                    if let Packet::EchoRequest { timestamp, .. } = packet.unwrap() {
                        (reports, late) = (reports + 1, late + u32::from(i > 5300));
                        echoes.push(timestamp);
                    }
                }
            });
            for timestamp in echoes.into_iter().filter(|_| answers) {
                let mut writer = Writer::new();
                writer.receiver_report(SSRC, None);
                writer.source_description(SSRC, "sender");
                writer.echo_response(SSRC, timestamp, 0, &[]);
                receiver
                    .handle_input(now, Input::Rtcp { link: 0, from: at(1, 6001), data: &writer.finish() });
            }
        }
        let stats = receiver.stats(begin + MS * 6000);
        println!("answers: {answers}; {reports} reports, {late} of them late; {stats:?}");
        assert!(stats.requested_packets >= 499 * 3 && reports >= 5000 / 100, "{stats:?}");
        assert_eq!(late > 0, answers);
    }
}

/// All sockets of a host speak: the sender's reports are heard all the same, and the sender is told.
#[test]
fn a_host_full_of_sockets_keeps_no_sender_out() {
    let begin = start();
    let mut receiver = Receiver::new(begin, ReceiverConfig::new(1, 1));
    let (mut told, mut others) = (0, 0);
    for i in 0..4000u32 {
        let now = begin + MS * i;
        if i % 400 == 0 {
            for port in 0..64 {
                receiver.handle_input(now, Input::Rtcp { link: 0, from: at(9, 7000 + port), data: &REPORT });
            }
        }
        let data = rtp(i as u16 * 2, i * 90, SSRC);
        receiver.handle_input(now, Input::Rtp { link: 0, from: peer(1), data });
        if i >= 1000 && i % 100 == 50 {
            let mut report = Writer::new();
            report.sender_report(SSRC, 1 << 33, 0, 1, 1);
            report.source_description(SSRC, "sender");
            receiver.handle_input(now, Input::Rtcp { link: 0, from: peer(1), data: &report.finish() });
        }
        drain(&mut receiver, |to, _| *if to == peer(1) { &mut told } else { &mut others } += 1);
    }
    let stats = receiver.stats(begin + MS * 4000);
    println!("{told} datagrams for the sender; {stats:?}");
    assert!(told > 100 && others == 0 && stats.requested_packets > 1000, "{told} {others} {stats:?}");
}

/// A stream by a tunnel in clear, whose places were all taken before: by talk, or by packets of streams of one host.
#[test]
fn a_host_full_of_tunnels_keeps_no_sender_out() {
    for (seed, by_media) in (1u64..9).flat_map(|seed| [(seed, false), (seed, true)]) {
        let begin = start();
        let mut listener = Listener::new(begin, Config::default(), 32, seed);
        let mut session = Session::new(begin, &Config::default(), Role::Client, 2);
        let mut datagram = Vec::new();
        let mut came = 0;
        for i in 0..1000u32 {
            let now = begin + MS * i;
            let mut give = |from: SocketAddr, data: &[u8]| {
                let data = BytesMut::from(data);
                listener.handle_input(now, ListenerInput::Datagram { link: 0, from, data });
                let outputs = std::iter::from_fn(|| {
                    Some(listener.poll_output()).filter(|o| !matches!(o, ListenerOutput::Timeout(_)))
                });
                outputs.filter(|output| matches!(output, ListenerOutput::Rtp { .. })).count()
            };
            // Each of them again every 100 ms.
            let other = rtp(i as u16, i * 90, 0x2000);
            match by_media {
                true => session.rtp(other.first_chunk().unwrap(), 0, &other[12..], &mut datagram),
                false => session.rtcp(&REPORT, &mut datagram),
            }
            give(at(9, 7000 + (i % 100) as u16), &datagram);
            if i >= 200 {
                let data = rtp(i as u16, i * 90, SSRC);
                session.rtp(data.first_chunk().unwrap(), 0, &data[12..], &mut datagram);
                came += give(at(1, 6000), &datagram);
            }
        }
        assert_eq!(came, 800, "{seed}, {by_media}: {:?}", listener.counters());
    }
}
