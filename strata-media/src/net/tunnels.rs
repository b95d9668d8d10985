//! A sender's tunnels: one per link, none with the Simple Profile.

use std::net::SocketAddr;
use std::time::Instant;

use super::channel::{Channel, Inbox};
use super::config::LinkConfig;
use super::links::{LEFT, UNCALLED};
use super::socket::LinkSockets;
use crate::rist::tunnel::{Client, ClientOutput, Config, Counters, Host, HostInput, HostOutput, Input};
use crate::rist::{Media, Seed};

/// The tunnels of all links, and room to work in.
#[derive(Debug, Default)]
pub(super) struct Tunnels {
    ends: Vec<End>,
    /// Of the stream.
    ssrc: u32,
    /// Of links that call, and of links that listen; and what their seeds come from.
    configs: Option<([Config; 2], Seed)>,
    /// Of ends that others have replaced.
    gone: Counters,
    datagram: Vec<u8>,
}

/// This end of a tunnel.
#[derive(Debug)]
enum End {
    Calls(Box<Client>),
    Listens {
        host: Box<Host>,
        /// Whether a receiver has called.
        called: bool,
    },
}

/// What came out of a tunnel.
#[derive(Debug)]
pub(super) enum Heard<'a> {
    Rtcp(&'a [u8]),
    /// A receiver has called the link.
    Called(SocketAddr),
    /// It has left; or one that this end calls.
    Left(&'static str),
    /// The latter is there after all, or is called again.
    Back,
}

impl End {
    fn new(
        now: Instant,
        (ssrc, seed): (u32, Seed),
        [calls, listens]: &[Config; 2],
        link: &LinkConfig,
    ) -> Self {
        if link.listens {
            let host = Box::new(Host::new(now, listens.clone(), ssrc, seed));
            return Self::Listens { host, called: false };
        }
        Self::Calls(Box::new(Client::new(now, calls.clone(), seed)))
    }

    fn counters(&self) -> Counters {
        match self {
            Self::Calls(client) => client.counters(),
            Self::Listens { host, .. } => host.counters(),
        }
    }

    /// Sends what it has to say, and gives `tell` what came; until when that is all.
    fn drain(&mut self, channel: Option<&mut Channel>, mut tell: impl FnMut(Heard<'_>)) -> Instant {
        let mut channel = channel;
        match self {
            Self::Calls(client) => loop {
                match client.poll_output() {
                    ClientOutput::Transmit(data) => {
                        channel.iter_mut().for_each(|channel| channel.send(&[&data]));
                    }
                    ClientOutput::Rtcp(data) => tell(Heard::Rtcp(&data)),
                    ClientOutput::Left => tell(Heard::Left(LEFT)),
                    ClientOutput::Back => tell(Heard::Back),
                    ClientOutput::Timeout(at) => return at,
                    // A sender wants no media.
                    ClientOutput::Rtp(_) => {}
                }
            },
            Self::Listens { host, called } => loop {
                match host.poll_output() {
                    HostOutput::Transmit { to, data } => {
                        channel.iter_mut().for_each(|channel| channel.send_to(&[&data], to));
                    }
                    HostOutput::Rtcp(data) => tell(Heard::Rtcp(&data)),
                    HostOutput::Called(receiver) => {
                        *called = true;
                        tell(Heard::Called(receiver));
                    }
                    HostOutput::Left => {
                        *called = false;
                        tell(Heard::Left(UNCALLED));
                    }
                    HostOutput::Timeout(at) => return at,
                }
            },
        }
    }
}

impl Tunnels {
    /// Tunnels for these links, made as they call or listen, and what their seeds come from; `None` is the Simple Profile.
    pub(super) fn new(
        now: Instant,
        links: &[LinkConfig],
        configs: Option<([Config; 2], Seed)>,
        ssrc: u32,
    ) -> Self {
        let mut tunnels = Self { configs, ssrc, ..Self::default() };
        links.iter().enumerate().for_each(|(index, link)| tunnels.open(now, index, link));
        tunnels
    }

    /// A new tunnel for a link that is new, or leads elsewhere.
    pub(super) fn open(&mut self, now: Instant, link: usize, config: &LinkConfig) {
        let Some((configs, seed)) = &mut self.configs else { return };
        let end = End::new(now, (self.ssrc, seed.child()), configs, config);
        match self.ends.get_mut(link) {
            Some(old) => self.gone += std::mem::replace(old, end).counters(),
            None => self.ends.push(end),
        }
    }

    pub(super) fn counters(&self) -> Counters {
        let mut sum = self.gone;
        self.ends.iter().for_each(|end| sum += end.counters());
        sum
    }

    /// Whether a receiver has called a link that listens.
    pub(super) fn is_called(&self, link: usize) -> bool {
        matches!(self.ends.get(link), Some(End::Listens { called: true, .. }))
    }

    pub(super) fn send_rtp(&mut self, link: usize, media: &Media, sockets: &mut LinkSockets) {
        let Media { header, upper, payload } = media;
        match self.ends.get_mut(link) {
            None => sockets.rtp.send(&[header, payload]),
            Some(End::Calls(client)) => {
                client.rtp(header, *upper, payload, &mut self.datagram);
                send(&mut sockets.rtp, &self.datagram, None);
            }
            Some(End::Listens { host, .. }) => {
                if let Some(to) = host.rtp(header, *upper, payload, &mut self.datagram) {
                    send(&mut sockets.rtp, &self.datagram, Some(to));
                }
            }
        }
    }

    pub(super) fn send_rtcp(&mut self, link: usize, data: &[u8], sockets: &mut LinkSockets) {
        match self.ends.get_mut(link) {
            None => {
                if let Some(rtcp) = &mut sockets.rtcp {
                    rtcp.send(&[data]);
                }
            }
            Some(End::Calls(client)) => {
                client.rtcp(data, &mut self.datagram);
                send(&mut sockets.rtp, &self.datagram, None);
            }
            Some(End::Listens { host, .. }) => {
                if let Some(to) = host.rtcp_out(data, &mut self.datagram) {
                    send(&mut sockets.rtp, &self.datagram, Some(to));
                }
            }
        }
    }

    /// Takes what has come in by a link; `false` when there is no tunnel.
    pub(super) fn receive(
        &mut self,
        now: Instant,
        link: usize,
        sockets: &LinkSockets,
        inbox: &mut Inbox,
    ) -> bool {
        let Some(end) = self.ends.get_mut(link) else { return false };
        for (data, from) in inbox.receive(&sockets.rtp) {
            match end {
                End::Calls(client) => client.handle_input(now, Input::Datagram(data)),
                End::Listens { host, .. } => host.handle_input(now, HostInput::Datagram { from, data }),
            }
        }
        true
    }

    /// Lets time pass in all of them.
    pub(super) fn timeout(&mut self, now: Instant) {
        self.ends.iter_mut().for_each(|end| match end {
            End::Calls(client) => client.handle_input(now, Input::Timeout),
            End::Listens { host, .. } => host.handle_input(now, HostInput::Timeout),
        });
    }

    /// Says goodbye on all links.
    pub(super) fn close(&mut self, now: Instant) {
        self.ends.iter_mut().for_each(|end| match end {
            End::Calls(client) => client.handle_input(now, Input::Close),
            End::Listens { host, .. } => host.handle_input(now, HostInput::Close),
        });
    }

    /// Sends what the tunnels have to say, and gives `tell` what came out of them; until when that is all.
    pub(super) fn drain(
        &mut self,
        sockets: &mut [Option<LinkSockets>],
        mut tell: impl FnMut(usize, Heard<'_>),
    ) -> Option<Instant> {
        let ends = self.ends.iter_mut().zip(sockets).enumerate();
        ends.map(|(link, (end, sockets))| {
            let channel = sockets.as_mut().map(|sockets| &mut sockets.rtp);
            end.drain(channel, |heard| tell(link, heard))
        })
        .min()
    }
}

/// Sends a datagram of a tunnel, if there is one; to where the socket is connected, if nothing else is said.
fn send(channel: &mut Channel, datagram: &[u8], to: Option<SocketAddr>) {
    match to {
        _ if datagram.is_empty() => {}
        Some(to) => channel.send_to(&[datagram], to),
        None => channel.send(&[datagram]),
    }
}
