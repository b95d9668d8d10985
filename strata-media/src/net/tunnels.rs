//! A sender's tunnels: one per link, none with the Simple Profile.

use std::time::Instant;

use bytes::BytesMut;

use super::socket::{LinkSockets, seed};
use crate::rist::Media;
use crate::rist::tunnel::{Config, Counters, Input, Output, Role, Session};

/// The sessions of all links, and room to work in.
#[derive(Debug, Default)]
pub(super) struct Tunnels {
    sessions: Vec<Session>,
    datagram: Vec<u8>,
    slab: BytesMut,
}

impl Tunnels {
    /// Tunnels for so many links; `None` is the Simple Profile.
    pub(super) fn new(now: Instant, links: usize, config: Option<&Config>) -> Self {
        let session = |config| Session::new(now, config, Role::Client, seed());
        let sessions = config.map_or(Vec::new(), |config| (0..links).map(|_| session(config)).collect());
        Self { sessions, ..Self::default() }
    }

    pub(super) fn counters(&self) -> Counters {
        let mut sum = Counters::default();
        self.sessions.iter().for_each(|session| sum += session.counters());
        sum
    }

    pub(super) fn send_rtp(&mut self, link: usize, media: &Media, sockets: &LinkSockets) {
        match self.sessions.get_mut(link) {
            None => sockets.send_rtp(&media.header, &media.payload),
            Some(session) => {
                session.rtp(&media.header, &media.payload, &mut self.datagram);
                sockets.send(&self.datagram);
            }
        }
    }

    pub(super) fn send_rtcp(&mut self, link: usize, data: &[u8], sockets: &LinkSockets) {
        match self.sessions.get_mut(link) {
            None => sockets.send_rtcp(data),
            Some(session) => {
                session.rtcp(data, &mut self.datagram);
                sockets.send(&self.datagram);
            }
        }
    }

    /// Takes what has come by a link, up to `burst` datagrams; `false` when there is no tunnel.
    pub(super) fn receive(&mut self, now: Instant, link: usize, sockets: &LinkSockets, burst: usize) -> bool {
        let Some(session) = self.sessions.get_mut(link) else { return false };
        for _ in 0..burst {
            let Some((data, _)) = sockets.receive_rtp_from(&mut self.slab) else { break };
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
        sockets: &[Option<LinkSockets>],
        mut rtcp: impl FnMut(usize, &[u8]),
    ) -> Option<Instant> {
        let mut due = None;
        for (link, session) in self.sessions.iter_mut().enumerate() {
            loop {
                match session.poll_output() {
                    Output::Transmit(data) => {
                        if let Some(sockets) = &sockets[link] {
                            sockets.send(&data);
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
