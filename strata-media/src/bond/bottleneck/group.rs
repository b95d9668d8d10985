//! Links behind one bottleneck, and what that carries.

use std::time::{Duration, Instant};

use super::pair::Pair;
use super::place;
use crate::bond::capacity::{Arrivals, Capacity, KEPT_BUSY};
use crate::bond::link::Link;

/// Over so much time it is measured what a group carries: reports of its links come at different times.
const SPAN: Duration = Duration::from_millis(200);
/// A queue of so many times what jitter may be shows what a group carries, however little that is.
const TALL: u32 = 4;

/// All groups.
#[derive(Debug, Default)]
pub(super) struct Groups {
    /// By its first link.
    groups: Vec<Option<Group>>,
    /// Of each link, the first of those it belongs with, itself included: while groups are formed.
    firsts: Vec<usize>,
}

#[derive(Debug)]
struct Group {
    capacity: Capacity,
    /// Links that are measured, in order.
    members: Vec<usize>,
    since: Instant,
    /// Bytes that had arrived by them then.
    arrived: u64,
}

impl Groups {
    /// Tells links which of them belong together: those that share a bottleneck with one that does.
    pub(super) fn form(&mut self, links: &mut [Link], pairs: &[Pair]) {
        let firsts = &mut self.firsts;
        firsts.clear();
        firsts.extend(0..links.len());
        for (i, j) in (0..links.len()).flat_map(|j| (0..j).map(move |i| (i, j))) {
            if pairs.get(place(i, j)).is_some_and(|pair| pair.shared) {
                // What belongs with either belongs with both.
                let (first, other) = (firsts[i].min(firsts[j]), firsts[i].max(firsts[j]));
                firsts.iter_mut().filter(|of| **of == other).for_each(|of| *of = first);
            }
        }
        for (index, link) in links.iter_mut().enumerate() {
            let alone = firsts.iter().filter(|&&of| of == firsts[index]).count() == 1;
            link.group = (!alone).then_some(firsts[index]);
        }
    }

    /// Measures what groups carry: a link's part of the bottleneck is what it would carry alone, in proportion.
    pub(super) fn measure(&mut self, now: Instant, links: &mut [Link]) {
        self.groups.resize_with(links.len(), || None);
        for group in 0..links.len() {
            let is_member = |&index: &usize| links[index].group == Some(group) && links[index].trusted();
            let indices = || (0..links.len()).filter(is_member);
            let members = || indices().map(|index| &links[index]);
            if members().next().is_none() {
                self.groups[group] = None;
                continue;
            }
            let sum: f64 = members().map(|link| link.capacity.bps()).sum();
            let arrived = members().map(Link::arrived).sum();
            // Each sees the same queue, but for what jitters on its own way.
            let seen = members().map(|link| (link.waiting(), link.threshold()));
            let seen = seen.max_by_key(|&(queue, threshold)| queue.saturating_sub(threshold));
            let (queue, threshold) = seen.unwrap_or_default();
            let state = self.groups[group].get_or_insert_with(|| Group {
                capacity: Capacity::of(sum),
                members: Vec::new(),
                since: now,
                arrived,
            });
            if !indices().eq(state.members.iter().copied()) {
                // What another set of links carried is no difference to what these did.
                state.members.clear();
                state.members.extend(indices());
                (state.since, state.arrived) = (now, arrived);
            }
            let span = now.saturating_duration_since(state.since);
            if span >= SPAN {
                let carried = arrived.saturating_sub(state.arrived);
                (state.since, state.arrived) = (now, arrived);
                // What was sent lately must have kept the bottleneck busy, or it was somebody else or jitter.
                let busy = carried as f64 * 8.0 >= state.capacity.bps() * KEPT_BUSY * span.as_secs_f64();
                let lowers = (busy || queue > threshold * TALL) && members().any(Link::shows);
                state
                    .capacity
                    .observe_arrivals(now, Arrivals { span, bytes: carried, queue, threshold, lowers });
                links.iter_mut().filter(|link| link.group == Some(group)).for_each(Link::shown);
            }
            let part = (state.capacity.bps() / sum).min(1.0);
            links.iter_mut().filter(|link| link.group == Some(group)).for_each(|link| link.part = part);
        }
        for link in links.iter_mut().filter(|link| link.group.is_none()) {
            link.part = 1.0;
            link.shown();
        }
    }
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "any instant will do")]
mod tests {
    use super::*;
    use crate::bond::{BondLink, LinkState};

    /// Of four links, which pairs share a bottleneck, and which belong together for that.
    #[test]
    fn what_belongs_with_one_belongs_with_all_of_its_own() {
        let now = Instant::now();
        let cases = [
            (vec![], [None; 4]),
            (vec![(1, 3)], [None, Some(1), None, Some(1)]),
            (vec![(0, 2), (1, 2)], [Some(0), Some(0), Some(0), None]),
            (vec![(0, 3), (1, 2), (2, 3)], [Some(0); 4]),
            (vec![(0, 3), (1, 2)], [Some(0), Some(1), Some(1), Some(0)]),
            (vec![(0, 1), (1, 2)], [Some(0), Some(0), Some(0), None]),
        ];
        for (shared, expected) in cases {
            let mut links: Vec<_> = (0..4).map(|_| Link::new(now, &BondLink::default())).collect();
            let mut pairs = [Pair::default(); 6];
            shared.iter().for_each(|&(i, j)| pairs[place(i, j)].shared = true);
            Groups::default().form(&mut links, &pairs);
            let groups: Vec<_> = links.iter().map(|link| link.group).collect();
            assert_eq!(groups, expected, "{shared:?}");
        }
    }

    /// Three links of 4 Mbit/s as far as is known, of which the first two are only known to share a bottleneck with the
    /// third: together they carry what that carries, and not what one of them carries beside it.
    #[test]
    fn a_bottleneck_counts_once() {
        let now = Instant::now();
        let mut links: Vec<_> = (0..3).map(|_| Link::new(now, &BondLink::default())).collect();
        links.iter_mut().for_each(|link| link.state = LinkState::Live);
        let mut pairs = [Pair::default(); 3];
        [(0, 2), (1, 2)].iter().for_each(|&(i, j)| pairs[place(i, j)].shared = true);
        let mut groups = Groups::default();
        groups.form(&mut links, &pairs);
        groups.measure(now, &mut links);
        groups.groups[0].as_mut().unwrap().capacity = Capacity::of(6e6);
        groups.measure(now, &mut links);
        let carried: f64 = links.iter().map(Link::carried_bps).sum();
        assert!((carried - 6e6).abs() < 1.0, "{carried}");
    }
}
