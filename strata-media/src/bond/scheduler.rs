//! Which packet goes next, and over which link.
//!
//! The oldest packet goes first, fresh or repeated: it is the one that must arrive first. It goes over the link by
//! which it is expected to arrive earliest. A link is filled only a little ahead of what it carries; what does
//! not fit waits here, where it can still change its link.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use super::SchedulerParams;
use super::link::Link;
use super::stats::LinkState;

/// Packets that wait; what comes beyond is the oldest's loss. 4 s of 10 Mbit/s.
const MAX_PENDING: usize = 4096;
/// Waiting packets that are looked at, at a time.
const LOOK_AHEAD: usize = 128;
/// A link that has carried nothing for so long gets a packet: what is known of a link is known from what it carries.
const KEEP_WARM: Duration = Duration::from_millis(50);
/// But not if that would arrive so much later than by the best link that the receiver asked for it meanwhile
/// (TR-06-1, appendix B: a reorder section of 70 ms).
const MOST_SKEW: Duration = Duration::from_millis(65);
/// Added to the expected arrival by a backup link, as a share of the latency: used when others are that far behind.
const BACKUP_SHARE: u32 = 4;

/// A packet that waits.
#[derive(Debug, Clone, Copy)]
pub(super) struct Waiting {
    pub(super) created: Instant,
    pub(super) len: usize,
    pub(super) repeat: bool,
    pub(super) urgent: bool,
}

/// A packet and its link.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Dispatch {
    pub(super) number: u64,
    pub(super) link: usize,
    pub(super) repeat: bool,
    pub(super) urgent: bool,
}

/// Packets that wait for a link.
#[derive(Debug, Default)]
pub(super) struct Scheduler {
    pub(super) params: SchedulerParams,
    /// By sequence number, which is by age.
    waiting: BTreeMap<u64, Waiting>,
    pub(super) discarded: u64,
}

impl Scheduler {
    pub(super) fn new(params: SchedulerParams) -> Self {
        Self { params, ..Self::default() }
    }

    pub(super) fn push(&mut self, number: u64, waiting: Waiting) {
        self.waiting.insert(number, waiting);
        if self.waiting.len() > MAX_PENDING {
            self.waiting.pop_first();
            self.discarded += 1;
        }
    }

    pub(super) fn len(&self) -> usize {
        self.waiting.len()
    }

    /// How long the oldest packet that was never sent has waited.
    pub(super) fn wait(&self, now: Instant) -> Duration {
        let fresh = self.waiting.values().find(|waiting| !waiting.repeat);
        fresh.map_or(Duration::ZERO, |waiting| now.saturating_duration_since(waiting.created))
    }

    /// When a link that is full has room again for what waits. Links with room have been tried.
    pub(super) fn due(&self, now: Instant, links: &[Link]) -> Option<Instant> {
        if self.waiting.is_empty() {
            return None;
        }
        let ahead = self.params.max_ahead;
        let room = |&link: &usize| {
            let busy = links[link].busy_until();
            busy.checked_sub(ahead).unwrap_or(busy)
        };
        candidates(links).iter().map(room).filter(|&at| at > now).min()
    }

    /// Puts what may be sent now into `out`, oldest first. The caller tells each link before the next call.
    pub(super) fn next(
        &mut self,
        now: Instant,
        links: &[Link],
        backup: &[bool],
        latency: Duration,
    ) -> Option<Dispatch> {
        let usable = candidates(links);
        let deadline = self.params.discard_deadline.unwrap_or(latency);
        let full = |link: usize| links[link].backlog(now) > self.params.max_ahead;
        let mut queued = vec![Duration::ZERO; links.len()];
        let mut late = Vec::new();
        let mut found = None;
        if usable.iter().all(|&link| full(link)) {
            return None;
        }
        for (&number, waiting) in self.waiting.iter().take(LOOK_AHEAD) {
            let age = now.saturating_duration_since(waiting.created);
            let penalty = |link: usize| if backup[link] { latency / BACKUP_SHARE } else { Duration::ZERO };
            let arrival = |&link: &usize| links[link].arrival(now, queued[link]) + penalty(link);
            let Some(&best) = usable.iter().min_by_key(|&link| arrival(link)) else { break };
            let resting = |&&link: &&usize| {
                !backup[link]
                    && links[link].idle(now) >= KEEP_WARM
                    && links[link].delay(now) <= links[best].delay(now) + MOST_SKEW
            };
            let link = if waiting.repeat { best } else { *usable.iter().find(resting).unwrap_or(&best) };
            let in_time = match self.params.discard_deadline {
                Some(_) => age + links[link].arrival(now, queued[link]) <= deadline,
                // The receiver's latency starts with the way of an undelayed packet.
                None => age <= deadline,
            };
            if !in_time {
                late.push(number);
            } else if full(link) {
                queued[link] += links[link].airtime(waiting.len);
            } else {
                let &Waiting { repeat, urgent, .. } = waiting;
                found = Some(Dispatch { number, link, repeat, urgent });
                break;
            }
        }
        self.discarded += late.len() as u64;
        for number in late {
            self.waiting.remove(&number);
        }
        if let Some(dispatch) = found {
            self.waiting.remove(&dispatch.number);
        }
        found
    }
}

/// The links that packets may go to: those that are trusted; or else the best of the others.
pub(super) fn candidates(links: &[Link]) -> Vec<usize> {
    let having = |wanted: &dyn Fn(&Link) -> bool| -> Vec<usize> {
        links.iter().enumerate().filter(|(_, link)| wanted(link)).map(|(index, _)| index).collect()
    };
    let trusted = having(&Link::trusted);
    if !trusted.is_empty() {
        return trusted;
    }
    let returning = having(&|link| link.available() && link.state == LinkState::Cooldown);
    if !returning.is_empty() {
        return returning;
    }
    having(&Link::available)
}
