//! librist's tools (Debian `rist-tools`, installed by `make setup`): 60 s by the Simple Profile, and 12 s by the Main
//! Profile in each of its forms: in clear, with keys of 128 and of 256 bits that change, these in the form of TR-06-2:2020 too
//! (librist, which reads it, writes the later one), without null packets. Both also over two links.

mod clients;

use std::io::Write as _;
use std::net::SocketAddr;
use std::process::Stdio;
use std::time::Duration;

use strata_media::net::{
    self, AesType, Credentials, LinkConfig, Passphrase, Profile, Psk, Receiver, ReceiverConfig, Rver, Sender,
    SenderConfig, Verifiers,
};
use strata_media::rist::ReceiverStats;
use strata_media::testing::relay::Relay;
use tempfile::NamedTempFile;
use tokio::net::UdpSocket;
use tokio::process::{Child, Command};
use tokio::time::{interval, timeout};

use crate::kernel::bound;
use crate::rig::{LATENCY, PATIENCE, ROUND_TRIP, is_round_trip, link, own, sink};
use crate::stream::{Check, DATAGRAM_BYTES, MARGIN, TICK, datagrams, stream};
use crate::tap::{Clear, Seen, Tap};

/// What is set alike at both ends.
#[derive(Clone, Copy)]
pub(crate) struct Case {
    /// Of its own, so that addresses meet nobody.
    test: u8,
    /// How long the stream that is compared lasts.
    length: Duration,
    profile: Profile,
    aes_type: Option<AesType>,
    /// Which Strata's end speaks when it calls.
    rver: Rver,
    null_packet_deletion: bool,
    sequence_extension: bool,
    links: u8,
    /// Password of the user "field", if who calls has to have one; the receiver knows the same.
    password: Option<&'static str>,
}

pub(crate) const SIMPLE: Case = Case {
    test: 1,
    length: Duration::from_secs(60),
    profile: Profile::Simple,
    aes_type: None,
    rver: Rver::One,
    null_packet_deletion: false,
    sequence_extension: false,
    links: 1,
    password: None,
};
const MAIN: Case = Case { test: 3, length: Duration::from_secs(12), profile: Profile::Main, ..SIMPLE };
const AES_128: Case = Case { test: 5, aes_type: Some(AesType::Aes128), ..MAIN };
const AES_256: Case = Case { test: 7, aes_type: Some(AesType::Aes256), ..MAIN };
const FIRST_EDITION: Case = Case { length: Duration::from_secs(4), rver: Rver::Zero, ..AES_128 };
const LONG_NUMBERS: Case = Case { test: 11, sequence_extension: true, ..MAIN };
const SRP: Case = Case { test: 27, password: Some(PASSWORD), ..MAIN };
const SRP_AES_256: Case = Case { test: 29, password: Some(PASSWORD), ..AES_256 };
const WITHOUT_NULLS: Case = Case { test: 9, null_packet_deletion: true, ..MAIN };
const TWO_LINKS: Case = Case { test: 25, length: Duration::from_secs(3), links: 2, ..SIMPLE };
const TWO_TUNNELS: Case = Case { test: 13, length: Duration::from_secs(3), links: 2, ..MAIN };
const TWO_TUNNELS_AES_256: Case = Case { test: 51, links: 2, ..AES_256 };
const TWO_TUNNELS_SRP: Case = Case { test: 53, links: 2, ..SRP };

impl Case {
    fn psk(&self) -> Option<Psk> {
        let mut psk = Psk::new(Passphrase::new("correct-horse").unwrap());
        psk.aes_type = self.aes_type?;
        psk.key_rotation = Some(KEY_ROTATION);
        Some(psk.with_rver(self.rver))
    }

    fn credentials(&self) -> Option<Credentials> {
        Credentials::new(USER, self.password?)
    }

    /// The same for librist, which is to hold on when a machine stands still for seconds. Links share the stream; without a weight
    /// each would carry all of it.
    fn url(&self) -> String {
        let common = format!("?buffer={}&weight=5&session-timeout=30000", LATENCY.as_millis());
        let bits = match self.aes_type {
            None => return common,
            Some(AesType::Aes128) => 128,
            Some(AesType::Aes256) => 256,
        };
        format!("{common}&secret=correct-horse&aes-type={bits}&key-rotation={KEY_ROTATION}")
    }

    /// The same for a librist that calls.
    fn calling_url(&self) -> String {
        let user = self.password.map(|password| format!("&username={USER}&password={password}"));
        self.url() + &user.unwrap_or_default()
    }
}

/// Datagrams with one key, of 400 a second: a new one every five seconds.
const KEY_ROTATION: u32 = 2000;
const USER: &str = "field";
const PASSWORD: &str = "correct-horse";

/// What `ristsrppasswd` makes of the password a receiver knows.
fn users() -> String {
    let output = std::process::Command::new("ristsrppasswd").args([USER, PASSWORD]).output();
    String::from_utf8(output.expect("`make setup` installs rist-tools").stdout).unwrap()
}

/// A tool at work, with the file of users that it reads.
pub(crate) struct Tool {
    _child: Child,
    _users: Option<NamedTempFile>,
}

pub(crate) fn tool(name: &str, case: Case, input: &str, output: &str) -> Tool {
    let profile = if case.profile == Profile::Simple { "0" } else { "1" };
    let mut command = Command::new(name);
    if case.null_packet_deletion && name == "ristsender" {
        command.arg("-n");
    }
    let listens = [input, output].iter().any(|url| url.starts_with("rist://@"));
    let users = (case.password.is_some() && listens).then(|| {
        let mut file = NamedTempFile::new().unwrap();
        file.write_all(users().as_bytes()).unwrap();
        command.arg("-F").arg(file.path());
        file
    });
    let child = command
        .args([
            "-p",
            profile,
            "-b",
            &LATENCY.as_millis().to_string(),
            "-S",
            "0",
            "-v",
            "4",
            "-i",
            input,
            "-o",
            output,
        ])
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .unwrap_or_else(|error| panic!("cannot start {name} ({error}); `make setup` installs rist-tools"));
    Tool { _child: child, _users: users }
}

/// Sends the stream, and checks what a tool puts out that takes it at `into`, if that is known.
async fn send_and_check(case: Case, sender: &Sender, into: &[SocketAddr], output: &UdpSocket) {
    let sending = async {
        heard(case, || sender.tunnel_stats().taken).await;
        stream(case.length, into, async |payload| sender.send(payload).await.unwrap()).await;
    };
    let checking = async {
        let mut check = Check::new(case.length);
        let mut buffer = [0; 2048];
        loop {
            let len = output.recv(&mut buffer).await.unwrap();
            if check.take(&buffer[..len]) {
                return;
            }
        }
    };
    timeout(PATIENCE, async { tokio::join!(checking, sending) }).await.unwrap();
}

/// Gives a tool the stream at `input`, and checks what is received of it.
async fn feed_and_check(case: Case, input: SocketAddr, receiver: &mut Receiver) {
    let socket = UdpSocket::bind(own(case.test, 3, 0)).await.unwrap();
    let monitor = receiver.monitor();
    let feeding = async {
        heard(case, || monitor.stats().tunnel.taken).await;
        stream(case.length, &[input], async |payload| {
            socket.send_to(&payload, input).await.unwrap();
        })
        .await;
    };
    let checking = Check::new(case.length).whole(receiver);
    timeout(PATIENCE, async { tokio::join!(checking, feeding) }).await.unwrap();
}

/// Returns once something has come by a tunnel: how long that takes depends on how much of a log-in is lost.
async fn heard(case: Case, taken: impl Fn() -> u64) {
    let mut timer = interval(TICK);
    while case.profile == Profile::Main && taken() == 0 {
        timer.tick().await;
    }
}

/// Links to the ends of `to`, one each, and a tap behind each of tunnels.
async fn linked(case: Case, to: impl Fn(u8) -> SocketAddr) -> (Vec<Tap>, Vec<Relay>, Vec<SocketAddr>) {
    let (mut taps, mut relays, mut links) = (Vec::new(), Vec::new(), Vec::new());
    for index in 0..case.links {
        let mut to = to(index);
        if case.profile == Profile::Main {
            let at = own(case.test, 4 + index, 5000);
            taps.push(Tap::before(at, to).await);
            to = at;
        }
        let (relay, at) = link(index, to);
        relays.push(relay);
        links.push(at);
    }
    (taps, relays, links)
}

/// What passed by tunnels is of the form it should have.
fn assert_form(case: Case, taps: &[Tap]) {
    for tap in taps {
        let [sender, receiver] = tap.seen();
        println!("{sender:?}, {receiver:?} back");
        let Clear { packets, bytes, removed, .. } = sender.clear;
        if case.aes_type.is_some() {
            assert_eq!((packets, receiver.clear.packets), (0, 0), "{sender:?}");
            assert!(!receiver.nonces.is_empty(), "{receiver:?}");
            assert_rotated(case, &sender);
            continue;
        }
        assert!(packets > 0 && sender.nonces.is_empty() && receiver.nonces.is_empty(), "{sender:?}");
        // All that is not there was told; two or three of seven are null packets.
        assert_eq!(bytes + removed * 188, packets * DATAGRAM_BYTES as u64, "{sender:?}");
        assert!(if case.null_packet_deletion { removed >= packets * 2 } else { removed == 0 }, "{sender:?}");
    }
}

/// Who sends the stream has used as many keys as it should: each tunnel has its own.
fn assert_rotated(case: Case, sender: &Seen) {
    let least = match case.links {
        1 => datagrams(case.length + MARGIN * 2),
        _ => sender.datagrams,
    } / u64::from(KEY_ROTATION);
    assert!(least > 1 || case.links > 1, "{least}");
    assert!(sender.nonces.len() as u64 >= least.max(1), "{least}: {sender:?}");
}

async fn librist_receives(case: Case) {
    let receiver = own(case.test, 1, 5000);
    let output = sink(own(case.test, 2, 6000)).await;
    // One port for all links: with two, librist 0.2.7 would put out every packet twice.
    let (taps, relays, links) = linked(case, |_| receiver).await;
    let url = format!("rist://@{receiver}{}", case.url());
    let _tool = tool("ristreceiver", case, &url, &format!("udp://{}", output.local_addr().unwrap()));
    bound(receiver).await;
    let links = links.iter().enumerate().map(|(id, &to)| LinkConfig::new(id as u32, to));
    let mut config = SenderConfig::new(links.collect()).with_latency(LATENCY).with_profile(case.profile);
    (config.psk, config.credentials) = (case.psk(), case.credentials());
    config = if case.null_packet_deletion { config.without_null_packets() } else { config };
    config = if case.sequence_extension { config.with_sequence_extension() } else { config };
    let (sender, driver) = net::sender(config).unwrap();
    tokio::spawn(driver.run());
    send_and_check(case, &sender, &[receiver], &output).await;
    assert_form(case, &taps);
    for [Seen { clear, .. }, _] in taps.iter().map(Tap::seen) {
        assert_eq!(clear.extended, if case.sequence_extension { clear.packets } else { 0 }, "{clear:?}");
    }
    let (stats, tunnel) = (sender.stats(), sender.tunnel_stats());
    println!("{stats:#?}");
    assert!(stats.retransmitted > 0, "what was lost was sent again");
    for (link, relay) in stats.links.iter().zip(&relays) {
        println!("{:#?}", relay.stats());
        assert!(relay.stats().up.lost > 0, "the link loses");
        assert!(is_round_trip(link), "librist answers echoes: {stats:?}");
        // The slower of two carries what keeps it known, every 50 ms, and what the other has no room for.
        assert!(link.sent_packets * 100 >= stats.packets, "each link carries a part: {stats:?}");
    }
    assert_eq!(tunnel.taken > 0, case.profile == Profile::Main, "{tunnel:?}");
    assert_eq!((tunnel.undecryptable, tunnel.unencrypted, tunnel.rejected), (0, 0, 0), "{tunnel:?}");
}

async fn strata_receives(mut case: Case) -> ReceiverStats {
    case.test += 1;
    let input = own(case.test, 1, 7000);
    let binds = (0..case.links).map(|index| own(case.test, 2, 5000 + 2 * u16::from(index)));
    let mut config = ReceiverConfig::new(binds.collect());
    (config.psk, config.latency) = (case.psk(), LATENCY);
    config.users = case.password.map(|_| Verifiers::parse(&users()).unwrap());
    let (mut receiver, driver) = net::receiver(config).unwrap();
    tokio::spawn(driver.run());
    let (taps, relays, links) = linked(case, |index| receiver.local_addrs()[usize::from(index)]).await;
    let urls: Vec<_> = links.iter().map(|link| format!("rist://{link}{}", case.calling_url())).collect();
    let _tool = tool("ristsender", case, &format!("udp://@{input}"), &urls.join(","));
    bound(input).await;
    feed_and_check(case, input, &mut receiver).await;
    assert_form(case, &taps);
    let stats = receiver.stats();
    println!("{stats:#?}");
    assert!(stats.recovered_packets > 0, "what was lost came again");
    for (path, relay) in stats.paths.iter().zip(&relays) {
        println!("{:#?}", relay.stats());
        assert!(relay.stats().up.lost > 0, "the link loses");
        assert!(path.rtt.unwrap() >= ROUND_TRIP, "librist answers echoes: {stats:?}");
    }
    assert_eq!(stats.tunnel.taken > 0, case.profile == Profile::Main, "{:?}", stats.tunnel);
    assert_eq!((stats.tunnel.unencrypted, stats.tunnel.rejected), (0, 0), "{:?}", stats.tunnel);
    stats
}

/// A `ristreceiver` calls, and is served.
async fn librist_calls(case: Case) {
    let waiting = own(case.test, 1, 5000);
    let output = sink(own(case.test, 2, 6000)).await;
    let link = LinkConfig::listening(0, waiting);
    let mut config = SenderConfig::new(vec![link]).with_profile(case.profile).with_latency(LATENCY);
    config.psk = case.psk();
    config.users = case.password.map(|_| Verifiers::parse(&users()).unwrap());
    let (sender, driver) = net::sender(config).unwrap();
    tokio::spawn(driver.run());
    let (relay, to) = self::link(0, waiting);
    let url = format!("rist://{to}{}", case.calling_url());
    let _tool = tool("ristreceiver", case, &url, &format!("udp://{}", output.local_addr().unwrap()));
    send_and_check(case, &sender, &[], &output).await;
    let (stats, tunnel) = (sender.stats(), sender.tunnel_stats());
    println!("{stats:#?}\n{tunnel:?}\n{:#?}", relay.stats());
    assert!(relay.stats().down.lost > 0 && stats.retransmitted > 0, "what was lost was sent again");
    assert!(is_round_trip(&stats.links[0]), "librist answers echoes: {stats:?}");
    assert_eq!((tunnel.undecryptable, tunnel.unencrypted, tunnel.rejected), (0, 0, 0), "{tunnel:?}");
}

/// A `ristsender` waits to be called, and is.
async fn librist_is_called(mut case: Case) {
    case.test += 1;
    let (input, waiting) = (own(case.test, 1, 7000), own(case.test, 2, 5000));
    let _tool =
        tool("ristsender", case, &format!("udp://@{input}"), &format!("rist://@{waiting}{}", case.url()));
    bound(input).await;
    bound(waiting).await;
    let (relay, to) = link(0, waiting);
    let mut config = ReceiverConfig::new(Vec::new()).with_call(LinkConfig::new(0, to)).with_latency(LATENCY);
    (config.psk, config.credentials) = (case.psk(), case.credentials());
    let (mut receiver, driver) = net::receiver(config).unwrap();
    tokio::spawn(driver.run());
    feed_and_check(case, input, &mut receiver).await;
    let stats = receiver.stats();
    println!("{stats:#?}\n{:#?}", relay.stats());
    assert!(relay.stats().down.lost > 0 && stats.recovered_packets > 0, "what was lost came again");
    assert!(stats.paths[0].rtt.unwrap() >= ROUND_TRIP, "librist answers echoes: {stats:?}");
    assert_eq!((stats.tunnel.unencrypted, stats.tunnel.rejected), (0, 0), "{:?}", stats.tunnel);
}

const CALLED: Case = Case { test: 41, length: Duration::from_secs(4), ..MAIN };

#[tokio::test]
async fn librist_calls_a_sender() {
    librist_calls(CALLED).await;
}

#[tokio::test]
async fn a_sender_of_librist_is_called() {
    librist_is_called(CALLED).await;
}

#[tokio::test]
async fn librist_calls_a_sender_with_a_key() {
    librist_calls(Case { test: 43, aes_type: Some(AesType::Aes128), ..CALLED }).await;
}

#[tokio::test]
async fn a_sender_of_librist_is_called_with_a_key() {
    librist_is_called(Case { test: 43, aes_type: Some(AesType::Aes128), ..CALLED }).await;
}

#[tokio::test]
async fn librist_calls_a_sender_with_a_password() {
    librist_calls(Case { test: 45, password: Some(PASSWORD), ..CALLED }).await;
}

#[tokio::test]
async fn a_sender_of_librist_is_called_with_a_password() {
    librist_is_called(Case { test: 45, password: Some(PASSWORD), ..CALLED }).await;
}

/// Bytes of RTP per packet of seven, of which 16 in 49 are null ones.
fn assert_nulls_left_out(stats: &ReceiverStats) {
    let mean = stats.paths[0].bytes as f64 / stats.paths[0].packets as f64;
    assert!(mean < 1000.0, "{mean} bytes of 1328");
}

/// Each link carries a part, and not all: what is still to be played out has come too.
fn assert_shared(stats: &ReceiverStats) {
    let came = stats.delivered_packets + stats.buffered_packets;
    for path in &stats.paths {
        assert!((1..came).contains(&path.packets), "{stats:?}");
    }
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

/// RVer 0 does not tell the length of the key; librist 0.2.7 takes it for 128 bits, whatever it is set to.
#[tokio::test]
async fn librist_receives_what_is_encrypted_as_in_the_first_edition() {
    librist_receives(Case { test: 47, ..FIRST_EDITION }).await;
}

#[tokio::test]
async fn a_sender_of_librist_is_called_as_in_the_first_edition() {
    librist_is_called(Case { test: 47, ..FIRST_EDITION }).await;
}

#[tokio::test]
async fn librist_receives_from_who_knows_the_password() {
    librist_receives(SRP).await;
}

#[tokio::test]
async fn strata_receives_from_who_knows_the_password() {
    let stats = strata_receives(SRP).await;
    assert!(stats.tunnel.unauthenticated < 100, "{:?}", stats.tunnel);
}

#[tokio::test]
async fn librist_receives_with_a_password_and_a_key() {
    librist_receives(SRP_AES_256).await;
}

#[tokio::test]
async fn strata_receives_with_a_password_and_a_key() {
    strata_receives(SRP_AES_256).await;
}

#[tokio::test]
async fn librist_restores_null_packets() {
    librist_receives(WITHOUT_NULLS).await;
}

/// It goes by the lower half.
#[tokio::test]
async fn librist_receives_numbers_of_32_bits() {
    librist_receives(LONG_NUMBERS).await;
}

#[tokio::test]
async fn strata_restores_null_packets() {
    assert_nulls_left_out(&strata_receives(WITHOUT_NULLS).await);
}

#[tokio::test]
async fn librist_receives_over_two_links() {
    librist_receives(TWO_LINKS).await;
}

#[tokio::test]
async fn strata_receives_over_two_links() {
    assert_shared(&strata_receives(TWO_LINKS).await);
}

#[tokio::test]
async fn librist_receives_by_two_tunnels() {
    librist_receives(TWO_TUNNELS).await;
}

#[tokio::test]
async fn strata_receives_by_two_tunnels() {
    assert_shared(&strata_receives(TWO_TUNNELS).await);
}

#[tokio::test]
async fn librist_receives_by_two_tunnels_with_a_key_of_256_bits() {
    librist_receives(TWO_TUNNELS_AES_256).await;
}

#[tokio::test]
async fn strata_receives_by_two_tunnels_with_a_key_of_256_bits() {
    assert_shared(&strata_receives(TWO_TUNNELS_AES_256).await);
}

#[tokio::test]
async fn librist_receives_by_two_tunnels_from_who_knows_the_password() {
    librist_receives(TWO_TUNNELS_SRP).await;
}

#[tokio::test]
async fn strata_receives_by_two_tunnels_from_who_knows_the_password() {
    assert_shared(&strata_receives(TWO_TUNNELS_SRP).await);
}
