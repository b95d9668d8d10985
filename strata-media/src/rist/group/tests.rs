use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use proptest::prelude::*;

use super::*;
use crate::rist::receiver::{self, Input, Receiver, ReceiverConfig};
use crate::rist::sender::{self, Sender, SenderConfig};

const MS: Duration = Duration::from_millis(1);
const LATENCY: Duration = Duration::from_millis(400);

fn addr(host: u8, port: u16) -> SocketAddr {
    SocketAddr::from(([10, 0, 0, host], port))
}

/// Where the sender's RTCP comes from, and the group's RTCP goes.
fn sender_rtcp() -> SocketAddr {
    addr(1, 50_001)
}

fn group_rtcp() -> SocketAddr {
    SocketAddr::from(([239, 0, 0, 1], 6001))
}

/// Where a datagram is on its way to.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Way {
    Sender(To),
    Rtp(usize),
    Rtcp(usize),
}

struct Member {
    receiver: Receiver,
    delay: Duration,
    came: Vec<u64>,
}

/// A sender, a group and its members in virtual time. Of every ten packets, each member loses another one.
struct Net {
    now: Instant,
    /// By which ways the sender hears its members.
    hears: &'static [To],
    sender: Sender,
    group: Group,
    members: Vec<Member>,
    under_way: Vec<(Instant, Way, SocketAddr, Bytes)>,
    repeats: usize,
    /// Datagrams of members, by where they went to.
    said: [usize; 2],
}

impl Net {
    fn new(delays: &[Duration], hears: &'static [To]) -> Self {
        #[expect(clippy::disallowed_methods, reason = "virtual time starts anywhere")]
        let now = Instant::now();
        let mut config = SenderConfig::new(1, 7);
        config.latency = LATENCY;
        let sender = Sender::new(now, config);
        let member = |(index, &delay): (usize, &Duration)| {
            let mut config = ReceiverConfig::new(1, 100 + index as u64);
            (config.latency, config.groups) = (LATENCY, vec![Some(group_rtcp())]);
            Member { receiver: Receiver::new(now, config), delay, came: Vec::new() }
        };
        let members = delays.iter().enumerate().map(member).collect();
        let group = Group::new(sender.ssrc(), "test");
        Self { now, hears, sender, group, members, under_way: Vec::new(), repeats: 0, said: [0; 2] }
    }

    fn multicast(&mut self, data: &Bytes, way: fn(usize) -> Way) {
        for (index, member) in self.members.iter().enumerate() {
            self.under_way.push((self.now + member.delay, way(index), sender_rtcp(), data.clone()));
        }
    }

    fn drain_sender(&mut self) {
        loop {
            match self.sender.poll_output() {
                sender::Output::Timeout(_) => return,
                sender::Output::Send { number, repeat, .. } => {
                    let Some(media) = self.sender.take(self.now, number, 0, repeat) else { continue };
                    self.repeats += usize::from(repeat);
                    let data = Bytes::from([&media.header[..], &media.payload].concat());
                    self.multicast(&data, Way::Rtp);
                    let lost = number as usize % 10;
                    let lost = |way: &Way| matches!(way, Way::Rtp(index) if *index == lost);
                    self.under_way.retain(|(_, way, _, other)| repeat || *other != data || !lost(way));
                }
                sender::Output::Rtcp { data, .. } => {
                    self.group.sent(self.now, &data);
                    self.multicast(&data, Way::Rtcp);
                    // It comes back to who is in the group itself.
                    self.under_way.push((self.now, Way::Sender(To::Group), sender_rtcp(), data));
                }
                _ => {}
            }
        }
    }

    fn drain_member(&mut self, index: usize) {
        let from = addr(10 + index as u8, 6001);
        loop {
            match self.members[index].receiver.poll_output() {
                receiver::Output::Timeout(_) => return,
                receiver::Output::Packet(packet) => {
                    assert_eq!(packet.lost_before, 0, "member {index}");
                    self.members[index].came.push(packet.sequence);
                }
                receiver::Output::Transmit { to, data, .. } => {
                    let at = self.now + self.members[index].delay;
                    let group = to == group_rtcp();
                    assert!(group || to == sender_rtcp(), "{to}");
                    self.said[usize::from(!group)] += 1;
                    let to = if group { To::Group } else { To::Sender };
                    if self.hears.contains(&to) {
                        self.under_way.push((at, Way::Sender(to), from, data.clone()));
                    }
                    for other in (0..self.members.len()).filter(|&other| group && other != index) {
                        self.under_way.push((at, Way::Rtcp(other), from, data.clone()));
                    }
                }
            }
        }
    }

    fn arrive(&mut self, way: Way, from: SocketAddr, data: Bytes) {
        let now = self.now;
        match way {
            Way::Sender(to) => {
                let taken = self.group.receive(now, from, to, &data);
                if let Some(data) = taken.rtcp {
                    self.sender.handle_input(now, sender::Input::Rtcp { path: 0, data: &data });
                }
                if let Some(answer) = taken.answer {
                    let index =
                        self.members.iter().enumerate().position(|(i, _)| from == addr(10 + i as u8, 6001));
                    let index = index.unwrap();
                    let at = now + self.members[index].delay;
                    self.under_way.push((at, Way::Rtcp(index), sender_rtcp(), answer));
                }
                self.drain_sender();
            }
            Way::Rtp(index) => {
                let input = Input::Rtp { link: 0, from: addr(1, 50_000), data };
                self.members[index].receiver.handle_input(now, input);
                self.drain_member(index);
            }
            Way::Rtcp(index) => {
                let input = Input::Rtcp { link: 0, from, data: &data };
                self.members[index].receiver.handle_input(now, input);
                self.drain_member(index);
            }
        }
    }

    /// Sends two packets per millisecond for so long.
    fn run(&mut self, time: Duration) {
        self.go_on(time, 2);
    }

    /// Sends so many packets per millisecond for so long.
    fn go_on(&mut self, time: Duration, packets: usize) {
        let end = self.now + time;
        while self.now < end {
            self.now += MS;
            let (due, later) =
                std::mem::take(&mut self.under_way).into_iter().partition(|(at, ..)| *at <= self.now);
            self.under_way = later;
            let due: Vec<_> = due;
            due.into_iter().for_each(|(_, way, from, data)| self.arrive(way, from, data));
            for _ in 0..packets {
                self.sender.handle_input(self.now, sender::Input::Payload(Bytes::from_static(&[0x47; 188])));
            }
            self.sender.handle_input(self.now, sender::Input::Timeout);
            self.drain_sender();
            for index in 0..self.members.len() {
                self.members[index].receiver.handle_input(self.now, Input::Timeout);
                self.drain_member(index);
            }
        }
    }

    fn assert_whole(&self) {
        for (index, member) in self.members.iter().enumerate() {
            assert!(member.came.len() > 2000, "member {index}: {}", member.came.len());
            let range = member.came[0]..member.came[0] + member.came.len() as u64;
            assert!(member.came.iter().copied().eq(range), "member {index}");
        }
    }
}

const DELAYS: [Duration; 3] =
    [Duration::from_millis(5), Duration::from_millis(40), Duration::from_millis(20)];

#[test]
fn all_members_get_what_each_has_lost_and_one_way_back_is_enough() {
    let mut net = Net::new(&DELAYS, &[To::Group, To::Sender]);
    net.run(MS * 2000);
    // What was lost last is still to be asked for.
    net.go_on(LATENCY, 0);
    net.assert_whole();
    // Of 4000 packets, three in ten are lost by somebody.
    let stats = net.group.stats(net.now);
    // Until they know that one way is enough, they ask by both at once.
    let GroupStats { unproven, throttled_echoes, .. } = stats;
    assert_eq!(stats, GroupStats { members: 3, unproven, throttled_echoes, ..GroupStats::default() });
    assert!((1200..1350).contains(&net.repeats), "{}", net.repeats);
    let rtt = net.sender.rtt(0).unwrap();
    assert!(rtt >= MS * 70, "as the slowest one's: {rtt:?}");
    for member in &net.members {
        let rtt = member.receiver.stats(net.now).paths[0].rtt.unwrap();
        assert!(rtt.abs_diff(member.delay * 2) <= MS * 2, "its own: {rtt:?}");
    }
    let before = net.said;
    net.run(MS * 500);
    // To the sender alone go answers to its echo requests.
    let [group, alone] = [net.said[0] - before[0], net.said[1] - before[1]];
    assert!(group > 100 && alone <= 3 * 6, "{group}, {alone}");
}

/// As the standard says, and as librist does.
#[test]
fn a_sender_that_hears_by_one_way_serves_all() {
    for hears in [&[To::Group][..], &[To::Sender]] {
        let mut net = Net::new(&DELAYS, hears);
        net.run(MS * 2000);
        net.assert_whole();
    }
    let mut net = Net::new(&DELAYS, &[To::Sender]);
    net.run(MS * 1000);
    let before = net.said[0];
    net.run(MS * 500);
    assert_eq!(net.said[0], before, "nothing to the group, where the sender does not hear");
}

#[test]
fn who_has_not_answered_the_group_is_neither_heard_nor_answered() {
    let mut net = Net::new(&DELAYS[..1], &[To::Group, To::Sender]);
    net.run(MS * 200);
    let mut writer = Writer::new();
    writer.receiver_report(9, None);
    writer.source_description(9, "stranger");
    writer.echo_request(9, 1);
    let data = writer.finish();
    let before = net.group.stats(net.now).unproven;
    for host in 50..60 {
        assert_eq!(net.group.receive(net.now, addr(host, 6001), To::Sender, &data), Taken::default());
    }
    let stats = net.group.stats(net.now);
    assert_eq!((stats.unproven - before, stats.members), (10, 1));
    // By the group it is heard, and not answered.
    let taken = net.group.receive(net.now, addr(61, 6001), To::Group, &data);
    assert!(taken.rtcp.is_some() && taken.answer.is_none(), "{taken:?}");
}

#[test]
fn strangers_are_bounded_and_take_no_place_of_members() {
    let mut net = Net::new(&DELAYS, &[To::Group, To::Sender]);
    net.run(MS * 300);
    let mut writer = Writer::new();
    writer.receiver_report(9, None);
    writer.source_description(9, "stranger");
    let data = writer.finish();
    for port in 1..2000 {
        net.group.receive(net.now, addr(50, port), To::Sender, &data);
    }
    assert_eq!(net.group.members.len(), MAX_MEMBERS);
    assert!(net.group.stats(net.now).crowded > 1700);
    assert_eq!(net.group.stats(net.now).members, 3);
    net.run(MS * 1500);
    net.assert_whole();
}

#[test]
fn feedback_of_one_member_is_not_taken_for_all() {
    let mut net = Net::new(&DELAYS[..1], &[To::Group, To::Sender]);
    net.run(MS * 200);
    let mut writer = Writer::new();
    writer.receiver_report(9, None);
    writer.source_description(9, "one");
    writer.congestion_feedback(9, [], 5);
    writer.range_nack(net.sender.ssrc(), &[crate::rist::rtcp::Loss { first: 1, additional: 0 }]);
    let taken = net.group.receive(net.now, addr(10, 6001), To::Group, &writer.finish()).rtcp.unwrap();
    let kinds: BTreeSet<_> = Compound::parse(&taken)
        .unwrap()
        .map(|packet| {
            let name = format!("{:?}", packet.unwrap());
            name.split([' ', '{']).next().unwrap().to_owned()
        })
        .collect();
    assert_eq!(kinds, ["Nack", "ReceiverReport", "SourceDescription"].map(str::to_owned).into());
    assert_eq!(net.group.stats(net.now).feedback, 1);
}

/// What happens to a group.
#[derive(Debug, Clone)]
enum Operation {
    /// The sender asks the group.
    Ask(u64),
    /// Somebody speaks, and answers a question, perhaps; as it says, or cut off.
    Speak {
        host: u8,
        group: bool,
        answers: Option<u8>,
        asks: bool,
        tells: bool,
        cut: Option<u8>,
    },
    /// Bytes of nobody.
    Raw {
        host: u8,
        group: bool,
        data: Vec<u8>,
    },
    Pass(u16),
}

fn operations() -> impl Strategy<Value = Vec<Operation>> {
    let speak =
        (0u8..6, any::<bool>(), any::<Option<u8>>(), any::<bool>(), any::<bool>(), any::<Option<u8>>());
    proptest::collection::vec(
        prop_oneof![
            any::<u64>().prop_map(Operation::Ask),
            speak.prop_map(|(host, group, answers, asks, tells, cut)| Operation::Speak {
                host,
                group,
                answers,
                asks,
                tells,
                cut
            }),
            (0u8..6, any::<bool>(), any::<Vec<u8>>()).prop_map(|(host, group, data)| Operation::Raw {
                host,
                group,
                data
            }),
            (0u16..2000).prop_map(Operation::Pass),
        ],
        0..60,
    )
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    /// Only who has answered the group lately is answered, or heard where strangers can speak, too; and what reaches the sender is what
    /// can be taken for all.
    #[test]
    fn whatever_is_said_only_members_are_heard_and_answered(operations in operations()) {
        #[expect(clippy::disallowed_methods, reason = "virtual time starts anywhere")]
        let mut now = Instant::now();
        let mut group = Group::new(8, "sender");
        let (mut asked, mut proven): (Vec<u64>, BTreeMap<u8, Instant>) = Default::default();
        for operation in operations {
            let (host, to, data) = match operation {
                Operation::Ask(stamp) => {
                    let mut writer = Writer::new();
                    writer.receiver_report(8, None);
                    writer.echo_request(8, stamp);
                    group.sent(now, &writer.finish());
                    asked.push(stamp);
                    continue;
                }
                Operation::Pass(ms) => {
                    now += MS * u32::from(ms);
                    continue;
                }
                Operation::Raw { host, group, data } => (host, group, data),
                Operation::Speak { host, group, answers, asks, tells, cut } => {
                    let mut writer = Writer::new();
                    writer.receiver_report(9, None);
                    writer.source_description(9, "member");
                    let stamp = answers.map(|index| asked.get(usize::from(index) % 4).copied().unwrap_or(7));
                    if let Some(stamp) = stamp {
                        writer.echo_response(9, stamp, 0, &[]);
                    }
                    if asks {
                        writer.echo_request(9, 5);
                    }
                    if tells {
                        writer.congestion_feedback(9, [], 5);
                        writer.capabilities(9, 7);
                    }
                    let data = writer.finish();
                    let len = cut.map_or(data.len(), |cut| usize::from(cut).min(data.len()));
                    // Of an answer that is cut off, nobody knows whether it is read.
                    if let Some(stamp) = stamp.filter(|stamp| asked.contains(stamp)) {
                        let read = Compound::parse(&data[..len]).into_iter().flatten().flatten();
                        let is = |packet: Packet<'_>| matches!(packet, Packet::EchoResponse { timestamp, .. } if timestamp == stamp);
                        if read.into_iter().any(is) {
                            proven.insert(host, now);
                        }
                    }
                    (host, group, data[..len].to_vec())
                }
            };
            let to = if to { To::Group } else { To::Sender };
            let taken = group.receive(now, addr(host, 6001), to, &data);
            let is_member = proven.get(&host).is_some_and(|&at| now < at + FORGET);
            prop_assert!(is_member || taken.answer.is_none() && (to == To::Group || taken.rtcp.is_none()));
            for packet in taken.rtcp.iter().flat_map(|data| Compound::parse(data).unwrap()) {
                let packet = packet.unwrap();
                let alone = matches!(packet, Packet::EchoRequest { .. } | Packet::Feedback { .. } | Packet::Capabilities { .. });
                prop_assert!(!alone, "{packet:?}");
            }
            prop_assert!(group.members.len() <= 6 && group.stats(now).members <= 6);
        }
    }
}
