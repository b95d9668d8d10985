//! Who sends to a receiver what no sender does.

use std::net::UdpSocket;

use nix::sys::signal::Signal;

use super::{datagram, number};
use crate::program::Program;

/// RTP without payload, a hundred times in a row, and then the stream: datagrams go out as they came in.
#[test]
fn packets_that_carry_nothing_go_out_as_they_came() {
    let out = UdpSocket::bind("127.0.0.1:0").unwrap();
    let output = format!("udp://{}", out.local_addr().unwrap());
    let line = "rist receive -i rist://@127.0.0.1:0?buffer=200 --stats - -o";
    let mut receiver = Program::start(&line.split(' ').chain([output.as_str()]).collect::<Vec<_>>());
    let (sender, to) = (UdpSocket::bind("127.0.0.1:0").unwrap(), receiver.addr("/links/0/addr"));
    let payloads: Vec<_> =
        (0..200).map(|number| if number < 100 { Vec::new() } else { datagram(number) }).collect();
    for (sequence, payload) in (0u16..).zip(&payloads) {
        let [high, low] = sequence.to_be_bytes();
        let header = [0x80, 33, high, low, 0, 0, high, low, 0, 0, 0x10, 0];
        sender.send_to(&[&header, &payload[..]].concat(), to).unwrap();
    }
    let mut buffer = [0; 2048];
    for (number, payload) in payloads.iter().enumerate() {
        let len = out.recv(&mut buffer).unwrap();
        assert!(buffer[..len] == payload[..], "datagram {number}: {len} bytes");
    }
    receiver.until(|stats| number(stats, "/delivered_packets") == 200);
    receiver.end(Signal::SIGTERM);
}
