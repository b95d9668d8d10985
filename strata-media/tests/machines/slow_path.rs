//! Paths so slow that nothing they carry comes in time, or that are gone: packets are asked for as if there were only the
//! others. Towards a sender that knows nothing beyond the standard, in virtual time.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use bytes::Bytes;
use strata_media::rist::receiver::{Input, Output};
use strata_media::rist::rtcp::{Compound, Packet, Writer};
use strata_media::rist::rtp::{Header, RETRANSMISSION_BIT};
use strata_media::rist::{Receiver, ReceiverConfig, ReceiverStats};
use strata_media::testing::netem::{self, Config, Link, Loss};

const MS: Duration = Duration::from_millis(1);
const SSRC: u32 = 0x1000;

#[derive(Clone)]
struct Datagram {
    rtcp: bool,
    data: Bytes,
}

impl netem::Packet for Datagram {
    fn size(&self) -> usize {
        self.data.len()
    }
}

/// A sender that puts every packet on every link, repeats each by the link it is asked for on, and reports every 100 ms; the
/// links; a receiver.
struct World {
    now: Instant,
    receiver: Receiver,
    links: Vec<(Link<Datagram>, Link<Datagram>)>,
    /// Packets by number, with their retransmission bit.
    sent: HashMap<u16, Bytes>,
    tick: u32,
    delivered: u64,
    lost: u64,
    repeats: u64,
}

impl World {
    fn new(links: &[Config], latency: Duration) -> Self {
        #[expect(clippy::disallowed_methods, reason = "virtual time starts anywhere")]
        let now = Instant::now();
        let mut config = ReceiverConfig::new(links.len(), 1);
        config.latency = latency;
        let link = |(index, config): (usize, &Config)| {
            (Link::new(config.clone(), 2 * index as u64), Link::new(config.clone(), 2 * index as u64 + 1))
        };
        Self {
            now,
            receiver: Receiver::new(now, config),
            links: links.iter().enumerate().map(link).collect(),
            sent: HashMap::new(),
            tick: 0,
            delivered: 0,
            lost: 0,
            repeats: 0,
        }
    }

    /// One packet per 2 ms.
    fn run(&mut self, time: Duration) -> &mut Self {
        let end = self.now + time;
        while self.now < end {
            if self.tick.is_multiple_of(2) {
                self.media((self.tick / 2) as u16);
            }
            if self.tick.is_multiple_of(100) {
                self.report();
            }
            self.tick += 1;
            self.now += MS;
            self.carry();
        }
        self
    }

    fn media(&mut self, sequence: u16) {
        let header = |ssrc| {
            let timestamp = self.tick * 90;
            Header { marker: false, payload_type: 33, sequence, timestamp, ssrc }.encode()
        };
        let payload = [0x47; 188];
        self.sent.insert(sequence, Bytes::from([&header(SSRC | RETRANSMISSION_BIT)[..], &payload].concat()));
        let data = Bytes::from([&header(SSRC)[..], &payload].concat());
        for link in 0..self.links.len() {
            self.give(link, false, data.clone());
        }
    }

    fn report(&mut self) {
        for link in 0..self.links.len() {
            let mut writer = begin();
            writer.echo_request(SSRC, u64::from(self.tick));
            self.give(link, true, writer.finish());
        }
    }

    fn give(&mut self, link: usize, rtcp: bool, data: Bytes) {
        self.links[link].0.push(self.now, Datagram { rtcp, data });
    }

    fn carry(&mut self) {
        let now = self.now;
        for link in 0..self.links.len() {
            while let Some(arrived) = self.links[link].0.poll(now) {
                let Datagram { rtcp, data } = arrived.packet;
                let from = SocketAddr::from(([10, 0, 0, link as u8], 6000 + u16::from(rtcp)));
                let input = match rtcp {
                    true => Input::Rtcp { link, from, data: &data },
                    false => Input::Rtp { link, from, data },
                };
                self.receiver.handle_input(now, input);
                self.poll();
            }
            while let Some(arrived) = self.links[link].1.poll(now) {
                self.answer(link, &arrived.packet.data);
            }
        }
        self.receiver.handle_input(now, Input::Timeout);
        self.poll();
    }

    fn answer(&mut self, link: usize, data: &[u8]) {
        for packet in Compound::parse(data).expect("it is well-formed") {
            match packet.expect("it is well-formed") {
                Packet::EchoRequest { timestamp, padding, .. } => {
                    let mut writer = begin();
                    writer.echo_response(SSRC, timestamp, 0, padding);
                    self.give(link, true, writer.finish());
                }
                Packet::Nack { losses, .. } => {
                    for loss in losses {
                        for number in (0..=loss.additional).map(|more| loss.first.wrapping_add(more)) {
                            self.repeats += 1;
                            self.give(link, false, self.sent[&number].clone());
                        }
                    }
                }
                _ => {}
            }
        }
    }

    fn poll(&mut self) {
        loop {
            match self.receiver.poll_output() {
                Output::Transmit { link, data, .. } => {
                    self.links[link].1.push(self.now, Datagram { rtcp: true, data });
                }
                Output::Packet(packet) => {
                    self.delivered += 1;
                    self.lost += packet.lost_before;
                }
                _ => return,
            }
        }
    }

    fn stats(&self) -> ReceiverStats {
        let stats = self.receiver.stats(self.now);
        println!("{} delivered, {} lost, {} repeats, {stats:?}", self.delivered, self.lost, self.repeats);
        stats
    }
}

fn begin() -> Writer {
    let mut writer = Writer::new();
    writer.receiver_report(SSRC, None);
    writer.source_description(SSRC, "standard");
    writer
}

fn link(ms: u32, loss: f64) -> Config {
    Config { loss: Loss::Random { rate: loss }, ..Config::simple(20_000_000, MS * ms, 0.0) }
}

/// 5 % of one link are lost; what the other one carries comes half a second too late.
#[test]
fn a_path_that_is_too_slow_does_not_delay_requests() {
    let mut world = World::new(&[link(20, 0.05), link(1500, 0.0)], MS * 1000);
    world.run(MS * 60_000);
    let stats = world.stats();
    assert_eq!(world.lost, 0);
    assert!(world.delivered > 29_000);
    // Each of the 1500 once, and of those once more a tenth, which is lost on the way there or back, and so on.
    let most = (1500.0 / 0.9 * 1.1) as u64;
    assert!(stats.requested_packets < most, "{} of {most}", stats.requested_packets);
}

/// A path is nearly full, 400 ms there, and then gone. The other one begins to lose packets.
#[test]
fn a_path_that_is_gone_does_not_delay_requests() {
    let mut world = World::new(&[link(20, 0.0), link(400, 0.0)], MS * 1000);
    world.run(MS * 5000);
    world.links[1].0.configure(world.now, link(400, 1.0));
    world.links[1].1.configure(world.now, link(400, 1.0));
    world.run(MS * 700);
    world.links[0].0.configure(world.now, link(20, 0.3));
    world.links[0].1.configure(world.now, link(20, 0.1));
    world.run(MS * 9000);
    world.stats();
    assert_eq!(world.lost, 0);
}
