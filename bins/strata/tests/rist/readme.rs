//! The README's command lines, in a shell and as they are written, but for hosts and interfaces that are somebody else's, and for
//! ports, which the system picks.

use std::net::{SocketAddr, UdpSocket};
use std::path::Path;
use std::process::Command;

use nix::sys::signal::Signal;

use crate::common::strata;
use crate::program::{Program, number};
use crate::{Source, datagram};

const README: &str = include_str!("../../README.md");
/// Datagrams that come out of all of it.
const ENOUGH: u32 = 50;

/// The commands of all blocks, each in one line.
fn commands() -> Vec<String> {
    let blocks = README.split("```sh\n").skip(1).map(|rest| rest.split_once("```").unwrap().0);
    let lines = blocks.map(|block| block.replace("\\\n", " "));
    let lines: Vec<_> =
        lines.flat_map(|block| block.lines().map(str::to_owned).collect::<Vec<_>>()).collect();
    lines.into_iter().filter(|line| !line.starts_with('#') && !line.is_empty()).collect()
}

/// A command with other places than those that are written.
fn elsewhere(command: &str, places: &[(&str, &str)]) -> String {
    places.iter().fold(command.to_owned(), |command, (from, to)| {
        assert_eq!(command.matches(from).count(), 1, "{from} in {command}");
        command.replace(from, to)
    })
}

fn run(line: &str) -> Program {
    let mut command = Command::new("sh");
    let program = strata();
    let folder = Path::new(program.get_program()).parent().unwrap();
    let path =
        [folder.as_os_str(), std::env::var_os("PATH").unwrap_or_default().as_os_str()].join(":".as_ref());
    command.args(["-c", &format!("exec {line}")]);
    for (name, value) in program.get_envs() {
        assert!(value.is_none());
        command.env_remove(name);
    }
    command.env("PATH", path);
    Program::run(command)
}

/// What is sent goes by the emulated link and by another one, is received, and put out.
#[test]
fn commands_work_as_they_are_written() {
    let commands = commands();
    let [sends, receives, emulates] = &commands[..] else { panic!("{commands:?}") };
    let out = UdpSocket::bind("127.0.0.1:0").unwrap();
    let to = out.local_addr().unwrap().to_string();
    let places =
        [("0.0.0.0:6000", "127.0.0.1:0"), ("0.0.0.0:6002", "127.0.0.1:0"), ("127.0.0.1:5002", &to[..])];
    let mut receiver = run(&format!("{} --stats -", elsewhere(receives, &places)));
    let [first, second]: [SocketAddr; 2] = ["/links/0/addr", "/links/1/addr"].map(|link| receiver.addr(link));
    let [.., high, low] = std::process::id().to_be_bytes();
    let link = SocketAddr::from(([127, 73, high, low], first.port()));
    let pair = |addr: SocketAddr| format!("{addr}-{}", addr.port() + 1);
    let places = [("127.0.0.2:6000-6001", &pair(link)[..]), ("127.0.0.1:6000-6001", &pair(first))];
    let netem = run(&elsewhere(emulates, &places));
    let places = [
        ("127.0.0.1:5000", "127.0.0.1:0"),
        ("host:6000", &link.to_string()[..]),
        ("host:6002", &second.to_string()),
        ("wwan0", "lo"),
        ("wwan1", "lo"),
    ];
    let sender = run(&format!("{} --stats -", elsewhere(sends, &places)));
    let source = Source::start(sender.addr("/input_addr"));
    let (mut buffer, mut next) = ([0; 2048], 0);
    for _ in 0..ENOUGH {
        let len = out.recv(&mut buffer).unwrap();
        // 300 ms are too little for a machine that stands still: some may be missing, but none is another one.
        let number = (next..).take(10_000).find(|&number| buffer[..len] == datagram(number));
        next = number.expect("a datagram that was given, after those before") + 1;
    }
    source.stop();
    receiver.until(|stats| number(stats, "/links/0/packets") > 0 && number(stats, "/links/1/packets") > 0);
    sender.end(Signal::SIGTERM);
    receiver.end(Signal::SIGTERM);
    assert!(number(&netem.end(Signal::SIGTERM), "/up/delivered") > 0);
}
