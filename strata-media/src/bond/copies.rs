//! Copies that are sent beforehand, from what the links have to spare.
//!
//! A packet that was just sent by one link waits here for another that has room. Fresh packets and repeats go first, and
//! what a link carries of them is not spare.
//!
//! Critical packets and others wait apart. The former come all at once, more than the links carry in the time to the next
//! picture: they fill links as far as fresh packets do, and wait as long as they can still arrive in time, unless they
//! are known to have arrived or to be lost. The others take what is left, and do not wait for long: a copy that comes
//! later than a repeat would is worth nothing, and there are more where it came from.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use super::Cost;
use super::link::Link;
use super::params::SchedulerParams;
use super::stats::LinkState;
use crate::ts::Priority;

/// Copies that wait, critical ones and others; the oldest of its kind gives way. A keyframe of ten times the mean picture
/// is as much as the stream has in a third of a second: 3200 packets of 100 Mbit/s.
const MAX_WAITING: [usize; 2] = [4096, 256];
/// Of which so many are looked at, at a time.
const LOOK_AHEAD: usize = 256;
/// How long one that is not critical waits for room on a link.
const PATIENCE: Duration = Duration::from_millis(30);
/// Part of the capacity that is counted on: estimates err, and a queue is no place for copies.
const USABLE: f64 = 0.9;
/// The stream's rate is that of about this time, s: the time between two keyframes of a live encoder.
const RATE_TIME: f64 = 2.0;
/// Spare capacity of so much time may be saved up, s.
const SAVED: f64 = 0.1;
/// The same for critical packets: what is to spare from one keyframe to the next is there for the next.
const SAVED_CRITICAL: f64 = RATE_TIME;
/// Copies of others are put on a link only while it has less than that ahead: what comes after them hardly waits for them.
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
    /// Of critical packets, and of others.
    waiting: [VecDeque<Waiting>; 2],
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
    on: Set,
    /// Further links that should.
    wanted: usize,
}

/// A copy, and the link for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Copy {
    pub(super) number: u64,
    pub(super) link: usize,
    kind: usize,
    len: usize,
}

/// How far links are filled ahead with fresh packets: those whose peer tells nothing, and the others.
pub(super) type Ahead = (Duration, Duration);

/// Links, one bit each.
type Set = u64;

impl Copies {
    pub(super) fn new(now: Instant) -> Self {
        Self { waiting: Default::default(), saved_at: now, saved: [0.0; 2], stream: (now, 0.0) }
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
        let kind = kind(&original, params);
        let queue = &mut self.waiting[kind];
        if queue.len() == MAX_WAITING[kind] {
            queue.pop_front();
        }
        queue.push_back(Waiting { original, since: now, on: bit(original.link), wanted });
    }

    /// Whether any copy waits.
    pub(super) fn are_waiting(&self) -> bool {
        self.waiting.iter().any(|waiting| !waiting.is_empty())
    }

    /// The next copy that may be sent now. To be called only while no packet waits that was not sent, and
    /// [`Copies::sent`] after it unless the packet needs none any more.
    pub(super) fn next(
        &mut self,
        now: Instant,
        links: &[Link],
        params: &SchedulerParams,
        ahead: Ahead,
    ) -> Option<Copy> {
        self.save(now, links, params.redundancy.spare_ratio);
        if !self.are_waiting() {
            return None;
        }
        let usable = set(links, is_usable);
        let has_room = |link: &Link| is_usable(link) && link.has_room(now, ahead.0, ahead.1, false);
        let roomy = set(links, has_room);
        if let Some(copy) = self.next_of(CRITICAL, now, links, params, (usable, roomy)) {
            return Some(copy);
        }
        // Those that are to come are not kept waiting by others, nor is spent on these what is saved for them.
        let held_up = |waiting: &Waiting| usable & !waiting.on != 0;
        if self.waiting[CRITICAL].iter().take(LOOK_AHEAD).any(held_up) {
            return None;
        }
        let is_idle = |index: usize| {
            let tried = !links[index].capacity.is_found() && !neighbour_is_tried(now, links, index);
            let busy = if tried { BUSY_UNCONFIRMED } else { BUSY };
            links[index].load(now) < busy && links[index].has_room(now, AHEAD, AHEAD, false)
        };
        let idle = members(usable).filter(|&index| is_idle(index)).map(bit).sum();
        self.next_of(OTHERS, now, links, params, (usable, idle))
    }

    /// Of one kind, by one of the `roomy` of the links that are `usable`.
    fn next_of(
        &mut self,
        kind: usize,
        now: Instant,
        links: &[Link],
        params: &SchedulerParams,
        (usable, roomy): (Set, Set),
    ) -> Option<Copy> {
        let mut index = 0;
        while let Some(waiting) = self.waiting[kind].get(index).filter(|_| index < LOOK_AHEAD) {
            let original = waiting.original;
            if self.is_over(kind, now, waiting, links, params, usable) {
                self.waiting[kind].remove(index);
                continue;
            }
            // There will be more to spend.
            if self.saved[kind] < cost(original.len) {
                return None;
            }
            let Some(link) = choose(now, waiting, links, roomy & !waiting.on) else {
                index += 1;
                continue;
            };
            let waiting = &mut self.waiting[kind][index];
            (waiting.on, waiting.wanted) = (waiting.on | bit(link), waiting.wanted - 1);
            if waiting.wanted == 0 {
                self.waiting[kind].remove(index);
            }
            return Some(Copy { number: original.number, link, kind, len: original.len });
        }
        None
    }

    /// Whether a copy is not waited with: there is nothing to spend on it, it is too late, or no longer wanted.
    fn is_over(
        &self,
        of: usize,
        now: Instant,
        waiting: &Waiting,
        links: &[Link],
        params: &SchedulerParams,
        usable: Set,
    ) -> bool {
        let Waiting { original, since, on, .. } = waiting;
        let late = if of == CRITICAL {
            let others = usable & !on;
            let least = members(others).map(|link| links[link].one_way()).min().unwrap_or_default();
            now + least > original.deadline
        } else {
            now >= *since + PATIENCE || self.saved[of] < cost(original.len)
        };
        late || kind(original, params) != of || params.copies(original.priority, original.len) == 0
    }

    /// A copy was sent.
    pub(super) fn sent(&mut self, copy: Copy) {
        self.saved[CRITICAL] -= cost(copy.len);
        if copy.kind == OTHERS {
            self.saved[OTHERS] -= cost(copy.len);
        }
    }

    /// Saves what was to spare since the last time.
    fn save(&mut self, now: Instant, links: &[Link], ratio: f64) {
        let usable = links.iter().filter(|link| link.trusted() && link.cost == Cost::Free);
        let capacity: f64 = usable.map(Link::carried_bps).sum();
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

/// The kinds: what waits is apart, and so is what is saved.
const CRITICAL: usize = 0;
const OTHERS: usize = 1;

fn kind(original: &Original, params: &SchedulerParams) -> usize {
    let critical = params.critical_broadcast.enabled && original.priority == Priority::Critical;
    if critical { CRITICAL } else { OTHERS }
}

fn cost(len: usize) -> f64 {
    len as f64 * 8.0
}

/// Whether a link is one for copies at all.
fn is_usable(link: &Link) -> bool {
    let well = matches!(link.state, LinkState::Warm | LinkState::Live);
    link.cost == Cost::Free && well && link.available() && !link.resting
}

/// The link with most to spare of those that are `roomy` by which a copy arrives in time; rather one that shares no
/// bottleneck with those that carry the packet.
fn choose(now: Instant, waiting: &Waiting, links: &[Link], roomy: Set) -> Option<usize> {
    let in_time = |&index: &usize| now + links[index].delay(now) <= waiting.original.deadline;
    let load = |index: usize| links[index].load(now);
    let beside = |index: usize| members(waiting.on).any(|on| links[on].is_beside(&links[index]));
    let order = |a: usize, b: usize| beside(a).cmp(&beside(b)).then(load(a).total_cmp(&load(b)));
    members(roomy).filter(in_time).min_by(|&a, &b| order(a, b))
}

/// Whether another link behind the same bottleneck is being tried out: two at a time would tell nothing of either.
fn neighbour_is_tried(now: Instant, links: &[Link], index: usize) -> bool {
    let others = links.iter().enumerate().filter(|&(other, _)| other != index);
    let mut beside = others.filter(|(_, other)| other.is_beside(&links[index]));
    beside.any(|(_, other)| other.load(now) >= BUSY)
}

/// Links beyond the 64th, of which there are none, count as one.
fn bit(link: usize) -> Set {
    1 << link.min(63)
}

/// The links of which something is true.
fn set(links: &[Link], is: impl Fn(&Link) -> bool) -> Set {
    let of = links.iter().take(64).enumerate().filter(|(_, link)| is(link));
    of.map(|(index, _)| bit(index)).sum()
}

/// Their places, ascending.
fn members(mut set: Set) -> impl Iterator<Item = usize> {
    std::iter::from_fn(move || {
        let first = (set != 0).then(|| set.trailing_zeros() as usize)?;
        set &= set - 1;
        Some(first)
    })
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "any instant will do")]
mod tests {
    use super::*;
    use crate::bond::{BondLink, Mode};

    /// Of two idle links the one behind another bottleneck, though it comes last; and if there is none, any.
    #[test]
    fn a_copy_goes_by_another_bottleneck() {
        let now = Instant::now();
        let params = SchedulerParams::new(Mode::Robust);
        let cases = [([Some(0), Some(0), None], 2), ([Some(0), Some(0), Some(0)], 1), ([None; 3], 1)];
        for (groups, expected) in cases {
            let mut links: Vec<_> = (0..3).map(|_| Link::new(now, &BondLink::default())).collect();
            for (link, group) in links.iter_mut().zip(groups) {
                (link.state, link.group) = (LinkState::Live, group);
            }
            let mut copies = Copies::new(now);
            copies.saved = [1e6; 2];
            let deadline = now + Duration::from_secs(1);
            let original = Original { number: 1, len: 1316, priority: Priority::Normal, link: 0, deadline };
            copies.push(now, original, &params);
            // What was saved is cut to what may be.
            let later = now + Duration::from_millis(10);
            let copy = copies.next(later, &links, &params, (AHEAD, AHEAD)).unwrap();
            assert_eq!((copy.number, copy.link), (1, expected));
        }
    }
}
