//! What a sender, and what a receiver, puts on the wire (TR-06-1, 5.2 and 5.3), looked at byte by byte, in virtual time.

use std::collections::{HashMap, HashSet, VecDeque};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use bytes::Bytes;
use strata_media::bond::sender::{Input, Output};
use strata_media::bond::{BondConfig, BondLink, Sender};
use strata_media::rist::rtcp::{Compound, Loss, Packet, Writer};
use strata_media::rist::rtp::Header;
use strata_media::rist::{Receiver, ReceiverConfig, receiver};

const MS: Duration = Duration::from_millis(1);

/// A sender by two links that nobody answers; what it sends, with its time since the start.
pub(crate) struct Wire {
    start: Instant,
    pub(crate) now: Instant,
    pub(crate) sender: Sender,
    rtp: Vec<(usize, Vec<u8>)>,
    pub(crate) rtcp: Vec<(usize, Duration)>,
    /// The same datagrams, each with the packets and payload bytes that were sent before it, repeats aside.
    pub(crate) reports: Vec<(Bytes, (u32, u32))>,
    /// Numbers of those packets.
    originals: HashSet<[u8; 2]>,
    sent: (u32, u32),
}

impl Wire {
    /// SSRC of who receives.
    pub(crate) const PEER: u32 = 7;

    pub(crate) fn new() -> Self {
        #[expect(clippy::disallowed_methods, reason = "virtual time starts anywhere")]
        let start = Instant::now();
        let sender = Sender::new(start, BondConfig::new(vec![BondLink::default(); 2], 1));
        Self {
            start,
            now: start,
            sender,
            rtp: Vec::new(),
            rtcp: Vec::new(),
            reports: Vec::new(),
            originals: HashSet::new(),
            sent: (0, 0),
        }
    }

    /// A payload per millisecond, each another one.
    pub(crate) fn run(&mut self, ms: u32) {
        for _ in 0..ms {
            let number = self.since().as_millis() as u64;
            let payload = [&[0x47; 180][..], &number.to_be_bytes()].concat();
            self.sender.handle_input(self.now, Input::Payload(Bytes::from(payload)));
            self.sender.handle_input(self.now, Input::Timeout);
            self.poll();
            self.now += MS;
        }
    }

    fn ask(&mut self, link: usize, losses: &[Loss]) {
        let ssrc = self.sender.ssrc();
        self.tell(link, |writer| writer.range_nack(ssrc, losses));
    }

    /// What a receiver says by a link.
    pub(crate) fn tell(&mut self, link: usize, write: impl FnOnce(&mut Writer)) {
        let mut writer = Writer::new();
        writer.receiver_report(Self::PEER, None);
        writer.source_description(Self::PEER, "receiver");
        write(&mut writer);
        self.sender.handle_input(self.now, Input::Rtcp { link, data: &writer.finish() });
        self.poll();
    }

    /// How long it has run.
    pub(crate) fn since(&self) -> Duration {
        self.now - self.start
    }

    fn poll(&mut self) {
        loop {
            match self.sender.poll_output() {
                Output::Rtp { link, media } => {
                    if self.originals.insert([media.header[2], media.header[3]]) {
                        let (packets, octets) = self.sent;
                        self.sent = (packets + 1, octets + media.payload.len() as u32);
                    }
                    self.rtp.push((link, [&media.header[..], &media.payload[..]].concat()));
                }
                Output::Rtcp { link, data } => {
                    self.rtcp.push((link, self.since()));
                    self.reports.push((data, self.sent));
                }
                Output::Timeout(_) => return,
                _ => {}
            }
        }
    }
}

/// A repeat is the packet as it was, time stamp and all, but for the lowest bit of its SSRC.
#[test]
fn a_repeat_is_the_same_but_for_one_bit() {
    let mut wire = Wire::new();
    for round in 0..10 {
        wire.run(200);
        let first = u16::from_be_bytes([wire.rtp[0].1[2], wire.rtp[0].1[3]]).wrapping_add(150 * round);
        wire.ask(usize::from(round % 2), &[Loss { first, additional: 40 }]);
    }
    wire.run(200);
    let mut originals: HashMap<[u8; 2], Vec<u8>> = HashMap::new();
    let (mut first, mut repeats) = (HashSet::new(), 0);
    for (link, mut packet) in wire.rtp {
        let number = [packet[2], packet[3]];
        let is_repeat = packet[11] & 1 == 1;
        packet[11] &= !1;
        assert_eq!(packet[8..12], wire.sender.ssrc().to_be_bytes());
        // By another link it may be sent for the first time as well (5.4).
        assert!(is_repeat || first.insert((link, number)), "{number:?} is not told to be a repeat");
        assert!(!is_repeat || originals.contains_key(&number), "{number:?} was never sent");
        assert_eq!(originals.entry(number).or_insert_with(|| packet.clone()), &packet);
        repeats += usize::from(is_repeat);
    }
    assert!(originals.len() == 2200 && repeats >= 400, "{} {repeats}", originals.len());
    // They are told apart by their time: 90 kHz, 1 ms each.
    let stamps: HashSet<_> = originals.values().map(|packet| packet[4..8].to_vec()).collect();
    assert_eq!(stamps.len(), originals.len());
}

/// A path's first reports follow one another closely, so that its receiver knows where to answer though some are lost; then they come
/// at least every 100 ms.
#[test]
fn the_first_reports_of_a_path_are_close_together() {
    let mut wire = Wire::new();
    wire.run(3000);
    for link in 0..2 {
        let times: Vec<_> = wire.rtcp.iter().filter(|(of, _)| *of == link).map(|(_, at)| *at).collect();
        assert!(times[0] <= MS && times[3] <= MS * 70, "link {link}: {times:?}");
        let apart: Vec<_> = times.windows(2).map(|pair| pair[1] - pair[0]).collect();
        assert!(apart.iter().all(|&apart| apart <= MS * 100), "link {link}: {times:?}");
        assert!(apart[10..].iter().all(|&apart| apart >= MS * 50), "link {link}: {times:?}");
    }
}

/// The packets of an RTCP datagram: a report, a source description with the canonical name, and what else there is.
pub(crate) fn parts(datagram: &[u8]) -> Vec<Packet<'_>> {
    let compound = Compound::parse(datagram).expect("it is well-formed");
    let packets: Vec<_> = compound.map(|packet| packet.expect("it is well-formed")).collect();
    let [
        Packet::SenderReport { ssrc, .. } | Packet::ReceiverReport { ssrc, .. },
        Packet::SourceDescription { ssrc: named, cname: b"strata" },
        ..,
    ] = packets[..]
    else {
        panic!("{packets:?}")
    };
    assert_eq!(ssrc, named);
    let words = |at: usize| usize::from(u16::from_be_bytes([datagram[at + 2], datagram[at + 3]])) + 1;
    let at = words(0) * 4;
    let name = &datagram[at..at + words(at) * 4];
    // One source, its name, and one to four zeros, by which the packet ends with a word (5.2.5).
    assert_eq!((name[0], name[8], name[9]), (0x81, 1, 6));
    let zeros = &name[10 + 6..];
    assert!((1..=4).contains(&zeros.len()) && zeros.iter().all(|&byte| byte == 0), "{name:?}");
    packets
}

/// What a sender says of itself is true of what it has sent until then, copies by another link and repeats left out, whether somebody
/// asks for some of it again or not; and it says whose it is each time.
#[test]
fn every_report_of_a_sender_has_its_name_and_counts_what_was_sent() {
    let mut wire = Wire::new();
    for round in 0..20u16 {
        wire.run(150);
        if round > 5 {
            let first = u16::from_be_bytes([wire.rtp[0].1[2], wire.rtp[0].1[3]]).wrapping_add(120 * round);
            wire.ask(usize::from(round % 2), &[Loss { first, additional: 9 }]);
        }
    }
    let ssrc = wire.sender.ssrc();
    wire.sender.handle_input(wire.now, Input::Bye);
    wire.poll();
    let (mut counted, mut byes) = (0, 0);
    for (data, sent) in &wire.reports {
        let packets = parts(data);
        byes += packets.iter().filter(|packet| matches!(packet, Packet::Bye { .. })).count();
        match &packets[0] {
            Packet::SenderReport { ssrc: of, packets, octets, ntp, .. } => {
                assert_eq!((*of, (*packets, *octets)), (ssrc, *sent));
                assert_eq!(data[0], 0x80, "without blocks");
                assert!(*ntp != 0);
                counted += 1;
            }
            Packet::ReceiverReport { ssrc: of, blocks } => {
                assert_eq!((*of, blocks.clone().count(), data[0]), (ssrc, 0, 0x80));
            }
            other => panic!("{other:?}"),
        }
    }
    // 3 s, by two links, each 90 ms; and a farewell by each.
    assert!(counted > 60 && byes == 2, "{counted} {byes}");
    assert_eq!(wire.sent, (3000, 3000 * 188), "all of it");
}

/// What a receiver sends to a sender that answers echoes, by link, with its time since the start.
pub(crate) struct Listens {
    start: Instant,
    pub(crate) at: u32,
    pub(crate) receiver: Receiver,
    due: Instant,
    pub(crate) sent: Vec<(usize, u32, Bytes)>,
    /// How long it takes until an echo is answered, and how much of that the answer says, both ms.
    pub(crate) answers: (u32, u32),
    /// Echoes to be answered: by which link, when, and the time stamp.
    asked: VecDeque<(usize, u32, u64)>,
}

impl Listens {
    pub(crate) const SSRC: u32 = 0x1000;

    pub(crate) fn new() -> Self {
        #[expect(clippy::disallowed_methods, reason = "virtual time starts anywhere")]
        let start = Instant::now();
        let receiver = Receiver::new(start, ReceiverConfig::new(2, 1));
        Self { start, at: 0, receiver, due: start, sent: Vec::new(), answers: (0, 0), asked: VecDeque::new() }
    }

    pub(crate) fn take_rtcp(&mut self, link: usize, write: impl FnOnce(&mut Writer)) {
        let mut writer = Writer::new();
        writer.sender_report(Self::SSRC, u64::from(self.at) << 22, self.at * 90, self.at, self.at * 2);
        writer.source_description(Self::SSRC, "sender");
        write(&mut writer);
        let from = SocketAddr::from(([10, 0, 0, link as u8], 6001));
        let data = &writer.finish();
        self.receiver.handle_input(self.now(), receiver::Input::Rtcp { link, from, data });
        self.poll();
    }

    pub(crate) fn now(&self) -> Instant {
        self.start + MS * self.at
    }

    /// A packet per millisecond, by one link and the other, but for those of `lost`; a report by each link every 90 ms.
    pub(crate) fn run(&mut self, ms: u32, lost: impl Fn(u32) -> bool) {
        for _ in 0..ms {
            let link = self.at as usize % 2;
            if !lost(self.at) {
                let header = Header {
                    marker: false,
                    payload_type: 33,
                    sequence: self.at as u16,
                    timestamp: self.at * 90,
                    ssrc: Self::SSRC,
                };
                let data = [&header.encode()[..], &[0x47; 188]].concat().into();
                let from = SocketAddr::from(([10, 0, 0, link as u8], 6000));
                self.receiver.handle_input(self.now(), receiver::Input::Rtp { link, from, data });
            }
            if self.at % 90 < 2 {
                self.take_rtcp(link, |_| {});
            }
            if self.now() >= self.due {
                self.receiver.handle_input(self.now(), receiver::Input::Timeout);
            }
            self.poll();
            self.answer();
            self.at += 1;
        }
    }

    fn answer(&mut self) {
        while let Some((link, _, timestamp)) = self.asked.pop_front_if(|&mut (_, due, _)| due <= self.at) {
            let processing_us = self.answers.1 * 1000;
            self.take_rtcp(link, |writer| writer.echo_response(Self::SSRC, timestamp, processing_us, &[]));
        }
    }

    fn poll(&mut self) {
        loop {
            match self.receiver.poll_output() {
                receiver::Output::Transmit { link, data, .. } => {
                    self.sent.push((link, self.at, data.clone()));
                    for packet in parts(&data) {
                        if let Packet::EchoRequest { timestamp, .. } = packet {
                            self.asked.push_back((link, self.at + self.answers.0, timestamp));
                        }
                    }
                }
                receiver::Output::Timeout(at) => {
                    self.due = at;
                    return;
                }
                _ => {}
            }
        }
    }
}

/// With losses and without, and while no media comes: on every link something at least every 100 ms (5.2.1), each time with a report of
/// exactly one block or none, and with its name.
#[test]
fn a_receiver_reports_on_every_link_at_least_every_100_ms() {
    let mut listens = Listens::new();
    listens.run(3000, |_| false);
    listens.run(3000, |at| at % 50 < 3);
    listens.run(1000, |_| true);
    listens.run(3000, |at| at % 200 == 0);
    let (mut requests, mut blocks_seen) = (0, 0);
    for (.., data) in &listens.sent {
        let packets = parts(data);
        let Packet::ReceiverReport { blocks, .. } = &packets[0] else { panic!("{packets:?}") };
        let of: Vec<_> = blocks.clone().map(|block| block.ssrc).collect();
        let header = [data[0], data[1], data[2], data[3]];
        match of[..] {
            [] => assert_eq!(header, [0x80, 201, 0, 1]),
            [ssrc] => assert_eq!((header, ssrc), ([0x81, 201, 0, 7], Listens::SSRC)),
            _ => panic!("{packets:?}"),
        }
        blocks_seen += of.len();
        requests += packets.iter().filter(|packet| matches!(packet, Packet::Nack { .. })).count();
    }
    assert!(requests > 60 && blocks_seen > 200, "{requests} {blocks_seen}");
    for link in 0..2 {
        let mut times: Vec<_> =
            listens.sent.iter().filter(|(of, ..)| *of == link).map(|(_, at, _)| *at).collect();
        times.push(listens.at);
        // The first one follows what is heard of the sender.
        assert!(times[0] <= 100, "link {link}: {times:?}");
        let apart = times.windows(2).map(|pair| pair[1] - pair[0]).max();
        assert!(apart <= Some(100), "link {link}: {apart:?}");
    }
}
