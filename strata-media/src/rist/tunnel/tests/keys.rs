//! Keys that change.

use std::collections::HashSet;

use super::*;

/// With another key after so many datagrams.
fn rotating(datagrams: u32) -> Config {
    Config::new(Some(Psk { key_rotation: Some(datagrams), ..psk("secret", AesType::Aes128) }))
}

/// Nonce and number of a datagram.
fn sealed(datagram: &[u8]) -> (u32, u32) {
    let (header, _) = Header::decode(datagram).unwrap();
    (header.nonce.unwrap(), header.sequence.unwrap())
}

/// Whatever they hold; the numbers go on, and who reads them loses nothing.
#[test]
fn the_nonce_changes_after_as_many_datagrams_as_are_set() {
    for rotation in [1, 7, 50] {
        let now = start();
        let mut client = Session::new(now, &rotating(rotation), Role::Client, 1);
        let mut server = Session::new(now, &rotating(rotation), Role::Server, 2);
        // Greetings count as well.
        let mut sent = drain(&mut client).1;
        let mut expected = Vec::new();
        for number in 0..75 {
            let (mut media, mut control) = (Vec::new(), Vec::new());
            client.rtp(&header(number, 4), 0, b"payload", &mut media);
            client.rtcp(&report(), &mut control);
            sent.extend([media, control]);
            expected.push(Output::Rtp([&header(number, 4)[..], b"payload"].concat().into()));
        }
        let mut delivered = Vec::new();
        for (number, datagram) in sent.iter().enumerate() {
            // As many keys as one second allows.
            delivered.extend(give(&mut server, now + Duration::from_millis(10) * number as u32, datagram).0);
        }
        let (nonces, numbers): (Vec<_>, Vec<_>) = sent.iter().map(|datagram| sealed(datagram)).unzip();
        let runs: Vec<_> = nonces.chunk_by(|a, b| a == b).collect();
        let (last, whole) = runs.split_last().unwrap();
        assert!(whole.iter().all(|run| run.len() == rotation as usize) && last.len() <= rotation as usize);
        assert_eq!(nonces.iter().collect::<HashSet<_>>().len(), runs.len(), "each is used once");
        assert!(numbers.windows(2).all(|two| two[1] == two[0] + 1));
        let reports = delivered.extract_if(.., |output| matches!(output, Output::Rtcp(_))).count();
        assert_eq!((delivered, reports), (expected, 75));
        let counters = server.counters();
        assert_eq!((counters.undecryptable, counters.throttled), (0, 0), "{counters:?}");
    }
}

#[test]
fn the_nonce_stays_where_no_change_is_set() {
    let mut client = Session::new(start(), &secret(), Role::Client, 1);
    let mut nonces: HashSet<_> = drain(&mut client).1.iter().map(|datagram| sealed(datagram).0).collect();
    let mut datagram = Vec::new();
    for _ in 0..5000 {
        client.rtcp(&report(), &mut datagram);
        nonces.insert(sealed(&datagram).0);
    }
    assert_eq!(nonces.len(), 1);
}

/// A key for 500 datagrams, at 100 Mbit/s: 19 keys a second, for longer than a burst of them lasts.
#[test]
fn keys_that_change_often_lose_nothing() {
    let config = Config::new(Some(Psk {
        key_rotation: Some(Psk::MIN_KEY_ROTATION),
        ..psk("secret", AesType::Aes128)
    }));
    let (mut client, mut server, mut now) = pair(&config, &config);
    let (mut datagram, mut delivered) = (Vec::new(), 0);
    for number in 0..95_000u32 {
        now += Duration::from_nanos(1316 * 8 * 10);
        client.rtp(&header(number as u16, 4), 0, &[0x47; 1316], &mut datagram);
        delivered += give(&mut server, now, &datagram).0.len();
    }
    let counters = server.counters();
    assert_eq!((delivered, counters.throttled, counters.undecryptable), (95_000, 0, 0), "{counters:?}");
}
