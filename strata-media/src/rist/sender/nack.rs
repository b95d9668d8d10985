//! Requests as they come: how many are looked at, and whose.
//!
//! Who has not shown that anything reaches it may be anybody who forges an address. What it asks for goes when nothing else is to be sent,
//! one packet at a time: it takes no room of the stream, nor of what others ask for.

use std::collections::BTreeMap;
use std::time::Instant;

use super::super::rtcp::Losses;
use super::super::sequence::Sequence;
use super::{MAX_SENDS, Output, Sender, URGENT_SENDS};

/// What was asked for by who is not proven.
#[derive(Debug, Default)]
pub(super) struct Begged {
    /// Numbers, and when each was sent last then; of packets that are kept.
    waiting: BTreeMap<u64, Instant>,
    /// The one that is to be sent now.
    under_way: Option<u64>,
}

impl Sender {
    /// Takes a request; `upper` is the upper half of its numbers, if that was told.
    pub(super) fn nack(
        &mut self,
        now: Instant,
        path: usize,
        losses: Losses<'_>,
        upper: Option<u16>,
        entries: &mut usize,
        numbers: &mut usize,
    ) {
        for loss in losses {
            let count = (usize::from(loss.additional) + 1).min(*numbers);
            let count = if *entries == 0 { 0 } else { self.paths[path].intake.numbers(now, count) };
            if count == 0 {
                self.counters.refused += 1;
                return;
            }
            *entries -= 1;
            *numbers -= count;
            for offset in 0..count {
                self.counters.requested += 1;
                let first = Sequence { lower: loss.first, upper };
                let number = self.history.number(first.plus(offset as u16));
                if !self.history.was_given(number) {
                    self.counters.unknown_requests += 1;
                } else if !self.repeat(now, path, number) {
                    self.counters.refused += 1;
                }
            }
        }
    }

    /// Lets a packet that was sent last at `sent_at` wait until there is nothing else to send. Whether it did not wait yet.
    pub(super) fn beg(&mut self, number: u64, sent_at: Instant) -> bool {
        while let Some(oldest) = self.begged.waiting.first_entry()
            && self.history.get(*oldest.key()).is_none()
        {
            oldest.remove();
            self.counters.refused += 1;
        }
        self.begged.waiting.insert(number, sent_at).is_none()
    }

    /// The next of those that wait, once the last one was sent, and all that was given.
    pub(super) fn serve_begged(&mut self) -> Option<Output> {
        let is_waiting = |number| self.history.get(number).is_some_and(|entry| entry.asked);
        if self.begged.under_way.is_some_and(is_waiting) || !self.history.is_sent() {
            return None;
        }
        self.begged.under_way = None;
        while let Some((number, sent_at)) = self.begged.waiting.pop_first() {
            let wanted = self.history.get_mut(number).filter(|entry| {
                let again = entry.last.is_none_or(|(at, _)| at != sent_at);
                !again && !entry.asked && entry.arrived.is_none() && entry.sends < MAX_SENDS
            });
            let allowance =
                wanted.and_then(|entry| Some((self.allowance.checked_sub(entry.payload.len())?, entry)));
            let Some((left, entry)) = allowance else {
                self.counters.refused += 1;
                continue;
            };
            self.allowance = left;
            entry.asked = true;
            self.begged.under_way = Some(number);
            let (created, len, urgent) = (entry.created, entry.payload.len(), entry.sends >= URGENT_SENDS);
            return Some(Output::Send { number, created, len, repeat: true, urgent });
        }
        None
    }
}
