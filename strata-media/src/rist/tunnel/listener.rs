//! The server's end: a session per peer, found by where its datagrams come from (TR-06-2, appendix C).

use std::collections::{HashMap, VecDeque};
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};

use super::super::rtp::HEADER_LEN;
use super::super::seed::Seed;
use super::replay::Memory;
use super::session::{self, Role, Session};
use super::strangers::{Stranger, Strangers};
use super::{Config, Counters};

/// Time between two looks for peers that make room: each looks at all of them.
const LOOK_INTERVAL: Duration = Duration::from_millis(20);
/// Time between two looks at what sessions are due to say, where passwords are asked for: questions repeat after 500 ms.
const QUESTION_INTERVAL: Duration = Duration::from_millis(250);
/// A peer that says nothing for so long is forgotten (TR-06-2).
const TIMEOUT: Duration = Duration::from_secs(60);
/// When there is no room, one that says nothing for so long makes it: 20 reports were due.
const SILENCE: Duration = Duration::from_secs(2);
/// The same, as long as it has not sent RTP or RTCP.
const DOUBT: Duration = Duration::from_secs(1);

/// One that carries media was heard within so long: reports come every 100 ms (TR-06-1, 5.2.1).
const LIVELY: Duration = Duration::from_millis(300);
/// So many are looked at, by chance, to find one of a host that holds many places: of half of all places, one is found but once in 256 times
/// not.
const TRIES: usize = 8;

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
    /// This end leaves; peers are told.
    Close,
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
    /// Peers at a time.
    most: usize,
    /// Whether who speaks in clear may have forged its address.
    doubts: bool,
    /// Who has shown that it has not.
    held: Option<(usize, SocketAddr)>,
    sessions: Vec<Peer>,
    /// Where they are among them.
    places: HashMap<(usize, SocketAddr), usize>,
    /// How many of them a host has.
    hosts: HashMap<IpAddr, usize>,
    /// What peers that are not known may cost.
    strangers: Strangers,
    /// What came to any of them, and to those before.
    memory: Memory,
    /// Of sessions that are over, and of datagrams that were of none.
    counters: Counters,
    next_look: Instant,
    /// There is no room before.
    crowded_until: Instant,
    out: VecDeque<Output>,
}

#[derive(Debug)]
struct Peer {
    link: usize,
    addr: SocketAddr,
    session: Session,
}

impl Listener {
    /// A listener that starts at `now`, for at most so many peers at a time. `seed` gives the nonces; to be random outside
    /// of tests.
    #[must_use]
    pub fn new(now: Instant, config: Config, most: usize, seed: impl Into<Seed>) -> Self {
        let mut seed: Seed = seed.into();
        Self {
            config,
            strangers: Strangers::new(now, &mut seed),
            seed,
            most,
            doubts: false,
            held: None,
            sessions: Vec::new(),
            memory: Memory::default(),
            places: HashMap::new(),
            hosts: HashMap::new(),
            counters: Counters::default(),
            next_look: now + DOUBT,
            crowded_until: now,
            out: VecDeque::new(),
        }
    }

    /// The same for an end that has peers prove their address: until it [holds](Self::hold) one, who speaks in clear makes room for others.
    pub(super) fn doubting(now: Instant, config: Config, most: usize, seed: Seed) -> Self {
        Self { doubts: true, ..Self::new(now, config, most, seed) }
    }

    /// A peer has proven its address: others do not take its place, until another one has.
    pub(super) fn hold(&mut self, link: usize, addr: SocketAddr) {
        self.held = Some((link, addr));
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

    /// The port within the tunnel of this peer that RTP comes to, once any has.
    #[must_use]
    pub fn media_port(&self, link: usize, addr: SocketAddr) -> Option<u16> {
        self.sessions[self.find(link, addr)?].session.media_port()
    }

    /// Takes what happened. Then [`Listener::poll_output`] until it gives a timeout.
    pub fn handle_input(&mut self, now: Instant, input: Input) {
        match input {
            Input::Datagram { link, from, data } => {
                let Some(index) = self.session(now, link, from) else {
                    self.counters.crowded += 1;
                    return;
                };
                let stranger = Stranger { strangers: &mut self.strangers, from };
                self.sessions[index].session.receive(now, data, &mut self.memory, Some(stranger));
                self.drain(index);
            }
            Input::Close => {
                for index in (0..self.sessions.len()).rev() {
                    self.sessions[index].session.handle_input(now, session::Input::Close);
                    self.drain(index);
                }
            }
            Input::Timeout if now >= self.next_look => {
                self.next_look = now + self.interval();
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

    /// Time between two looks at all sessions.
    fn interval(&self) -> Duration {
        if self.config.auth.is_some() { QUESTION_INTERVAL } else { DOUBT }
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

    /// The same for an RTP packet: its header, the upper half of its number, its payload.
    pub fn rtp(
        &mut self,
        link: usize,
        to: SocketAddr,
        (header, upper, payload): (&[u8; HEADER_LEN], u16, &[u8]),
        out: &mut Vec<u8>,
    ) {
        out.clear();
        if let Some(index) = self.find(link, to) {
            self.sessions[index].session.rtp(header, upper, payload, out);
        }
    }

    fn find(&self, link: usize, addr: SocketAddr) -> Option<usize> {
        self.places.get(&(link, addr)).copied()
    }

    /// The session with a peer, made if there is room.
    fn session(&mut self, now: Instant, link: usize, addr: SocketAddr) -> Option<usize> {
        if let Some(index) = self.find(link, addr) {
            return Some(index);
        }
        if self.sessions.len() >= self.most {
            self.make_room(now);
        }
        if self.sessions.len() >= self.most && !self.displace(now, addr.ip()) {
            return None;
        }
        let session = Session::new(now, &self.config, Role::Server, self.seed.child());
        self.places.insert((link, addr), self.sessions.len());
        *self.hosts.entry(addr.ip()).or_default() += 1;
        self.sessions.push(Peer { link, addr, session });
        Some(self.sessions.len() - 1)
    }

    /// Forgets all who are silent.
    fn make_room(&mut self, now: Instant) {
        if now < self.crowded_until {
            return;
        }
        self.crowded_until = now + LOOK_INTERVAL;
        for index in (0..self.sessions.len()).rev() {
            let session = &self.sessions[index].session;
            let patience = if session.proven() { SILENCE } else { DOUBT };
            if now >= session.heard() + patience {
                self.forget(index);
            }
        }
    }

    /// Forgets one for a peer at `ip`: of those who have not proven anything, by chance, so that strangers, however many there are, hold no
    /// place for long. In clear, where anybody can talk, who carries no media makes room for who holds less places; and who does,
    /// for who would still hold less then. Whether there was one.
    fn displace(&mut self, now: Instant, ip: IpAddr) -> bool {
        let (doubts, secret) = (self.doubts, self.is_secret());
        let own = self.hosts.get(&ip).copied().unwrap_or(0);
        let carries = |session: &Session| session.carries() && now < session.heard() + LIVELY;
        let found = match (secret, doubts) {
            (true, _) => self.heaviest(|session| !session.proven()),
            (_, true) => self.heaviest(|_| true),
            _ => self.heaviest(|session| !carries(session)).or_else(|| self.heaviest(|_| true)),
        };
        let Some((place, holds)) = found else { return false };
        let session = &self.sessions[place].session;
        let may = doubts || !session.proven() || holds > own + usize::from(carries(session));
        if may {
            self.forget(place);
            self.counters.crowded += 1;
        }
        may
    }

    /// Of some of those it may be, by chance, but never of who is held: the one whose host has the most places, and how many these are.
    fn heaviest(&mut self, may: impl Fn(&Session) -> bool) -> Option<(usize, usize)> {
        let may = |peer: &Peer| self.held != Some((peer.link, peer.addr)) && may(&peer.session);
        let places: Vec<_> = (0..self.sessions.len()).filter(|&place| may(&self.sessions[place])).collect();
        let tries = (0..TRIES).filter_map(|_| {
            let place = places[(self.seed.next() as usize).checked_rem(places.len())?];
            Some((place, self.hosts.get(&self.sessions[place].addr.ip()).copied()?))
        });
        tries.max_by_key(|&(_, holds)| holds)
    }

    fn forget(&mut self, index: usize) {
        let mut peer = self.sessions.swap_remove(index);
        peer.session.end(&mut self.memory);
        self.counters += peer.session.counters();
        if let Some(holds) = self.hosts.get_mut(&peer.addr.ip()).filter(|holds| **holds > 1) {
            *holds -= 1;
        } else {
            self.hosts.remove(&peer.addr.ip());
        }
        self.places.remove(&(peer.link, peer.addr));
        if let Some(moved) = self.sessions.get(index) {
            self.places.insert((moved.link, moved.addr), index);
        }
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
                // A server does not call.
                session::Output::Reconnect => continue,
                session::Output::Timeout(_) => return,
            };
            self.out.push_back(output);
        }
    }
}
