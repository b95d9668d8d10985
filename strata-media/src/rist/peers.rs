//! Where a receiver sends its reports and requests: the last valid (S, R') of each path (TR-06-1, 5.1.2).

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use super::arrivals::Source;
use super::echo::Echo;
use super::seed::Seed;

/// Peers at a time: the most links of a bond, and some that have moved.
const MAX_PEERS: usize = 32;
/// A peer that says nothing for so long is forgotten.
pub(super) const FORGET: Duration = Duration::from_secs(10);
/// A peer that has not shown that it belongs to the stream makes room for another after so long.
const DOUBT: Duration = Duration::from_secs(1);
/// Shortest time between two answers to one peer's echo requests.
const MIN_ECHO: Duration = Duration::from_millis(2);

/// Reports without an echo request, when there is no need: an answer per half second follows a slow change.
const RESTS: u8 = 5;

/// Where RTCP of a sender came from: one of its links.
#[derive(Debug)]
pub(super) struct Peer {
    /// Local socket pair.
    pub(super) link: usize,
    /// Where from, which is where to.
    pub(super) addr: SocketAddr,
    pub(super) echo: Echo,
    pub(super) next_report: Instant,
    pub(super) heard: Instant,
    /// Whether it belongs to the stream; it gets requests and reports then.
    pub(super) confirmed: bool,
    /// Whether it takes congestion control feedback, as it said.
    pub(super) takes_feedback: bool,
    /// Middle half of the NTP time of its last sender report, and when that came.
    pub(super) report: Option<(u32, Instant)>,
    last_answer: Option<Instant>,
    /// Reports without an echo request.
    unasked: u8,
}

impl Peer {
    /// Whether a report is to have an echo request: every one, but one of six to a peer that need not be told when
    /// the round-trip time is steady.
    pub(super) fn may_ask(&mut self) -> bool {
        let rests = self.takes_feedback && self.echo.is_steady() && self.unasked < RESTS;
        self.unasked = if rests { self.unasked + 1 } else { 0 };
        !rests
    }

    /// Whether it was heard of lately: its reports come at least every 100 ms (TR-06-1, 5.2.1).
    pub(super) fn is_well(&self, now: Instant) -> bool {
        now < self.heard + Duration::from_millis(250)
    }

    /// Whether packets from `source` come by this link.
    pub(super) fn is_at(&self, source: &Source) -> bool {
        self.link == source.link && self.addr.ip() == source.ip
    }

    /// Whether an echo request may be answered now.
    pub(super) fn may_answer(&mut self, now: Instant) -> bool {
        let may = self.last_answer.is_none_or(|at| now >= at + MIN_ECHO);
        if may {
            self.last_answer = Some(now);
        }
        may
    }
}

/// All peers, bounded.
#[derive(Debug)]
pub(super) struct Peers {
    list: Vec<Peer>,
    seed: Seed,
}

impl Peers {
    pub(super) fn new(seed: u64) -> Self {
        Self { list: Vec::new(), seed: Seed::new(seed) }
    }

    /// The peer at `addr`, taken up if there is room.
    pub(super) fn hear(&mut self, now: Instant, link: usize, addr: SocketAddr) -> Option<&mut Peer> {
        if let Some(index) = self.list.iter().position(|peer| peer.link == link && peer.addr == addr) {
            let peer = &mut self.list[index];
            peer.heard = now;
            return Some(peer);
        }
        if self.list.len() == MAX_PEERS {
            let stale =
                |peer: &Peer| !peer.confirmed && now >= peer.heard + DOUBT || now >= peer.heard + FORGET;
            let index = self.list.iter().position(stale)?;
            self.list.swap_remove(index);
        }
        let echo = Echo::new(self.seed.next());
        self.list.push(Peer {
            link,
            addr,
            echo,
            next_report: now,
            heard: now,
            confirmed: false,
            takes_feedback: false,
            report: None,
            last_answer: None,
            unasked: 0,
        });
        self.list.last_mut()
    }

    pub(super) fn forget_old(&mut self, now: Instant) {
        self.list.retain(|peer| now < peer.heard + FORGET);
    }

    pub(super) fn confirmed(&self) -> impl Iterator<Item = &Peer> {
        self.list.iter().filter(|peer| peer.confirmed)
    }

    pub(super) fn confirmed_mut(&mut self) -> impl Iterator<Item = &mut Peer> {
        self.list.iter_mut().filter(|peer| peer.confirmed)
    }

    /// No peer belongs to the stream any more: it is another stream.
    pub(super) fn doubt_all(&mut self) {
        for peer in &mut self.list {
            peer.confirmed = false;
        }
    }

    /// Round-trip time of the peer heard last on a link.
    pub(super) fn rtt(&self, link: usize) -> Option<Duration> {
        let measured = self.confirmed().filter(|peer| peer.link == link && peer.echo.srtt().is_some());
        measured.max_by_key(|peer| peer.heard)?.echo.srtt()
    }
}
