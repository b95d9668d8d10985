//! RIST with librist's own tools (Debian `rist-tools`, installed by `make setup`), both ways, through an emulated lossy
//! link: a transport stream of constant rate, in real time, byte for byte. 60 s by the Simple Profile, and 20 s by the
//! Main Profile in each of its forms: in clear, with keys of 128 and of 256 bits that change, without null packets.
#![expect(clippy::disallowed_types, reason = "real programs over real sockets")]
#![expect(clippy::unwrap_used, reason = "the rig of these tests fails them where it stands")]

use std::net::SocketAddr;
use std::process::Stdio;
use std::time::Duration;

use bytes::Bytes;
use strata_media::net::{self, AesType, LinkConfig, Passphrase, Profile, Psk, ReceiverConfig, SenderConfig};
use strata_media::rist::ReceiverStats;
use strata_media::testing::netem::Config;
use strata_media::testing::relay::{Mapping, Relay, RelayConfig, relay};
use tokio::net::UdpSocket;
use tokio::process::{Child, Command};
use tokio::time::{MissedTickBehavior, interval, timeout};

/// What is set alike at both ends.
#[derive(Clone, Copy)]
struct Case {
    /// Of its own, so that addresses meet nobody.
    test: u8,
    /// How long the stream that is compared lasts.
    length: Duration,
    profile: Profile,
    aes_type: Option<AesType>,
    null_packet_deletion: bool,
}

const SIMPLE: Case = Case {
    test: 1,
    length: Duration::from_secs(60),
    profile: Profile::Simple,
    aes_type: None,
    null_packet_deletion: false,
};
const MAIN: Case = Case { test: 3, length: Duration::from_secs(20), profile: Profile::Main, ..SIMPLE };
const AES_128: Case = Case { test: 5, aes_type: Some(AesType::Aes128), ..MAIN };
const AES_256: Case = Case { test: 7, aes_type: Some(AesType::Aes256), ..MAIN };
const WITHOUT_NULLS: Case = Case { test: 9, null_packet_deletion: true, ..MAIN };

impl Case {
    fn psk(&self) -> Option<Psk> {
        let mut psk = Psk::new(Passphrase::new("correct-horse").unwrap());
        psk.aes_type = self.aes_type?;
        // 400 datagrams a second: a new key every five seconds.
        psk.key_rotation = Some(2000);
        Some(psk)
    }

    /// The same for librist.
    fn url(&self) -> String {
        let bits = match self.aes_type {
            None => return "?buffer=1000".to_owned(),
            Some(AesType::Aes128) => 128,
            Some(AesType::Aes256) => 256,
        };
        format!("?buffer=1000&secret=correct-horse&aes-type={bits}&key-rotation=2000")
    }

    fn datagrams(&self) -> u64 {
        ticks(self.length) * BURST
    }
}

/// Sent before and after it: the session is made, and the last packets can be asked for.
const MARGIN: Duration = Duration::from_secs(3);
/// A burst of `BURST` datagrams of 1316 bytes every 10 ms: 4.2 Mbit/s.
const BURST: u64 = 4;
const TICK: Duration = Duration::from_millis(10);

/// Datagram `number` of a transport stream: seven packets with continuity counters, filled from the number. Every
/// third packet but the first ones is a null packet.
fn datagram(number: u64) -> Bytes {
    let mut out = Vec::with_capacity(7 * 188);
    for index in number * 7..number * 7 + 7 {
        if index % 7 > 0 && index % 3 == 0 {
            out.extend([0x47, 0x1f, 0xff, 0x10]);
            out.resize(out.len().next_multiple_of(188), 0xff);
            continue;
        }
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

fn tool(name: &str, case: Case, input: &str, output: &str) -> Child {
    let profile = if case.profile == Profile::Simple { "0" } else { "1" };
    let mut command = Command::new(name);
    if case.null_packet_deletion && name == "ristsender" {
        command.arg("-n");
    }
    command
        .args(["-p", profile, "-b", "1000", "-S", "0", "-v", "4", "-i", input, "-o", output])
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .unwrap_or_else(|error| panic!("cannot start {name} ({error}); `make setup` installs rist-tools"))
}

/// Checks what comes out: from the first datagram on, every one, in order, byte for byte, for the case's length.
struct Check {
    case: Case,
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
        self.next - first >= self.case.datagrams()
    }
}

fn ticks(time: Duration) -> u64 {
    (time.as_nanos() / TICK.as_nanos()) as u64
}

/// Calls `send` for every datagram of the stream, at its time.
async fn stream<F: Future<Output = ()>>(length: Duration, send: impl Fn(Bytes) -> F) {
    let mut timer = interval(TICK);
    timer.set_missed_tick_behavior(MissedTickBehavior::Burst);
    for tick in 0..ticks(length + MARGIN * 2) {
        timer.tick().await;
        for index in 0..BURST {
            send(datagram(tick * BURST + index)).await;
        }
    }
}

async fn librist_receives(case: Case) {
    let receiver = own(case.test, 1, 5000);
    let output = UdpSocket::bind(own(case.test, 2, 6000)).await.unwrap();
    let (relay, link) = lossy(receiver);
    let url = format!("rist://@{receiver}{}", case.url());
    let _tool = tool("ristreceiver", case, &url, &format!("udp://{}", output.local_addr().unwrap()));
    let mut config = SenderConfig::new(vec![LinkConfig::new(0, link)]);
    (config.profile, config.psk) = (case.profile, case.psk());
    config.null_packet_deletion = case.null_packet_deletion;
    let (sender, driver) = net::sender(config).unwrap();
    tokio::spawn(driver.run());
    let sending = stream(case.length, async |payload| sender.send(payload).await.unwrap());
    let checking = async {
        let mut check = Check { case, first: None, next: 0 };
        let mut buffer = [0; 2048];
        loop {
            let len = output.recv(&mut buffer).await.unwrap();
            if check.take(&buffer[..len]) {
                return check;
            }
        }
    };
    let (check, ()) = timeout(case.length * 2, async { tokio::join!(checking, sending) }).await.unwrap();
    println!("from {:?}: {:#?}\n{:#?}", check.first, sender.stats(), relay.stats());
    assert!(check.first.unwrap() < ticks(MARGIN) * BURST);
    let (stats, tunnel) = (sender.stats(), sender.tunnel_stats());
    assert!(stats.retransmitted > 0 && relay.stats().up.lost > 0, "the link loses");
    assert!(
        stats.links[0].rtt_ms > 39.0 && stats.links[0].rtt_ms < 80.0,
        "librist answers echoes: {stats:?}"
    );
    assert_eq!(tunnel.taken > 0, case.profile == Profile::Main, "{tunnel:?}");
    assert_eq!((tunnel.undecryptable, tunnel.unencrypted, tunnel.rejected), (0, 0, 0), "{tunnel:?}");
}

async fn strata_receives(mut case: Case) -> ReceiverStats {
    case.test += 1;
    let input = own(case.test, 1, 7000);
    let mut config = ReceiverConfig::new(vec![own(case.test, 2, 5000)]);
    config.psk = case.psk();
    let (mut receiver, driver) = net::receiver(config).unwrap();
    tokio::spawn(driver.run());
    let (relay, link) = lossy(receiver.local_addrs()[0]);
    let _tool = tool("ristsender", case, &format!("udp://@{input}"), &format!("rist://{link}{}", case.url()));
    let socket = UdpSocket::bind(own(case.test, 3, 0)).await.unwrap();
    let sending = stream(case.length, async |payload| {
        // Until the program listens there is nobody; the check starts with what comes.
        let _ = socket.send_to(&payload, input).await;
    });
    let checking = async {
        let mut check = Check { case, first: None, next: 0 };
        loop {
            let packet = receiver.recv().await.unwrap();
            assert_eq!(packet.lost_before, 0);
            if check.take(&packet.payload) {
                return check;
            }
        }
    };
    let (check, ()) = timeout(case.length * 2, async { tokio::join!(checking, sending) }).await.unwrap();
    println!("from {:?}: {:#?}\n{:#?}", check.first, receiver.stats(), relay.stats());
    assert!(check.first.unwrap() < ticks(MARGIN) * BURST);
    let stats = receiver.stats();
    assert!(stats.recovered_packets > 0 && relay.stats().up.lost > 0, "the link loses");
    let rtt = stats.paths[0].rtt.unwrap();
    assert!(
        rtt > Duration::from_millis(39) && rtt < Duration::from_millis(80),
        "librist answers echoes: {rtt:?}"
    );
    assert_eq!(stats.tunnel.taken > 0, case.profile == Profile::Main, "{:?}", stats.tunnel);
    assert_eq!((stats.tunnel.unencrypted, stats.tunnel.rejected), (0, 0), "{:?}", stats.tunnel);
    stats
}

/// Bytes of RTP per packet of seven, of which 16 in 49 are null ones.
fn assert_nulls_left_out(stats: &ReceiverStats) {
    let mean = stats.paths[0].bytes as f64 / stats.paths[0].packets as f64;
    assert!(mean < 1000.0, "{mean} bytes of 1328");
}

#[tokio::test]
async fn librist_receives_what_strata_sends() {
    librist_receives(SIMPLE).await;
}

#[tokio::test]
async fn strata_receives_what_librist_sends() {
    strata_receives(SIMPLE).await;
}

#[tokio::test]
async fn librist_receives_by_the_main_profile() {
    librist_receives(MAIN).await;
}

#[tokio::test]
async fn strata_receives_by_the_main_profile() {
    strata_receives(MAIN).await;
}

#[tokio::test]
async fn librist_receives_with_a_key_of_128_bits() {
    librist_receives(AES_128).await;
}

#[tokio::test]
async fn strata_receives_with_a_key_of_128_bits() {
    strata_receives(AES_128).await;
}

#[tokio::test]
async fn librist_receives_with_a_key_of_256_bits() {
    librist_receives(AES_256).await;
}

#[tokio::test]
async fn strata_receives_with_a_key_of_256_bits() {
    strata_receives(AES_256).await;
}

#[tokio::test]
async fn librist_restores_null_packets() {
    librist_receives(WITHOUT_NULLS).await;
}

#[tokio::test]
async fn strata_restores_null_packets() {
    assert_nulls_left_out(&strata_receives(WITHOUT_NULLS).await);
}
