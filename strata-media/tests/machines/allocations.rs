//! How often the machines ask for memory per packet while a stream runs, in virtual time.
#![expect(unsafe_code, reason = "an allocator that counts is one")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::net::SocketAddr;
use std::time::Instant;

use crate::world::inside::{Machine, at_work, work};
use crate::world::tunnels::{Memory, Tunnels};
use crate::world::{MS, SECOND, World};
use strata_media::bond::{Mode, SchedulerParams};
use strata_media::rist::psk::{AesType, Passphrase};
use strata_media::rist::rtcp::Writer;
use strata_media::rist::rtp::Header;
use strata_media::rist::tunnel::{self, Client, ClientOutput, Listener, ListenerInput, ListenerOutput, Psk};
use strata_media::rist::{Receiver, ReceiverConfig, receiver};
use strata_media::testing::netem::Config;

struct Counting;

thread_local! {
    /// By the sender, and by the receiver; what the world around them, and another test, asks for does not count.
    static COUNTS: [Cell<u64>; 2] = const { [const { Cell::new(0) }; 2] };
}

fn counts() -> [u64; 2] {
    COUNTS.with(|counts| counts.each_ref().map(Cell::get))
}

// SAFETY: everything is handed on to the system's allocator as it came.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        if let Some(machine) = at_work() {
            COUNTS.with(|counts| counts[machine as usize].set(counts[machine as usize].get() + 1));
        }
        // SAFETY: as the caller promised.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        // SAFETY: as the caller promised.
        unsafe { System.dealloc(memory, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// A stream of 10 Mbit/s by two links that lose this share of it.
fn world(mode: Mode, loss: f64) -> World {
    let links = [30, 40].map(|ms| Config::simple(20_000_000, MS * ms, loss));
    let mut world = World::new(1, &links, 10_000_000, SECOND);
    world.schedule(SchedulerParams::new(mode));
    world
}

/// By the sender and by the receiver per packet, in the second ten seconds of a stream.
fn allocations(name: &str, world: &mut World) -> [f64; 2] {
    world.run(SECOND * 10);
    let (before, sent) = (counts(), world.seen.sent);
    world.run(SECOND * 10);
    let after = counts();
    let packets = (world.seen.sent - sent) as f64;
    [Machine::Sender, Machine::Receiver].map(|machine| {
        let each = (after[machine as usize] - before[machine as usize]) as f64 / packets;
        println!("{name}, {machine:?}: {each:.5} allocations per packet");
        each
    })
}

/// Reports, requests and feedback included, in every mode, with and without a loss of 1 % and its repeats, bare and by tunnels with
/// a key of either length. What the receiver has on its way to the sender is kept by the emulated links, so that there is a new piece
/// of memory for datagrams now and then.
#[test]
fn a_packet_takes_no_allocation() {
    for mode in [Mode::Economy, Mode::Balanced, Mode::Robust] {
        for aes_type in [None, Some(AesType::Aes128), Some(AesType::Aes256)] {
            for loss in [0.0, 0.01] {
                let mut world = world(mode, loss);
                world.tunnels = aes_type.map(|aes_type| {
                    let mut psk = Psk::new(Passphrase::new("secret").unwrap());
                    psk.aes_type = aes_type;
                    Tunnels::new(world.now, 2, tunnel::Config::new(Some(psk)))
                });
                let name = format!("{mode}, {loss} lost, {aes_type:?}");
                let [sender, receiver] = allocations(&name, &mut world);
                assert!(sender <= 0.001 && receiver <= 0.01, "{name}: {sender}, {receiver}");
                let stats = world.sender.stats(world.now);
                let copied: u64 = stats.links.iter().map(|link| link.copied).sum();
                // As much as is meant: repeats of what was lost, and copies of all that there is room for.
                assert_eq!(stats.retransmitted > world.seen.sent / 200, loss > 0.0, "{name}: {stats:?}");
                assert!(mode != Mode::Robust || copied > world.seen.sent / 4, "{name}: {stats:?}");
            }
        }
    }
}

/// A stream of 1000 packets a second by a tunnel with this configuration, every fourth packet of its transport stream a null one; what
/// both ends ask for per packet in its second ten seconds.
fn allocations_by_tunnel(name: &str, config: &tunnel::Config) -> [f64; 2] {
    #[expect(clippy::disallowed_methods, reason = "virtual time starts anywhere")]
    let start = Instant::now();
    let from = SocketAddr::from(([10, 0, 0, 1], 5000));
    let mut client = Client::new(start, config.clone(), 1);
    let mut server = Listener::new(start, tunnel::Config::new(config.psk.clone()), 32, 2);
    let mut receiving = Receiver::new(start, ReceiverConfig::new(1, 3));
    let mut payload = Vec::new();
    for place in 0..7 {
        payload.extend(if place % 4 == 3 { [0x47, 0x1f, 0xff, 0x10] } else { [0x47, 1, 0, 0x10] });
        payload.resize((place + 1) * 188, 0xff);
    }
    let mut writer = Writer::new();
    writer.sender_report(2, 1 << 33, 0, 1, 1);
    writer.source_description(2, "sender");
    let report = writer.finish();
    let (mut memory, mut out, mut delivered, mut before) = (Memory::default(), Vec::new(), 0, [0; 2]);
    for number in 0..20_000u32 {
        let now = start + MS * number;
        let header = Header {
            marker: false,
            payload_type: 33,
            sequence: number as u16,
            timestamp: number * 90,
            ssrc: 2,
        };
        work(Machine::Sender, || client.rtp(&header.encode(), 0, &payload, &mut out));
        let media = memory.read(&out);
        // A report as often as they come.
        work(Machine::Sender, || if number % 90 == 0 { client.rtcp(&report, &mut out) } else { out.clear() });
        let rtcp = memory.read(&out);
        work(Machine::Receiver, || {
            for data in [media, rtcp].into_iter().filter(|data| !data.is_empty()) {
                server.handle_input(now, ListenerInput::Datagram { link: 0, from, data });
            }
            loop {
                match server.poll_output() {
                    ListenerOutput::Rtp { data, .. } => {
                        receiving.handle_input(now, receiver::Input::Rtp { link: 0, from, data });
                    }
                    ListenerOutput::Rtcp { data, .. } => {
                        receiving.handle_input(now, receiver::Input::Rtcp { link: 0, from, data: &data });
                    }
                    ListenerOutput::Timeout(_) => break,
                    _ => {}
                }
            }
            receiving.handle_input(now, receiver::Input::Timeout);
        });
        loop {
            match work(Machine::Receiver, || receiving.poll_output()) {
                receiver::Output::Packet(packet) => {
                    assert_eq!(packet.payload, payload);
                    delivered += 1;
                }
                receiver::Output::Transmit { to, data, .. } => {
                    work(Machine::Receiver, || server.rtcp(0, to, &data, &mut out));
                    let data = memory.read(&out);
                    work(Machine::Sender, || {
                        client.handle_input(now, tunnel::Input::Datagram(data));
                        while !matches!(client.poll_output(), ClientOutput::Timeout(_)) {}
                    });
                }
                _ => break,
            }
        }
        if number == 10_000 {
            before = counts();
        }
    }
    assert!(delivered > 18_000 && client.counters().taken > 200, "{delivered}, {:?}", client.counters());
    let after = counts();
    [Machine::Sender, Machine::Receiver].map(|machine| {
        let each = (after[machine as usize] - before[machine as usize]) as f64 / 10_000.0;
        println!("{name}, {machine:?}: {each:.5} allocations per packet");
        each
    })
}

/// In clear and with a key, with and without null packets. These are restored in pieces of memory that 197 payloads share; each
/// takes two allocations. Reports, one each 90 ms, are cut out of memory that is used again.
#[test]
fn a_packet_by_a_tunnel_takes_no_allocation() {
    let psk = || Some(Psk::new(Passphrase::new("secret").unwrap()));
    for (name, psk) in [("clear", None), ("a key", psk())] {
        for nulls in [false, true] {
            let mut config = tunnel::Config::new(psk.clone());
            config.null_packet_deletion = nulls;
            let [sender, receiver] =
                allocations_by_tunnel(&format!("{name}, nulls left out: {nulls}"), &config);
            let most = 0.001 + if nulls { 2.0 / 197.0 } else { 0.0 };
            assert!(sender <= 0.001 && receiver <= most, "{name}, {nulls}: {sender}, {receiver}");
        }
    }
}
