//! Senders that a receiver calls, by the Main Profile: a tunnel each, of which this end is the client.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use bytes::BytesMut;

use super::channel::Channel;
use crate::rist::Seed;
use crate::rist::receiver::Input;
use crate::rist::tunnel::{self, Client, ClientOutput as Output, Config, Counters};

/// A sender is told that somebody is here so often, until it sends: as often as RTCP is due anyway.
const GREETING_INTERVAL: Duration = Duration::from_millis(90);
/// A sender that sends nothing for so long may have started anew.
const SILENCE: Duration = Duration::from_secs(1);

/// A sender that is called.
#[derive(Debug)]
pub(super) struct Call {
    client: Client,
    remote: SocketAddr,
    next_greeting: Instant,
    datagram: Vec<u8>,
}

impl Call {
    pub(super) fn new(now: Instant, config: &Config, remote: SocketAddr, seed: Seed) -> Self {
        let client = Client::new(now, config.clone(), seed);
        Self { client, remote, next_greeting: now, datagram: Vec::new() }
    }

    pub(super) fn counters(&self) -> Counters {
        self.client.counters()
    }

    pub(super) fn receive(&mut self, now: Instant, data: BytesMut) {
        self.client.handle_input(now, tunnel::Input::Datagram(data));
    }

    pub(super) fn timeout(&mut self, now: Instant) {
        self.client.handle_input(now, tunnel::Input::Timeout);
        if now >= self.next_greeting {
            self.next_greeting = now + GREETING_INTERVAL;
            self.client.greet(now);
        }
    }

    /// Gives `take` what came out of the tunnel, as of socket pair `link`; until when that is all.
    pub(super) fn drain(
        &mut self,
        now: Instant,
        link: usize,
        channel: &mut Channel,
        take: &mut impl FnMut(Input<'_>),
    ) -> Instant {
        let from = self.remote;
        loop {
            match self.client.poll_output() {
                Output::Rtp(data) => {
                    self.next_greeting = now + SILENCE;
                    take(Input::Rtp { link, from, data });
                }
                Output::Rtcp(data) => take(Input::Rtcp { link, from, data: &data }),
                Output::Transmit(data) => channel.send(&[&data]),
                // It is greeted as long as it sends nothing.
                Output::Left | Output::Back => {}
                Output::Timeout(at) => return at.min(self.next_greeting),
            }
        }
    }

    pub(super) fn rtcp(&mut self, data: &[u8], channel: &mut Channel) {
        self.client.rtcp(data, &mut self.datagram);
        if !self.datagram.is_empty() {
            channel.send(&[&self.datagram]);
        }
    }
}
