use bytes::Bytes;

use super::*;
use crate::rist::rtcp::Writer;

const MS: Duration = Duration::from_millis(1);

fn from(host: u8, port: u16) -> SocketAddr {
    SocketAddr::from(([10, 0, 0, host], port))
}

/// Streams in virtual time.
struct Rig {
    now: Instant,
    streams: Streams,
}

impl Rig {
    fn new(most: usize) -> Self {
        #[expect(clippy::disallowed_methods, reason = "virtual time starts anywhere")]
        let now = Instant::now();
        let mut config = ReceiverConfig::new(2, 1);
        config.latency = MS * 50;
        Self { now, streams: Streams::new(now, config, most) }
    }

    fn rtp(&mut self, host: u8, ssrc: u32, sequence: u16) -> Vec<Output> {
        let timestamp = u32::from(sequence) * 90;
        let header = Header { marker: false, payload_type: 33, sequence, timestamp, ssrc };
        let data = Bytes::from([&header.encode()[..], &ssrc.to_be_bytes()].concat());
        self.streams.handle_input(self.now, Input::Rtp { link: 0, from: from(host, 5000), data });
        self.drain()
    }

    fn rtcp(&mut self, host: u8, write: impl FnOnce(&mut Writer)) -> Vec<Output> {
        let mut writer = Writer::new();
        write(&mut writer);
        let data = writer.finish();
        self.streams.handle_input(self.now, Input::Rtcp { link: 0, from: from(host, 5001), data: &data });
        self.drain()
    }

    fn drain(&mut self) -> Vec<Output> {
        let poll = || match self.streams.poll_output() {
            Output::Timeout(_) => None,
            output => Some(output),
        };
        std::iter::from_fn(poll).collect()
    }

    fn pass(&mut self, time: Duration) -> Vec<Output> {
        let end = self.now + time;
        let mut out = Vec::new();
        while self.now < end {
            self.now += MS;
            self.streams.handle_input(self.now, Input::Timeout);
            out.extend(self.drain());
        }
        out
    }
}

fn packets(out: &[Output], wanted: u64) -> Vec<u64> {
    let sequence = |output: &Output| match output {
        Output::Packet { stream, packet } if *stream == wanted => Some(packet.sequence),
        _ => None,
    };
    out.iter().filter_map(sequence).collect()
}

#[test]
fn streams_are_told_apart_by_ssrc_from_one_address_or_several() {
    let mut rig = Rig::new(4);
    assert_eq!(rig.rtp(1, 2, 0), []);
    assert_eq!(rig.rtp(2, 3, 1), [Output::Opened { stream: 0, ssrc: 2, from: from(1, 5000) }], "repeated");
    rig.rtp(1, 8, 7);
    assert_eq!(rig.rtp(1, 8, 8), [Output::Opened { stream: 1, ssrc: 8, from: from(1, 5000) }]);
    let out = rig.pass(MS * 100);
    assert_eq!((packets(&out, 0).len(), packets(&out, 1).len()), (2, 2));
    assert_eq!(rig.streams.stats(rig.now, 1).unwrap().ssrc, Some(8));
}

/// The network repeats datagrams, and redundant links do so always.
#[test]
fn a_packet_that_comes_twice_is_one() {
    let mut rig = Rig::new(4);
    assert_eq!((rig.rtp(1, 2, 7), rig.rtp(1, 2, 7), rig.rtp(2, 2, 7)), (vec![], vec![], vec![]));
    assert_eq!(rig.rtp(1, 2, 8), [Output::Opened { stream: 0, ssrc: 2, from: from(1, 5000) }]);
    assert_eq!(rig.rtp(1, 2, 8), []);
}

#[test]
fn reports_and_requests_are_of_one_stream() {
    let mut rig = Rig::new(4);
    for sequence in [0, 1, 3] {
        rig.rtp(1, 2, sequence);
        rig.rtp(1, 6, sequence.min(2));
    }
    rig.rtcp(1, |writer| writer.sender_report(2, 1, 1, 1, 1));
    let out = rig.pass(MS * 20);
    let about = |output: &Output| match output {
        Output::Transmit { to, data, .. } if *to == from(1, 5001) => Some(data.clone()),
        _ => None,
    };
    let answers: Vec<_> = out.iter().filter_map(about).collect();
    let parts = answers.iter().flat_map(|data| Compound::parse(data).unwrap().map(Result::unwrap));
    let nacks: Vec<_> = parts
        .filter_map(|part| match part {
            rtcp::Packet::Nack { media_ssrc, .. } => Some(media_ssrc),
            _ => None,
        })
        .collect();
    assert!(!nacks.is_empty() && nacks.iter().all(|&ssrc| ssrc == 2), "{nacks:?}");
    // Of an SSRC nobody knows, from where RTP came: the first one's.
    let before = rig.streams.rejected();
    rig.rtcp(1, |writer| writer.receiver_report(99, None));
    assert_eq!(rig.streams.rejected(), before);
    rig.rtcp(9, |writer| writer.receiver_report(99, None));
    assert_eq!(rig.streams.rejected(), before + 1);
}

#[test]
fn a_stream_is_over_when_it_says_so_or_is_silent() {
    let mut rig = Rig::new(4);
    for sequence in 0..2 {
        rig.rtp(1, 2, sequence);
        rig.rtp(2, 6, sequence);
    }
    // Not by somebody else.
    for host in [2, 1] {
        rig.rtcp(host, |writer| {
            writer.receiver_report(2, None);
            writer.bye(2);
        });
        let closed = rig.pass(MS * 1500).contains(&Output::Closed { stream: 0 });
        assert_eq!(closed, host == 1);
    }
    assert!(rig.pass(SILENCE).contains(&Output::Closed { stream: 1 }));
    assert_eq!((rig.streams.streams.len(), rig.streams.stats(rig.now, 1)), (0, None));
}

/// Whoever invents sources gets no more room than there is, and keeps it no longer than he must.
#[test]
fn strays_are_bounded_and_make_room() {
    let mut rig = Rig::new(4);
    for ssrc in 0..1000 {
        assert_eq!(rig.rtp(7, ssrc * 2, 0), []);
    }
    assert_eq!((rig.streams.streams.len(), rig.streams.rejected()), (4, 996));
    assert_eq!(rig.pass(DOUBT), []);
    rig.rtp(1, 4444, 0);
    assert_eq!(rig.rtp(1, 4444, 1).len(), 1);
    // And those who are known stay.
    for ssrc in 0..1000 {
        rig.rtp(7, ssrc * 2, 0);
    }
    let out = rig.pass(MS * 100);
    assert_eq!(out.iter().filter(|output| matches!(output, Output::Packet { .. })).count(), 2);
}

/// A sender of librist holds its stream back until it hears RTCP; so it is answered, with no more than it said.
#[test]
fn who_reports_before_it_sends_is_answered() {
    let mut rig = Rig::new(1);
    let answered = |outputs: Vec<Output>| {
        let to = |output: &Output| matches!(output, Output::Transmit { to, .. } if *to == from(7, 5001));
        outputs.iter().filter(|output| to(output)).count()
    };
    let report = |writer: &mut Writer| {
        writer.receiver_report(8, None);
        writer.source_description(8, "a sender that says who it is");
    };
    assert_eq!(answered(rig.rtcp(7, report)), 1);
    assert_eq!(answered(rig.rtcp(7, |writer| writer.receiver_report(8, None))), 0, "it would be longer");
}

/// The first report says whose datagram it is: others in it are not looked for, however many there are.
#[test]
fn one_report_of_a_datagram_is_looked_for() {
    let mut rig = Rig::new(4);
    for sequence in 0..2 {
        rig.rtp(1, 2, sequence);
    }
    for (first, others) in [(99, 2), (2, 99)] {
        let before = rig.streams.rejected();
        rig.rtcp(9, |writer| {
            writer.receiver_report(first, None);
            (0..1000).for_each(|_| writer.receiver_report(others, None));
        });
        assert_eq!(rig.streams.rejected() - before, u64::from(first == 99));
    }
}

/// A few packets per SSRC now and then are enough to be taken for a stream. All of them share the places with other hosts' streams.
#[test]
fn a_host_full_of_streams_keeps_no_sender_out() {
    let mut rig = Rig::new(8);
    let mut out = Vec::new();
    for ms in 0..1000u16 {
        if ms.is_multiple_of(50) {
            for ssrc in (0..20).map(|ssrc| 1000 + 2 * ssrc) {
                out.extend(rig.rtp(7, ssrc, ms));
                out.extend(rig.rtp(7, ssrc, ms + 1));
            }
        }
        if ms == 150 {
            let told = rig.rtcp(1, |writer| {
                writer.receiver_report(2, None);
                writer.source_description(2, "a sender that waits for an answer");
            });
            assert!(matches!(told[..], [Output::Transmit { .. }]), "{told:?}");
        }
        if ms >= 200 {
            out.extend(rig.rtp(1, 2, ms));
            out.extend(rig.rtp(2, 6, ms));
        }
        out.extend(rig.pass(MS));
    }
    out.extend(rig.pass(MS * 100));
    let opened = |ssrc| {
        let number = |output: &Output| match output {
            Output::Opened { stream, ssrc: of, .. } if *of == ssrc => Some(*stream),
            _ => None,
        };
        out.iter().filter_map(number).collect::<Vec<_>>()
    };
    for ssrc in [2, 6] {
        let [number] = opened(ssrc)[..] else { panic!("{ssrc} was opened as {:?}", opened(ssrc)) };
        assert_eq!(packets(&out, number).len(), 800);
        assert!(!out.contains(&Output::Closed { stream: number }));
    }
    // Who made room is told to be over; the others are as they were.
    let closed = out.iter().filter(|output| matches!(output, Output::Closed { .. })).count();
    assert_eq!((closed, rig.streams.streams.len()), (2, 8));
}
