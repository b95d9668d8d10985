//! A sender's tunnels: one per link, none with the Simple Profile.

use std::time::Instant;

use super::channel::Inbox;
use super::socket::{LinkSockets, seed};
use crate::rist::Media;
use crate::rist::tunnel::{Config, Counters, Input, Output, Role, Session};

/// The sessions of all links, and room to work in.
#[derive(Debug, Default)]
pub(super) struct Tunnels {
    sessions: Vec<Session>,
    config: Option<Config>,
    /// Of sessions that others have replaced.
    gone: Counters,
    datagram: Vec<u8>,
}

impl Tunnels {
    /// Tunnels for so many links; `None` is the Simple Profile.
    pub(super) fn new(now: Instant, links: usize, config: Option<&Config>) -> Self {
        let session = |config| Session::new(now, config, Role::Client, seed());
        let sessions = config.map_or(Vec::new(), |config| (0..links).map(|_| session(config)).collect());
        Self { sessions, config: config.cloned(), ..Self::default() }
    }

    /// A new tunnel for a link that is new, or leads elsewhere.
    pub(super) fn open(&mut self, now: Instant, link: usize) {
        let Some(config) = &self.config else { return };
        let session = Session::new(now, config, Role::Client, seed());
        match self.sessions.get_mut(link) {
            Some(old) => self.gone += std::mem::replace(old, session).counters(),
            None => self.sessions.push(session),
        }
    }

    pub(super) fn counters(&self) -> Counters {
        let mut sum = self.gone;
        self.sessions.iter().for_each(|session| sum += session.counters());
        sum
    }

    pub(super) fn send_rtp(&mut self, link: usize, media: &Media, sockets: &mut LinkSockets) {
        match self.sessions.get_mut(link) {
            None => sockets.rtp.send(&[&media.header, &media.payload]),
            Some(session) => {
                session.rtp(&media.header, media.upper, &media.payload, &mut self.datagram);
                send(sockets, &self.datagram);
            }
        }
    }

    pub(super) fn send_rtcp(&mut self, link: usize, data: &[u8], sockets: &mut LinkSockets) {
        match self.sessions.get_mut(link) {
            None => {
                if let Some(rtcp) = &mut sockets.rtcp {
                    rtcp.send(&[data]);
                }
            }
            Some(session) => {
                session.rtcp(data, &mut self.datagram);
                send(sockets, &self.datagram);
            }
        }
    }

    /// Takes what has come by a link; `false` when there is no tunnel.
    pub(super) fn receive(
        &mut self,
        now: Instant,
        link: usize,
        sockets: &LinkSockets,
        inbox: &mut Inbox,
    ) -> bool {
        let Some(session) = self.sessions.get_mut(link) else { return false };
        for (data, _) in inbox.receive(&sockets.rtp) {
            session.handle_input(now, Input::Datagram(data));
        }
        true
    }

    /// Tells all sessions the same.
    pub(super) fn timeout(&mut self, now: Instant) {
        self.sessions.iter_mut().for_each(|session| session.handle_input(now, Input::Timeout));
    }

    /// Says goodbye on all links.
    pub(super) fn close(&mut self, now: Instant) {
        self.sessions.iter_mut().for_each(|session| session.handle_input(now, Input::Close));
    }

    /// Sends what the sessions have to say, and gives RTCP that came out to `rtcp`; until when that is all.
    pub(super) fn drain(
        &mut self,
        sockets: &mut [Option<LinkSockets>],
        mut rtcp: impl FnMut(usize, &[u8]),
    ) -> Option<Instant> {
        let mut due = None;
        for (link, session) in self.sessions.iter_mut().enumerate() {
            loop {
                match session.poll_output() {
                    Output::Transmit(data) => {
                        if let Some(sockets) = &mut sockets[link] {
                            send(sockets, &data);
                        }
                    }
                    Output::Rtcp(data) => rtcp(link, &data),
                    Output::Timeout(at) => {
                        due = Some(due.map_or(at, |due: Instant| due.min(at)));
                        break;
                    }
                    // A sender wants no media; a receiver that leaves is missed by its silence.
                    Output::Rtp(_) | Output::Closed => {}
                }
            }
        }
        due
    }
}

/// A datagram of a tunnel, if there is one.
fn send(sockets: &mut LinkSockets, datagram: &[u8]) {
    if !datagram.is_empty() {
        sockets.rtp.send(&[datagram]);
    }
}
