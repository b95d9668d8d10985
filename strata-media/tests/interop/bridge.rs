//! A way between two multicast groups of the Simple Profile that loses packets: what is sent to one comes to the members of the other, and
//! what those say comes back, as they say it: to the group, or to who speaks to them.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use socket2::{Domain, Protocol, Socket, Type};
use strata_media::rist::rtcp::{Compound, Packet as Rtcp};
use strata_media::testing::netem::{Config, Link, Packet};
use tokio::net::UdpSocket;
use tokio::time::interval;

const WAY: Duration = Duration::from_millis(20);
/// How often it is looked what has arrived.
const LOOK: Duration = Duration::from_millis(1);

/// What a way did so far.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Seen {
    /// Packets lost towards the members, and back.
    pub(crate) lost: [u64; 2],
    /// Requests of members, to the group, and to who speaks to it.
    pub(crate) requests: [u64; 2],
}

#[derive(Debug, Clone, Copy)]
enum Exit {
    Rtp,
    Group,
    /// Who was heard last.
    Speaker,
}

#[derive(Clone)]
struct Passing(Exit, Bytes);

impl Packet for Passing {
    fn size(&self) -> usize {
        self.1.len()
    }
}

/// RTCP at one end of the way.
struct Side {
    group: SocketAddr,
    /// A member of the group, and what speaks to it.
    member: UdpSocket,
    own: UdpSocket,
    /// Who speaks to the group here.
    speaker: Option<SocketAddr>,
}

impl Side {
    async fn new(group: SocketAddr) -> Self {
        Self { group, member: joined(group), own: own().await, speaker: None }
    }

    /// What came, and whether it was said to the group; nothing of what was sent by this way itself.
    async fn recv(&mut self) -> (Bytes, bool) {
        let [mut to_group, mut to_own] = [[0; 2048]; 2];
        loop {
            let (len, from, by_group) = tokio::select! {
                Ok((len, from)) = self.member.recv_from(&mut to_group) => (len, from, true),
                Ok((len, from)) = self.own.recv_from(&mut to_own) => (len, from, false),
            };
            if from != self.own.local_addr().unwrap() {
                self.speaker = Some(from);
                let data = if by_group { &to_group[..len] } else { &to_own[..len] };
                return (Bytes::copy_from_slice(data), by_group);
            }
        }
    }

    /// Says it to the group, or to who speaks here.
    async fn send(&self, to_group: bool, data: &[u8]) {
        let to = if to_group { Some(self.group) } else { self.speaker };
        if let Some(to) = to {
            self.own.send_to(data, to).await.unwrap();
        }
    }
}

/// Passes on what is sent to the group `from` to the group `to`, for as long as the test runs: 20 Mbit/s, 20 ms, 2 % of loss there and 10 % of
/// what comes back, which is little.
pub(crate) async fn bridge(from: SocketAddr, to: SocketAddr) -> Arc<Mutex<Seen>> {
    let above = |addr: SocketAddr| SocketAddr::new(addr.ip(), addr.port() + 1);
    let (media, out) = (joined(from), own().await);
    let (mut near, mut far) = (Side::new(above(from)).await, Side::new(above(to)).await);
    let link = |loss, seed| Link::<Passing>::new(Config::simple(20_000_000, WAY, loss), seed);
    let (mut there, mut back) = (link(0.02, 1), link(0.1, 2));
    let seen = Arc::new(Mutex::new(Seen::default()));
    let noted = Arc::clone(&seen);
    tokio::spawn(async move {
        let (mut timer, mut buffer) = (interval(LOOK), [0; 2048]);
        loop {
            let exit = |by_group| if by_group { Exit::Group } else { Exit::Speaker };
            tokio::select! {
                now = timer.tick() => {
                    while let Some(arrived) = there.poll(now.into()) {
                        let Passing(exit, data) = arrived.packet;
                        match exit {
                            Exit::Rtp => _ = out.send_to(&data, to).await.unwrap(),
                            exit => far.send(matches!(exit, Exit::Group), &data).await,
                        }
                    }
                    while let Some(arrived) = back.poll(now.into()) {
                        let Passing(exit, data) = arrived.packet;
                        near.send(matches!(exit, Exit::Group), &data).await;
                    }
                    noted.lock().unwrap().lost = [there.stats().lost, back.stats().lost];
                }
                Ok(len) = media.recv(&mut buffer) => {
                    there.push(now(), Passing(Exit::Rtp, Bytes::copy_from_slice(&buffer[..len])));
                }
                (data, by_group) = near.recv() => there.push(now(), Passing(exit(by_group), data)),
                (data, by_group) = far.recv() => {
                    noted.lock().unwrap().requests[usize::from(!by_group)] += u64::from(asks(&data));
                    back.push(now(), Passing(exit(by_group), data));
                }
            }
        }
    });
    seen
}

fn now() -> std::time::Instant {
    tokio::time::Instant::now().into()
}

/// Whether packets are asked for.
fn asks(data: &[u8]) -> bool {
    let mut packets = Compound::parse(data).into_iter().flatten().flatten();
    packets.any(|packet| matches!(packet, Rtcp::Nack { .. }))
}

async fn own() -> UdpSocket {
    UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap()
}

/// A socket that is in a group, beside others on this machine.
fn joined(group: SocketAddr) -> UdpSocket {
    let SocketAddr::V4(addr) = group else { panic!("{group} is not of IPv4") };
    let socket = Socket::new(Domain::IPV4, Type::DGRAM, Some(Protocol::UDP)).unwrap();
    socket.set_reuse_address(true).unwrap();
    socket.set_nonblocking(true).unwrap();
    socket.bind(&group.into()).unwrap();
    socket.join_multicast_v4(addr.ip(), &Ipv4Addr::LOCALHOST).unwrap();
    UdpSocket::from_std(socket.into()).unwrap()
}
