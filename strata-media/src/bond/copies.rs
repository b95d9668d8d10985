//! Copies that are sent beforehand, from what the links have to spare.
//!
//! A packet that was just sent by one link waits here for another that has room, but not for long: a copy that comes
//! later than a repeat would is worth nothing. Fresh packets and repeats go first, and what a link carries of them is
//! not spare.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use super::Cost;
use super::link::Link;
use super::params::SchedulerParams;
use super::stats::LinkState;
use crate::ts::Priority;

/// Copies that wait; the oldest gives way.
const MAX_WAITING: usize = 256;
/// How long one waits for room on a link.
const PATIENCE: Duration = Duration::from_millis(30);
/// The same for a critical one: keyframes come all at once.
const PATIENCE_CRITICAL: Duration = Duration::from_millis(100);
/// Part of the capacity that is counted on: estimates err, and a queue is no place for copies.
const USABLE: f64 = 0.9;
/// The stream's rate is that of about this time, s: the time between two keyframes of a live encoder.
const RATE_TIME: f64 = 2.0;
/// Spare capacity of so much time may be saved up, s.
const SAVED: f64 = 0.1;
/// The same for critical packets.
const SAVED_CRITICAL: f64 = 0.5;
/// Copies are put on a link only while it has less than that ahead: what comes after them hardly waits for them.
const AHEAD: Duration = Duration::from_millis(10);
/// And only while it is given less than this share of what it carries: an estimate is never quite right. One that no
/// queue has confirmed is tried out.
const BUSY: f64 = 0.75;
const BUSY_UNCONFIRMED: f64 = 1.5;

/// A packet that was sent and may be sent once more.
#[derive(Debug, Clone, Copy)]
pub(super) struct Original {
    pub(super) number: u64,
    pub(super) len: usize,
    pub(super) priority: Priority,
    /// The link it was sent on.
    pub(super) link: usize,
    /// When it can no longer arrive in time.
    pub(super) deadline: Instant,
}

/// Packets that wait to be copied, and what may be spent on them.
#[derive(Debug)]
pub(super) struct Copies {
    waiting: VecDeque<Waiting>,
    /// As of when bits were saved.
    saved_at: Instant,
    /// Bits that may be spent on copies of critical packets, and of others.
    saved: [f64; 2],
    /// Bits of the stream, decaying, as of then.
    stream: (Instant, f64),
}

#[derive(Debug)]
struct Waiting {
    original: Original,
    since: Instant,
    /// Links that carry it.
    on: u64,
    /// Further links that should.
    wanted: usize,
}

impl Copies {
    pub(super) fn new(now: Instant) -> Self {
        Self { waiting: VecDeque::new(), saved_at: now, saved: [0.0; 2], stream: (now, 0.0) }
    }

    /// The stream, repeats included, took so many bytes.
    pub(super) fn spent(&mut self, now: Instant, len: usize) {
        self.stream = (now, self.recent(now) + len as f64 * 8.0);
    }

    fn recent(&self, now: Instant) -> f64 {
        let (at, bits) = self.stream;
        bits * (-now.saturating_duration_since(at).as_secs_f64() / RATE_TIME).exp()
    }

    /// A packet was sent for the first time.
    pub(super) fn push(&mut self, now: Instant, original: Original, params: &SchedulerParams) {
        let wanted = params.copies(original.priority, original.len);
        if wanted == 0 {
            return;
        }
        if self.waiting.len() == MAX_WAITING {
            self.waiting.pop_front();
        }
        self.waiting.push_back(Waiting { original, since: now, on: bit(original.link), wanted });
    }

    /// The next copy that may be sent now, and its link. To be called only while no packet waits that was not sent.
    pub(super) fn next(
        &mut self,
        now: Instant,
        links: &[Link],
        params: &SchedulerParams,
    ) -> Option<(u64, usize)> {
        self.save(now, links, params.redundancy.spare_ratio);
        let mut index = 0;
        while let Some(waiting) = self.waiting.get(index) {
            let original = waiting.original;
            if self.is_over(now, waiting, params) {
                self.waiting.remove(index);
                continue;
            }
            let Some(link) = choose(now, waiting, links) else {
                index += 1;
                continue;
            };
            self.spend(&original, params);
            let waiting = &mut self.waiting[index];
            (waiting.on, waiting.wanted) = (waiting.on | bit(link), waiting.wanted - 1);
            if waiting.wanted == 0 {
                self.waiting.remove(index);
            }
            return Some((original.number, link));
        }
        None
    }

    /// Whether a copy is not waited with: there is nothing to spend on it, it is too late, or no longer wanted.
    fn is_over(&self, now: Instant, waiting: &Waiting, params: &SchedulerParams) -> bool {
        let Waiting { original, since, .. } = waiting;
        let purse = purse(original, params);
        let patience = if purse == CRITICAL { PATIENCE_CRITICAL } else { PATIENCE };
        params.copies(original.priority, original.len) == 0
            || now >= *since + patience
            || self.saved[purse] < cost(original)
    }

    fn spend(&mut self, original: &Original, params: &SchedulerParams) {
        self.saved[CRITICAL] -= cost(original);
        if purse(original, params) == OTHERS {
            self.saved[OTHERS] -= cost(original);
        }
    }

    /// Saves what was to spare since the last time.
    fn save(&mut self, now: Instant, links: &[Link], ratio: f64) {
        let usable = links.iter().filter(|link| link.trusted() && link.cost == Cost::Free);
        let capacity: f64 = usable.map(|link| link.capacity.bps()).sum();
        let spare = (capacity * USABLE - self.recent(now) / RATE_TIME).max(0.0);
        let time = now.saturating_duration_since(self.saved_at).as_secs_f64();
        let [critical, others] = self.saved;
        self.saved_at = now;
        self.saved = [
            (critical + spare * time).min(spare * SAVED_CRITICAL),
            (others + spare * ratio * time).min(spare * ratio * SAVED),
        ];
    }
}

/// What is saved for whom.
const CRITICAL: usize = 0;
const OTHERS: usize = 1;

fn purse(original: &Original, params: &SchedulerParams) -> usize {
    let critical = params.critical_broadcast.enabled && original.priority == Priority::Critical;
    if critical { CRITICAL } else { OTHERS }
}

fn cost(original: &Original) -> f64 {
    original.len as f64 * 8.0
}

/// The link with most to spare of those by which a copy arrives in time, if one has room for it.
fn choose(now: Instant, waiting: &Waiting, links: &[Link]) -> Option<usize> {
    let roomy = |&index: &usize| {
        let link = &links[index];
        let busy = if link.capacity.is_found() { BUSY } else { BUSY_UNCONFIRMED };
        let well = matches!(link.state, LinkState::Warm | LinkState::Live);
        waiting.on & bit(index) == 0
            && link.cost == Cost::Free
            && well
            && link.available()
            && link.load(now) < busy
            && !link.is_full(now, AHEAD, AHEAD, false)
            && now + link.delay(now) <= waiting.original.deadline
    };
    let load = |index: usize| links[index].load(now);
    (0..links.len()).filter(roomy).min_by(|&a, &b| load(a).total_cmp(&load(b)))
}

/// Links beyond the 64th, of which there are none, count as one.
fn bit(link: usize) -> u64 {
    1 << link.min(63)
}
