//! A sender's end that waits to be called: the link leads to whoever calls first and is where it says it is.
//!
//! ```text
//!  RTCP of a caller ──► Listener: decrypts, asks for a password ──► answers an echo request? ──► it is the receiver
//!                                                                   another one is called already ──► refused
//! ```
//!
//! Media goes only to an address that has answered an echo request with a time stamp made for it: a forged source address would
//! else be sent a stream. One receiver is served at a time. Another one takes its place when it is silent. Nothing is remembered of
//! who has not answered, so that those who do not keep nobody out.

mod cookie;

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};

use super::super::budget::Budget;
use super::super::rtcp::{Compound, Packet, Writer};
use super::super::rtp::HEADER_LEN;
use super::super::seed::Seed;
use super::listener::{self, Listener};
use super::{Config, Counters, NAME};
use cookie::Cookies;

/// Tunnels at a time: the receiver's, and of those who would be it.
const MAX_CALLERS: usize = 32;
/// A receiver that says nothing for so long may be replaced: 20 reports were due.
const SILENCE: Duration = Duration::from_secs(2);
/// A receiver that says nothing for so long has left.
const LEFT: Duration = Duration::from_secs(10);
/// Echo requests per second, to who may be anywhere: 0.4 Mbit/s in all. A receiver speaks ten times a second, so that it
/// is asked within some seconds beside ten thousand forged datagrams a second.
const ASKS: u32 = 500;

/// What happens to a host.
#[derive(Debug)]
#[non_exhaustive]
pub enum Input {
    /// A datagram came.
    Datagram {
        /// Where from.
        from: SocketAddr,
        /// The datagram.
        data: BytesMut,
    },
    /// This end leaves; callers are told.
    Close,
    /// The time of [`Output::Timeout`] has come.
    Timeout,
}

/// What a host wants.
#[derive(Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Output {
    /// A receiver has called: the link leads to it now.
    Called(SocketAddr),
    /// The receiver has not been heard for long: the link leads nowhere.
    Left,
    /// RTCP of the receiver.
    Rtcp(Bytes),
    /// Send this datagram.
    Transmit {
        /// Where to.
        to: SocketAddr,
        /// The datagram.
        data: Vec<u8>,
    },
    /// Nothing more until then, or until the next input.
    Timeout(Instant),
}

/// One link that waits to be called.
#[derive(Debug)]
pub struct Host {
    listener: Listener,
    cookies: Cookies,
    seed: Seed,
    asks: Budget,
    /// Of the stream: librist takes another one's for another stream.
    ssrc: u32,
    receiver: Option<Receiver>,
    /// RTCP of callers while another one is served.
    refused: u64,
    /// RTCP of callers that were not asked where they are, as too many were.
    unasked: u64,
    due: Instant,
    out: VecDeque<Output>,
}

#[derive(Debug)]
struct Receiver {
    addr: SocketAddr,
    heard: Instant,
}

impl Host {
    /// A host of the stream `ssrc` that starts at `now`. `seed` gives nonces and time stamps; to be random outside of
    /// tests.
    #[must_use]
    pub fn new(now: Instant, config: Config, ssrc: u32, seed: impl Into<Seed>) -> Self {
        let mut seed: Seed = seed.into();
        Self {
            listener: Listener::doubting(now, Config { sends: true, ..config }, MAX_CALLERS, seed.child()),
            cookies: Cookies::new(now, &mut seed),
            asks: Budget::new(now, ASKS),
            seed,
            ssrc,
            receiver: None,
            refused: 0,
            unasked: 0,
            due: now,
            out: VecDeque::new(),
        }
    }

    /// What was taken and refused, over all callers.
    #[must_use]
    pub fn counters(&self) -> Counters {
        let mut counters = self.listener.counters();
        counters.crowded += self.refused;
        counters.throttled += self.unasked;
        counters
    }

    /// Takes what happened. Then [`Host::poll_output`] until it gives a timeout.
    pub fn handle_input(&mut self, now: Instant, input: Input) {
        match input {
            Input::Datagram { from, data } => {
                self.listener.handle_input(now, listener::Input::Datagram { link: 0, from, data });
            }
            Input::Close => self.listener.handle_input(now, listener::Input::Close),
            Input::Timeout => {
                self.listener.handle_input(now, listener::Input::Timeout);
                if self.receiver.as_ref().is_some_and(|receiver| now >= receiver.heard + LEFT) {
                    self.receiver = None;
                    self.out.push_back(Output::Left);
                }
            }
        }
        loop {
            match self.listener.poll_output() {
                listener::Output::Rtcp { from, data, .. } => self.rtcp(now, from, data),
                listener::Output::Transmit { to, data, .. } => {
                    self.out.push_back(Output::Transmit { to, data });
                }
                // A receiver sends no media.
                listener::Output::Rtp { .. } => {}
                listener::Output::Timeout(at) => {
                    self.due = at;
                    return;
                }
            }
        }
    }

    /// What is to be done next.
    pub fn poll_output(&mut self) -> Output {
        self.out.pop_front().unwrap_or(Output::Timeout(self.due))
    }

    /// Replaces `out` by the datagram for an RTP packet; where to, if somebody has called.
    pub fn rtp(
        &mut self,
        header: &[u8; HEADER_LEN],
        upper: u16,
        payload: &[u8],
        out: &mut Vec<u8>,
    ) -> Option<SocketAddr> {
        let to = self.receiver.as_ref()?.addr;
        self.listener.rtp(0, to, (header, upper, payload), out);
        Some(to)
    }

    /// The same for an RTCP packet.
    pub fn rtcp_out(&mut self, data: &[u8], out: &mut Vec<u8>) -> Option<SocketAddr> {
        let to = self.receiver.as_ref()?.addr;
        self.listener.rtcp(0, to, data, out);
        Some(to)
    }

    fn rtcp(&mut self, now: Instant, from: SocketAddr, data: Bytes) {
        if let Some(receiver) = self.receiver.as_mut().filter(|receiver| receiver.addr == from) {
            receiver.heard = now;
            return self.out.push_back(Output::Rtcp(data));
        }
        if self.receiver.as_ref().is_some_and(|receiver| now < receiver.heard + SILENCE) {
            self.refused += 1;
        } else if self.is_answered(now, from, &data) {
            self.receiver = Some(Receiver { addr: from, heard: now });
            self.listener.hold(0, from);
            self.out.push_back(Output::Called(from));
        } else if self.asks.take_by_chance(now, self.seed.next()) {
            self.ask(now, from);
        } else {
            self.unasked += 1;
        }
    }

    fn ask(&mut self, now: Instant, to: SocketAddr) {
        let mut writer = Writer::new();
        writer.receiver_report(self.ssrc, None);
        writer.source_description(self.ssrc, NAME);
        writer.echo_request(self.ssrc, self.cookies.stamp(now, to));
        let mut data = Vec::new();
        self.listener.rtcp(0, to, &writer.finish(), &mut data);
        if !data.is_empty() {
            self.out.push_back(Output::Transmit { to, data });
        }
    }

    /// Whether RTCP answers an echo request that this address was sent.
    fn is_answered(&self, now: Instant, from: SocketAddr, data: &[u8]) -> bool {
        let mut packets = Compound::parse(data).into_iter().flatten().flatten();
        packets.any(|packet| match packet {
            Packet::EchoResponse { timestamp, .. } => self.cookies.is_of(now, from, timestamp),
            _ => false,
        })
    }
}

#[cfg(test)]
mod tests;
