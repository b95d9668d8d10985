//! Tunnels of the Main Profile between sender and receiver, one per link. Their keep-alive messages are left out: reports
//! keep them alive.

use std::time::Instant;

use bytes::{Bytes, BytesMut};
use strata_media::rist::Media;
use strata_media::rist::tunnel::{Config, Input, Output, Role, Session};

/// The tunnels of a stream.
pub(crate) struct Tunnels {
    config: Config,
    /// The sender's ends, which call, and the receiver's.
    ends: Vec<(Session, Session)>,
    restarts: u64,
}

impl Tunnels {
    pub(crate) fn new(now: Instant, links: usize, config: Config) -> Self {
        let session = |role, link| Session::new(now, &config, role, 1 + link as u64);
        let ends =
            (0..links).map(|link| (session(Role::Client, link), session(Role::Server, link))).collect();
        Self { config, ends, restarts: 0 }
    }

    /// The receiver starts anew, and knows nothing of them.
    pub(crate) fn restart_receiver(&mut self, now: Instant) {
        self.restarts += 1;
        for (_, server) in &mut self.ends {
            *server = Session::new(now, &self.config, Role::Server, 100 + self.restarts);
        }
    }

    /// The datagram for an RTP packet.
    pub(crate) fn media(&mut self, link: usize, media: &Media) -> Bytes {
        let mut datagram = Vec::new();
        self.ends[link].0.rtp(&media.header, media.upper, &media.payload, &mut datagram);
        datagram.into()
    }

    /// The datagram for RTCP of the sender, or of the receiver.
    pub(crate) fn rtcp(&mut self, link: usize, of_sender: bool, data: &[u8]) -> Bytes {
        let mut datagram = Vec::new();
        let (client, server) = &mut self.ends[link];
        if of_sender { client } else { server }.rtcp(data, &mut datagram);
        datagram.into()
    }

    /// What comes out at the receiver, or at the sender: whether it is RTCP, and the packet.
    pub(crate) fn arrived(
        &mut self,
        now: Instant,
        link: usize,
        at_sender: bool,
        data: &[u8],
    ) -> Option<(bool, Bytes)> {
        let (client, server) = &mut self.ends[link];
        let session = if at_sender { client } else { server };
        session.handle_input(now, Input::Datagram(BytesMut::from(data)));
        let mut packet = None;
        loop {
            match session.poll_output() {
                Output::Rtp(data) => packet = Some((false, data)),
                Output::Rtcp(data) => packet = Some((true, data)),
                Output::Timeout(_) => return packet,
                _ => {}
            }
        }
    }
}
