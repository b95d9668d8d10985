//! A source that waits for the sender, as a file does: it is held up while the links are behind or gone, and nothing that it
//! gave comes too late before it was sent.
//!
//! What has waited for long is stamped anew, as if it had just been given: the receiver's latency starts there. When no link
//! moves, so is what was under way, which the receiver asks for when the links are back.

use std::time::{Duration, Instant};

use super::super::link::Link;
use super::super::scheduler::{Waiting, candidates};
use super::super::{BondConfig, BondLink, LinkState};
use super::{LARGE_PACKET_BYTES, Sender};
use crate::ts::Priority;

/// Part of the latency (one n-th) that may be spent waiting inside.
const MOST_WAIT: u32 = 4;
/// What has waited for this part (one n-th) of the latency is stamped anew: what is left is to repeat it in.
const STALE: u32 = 2;
/// Packets that may wait inside, whatever the latency.
const MOST_WAITING: usize = 8192;

/// What is known of a source that waits.
#[derive(Debug, Default)]
pub(super) struct Source {
    /// Since when no link moves.
    still_since: Option<Instant>,
    /// When packets were stamped anew.
    renewed: Option<Instant>,
}

/// A link of a bond: one of which nothing is known is not filled by a guess while that can wait.
pub(super) fn link(now: Instant, link: &BondLink, config: &BondConfig) -> Link {
    let mut link = Link::with(now, link, &config.scheduler);
    if !config.live {
        link.start_slowly();
    }
    link
}

impl Sender {
    /// Whether a payload is to be given now: always of a live source; of one that waits ([`BondConfig::live`])
    /// only while a link moves and those given before wait for less than a quarter of the latency. What is given nevertheless is
    /// taken.
    #[must_use]
    pub fn has_room(&self, now: Instant) -> bool {
        self.config.live
            || self.moves(now)
                && self.scheduler.len() < MOST_WAITING
                && self.wait(now) < self.config.latency / MOST_WAIT
    }

    /// How long a packet waits for room on a link: how long the oldest has, or how long it takes to send those that
    /// wait, if that is more. Nothing while there is no link to wait for.
    #[must_use]
    pub fn wait(&self, now: Instant) -> Duration {
        let usable = candidates(&self.links);
        if usable.is_empty() {
            return Duration::ZERO;
        }
        let capacity: f64 = usable.iter().map(|&link| self.links[link].capacity.bps()).sum();
        let bits = (self.scheduler.len() * LARGE_PACKET_BYTES * 8) as f64;
        let ahead = Duration::try_from_secs_f64(bits / capacity.max(1.0)).unwrap_or(Duration::MAX);
        self.scheduler.wait(now).max(ahead)
    }

    /// Whether nothing waits, and everything had its latency to be repeated in; or, of a source that waits, no link has moved
    /// for as long as the latency.
    #[must_use]
    pub fn is_drained(&self, now: Instant) -> bool {
        self.first_payload.is_none()
            || self.gives_up(now)
            || self.scheduler.len() == 0 && now >= self.last_payload + self.config.latency
    }

    /// Whether a source that waits has waited in vain for as long as the latency: it may go on waiting, but what is at its end had
    /// better end.
    #[must_use]
    pub fn gives_up(&self, now: Instant) -> bool {
        self.source.still_since.is_some_and(|since| now >= since + self.config.latency)
    }

    /// Whether any link is believed to carry something: one that never answered may, as its peer need not. One whose peer is
    /// heard does until it is dead: another receiver does not tell at once what arrives.
    fn moves(&self, now: Instant) -> bool {
        let suspect = self.scheduler.params().failover.suspect_after;
        let patience = suspect.min(self.config.latency / MOST_WAIT);
        candidates(&self.links).iter().any(|&link| {
            let link = &self.links[link];
            let gone = link.state == LinkState::Dead && link.rtt().is_some();
            !gone && (link.overdue(now) < patience || link.quiet(now) < suspect)
        })
    }

    /// Keeps what a source that waits has given in time. Whether anything is to be sent now.
    pub(super) fn attend_source(&mut self) -> bool {
        if self.config.live {
            return true;
        }
        let now = self.now;
        let fresh = |at: Instant, part: u32| now < at + self.config.latency / part;
        let renewed = self.source.renewed.is_some_and(|at| fresh(at, MOST_WAIT));
        if !self.moves(now) {
            self.source.still_since.get_or_insert(now);
            if !renewed {
                self.renew(true);
            }
            return false;
        }
        if self.source.still_since.take().is_some_and(|since| !fresh(since, MOST_WAIT)) {
            self.renew(true);
        } else if !renewed && self.scheduler.wait(now) >= self.config.latency / STALE {
            self.renew(false);
        }
        true
    }

    /// Stamps anew what was not sent, and with `sent` also what was and had not the time to arrive before the links stood still: it
    /// is sent again as if it had just been given.
    fn renew(&mut self, sent: bool) {
        let now = self.now;
        self.source.renewed = Some(now);
        let links = &self.links;
        let settled =
            |at: Instant, link: Option<usize>| !sent || link.is_none_or(|link| at <= links[link].proven());
        let renewed = self.flow.renew(now, settled);
        let first = renewed.last().map_or(u64::MAX, |&(number, _)| number);
        // By then whoever has what came after them has given them up; so late, they would be taken for another stream.
        self.scheduler.give_up(first, now.checked_sub(self.config.latency).unwrap_or(now));
        for (number, len) in renewed {
            let reliable = self.priorities.get(number) > Priority::Normal;
            let fresh = Waiting {
                created: now,
                len,
                repeat: false,
                urgent: false,
                since: now,
                reliable,
                lost_by: None,
            };
            self.scheduler.push(number, fresh);
            self.last_payload = now;
        }
        // Blocks of repair packets tell the old stamps.
        self.repairs.stop();
    }
}
