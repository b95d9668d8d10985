//! The floor: the same payloads by the same sockets, once per ms, and nothing else. What is lost stays lost.
#![expect(clippy::disallowed_types, reason = "this is all there is")]

use std::net::{SocketAddr, UdpSocket};
use std::time::Duration;

use anyhow::Result;
use strata_media::net::{Channel, Inbox};
use tokio::time::{Instant, sleep_until};

use crate::ends::{Source, over};

/// Of RTP, which the payloads have elsewhere.
const HEADER: [u8; 12] = [0x80; 12];
/// What is under way when it is over has come by then.
const END: Duration = Duration::from_millis(300);

fn channel() -> Result<Channel> {
    Ok(Channel::register(UdpSocket::bind("127.0.0.1:0")?)?)
}

pub(crate) async fn receive() -> Result<()> {
    let (channel, mut inbox) = (channel()?, Inbox::default());
    println!("{}", channel.local_addr()?);
    let mut received = 0;
    let mut over = std::pin::pin!(async {
        over().await;
        sleep_until(Instant::now() + END).await;
    });
    loop {
        tokio::select! {
            () = channel.readable() => received += inbox.receive(&channel).count(),
            () = &mut over => break,
        }
    }
    println!("{received}");
    Ok(())
}

pub(crate) async fn send(to: SocketAddr, mut source: Source) -> Result<()> {
    let mut channel = channel()?;
    let mut over = std::pin::pin!(over());
    loop {
        let payloads = tokio::select! {
            payloads = source.tick() => payloads,
            () = &mut over => break,
        };
        payloads.for_each(|payload| channel.send_to(&[&HEADER, &payload], to));
        channel.flush();
    }
    println!("{}", source.end());
    Ok(())
}
