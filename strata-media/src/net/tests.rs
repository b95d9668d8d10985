use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;

use super::*;

fn loopback() -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], 0))
}

fn receiving(binds: usize) -> (Receiver, ReceiverDriver) {
    let mut config = ReceiverConfig::new(vec![loopback(); binds]);
    config.latency = Duration::from_millis(100);
    receiver(config).unwrap()
}

#[tokio::test]
async fn a_stream_over_two_links_arrives_in_order() {
    let (mut received, driver) = receiving(2);
    let receiving = tokio::spawn(driver.run());
    let remotes = received.local_addrs().iter().enumerate();
    let links = remotes.map(|(id, &remote)| LinkConfig::new(id as u32, remote)).collect();
    let mut config = SenderConfig::new(links);
    config.latency = Duration::from_millis(100);
    let (handle, driver) = sender(config).unwrap();
    let sending = tokio::spawn(driver.run());
    for i in 0..500u32 {
        handle.send(Bytes::copy_from_slice(&i.to_be_bytes())).await.unwrap();
    }
    for i in 0..500u32 {
        let packet = received.recv().await.unwrap();
        assert_eq!((packet.payload.as_ref(), packet.lost_before), (i.to_be_bytes().as_ref(), 0));
    }
    handle.finish().await.unwrap();
    let stats = handle.stats();
    assert_eq!((stats.packets, stats.links.len()), (500, 2));
    assert!(stats.links.iter().all(|link| link.rtt_ms > 0.0 && link.error.is_none()), "{stats:?}");
    drop(handle);
    sending.await.unwrap().unwrap();
    drop(received);
    receiving.await.unwrap().unwrap();
}

#[tokio::test]
async fn a_link_that_cannot_be_opened_says_so_and_the_others_go_on() {
    let (mut received, driver) = receiving(1);
    tokio::spawn(driver.run());
    let mut broken = LinkConfig::new(7, received.local_addrs()[0]);
    broken.interface = Some("nosuchif0".to_owned());
    let links = vec![broken, LinkConfig::new(8, received.local_addrs()[0])];
    let (handle, driver) = sender(SenderConfig::new(links)).unwrap();
    tokio::spawn(driver.run());
    handle.send(Bytes::from_static(b"payload")).await.unwrap();
    assert_eq!(received.recv().await.unwrap().payload, "payload");
    handle.finish().await.unwrap();
    let stats = handle.stats();
    assert_eq!((stats.links[0].state, stats.links[1].error.clone()), (crate::bond::LinkState::Dead, None));
    assert!(stats.links[0].error.as_ref().unwrap().contains("No such device"), "{stats:?}");
}

#[test]
fn no_link_that_can_be_opened_is_an_error() {
    let mut link = LinkConfig::new(3, SocketAddr::from(([127, 0, 0, 1], 5000)));
    link.interface = Some("nosuchif0".to_owned());
    let error = sender(SenderConfig::new(vec![link])).unwrap_err();
    assert_eq!(error.to_string(), "no link could be opened: link 3: No such device (os error 19)");
}

#[test]
fn errors_name_the_field() {
    let remote = |port: u16| SocketAddr::from(([127, 0, 0, 1], port));
    let field = |links: Vec<LinkConfig>| match sender(SenderConfig::new(links)) {
        Err(NetError::Config { field, .. }) => field,
        other => panic!("{other:?}"),
    };
    assert_eq!(field(Vec::new()), "links");
    assert_eq!(field(vec![LinkConfig::new(0, remote(5001))]), "links[0].remote");
    assert_eq!(
        field(vec![LinkConfig::new(0, remote(5000)), LinkConfig::new(0, remote(5000))]),
        "links[1].id"
    );
    let error = receiver(ReceiverConfig::new(vec![remote(0), remote(7001)])).unwrap_err();
    assert!(error.to_string().starts_with("invalid binds[1]: the port of RTP must be even"), "{error}");
    let (taken, _driver) = receiver(ReceiverConfig::new(vec![remote(0)])).unwrap();
    let error = receiver(ReceiverConfig::new(vec![taken.local_addrs()[0]])).unwrap_err();
    assert!(matches!(error, NetError::Bind { addr, .. } if addr == taken.local_addrs()[0]));
}

#[tokio::test]
async fn payloads_that_do_not_fit_are_refused() {
    let links = vec![LinkConfig::new(0, SocketAddr::from(([127, 0, 0, 1], 5000)))];
    let (handle, driver) = sender(SenderConfig::new(links)).unwrap();
    assert!(matches!(handle.send(Bytes::new()).await, Err(NetError::PayloadSize(0))));
    assert!(matches!(handle.send(Bytes::from(vec![0; 1441])).await, Err(NetError::PayloadSize(1441))));
    drop(driver);
    assert!(matches!(handle.send(Bytes::from_static(b"x")).await, Err(NetError::Closed)));
}
