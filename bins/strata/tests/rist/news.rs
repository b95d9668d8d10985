//! What the log tells of links and keys, once.

use std::io::{BufRead as _, BufReader};
use std::net::{SocketAddr, UdpSocket};
use std::process::Stdio;

use crate::{Running, even, strata};

/// A tool and its log.
fn logged(line: &str) -> (Running, impl Iterator<Item = String> + use<>) {
    let mut child = strata();
    child.args(line.split(' ')).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
    let mut child = Running(child.spawn().unwrap());
    let log = BufReader::new(child.0.stderr.take().unwrap()).lines().map(Result::unwrap);
    (child, log)
}

fn address(of: &UdpSocket) -> SocketAddr {
    of.local_addr().unwrap()
}

#[test]
fn a_link_that_cannot_be_used_is_told_of_and_one_that_nobody_answers() {
    let (silent, other) = (even(), even());
    let output = format!("rist://{},rist://{}?interface=nope0", address(&silent), address(&other));
    let (_sender, mut log) = logged(&format!("rist send -p simple -i udp://127.0.0.1:0 -o {output}"));
    let broken = log.find(|line| line.contains("link cannot be used")).unwrap();
    assert!(
        broken.contains("WARN") && broken.contains("link=1") && broken.contains("nope0: No such device"),
        "{broken}"
    );
    let dead = log.find(|line| line.contains("nothing comes back by this link")).unwrap();
    assert!(dead.contains("WARN") && dead.contains("link=0"), "{dead}");
}

#[test]
fn another_passphrase_is_told_of() {
    let at = address(&even());
    let (_receiver, mut received) =
        logged(&format!("rist receive -s horse -i rist://@{at} -o udp://127.0.0.1:9"));
    received.find(|line| line.contains("receiving")).unwrap();
    let (_sender, mut sent) = logged(&format!("rist send -s cow -i udp://127.0.0.1:0 -o rist://{at}"));
    let unread = received.find(|line| line.contains("encrypted datagrams come that cannot be read")).unwrap();
    assert!(unread.contains("WARN"), "{unread}");
    // Who has shown no key gets no answer.
    sent.find(|line| line.contains("nothing comes back by this link")).unwrap();
}
