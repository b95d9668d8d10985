//! What flags and parameters of the Main Profile make of a packet on the wire.

use std::net::UdpSocket;

use nix::sys::signal::Signal;
use strata_media::rist::extension::Extension;
use strata_media::rist::gre::{Header, Mode, Payload, Ports};

use crate::program::Program;

/// A packet of a transport stream, and a null packet.
fn payload() -> Vec<u8> {
    let mut payload = vec![0x47, 1, 0, 0x10];
    payload.resize(188, 1);
    payload.extend([0x47, 0x1f, 0xff, 0x10]);
    payload.resize(2 * 188, 0xff);
    payload
}

/// The first packet that a sender with these flags and parameters sends of the stream that comes to its input.
fn sent(flags: &str, input: &str, query: &str) -> (Mode, Ports, Option<Extension>) {
    let to = UdpSocket::bind("127.0.0.1:0").unwrap();
    let output = format!("rist://{}{query}", to.local_addr().unwrap());
    let line = format!("rist send -i udp://127.0.0.1:0{input} -o {output} --stats - {flags}");
    let sender = Program::start(&line.trim_end().split(' ').collect::<Vec<_>>());
    let source = UdpSocket::bind("127.0.0.1:0").unwrap();
    source.send_to(&payload(), sender.addr("/input_addr")).unwrap();
    let mut buffer = [0; 2048];
    let found = loop {
        let len = to.recv(&mut buffer).unwrap();
        let (header, start) = Header::decode(&buffer[..len]).unwrap();
        let plain = &buffer[start..len];
        // Keep-alive messages and reports are sent too; a report's payload type is no media's.
        if let Ok(Payload::Datagram { mode, ports, data }) = Payload::decode(header.ether_type, plain)
            && plain[data.start + 1] & 0x7f == 33
        {
            break (mode, ports, Extension::find(&plain[data]));
        }
    };
    sender.end(Signal::SIGTERM);
    found
}

const PORTS: Ports = Ports { source: 32769, destination: 1968 };

#[test]
fn nothing_is_added_unless_it_is_asked_for() {
    assert_eq!(sent("", "", "?buffer=50"), (Mode::Reduced, PORTS, None));
}

#[test]
fn what_only_the_main_profile_has_is_set_by_flags_and_by_urls() {
    for (flags, query) in [
        ("-n --sequence-extension --full-datagrams", "?buffer=50"),
        ("", "?buffer=50&null-packet-deletion=1&sequence-extension=1&full-datagrams=1"),
    ] {
        let (mode, ports, extension) = sent(flags, "", query);
        let extension = extension.unwrap();
        let nulls = extension.nulls.unwrap();
        assert_eq!((mode, ports), (Mode::Full, PORTS));
        assert_eq!((nulls.packets, nulls.removed, nulls.long), (2, 0b010_0000, false), "the second of two");
        assert!(extension.sequence.is_some());
    }
}

#[test]
fn a_stream_goes_to_the_port_of_its_tunnel_that_is_asked_for() {
    let to = |destination| (Mode::Reduced, Ports { destination, ..PORTS }, None);
    assert_eq!(sent("", "", "?buffer=50&virt-dst-port=2000"), to(2000));
    assert_eq!(sent("", "?stream-id=2002", "?buffer=50"), to(2002));
}
