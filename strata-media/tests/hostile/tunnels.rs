//! Strangers at the port of a tunnel: wrong keys, none, and noise. Nothing comes through, nobody is answered, and each kind is counted.

use std::net::SocketAddr;

use bytes::BytesMut;
use strata_media::rist::psk::Passphrase;
use strata_media::rist::rtcp::Writer;
use strata_media::rist::tunnel::{Config, Listener, ListenerInput, ListenerOutput, Psk, Role, Session};

use super::{MS, peer, rtp, start};

fn config(secret: &str) -> Config {
    Config::new(Some(Psk::new(Passphrase::new(secret).unwrap())))
}

/// RTCP and RTP as a client sends them.
fn datagrams(client: &mut Session) -> [Vec<u8>; 2] {
    let mut writer = Writer::new();
    writer.receiver_report(9, None);
    writer.source_description(9, "stranger");
    let (mut report, mut media) = (Vec::new(), Vec::new());
    client.rtcp(&writer.finish(), &mut report);
    let packet = rtp(1, 1, 8);
    client.rtp(packet.first_chunk().unwrap(), 0, &packet[12..], &mut media);
    [report, media]
}

#[test]
fn a_wrong_key_no_key_and_noise_are_counted() {
    let begin = start();
    let mut listener = Listener::new(begin, config("secret"), 32, 1);
    let mut wrong = Session::new(begin, &config("guess"), Role::Client, 2);
    let mut clear = Session::new(begin, &Config::default(), Role::Client, 3);
    let mut sent = [0u64; 3];
    for i in 0..2000u32 {
        let now = begin + MS * i;
        let mut give = |host: u8, data: &[u8]| {
            let data = BytesMut::from(data);
            listener.handle_input(now, ListenerInput::Datagram { link: 0, from: peer(host), data });
            assert!(matches!(listener.poll_output(), ListenerOutput::Timeout(_)));
        };
        for data in datagrams(&mut wrong) {
            sent[0] += 1;
            give(1, &data);
        }
        for data in datagrams(&mut clear) {
            sent[1] += 1;
            give(2, &data);
            // Cut off within its header, and with flags that no version has.
            sent[2] += 2;
            give(3, &data[..3]);
            give(3, &[0x4f, data[1] | 7, data[2], data[3]]);
        }
    }
    let counters = listener.counters();
    println!("{counters:?}");
    // One packet of a source nobody knows is held back until it shows to be noise.
    let counted = (counters.undecryptable + 1, counters.unencrypted, counters.rejected);
    assert_eq!(counted, (sent[0], sent[1], sent[2]));
    assert_eq!((counters.taken, counters.keep_alives), (0, 0));
}

/// A new nonce with every datagram would cost half a millisecond each: eight at once and 16 per second are tried, of those that are not
/// said again.
#[test]
fn a_flood_of_nonces_and_of_addresses_is_counted() {
    let begin = start();
    let mut listener = Listener::new(begin, config("secret"), 32, 1);
    for i in 0..20_000u32 {
        let mut datagram = vec![0x30, 0x08, 0x88, 0xb6];
        datagram.extend((i + 1).to_be_bytes());
        datagram.extend([0; 40]);
        let (now, from) = (begin + MS * i / 10, peer((i % 64) as u8));
        let data = BytesMut::from(&datagram[..]);
        listener.handle_input(now, ListenerInput::Datagram { link: 0, from, data });
        assert!(matches!(listener.poll_output(), ListenerOutput::Timeout(_)));
        assert!(listener.peers() <= 32);
    }
    let counters = listener.counters();
    println!("{counters:?}");
    // One may be held back. Each address displaces another one.
    let counted = counters.throttled + counters.undecryptable;
    assert!((19_999..=20_000).contains(&counted), "{counters:?}");
    assert!(counters.undecryptable <= 8 + 16 * 2, "{counters:?}");
    assert!(counters.crowded > 5000, "{counters:?}");
}

/// 10 000 datagrams a second, each with a nonce and an address of its own: somebody who has the key, and says so by a report every
/// 100 ms, is let in. Its nonce is still known at the next report in 78 of 100 cases ((1 - 1/4096)^1000): it fails ten times in a row in
/// three cases of ten million. From then on every report comes through.
#[test]
fn a_flood_of_nonces_keeps_no_newcomer_out() {
    for seed in 1..=8 {
        let begin = start();
        let mut listener = Listener::new(begin, config("secret"), 32, seed);
        let mut client = Session::new(begin, &config("secret"), Role::Client, seed + 100);
        let (mut reports, mut missed, mut taken) = (0, 0, 0);
        for i in 0..60_000u32 {
            let now = begin + MS * i / 10;
            let mut give = |from: SocketAddr, data: &[u8]| {
                let data = BytesMut::from(data);
                listener.handle_input(now, ListenerInput::Datagram { link: 0, from, data });
                let mut taken = 0;
                loop {
                    match listener.poll_output() {
                        ListenerOutput::Rtcp { .. } => taken += 1,
                        ListenerOutput::Transmit { .. } => {}
                        _ => return taken,
                    }
                }
            };
            let mut datagram = vec![0x30, 0x08, 0x88, 0xb6];
            datagram.extend((i + 1).wrapping_mul(0x9e37_79b1).to_be_bytes());
            datagram.extend([0; 40]);
            give(SocketAddr::from(([10, 1, (i >> 8) as u8, i as u8], (i >> 16) as u16 + 1)), &datagram);
            // After a second of it.
            if i >= 10_000 && i % 1000 == 0 {
                reports += 1;
                let [report, _] = datagrams(&mut client);
                taken += give(peer(1), &report);
                missed += u32::from(taken == 0);
            }
        }
        println!("seed {seed}: {missed} of {reports} reports missed; {:?}", listener.counters());
        assert!(missed <= 10 && missed + taken == reports, "{missed} missed, {taken} taken of {reports}");
    }
}
