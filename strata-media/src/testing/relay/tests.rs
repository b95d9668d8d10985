#![expect(clippy::disallowed_types, reason = "real sockets at both ends of the relay")]

use std::time::Duration;

use tokio::net::UdpSocket;

use super::super::netem::Config;
use super::*;
use crate::until::until;

async fn socket() -> (UdpSocket, SocketAddr) {
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let address = socket.local_addr().unwrap();
    (socket, address)
}

fn any_port(forward: SocketAddr) -> Mapping {
    Mapping { listen: "127.0.0.1:0".parse().unwrap(), forward }
}

async fn receive(socket: &UdpSocket) -> (Vec<u8>, SocketAddr) {
    let mut buffer = [0; 2000];
    let (n, from) = socket.recv_from(&mut buffer).await.unwrap();
    (buffer[..n].to_vec(), from)
}

#[tokio::test]
async fn clients_are_told_apart_and_answered() {
    let (server, address) = socket().await;
    let (relay, driver) = relay(RelayConfig::new(vec![any_port(address)], Config::default())).unwrap();
    let running = tokio::spawn(driver.run());
    let ((a, a_addr), (b, b_addr)) = (socket().await, socket().await);
    assert_ne!(a_addr, b_addr);
    a.send_to(b"from a", relay.local_addrs()[0]).await.unwrap();
    let (data, a_seen) = receive(&server).await;
    assert_eq!(data, b"from a");
    b.send_to(b"from b", relay.local_addrs()[0]).await.unwrap();
    let (data, b_seen) = receive(&server).await;
    assert_eq!(data, b"from b");
    assert_ne!(a_seen, b_seen);
    server.send_to(b"to b", b_seen).await.unwrap();
    server.send_to(b"to a", a_seen).await.unwrap();
    assert_eq!(receive(&a).await, (b"to a".to_vec(), relay.local_addrs()[0]));
    assert_eq!(receive(&b).await, (b"to b".to_vec(), relay.local_addrs()[0]));
    let stats = relay.stats();
    assert_eq!((stats.clients, stats.up.delivered, stats.down.delivered), (2, 2, 2));
    drop(relay);
    running.await.unwrap();
}

#[tokio::test]
async fn ports_of_a_link_share_its_rate() {
    let ((one, one_addr), (two, two_addr)) = (socket().await, socket().await);
    // 10 packets of 1000 bytes at 1 Mbit/s: 80 ms together, not 40 ms side by side.
    let config = Config { rate_bps: Some(1_000_000), overhead: 0, ..Config::default() };
    let mappings = vec![any_port(one_addr), any_port(two_addr)];
    let (relay, driver) = relay(RelayConfig::new(mappings, config)).unwrap();
    let running = tokio::spawn(driver.run());
    let (client, _) = socket().await;
    let started = tokio::time::Instant::now();
    for n in 0..10 {
        client.send_to(&[0; 1000], relay.local_addrs()[n % 2]).await.unwrap();
    }
    for _ in 0..5 {
        receive(&one).await;
        receive(&two).await;
    }
    assert!(started.elapsed() >= Duration::from_millis(80));
    drop(relay);
    running.await.unwrap();
}

#[tokio::test]
async fn it_is_cut_and_mended_while_it_runs() {
    let (server, address) = socket().await;
    let (relay, driver) = relay(RelayConfig::new(vec![any_port(address)], Config::default())).unwrap();
    let running = tokio::spawn(driver.run());
    let (client, _) = socket().await;
    client.send_to(b"1", relay.local_addrs()[0]).await.unwrap();
    assert_eq!(receive(&server).await.0, b"1");
    relay.set_down(true);
    client.send_to(b"2", relay.local_addrs()[0]).await.unwrap();
    until(|| relay.stats().up.outage_lost > 0).await;
    relay.set_down(false);
    client.send_to(b"3", relay.local_addrs()[0]).await.unwrap();
    assert_eq!(receive(&server).await.0, b"3");
    let broken = Config { reorder: 2.0, ..Config::default() };
    assert!(relay.configure(broken, Config::default()).is_err());
    drop(relay);
    running.await.unwrap();
}

#[tokio::test]
async fn one_client_too_many_is_refused() {
    let (server, address) = socket().await;
    let config =
        RelayConfig { max_clients: 1, ..RelayConfig::new(vec![any_port(address)], Config::default()) };
    let (relay, driver) = relay(config).unwrap();
    let running = tokio::spawn(driver.run());
    let ((a, _), (b, _)) = (socket().await, socket().await);
    a.send_to(b"a", relay.local_addrs()[0]).await.unwrap();
    receive(&server).await;
    b.send_to(b"b", relay.local_addrs()[0]).await.unwrap();
    until(|| relay.stats().refused > 0).await;
    assert_eq!(relay.stats().clients, 1);
    drop(relay);
    running.await.unwrap();
}

#[tokio::test]
async fn links_are_told_apart_by_their_source() {
    let (server, address) = socket().await;
    let source = "127.0.0.9".parse().unwrap();
    let config =
        RelayConfig { source: Some(source), ..RelayConfig::new(vec![any_port(address)], Config::default()) };
    let (relay, driver) = relay(config).unwrap();
    let running = tokio::spawn(driver.run());
    let (client, _) = socket().await;
    client.send_to(b"there", relay.local_addrs()[0]).await.unwrap();
    let (data, from) = receive(&server).await;
    assert_eq!((data.as_slice(), from.ip()), (&b"there"[..], source));
    server.send_to(b"back", from).await.unwrap();
    assert_eq!(receive(&client).await, (b"back".to_vec(), relay.local_addrs()[0]));
    drop(relay);
    running.await.unwrap();
}

#[tokio::test]
async fn addresses_that_would_carry_nothing_are_named() {
    for (forward, source, said) in [
        ("127.0.0.1:0", None, "cannot pass on to udp 127.0.0.1:0"),
        ("127.0.0.1:9", Some("::1"), "::1 is of another family than 127.0.0.1:9"),
        ("127.0.0.1:9", Some("192.0.2.1"), "cannot pass on from 192.0.2.1: "),
    ] {
        let mapping = any_port(forward.parse().unwrap());
        let mut config = RelayConfig::new(vec![mapping], Config::default());
        config.source = source.map(|source| source.parse().unwrap());
        let error = relay(config).unwrap_err().to_string();
        assert!(error.starts_with(said), "{error}");
    }
}

#[tokio::test]
async fn a_taken_address_is_named() {
    let (_server, address) = socket().await;
    let mapping = Mapping { listen: address, forward: address };
    let error = relay(RelayConfig::new(vec![mapping], Config::default())).unwrap_err();
    assert!(error.to_string().starts_with(&format!("cannot listen on udp {address}: ")), "{error}");
}
