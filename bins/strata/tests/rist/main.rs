//! `strata rist send`, `strata netem` and `strata rist receive` as an operator starts them: bytes in are bytes out.

#![expect(clippy::disallowed_types, reason = "real sockets at both ends of real programs")]
#![expect(clippy::unwrap_used, reason = "the rig of these tests fails them where it stands")]

mod hostile;
mod librist;
mod news;
mod program;
mod readme;
mod terminal;
mod threads;
mod wire;

#[path = "../common/mod.rs"]
mod common;

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, UdpSocket};
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use common::strata;
use nix::fcntl::{FcntlArg, fcntl};
use nix::sys::signal::Signal;
use nix::sys::socket::{setsockopt, sockopt};
use program::{Program, Running, number};
use serde_json::Value;
use tempfile::NamedTempFile;

/// Datagrams that differ, as large as seven packets of a transport stream.
fn datagram(number: u32) -> Vec<u8> {
    (0..329).flat_map(|word: u32| (number.wrapping_mul(0x9e37_79b1) ^ word).to_be_bytes()).collect()
}

const DATAGRAMS: u32 = 1500;
/// As ristsrppasswd prints it for the user "field" with the password "correct-horse".
const USER: &str = "field:fWy2TKj9NMG5nMHTAn08iUaJPUrsUKDQd9NwM6XE8vX8g8iNl4BjjdhPAcYwDMOjz7D2G7fdA9q7OcR8KdQtVvSwGSu+cuvQMl3aKt34a3q72S/+KnTJIT7yfbVJflFNpAkgOq1Qe1Xc+L4Ve7FeWCjP113n/b1RbrizFRwH6H1Qog/VRBuadP4gSRuVrNb2j6r94t//jeXm1Nk/GlbRxOEZa8sAK98e2W+ab4gfMIouaQpG3bb6GrH2zBVsQks4pMvio/k7eccClf2rf9sV5Ev5w2LukePXfavvCL+J146le7gutnaTbmjit0nvgHDV9gSRWiCxIfTJV28PfJv7gg:icC0P7cIpBSLvdDiNApQHv3BbYaMDzrvDdTGwMTEM2k:3";
/// For the whole stream, in case this test is held up.
const OUTPUT_BYTES: usize = 8 << 20;
/// What waits in the tool's input stays below this, half of what Linux gives a socket by default: the tool may be held
/// up too.
const MAX_QUEUED_BYTES: usize = 64 << 10;

/// Sends a stream of 4.2 Mbit/s through two links, and checks what comes out.
fn stream(profile: &str, secret: Option<&str>, mode: &str) {
    let out = UdpSocket::bind("127.0.0.1:0").unwrap();
    // Programs stall on a busy machine. As root more than the system's limit; else as much as that.
    if setsockopt(&out, sockopt::RcvBufForce, &OUTPUT_BYTES).is_err() {
        setsockopt(&out, sockopt::RcvBuf, &OUTPUT_BYTES).unwrap();
    }
    let query = secret.map_or(String::new(), |secret| format!("&secret={secret}&aes-type=256"));
    let mut receiver = Program::start(&[
        "rist",
        "receive",
        "--input",
        &format!("rist://@127.0.0.1:0?buffer=4000{query},rist://@127.0.0.1:0"),
        "--output",
        &format!("udp://{}", out.local_addr().unwrap()),
        "--stats",
        "-",
    ]);
    // Both ports of a link, from an address of this test's own to the receiver's.
    let own = format!(
        "127.{}.{}.{}",
        60 + profile.len(),
        std::process::id() >> 8 & 0xff,
        std::process::id() & 0xff
    );
    let links: Vec<_> = ["/links/0/addr", "/links/1/addr"].map(|link| receiver.addr(link)).into();
    let netem: Vec<_> = links.iter().map(|to| netem(&own, *to, "10M")).collect();
    let to = |link: usize| format!("rist://{own}:{}", links[link].port());
    let sender = Program::start(&[
        "rist",
        "send",
        "--profile",
        profile,
        "--mode",
        mode,
        "--input",
        "udp://127.0.0.1:0",
        "--output",
        &format!("{}?buffer=4000&reorder-buffer=15{query},{}", to(0), to(1)),
        "--stats",
        "-",
    ]);
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.connect(sender.addr("/input_addr")).unwrap();
    let sending = std::thread::spawn(move || send(&socket));
    let mut buffer = [0; 2048];
    for number in 0..DATAGRAMS {
        let len = out.recv(&mut buffer).unwrap();
        assert!(buffer[..len] == datagram(number), "datagram {number} differs");
    }
    sending.join().unwrap();
    receiver.until(|stats| number(stats, "/delivered_packets") == u64::from(DATAGRAMS));
    let (sent, received) = (sender.end(Signal::SIGTERM), receiver.end(Signal::SIGINT));
    let lost: u64 = netem.into_iter().map(|netem| number(&netem.end(Signal::SIGINT), "/up/lost")).sum();
    assert!(lost > 0, "the links lose");
    assert_eq!(number(&sent, "/input/datagrams"), u64::from(DATAGRAMS));
    assert_eq!(number(&received, "/output/bytes"), u64::from(DATAGRAMS) * 1316);
    assert_eq!(
        (number(&received, "/lost_packets"), number(&sent, "/discarded")),
        (0, 0),
        "{sent}\n{received}"
    );
    if mode != "economy" {
        assert!(number(&received, "/duplicate_packets") > 0, "{received}");
    } else {
        assert!(number(&received, "/recovered_packets") > 0, "{received}");
    }
    for link in 0..2 {
        assert!(number(&sent, &format!("/links/{link}/sent_packets")) > 0, "{sent}");
        assert!(number(&received, &format!("/links/{link}/packets")) > 0, "{received}");
    }
    assert_eq!(number(&received, "/tunnel/taken") > 0, profile == "main");
    assert_eq!(number(&sent, "/copied") > 0, mode != "economy", "{sent}");
}

/// Returns what there is once there is something: no event tells of it.
fn until<T>(what: &str, mut found: impl FnMut() -> Option<T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    let waiting = async {
        let mut timer = tokio::time::interval(Duration::from_millis(5));
        loop {
            if let Some(found) = found() {
                return found;
            }
            timer.tick().await;
        }
    };
    let limit = Duration::from_secs(60);
    runtime
        .block_on(async { tokio::time::timeout(limit, waiting).await })
        .unwrap_or_else(|_| panic!("not so: {what}"))
}

/// Sends the stream at its rate: what is more would only wait in the sender.
fn send(socket: &UdpSocket) {
    send_while(socket, |number| number < DATAGRAMS);
}

fn send_while(socket: &UdpSocket, goes_on: impl Fn(u32) -> bool) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    runtime.block_on(async {
        let to = socket.peer_addr().unwrap();
        let mut timer = tokio::time::interval(Duration::from_micros(2500));
        for number in (0..).take_while(|&number| goes_on(number)) {
            timer.tick().await;
            while queued_bytes(to).is_some_and(|queued| queued > MAX_QUEUED_BYTES) {
                timer.tick().await;
            }
            socket.send(&datagram(number)).unwrap();
        }
    });
}

/// The stream, as long as it is wanted.
struct Source {
    ended: Arc<AtomicBool>,
    sending: JoinHandle<()>,
}

impl Source {
    /// Sends to `to` from now on.
    fn start(to: SocketAddr) -> Self {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        socket.connect(to).unwrap();
        let ended = Arc::<AtomicBool>::default();
        let wanted = Arc::clone(&ended);
        let sending = std::thread::spawn(move || send_while(&socket, |_| !wanted.load(Ordering::Relaxed)));
        Self { ended, sending }
    }

    fn stop(self) {
        self.ended.store(true, Ordering::Relaxed);
        self.sending.join().unwrap();
    }
}

/// Bytes of the kernel's memory that wait to be read from the socket at `addr`, if there is one: of `/proc/net/udp`, whose lines are
/// `sl local_address rem_address st tx_queue:rx_queue …`, with addresses as the memory has them.
fn queued_bytes(addr: SocketAddr) -> Option<usize> {
    let SocketAddr::V4(addr) = addr else { panic!("{addr} is not of IPv4") };
    let local = format!("{:08X}:{:04X}", u32::from_ne_bytes(addr.ip().octets()), addr.port());
    let sockets = std::fs::read_to_string("/proc/net/udp").unwrap();
    let line = sockets.lines().find(|line| line.split_whitespace().nth(1) == Some(&local))?;
    let (_, queued) = line.split_whitespace().nth(4).unwrap().split_once(':').unwrap();
    Some(usize::from_str_radix(queued, 16).unwrap())
}

/// A link of 20 ms and 2 % of loss in front of a pair of ports.
fn netem(own: &str, to: SocketAddr, rate: &str) -> Program {
    let (port, above) = (to.port(), to.port() + 1);
    let map = format!("{own}:{port}-{above}={}:{port}-{above}", to.ip());
    Program::start(&["netem", "--map", &map, "--rate", rate, "--delay", "20ms", "--loss", "2%", "--stats"])
}

#[test]
fn two_lossy_links_lose_nothing_by_the_simple_profile() {
    stream("simple", None, "economy");
}

#[test]
fn two_lossy_links_lose_nothing_in_the_balanced_mode() {
    stream("simple", None, "balanced");
}

#[test]
fn two_lossy_links_lose_nothing_by_the_main_profile_with_a_key() {
    stream("main", Some("correct-horse"), "robust");
}

#[test]
fn a_source_is_told_what_the_links_carry() {
    let receive = ["rist", "receive", "-i", "rist://@127.0.0.1:0", "-o", "udp://127.0.0.1:9", "--stats", "-"];
    let receiver = Program::start(&receive);
    let to = receiver.addr("/links/0/addr");
    let own = format!("127.59.{}.{}", std::process::id() >> 8 & 0xff, std::process::id() & 0xff);
    let link = netem(&own, to, "1M");
    let output = format!("rist://{own}:{}", to.port());
    let mut sender = Program::start(&[
        "rist",
        "send",
        "-i",
        "udp://127.0.0.1:0",
        "-o",
        &output,
        "--stats",
        "-",
        "--adapt",
        "100k..5M",
    ]);
    assert_eq!(number(&sender.last, "/target_bps"), 5_000_000, "nothing is known of the link yet");
    // Four times what the link carries, until the source is told so.
    let source = Source::start(sender.addr("/input_addr"));
    sender.until(|stats| number(stats, "/target_bps") < 1_000_000);
    source.stop();
    assert!(number(&sender.last, "/target_bps") >= 100_000, "{}", sender.last);
    drop(link);
}

/// Sends by this password until the receiver's statistics are as they should be.
fn call(password: &str, done: impl Fn(&Value) -> bool) -> Value {
    let mut users = NamedTempFile::new().unwrap();
    users.write_all(USER.as_bytes()).unwrap();
    let (input, file) = ("rist://@127.0.0.1:0?buffer=200", users.path().to_str().unwrap());
    let receive =
        ["rist", "receive", "-i", input, "-o", "udp://127.0.0.1:9", "--users", file, "--stats", "-"];
    let mut receiver = Program::start(&receive);
    let output =
        format!("rist://{}?buffer=200&username=field&password={password}", receiver.addr("/links/0/addr"));
    let sender = Program::start(&["rist", "send", "-i", "udp://127.0.0.1:0", "-o", &output, "--stats", "-"]);
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    while !done(&receiver.last) {
        socket.send_to(&datagram(1), sender.addr("/input_addr")).unwrap();
        receiver.next();
    }
    receiver.end(Signal::SIGTERM)
}

#[test]
fn who_knows_the_password_is_heard_alone() {
    call("correct-horse", |stats| number(stats, "/delivered_packets") > 0);
    let stats = call("wrong", |stats| number(stats, "/tunnel/unauthenticated") > 2);
    assert_eq!(number(&stats, "/delivered_packets"), 0, "{stats}");
}

#[test]
fn what_is_too_long_for_a_packet_is_refused_and_counted() {
    let mut sender = Program::start(&[
        "rist",
        "send",
        "-i",
        "udp://127.0.0.1:0",
        "-o",
        "rist://127.0.0.1:9",
        "--stats",
        "-",
    ]);
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.send_to(&[0; 1500], sender.addr("/input_addr")).unwrap();
    sender.until(|stats| number(stats, "/input/refused") == 1);
}

/// A sender with statistics on a pipe that holds not one line of them, for there are many links: the process, its log
/// and its input, once it is at work. What it sends by the first link comes to `to`.
fn sender_of_long_lines(
    to: SocketAddr,
    stats: impl Into<Stdio>,
) -> (Running, impl Iterator<Item = String>, String) {
    let links: Vec<_> = (0..16).map(|_| format!("rist://{to}?buffer=500")).collect();
    let mut command = strata();
    command.args(["rist", "send", "-p", "simple", "-i", "udp://127.0.0.1:0", "--stats", "-"]);
    command.args(["-o", &links.join(",")]).stdout(stats).stderr(Stdio::piped());
    let mut child = Running(command.spawn().unwrap());
    let mut log = BufReader::new(child.0.stderr.take().unwrap()).lines().map(Result::unwrap);
    let sending = log.find(|line| line.contains("sending")).unwrap();
    let input = sending.split_once("input=").unwrap().1.split_once(' ').unwrap().0.to_owned();
    (child, log, input)
}

/// A socket with an even port, as the Simple Profile wants it.
fn even() -> UdpSocket {
    let all = std::iter::repeat_with(|| UdpSocket::bind("127.0.0.1:0").unwrap());
    // Those with odd ports stay open, so that the kernel picks others.
    let mut odd = Vec::new();
    for socket in all {
        if socket.local_addr().unwrap().port() % 2 == 0 {
            return socket;
        }
        odd.push(socket);
    }
    unreachable!("the system has even ports")
}

/// Waits for media among what comes: a datagram of the length of one with its header.
fn media(socket: &UdpSocket, payload: usize) {
    let mut buffer = [0; 2048];
    while socket.recv(&mut buffer).unwrap() != payload + 12 {}
}

#[test]
fn statistics_that_nobody_reads_stop_neither_stream_nor_signal() {
    let (mut unread, pipe) = std::io::pipe().unwrap();
    fcntl(&pipe, FcntlArg::F_SETPIPE_SZ(4096)).unwrap();
    let receiver = even();
    let (mut sender, _log, input) = sender_of_long_lines(receiver.local_addr().unwrap(), pipe);
    // Something has been written: the rest of it does not fit.
    unread.read_exact(&mut [0]).unwrap();
    UdpSocket::bind("127.0.0.1:0").unwrap().send_to(&[0x47; 1316], input).unwrap();
    media(&receiver, 1316);
    sender.signal(Signal::SIGTERM);
    assert_eq!(sender.0.wait().unwrap().code(), Some(0));
    drop(unread);
}

#[test]
fn a_reader_of_statistics_may_leave() {
    let (unread, pipe) = std::io::pipe().unwrap();
    drop(unread);
    let receiver = even();
    let (mut sender, mut log, input) = sender_of_long_lines(receiver.local_addr().unwrap(), pipe);
    assert!(log.any(|line| line.contains("no more statistics")));
    UdpSocket::bind("127.0.0.1:0").unwrap().send_to(&[0x47; 1316], input).unwrap();
    media(&receiver, 1316);
    sender.signal(Signal::SIGTERM);
    assert_eq!(sender.0.wait().unwrap().code(), Some(0));
}

#[test]
fn a_link_goes_on_when_nobody_reads_of_it() {
    let (unread, pipe) = std::io::pipe().unwrap();
    drop(unread);
    let mut command = strata();
    command.args(["netem", "--map", "127.0.0.1:0=127.0.0.1:9", "--stats"]);
    let mut netem = Running(command.stdout(pipe).stderr(Stdio::piped()).spawn().unwrap());
    let mut log = BufReader::new(netem.0.stderr.take().unwrap()).lines().map(Result::unwrap);
    assert!(log.any(|line| line.contains("no more statistics")));
    netem.signal(Signal::SIGTERM);
    assert_eq!(netem.0.wait().unwrap().code(), Some(0));
}

#[test]
fn statistics_go_to_a_file_and_a_second_signal_cuts() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("stats.jsonl");
    let mut command = strata();
    command.args([
        "rist",
        "send",
        "-i",
        "udp://127.0.0.1:0",
        "-o",
        "rist://127.0.0.1:9?buffer=60000",
        "--stats",
    ]);
    let mut child = Running(command.arg(&file).stderr(Stdio::piped()).spawn().unwrap());
    let mut log = BufReader::new(child.0.stderr.take().unwrap()).lines().map(Result::unwrap);
    assert!(log.any(|line| line.contains("sending")));
    let addr = until("there are statistics", || {
        let text = std::fs::read_to_string(&file).unwrap();
        let line = text.lines().next().filter(|_| text.ends_with('\n'))?;
        let stats: Value = serde_json::from_str(line).unwrap();
        Some(stats["input_addr"].as_str().unwrap().to_owned())
    });
    // Nobody acknowledges it: it is kept for a minute.
    UdpSocket::bind("127.0.0.1:0").unwrap().send_to(&[0x47; 188], addr).unwrap();
    child.signal(Signal::SIGTERM);
    assert!(log.any(|line| line.contains("ending: ")));
    child.signal(Signal::SIGTERM);
    assert_eq!(child.0.wait().unwrap().code(), Some(143));
}
