//! Forged feedback while there are repair packets: capabilities, arrivals and losses that nobody saw.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use bytes::Bytes;
use strata_media::bond::sender::{Input, Output};
use strata_media::bond::{BondConfig, BondLink, Sender};
use strata_media::fec::{Arrived, Decoder, Encoder, Repair, repair_ssrc};
use strata_media::rist::receiver;
use strata_media::rist::rtcp::{Compound, Loss, Packet, RELAYED, Run, TAKES_FEEDBACK, TAKES_REPAIRS, Writer};
use strata_media::rist::rtp::Header;
use strata_media::rist::{Receiver, ReceiverConfig};

use super::memory::held;
use super::{MS, SSRC, peer, received, rtp, start};

const LATENCY: Duration = Duration::from_millis(250);
const PAYLOAD: [u8; 1316] = [0x47; 1316];

/// What a sender that is lied to has sent, bytes of payload.
#[derive(Debug, Default)]
struct Sent {
    given: usize,
    repairs: usize,
    repeats: usize,
    others: usize,
    rtcp: usize,
}

/// A peer that answers echo requests after 300 ms, and says what it likes.
struct Liar {
    sender: Sender,
    now: Instant,
    /// Time stamps, and when they are answered.
    echoes: VecDeque<(Instant, u64)>,
    /// Packets that were sent, when they could have been told of: source and number.
    carried: VecDeque<(Instant, u32, u16)>,
    /// Number of the newest packet, and how many there were.
    newest: u16,
    count: u32,
    sent: Sent,
}

impl Liar {
    fn new() -> Self {
        let now = start();
        let mut config = BondConfig::new(vec![BondLink::default()], 1);
        config.latency = LATENCY;
        let (echoes, carried) = Default::default();
        let sender = Sender::new(now, config);
        Self { sender, now, echoes, carried, newest: 0, count: 0, sent: Sent::default() }
    }

    /// A packet per 2 ms, 5 Mbit/s, and a datagram of lies for each.
    fn run(&mut self, packets: u32, lie: impl Fn(&mut Self, &mut Writer)) {
        for _ in 0..packets {
            self.now += MS * 2;
            self.count += 1;
            self.sender.handle_input(self.now, Input::Payload(Bytes::from_static(&PAYLOAD)));
            self.sent.given += PAYLOAD.len();
            let mut writer = Writer::new();
            writer.receiver_report(9, None);
            writer.source_description(9, "liar");
            lie(self, &mut writer);
            self.tell(&writer.finish());
            while let Some((_, stamp)) = self.echoes.pop_front_if(|(at, _)| *at <= self.now) {
                let mut writer = Writer::new();
                writer.receiver_report(9, None);
                writer.echo_response(9, stamp, 0, &[]);
                self.tell(&writer.finish());
            }
            self.sender.handle_input(self.now, Input::Timeout);
            self.drain();
        }
    }

    /// Feedback that can be true: of packets that were sent 300 ms ago, every twentieth is missing.
    fn credible(&mut self, writer: &mut Writer) {
        writer.capabilities(9, TAKES_FEEDBACK | TAKES_REPAIRS);
        let now = self.now;
        let due = std::iter::from_fn(|| self.carried.pop_front_if(|(at, ..)| *at <= now));
        let came: Vec<_> = due.filter(|(_, _, number)| number % 20 != 0).collect();
        let runs = came.iter().map(|&(_, ssrc, first)| Run { ssrc, first, offsets: &[Some(0)] });
        let ticks = u64::from(self.count) * 2 * 65_536 / 1000;
        if !came.is_empty() {
            writer.congestion_feedback(9, runs, ticks as u32);
        }
    }

    /// A word of every other packet of the last hundreds, of what comes next, and of other streams; capabilities that change; requests
    /// for everything.
    fn wild(&mut self, writer: &mut Writer) {
        let (ssrc, i) = (self.sender.ssrc(), self.count);
        writer
            .capabilities(9, TAKES_FEEDBACK | TAKES_REPAIRS | if i.is_multiple_of(7) { RELAYED } else { 0 });
        let offset = |j: u16| j.is_multiple_of(2).then_some(j.wrapping_mul(31) % 8190);
        let offsets: Vec<_> = (0..300).map(offset).collect();
        let first = self.newest.wrapping_sub(150);
        let ssrcs = [ssrc, ssrc | 1, ssrc ^ 2];
        let runs = ssrcs.map(|ssrc| Run { ssrc, first, offsets: &offsets });
        let repairs = Run { ssrc: repair_ssrc(ssrc), first: i as u16, offsets: &offsets };
        writer.congestion_feedback(9, runs.into_iter().chain([repairs]), i.wrapping_mul(0x0101_0101));
        writer.range_nack(ssrc, &[Loss { first, additional: u16::MAX }; 16]);
        writer.range_nack(ssrc ^ 2, &[Loss { first, additional: 9 }]);
    }

    fn tell(&mut self, data: &[u8]) {
        self.sender.handle_input(self.now, Input::Rtcp { link: 0, data });
        self.drain();
    }

    fn drain(&mut self) {
        for _ in 0..100_000 {
            match self.sender.poll_output() {
                Output::Rtp { media, .. } => {
                    let (header, _) = Header::decode(&media.header).unwrap();
                    let len = media.payload.len();
                    self.carried.push_back((self.now + MS * 300, header.ssrc, header.sequence));
                    if header.ssrc == repair_ssrc(self.sender.ssrc()) {
                        assert!(Repair::decode(&media.payload).is_ok());
                        self.sent.repairs += len;
                    } else if header.is_retransmission() {
                        self.sent.repeats += len;
                    } else {
                        self.newest = header.sequence;
                        self.sent.others += len;
                    }
                }
                Output::Rtcp { data, .. } => {
                    self.sent.rtcp += 1;
                    let asks = Compound::parse(&data).unwrap().find_map(|packet| match packet {
                        Ok(Packet::EchoRequest { timestamp, .. }) => Some(timestamp),
                        _ => None,
                    });
                    self.echoes.extend(asks.map(|stamp| (self.now + MS * 300, stamp)));
                }
                Output::Timeout(at) if at <= self.now => self.sender.handle_input(self.now, Input::Timeout),
                _ => return,
            }
        }
        panic!("does not come to an end");
    }
}

/// For a minute, of which it is believable half, neither what is sent grows beyond its share, nor what is kept.
#[test]
fn forged_feedback_makes_a_sender_do_no_more_than_it_may() {
    let mut liar = Liar::new();
    liar.run(5000, Liar::credible);
    let (before, mut most) = (held(), 0);
    for part in 0..25 {
        liar.run(1000, if part < 10 { Liar::credible } else { Liar::wild });
        liar.carried.clear();
        most = most.max(held() - before);
    }
    let (stats, sent) = (liar.sender.stats(liar.now), &liar.sent);
    println!("{sent:?}, {most} more bytes held; {stats:?}");
    // One in twenty is said to be lost, and what is asked for again comes too late: there are repair packets, 30 % of the stream at most, and
    // what was saved up for a block.
    assert!(sent.repairs > sent.given / 20 && sent.repairs <= sent.given * 3 / 10 + (128 << 10), "{sent:?}");
    assert!(sent.repeats <= sent.given + (64 << 10), "{sent:?}");
    assert!(sent.others <= sent.given, "{sent:?}");
    // A report per 90 ms, and answers.
    assert!(sent.rtcp <= 60_000 / 80, "{sent:?}");
    // At most 256 repair packets wait, 370 KB; packets under way take 100 bytes each.
    assert!(most < 1 << 20, "{most}");
    assert!(stats.unknown_arrivals > 15_000 * 150 && stats.foreign_requests == 15_000, "{stats:?}");
    // A million numbers are looked at in each of 30 seconds, and as many were saved up; before, one in twenty was asked for.
    assert!((30_000_000..=31_100_000).contains(&stats.requested), "{stats:?}");
    assert!(stats.unknown_requests + stats.refused + stats.retransmitted >= stats.requested, "{stats:?}");
}

/// Repair packets of a stream from who sends it and from who does not, each of a block of its own: what a receiver keeps is bounded,
/// and the stream comes out as it came in.
#[test]
fn forged_repair_packets_take_no_memory_and_no_packet() {
    let begin = start();
    let mut config = ReceiverConfig::new(1, 1);
    config.latency = LATENCY;
    let mut receiver = Receiver::new(begin, config);
    solve_one();
    let (mut out, mut most, before) = (Vec::new(), 0, held());
    for i in 0..5000u16 {
        let now = begin + MS * u32::from(i);
        let data = rtp(i, u32::from(i) * 90, SSRC);
        receiver.handle_input(now, receiver::Input::Rtp { link: 0, from: peer(1), data });
        for j in 0..10u8 {
            let header = Header {
                marker: false,
                payload_type: 126,
                sequence: i,
                timestamp: 0,
                ssrc: repair_ssrc(SSRC),
            };
            let mut data = header.encode().to_vec();
            let first = u32::from(i).wrapping_sub(60 * u32::from(j));
            data.extend([1, 128, 64, j]);
            data.extend(first.to_be_bytes());
            data.resize(data.len() + 1000 + usize::from(i % 200) * 2, j);
            let from = peer(1 + j % 2);
            receiver.handle_input(now, receiver::Input::Rtp { link: 0, from, data: data.into() });
        }
        out.extend(received(&mut receiver).0);
        most = most.max(held() - before);
    }
    let stats = receiver.stats(begin + MS * 5000);
    println!("{most} bytes held; {stats:?}");
    // Half of them came from where the stream does not.
    assert_eq!((stats.fec_packets, stats.rejected_datagrams), (25_000, 25_000));
    // Two MiB of repair packets, and what one block takes to be solved.
    assert!(most < 3 << 20, "{most}");
    receiver.handle_input(begin + MS * 7000, receiver::Input::Timeout);
    out.extend(received(&mut receiver).0);
    assert_eq!(out, (0..5000).collect::<Vec<_>>());
    let stats = receiver.stats(begin + MS * 7000);
    assert_eq!(stats.lost_packets, 0, "{stats:?}");
    // Some make packets that fit, if they are of the right length; all others, and their blocks, are gone.
    assert!(stats.fec_useless > 24_000 && stats.fec_throttled > 0, "{stats:?}");
    assert!(held() - before < 1 << 20, "{}", held() - before);
}

/// What is computed once for all blocks is there.
fn solve_one() {
    let (now, payload) = (start(), Bytes::from_static(&PAYLOAD));
    let mut encoder = Encoder::default();
    encoder.push(now, 1, 0, payload.clone());
    encoder.push(now, 2, 0, payload.clone());
    let repair = Repair::decode(&encoder.close(1).unwrap().repairs[0]).unwrap();
    let arrived = Arrived { now, until: now + LATENCY, from: (0, peer(1).ip()), first: 1 };
    let came = |number| (number == 1).then_some((&payload, 0));
    assert_eq!(Decoder::default().repair(&arrived, &repair, (1, 2), &came).len(), 1);
}
