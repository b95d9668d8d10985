//! RIST sender and receiver per packet, on the pure machines: 1316 bytes at 100 Mbit/s and 1000 ms of latency, in
//! virtual time, RTCP of both directions included. The network between them takes no time to compute.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use strata_media::bond::{self, BondConfig, BondLink, sender as bond_sender};
use strata_media::rist::{self, receiver as rist_receiver};

const PAYLOAD: usize = 1316;
const INTERVAL: Duration = Duration::from_nanos(PAYLOAD as u64 * 8 * 10);

/// A sender, a receiver, and links that lose every `lose`-th packet.
struct Pair {
    now: Instant,
    sender: bond::Sender,
    sender_due: Instant,
    receiver: Option<rist::Receiver>,
    receiver_due: Instant,
    payload: Bytes,
    slab: BytesMut,
    lose: u64,
    sent: u64,
    delivered: u64,
}

impl Pair {
    fn new(links: usize, lose: u64, receiving: bool) -> Self {
        #[expect(clippy::disallowed_methods, reason = "virtual time starts anywhere")]
        let now = Instant::now();
        let bond_links = (0..links).map(|id| BondLink { id: id as u32, ..BondLink::default() }).collect();
        let receiver = rist::Receiver::new(now, rist::ReceiverConfig::new(links, 2));
        let mut pair = Self {
            now,
            sender: bond::Sender::new(now, BondConfig::new(bond_links, 1)),
            sender_due: now,
            receiver: receiving.then_some(receiver),
            receiver_due: now,
            payload: Bytes::from(vec![0x47; PAYLOAD]),
            slab: BytesMut::new(),
            lose,
            sent: 0,
            delivered: 0,
        };
        // Until the buffers are as full as they get, and the capacity is found.
        for _ in 0..30_000 {
            pair.packet();
        }
        pair
    }

    /// One payload from the one end to the other.
    fn packet(&mut self) {
        self.now += INTERVAL;
        if self.now >= self.sender_due {
            self.sender.handle_input(self.now, bond_sender::Input::Timeout);
            self.poll_sender();
        }
        self.sender.handle_input(self.now, bond_sender::Input::Payload(self.payload.clone()));
        self.poll_sender();
        if self.now >= self.receiver_due && self.receiver.is_some() {
            self.receive(rist_receiver::Input::Timeout);
        }
    }

    fn poll_sender(&mut self) {
        loop {
            match self.sender.poll_output() {
                bond_sender::Output::Rtp { link, media } => {
                    self.sent += 1;
                    if self.receiver.is_none() || self.lose != 0 && self.sent.is_multiple_of(self.lose) {
                        continue;
                    }
                    // As the kernel does: header and payload into the memory the receiver reads into.
                    if self.slab.capacity() < media.len() {
                        self.slab = BytesMut::with_capacity(128 << 10);
                    }
                    self.slab.extend_from_slice(&media.header);
                    self.slab.extend_from_slice(&media.payload);
                    let data = self.slab.split().freeze();
                    self.receive(rist_receiver::Input::Rtp { link, from: from(link), data });
                }
                bond_sender::Output::Rtcp { link, data } => {
                    self.receive(rist_receiver::Input::Rtcp { link, from: from(link), data: &data });
                }
                bond_sender::Output::Timeout(at) => {
                    self.sender_due = at;
                    return;
                }
                _ => {}
            }
        }
    }

    fn receive(&mut self, input: rist_receiver::Input<'_>) {
        let Some(receiver) = &mut self.receiver else { return };
        receiver.handle_input(self.now, input);
        loop {
            match receiver.poll_output() {
                rist_receiver::Output::Transmit { link, data, .. } => {
                    self.sender.handle_input(self.now, bond_sender::Input::Rtcp { link, data: &data });
                }
                rist_receiver::Output::Packet(packet) => {
                    self.delivered += 1 + packet.lost_before;
                    std::hint::black_box(packet);
                }
                rist_receiver::Output::Timeout(at) => {
                    self.receiver_due = at;
                    return;
                }
                _ => {}
            }
        }
    }
}

fn from(link: usize) -> SocketAddr {
    SocketAddr::from(([10, 0, 0, link as u8], 5000))
}

fn rist(c: &mut Criterion) {
    let mut group = c.benchmark_group("rist, per packet of 1316 B");
    group.throughput(Throughput::Bytes(PAYLOAD as u64));
    for (name, links, lose, receiving) in [
        ("sender alone", 1, 0, false),
        ("sender + receiver", 1, 0, true),
        ("sender + receiver, 1 % lost", 1, 100, true),
        ("sender + receiver, 2 links, 1 % lost", 2, 100, true),
        ("sender + receiver, 4 links, 1 % lost", 4, 100, true),
    ] {
        let mut pair = Pair::new(links, lose, receiving);
        group.bench_function(name, |b| b.iter(|| pair.packet()));
        assert!(!receiving || pair.delivered > 0);
    }
    group.finish();
}

criterion_group!(benches, rist);
criterion_main!(benches);
