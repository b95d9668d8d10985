//! A sender's multicast groups: one per link that leads to one.

use std::collections::BTreeMap;
use std::time::Instant;

use super::channel::Inbox;
use super::socket::LinkSockets;
use crate::rist::GroupStats;
use crate::rist::group::{Group, To};

/// The groups of all links.
#[derive(Debug)]
pub(super) struct Groups {
    ssrc: u32,
    cname: String,
    groups: BTreeMap<usize, Group>,
    /// Of groups that are left.
    gone: GroupStats,
}

impl Groups {
    /// None yet, of a stream of this SSRC and canonical name.
    pub(super) fn new(ssrc: u32, cname: &str) -> Self {
        Self { ssrc, cname: cname.to_owned(), groups: BTreeMap::new(), gone: GroupStats::default() }
    }

    /// What was heard of members.
    pub(super) fn stats(&self, now: Instant) -> GroupStats {
        let mut sum = self.gone;
        self.groups.values().for_each(|group| sum += group.stats(now));
        sum
    }

    /// A link leads elsewhere, or is no more.
    pub(super) fn leave(&mut self, now: Instant, link: usize) {
        if let Some(group) = self.groups.remove(&link) {
            self.gone += GroupStats { members: 0, ..group.stats(now) };
        }
    }

    /// Takes notice of RTCP that goes out by a link.
    pub(super) fn sent(&mut self, now: Instant, link: usize, sockets: &LinkSockets, data: &[u8]) {
        if sockets.group.is_some() {
            let group = self.groups.entry(link).or_insert_with(|| Group::new(self.ssrc, &self.cname));
            group.sent(now, data);
        }
    }

    /// Gives `take` what members have to say; `false` when the link leads to no group.
    pub(super) fn receive(
        &mut self,
        now: Instant,
        link: usize,
        sockets: &mut LinkSockets,
        inbox: &mut Inbox,
        mut take: impl FnMut(&[u8]),
    ) -> bool {
        let (Some(channel), Some(rtcp)) = (&sockets.group, &mut sockets.rtcp) else { return false };
        // Before anything was sent to it, a group has nothing to answer.
        let Some(group) = self.groups.get_mut(&link) else { return true };
        let mut answers = Vec::new();
        for (to, channel) in [(To::Group, channel), (To::Sender, &*rtcp)] {
            for (data, from) in inbox.receive(channel) {
                let taken = group.receive(now, from, to, &data);
                taken.rtcp.iter().for_each(|data| take(data));
                answers.extend(taken.answer.map(|answer| (answer, from)));
            }
        }
        for (answer, to) in answers {
            rtcp.send_to(&[&answer], to);
        }
        true
    }
}
