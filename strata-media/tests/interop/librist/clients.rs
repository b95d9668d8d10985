//! Several clients at one port of a server, each over a bad link of its own.

use std::net::SocketAddr;
use std::time::Duration;

use strata_media::net::{self, ReceiverConfig};
use tokio::net::UdpSocket;
use tokio::time::timeout;

use super::{AES_128, Case, tool};
use crate::kernel::bound;
use crate::rig::{LATENCY, PATIENCE, link, own};
use crate::stream::{Check, stream};

/// Gives a tool the stream.
async fn feed(case: Case, input: SocketAddr) {
    let socket = UdpSocket::bind((input.ip(), 0)).await.unwrap();
    stream(case.length, &[input], async |payload| {
        socket.send_to(&payload, input).await.unwrap();
    })
    .await;
}

#[tokio::test]
async fn two_senders_of_librist_share_a_port() {
    let case = Case { test: 49, length: Duration::from_secs(4), ..AES_128 };
    let port = own(case.test, 1, 5000);
    let config = ReceiverConfig::new(vec![port]).with_latency(LATENCY).with_psk(case.psk().unwrap());
    let (mut listener, driver) = net::listener(config, 2).unwrap();
    tokio::spawn(driver.run());
    let (relays, links): (Vec<_>, Vec<_>) = (0..2).map(|index| link(index, port)).unzip();
    let inputs = [2, 3].map(|host| own(case.test, host, 7000));
    let start = |(input, to): (&SocketAddr, &SocketAddr)| {
        tool("ristsender", case, &format!("udp://@{input}"), &format!("rist://{to}{}", case.calling_url()))
    };
    let _tools: Vec<_> = inputs.iter().zip(&links).map(start).collect();
    for input in inputs {
        bound(input).await;
    }
    let checking = async {
        let mut first = listener.accept().await.unwrap();
        let mut second = listener.accept().await.unwrap();
        assert_ne!(first.ssrc, second.ssrc);
        assert_ne!(first.from, second.from, "each by its own link");
        let check = || Check::new(case.length);
        tokio::join!(check().whole(&mut first.receiver), check().whole(&mut second.receiver));
        [first, second].map(|accepted| accepted.receiver.stats())
    };
    let all = async { tokio::join!(checking, feed(case, inputs[0]), feed(case, inputs[1])).0 };
    for (stats, relay) in timeout(PATIENCE, all).await.unwrap().iter().zip(relays) {
        println!("{stats:#?}\n{:#?}", relay.stats());
        assert!(relay.stats().up.lost > 0 && stats.recovered_packets > 0, "what was lost came again");
    }
    let tunnel = listener.stats().tunnel;
    assert_eq!((tunnel.unencrypted, tunnel.rejected, tunnel.crowded), (0, 0, 0), "{tunnel:?}");
}
