//! RIST Simple Profile with librist's own tools (Debian `rist-tools`, installed by `make setup`), both ways,
//! through an emulated lossy link: 60 s of a transport stream of constant rate, in real time, byte for byte.
#![expect(clippy::disallowed_types, reason = "real programs over real sockets")]

use std::net::SocketAddr;
use std::process::Stdio;
use std::time::Duration;

use bytes::Bytes;
use strata_media::net::{self, LinkConfig, ReceiverConfig, SenderConfig};
use strata_media::testing::netem::Config;
use strata_media::testing::relay::{Mapping, Relay, RelayConfig, relay};
use tokio::net::UdpSocket;
use tokio::process::{Child, Command};
use tokio::time::{MissedTickBehavior, interval, timeout};

/// How long the stream that is compared lasts.
const LENGTH: Duration = Duration::from_secs(60);
/// Sent before and after it: the session is made, and the last packets can be asked for.
const MARGIN: Duration = Duration::from_secs(3);
/// A burst of `BURST` datagrams of 1316 bytes every 10 ms: 4.2 Mbit/s.
const BURST: u64 = 4;
const TICK: Duration = Duration::from_millis(10);

/// Datagram `number` of a transport stream: seven packets with continuity counters, filled from the number.
fn datagram(number: u64) -> Bytes {
    let mut out = Vec::with_capacity(7 * 188);
    for index in number * 7..number * 7 + 7 {
        out.extend([0x47, 0x01, 0x00, 0x10 | (index % 16) as u8]);
        out.extend(index.to_be_bytes());
        let mut state = index;
        while out.len() % 188 != 0 {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            out.extend(&state.to_be_bytes()[..4]);
        }
    }
    out.into()
}

fn number(datagram: &[u8]) -> u64 {
    let mut bytes = [0; 8];
    bytes.copy_from_slice(&datagram[4..12]);
    u64::from_be_bytes(bytes) / 7
}

/// An address of this test's own, so that fixed ports meet nobody.
fn own(test: u8, host: u8, port: u16) -> SocketAddr {
    let pid = std::process::id();
    SocketAddr::from(([127, 100 + test, pid as u8, host + ((pid >> 8) as u8 & 0xf0)], port))
}

/// A link of 20 Mbit/s, 20 ms and 2 % of loss each way, in front of a receiver at `to`.
fn lossy(to: SocketAddr) -> (Relay, SocketAddr) {
    let above = |addr: SocketAddr| SocketAddr::new(addr.ip(), addr.port() + 1);
    let listen = SocketAddr::new(to.ip(), to.port() + 100);
    let mapping = |listen, forward| Mapping { listen, forward };
    let mappings = vec![mapping(listen, to), mapping(above(listen), above(to))];
    let link = Config::simple(20_000_000, Duration::from_millis(20), 0.02);
    let (relay, driver) = relay(RelayConfig::new(mappings, link)).expect("addresses of its own");
    tokio::spawn(driver.run());
    (relay, listen)
}

fn tool(name: &str, input: &str, output: &str) -> Child {
    Command::new(name)
        .args(["-p", "0", "-b", "1000", "-S", "0", "-v", "4", "-i", input, "-o", output])
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .unwrap_or_else(|error| panic!("cannot start {name} ({error}); `make setup` installs rist-tools"))
}

/// Checks what comes out: from the first datagram on, every one, in order, byte for byte, for `LENGTH`.
struct Check {
    first: Option<u64>,
    next: u64,
}

impl Check {
    /// Whether it is complete.
    fn take(&mut self, datagram_: &[u8]) -> bool {
        let number = number(datagram_);
        let first = *self.first.get_or_insert(number);
        if number == first {
            self.next = number;
        }
        assert_eq!(number, self.next, "{} datagrams after the first", self.next - first);
        assert!(datagram_ == datagram(number), "datagram {number} differs");
        self.next += 1;
        self.next - first >= ticks(LENGTH) * BURST
    }
}

fn ticks(time: Duration) -> u64 {
    (time.as_nanos() / TICK.as_nanos()) as u64
}

/// Calls `send` for every datagram of the stream, at its time.
async fn stream<F: Future<Output = ()>>(send: impl Fn(Bytes) -> F) {
    let mut timer = interval(TICK);
    timer.set_missed_tick_behavior(MissedTickBehavior::Burst);
    for tick in 0..ticks(LENGTH + MARGIN * 2) {
        timer.tick().await;
        for index in 0..BURST {
            send(datagram(tick * BURST + index)).await;
        }
    }
}

#[tokio::test]
async fn librist_receives_what_strata_sends() {
    let receiver = own(1, 1, 5000);
    let output = UdpSocket::bind(own(1, 2, 6000)).await.unwrap();
    let (relay, link) = lossy(receiver);
    let url = format!("rist://@{receiver}?buffer=1000");
    let _tool = tool("ristreceiver", &url, &format!("udp://{}", output.local_addr().unwrap()));
    let (sender, driver) = net::sender(SenderConfig::new(vec![LinkConfig::new(0, link)])).unwrap();
    tokio::spawn(driver.run());
    let sending = stream(async |payload| sender.send(payload).await.unwrap());
    let checking = async {
        let mut check = Check { first: None, next: 0 };
        let mut buffer = [0; 2048];
        loop {
            let len = output.recv(&mut buffer).await.unwrap();
            if check.take(&buffer[..len]) {
                return check;
            }
        }
    };
    let (check, ()) = timeout(LENGTH * 2, async { tokio::join!(checking, sending) }).await.unwrap();
    println!("from {:?}: {:#?}\n{:#?}", check.first, sender.stats(), relay.stats());
    assert!(check.first.unwrap() < ticks(MARGIN) * BURST);
    let stats = sender.stats();
    assert!(stats.retransmitted > 0 && relay.stats().up.lost > 0, "the link loses");
    assert!(
        stats.links[0].rtt_ms > 39.0 && stats.links[0].rtt_ms < 80.0,
        "librist answers echoes: {stats:?}"
    );
}

#[tokio::test]
async fn strata_receives_what_librist_sends() {
    let input = own(2, 1, 7000);
    let (mut receiver, driver) = net::receiver(ReceiverConfig::new(vec![own(2, 2, 5000)])).unwrap();
    tokio::spawn(driver.run());
    let (relay, link) = lossy(receiver.local_addrs()[0]);
    let _tool = tool("ristsender", &format!("udp://@{input}"), &format!("rist://{link}?buffer=1000"));
    let socket = UdpSocket::bind(own(2, 3, 0)).await.unwrap();
    let sending = stream(async |payload| {
        // Until the program listens there is nobody; the check starts with what comes.
        let _ = socket.send_to(&payload, input).await;
    });
    let checking = async {
        let mut check = Check { first: None, next: 0 };
        loop {
            let packet = receiver.recv().await.unwrap();
            assert_eq!(packet.lost_before, 0);
            if check.take(&packet.payload) {
                return check;
            }
        }
    };
    let (check, ()) = timeout(LENGTH * 2, async { tokio::join!(checking, sending) }).await.unwrap();
    println!("from {:?}: {:#?}\n{:#?}", check.first, receiver.stats(), relay.stats());
    assert!(check.first.unwrap() < ticks(MARGIN) * BURST);
    let stats = receiver.stats();
    assert!(stats.recovered_packets > 0 && relay.stats().up.lost > 0, "the link loses");
    let rtt = stats.paths[0].rtt.unwrap();
    assert!(
        rtt > Duration::from_millis(39) && rtt < Duration::from_millis(80),
        "librist answers echoes: {rtt:?}"
    );
}
