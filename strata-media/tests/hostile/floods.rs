//! Floods of RTCP of every kind, for both ends, by the Simple and by the Main Profile: ten datagrams a millisecond for two seconds. What is
//! answered and kept is bounded, the stream goes on, and the flood is counted where a user sees it.

use std::time::Instant;

use bytes::{Bytes, BytesMut};
use strata_media::bond::sender::{Input as SendInput, Output as SendOutput};
use strata_media::bond::{BondConfig, BondLink, BondStats, Sender};
use strata_media::rist::psk::Passphrase;
use strata_media::rist::receiver::{Input, Output};
use strata_media::rist::rtcp::{Loss, ReportBlock, Run, Writer};
use strata_media::rist::tunnel::{self, Config, Listener, ListenerInput, ListenerOutput, Psk, Role, Session};
use strata_media::rist::{Receiver, ReceiverConfig, ReceiverStats};

use super::memory::held;
use super::{MS, SSRC, peer, rtp, start};

/// Datagrams of a flood.
const FLOOD: u64 = 20_000;
const PER_MS: usize = 10;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    SenderReport,
    ReceiverReport,
    Description,
    Bye,
    RangeRequest,
    MaskRequest,
    EchoRequest,
    EchoResponse,
    ExtendedSequence,
    Application,
    ExtendedReport,
    Feedback,
}

const KINDS: [Kind; 12] = [
    Kind::SenderReport,
    Kind::ReceiverReport,
    Kind::Description,
    Kind::Bye,
    Kind::RangeRequest,
    Kind::MaskRequest,
    Kind::EchoRequest,
    Kind::EchoResponse,
    Kind::ExtendedSequence,
    Kind::Application,
    Kind::ExtendedReport,
    Kind::Feedback,
];

/// Datagram `i` of a flood that names the stream of `media`.
fn datagram(kind: Kind, media: u32, i: u32) -> Bytes {
    let mut writer = Writer::new();
    let own = 0x0900_0000 | i << 1;
    if kind == Kind::SenderReport {
        writer.sender_report(own, u64::from(i) << 32, i, i, i);
    } else if kind == Kind::ReceiverReport {
        let block = ReportBlock { ssrc: media, last_report: i + 1, ..ReportBlock::default() };
        writer.receiver_report(own, Some(&block));
    } else {
        writer.receiver_report(own, None);
    }
    writer.source_description(own, "flood");
    match kind {
        Kind::SenderReport | Kind::ReceiverReport | Kind::Application | Kind::ExtendedReport => {}
        Kind::Description => (0..30).for_each(|j| writer.source_description(own ^ j, "one more name")),
        Kind::Bye => writer.bye(media),
        Kind::RangeRequest => writer.range_nack(media, &[Loss { first: i as u16, additional: u16::MAX }; 16]),
        Kind::MaskRequest => writer.bitmask_nack(own, media, &[(i as u16, 0xffff); 16]),
        Kind::EchoRequest => writer.echo_request(own, i.into()),
        Kind::EchoResponse => writer.echo_response(own, i.into(), 0, &[]),
        Kind::ExtendedSequence => (0..30).for_each(|j| writer.extended_sequence(media ^ 2, (i + j) as u16)),
        Kind::Feedback => {
            let offsets: Vec<_> = (0..300).map(|j: u16| j.is_multiple_of(2).then_some(j)).collect();
            writer.congestion_feedback(
                own,
                [Run { ssrc: media, first: i as u16, offsets: &offsets }],
                i << 4,
            );
        }
    }
    let mut data = BytesMut::from(&writer.finish()[..]);
    if kind == Kind::Application {
        data.extend([0x9f, 204, 0, 3]);
        data.extend(own.to_be_bytes());
        data.extend(*b"FLUDdata");
    } else if kind == Kind::ExtendedReport {
        // A time of the receiver (RFC 3611, 4.4).
        data.extend([0x80, 207, 0, 4]);
        data.extend(own.to_be_bytes());
        data.extend([4, 0, 0, 2, 0, 0, 0, 1, 0, 0, 0, 0]);
    }
    data.freeze()
}

/// A tunnel with a key, if the Main Profile is used: what goes in at the flood's end, and comes out here.
struct Tunnel(Option<(Session, Listener)>);

impl Tunnel {
    fn new(now: Instant, main: bool) -> Self {
        let config = Config::new(Some(Psk::new(Passphrase::new("secret").unwrap())));
        let ends = (Session::new(now, &config, Role::Client, 2), Listener::new(now, config, 32, 1));
        Self(main.then_some(ends))
    }

    fn rtcp(&mut self, now: Instant, data: &Bytes) -> Bytes {
        let Some((client, listener)) = &mut self.0 else { return data.clone() };
        let mut datagram = Vec::new();
        client.rtcp(data, &mut datagram);
        let data = BytesMut::from(&datagram[..]);
        listener.handle_input(now, ListenerInput::Datagram { link: 0, from: peer(1), data });
        let mut came = None;
        loop {
            match listener.poll_output() {
                ListenerOutput::Rtcp { data, .. } => came = Some(data),
                ListenerOutput::Timeout(_) => return came.unwrap(),
                _ => {}
            }
        }
    }

    /// All of the flood passed, and is counted.
    fn check(&self, kind: Kind) {
        let counters = self.0.as_ref().map(|(_, listener)| listener.counters());
        let expected = tunnel::Counters::default();
        if let Some(counters) = counters {
            assert_eq!(
                (counters.taken, counters.replayed),
                (FLOOD, expected.replayed),
                "{kind:?}: {counters:?}"
            );
        }
    }
}

/// As much as a peer has to say is read: 4 MiB in a second and as many at once, with 64 bytes for each datagram.
fn check_throttled(kind: Kind, throttled: u64) {
    let cost = datagram(kind, SSRC, 1000).len() as u64 + 64;
    let (all, may) = (FLOOD * cost, 3 * (4 << 20));
    let read = (FLOOD - throttled) * cost;
    // A share is filled up in whole nanoseconds; and what came before.
    let exact = read <= may * 1005 / 1000 && (throttled == 0 || read > may * 99 / 100);
    assert!(
        exact && (throttled > 0) == (all > may * 1005 / 1000),
        "{kind:?}: {throttled}, {read} of {all}, {may}"
    );
}

/// A stream of a packet per millisecond, of which a flood of `kind`, if of any, comes in; and by how much what is held grows meanwhile, bytes.
fn flooded_sender(kind: Option<Kind>, main: bool) -> (BondStats, isize) {
    let begin = start();
    let mut tunnel = Tunnel::new(begin, main);
    let mut sender = Sender::new(begin, BondConfig::new(vec![BondLink::default()], 1));
    let payload = Bytes::from_static(&[0x47; 300]);
    let (mut fresh, mut repeated, mut rtcp, mut flood) = (0, 0, 0, 0);
    let (mut before, mut most) = (0, 0);
    for ms in 0..4000 {
        let now = begin + MS * ms;
        sender.handle_input(now, SendInput::Payload(payload.clone()));
        sender.handle_input(now, SendInput::Timeout);
        for kind in kind.filter(|_| ms >= 2000).into_iter().flat_map(|kind| [kind; PER_MS]) {
            let data = tunnel.rtcp(now, &datagram(kind, sender.ssrc(), flood));
            sender.handle_input(now, SendInput::Rtcp { link: 0, data: &data });
            flood += 1;
        }
        loop {
            match sender.poll_output() {
                SendOutput::Rtp { media, .. } if media.header[11] & 1 == 1 => repeated += 1,
                SendOutput::Rtp { .. } => fresh += 1,
                SendOutput::Rtcp { .. } => rtcp += usize::from(ms >= 2000),
                SendOutput::Timeout(at) if at <= now => sender.handle_input(now, SendInput::Timeout),
                _ => break,
            }
        }
        if ms == 1999 {
            before = held();
        } else if ms >= 2000 {
            most = most.max(held() - before);
        }
    }
    if let Some(kind) = kind {
        tunnel.check(kind);
    }
    let stats = sender.stats(begin + MS * 4000);
    if let Some(kind) = kind {
        check_throttled(kind, stats.throttled_datagrams);
    }
    println!(
        "{kind:?}, main: {main}: {fresh} sent, {repeated} again, {rtcp} of RTCP, {most} bytes; {stats:?}"
    );
    // An answer per 2 ms, and reports every 90 ms.
    let answers = if kind == Some(Kind::EchoRequest) { 2000 / 2 } else { 0 };
    assert!(rtcp >= answers && rtcp <= answers + 2000 / 90 + 1, "{kind:?}: {rtcp}");
    assert!(fresh == 4000 && repeated <= 4000 + (64 << 10) / 300 + 3, "{kind:?}: {fresh}, {repeated}");
    (stats, most)
}

/// The same for a receiver, from an address that its stream comes from, or from another one.
fn flooded_receiver(kind: Kind, main: bool, known: bool) -> ReceiverStats {
    let begin = start();
    let mut tunnel = Tunnel::new(begin, main);
    let mut receiver = Receiver::new(begin, ReceiverConfig::new(1, 1));
    let (mut out, mut sent, mut flood) = (0, 0, 0);
    let (mut before, mut most) = (0, 0);
    let from = peer(if known { 1 } else { 2 });
    for ms in 0..6000 {
        let now = begin + MS * ms;
        if ms < 4000 {
            let data = rtp(ms as u16, ms * 90, SSRC);
            receiver.handle_input(now, Input::Rtp { link: 0, from: peer(1), data });
        }
        for _ in 0..if (2000..4000).contains(&ms) { PER_MS } else { 0 } {
            let data = tunnel.rtcp(now, &datagram(kind, SSRC, flood));
            receiver.handle_input(now, Input::Rtcp { link: 0, from, data: &data });
            flood += 1;
        }
        receiver.handle_input(now, Input::Timeout);
        loop {
            match receiver.poll_output() {
                Output::Packet(_) => out += 1,
                Output::Transmit { .. } => sent += usize::from((2000..4000).contains(&ms)),
                Output::Timeout(_) => break,
                _ => {}
            }
        }
        if ms == 1999 {
            before = held();
        } else if ms >= 2000 {
            most = most.max(held() - before);
        }
    }
    tunnel.check(kind);
    let stats = receiver.stats(begin + MS * 6000);
    println!("{kind:?}, main: {main}, known: {known}: {out} out, {sent} sent, {most} bytes; {stats:?}");
    let answers = if kind == Kind::EchoRequest { 2000 / 2 } else { 0 };
    assert!(sent >= answers && sent <= answers + 2000 / 90 + 1, "{kind:?}: {sent}");
    assert_eq!((out, stats.lost_packets, stats.restarts), (4000, 0, 0), "{kind:?}: {stats:?}");
    assert!(most < 64 << 10, "{kind:?}: {most}");
    stats
}

#[test]
fn a_sender_bears_any_flood() {
    let undisturbed = [false, true].map(|main| flooded_sender(None, main).1);
    for (kind, main) in KINDS.into_iter().flat_map(|kind| [(kind, false), (kind, true)]) {
        let (stats, most) = flooded_sender(Some(kind), main);
        // What a flood adds is what is asked for of the second that is kept, at most once each: 1000 entries of the queues to be sent.
        assert!(
            most < undisturbed[usize::from(main)] + (256 << 10),
            "{kind:?}: {most}, else {undisturbed:?}"
        );
        assert_eq!((stats.rtcp_datagrams, stats.rejected_datagrams), (FLOOD, 0), "{kind:?}");
        let read = FLOOD - stats.throttled_datagrams;
        let counted = match kind {
            Kind::ReceiverReport => stats.unknown_reports,
            Kind::RangeRequest | Kind::MaskRequest => {
                // Some wait for their turn, of the second that is kept.
                let known = stats.refused + stats.unknown_requests + stats.retransmitted + 1000;
                assert!(known >= stats.requested && stats.unknown_requests > 0, "{stats:?}");
                // A million a second are looked at, and as many were saved up.
                assert!(stats.requested <= 3_010_000, "{stats:?}");
                stats.requested.min(read)
            }
            Kind::EchoRequest => stats.throttled_echoes + 2000 / 2,
            Kind::EchoResponse => stats.unknown_echoes,
            Kind::ExtendedSequence => stats.foreign_requests / 30,
            Kind::Feedback => stats.unproven_feedback,
            // Of no consequence, and counted as what came.
            Kind::SenderReport | Kind::Description | Kind::Bye | Kind::Application | Kind::ExtendedReport => {
                read
            }
        };
        assert_eq!(counted, read, "{kind:?}: {stats:?}");
        let others = [
            (Kind::ReceiverReport, stats.unknown_reports),
            (Kind::EchoRequest, stats.throttled_echoes),
            (Kind::EchoResponse, stats.unknown_echoes),
            (Kind::ExtendedSequence, stats.foreign_requests),
            (Kind::Feedback, stats.unproven_feedback),
        ];
        assert!(others.iter().all(|&(other, count)| other == kind || count == 0), "{kind:?}: {stats:?}");
    }
}

#[test]
fn a_receiver_bears_any_flood() {
    for kind in KINDS {
        for (main, known) in [(false, false), (false, true), (true, false), (true, true)] {
            let stats = flooded_receiver(kind, main, known);
            check_throttled(kind, stats.throttled_datagrams);
            let read = FLOOD - stats.throttled_datagrams;
            assert_eq!((stats.paths[0].rtcp_packets, stats.rejected_datagrams), (read, 0), "{kind:?}");
            assert_eq!(stats.unproven_datagrams, if known { 0 } else { read }, "{kind:?}: {stats:?}");
            let throttled = if kind == Kind::EchoRequest { FLOOD - 2000 / 2 } else { 0 };
            assert_eq!(stats.throttled_echoes, throttled, "{kind:?}: {stats:?}");
        }
    }
}
