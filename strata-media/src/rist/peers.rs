//! Where a receiver sends its reports and requests: the last valid (S, R') of each path (TR-06-1, 5.1.2).

use std::cmp::Reverse;
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use super::allowance::Allowances;
use super::arrivals::Source;
use super::echo::Echo;
use super::intake::Intake;
use super::seed::Seed;

/// Peers at a time: the most links of a bond, and some that have moved.
const MAX_PEERS: usize = 32;
/// A peer that says nothing for so long is forgotten.
pub(super) const FORGET: Duration = Duration::from_secs(10);
/// A peer that has not shown that it belongs to the stream makes room for another after so long.
const DOUBT: Duration = Duration::from_secs(1);
/// Who has not shown where it is gets nothing when it was not heard for so long: three of its reports were due.
const UNPROVEN: Duration = Duration::from_millis(300);
/// A way into a group by which nothing was answered for so long is not taken for heard: twenty requests.
const ANSWERED: Duration = Duration::from_secs(2);
/// Ways that are asked by when little can be said: a request is lost on both seldom.
const FEW: usize = 2;
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
    /// Whether it has answered an echo request, so that it is where it says; or is a group.
    proven: bool,
    /// Whether it takes congestion control feedback, as it said.
    pub(super) takes_feedback: bool,
    /// Whether it asks its source for a keyframe when it is told that pictures were lost, as it said.
    pub(super) takes_picture_loss: bool,
    /// Whether its sender spares it, as it said.
    pub(super) rests: bool,
    /// Middle half of the NTP time of its last sender report, and when that came.
    pub(super) report: Option<(u32, Instant)>,
    /// The stream its last report was of, and when that came.
    pub(super) named: Option<(u32, Instant)>,
    last_answer: Option<Instant>,
    /// Reports without an echo request.
    unasked: u8,
    /// Whether this is a group, in which the sender may hear what is said.
    group: bool,
    /// When an echo request to it was last answered, in a group.
    answered: Option<Instant>,
    /// Whether the sender hears by another way, so that this one is not needed.
    silent: bool,
    intake: Intake,
}

impl Peer {
    /// Whether a report is to have an echo request: every one, but one of six to a peer that need not be told, or when little can
    /// be said, as long as the round-trip time is steady.
    pub(super) fn may_ask(&mut self, little: bool) -> bool {
        let rests = (self.takes_feedback || little) && self.echo.is_steady() && self.unasked < RESTS;
        self.unasked = if rests { self.unasked + 1 } else { 0 };
        !rests
    }

    /// Whether it was heard of lately: its reports come at least every 100 ms (TR-06-1, 5.2.1).
    pub(super) fn is_well(&self, now: Instant) -> bool {
        now < self.heard + Duration::from_millis(250)
    }

    /// Takes an answer to an echo request.
    pub(super) fn answer(&mut self, now: Instant, stamp: u64, processing_us: u32) {
        self.proven |= self.echo.answer(now, stamp, processing_us).is_some();
    }

    /// Whether its report is due, while there is one that is `awake`.
    pub(super) fn reports(&self, now: Instant, awake: bool) -> bool {
        self.next_report <= now && !(awake && self.rests)
    }

    /// Whether it is told anything.
    fn is_told(&self, now: Instant) -> bool {
        self.confirmed && !self.silent && (self.proven || now < self.heard + UNPROVEN)
    }

    /// Whether so many bytes may go to it; who is proven is not counted.
    pub(super) fn may_take(&self, allowances: &mut Allowances, len: usize) -> bool {
        self.proven || allowances.take(self.addr.ip(), len)
    }

    /// How well founded its place is, from 0.
    fn rank(&self) -> u8 {
        if self.proven { 2 } else { u8::from(self.confirmed) }
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
    /// What is read of all others.
    others: Option<Intake>,
}

impl Peers {
    pub(super) fn new(seed: Seed) -> Self {
        Self { list: Vec::new(), seed, others: None }
    }

    /// Whether a datagram of so many bytes is read.
    pub(super) fn reads(&mut self, now: Instant, link: usize, addr: SocketAddr, len: usize) -> bool {
        let known = self.list.iter_mut().find(|peer| peer.link == link && peer.addr == addr);
        let others = &mut self.others;
        let intake = match known {
            Some(peer) => &mut peer.intake,
            None => others.get_or_insert_with(|| Intake::new(now)),
        };
        intake.takes(now, len)
    }

    /// The peer at `addr`, taken up if there is room. Who belongs to the stream, as far as can be seen, goes before who does not.
    pub(super) fn hear(
        &mut self,
        now: Instant,
        link: usize,
        addr: SocketAddr,
        belongs: bool,
    ) -> Option<&mut Peer> {
        if let Some(index) = self.list.iter().position(|peer| peer.link == link && peer.addr == addr) {
            let peer = &mut self.list[index];
            peer.heard = now;
            return Some(peer);
        }
        if self.list.len() == MAX_PEERS {
            let index = self.displaced(now, addr.ip(), belongs)?;
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
            proven: false,
            takes_feedback: false,
            takes_picture_loss: false,
            rests: false,
            report: None,
            named: None,
            last_answer: None,
            unasked: 0,
            group: false,
            answered: None,
            silent: false,
            intake: Intake::new(now),
        });
        self.list.last_mut()
    }

    /// Who makes room for one at `ip`: who is silent; then, for one that belongs to the stream, who has shown least; then whoever
    /// holds more places than that one would, so that one host's ports do not take all of them.
    fn displaced(&self, now: Instant, ip: IpAddr, belongs: bool) -> Option<usize> {
        let stale = |peer: &Peer| !peer.confirmed && now >= peer.heard + DOUBT || now >= peer.heard + FORGET;
        if let Some(index) = self.list.iter().position(stale) {
            return Some(index);
        }
        let places = |ip: IpAddr| self.list.iter().filter(|peer| peer.addr.ip() == ip).count();
        let own = places(ip);
        let may = |peer: &Peer| match (belongs, peer.rank()) {
            (true, 0 | 1) => true,
            (true, _) | (false, 0) => places(peer.addr.ip()) > own + 1,
            (false, _) => false,
        };
        let candidates = self.list.iter().enumerate().filter(|(_, peer)| may(peer));
        let last = |peer: &Peer| (peer.rank(), Reverse(places(peer.addr.ip())), peer.heard);
        candidates.min_by_key(|(_, peer)| last(peer)).map(|(index, _)| index)
    }

    /// The sender of a group is heard: what is said to the group may reach it. The standard has it listen there; librist
    /// (0.2.7) does not, and hears only what comes to its own address.
    pub(super) fn hear_group(&mut self, now: Instant, link: usize, group: SocketAddr) {
        if let Some(peer) = self.hear(now, link, group, true) {
            (peer.group, peer.confirmed, peer.proven) = (true, true, true);
        }
        let answered = |peer: &Peer| peer.answered.is_some_and(|at| now < at + ANSWERED);
        let of_link = || self.list.iter().filter(|peer| peer.link == link);
        let by_group = of_link().any(|peer| peer.group && answered(peer));
        let alone = of_link().any(|peer| !peer.group && answered(peer));
        for peer in self.list.iter_mut().filter(|peer| peer.link == link) {
            peer.silent = if peer.group { alone && !by_group } else { by_group };
        }
    }

    /// The last sender report is the same by any way.
    pub(super) fn report_to_group(&mut self, link: usize, report: Option<(u32, Instant)>) {
        let groups = self.list.iter_mut().filter(|peer| peer.link == link && peer.group);
        groups.for_each(|peer| peer.report = report);
    }

    /// An echo request to a group or to its sender was answered.
    pub(super) fn answer_in_group(&mut self, now: Instant, link: usize, stamp: u64, processing_us: u32) {
        let peers = self.list.iter_mut().filter(|peer| peer.link == link);
        for peer in peers {
            if peer.echo.answer(now, stamp, processing_us).is_some() {
                (peer.answered, peer.proven) = (Some(now), true);
            }
        }
    }

    pub(super) fn forget_old(&mut self, now: Instant) {
        self.list.retain(|peer| now < peer.heard + FORGET);
    }

    /// Those that belong to the stream.
    pub(super) fn confirmed(&self) -> impl Iterator<Item = &Peer> {
        self.list.iter().filter(|peer| peer.confirmed && !peer.silent)
    }

    /// Those that are told what arrives, and asked for what does not: not those that rest, as long as others are heard.
    pub(super) fn told(&self, now: Instant) -> impl Iterator<Item = &Peer> {
        let awake = self.is_awake(now);
        self.reachable(now).filter(move |peer| !(awake && peer.rests))
    }

    pub(super) fn told_mut(&mut self, now: Instant) -> impl Iterator<Item = &mut Peer> {
        let awake = self.is_awake(now);
        self.list.iter_mut().filter(move |peer| peer.is_told(now) && !(awake && peer.rests))
    }

    /// Those that are asked for what does not arrive: all that are told; the `few` that answer fastest, if so wanted, of a sender
    /// that is told what arrives.
    pub(super) fn asked(&self, now: Instant, few: bool) -> impl Iterator<Item = &Peer> {
        let few = few && self.told(now).all(|peer| peer.takes_feedback);
        let slow = move |peer: &Peer| (!peer.is_well(now), peer.echo.srtt().unwrap_or(FORGET), peer.link);
        let before = move |peer: &Peer| self.told(now).filter(|other| slow(other) < slow(peer)).count();
        self.told(now).filter(move |peer| !few || before(peer) < FEW)
    }

    /// Those that can be told what arrives by them, whether they rest or not.
    pub(super) fn reachable(&self, now: Instant) -> impl Iterator<Item = &Peer> {
        self.list.iter().filter(move |peer| peer.is_told(now))
    }

    /// Round-trip times of the fastest and of the slowest of those that are told: of those of them that were heard lately, as what
    /// is repeated comes from there; and by which it comes within `latency`. Of all, when none is so.
    pub(super) fn round_trips(&self, now: Instant, latency: Duration) -> Option<(Duration, Duration)> {
        let measured = || self.told(now).filter_map(|peer| Some((peer.is_well(now), peer.echo.srtt()?)));
        let any_is_well = measured().any(|(is_well, _)| is_well);
        let heard = || measured().filter(|(is_well, _)| *is_well || !any_is_well).map(|(_, rtt)| rtt);
        let fastest = heard().min()?;
        let slowest = heard().filter(|&rtt| rtt <= latency).max();
        Some((fastest, slowest.unwrap_or(fastest)))
    }

    /// Those of them that take feedback.
    pub(super) fn takers_mut(&mut self, now: Instant) -> impl Iterator<Item = &mut Peer> {
        self.list.iter_mut().filter(move |peer| peer.takes_feedback && peer.is_told(now))
    }

    /// Whether the sender hears by a way that is not spared.
    pub(super) fn is_awake(&self, now: Instant) -> bool {
        self.reachable(now).any(|peer| !peer.rests && peer.is_well(now))
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
