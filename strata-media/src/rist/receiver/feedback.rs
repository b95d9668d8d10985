//! What a receiver tells its sender without being asked: reports, and what arrived by each link (RFC 8888).
//!
//! As long as there is room in the [share](crate::rist::share) of RTCP, each link is told every 25 ms, and another one with
//! it. When there is little, what a link is told goes together; when there is none, only reports go, which tell it as well.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use super::{REPORT_INTERVAL, Receiver};
use crate::rist::arrivals::{Report, Source};
use crate::rist::outbox::Outbox;
use crate::rist::peers::{Peer, Peers};
use crate::rist::rtcp::{RELAYED, TAKES_REPAIRS, Writer};

/// Longest datagram of feedback, bytes: it passes through any tunnel whole.
const MAX_FEEDBACK: usize = 1200;
/// With less room than this, bytes, another datagram is begun.
const LEAST_ROOM: usize = 200;
/// What says that it is another link's, bytes.
const RELAYED_LEN: usize = 16;
/// What is due so soon is told with what is due now, when there is little room.
const TOGETHER: Duration = Duration::from_millis(12);
/// Being told counts for so many times then.
const SPARING: u8 = 2;

/// What a link is told, in memory that is used again.
#[derive(Debug, Default)]
pub(super) struct Reports {
    own: Report,
    relayed: Report,
}

/// Datagrams to a peer.
struct Letter<'a> {
    writer: &'a mut Writer,
    outbox: &'a mut Outbox,
    peer: &'a Peer,
    ssrc: u32,
    cname: &'a str,
    /// The receiver's time.
    timestamp: u32,
}

impl Letter<'_> {
    fn begin(&mut self) {
        self.writer.receiver_report(self.ssrc, None);
        self.writer.source_description(self.ssrc, self.cname);
    }

    /// Adds what arrived on the peer's path, or on others.
    fn add(&mut self, report: &Report, relayed: bool) {
        if report.runs.is_empty() {
            return;
        }
        if self.writer.len() + RELAYED_LEN + Writer::FEEDBACK_LEN + LEAST_ROOM > MAX_FEEDBACK {
            self.send();
        }
        if self.writer.is_empty() {
            self.begin();
        }
        let room = MAX_FEEDBACK - self.writer.len() - RELAYED_LEN - Writer::FEEDBACK_LEN;
        for (index, part) in report.runs.parts(room).enumerate() {
            if index > 0 {
                self.send();
                self.begin();
            }
            if relayed {
                self.writer.capabilities(self.ssrc, RELAYED);
            }
            self.writer.congestion_feedback(self.ssrc, part.runs(), self.timestamp);
        }
    }

    fn send(&mut self) {
        if !self.writer.is_empty() {
            self.outbox.tell(self.peer, self.writer.finish());
        }
    }
}

/// Whether a peer is to be told what arrives from `source`.
fn takes(peer: &Peer, source: &Source) -> bool {
    peer.takes_feedback && peer.is_at(source)
}

/// Those that are told what arrives by others: the fastest, and the next one, which is told what arrives by it.
fn relays(peers: &Peers, now: Instant) -> [Option<(usize, SocketAddr)>; 2] {
    let by = |not: Option<&Peer>| {
        let others = peers.told(now).filter(|peer| peer.takes_feedback && peer.is_well(now));
        let place = |peer: &Peer| (peer.link, peer.addr.ip());
        let others = others.filter(|peer| not.is_none_or(|not| place(peer) != place(not)));
        others.min_by_key(|peer| peer.echo.srtt())
    };
    let fastest = by(None);
    let next = fastest.and_then(|fastest| by(Some(fastest)));
    [fastest, next].map(|peer| peer.map(|peer| (peer.link, peer.addr)))
}

impl Receiver {
    /// Sends the reports that are due: RR, SDES, echo request. When there is little room, those that are told what arrives
    /// get it with that.
    pub(super) fn report(&mut self) {
        let (now, reorder) = (self.now, self.reorder());
        let Some(flow) = &mut self.current else { return };
        flow.set_reorder(now, reorder);
        let Self { peers, writer, outbox, ssrc, config, .. } = self;
        let mut block = None;
        for peer in peers.told_mut(now).filter(|peer| peer.next_report <= now) {
            if peer.takes_feedback && outbox.share.is_scarce() {
                continue;
            }
            peer.next_report = now + REPORT_INTERVAL;
            let block = block.get_or_insert_with(|| flow.report());
            (block.last_report, block.delay) = peer.report.map_or((0, 0), |(ntp, at)| {
                let since = now.saturating_duration_since(at).as_nanos();
                (ntp, ((since << 16) / 1_000_000_000) as u32)
            });
            writer.receiver_report(*ssrc, Some(block));
            writer.source_description(*ssrc, &config.cname);
            if peer.may_ask(outbox.share.is_scarce()) {
                writer.echo_request(*ssrc, peer.echo.request(now));
                if config.fec && peer.takes_feedback {
                    writer.capabilities(*ssrc, TAKES_REPAIRS);
                }
            }
            outbox.tell(peer, writer.finish());
        }
    }

    /// Whether there is a peer that is to be told what arrives from `source`.
    pub(super) fn is_fed_back(&self, source: &Source) -> bool {
        self.peers.reachable(self.now).any(|peer| takes(peer, source))
    }

    /// The receiver's time in 1/65536 s.
    fn timestamp(&self) -> u32 {
        let since = self.now.saturating_duration_since(self.started).as_nanos();
        ((since << 16) / 1_000_000_000) as u32
    }

    /// Tells each link of a sender that wants to know what arrived on it.
    pub(super) fn feed_back(&mut self) {
        if self.outbox.share.is_scarce() {
            self.tell_together();
        } else {
            self.tell_each();
        }
    }

    /// Tells what is due, to each link what arrived on it, and to the fastest other one: reports are lost, and a slow link's
    /// come late.
    fn tell_each(&mut self) {
        let (now, timestamp) = (self.now, self.timestamp());
        let Self { sources, peers, writer, told, outbox, ssrc, config, .. } = self;
        for source in sources.iter_mut().filter(|source| source.due().is_some_and(|due| due <= now)) {
            if !peers.reachable(now).any(|peer| takes(peer, source)) {
                source.turn(now, 1);
                continue;
            }
            told.own.clear();
            source.gather(&mut told.own, false);
            told.own.sort(now);
            let own = peers.reachable(now).filter(|peer| takes(peer, source)).map(|peer| (peer, false));
            let others = peers.told(now).filter(|peer| peer.takes_feedback && peer.is_well(now));
            let others = others.filter(|peer| !peer.is_at(source));
            let other = others.min_by_key(|peer| peer.echo.srtt()).map(|peer| (peer, true));
            for (peer, relayed) in own.chain(other) {
                let mut letter =
                    Letter { writer, outbox, peer, ssrc: *ssrc, cname: &config.cname, timestamp };
                letter.add(&told.own, relayed);
                letter.send();
            }
            source.turn(now, 1);
        }
    }

    /// The same in less: what is due soon goes too, twice in all, in one datagram for a link, with its report if that is due;
    /// and what is new goes by another link as well, with what goes by that. When there is no room at all, only reports go,
    /// with what arrived on their links.
    fn tell_together(&mut self) {
        let (now, timestamp) = (self.now, self.timestamp());
        let used_up = self.outbox.share.is_used_up();
        let due = self.due_together(used_up);
        let Self { sources, peers, writer, told, outbox, ssrc, config, current, .. } = self;
        let (ssrc, awake) = (*ssrc, peers.is_awake(now));
        let [fastest, next] = relays(peers, now);
        for peer in peers.takers_mut(now) {
            let reports = current.is_some() && peer.reports(now, awake);
            if due == 0 && !reports {
                continue;
            }
            told.own.clear();
            told.relayed.clear();
            for source in sources
                .iter()
                .enumerate()
                .filter(|(index, _)| due & 1 << index != 0)
                .map(|(_, source)| source)
            {
                let at_fastest =
                    fastest.is_some_and(|(link, addr)| (link, addr.ip()) == (source.link, source.ip));
                let relay = if at_fastest { next } else { fastest };
                if peer.is_at(source) {
                    source.gather(&mut told.own, false);
                } else if relay == Some((peer.link, peer.addr)) && !used_up {
                    source.gather(&mut told.relayed, true);
                }
            }
            if reports {
                peer.next_report = now + REPORT_INTERVAL;
                writer.receiver_report(ssrc, None);
                writer.source_description(ssrc, &config.cname);
                if peer.may_ask(true) {
                    writer.echo_request(ssrc, peer.echo.request(now));
                    if config.fec {
                        writer.capabilities(ssrc, TAKES_REPAIRS);
                    }
                }
            }
            let mut letter = Letter { writer, outbox, peer, ssrc, cname: &config.cname, timestamp };
            told.own.sort(now);
            letter.add(&told.own, false);
            told.relayed.sort(now);
            letter.add(&told.relayed, true);
            letter.send();
        }
        for (_, source) in sources.iter_mut().enumerate().filter(|(index, _)| due & 1 << index != 0) {
            source.turn(now, SPARING);
        }
    }

    /// The sources that are told of now, a bit each. Those that have to wait are put off until their report.
    fn due_together(&mut self, used_up: bool) -> u32 {
        let (now, peers) = (self.now, &self.peers);
        let mut due = 0;
        for (index, source) in self.sources.iter_mut().enumerate() {
            let Some(at) = source.due() else { continue };
            let reports =
                peers.told(now).filter(|peer| takes(peer, source)).map(|peer| peer.next_report).min();
            if reports.is_some_and(|report| report <= now) {
                due |= 1 << index;
            } else if let Some(report) = reports.filter(|_| used_up && at <= now) {
                source.wait(report);
            } else if at <= now || !used_up && at <= now + TOGETHER {
                due |= 1 << index;
            }
        }
        due
    }
}
