//! The server's end: a session per peer, found by where its datagrams come from (TR-06-2, appendix C).

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};

use super::super::seed::Seed;
use super::budget::Budget;
use super::session::{self, Role, Session};
use super::{Config, Counters};

/// Peers at a time: the most links of a bond, and some that have moved.
const MAX_SESSIONS: usize = 32;
/// A peer that says nothing for so long is forgotten (TR-06-2).
const TIMEOUT: Duration = Duration::from_secs(60);
/// When there is no room, one that says nothing for so long makes it: 20 reports were due.
const SILENCE: Duration = Duration::from_secs(2);
/// The same, as long as it has not sent RTP or RTCP.
const DOUBT: Duration = Duration::from_secs(1);

/// What happens to a listener.
#[derive(Debug)]
#[non_exhaustive]
pub enum Input {
    /// A datagram came in.
    Datagram {
        /// The local socket.
        link: usize,
        /// Where from.
        from: SocketAddr,
        /// The datagram.
        data: BytesMut,
    },
    /// The time of [`Output::Timeout`] has come.
    Timeout,
}

/// What a listener wants.
#[derive(Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Output {
    /// RTP came out of a tunnel.
    Rtp {
        /// The local socket.
        link: usize,
        /// Whose tunnel.
        from: SocketAddr,
        /// The packet.
        data: Bytes,
    },
    /// RTCP came out of a tunnel.
    Rtcp {
        /// The local socket.
        link: usize,
        /// Whose tunnel.
        from: SocketAddr,
        /// The packet.
        data: Bytes,
    },
    /// Send this datagram.
    Transmit {
        /// The local socket.
        link: usize,
        /// Where to.
        to: SocketAddr,
        /// The datagram.
        data: Vec<u8>,
    },
    /// Nothing more until then, or until the next input.
    Timeout(Instant),
}

/// All tunnels of a receiver's sockets, bounded.
#[derive(Debug)]
pub struct Listener {
    config: Config,
    seed: Seed,
    sessions: Vec<Peer>,
    /// What peers that are not known may cost.
    strangers: Budget,
    /// Of sessions that are over, and of datagrams that were of none.
    counters: Counters,
    next_look: Instant,
    out: VecDeque<Output>,
}

#[derive(Debug)]
struct Peer {
    link: usize,
    addr: SocketAddr,
    session: Session,
}

impl Listener {
    /// A listener that starts at `now`. `seed` gives the nonces; to be random outside of tests.
    #[must_use]
    pub fn new(now: Instant, config: Config, seed: u64) -> Self {
        Self {
            config,
            seed: Seed::new(seed),
            sessions: Vec::new(),
            strangers: Budget::new(now),
            counters: Counters::default(),
            next_look: now + DOUBT,
            out: VecDeque::new(),
        }
    }

    /// What was taken and refused, over all peers.
    #[must_use]
    pub fn counters(&self) -> Counters {
        let mut sum = self.counters;
        self.sessions.iter().for_each(|peer| sum += peer.session.counters());
        sum
    }

    /// Whether only what is encrypted, or of who has shown a password, is taken.
    #[must_use]
    pub fn is_secret(&self) -> bool {
        self.config.psk.is_some() || self.config.auth.is_some()
    }

    /// Counts a datagram of the Simple Profile that was not taken, because it is in clear.
    pub fn refuse_clear(&mut self) {
        self.counters.unencrypted += 1;
    }

    /// Peers at present.
    #[must_use]
    pub fn peers(&self) -> usize {
        self.sessions.len()
    }

    /// Takes what happened. Then [`Listener::poll_output`] until it gives a timeout.
    pub fn handle_input(&mut self, now: Instant, input: Input) {
        match input {
            Input::Datagram { link, from, data } => {
                let Some(index) = self.session(now, link, from) else {
                    self.counters.crowded += 1;
                    return;
                };
                self.sessions[index].session.receive(now, data, Some(&mut self.strangers));
                self.drain(index);
            }
            Input::Timeout if now >= self.next_look => {
                self.next_look = now + DOUBT;
                for index in (0..self.sessions.len()).rev() {
                    if now >= self.sessions[index].session.heard() + TIMEOUT {
                        self.forget(index);
                        continue;
                    }
                    self.sessions[index].session.handle_input(now, session::Input::Timeout);
                    self.drain(index);
                }
            }
            Input::Timeout => {}
        }
    }

    /// What is to be done next.
    pub fn poll_output(&mut self) -> Output {
        self.out.pop_front().unwrap_or(Output::Timeout(self.next_look))
    }

    /// Replaces `out` by the datagram for an RTCP packet; by nothing, when there is no tunnel to that address.
    pub fn rtcp(&mut self, link: usize, to: SocketAddr, data: &[u8], out: &mut Vec<u8>) {
        out.clear();
        if let Some(index) = self.find(link, to) {
            self.sessions[index].session.rtcp(data, out);
        }
    }

    fn find(&self, link: usize, addr: SocketAddr) -> Option<usize> {
        self.sessions.iter().position(|peer| peer.addr == addr && peer.link == link)
    }

    /// The session with a peer, made if there is room.
    fn session(&mut self, now: Instant, link: usize, addr: SocketAddr) -> Option<usize> {
        if let Some(index) = self.find(link, addr) {
            return Some(index);
        }
        if self.sessions.len() == MAX_SESSIONS {
            let stale = |peer: &Peer| {
                let patience = if peer.session.proven() { SILENCE } else { DOUBT };
                now >= peer.session.heard() + patience
            };
            let index = self.sessions.iter().position(stale)?;
            self.forget(index);
        }
        let session = Session::new(now, &self.config, Role::Server, self.seed.next());
        self.sessions.push(Peer { link, addr, session });
        Some(self.sessions.len() - 1)
    }

    fn forget(&mut self, index: usize) {
        let peer = self.sessions.swap_remove(index);
        self.counters += peer.session.counters();
    }

    fn drain(&mut self, index: usize) {
        let Peer { link, addr, session } = &mut self.sessions[index];
        let (link, addr) = (*link, *addr);
        loop {
            let output = match session.poll_output() {
                session::Output::Rtp(data) => Output::Rtp { link, from: addr, data },
                session::Output::Rtcp(data) => Output::Rtcp { link, from: addr, data },
                session::Output::Transmit(data) => Output::Transmit { link, to: addr, data },
                session::Output::Closed => return self.forget(index),
                session::Output::Timeout(_) => return,
            };
            self.out.push_back(output);
        }
    }
}
