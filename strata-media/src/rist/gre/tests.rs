use proptest::prelude::*;

use super::*;

fn encoded(header: &Header) -> Vec<u8> {
    let mut out = Vec::new();
    header.encode(&mut out);
    out
}

fn decode(datagram: &[u8]) -> DecodeError {
    Header::decode(datagram).unwrap_err()
}

/// What librist 0.2.7 puts on the wire: in clear, with a key of 128 bits, with one of 256.
#[test]
fn headers_are_byte_exact() {
    let clear =
        Header { nonce: None, sequence: None, version: 0, key_256: false, ether_type: REDUCED_OVERHEAD };
    let short = Header { nonce: Some(0x53d1_fa3a), sequence: Some(3), version: 1, ..clear };
    let long = Header { key_256: true, ..short };
    for (header, bytes) in [
        (clear, &b"\x00\x00\x88\xb6"[..]),
        (short, b"\x30\x08\x88\xb6\x53\xd1\xfa\x3a\x00\x00\x00\x03"),
        (long, b"\x30\x48\x88\xb6\x53\xd1\xfa\x3a\x00\x00\x00\x03"),
    ] {
        assert_eq!(encoded(&header), bytes);
        assert_eq!(Header::decode(bytes), Ok((header, bytes.len())));
        assert!(Header::is_gre(bytes));
    }
}

#[test]
fn a_checksum_is_stepped_over() {
    let bytes = b"\xb0\x08\x88\xb6\xab\xcd\x00\x00\x00\x00\x00\x07\x00\x00\x00\x09rest";
    let (header, payload) = Header::decode(bytes).unwrap();
    assert_eq!((header.nonce, header.sequence, payload), (Some(7), Some(9), 16));
    assert!(Header::is_gre(bytes));
}

#[test]
fn broken_headers_are_told_apart() {
    assert_eq!(decode(b"\x00\x00\x88"), DecodeError::Truncated { at: 0, need: 4, have: 3 });
    assert_eq!(decode(b"\x80\x00\x88\xb6\x00\x00\x00"), DecodeError::Truncated { at: 4, need: 4, have: 3 });
    assert_eq!(decode(b"\x30\x08\x88\xb6\x00\x00\x00"), DecodeError::Truncated { at: 4, need: 4, have: 3 });
    assert_eq!(decode(b"\x10\x00\x88\xb6\x00"), DecodeError::Truncated { at: 4, need: 4, have: 1 });
    // Routing of RFC 1701, PPTP's version, an RVer to come.
    for flags in [0x4000, 0x0001, 0x0018] {
        let bytes = [&u16::to_be_bytes(flags)[..], b"\x88\xb6"].concat();
        assert_eq!(decode(&bytes), DecodeError::Gre { flags });
    }
}

/// On one port with RTP: a transport stream's packets are never taken for GRE, whatever their numbers.
#[test]
fn rtp_of_a_transport_stream_is_never_gre() {
    for first in [0x80, 0x90, 0xa0, 0xb0] {
        for marker in [0x21, 0xa1] {
            for sequence in 0..=u16::MAX {
                let [s0, s1] = sequence.to_be_bytes();
                assert!(!Header::is_gre(&[first, marker, s0, s1, 0, 0, 0, 0, 0, 0, 0, 0]));
            }
        }
    }
    // Dynamic payload types neither.
    for payload_type in 96..=127 {
        assert!(!Header::is_gre(&[0x80, payload_type, 0x88, 0xb6, 0, 0, 0, 0]));
    }
    assert!(!Header::is_gre(b"\x80\xc8\x00\x06"), "a sender report");
}

#[test]
fn reduced_overhead_is_ports_and_a_datagram() {
    let plain = b"\x80\x01\x07\xb0RTP";
    let ports = Ports { source: 32769, destination: 1968 };
    let expected = Payload::Datagram { mode: Mode::Reduced, ports, data: 4..7 };
    assert_eq!(Payload::decode(REDUCED_OVERHEAD, plain), Ok(expected));
    assert_eq!(Mode::Reduced.head(ports, 3).bytes(), &plain[..4]);
    let wrapped = b"\0\0\0\0\x80\x01\x07\xb0RTP";
    assert_eq!(
        Payload::decode(VSF, wrapped),
        Ok(Payload::Datagram { mode: Mode::Reduced, ports, data: 8..11 })
    );
    let short = Payload::decode(REDUCED_OVERHEAD, b"\x80\x01\x07");
    assert_eq!(short, Err(DecodeError::Truncated { at: 2, need: 2, have: 1 }));
}

fn ipv4(protocol: u8, fragment: u16, udp_len: u16) -> Vec<u8> {
    let mut out = b"\x45\x00\x00\x1f\x00\x00".to_vec();
    out.extend(fragment.to_be_bytes());
    out.extend([0x40, protocol, 0, 0, 127, 0, 0, 1, 127, 0, 0, 1]);
    out.extend(b"\x13\x88\x13\x8a");
    out.extend(udp_len.to_be_bytes());
    out.extend(b"\0\0RTPpadding");
    out
}

#[test]
fn of_full_datagrams_only_whole_udp_is_read() {
    let ports = Ports { source: 5000, destination: 5002 };
    let expected = Payload::Datagram { mode: Mode::Full, ports, data: 28..31 };
    assert_eq!(Payload::decode(FULL_DATAGRAM, &ipv4(17, 0x4000, 11)), Ok(expected));
    // librist's message of its own, a fragment, lengths that cannot be.
    for other in [ipv4(0xfc, 0x4000, 11), ipv4(17, 0x2000, 11), ipv4(17, 0, 12), ipv4(17, 0, 7)] {
        let other = Payload::decode(FULL_DATAGRAM, &other);
        assert_eq!(other, Ok(Payload::Other { ether_type: FULL_DATAGRAM }));
    }
}

/// Headers as RFC 791 and RFC 768 have them: the sum of an IPv4 header's words, its checksum included, is all ones.
#[test]
fn full_datagrams_are_whole_ipv4() {
    let ports = Ports { source: 32769, destination: 1968 };
    let head = Mode::Full.head(ports, 3);
    assert_eq!((head.ether_type(), head.bytes().len()), (FULL_DATAGRAM, Mode::Full.head_len()));
    let bytes = [head.bytes(), b"RTP"].concat();
    assert_eq!(bytes[..10], *b"\x45\0\0\x1f\0\0\x40\0\x40\x11");
    assert_eq!(bytes[20..28], *b"\x80\x01\x07\xb0\0\x0b\0\0");
    let sum: u32 = bytes[..20].chunks(2).map(|word| u32::from(u16::from_be_bytes([word[0], word[1]]))).sum();
    assert_eq!((sum & 0xffff) + (sum >> 16), 0xffff);
    let read = Payload::Datagram { mode: Mode::Full, ports, data: 28..31 };
    assert_eq!(Payload::decode(FULL_DATAGRAM, &bytes), Ok(read));
}

#[test]
fn keep_alives_say_who_and_what() {
    let message = KeepAlive {
        mac: [2, 0, 0, 0, 0, 1],
        capabilities: Capabilities::BONDING.with(Capabilities::JSON),
        json: br#"{"vendor":"x"}"#,
    };
    let mut bytes = Vec::new();
    message.encode(&mut bytes);
    assert_eq!(bytes[..8], [2, 0, 0, 0, 0, 1, 0x20, 0x10]);
    assert_eq!(KeepAlive::decode(&bytes), Ok(message));
    assert!(message.capabilities.has(Capabilities::BONDING));
    assert!(!message.capabilities.has(Capabilities::DISCONNECT));
    assert_eq!(KeepAlive::decode(&bytes[..7]), Err(DecodeError::Truncated { at: 0, need: 8, have: 7 }));
    let wrapped = Payload::decode(VSF, &[b"\0\0\x80\0", &bytes[..]].concat());
    assert_eq!(wrapped, Ok(Payload::KeepAlive(4..bytes.len() + 4)));
    assert_eq!(Payload::decode(VSF, b"\0\0\x80\x01"), Ok(Payload::Other { ether_type: VSF }));
}

proptest! {
    #[test]
    fn what_is_encoded_is_decoded(
        nonce: Option<u32>, sequence: Option<u32>, version in 0u8..=2, key_256: bool, ether_type: u16,
        rest: Vec<u8>,
    ) {
        let header = Header { nonce, sequence, version, key_256: key_256 && version > 0, ether_type };
        let mut bytes = encoded(&header);
        let len = bytes.len();
        bytes.extend(rest);
        prop_assert_eq!(Header::decode(&bytes), Ok((header, len)));
    }

    #[test]
    fn any_bytes_are_refused_or_within_bounds(bytes: Vec<u8>, ether_type: u16) {
        if let Ok((_, start)) = Header::decode(&bytes) {
            prop_assert!(start <= bytes.len());
        }
        for kind in [ether_type, REDUCED_OVERHEAD, FULL_DATAGRAM, VSF, KEEP_ALIVE] {
            if let Ok(Payload::Datagram { data, .. } | Payload::KeepAlive(data)) = Payload::decode(kind, &bytes) {
                prop_assert!(data.start <= data.end && data.end <= bytes.len());
            }
        }
    }
}
