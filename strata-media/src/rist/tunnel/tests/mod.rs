mod keys;
mod replays;

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use proptest::prelude::*;

use super::seal::Seal;
use super::*;
use crate::rist::auth::{Auth, Credentials, Verifiers};
use crate::rist::extension::{Extension, Memory};
use crate::rist::gre::{
    AUTHENTICATION, Capabilities, FULL_DATAGRAM, Header, KEEP_ALIVE, KeepAlive, Mode, REDUCED_OVERHEAD, VSF,
};
use crate::rist::psk::{Key, Rver};
use crate::rist::rtcp::Writer;
use crate::rist::rtp::{self, HEADER_LEN};

#[expect(clippy::disallowed_methods, reason = "virtual time starts anywhere")]
fn start() -> Instant {
    Instant::now()
}

fn psk(secret: &str, aes_type: AesType) -> Psk {
    Psk { aes_type, ..Psk::new(Passphrase::new(secret).unwrap()) }
}

fn secret() -> Config {
    Config::new(Some(psk("secret", AesType::Aes128)))
}

fn peer(host: u8) -> SocketAddr {
    SocketAddr::from(([10, 0, 0, host], 6000))
}

fn header(sequence: u16, ssrc: u32) -> [u8; HEADER_LEN] {
    rtp::Header { marker: false, payload_type: 33, sequence, timestamp: 1, ssrc }.encode()
}

fn report() -> Vec<u8> {
    let mut writer = Writer::new();
    writer.receiver_report(7, None);
    writer.source_description(7, "test");
    writer.finish().to_vec()
}

/// What comes out of a session, and what it sends.
fn drain(session: &mut Session) -> (Vec<Output>, Vec<Vec<u8>>) {
    let (mut inner, mut sent) = (Vec::new(), Vec::new());
    loop {
        match session.poll_output() {
            Output::Transmit(data) => sent.push(data),
            Output::Timeout(_) => return (inner, sent),
            output => inner.push(output),
        }
    }
}

fn give(session: &mut Session, now: Instant, data: &[u8]) -> (Vec<Output>, Vec<Vec<u8>>) {
    session.handle_input(now, Input::Datagram(BytesMut::from(data)));
    drain(session)
}

/// A client and a server that know each other's key.
fn pair(client: &Config, server: &Config) -> (Session, Session, Instant) {
    let now = start();
    let mut client = Session::new(now, client, Role::Client, 1);
    let mut server = Session::new(now, server, Role::Server, 2);
    let (_, greetings) = drain(&mut client);
    assert_eq!(greetings.len(), 3);
    for greeting in greetings {
        assert_eq!(give(&mut server, now, &greeting), (vec![], vec![]));
    }
    let mut datagram = Vec::new();
    client.rtcp(&report(), &mut datagram);
    let (inner, answer) = give(&mut server, now, &datagram);
    assert_eq!((inner, answer.len()), (vec![Output::Rtcp(report().into())], 1));
    give(&mut client, now, &answer[0]);
    assert_eq!((client.counters().keep_alives, server.counters().keep_alives), (1, 3));
    (client, server, now)
}

fn carries(mut client: Session, mut server: Session, now: Instant) {
    let (mut datagram, mut packets, mut sent) = (Vec::new(), Vec::new(), Vec::new());
    for sequence in 0..10 {
        let header = header(sequence, 4);
        sent.push(Output::Rtp([&header[..], b"payload"].concat().into()));
        client.rtp(&header, 0, b"payload", &mut datagram);
        let (inner, _) = give(&mut server, now, &datagram);
        packets.extend(inner);
        server.rtcp(&report(), &mut datagram);
        assert_eq!(give(&mut client, now, &datagram).0, [Output::Rtcp(report().into())]);
    }
    assert_eq!(packets, sent);
    assert_eq!(server.counters().undecryptable, 0);
}

#[test]
fn a_tunnel_carries_both_ways_in_clear_and_encrypted() {
    for config in [
        Config::default(),
        secret(),
        Config::new(Some(psk("secret", AesType::Aes256))),
        Config::new(Some(Psk { key_rotation: Some(1), ..psk("secret", AesType::Aes128) })),
    ] {
        let (client, server, now) = pair(&config, &config);
        carries(client, server, now);
    }
}

/// In clear as librist 0.2.7 does: four bytes of GRE, four of ports.
#[test]
fn clear_datagrams_are_byte_exact() {
    let mut session = Session::new(start(), &Config::default(), Role::Client, 1);
    let mut datagram = Vec::new();
    session.rtp(&header(1, 4), 0, b"TS", &mut datagram);
    assert_eq!(datagram[..8], *b"\x00\x00\x88\xb6\x80\x01\x07\xb0");
    assert_eq!(datagram[8..], [&header(1, 4)[..], b"TS"].concat());
    session.rtcp(&report(), &mut datagram);
    assert_eq!(datagram[..8], *b"\x00\x00\x88\xb6\x80\x00\x07\xb1");
    let elsewhere = Config { destination: Some(2000), ..Config::default() };
    let mut session = Session::new(start(), &elsewhere, Role::Client, 1);
    session.rtp(&header(1, 4), 0, b"TS", &mut datagram);
    assert_eq!(datagram[4..8], *b"\x80\x01\x07\xd0");
    session.rtcp(&report(), &mut datagram);
    assert_eq!(datagram[4..8], *b"\x80\x00\x07\xd1");
}

#[test]
fn a_server_answers_with_the_keys_length_and_the_ports_of_its_client() {
    let (mut client, mut server, now) = pair(&Config::new(Some(psk("secret", AesType::Aes256))), &secret());
    let mut datagram = Vec::new();
    server.rtcp(&report(), &mut datagram);
    let (header, _) = Header::decode(&datagram).unwrap();
    assert!(header.key_256 && header.version == 1);
    assert_eq!(give(&mut client, now, &datagram).0, [Output::Rtcp(report().into())]);
}

/// Who calls a peer of TR-06-2:2020 speaks as that does, and is answered so.
#[test]
fn a_client_speaks_as_the_first_edition_when_told_so() {
    for aes_type in [AesType::Aes128, AesType::Aes256] {
        let called = Config::new(Some(psk("secret", aes_type)));
        let calls = Config::new(Some(psk("secret", aes_type).with_rver(Rver::Zero)));
        let (mut client, mut server, now) = pair(&calls, &called);
        for session in [&mut client, &mut server] {
            let mut datagram = Vec::new();
            session.rtcp(&report(), &mut datagram);
            let (header, start) = Header::decode(&datagram).unwrap();
            assert_eq!((header.version, header.key_256), (0, false));
            let key = Key::derive(&psk("secret", aes_type).secret, header.nonce.unwrap(), aes_type).unwrap();
            key.apply(0, header.sequence.unwrap(), &mut datagram[start..]).unwrap();
            assert_eq!(datagram[start + 4..], report());
        }
        carries(client, server, now);
    }
}

/// Media and reports, both ways; who is called needs no setting.
#[test]
fn whole_datagrams_are_sent_and_answered_where_they_are_asked_for() {
    let mut calls = Config::new(None);
    calls.mode = Mode::Full;
    let (mut client, mut server, now) = pair(&calls, &Config::new(None));
    let mut datagram = Vec::new();
    client.rtp(&header(1, 4), 0, b"payload", &mut datagram);
    assert_eq!(datagram.len(), calls.overhead() + 12 + 7);
    for session in [&mut client, &mut server] {
        session.rtcp(&report(), &mut datagram);
        let (header, start) = Header::decode(&datagram).unwrap();
        assert_eq!((header.ether_type, datagram[start]), (FULL_DATAGRAM, 0x45));
        assert_eq!(datagram[start + Mode::Full.head_len()..], report());
    }
    carries(client, server, now);

    // One that sends was told how when it was made: its payloads fit that.
    let sends = Config { sends: true, ..secret() };
    let (_, mut server, _) = pair(&Config { mode: Mode::Full, ..secret() }, &sends);
    server.rtcp(&report(), &mut datagram);
    assert_eq!(Header::decode(&datagram).unwrap().0.ether_type, REDUCED_OVERHEAD);
}

/// A peer of TR-06-2:2020: RVer 0, the number in the last bytes of the counter.
#[test]
fn a_peer_of_the_first_edition_is_understood_and_answered() {
    let now = start();
    let mut server = Session::new(now, &secret(), Role::Server, 2);
    let key =
        crate::rist::psk::Key::derive(&psk("secret", AesType::Aes128).secret, 9, AesType::Aes128).unwrap();
    let mut datagram = Vec::new();
    let gre = Header {
        nonce: Some(9),
        sequence: Some(5),
        version: 0,
        key_256: false,
        ether_type: REDUCED_OVERHEAD,
    };
    gre.encode(&mut datagram);
    let mut inner = [&b"\x80\x00\x07\xb1"[..], &report()].concat();
    key.apply(0, 5, &mut inner).unwrap();
    datagram.extend(inner);
    assert_eq!(give(&mut server, now, &datagram).0, [Output::Rtcp(report().into())]);
    server.rtcp(&report(), &mut datagram);
    let (answer, start) = Header::decode(&datagram).unwrap();
    assert_eq!(answer.version, 0);
    let nonce = answer.nonce.unwrap();
    let key = crate::rist::psk::Key::derive(&psk("secret", AesType::Aes128).secret, nonce, AesType::Aes128)
        .unwrap();
    key.apply(0, answer.sequence.unwrap(), &mut datagram[start..]).unwrap();
    // From the port the client's report went to, to the one it came from.
    assert_eq!(datagram[start..start + 4], *b"\x07\xb1\x80\x00");
    assert_eq!(datagram[start + 4..], report());
}

#[test]
fn null_packets_are_left_out_and_found_by_the_other_end() {
    let config = Config { null_packet_deletion: true, ..Config::default() };
    let (mut client, mut server, now) = pair(&config, &Config::default());
    let mut payload = vec![0x47, 1, 0, 0x10];
    payload.resize(188, 1);
    payload.extend([0x47, 0x1f, 0xff, 0x10]);
    payload.resize(2 * 188, 0xff);
    let mut datagram = Vec::new();
    client.rtp(&header(1, 4), 0, &payload, &mut datagram);
    assert_eq!(datagram.len(), 8 + 12 + 8 + 188);
    let (inner, _) = give(&mut server, now, &datagram);
    let [Output::Rtp(packet)] = &inner[..] else { panic!("{inner:?}") };
    let (_, place) = rtp::Header::decode(packet).unwrap();
    let extension = Extension::find(packet).unwrap();
    assert_eq!(
        (extension.sequence, extension.restored(packet, place, &mut Memory::default())),
        (None, payload.into())
    );
}

#[test]
fn the_upper_half_of_the_sequence_number_is_told() {
    let config = Config { sequence_extension: true, ..Config::default() };
    let (mut client, mut server, now) = pair(&config, &Config::default());
    let mut datagram = Vec::new();
    client.rtp(&header(1, 4), 0xabcd, b"payload", &mut datagram);
    assert_eq!(datagram[8 + 12..][..8], *b"RI\0\x01\x40\0\xab\xcd");
    let (inner, _) = give(&mut server, now, &datagram);
    let [Output::Rtp(packet)] = &inner[..] else { panic!("{inner:?}") };
    let (header, place) = rtp::Header::decode(packet).unwrap();
    assert_eq!((header.sequence, &packet[place]), (1, &b"payload"[..]));
    assert_eq!(Extension::find(packet).unwrap().sequence, Some(0xabcd));
}

/// From a random number below 2^31 on, with another nonce where it wraps.
#[test]
fn numbers_start_anywhere_and_no_nonce_has_one_twice() {
    let number = |datagram: &[u8]| Header::decode(datagram).unwrap().0.sequence.unwrap();
    let first = |seed| {
        let mut session = Session::new(start(), &secret(), Role::Client, seed);
        number(&drain(&mut session).1[0])
    };
    let firsts: Vec<u32> = (0..8).map(first).collect();
    assert!(firsts.iter().all(|&first| first <= 1 << 31) && firsts.windows(2).all(|two| two[0] != two[1]));
    let mut seal = Seal::new(secret().psk.as_ref(), 1);
    seal.number_from(u32::MAX - 1);
    let mut sent = || {
        let mut out = Vec::new();
        seal.datagram(KEEP_ALIVE, &[b"..............."], &mut out);
        let (header, _) = Header::decode(&out).unwrap();
        (header.sequence.unwrap(), header.nonce.unwrap())
    };
    let (last, wrapped) = (sent(), sent());
    assert_eq!((last.0, wrapped.0), (u32::MAX, 0));
    assert_ne!(last.1, wrapped.1);
}

#[test]
fn another_passphrase_gives_nothing_but_a_count() {
    let now = start();
    let mut client = Session::new(now, &Config::new(Some(psk("other", AesType::Aes128))), Role::Client, 1);
    let mut server = Session::new(now, &secret(), Role::Server, 2);
    let mut sent = drain(&mut client).1;
    let mut datagram = Vec::new();
    for sequence in 0..500u16 {
        client.rtp(&header(sequence, 4), 0, &[0x47; 1316], &mut datagram);
        sent.push(datagram.clone());
        client.rtcp(&report(), &mut datagram);
        sent.push(datagram.clone());
    }
    for datagram in &sent {
        assert_eq!(give(&mut server, now, datagram), (vec![], vec![]));
    }
    let counters = server.counters();
    // One packet is still held back.
    let refused = sent.len() as u64 - 1..=sent.len() as u64;
    assert!(refused.contains(&counters.undecryptable) && counters.taken == 0, "{counters:?}");
}

#[test]
fn clear_and_encrypted_do_not_mix() {
    let now = start();
    let mut datagram = Vec::new();
    Session::new(now, &Config::default(), Role::Client, 1).rtcp(&report(), &mut datagram);
    let mut server = Session::new(now, &secret(), Role::Server, 2);
    assert_eq!(give(&mut server, now, &datagram), (vec![], vec![]));
    assert_eq!(server.counters().unencrypted, 1);
    Session::new(now, &secret(), Role::Client, 1).rtcp(&report(), &mut datagram);
    let mut server = Session::new(now, &Config::default(), Role::Server, 2);
    assert_eq!(give(&mut server, now, &datagram), (vec![], vec![]));
    assert_eq!(server.counters().undecryptable, 1);
    // Authentication is in clear always, and not for this end.
    let mut server = Session::new(now, &secret(), Role::Server, 2);
    give(&mut server, now, b"\x00\x00\x88\x8e\x02\x00\x00\x00");
    assert_eq!(server.counters().other, 1);
}

/// Every datagram with another nonce: keys are not derived for more than a few of them, and who is known stays so.
#[test]
fn new_nonces_are_limited_and_do_not_displace_a_known_key() {
    let (mut client, mut server, mut now) = pair(&secret(), &secret());
    let mut datagram = Vec::new();
    for nonce in 1..10_000u32 {
        now += Duration::from_millis(1);
        let gre = Header {
            nonce: Some(nonce),
            sequence: Some(1),
            version: 1,
            key_256: false,
            ether_type: REDUCED_OVERHEAD,
        };
        let mut forged = Vec::new();
        gre.encode(&mut forged);
        forged.extend([0; 100]);
        give(&mut server, now, &forged);
        if nonce % 100 == 0 {
            client.rtcp(&report(), &mut datagram);
            assert_eq!(give(&mut server, now, &datagram).0, [Output::Rtcp(report().into())]);
        }
    }
    let counters = server.counters();
    // At most 200 at once, and 200 in each of ten seconds.
    assert!(counters.undecryptable <= 2_200, "{counters:?}");
    assert!(counters.throttled >= 7_700, "{counters:?}");
}

/// What someone can send who sees datagrams and takes their address, but has no passphrase: noise under the peer's
/// nonce, in any type and version. It changes nothing.
#[test]
fn noise_under_a_known_nonce_changes_nothing() {
    let (mut client, mut server, now) = pair(&secret(), &secret());
    let mut datagram = Vec::new();
    client.rtcp(&report(), &mut datagram);
    let (seen, _) = Header::decode(&datagram).unwrap();
    server.rtcp(&report(), &mut datagram);
    let (answer, _) = Header::decode(&datagram).unwrap();
    let later = now + Duration::from_secs(1);
    for number in 0..2_000u32 {
        // Another type, another version, and a message of the length of a keep-alive, whose D bit is set half the time.
        let kinds = [(REDUCED_OVERHEAD, 1), (0x1234, 1), (0x1234, 0), (REDUCED_OVERHEAD, 0), (KEEP_ALIVE, 1)];
        for (ether_type, version) in kinds {
            // Ahead of what came: what does not is not looked at.
            let sequence = seen.sequence.map(|sequence| sequence + 1 + number * 0xf_ffff);
            let mut forged = Vec::new();
            Header { sequence, version, ether_type, ..seen }.encode(&mut forged);
            forged.extend([0x5a; 8]);
            assert_eq!(give(&mut server, later, &forged), (vec![], vec![]));
        }
    }
    let counters = server.counters();
    assert!(
        counters.other == 4_000 && counters.keep_alives == 3 + 2_000 && counters.throttled == 0,
        "{counters:?}"
    );
    assert_eq!(server.heard(), now);
    // The same key, version and number of the next datagram: nothing was derived, sent or turned.
    server.rtcp(&report(), &mut datagram);
    let next = Header { sequence: answer.sequence.map(|sequence| sequence + 1), ..answer };
    assert_eq!(Header::decode(&datagram).unwrap().0, next);
    assert_eq!(give(&mut client, later, &datagram).0, [Output::Rtcp(report().into())]);
    client.rtcp(&report(), &mut datagram);
    assert_eq!(give(&mut server, later, &datagram), (vec![Output::Rtcp(report().into())], vec![]));
}

/// With a key, only a farewell that tells something is one; in clear, any.
#[test]
fn a_farewell_under_a_key_has_to_tell_something() {
    let farewell = |config: &Config, json: &[u8]| {
        let (_, mut server, now) = pair(config, config);
        let mut message = Vec::new();
        KeepAlive { mac: [2; 6], capabilities: Capabilities::DISCONNECT, json }.encode(&mut message);
        let mut datagram = Vec::new();
        Seal::new(config.psk.as_ref(), 9).datagram(KEEP_ALIVE, &[&message], &mut datagram);
        give(&mut server, now, &datagram).0 == [Output::Closed]
    };
    for json in [&b""[..], b"{}", b"{\"vendor\"}", b"{\xff}"] {
        assert!(!farewell(&secret(), json) && farewell(&Config::default(), json), "{json:?}");
    }
    assert!(farewell(&secret(), b"{\"vendor\":\"Other\"}"));
}

#[test]
fn keep_alives_come_at_the_start_and_every_five_seconds() {
    let (mut client, mut server, now) = pair(&Config::default(), &Config::default());
    for session in [&mut client, &mut server] {
        session.handle_input(now + Duration::from_millis(4999), Input::Timeout);
        assert_eq!(drain(session).1.len(), 0);
        session.handle_input(now + Duration::from_millis(5000), Input::Timeout);
        let (_, sent) = drain(session);
        let (header, start) = Header::decode(&sent[0]).unwrap();
        let message = KeepAlive::decode(&sent[0][start..]).unwrap();
        assert_eq!(
            (sent.len(), header.ether_type, message.json),
            (1, KEEP_ALIVE, &br#"{"vendor":"Strata"}"#[..])
        );
        assert!(message.capabilities.has(Capabilities::NULL_PACKETS));
    }
}

#[test]
fn a_farewell_is_answered_and_ends_the_session() {
    for config in [Config::default(), secret()] {
        let (mut client, mut server, now) = pair(&config, &config);
        client.handle_input(now, Input::Close);
        let (_, farewells) = drain(&mut client);
        assert_eq!(farewells.len(), 3);
        let (inner, answer) = give(&mut server, now, &farewells[0]);
        assert_eq!((inner, answer.len()), (vec![Output::Closed], 1));
    }
}

fn heard(listener: &mut Listener, now: Instant, from: SocketAddr, data: &[u8]) -> Vec<ListenerOutput> {
    listener.handle_input(now, ListenerInput::Datagram { link: 0, from, data: BytesMut::from(data) });
    std::iter::from_fn(|| Some(listener.poll_output()).filter(|o| !matches!(o, ListenerOutput::Timeout(_))))
        .collect()
}

#[test]
fn a_listener_tells_its_peers_apart_and_forgets_them() {
    let now = start();
    let mut listener = Listener::new(now, Config::default(), 32, 1);
    let mut client = Session::new(now, &Config::default(), Role::Client, 1);
    let mut datagram = Vec::new();
    client.rtcp(&report(), &mut datagram);
    let expected = ListenerOutput::Rtcp { link: 0, from: peer(1), data: Bytes::from(report()) };
    assert_eq!(heard(&mut listener, now, peer(1), &datagram)[0], expected);
    heard(&mut listener, now, peer(2), &datagram);
    assert_eq!(listener.peers(), 2);
    listener.rtcp(0, peer(2), &report(), &mut datagram);
    assert!(!datagram.is_empty());
    listener.rtcp(0, peer(3), &report(), &mut datagram);
    assert!(datagram.is_empty());
    listener.handle_input(now + Duration::from_secs(59), ListenerInput::Timeout);
    assert_eq!(listener.peers(), 2);
    listener.handle_input(now + Duration::from_secs(61), ListenerInput::Timeout);
    assert_eq!((listener.peers(), listener.counters().taken), (0, 2));
}

/// What is not read is discarded, and keeps a tunnel alive (TR-06-2): for ten minutes nothing else comes, and it is still there. With a key
/// it is not told from noise, and keeps nothing alive; reports do, which pass beside it as ever.
#[test]
fn what_is_not_read_keeps_a_tunnel_alive() {
    // IPv6, ARP, an echo of ICMP, VSF messages of no use here (a nonce to come, buffers) and of a type nobody knows, authentication.
    let ping = [&[0x45, 0, 0, 28, 0, 0, 0, 0, 64, 1][..], &[0; 18]].concat();
    let kinds: [(u16, &[u8]); 7] = [
        (0x86dd, &[0x60; 60]),
        (0x0806, &[1; 28]),
        (FULL_DATAGRAM, &ping),
        (VSF, b"\0\0\x80\x01\x12\x34\x56\x78"),
        (VSF, b"\0\0\x80\x02\x03\xe8\x03\xe8\0\0\0\0"),
        (VSF, b"\x12\x34\0\0"),
        (AUTHENTICATION, b"\x02\0\0\0"),
    ];
    for (ether_type, payload) in kinds {
        for config in [Config::default(), secret()] {
            let begin = start();
            let mut listener = Listener::new(begin, config.clone(), 32, 1);
            let mut client = Session::new(begin, &config, Role::Client, 1);
            let mut seal = Seal::new(config.psk.as_ref(), 9);
            let (mut datagram, mut other) = (Vec::new(), Vec::new());
            for minute in 0..10 {
                let now = begin + Duration::from_secs(59) * minute;
                if minute == 0 || minute == 9 || config.psk.is_some() {
                    client.rtcp(&report(), &mut datagram);
                    let outputs = heard(&mut listener, now, peer(1), &datagram);
                    let expected =
                        ListenerOutput::Rtcp { link: 0, from: peer(1), data: Bytes::from(report()) };
                    // What is owed may go before.
                    assert!(outputs.contains(&expected), "{ether_type:#x} in minute {minute}: {outputs:?}");
                }
                seal.datagram(ether_type, &[payload], &mut other);
                let outputs = heard(&mut listener, now, peer(1), &other);
                assert!(outputs.iter().all(|output| matches!(output, ListenerOutput::Transmit { .. })));
                listener.handle_input(now + Duration::from_secs(58), ListenerInput::Timeout);
                assert_eq!(listener.peers(), 1, "{ether_type:#x} in minute {minute}");
            }
            let counters = listener.counters();
            assert_eq!(
                (counters.other, counters.rejected, counters.undecryptable),
                (10, 0, 0),
                "{counters:?}"
            );
        }
    }
}

/// From any number of addresses: bounded, answered nothing, and a real peer is served when they fall silent.
#[test]
fn strangers_are_bounded_and_not_answered() {
    let now = start();
    let mut listener = Listener::new(now, secret(), 32, 1);
    let mut other = Session::new(now, &Config::new(Some(psk("other", AesType::Aes128))), Role::Client, 1);
    let mut datagram = Vec::new();
    for host in 0..=255 {
        other.rtcp(&report(), &mut datagram);
        assert_eq!(heard(&mut listener, now, peer(host), &datagram), []);
    }
    let counters = listener.counters();
    // Of 16 derivations, eight are kept for who says the same again.
    assert_eq!((listener.peers(), counters.undecryptable), (32, 8), "{counters:?}");
    assert_eq!((counters.throttled, counters.crowded), (256 - 8, 256 - 32));
    let later = now + Duration::from_secs(1);
    let mut client = Session::new(later, &secret(), Role::Client, 3);
    client.rtcp(&report(), &mut datagram);
    let outputs = heard(&mut listener, later, peer(7), &datagram);
    assert!(matches!(outputs[0], ListenerOutput::Rtcp { .. }), "{outputs:?}");
}

#[test]
fn as_many_peers_are_told_apart_as_there_is_room_for() {
    assert!(size_of::<Session>() <= 2304, "{}", size_of::<Session>());
    let now = start();
    let mut listener = Listener::new(now, Config::default(), 4096, 1);
    let mut datagram = Vec::new();
    Session::new(now, &Config::default(), Role::Client, 1).rtcp(&report(), &mut datagram);
    let at = |port: u16| SocketAddr::from(([10, 0, 0, 1], port));
    for port in 1..=5000 {
        heard(&mut listener, now, at(port), &datagram);
    }
    assert_eq!((listener.peers(), listener.counters().crowded), (4096, 904));
    // Every other one stays; whose place another one has taken is still found.
    let later = now + Duration::from_secs(2);
    (1..=4096).step_by(2).for_each(|port| drop(heard(&mut listener, later, at(port), &datagram)));
    heard(&mut listener, later, at(5000), &datagram);
    assert_eq!((listener.peers(), listener.counters().crowded), (2049, 904));
    for port in (1..=4096).step_by(2).chain([5000]) {
        listener.rtcp(0, at(port), &report(), &mut datagram);
        assert!(!datagram.is_empty(), "{port}");
        listener.rtcp(0, at(port % 5000 + 1), &report(), &mut datagram);
        assert_eq!(datagram.is_empty(), port != 5000, "{port}");
    }
}

/// Where a password is needed, who only says that he is there does not keep his place.
#[test]
fn keep_alives_of_strangers_keep_no_place() {
    let mut now = start();
    let users = Verifiers::of(&Credentials::new("user", "password").unwrap(), [1; 32]);
    let config = Config { auth: Some(Auth::server(users, [2; 32])), ..Config::default() };
    let mut listener = Listener::new(now, config, 32, 1);
    let greeting = drain(&mut Session::new(now, &Config::default(), Role::Client, 1)).1.remove(0);
    for _ in 0..10 {
        (0..32).for_each(|host| drop(heard(&mut listener, now, peer(host), &greeting)));
        now += Duration::from_millis(200);
    }
    heard(&mut listener, now, peer(99), &greeting);
    assert_eq!((listener.peers(), listener.counters().crowded), (1, 0));
}

/// librist says but once that it is there: when that is lost, or not answered in time, keep-alive messages are all that
/// still comes.
#[test]
fn who_only_keeps_alive_is_asked_for_the_password_until_it_comes() {
    let mut now = start();
    let credentials = Credentials::new("user", "password").unwrap();
    let users = Verifiers::of(&credentials, [1; 32]);
    let with = |auth: Auth| Config { auth: Some(auth), ..Config::default() };
    let mut server = Session::new(now, &with(Auth::server(users, [2; 32])), Role::Server, 1);
    let mut client = Session::new(now, &with(Auth::client(credentials, [3; 32])), Role::Client, 2);
    // The header of GRE, then the version and the type of EAPOL.
    let is_start = |datagram: &[u8]| datagram[2..4] == AUTHENTICATION.to_be_bytes() && datagram[5] == 1;
    let (mut questions, mut unanswered) = (0, 0);
    for second in 0..20 {
        now += Duration::from_secs(1);
        client.handle_input(now, Input::Timeout);
        server.handle_input(now, Input::Timeout);
        let mut to_client = drain(&mut server).1;
        let mut to_server = drain(&mut client).1;
        while !to_client.is_empty() || !to_server.is_empty() {
            to_server.retain(|datagram| !is_start(datagram));
            for datagram in std::mem::take(&mut to_server) {
                to_client.extend(give(&mut server, now, &datagram).1);
            }
            questions += to_client.len();
            unanswered += if second > 8 { 0 } else { to_client.len() };
            // Nothing reaches it at first.
            for datagram in std::mem::take(&mut to_client).into_iter().filter(|_| second > 8) {
                to_server.extend(give(&mut client, now, &datagram).1);
            }
        }
    }
    // Until it answers, it is asked when it keeps alive: at its start and after five seconds.
    assert!(unanswered == 2 && questions > 2 + 4, "{unanswered} {questions}");
    let mut datagram = Vec::new();
    client.rtcp(&report(), &mut datagram);
    assert_eq!(give(&mut server, now, &datagram).0, [Output::Rtcp(report().into())]);
}

proptest! {
    #[test]
    fn any_bytes_are_survived(datagrams: Vec<Vec<u8>>, keyed: bool) {
        let now = start();
        let config = if keyed { secret() } else { Config::default() };
        let mut listener = Listener::new(now, config, 32, 1);
        for (host, data) in datagrams.iter().enumerate() {
            heard(&mut listener, now, peer(host as u8), data);
        }
        prop_assert!(listener.peers() <= 32);
    }

    #[test]
    fn what_is_changed_on_the_way_gives_no_media(flip in 0usize..12, bit in 0u8..8) {
        let (mut client, mut server, now) = pair(&secret(), &secret());
        let mut datagram = Vec::new();
        for sequence in 0..2 {
            client.rtp(&header(sequence, 4), 0, b"payload", &mut datagram);
            give(&mut server, now, &datagram);
        }
        client.rtp(&header(2, 4), 0, b"payload", &mut datagram);
        datagram[flip] ^= 1 << bit;
        // Any change of the header makes noise; the reserved bits alone are of no consequence.
        let (inner, _) = give(&mut server, now, &datagram);
        let reserved = (flip == 0 && bit < 2) || (flip == 1 && bit == 7);
        prop_assert!(reserved || inner.is_empty(), "{} {}: {:?}", flip, bit, inner);
    }
}

/// As the network may do, or anybody who heard them.
#[test]
fn noise_does_not_pass_when_it_is_repeated() {
    for seed in 0..50 {
        let mut client =
            Session::new(start(), &Config::new(Some(psk("other", AesType::Aes128))), Role::Client, seed);
        let mut server = Session::new(start(), &secret(), Role::Server, 2);
        let mut datagram = Vec::new();
        for sequence in 0..20 {
            client.rtp(&header(sequence, 4), 0, b"payload", &mut datagram);
            for _ in 0..3 {
                assert_eq!(give(&mut server, start(), &datagram).0, []);
            }
        }
    }
}
