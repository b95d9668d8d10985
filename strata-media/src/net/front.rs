//! What a receiving end hears and says, whatever is made of it: socket pairs, and the tunnels that come to them.
#![expect(clippy::disallowed_methods, reason = "a driver reads the clock")]

use std::net::SocketAddr;
use std::time::Instant;

use bytes::BytesMut;

use super::channel::Inbox;
use super::config::entropy;
use super::error::NetError;
use super::socket::{self, LinkSockets, Pair};
use crate::rist::ReceiverStats;
use crate::rist::auth::{Auth, Verifiers};
use crate::rist::gre::Header;
use crate::rist::receiver::Input;
use crate::rist::tunnel::{Config, Listener, ListenerInput, ListenerOutput, Psk};

/// Socket pairs and their tunnels. Tunnels are links of their own to machines, above those of the pairs, so that
/// nobody can take their place from outside.
#[derive(Debug)]
pub(super) struct Front {
    sockets: Vec<LinkSockets>,
    tunnels: Listener,
    /// A tunnel's datagram on its way out.
    datagram: Vec<u8>,
    inbox: Inbox,
}

impl Front {
    /// Gives the pairs to the current runtime.
    pub(super) fn register(
        pairs: Vec<Pair>,
        psk: Option<Psk>,
        users: Option<Verifiers>,
    ) -> Result<Self, NetError> {
        let mut config = Config::new(psk);
        if let Some(users) = users {
            config.auth = Some(Auth::server(users, entropy()?));
        }
        Ok(Self {
            sockets: pairs.into_iter().map(LinkSockets::register).collect::<Result<_, _>>()?,
            tunnels: Listener::new(Instant::now(), config, socket::seed()),
            datagram: Vec::new(),
            inbox: Inbox::default(),
        })
    }

    /// Waits until there is something to read.
    pub(super) async fn readable(&self) {
        socket::any_readable(&self.sockets).await;
    }

    /// Gives `take` what has come.
    pub(super) fn receive(&mut self, now: Instant, mut take: impl FnMut(Input<'_>)) {
        let mut inbox = std::mem::take(&mut self.inbox);
        for link in 0..self.sockets.len() {
            for (data, from) in inbox.receive(&self.sockets[link].rtp) {
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
            self.drain(take);
        } else if self.tunnels.is_secret() {
            self.tunnels.refuse_clear();
        } else {
            take(Input::Rtp { link, from, data: data.freeze() });
        }
    }

    /// Lets time pass.
    pub(super) fn timeout(&mut self, now: Instant) {
        self.tunnels.handle_input(now, ListenerInput::Timeout);
    }

    /// Gives `take` what came out of tunnels; until when they want nothing more.
    pub(super) fn drain(&mut self, mut take: impl FnMut(Input<'_>)) -> Instant {
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
                if let Some(rtcp) = &mut self.sockets[link].rtcp {
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

    /// What tunnels counted, and their paths as part of those of their pairs.
    pub(super) fn complete(&self, stats: &mut ReceiverStats) {
        stats.tunnel = self.tunnels.counters();
        let tunnels = stats.paths.split_off(self.sockets.len());
        for (path, tunnel) in stats.paths.iter_mut().zip(tunnels) {
            path.packets += tunnel.packets;
            path.bytes += tunnel.bytes;
            path.rtcp_packets += tunnel.rtcp_packets;
            path.rtt = tunnel.rtt.or(path.rtt);
        }
    }
}
