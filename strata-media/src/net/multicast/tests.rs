#![expect(clippy::disallowed_types, reason = "finds a free port")]

use std::net::{SocketAddr, UdpSocket};
use std::time::Duration;

use bytes::Bytes;

use crate::net::*;

const LATENCY: Duration = Duration::from_secs(1);

/// A receiver in a group on the loopback interface, at a port that nobody has.
fn member(group: Option<SocketAddr>) -> (Receiver, ReceiverDriver) {
    loop {
        let group = group.unwrap_or_else(|| {
            let free = UdpSocket::bind("0.0.0.0:0").unwrap().local_addr().unwrap();
            SocketAddr::from(([239, 200, 1, 7], free.port() & !1))
        });
        let config = ReceiverConfig::new(vec![group]).with_latency(LATENCY);
        let config = config.with_membership(Membership::new(0).with_interface("lo").with_hops(2));
        match receiver(config) {
            Err(NetError::Bind { .. }) => {}
            opened => return opened.unwrap(),
        }
    }
}

#[tokio::test]
async fn a_group_on_one_interface_gets_the_whole_stream() {
    let (mut first, driver) = member(None);
    tokio::spawn(driver.run());
    let group = first.local_addrs()[0];
    let (mut second, driver) = member(Some(group));
    tokio::spawn(driver.run());
    let link = LinkConfig::new(0, group).with_interface("lo").with_hops(2);
    let (handle, driver) = sender(SenderConfig::new(vec![link]).with_latency(LATENCY)).unwrap();
    tokio::spawn(driver.run());
    for i in 0..200u32 {
        handle.send(Bytes::copy_from_slice(&i.to_be_bytes())).await.unwrap();
    }
    for receiver in [&mut first, &mut second] {
        for i in 0..200u32 {
            let packet = receiver.recv().await.unwrap();
            assert_eq!((packet.payload.as_ref(), packet.lost_before), (i.to_be_bytes().as_ref(), 0));
        }
    }
    handle.finish().await.unwrap();
    let (stats, members) = (handle.stats(), handle.group_stats());
    // Both have this machine's address, and the same port.
    assert_eq!((members.members, members.rejected, members.crowded), (1, 0, 0), "{members:?}");
    assert!(stats.links[0].rtt_ms > Some(0.0) && stats.links[0].error.is_none(), "{stats:?}");
    for receiver in [first, second] {
        let stats = receiver.stats();
        assert!(stats.paths[0].rtcp_packets > 0 && stats.rejected_datagrams == 0, "{stats:?}");
    }
}

#[test]
fn a_group_is_of_the_simple_profile() {
    let group: SocketAddr = "239.200.1.8:6000".parse().unwrap();
    let link = || vec![LinkConfig::new(0, group)];
    let psk = Psk::new(Passphrase::new("secret").unwrap());
    for config in [
        SenderConfig::new(link()).with_profile(Profile::Main),
        SenderConfig::new(link()).with_psk(psk.clone()),
    ] {
        match sender(config) {
            Err(NetError::Unsupported { field, .. }) => assert_eq!(field, "links[0].remote"),
            other => panic!("{other:?}"),
        }
    }
    match receiver(ReceiverConfig::new(vec![group]).with_psk(psk)) {
        Err(NetError::Unsupported { field, .. }) => assert_eq!(field, "binds[0]"),
        other => panic!("{other:?}"),
    }
}

#[test]
fn what_is_said_of_a_group_is_only_for_one() {
    let alone: SocketAddr = "127.0.0.1:6000".parse().unwrap();
    let error = sender(SenderConfig::new(vec![LinkConfig::new(0, alone).with_hops(1)])).unwrap_err();
    assert_eq!(error.to_string(), "invalid links[0].hops: only for a multicast group");
    for place in [0, 1] {
        let config = ReceiverConfig::new(vec![alone]).with_membership(Membership::new(place));
        let error = receiver(config).unwrap_err();
        assert!(error.to_string().starts_with("invalid memberships[0].bind: not the place"), "{error}");
    }
    let error = receiver(ReceiverConfig::new(vec!["239.200.1.8:0".parse().unwrap()])).unwrap_err();
    assert_eq!(error.to_string(), "invalid binds[0]: the port of a group must not be 0");
}

/// As far as sockets without routes can: nothing is sent.
#[test]
fn a_group_of_ipv6_is_joined() {
    let (receiver, _driver) = loop {
        let free = UdpSocket::bind("[::]:0").unwrap().local_addr().unwrap();
        let group = SocketAddr::new("ff15::7".parse().unwrap(), free.port() & !1);
        let config = ReceiverConfig::new(vec![group])
            .with_membership(Membership::new(0).with_interface("lo").with_hops(2));
        match receiver(config) {
            Err(NetError::Bind { .. }) => {}
            opened => break opened.unwrap(),
        }
    };
    let joined = std::fs::read_to_string("/proc/net/igmp6").unwrap();
    assert!(
        joined.lines().any(|line| line.contains("lo") && line.contains("ff150000000000000000000000000007"))
    );
    assert!(receiver.local_addrs()[0].ip().is_multicast());
}
