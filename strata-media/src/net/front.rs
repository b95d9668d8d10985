//! What a receiving end hears and says, whatever is made of it: socket pairs, and the tunnels that come to them.
#![expect(clippy::disallowed_methods, reason = "a driver reads the clock")]

use std::net::SocketAddr;
use std::time::Instant;

use bytes::BytesMut;

use super::calls::Call;
use super::channel::Inbox;
use super::config::{LinkConfig, ReceiverConfig, client, entropy, seed};
use super::error::NetError;
use super::socket::{self, LinkSockets, Pair};
use crate::bond::MAX_LINKS;
use crate::rist::ReceiverStats;
use crate::rist::auth::Auth;
use crate::rist::gre::Header;
use crate::rist::receiver::Input;
use crate::rist::tunnel::{Config, Counters, Listener, ListenerInput, ListenerOutput};

/// Tunnels for so many streams: the most links that a bond may have, twice for those that have moved. At 2.2 KB each,
/// 9 MB at most.
fn tunnels(streams: usize) -> usize {
    (streams * MAX_LINKS).max(2 * MAX_LINKS)
}

/// Socket pairs and their tunnels. Tunnels are links of their own to machines, above those of the pairs, so that
/// nobody can take their place from outside.
#[derive(Debug)]
pub(super) struct Front {
    /// Those of ports that are listened at, then those of calls.
    sockets: Vec<LinkSockets>,
    calls: Vec<Call>,
    tunnels: Listener,
    /// A tunnel's datagram on its way out.
    datagram: Vec<u8>,
    inbox: Inbox,
}

impl Front {
    /// Gives the pairs, the last of which are those of calls, to the current runtime; for so many streams at a time.
    pub(super) fn register(
        pairs: Vec<Pair>,
        config: &ReceiverConfig,
        streams: usize,
    ) -> Result<Self, NetError> {
        let now = Instant::now();
        let (mut listens, mut calls) = (Config::new(config.psk.clone()), Config::new(config.psk.clone()));
        calls.auth = client(config.credentials.as_ref())?;
        if let Some(users) = &config.users {
            listens.auth = Some(Auth::server(users.clone(), entropy()?));
        }
        let mut seed = seed()?;
        let call = |link: &LinkConfig| Call::new(now, &calls, link.remote, seed.child());
        let calls = config.calls.iter().map(call).collect();
        Ok(Self {
            sockets: pairs
                .into_iter()
                .map(|pair| LinkSockets::register(now, pair))
                .collect::<Result<_, _>>()?,
            calls,
            tunnels: Listener::new(now, listens, tunnels(streams), seed),
            datagram: Vec::new(),
            inbox: Inbox::default(),
        })
    }

    /// While the timer is about to go off `soon`, media that comes to where it has just come wakes nobody: it is read then.
    pub(super) fn mute(&mut self, soon: bool) {
        let listening = self.listening();
        self.sockets[..listening].iter_mut().for_each(|pair| pair.rtp.mute(soon && pair.busy));
    }

    /// How many sockets are listened at; those after them are of calls.
    fn listening(&self) -> usize {
        self.sockets.len() - self.calls.len()
    }

    /// Waits until there is something to read.
    pub(super) async fn readable(&self) {
        socket::any_readable(&self.sockets).await;
    }

    /// Gives `take` what has come.
    pub(super) fn receive(&mut self, now: Instant, mut take: impl FnMut(Input<'_>)) {
        let mut inbox = std::mem::take(&mut self.inbox);
        let listening = self.listening();
        for (call, sockets) in self.calls.iter_mut().zip(&self.sockets[listening..]) {
            inbox.receive(&sockets.rtp).for_each(|(data, _)| call.receive(now, data));
        }
        for link in 0..listening {
            let came = inbox.receive(&self.sockets[link].rtp);
            self.sockets[link].busy = came.len() > 0;
            for (data, from) in came {
                self.sort(now, link, from, data, &mut take);
            }
            let Some(rtcp) = &self.sockets[link].rtcp else { continue };
            for (data, from) in inbox.receive(rtcp) {
                if self.tunnels.is_secret() {
                    self.tunnels.refuse_clear();
                } else {
                    take(Input::Rtcp { link, from, data: &data });
                }
            }
        }
        self.inbox = inbox;
    }

    /// Takes what came to an RTP port.
    fn sort(
        &mut self,
        now: Instant,
        link: usize,
        from: SocketAddr,
        data: BytesMut,
        take: &mut impl FnMut(Input<'_>),
    ) {
        if Header::is_gre(&data) {
            self.tunnels.handle_input(now, ListenerInput::Datagram { link, from, data });
            self.drain_listener(take);
        } else if self.tunnels.is_secret() {
            self.tunnels.refuse_clear();
        } else {
            take(Input::Rtp { link, from, data: data.freeze() });
        }
    }

    /// Lets time pass.
    pub(super) fn timeout(&mut self, now: Instant) {
        self.tunnels.handle_input(now, ListenerInput::Timeout);
        self.calls.iter_mut().for_each(|call| call.timeout(now));
    }

    /// Gives `take` what came out of tunnels; until when they want nothing more.
    pub(super) fn drain(&mut self, now: Instant, mut take: impl FnMut(Input<'_>)) -> Instant {
        let listening = self.listening();
        let calls = self.calls.iter_mut().zip(&mut self.sockets[listening..]).zip(listening..);
        let due =
            calls.map(|((call, sockets), link)| call.drain(now, link, &mut sockets.rtp, &mut take)).min();
        let listened = self.drain_listener(take);
        due.map_or(listened, |due| due.min(listened))
    }

    fn drain_listener(&mut self, mut take: impl FnMut(Input<'_>)) -> Instant {
        let pairs = self.sockets.len();
        loop {
            match self.tunnels.poll_output() {
                ListenerOutput::Rtp { link, from, data } => {
                    take(Input::Rtp { link: link + pairs, from, data });
                }
                ListenerOutput::Rtcp { link, from, data } => {
                    take(Input::Rtcp { link: link + pairs, from, data: &data });
                }
                ListenerOutput::Transmit { link, to, data } => {
                    self.sockets[link].rtp.send_to(&[&data], to);
                }
                ListenerOutput::Timeout(at) => return at,
            }
        }
    }

    /// Gathers a datagram of RTCP.
    pub(super) fn send(&mut self, link: usize, to: SocketAddr, data: &[u8]) {
        match link.checked_sub(self.sockets.len()) {
            None => {
                if let Some(index) = link.checked_sub(self.listening()) {
                    self.calls[index].rtcp(data, &mut self.sockets[link].rtp);
                } else if let Some(rtcp) = &mut self.sockets[link].rtcp {
                    rtcp.send_to(&[data], to);
                }
            }
            Some(tunnel) => {
                self.tunnels.rtcp(tunnel, to, data, &mut self.datagram);
                if !self.datagram.is_empty() {
                    self.sockets[tunnel].rtp.send_to(&[&self.datagram], to);
                }
            }
        }
    }

    /// Sends what was gathered.
    pub(super) fn flush(&mut self) {
        self.sockets.iter_mut().for_each(LinkSockets::flush);
    }

    /// The port within its tunnel that media of this peer comes to, if it comes by one.
    pub(super) fn virtual_port(&self, from: SocketAddr) -> Option<u16> {
        (0..self.listening()).find_map(|link| self.tunnels.media_port(link, from))
    }

    /// Datagrams that the system did not take.
    pub(super) fn refused(&self) -> u64 {
        self.sockets.iter().map(LinkSockets::refused).sum()
    }

    /// What tunnels counted.
    pub(super) fn counters(&self) -> Counters {
        let mut sum = self.tunnels.counters();
        self.calls.iter().for_each(|call| sum += call.counters());
        sum
    }

    /// What tunnels and sockets counted, and their paths as part of those of their pairs.
    pub(super) fn complete(&self, stats: &mut ReceiverStats, counters: Counters) {
        stats.tunnel = counters;
        stats.refused_datagrams = self.refused();
        let tunnels = stats.paths.split_off(self.sockets.len());
        for (path, tunnel) in stats.paths.iter_mut().zip(tunnels) {
            path.packets += tunnel.packets;
            path.bytes += tunnel.bytes;
            path.rtcp_packets += tunnel.rtcp_packets;
            path.rtt = tunnel.rtt.or(path.rtt);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::channel::Channel;
    use super::*;

    /// By two links, one of which carries media.
    #[tokio::test]
    #[expect(clippy::disallowed_types, reason = "its peer is a test")]
    async fn media_wakes_nobody_while_the_timer_is_about_to() {
        let any = SocketAddr::from(([127, 0, 0, 1], 0));
        let pairs: Vec<_> = (0..2).map(|_| socket::listen(any).unwrap()).collect();
        let to = pairs[1].rtp.local_addr().unwrap();
        let mut front = Front::register(pairs, &ReceiverConfig::new(vec![any; 2]), 1).unwrap();
        let muted = |front: &Front| [0, 1].map(|link| front.sockets[link].rtp.is_muted());
        let mut from = Channel::register(std::net::UdpSocket::bind(any).unwrap()).unwrap();
        from.send_to(&[b"media"], to);
        from.flush();
        front.readable().await;
        front.receive(Instant::now(), |_| {});
        for soon in [true, false, true] {
            front.mute(soon);
            assert_eq!(muted(&front), [false, soon]);
        }
        // Nothing has come since.
        front.receive(Instant::now(), |_| {});
        front.mute(true);
        assert_eq!(muted(&front), [false, false]);
    }
}
