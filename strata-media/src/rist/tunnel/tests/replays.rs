//! Datagrams that come again.

use super::super::replay::WIDTH;
use super::*;

/// With another key after so many datagrams.
fn rotating(datagrams: u32) -> Config {
    Config::new(Some(Psk { key_rotation: Some(datagrams), ..psk("secret", AesType::Aes128) }))
}

/// So many datagrams with media, from packet `first` on.
fn media(client: &mut Session, first: u16, count: u16) -> Vec<Vec<u8>> {
    let packet = |number: u16| {
        let mut datagram = Vec::new();
        client.rtp(&header(number, 4), 0, b"payload", &mut datagram);
        datagram
    };
    (first..first + count).map(packet).collect()
}

/// How many of these give media.
fn taken(server: &mut Session, now: Instant, datagrams: &[Vec<u8>]) -> usize {
    datagrams.iter().map(|datagram| give(server, now, datagram).0.len()).sum()
}

#[test]
fn what_came_before_is_dropped_and_counted() {
    let (mut client, mut server, now) = pair(&secret(), &secret());
    let sent = media(&mut client, 0, 10_000);
    // The first is held back until the second comes.
    assert_eq!(taken(&mut server, now, &sent), 10_000);
    assert_eq!(server.counters().replayed, 0);
    // All of them again, in any order: those within the window, and those behind it.
    assert_eq!(taken(&mut server, now, &sent), 0);
    assert_eq!(sent.iter().rev().map(|datagram| give(&mut server, now, datagram).0.len()).sum::<usize>(), 0);
    assert_eq!(server.counters().replayed, 20_000);
    let mut report = Vec::new();
    client.rtcp(&super::report(), &mut report);
    assert_eq!(give(&mut server, now, &report).0.len(), 1);
    assert_eq!(give(&mut server, now, &report).0.len(), 0);
    assert_eq!(server.counters().replayed, 20_001);
    // What is new goes on.
    assert_eq!(taken(&mut server, now, &media(&mut client, 10_000, 10)), 10);
}

/// Blocks of 800 datagrams in a shuffled order, with each key, and while keys change; what is as late as the window is wide passes too.
#[test]
fn what_is_out_of_order_passes() {
    for config in [secret(), rotating(500)] {
        let (mut client, mut server, mut now) = pair(&config, &config);
        let mut sent = media(&mut client, 0, 8000);
        for block in sent.chunks_mut(800) {
            // 311 and 800 have no divisor in common.
            let order: Vec<_> = (0..block.len()).map(|i| block[i * 311 % block.len()].clone()).collect();
            block.clone_from_slice(&order);
        }
        let mut came = 0;
        for datagram in &sent {
            now += Duration::from_millis(1);
            came += give(&mut server, now, datagram).0.len();
        }
        assert_eq!((came, server.counters().replayed), (8000, 0), "{:?}", server.counters());
    }
    for (late, passes) in [(WIDTH - 1, 1), (WIDTH, 0)] {
        let (mut client, mut server, now) = pair(&secret(), &secret());
        assert_eq!(taken(&mut server, now, &media(&mut client, 0, 10)), 10);
        let first = media(&mut client, 10, 1);
        let sent = media(&mut client, 11, late as u16);
        assert_eq!(taken(&mut server, now, &sent), sent.len());
        assert_eq!(taken(&mut server, now, &first), passes);
        assert_eq!(server.counters().replayed, 1 - passes as u64);
    }
}

/// Whatever its number: librist's is 0.
#[test]
fn a_peer_that_starts_anew_is_taken_up() {
    for number in [u32::MAX, 0, 1 << 31, 3 << 30] {
        let (mut client, mut server, now) = pair(&secret(), &secret());
        let before = self::media(&mut client, 0, 2000);
        assert_eq!(taken(&mut server, now, &before), 2000);
        let mut anew = Seal::new(secret().psk.as_ref(), 77);
        anew.number_from(number);
        let mut media = |first: u16| -> Vec<Vec<u8>> {
            let packet = |number: u16| {
                let mut datagram = Vec::new();
                let parts: [&[u8]; 3] = [&[0x80, 1, 7, 0xb0], &header(number, 4), b"payload"];
                anew.datagram(REDUCED_OVERHEAD, &parts, &mut datagram);
                datagram
            };
            (first..first + 2000).map(packet).collect()
        };
        assert_eq!(taken(&mut server, now, &media(0)), 2000);
        // What came before it started is not taken again, nor does it take its place.
        assert_eq!(taken(&mut server, now, &before), 0);
        assert_eq!(taken(&mut server, now, &media(2000)), 2000);
        assert_eq!(server.counters().replayed, 2000);
    }
}

/// Whoever repeats what came with keys before the last gets nothing, and no key derived for it; who is still there with the last goes on.
#[test]
fn what_came_with_a_key_before_is_dropped() {
    let (mut client, mut server, now) = pair(&rotating(500), &rotating(500));
    let sent = media(&mut client, 0, 10_000);
    let mut at = now;
    for datagram in &sent {
        at += Duration::from_millis(1);
        assert!(give(&mut server, at, datagram).0.len() <= 2);
    }
    assert_eq!(server.counters().taken, 10_001, "and a report");
    for (index, datagram) in sent.iter().enumerate() {
        assert_eq!(give(&mut server, at, datagram).0, []);
        if index % 1000 == 999 {
            let next = media(&mut client, 10_000 + index as u16 / 1000, 1);
            assert_eq!(taken(&mut server, at, &next), 1);
        }
    }
    let counters = server.counters();
    assert_eq!(
        (counters.replayed, counters.throttled, counters.undecryptable),
        (10_000, 0, 0),
        "{counters:?}"
    );
}

/// Keys of two earlier runs of the peer take the places of its present one: that is derived again, and goes on where it was.
#[test]
fn keys_of_earlier_runs_do_not_keep_the_present_one_out() {
    let mut runs: Vec<_> =
        (10..14).map(|seed| Session::new(start(), &secret(), Role::Client, seed)).collect();
    let recorded: Vec<_> = runs.iter_mut().map(|run| media(run, 0, 100)).collect();
    let (mut client, mut server, now) = pair(&secret(), &secret());
    let mut sent = Vec::new();
    for round in 0..50u16 {
        let at = now + Duration::from_millis(100) * u32::from(round);
        for run in &recorded {
            give(&mut server, at, &run[usize::from(round)]);
        }
        let next = media(&mut client, 2 * round, 2);
        assert_eq!(taken(&mut server, at, &next), 2, "{round}");
        sent.extend(next);
    }
    let before = server.counters().replayed;
    assert_eq!(taken(&mut server, now + Duration::from_secs(10), &sent), 0);
    assert_eq!(server.counters().replayed, before + 100);
}

/// In clear there are no numbers to go by.
#[test]
fn in_clear_nothing_is_a_replay() {
    let (mut client, mut server, now) = pair(&Config::default(), &Config::default());
    let sent = media(&mut client, 0, 10);
    assert_eq!(taken(&mut server, now, &sent) + taken(&mut server, now, &sent), 20);
    assert_eq!(server.counters().replayed, 0);
}

/// A farewell that was heard once ends no later session, and not the same one twice.
#[test]
fn a_farewell_counts_once() {
    let (mut client, mut server, now) = pair(&secret(), &secret());
    client.handle_input(now, Input::Close);
    let (_, farewells) = drain(&mut client);
    let closed = |server: &mut Session| give(server, now, &farewells[0]).0.contains(&Output::Closed);
    assert!(closed(&mut server) && !closed(&mut server));
    assert_eq!(server.counters().replayed, 1);
}

/// Media and RTCP of who moved are taken; the same from another address is not, nor from the first one, nor when all sessions are over.
#[test]
fn what_came_is_nothing_new_at_another_address() {
    let begin = start();
    let mut listener = Listener::new(begin, secret(), 32, 1);
    let mut client = Session::new(begin, &secret(), Role::Client, 1);
    let mut sent = media(&mut client, 0, 200);
    let mut datagram = Vec::new();
    client.rtcp(&report(), &mut datagram);
    sent.push(datagram);
    let mut give = |now: Instant, host: u8, datagrams: &[Vec<u8>]| {
        let outputs = datagrams.iter().flat_map(|datagram| heard(&mut listener, now, peer(host), datagram));
        let came = outputs.filter(|output| !matches!(output, ListenerOutput::Transmit { .. })).count();
        listener.handle_input(now, ListenerInput::Timeout);
        (came, listener.counters().replayed)
    };
    assert_eq!(give(begin, 1, &sent[..100]), (100, 0));
    assert_eq!(give(begin, 2, &sent[..100]), (0, 100));
    // A caller whose address changed on its way goes on, with a source that is held back for one packet.
    assert_eq!(give(begin, 3, &sent[100..]), (101, 100));
    assert_eq!(give(begin, 1, &sent), (0, 301));
    let later = begin + Duration::from_secs(61);
    assert_eq!(give(later, 4, &sent), (0, 502));
    assert_eq!(give(later + Duration::from_secs(61), 1, &sent), (0, 703));
}
