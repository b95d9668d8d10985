//! Tunnels of the Main Profile between sender and receiver, one per link. Their keep-alive messages are left out: reports
//! keep them alive.

use std::time::Instant;

use bytes::{Bytes, BytesMut};
use strata_media::rist::Media;
use strata_media::rist::tunnel::{Config, Input, Output, Role, Session};

use super::inside::{Machine, work};

/// What datagrams that come are cut out of.
#[derive(Default)]
pub(crate) struct Memory(BytesMut);

impl Memory {
    /// A datagram in memory that datagrams share, as it is when they are read.
    pub(crate) fn read(&mut self, data: &[u8]) -> BytesMut {
        if self.0.capacity() < data.len() {
            self.0 = BytesMut::with_capacity(64 << 10);
        }
        self.0.extend_from_slice(data);
        self.0.split()
    }
}

/// The tunnels of a stream.
pub(crate) struct Tunnels {
    config: Config,
    /// The sender's ends, which call, and the receiver's.
    ends: Vec<(Session, Session)>,
    /// What datagrams are written into.
    out: Vec<u8>,
    read: Memory,
    restarts: u64,
}

impl Tunnels {
    pub(crate) fn new(now: Instant, links: usize, config: Config) -> Self {
        let session = |role, link| Session::new(now, &config, role, 1 + link as u64);
        let ends =
            (0..links).map(|link| (session(Role::Client, link), session(Role::Server, link))).collect();
        Self { config, ends, out: Vec::new(), read: Memory::default(), restarts: 0 }
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
        let (client, out) = (&mut self.ends[link].0, &mut self.out);
        work(Machine::Sender, || client.rtp(&media.header, media.upper, &media.payload, out));
        Bytes::copy_from_slice(out)
    }

    /// The datagram for RTCP of the sender, or of the receiver.
    pub(crate) fn rtcp(&mut self, link: usize, of_sender: bool, data: &[u8]) -> Bytes {
        let ((client, server), out) = (&mut self.ends[link], &mut self.out);
        let (session, machine) =
            if of_sender { (client, Machine::Sender) } else { (server, Machine::Receiver) };
        work(machine, || session.rtcp(data, out));
        Bytes::copy_from_slice(out)
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
        let (session, machine) =
            if at_sender { (client, Machine::Sender) } else { (server, Machine::Receiver) };
        let (data, mut packet) = (self.read.read(data), None);
        work(machine, || session.handle_input(now, Input::Datagram(data)));
        loop {
            match work(machine, || session.poll_output()) {
                Output::Rtp(data) => packet = Some((false, data)),
                Output::Rtcp(data) => packet = Some((true, data)),
                Output::Timeout(_) => return packet,
                _ => {}
            }
        }
    }
}
