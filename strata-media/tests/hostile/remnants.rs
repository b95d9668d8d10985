//! Packets that a receiver before this one had asked for, or that went by a slow link, of a stream with more packets in its latency than
//! a new one is believed to miss: 40 per millisecond.

use std::collections::BTreeSet;

use super::*;

const RATE: u32 = 40;
const LATENCY: Duration = Duration::from_millis(400);
const REPEATED: u32 = SSRC | 1;

/// A receiver, and what it put out.
struct Rig {
    begin: Instant,
    receiver: Receiver,
    out: Vec<u32>,
    /// Lower halves of the numbers it said had arrived.
    told: BTreeSet<u16>,
}

impl Rig {
    fn new() -> Self {
        let begin = start();
        let mut config = ReceiverConfig::new(1, 1);
        config.latency = LATENCY;
        Self { begin, receiver: Receiver::new(begin, config), out: Vec::new(), told: BTreeSet::new() }
    }

    /// Packet `number` comes at this time of the receiver; it was made `number / RATE` ms after the sender's start.
    fn comes(&mut self, at: u32, number: u32, ssrc: u32) {
        self.datagram(at, rtp(number as u16, number / RATE * 90, ssrc));
    }

    fn datagram(&mut self, at: u32, data: Bytes) {
        self.receiver.handle_input(self.begin + MS * at, Input::Rtp { link: 0, from: peer(1), data });
        self.put_out();
    }

    /// The stream, `behind` ms after it was made.
    fn stream(&mut self, ms: std::ops::Range<u32>, behind: u32) {
        for at in ms {
            let first = (at - behind) * RATE;
            (first..first + RATE).for_each(|number| self.comes(at, number, SSRC));
            if at % 90 == 0 {
                let mut report = Writer::new();
                report.sender_report(SSRC, u64::from(at) << 32, (at - behind) * 90, 1, 1);
                report.source_description(SSRC, "sender");
                report.capabilities(SSRC, TAKES_FEEDBACK);
                let (now, data) = (self.begin + MS * at, &report.finish());
                self.receiver.handle_input(now, Input::Rtcp { link: 0, from: peer(1), data });
            }
        }
    }

    fn put_out(&mut self) {
        loop {
            match self.receiver.poll_output() {
                Output::Packet(packet) => self.out.push(packet.timestamp / 90),
                Output::Transmit { data, .. } => {
                    for packet in Compound::parse(&data).unwrap() {
                        if let rtcp::Packet::Feedback { arrivals, .. } = packet.unwrap() {
                            self.told.extend(arrivals.map(|arrival| arrival.sequence));
                        }
                    }
                }
                _ => return,
            }
        }
    }

    /// What came out was made in these milliseconds, and all of it: nothing is missing, nothing else was put out.
    fn put_out_all(&self, ms: std::ops::Range<u32>) {
        let made = ms.flat_map(|ms| std::iter::repeat_n(ms, RATE as usize));
        assert!(self.out.iter().copied().eq(made), "{} packets", self.out.len());
    }
}

/// The stream is known by its newest packets when older ones come: they are late.
#[test]
fn packets_from_before_the_first_one_make_no_other_stream() {
    for ssrc in [SSRC, REPEATED] {
        let mut rig = Rig::new();
        rig.stream(1000..1001, 20);
        for number in 800 * RATE..800 * RATE + 200 {
            rig.comes(1000, number, ssrc);
        }
        rig.stream(1001..3000, 20);
        let stats = rig.receiver.stats(rig.begin + MS * 3000);
        assert_eq!((stats.late_packets, stats.rejected_datagrams, stats.restarts), (200, 0, 0), "{stats:?}");
        rig.put_out_all(980..2580);
    }
}

/// What was asked for is the first to come: the stream begins with what is not repeated.
#[test]
fn repeats_that_come_first_make_room_for_the_stream() {
    let mut rig = Rig::new();
    for number in 800 * RATE..800 * RATE + 5 {
        rig.comes(1000, number, REPEATED);
    }
    rig.stream(1000..3000, 20);
    let stats = rig.receiver.stats(rig.begin + MS * 3000);
    assert_eq!((stats.lost_packets, stats.restarts), (0, 0), "{stats:?}");
    rig.put_out_all(980..2580);
}

/// More than 20 000 packets later than the newest, a number might as well be one that is still to come.
#[test]
fn a_repeat_from_long_ago_is_late() {
    let mut rig = Rig::new();
    rig.stream(1000..2000, 20);
    for number in 1450 * RATE..1450 * RATE + 10 {
        rig.comes(2000, number, REPEATED);
    }
    rig.stream(2000..4000, 20);
    let stats = rig.receiver.stats(rig.begin + MS * 4000);
    assert_eq!((stats.late_packets, stats.rejected_datagrams, stats.restarts), (10, 0, 0), "{stats:?}");
    rig.put_out_all(980..3580);
}

/// A stream falls silent, and what its sender still repeats of it begins long before what was put out.
#[test]
fn what_was_put_out_does_not_come_again_from_a_sender_that_repeats_for_longer() {
    for came in [1, 200] {
        let mut rig = Rig::new();
        rig.stream(1000..1000 + came, 20);
        for at in 0..600 {
            let first = (780 + at) * RATE;
            (first..first + RATE).for_each(|number| rig.comes(1420 + came + at, number, REPEATED));
        }
        rig.receiver.handle_input(rig.begin + MS * 3000, Input::Timeout);
        rig.put_out();
        rig.put_out_all(980..1380);
    }
}

/// A packet with a number far ahead begins what might be another stream. When the stream gets there, that has long been silent.
#[test]
fn a_number_far_ahead_does_not_end_the_stream() {
    let mut rig = Rig::new();
    rig.stream(1000..2000, 20);
    rig.datagram(2000, rtp((2730 * RATE) as u16, 1980 * 90, SSRC));
    rig.stream(2000..4000, 20);
    let stats = rig.receiver.stats(rig.begin + MS * 4000);
    assert_eq!((stats.lost_packets, stats.restarts), (0, 0), "{stats:?}");
    rig.put_out_all(980..3580);
}

/// Five packets are believed to miss a thousand, and not what a link that was tried out again after 200 ms left out. A sender that is
/// not told of what comes behind that would take its links for dead, and send five more after 200 ms.
#[test]
fn packets_behind_a_gap_that_is_not_believed_are_told_of() {
    let mut rig = Rig::new();
    rig.stream(990..991, 20);
    for number in (1200 * RATE..).take(5) {
        rig.comes(1220, number, SSRC);
    }
    rig.stream(1250..1400, 20);
    let sent = (1200 * RATE..1200 * RATE + 5).chain(1230 * RATE..1270 * RATE);
    let silent: Vec<_> = sent.filter(|&number| !rig.told.contains(&(number as u16))).collect();
    assert!(silent.is_empty(), "{} of them", silent.len());
    rig.stream(1400..3000, 20);
    let stats = rig.receiver.stats(rig.begin + MS * 3000);
    assert_eq!(rig.out.last(), Some(&2579), "{stats:?}");
    assert!(rig.out.is_sorted());
}
