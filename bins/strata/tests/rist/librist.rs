//! librist's own tools (Debian `rist-tools`, installed by `make setup`) at the other end, or with the same command line.

use std::collections::VecDeque;
use std::io::Read as _;
use std::net::{SocketAddr, UdpSocket};
use std::process::{Command, Stdio};

use nix::sys::signal::Signal;
use nix::sys::socket::{setsockopt, sockopt};
use serde_json::Value;

use crate::common::strata;
use crate::program::{Program, Running, number};
use crate::{OUTPUT_BYTES, Source, datagram, even, queued_bytes, until};

/// Both tools' latency, ms: they may be held up.
const LATENCY: &str = "4000";
/// Datagrams in a row that show that a stream is whole: one second.
const ENOUGH: u32 = 400;

/// One of librist's tools, by a command line as it is documented.
fn tool(name: &str, line: &str) -> Running {
    let mut command = Command::new(name);
    command.args(line.split(' ')).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    Running(command.spawn().expect("`make setup` installs rist-tools"))
}

/// An even port that nobody has now, at an address of this process's own.
fn free(first: u8) -> SocketAddr {
    let [.., high, low] = std::process::id().to_be_bytes();
    let port = even().local_addr().unwrap().port();
    SocketAddr::from(([127, first, high, low], port))
}

fn sink() -> UdpSocket {
    let out = UdpSocket::bind("127.0.0.1:0").unwrap();
    if setsockopt(&out, sockopt::RcvBufForce, &OUTPUT_BYTES).is_err() {
        setsockopt(&out, sockopt::RcvBuf, &OUTPUT_BYTES).unwrap();
    }
    out
}

/// Gives a stream to `to` until so many of it have come out in a row: what went before the other end was there may be missing.
fn whole(to: SocketAddr, out: &UdpSocket) {
    let source = Source::start(to);
    let (mut buffer, mut expected, mut row) = ([0; 2048], None, 0);
    while row < ENOUGH {
        let len = out.recv(&mut buffer).unwrap();
        let number = match expected {
            None => (0..).find(|&number| buffer[..len] == datagram(number)).unwrap(),
            Some(number) => number,
        };
        assert!(buffer[..len] == datagram(number), "datagram {number} differs");
        (expected, row) = (Some(number + 1), row + 1);
    }
    source.stop();
}

#[test]
fn ristreceiver_takes_what_is_sent() {
    let (out, to) = (sink(), free(71));
    let output = format!("udp://{}", out.local_addr().unwrap());
    let _receiver =
        tool("ristreceiver", &format!("-p 1 -b {LATENCY} -s horse -i rist://@{to} -o {output} -S 0"));
    let line =
        format!("rist send -p 1 -b {LATENCY} -s horse -e 0 -i udp://127.0.0.1:0 -o rist://{to} -S 500");
    let line = format!("{line} -v 6 -f 1 --stats -");
    let sender = Program::start(&line.split(' ').collect::<Vec<_>>());
    whole(sender.addr("/input_addr"), &out);
    let sent = sender.end(Signal::SIGTERM);
    assert_eq!(number(&sent, "/tunnel/rejected"), 0, "{sent}");
}

/// Gives a stream to each place, of which nothing is to come out of the other's end.
fn apart([one, other]: [SocketAddr; 2], outs: &[UdpSocket; 2]) {
    whole(one, &outs[0]);
    outs[1].set_nonblocking(true).unwrap();
    assert!(outs[1].recv(&mut [0; 2048]).is_err(), "it is the other's");
    outs[1].set_nonblocking(false).unwrap();
    whole(other, &outs[1]);
}

/// As many streams as there are inputs, told apart by the ports within their tunnels.
#[test]
fn ristreceiver_tells_the_streams_of_several_inputs_apart() {
    let (outs, to) = ([sink(), sink()], free(73));
    let [first, second] = outs.each_ref().map(|out| out.local_addr().unwrap());
    let output = format!("udp://{first}?stream-id=2000,udp://{second}?stream-id=2002");
    let _receiver = tool("ristreceiver", &format!("-p 1 -b {LATENCY} -i rist://@{to} -o {output} -S 0"));
    let inputs = "udp://127.0.0.1:0?stream-id=2000,udp://127.0.0.1:0?stream-id=2002";
    let line = format!("rist send -p 1 -b {LATENCY} -i {inputs} -o rist://{to} --stats -");
    let mut sender = Program::start(&line.split(' ').collect::<Vec<_>>());
    let one = sender.addr("/input_addr");
    sender.next();
    let other = sender.addr("/input_addr");
    assert_ne!(one, other);
    apart([one, other], &outs);
    sender.end(Signal::SIGTERM);
}

/// The same the other way: ristsender sends each input by a tunnel of its own to one port.
#[test]
fn streams_of_several_ristsender_inputs_are_told_apart() {
    let (outs, inputs) = ([sink(), sink()], [free(74), free(75)]);
    let [first, second] = outs.each_ref().map(|out| out.local_addr().unwrap());
    let output = format!("udp://{first}?stream-id=2000,udp://{second}?stream-id=2002");
    let line = format!("rist receive -b {LATENCY} -i rist://@127.0.0.1:0 -o {output} --stats -");
    let mut receiver = Program::start(&line.split(' ').collect::<Vec<_>>());
    let to = receiver.addr("/links/0/addr");
    let [one, other] = inputs;
    let input = format!("udp://@{one}?stream-id=2000,udp://@{other}?stream-id=2002");
    let _sender = tool("ristsender", &format!("-p 1 -b {LATENCY} -i {input} -o rist://{to} -S 0"));
    inputs.into_iter().for_each(bound);
    apart([one, other], &outs);
    let stats = receiver.until(|stats| stats.pointer("/stream_id").is_some());
    assert!([2000, 2002].contains(&number(stats, "/stream_id")), "{stats}");
}

/// Each end is one of Strata's, and each stream has a sender of its own.
#[test]
fn several_senders_are_served_at_one_port() {
    let outs = [sink(), sink()];
    let [first, second] = outs.each_ref().map(|out| out.local_addr().unwrap());
    let output = format!("udp://{first}?stream-id=2000,udp://{second}?stream-id=2002");
    let line = format!("rist receive -b {LATENCY} -s horse -i rist://@127.0.0.1:0 -o {output} --stats -");
    let receiver = Program::start(&line.split(' ').collect::<Vec<_>>());
    let to = receiver.addr("/links/0/addr");
    let senders = ["2000", "2002"].map(|id| {
        let input = format!("udp://127.0.0.1:0?stream-id={id}");
        let line = format!("rist send -b {LATENCY} -s horse -i {input} -o rist://{to} --stats -");
        Program::start(&line.split(' ').collect::<Vec<_>>())
    });
    apart(senders.each_ref().map(|sender| sender.addr("/input_addr")), &outs);
}

#[test]
fn what_ristsender_sends_is_received() {
    let (out, input) = (sink(), free(72));
    let output = format!("udp://{}", out.local_addr().unwrap());
    let line = format!("rist receive -p 1 -b {LATENCY} -s horse -i rist://@127.0.0.1:0 -o {output} -S 500");
    let line = format!("{line} -v 6 --stats -");
    let receiver = Program::start(&line.split(' ').collect::<Vec<_>>());
    let to = receiver.addr("/links/0/addr");
    let _sender =
        tool("ristsender", &format!("-p 1 -b {LATENCY} -s horse -i udp://@{input} -o rist://{to} -S 0"));
    bound(input);
    whole(input, &out);
    let received = receiver.end(Signal::SIGTERM);
    assert_eq!(number(&received, "/tunnel/undecryptable"), 0, "{received}");
}

/// Returns once somebody has bound a socket to `addr`.
fn bound(addr: SocketAddr) {
    until("the socket is bound", || queued_bytes(addr));
}

/// Options of a tool by its own help, such as `("-b", "--buffer")`.
fn options(tool: &str) -> Vec<(String, String)> {
    let output = Command::new(tool).arg("--help").output().expect("`make setup` installs rist-tools");
    let text = [output.stdout, output.stderr].concat();
    let text = String::from_utf8(text).unwrap();
    let option = |line: &str| {
        let mut words: VecDeque<_> = line.split_whitespace().collect();
        let (short, bar, long) = (words.pop_front()?, words.pop_front()?, words.pop_front()?);
        let both = bar == "|" && long.starts_with("--");
        both.then(|| (short.to_owned(), long.to_owned()))
    };
    text.lines().filter_map(option).collect()
}

/// Something that each may be given, as librist's tools take it; nothing for one that has no value.
fn value(long: &str) -> &'static str {
    match long {
        "--buffer" => "500",
        "--secret" => "horse",
        "--encryption-type" | "--fast-start" | "--statsinterval" => "0",
        "--profile" => "1",
        "--verbose-level" => "-1",
        "--remote-logging" => "127.0.0.1:9",
        "--srpfile" => "/no/such/file",
        "--null-packet-deletion" | "--help" | "--help-url" => "",
        _ => panic!("{long} is new"),
    }
}

/// Where it goes by a link that cannot be opened, so that it ends with 3; a flag that is not taken is 2.
#[test]
fn every_option_of_librist_s_tools_is_taken() {
    let tools = [
        ("ristsender", "send", "udp://127.0.0.1:0", "rist://127.0.0.1:9?interface=none0"),
        ("ristreceiver", "receive", "rist://@192.0.2.1:8", "udp://127.0.0.1:9"),
    ];
    for (tool, own, input, output) in tools {
        let options = options(tool);
        assert!(options.len() >= 12, "{options:?}");
        for (short, long) in options {
            let base = [("-i", "--inputurl", input), ("-o", "--outputurl", output)];
            for name in [&short, &long] {
                let mut command = strata();
                command.args(["rist", own]);
                for (short, long, url) in base {
                    command.args([if name == long { long } else { short }, url]);
                }
                if !base.iter().any(|(short, long, _)| name == short || name == long) {
                    command.arg(name).args(Some(value(&long)).filter(|value| !value.is_empty()));
                }
                let output = command.output().unwrap();
                let expected = if long.starts_with("--help") { 0 } else { 3 };
                let said = String::from_utf8_lossy(&output.stderr);
                assert_eq!(output.status.code(), Some(expected), "{tool} {name}: {said}");
            }
        }
    }
}

#[test]
fn logs_and_statistics_go_elsewhere_too() {
    let elsewhere = UdpSocket::bind("127.0.0.1:0").unwrap();
    let mut command = strata();
    command.args(["rist", "send", "-i", "udp://127.0.0.1:0", "-o", "rist://127.0.0.1:9?buffer=50"]);
    command.args(["-r", &elsewhere.local_addr().unwrap().to_string()]).stderr(Stdio::piped());
    let mut child = Running(command.spawn().unwrap());
    let mut buffer = [0; 65_536];
    let mut line = || {
        let len = elsewhere.recv(&mut buffer).unwrap();
        String::from_utf8(buffer[..len].to_vec()).unwrap()
    };
    let mut lines = vec![line()];
    while !lines.iter().any(|line| line.starts_with('{')) {
        lines.push(line());
    }
    assert!(lines.iter().any(|line| line.contains(" sending ")), "{lines:?}");
    let stats: Value = serde_json::from_str(lines.last().unwrap()).unwrap();
    assert_eq!(stats["role"], "sender");
    child.signal(Signal::SIGTERM);
    assert_eq!(child.0.wait().unwrap().code(), Some(0));
    while !line().contains("ending: ") {}
    let mut log = String::new();
    child.0.stderr.take().unwrap().read_to_string(&mut log).unwrap();
    assert!(lines[0].lines().count() == 1 && log.contains(&lines[0]), "{log}");
}

/// So that nothing is waited for in vain.
#[test]
fn what_is_not_taken_says_what_is_to_be_done_instead() {
    for (line, named) in [
        ("send -i udp://127.0.0.1:0,udp://127.0.0.1:0 -o rist://@127.0.0.1:9", "--input: several only where"),
        ("send -i udp://127.0.0.1:0?stream-id=5 -o rist://127.0.0.1:9", "--input: stream-id: \"5\", an even"),
        ("send -p 0 -i udp://127.0.0.1:0?stream-id=6 -o rist://127.0.0.1:8", "--input: stream-id: only with"),
        ("send -S 0 --stats - -i udp://127.0.0.1:0 -o rist://127.0.0.1:9", "--stats: there are none with"),
        ("receive -p 0 -i rist://127.0.0.1:8 -o udp://127.0.0.1:9", "--input: only by the profile main"),
        ("send -i rtp://127.0.0.1:0?rtp-ptype=96 -o rist://127.0.0.1:9", "--input: rtp-ptype: unsupported"),
        ("send -p 2 -i udp://127.0.0.1:0 -o rist://127.0.0.1:9", "simple, main"),
        (
            "send -r nowhere -i udp://127.0.0.1:0 -o rist://127.0.0.1:9",
            "--remote-logging: expected HOST:PORT",
        ),
        ("send -r h:0 -i udp://127.0.0.1:0 -o rist://127.0.0.1:9", "--remote-logging: expected HOST:PORT"),
    ] {
        let output = strata().arg("rist").args(line.split(' ')).output().unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{line}: {said}");
        assert!(said.contains(named), "{line}: {said}");
    }
}
