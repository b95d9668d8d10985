//! Who calls: a [`Session`] that is made anew when the peer asks for that, and rests when it leaves (TR-06-2, flags T and D).
//!
//! ```text
//!          D, if it tells something                     RTP or RTCP after all: it has not left
//!  open ─────────────────────────────► left ──► Left ─┬─────────────────────────────────────────► Back, open
//!   ▲                                                 └ 5 s ──► a new session ──► Back, open
//!   └── T, if it tells something: a new session
//! ```

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use bytes::Bytes;

use super::super::rtp::HEADER_LEN;
use super::super::seed::Seed;
use super::session::{self, Role, Session};
use super::{Config, Counters};

/// Who has left is called again after so long (TR-06-2).
const REST: Duration = Duration::from_secs(5);

/// What a client wants.
#[derive(Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Output {
    /// RTP came out of the tunnel.
    Rtp(Bytes),
    /// RTCP came out of the tunnel.
    Rtcp(Bytes),
    /// Send this datagram to the peer.
    Transmit(Vec<u8>),
    /// The peer has left.
    Left,
    /// It is there after all, or is called again.
    Back,
    /// Nothing more until then, or until the next input.
    Timeout(Instant),
}

/// The end of a tunnel that calls.
#[derive(Debug)]
pub struct Client {
    config: Config,
    seed: Seed,
    session: Session,
    /// Of sessions before this one.
    gone: Counters,
    /// When who has left is called again.
    rests_until: Option<Instant>,
    due: Instant,
    out: VecDeque<Output>,
}

impl Client {
    /// A client that starts at `now`. `seed` gives the nonces; to be random outside of tests.
    #[must_use]
    pub fn new(now: Instant, config: Config, seed: impl Into<Seed>) -> Self {
        let mut seed: Seed = seed.into();
        let session = Session::new(now, &config, Role::Client, seed.child());
        let (gone, out) = (Counters::default(), VecDeque::new());
        let mut client = Self { config, seed, session, gone, rests_until: None, due: now, out };
        client.drain(now);
        client
    }

    /// What was taken and refused.
    #[must_use]
    pub fn counters(&self) -> Counters {
        let mut sum = self.gone;
        sum += self.session.counters();
        sum
    }

    /// Takes what happened. Then [`Client::poll_output`] until it gives a timeout.
    pub fn handle_input(&mut self, now: Instant, input: session::Input) {
        if self.rests_until.is_some_and(|until| now >= until) {
            self.renew(now);
            self.back();
        }
        self.session.handle_input(now, input);
        self.drain(now);
    }

    /// Sends an empty report, as [`Session::greet`] does.
    pub fn greet(&mut self, now: Instant) {
        self.session.greet();
        self.drain(now);
    }

    /// What is to be done next.
    pub fn poll_output(&mut self) -> Output {
        let due = self.rests_until.map_or(self.due, |until| until.min(self.due));
        self.out.pop_front().unwrap_or(Output::Timeout(due))
    }

    /// As [`Session::rtp`].
    pub fn rtp(&mut self, header: &[u8; HEADER_LEN], upper: u16, payload: &[u8], out: &mut Vec<u8>) {
        self.session.rtp(header, upper, payload, out);
    }

    /// As [`Session::rtcp`].
    pub fn rtcp(&mut self, data: &[u8], out: &mut Vec<u8>) {
        self.session.rtcp(data, out);
    }

    fn drain(&mut self, now: Instant) {
        loop {
            let output = match self.session.poll_output() {
                // Who still speaks has not left: in clear anybody may have said so.
                session::Output::Rtp(data) => {
                    self.back();
                    Output::Rtp(data)
                }
                session::Output::Rtcp(data) => {
                    self.back();
                    Output::Rtcp(data)
                }
                session::Output::Transmit(data) => Output::Transmit(data),
                session::Output::Closed if self.rests_until.is_some() => continue,
                session::Output::Closed => {
                    self.rests_until = Some(now + REST);
                    Output::Left
                }
                session::Output::Reconnect => {
                    self.renew(now);
                    continue;
                }
                session::Output::Timeout(at) => {
                    self.due = at;
                    return;
                }
            };
            self.out.push_back(output);
        }
    }

    fn renew(&mut self, now: Instant) {
        self.gone += self.session.counters();
        let next = Session::new(now, &self.config, Role::Client, self.seed.child());
        let before = std::mem::replace(&mut self.session, next);
        self.session.succeed(before);
    }

    fn back(&mut self) {
        if self.rests_until.take().is_some() {
            self.out.push_back(Output::Back);
        }
    }
}

#[cfg(test)]
mod tests;
