//! Links that cost something: what is spared them while the others suffice.

use std::time::Duration;

use super::super::places::Places;
use super::super::scheduler::candidates;
use super::super::{Cost, LinkState};
use super::{REPORT_INTERVAL, Sender};
use crate::rist::sender as rist_sender;
use crate::rist::sender::REST_INTERVAL;

/// A link that costs something and was given nothing for so long rests: as long as one that is reported on may be idle.
const REST_AFTER: Duration = super::IDLE;
/// For so long from the start of a stream the first answer of a link that costs nothing is waited for, though others
/// answered before; and no longer than this part (one n-th) of the latency, so that there is time to repeat.
const GRACE: Duration = Duration::from_millis(250);
const GRACE_SHARE: u32 = 4;
/// One answer in three that is asked for while a link rests shows that it is alive: two in a row are seldom lost.
const REST_PATIENCE: Duration = REST_INTERVAL.saturating_mul(3);

impl Sender {
    /// Where what goes everywhere is sent: not to links that cost something, if there are others.
    pub(super) fn everywhere(&self) -> Places {
        let usable = if self.unproven() { self.open() } else { candidates(&self.links) };
        let free = usable.retain(|link| self.links[link].cost == Cost::Free);
        if free.is_empty() { usable } else { free }
    }

    /// Links that can be used, whether anything is known of them or not.
    fn open(&self) -> Places {
        (0..self.links.len()).filter(|&link| self.links[link].available()).collect()
    }

    /// Whether no link has answered yet, or, so early in the stream that the others can be waited for, only such as cost
    /// something.
    pub(super) fn is_unanswered(&self, since: Duration) -> bool {
        let unknown = |link: usize| self.links[link].state == LinkState::Probe;
        let free = self.open().retain(|link| self.links[link].cost == Cost::Free);
        let grace = GRACE.min(self.config.latency / GRACE_SHARE);
        (0..self.links.len()).filter(|&link| !self.removed[link]).all(unknown)
            || since < grace && !free.is_empty() && free.into_iter().all(unknown)
    }

    /// Lets other links carry what was sent so far, when the first to answer cost something and those that were preferred to
    /// them have not.
    pub(super) fn give_up_start(&mut self) {
        self.started = !self.unproven();
        if self.started {
            let silent = self.open().retain(|link| self.links[link].state == LinkState::Probe);
            let trusted = self.open().retain(|link| self.links[link].trusted());
            let costly =
                !trusted.is_empty() && trusted.iter().all(|&link| self.links[link].cost != Cost::Free);
            for path in silent.into_iter().filter(|_| costly) {
                let since = self.first_payload.unwrap_or(self.now);
                self.flow.handle_input(self.now, rist_sender::Input::Reclaim { path, since });
                if let (Some((first, _)), Some((last, _))) = (self.head, self.tail) {
                    self.beginning = first..last + 1;
                }
            }
            self.drain_flow();
        }
    }

    /// Whether a packet that was given up with the start is sent for the first time since, oldest first. It goes as one that was never
    /// sent: a standard receiver does not begin with one that is sent again.
    pub(super) fn begins_with(&mut self, number: u64) -> bool {
        let begins = self.beginning.contains(&number);
        if begins {
            self.beginning.start = number + 1;
        }
        begins
    }

    /// Whether a link may get copies beside another: a backup only of what goes by a link that costs something as well,
    /// and a metered one never.
    pub(super) fn may_copy(&self, link: usize, beside: usize) -> bool {
        match self.links[link].cost {
            Cost::Free => true,
            Cost::Backup => self.links[beside].cost != Cost::Free,
            Cost::Metered => false,
        }
    }

    /// Lets a link rest that costs something and is not needed, or not. Where the receiver tells what arrives, as Strata's do,
    /// it is reported on seldom; another one counts on ten reports a second, of which few ask. How long it may take until it answers.
    pub(super) fn rest(&mut self, link: usize) -> Duration {
        let suffice = self.links.iter().any(|link| link.cost == Cost::Free && link.trusted());
        let state = &self.links[link];
        let rests = suffice
            && state.cost != Cost::Free
            && state.state != LinkState::Probe
            && state.idle(self.now) >= REST_AFTER;
        let told = self.flow.is_told(self.now.min(self.last_payload));
        self.flow.rest(self.now, link, rests && told);
        self.flow.idle(self.now, link, rests && !told);
        self.links[link].rest(self.now, rests);
        if rests { REST_PATIENCE } else { self.report_interval(link) }
    }

    /// Time between two reports of a link whose peer tells nothing.
    pub(super) fn report_interval(&self, link: usize) -> Duration {
        if self.flow.is_spaced(link) { rist_sender::REPORT_INTERVAL } else { REPORT_INTERVAL }
    }
}
