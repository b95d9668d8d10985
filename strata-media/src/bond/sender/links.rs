//! Links that come, go and change while a stream runs.

use super::super::link::Link;
use super::super::{BondLink, MAX_LINKS};
use super::{Counts, REPORT_INTERVAL, Sender, source};
use crate::rist::sender as rist_sender;

impl Sender {
    pub(super) fn set_link(&mut self, link: usize, config: BondLink) {
        if link < self.links.len() && !self.removed[link] {
            self.links[link].set_cost(&config);
            self.config.links[link] = config;
        } else if link <= self.links.len() && link < MAX_LINKS {
            self.add_link(link, config);
        }
    }

    fn add_link(&mut self, link: usize, config: BondLink) {
        let state = source::link(self.now, &config, &self.config);
        let counts = Counts::default();
        if link == self.links.len() {
            self.links.push(state);
            self.counts.push(counts);
            self.removed.push(false);
            self.config.links.push(config);
        } else {
            self.links[link] = state;
            let before = std::mem::replace(&mut self.counts[link], counts);
            self.gone.retransmitted += before.retransmitted;
            self.gone.copied += before.copied;
            self.gone.repairs += before.repairs;
            self.removed[link] = false;
            self.config.links[link] = config;
        }
        self.flow.handle_input(self.now, rist_sender::Input::OpenPath { path: link });
        if self.present() > 1 {
            self.flow.set_report_interval(REPORT_INTERVAL);
        }
    }

    pub(super) fn remove_link(&mut self, link: usize) {
        if self.removed.get(link) != Some(&false) {
            return;
        }
        self.give_away(link);
        self.removed[link] = true;
        self.flow.handle_input(self.now, rist_sender::Input::ClosePath { path: link });
        // Nothing is known of it, nor waited for, any more.
        self.links[link] = Link::retired(self.now);
        self.bottlenecks.forget(&mut self.links, link);
    }

    /// Lets a link be used or not. One that is used again starts as a new one does: meanwhile nothing was asked by it.
    pub(super) fn enable_link(&mut self, link: usize, enabled: bool) {
        let Some(state) = self.present_mut(link) else { return };
        let before = std::mem::replace(&mut state.enabled, enabled);
        if enabled && !before {
            self.readdress_link(link);
        }
    }

    /// The link of this place, if there is one.
    pub(super) fn present_mut(&mut self, link: usize) -> Option<&mut Link> {
        self.links.get_mut(link).filter(|_| !self.removed[link])
    }

    pub(super) fn readdress_link(&mut self, link: usize) {
        if self.removed.get(link) != Some(&false) {
            return;
        }
        self.give_away(link);
        self.links[link].start_anew(self.now);
        self.bottlenecks.forget(&mut self.links, link);
        self.flow.handle_input(self.now, rist_sender::Input::OpenPath { path: link });
    }

    /// Lets the others carry what a link has under way, if there are any: it may arrive or not.
    fn give_away(&mut self, link: usize) {
        self.lose_repairs(link);
        let others = self.links.iter().enumerate().any(|(other, state)| other != link && state.trusted());
        if let Some(since) = self.links[link].under_way_since(self.now).filter(|_| others) {
            self.flow.handle_input(self.now, rist_sender::Input::Reclaim { path: link, since });
        }
    }

    /// How many links there are.
    pub(super) fn present(&self) -> usize {
        self.removed.iter().filter(|removed| !**removed).count()
    }
}
