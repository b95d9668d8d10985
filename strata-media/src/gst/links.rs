//! From URLs to links, and from the links there are to others, while a stream runs.

use std::collections::VecDeque;
use std::net::{IpAddr, SocketAddr};

use crate::net::{LinkConfig, SenderConfig, SenderUpdate};

use super::error::SettingError;

/// What changes from one configuration to another: links that lead where one led before keep its number, and go on.
///
/// # Errors
/// [`SettingError::Fixed`] for what a running sender cannot change.
pub(super) fn update(
    before: &SenderConfig,
    after: &mut SenderConfig,
    numbers: &mut Numbers,
) -> Result<SenderUpdate, SettingError> {
    let fixed = [
        ("uri: the profile", before.profile == after.profile),
        ("uri: the secret", before.psk == after.psk),
        ("uri: the username or password", before.credentials == after.credentials),
        ("uri: the cname", before.cname == after.cname),
        ("uri: null-packet-deletion", before.null_packet_deletion == after.null_packet_deletion),
        ("uri: sequence-extension", before.sequence_extension == after.sequence_extension),
        ("uri: full-datagrams", before.full_datagrams == after.full_datagrams),
        ("uri: virt-dst-port", before.virtual_port == after.virtual_port),
        ("live", before.live == after.live),
    ];
    if let Some((what, _)) = fixed.into_iter().find(|(_, same)| !same) {
        return Err(SettingError::Fixed(what));
    }
    numbers.number(&before.links, &mut after.links);
    let is_in = |links: &[LinkConfig], id: u32| links.iter().any(|link| link.id == id);
    Ok(SenderUpdate {
        latency: (before.latency != after.latency).then_some(after.latency),
        scheduler: (before.scheduler != after.scheduler).then(|| after.scheduler.clone()),
        links: after.links.iter().filter(|link| !before.links.contains(link)).cloned().collect(),
        remove: before.links.iter().map(|link| link.id).filter(|&id| !is_in(&after.links, id)).collect(),
        ..SenderUpdate::default()
    })
}

/// Numbers of links, present and past: one that comes again is the one it was, and goes on with what is left of its cap; no other
/// one gets the number of a link that is gone, and with it what that has spent.
#[derive(Debug, Clone)]
pub(super) struct Numbers {
    /// Ways of links, the oldest first.
    known: VecDeque<(Way, u32)>,
    next: u32,
}

/// Where a link leads, and from where.
type Way = (SocketAddr, bool, Option<String>, Option<IpAddr>, Option<u8>);

fn way(link: &LinkConfig) -> Way {
    (link.remote, link.listens, link.interface.clone(), link.source, link.hops)
}

impl Numbers {
    /// Of these links.
    pub(super) fn of(links: &[LinkConfig]) -> Self {
        let known = links.iter().map(|link| (way(link), link.id)).collect();
        Self { known, next: links.iter().map(|link| link.id + 1).max().unwrap_or_default() }
    }

    /// Gives links the numbers they have, or had, or ones that none had.
    fn number(&mut self, before: &[LinkConfig], after: &mut [LinkConfig]) {
        let mut left: Vec<_> = self.known.iter().cloned().collect();
        // Those that are there go before those that are gone.
        left.sort_by_key(|(_, id)| !before.iter().any(|link| link.id == *id));
        for link in &mut *after {
            let way = way(link);
            link.id = match left.iter().position(|(known, _)| *known == way) {
                Some(index) => left.remove(index).1,
                None => {
                    self.known.push_back((way, self.next));
                    self.next += 1;
                    self.next - 1
                }
            };
        }
        let present = |id: u32| after.iter().any(|link| link.id == id);
        while self.known.len() > after.len() + REMEMBERED
            && let Some(oldest) = self.known.iter().position(|(_, id)| !present(*id))
        {
            self.known.remove(oldest);
        }
    }
}

/// Links that are gone whose numbers are known; as many as a sender remembers what they have carried.
const REMEMBERED: usize = 256;

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::bond::{Mode, SchedulerParams};
    use crate::net::RistUrls;

    fn config(urls: &str) -> SenderConfig {
        urls.parse::<RistUrls>().unwrap().sender().unwrap()
    }

    /// From a configuration to another, as the first change there is.
    fn update(before: &SenderConfig, after: &mut SenderConfig) -> Result<SenderUpdate, SettingError> {
        super::update(before, after, &mut Numbers::of(&before.links))
    }

    fn ids(links: &[LinkConfig]) -> Vec<u32> {
        links.iter().map(|link| link.id).collect()
    }

    #[test]
    fn links_that_stay_go_on_as_they_are() {
        let before = config("rist://127.0.0.1:6000,rist://127.0.0.1:6002,rist://127.0.0.1:6004");
        let mut after = config("rist://127.0.0.1:6008,rist://127.0.0.1:6004?backup=1,rist://127.0.0.1:6002");
        let update = update(&before, &mut after).unwrap();
        assert_eq!(ids(&after.links), [3, 2, 1]);
        assert_eq!((ids(&update.links), update.remove), (vec![3, 2], vec![0]));
        assert_eq!((update.latency, update.scheduler), (None, None));
    }

    /// With its number it gets what is left of its cap.
    #[test]
    fn a_link_that_comes_again_is_the_one_it_was_and_no_other_is() {
        let mut running = config("rist://127.0.0.1:6000,rist://127.0.0.1:6002?cap=5");
        let mut numbers = Numbers::of(&running.links);
        let mut change = |urls: &str| {
            let mut after = config(urls);
            super::update(&running, &mut after, &mut numbers).unwrap();
            running = after;
            ids(&running.links)
        };
        assert_eq!(change("rist://127.0.0.1:6000"), [0]);
        assert_eq!(change("rist://127.0.0.1:6000,rist://127.0.0.1:6004"), [0, 2]);
        assert_eq!(change("rist://127.0.0.1:6002?cap=5,rist://127.0.0.1:6004"), [1, 2]);
        assert_eq!(change("rist://127.0.0.1:6002?cap=5,rist://127.0.0.1:6002"), [1, 3]);
        // What is remembered has an end, and those that are there none.
        for port in 0..1000 {
            change(&format!("rist://127.0.0.1:6002,rist://127.0.0.1:{}", 10_000 + 2 * port));
        }
        assert_eq!(numbers.known.len(), 2 + REMEMBERED);
        assert_eq!(ids(&running.links)[0], 1);
    }

    #[test]
    fn two_links_the_same_way_are_two() {
        let before = config("rist://127.0.0.1:6000,rist://127.0.0.1:6000");
        let mut after = config("rist://127.0.0.1:6000,rist://127.0.0.1:6000,rist://127.0.0.1:6000");
        let update = update(&before, &mut after).unwrap();
        let mut all = ids(&after.links);
        all.sort_unstable();
        assert_eq!((all, update.links.len(), update.remove), (vec![0, 1, 2], 1, vec![]));
    }

    #[test]
    fn latency_and_scheduling_change_and_keys_do_not() {
        let before = config("rist://127.0.0.1:6000?buffer=300");
        let mut after = config("rist://127.0.0.1:6000?buffer=500");
        after.scheduler = SchedulerParams::new(Mode::Robust);
        let changed = update(&before, &mut after).unwrap();
        assert_eq!((changed.latency, changed.links.len()), (Some(Duration::from_millis(500)), 0));
        assert_eq!(changed.scheduler, Some(SchedulerParams::new(Mode::Robust)));
        for (urls, what) in [
            ("rist://127.0.0.1:6000?secret=horse", "uri: the profile"),
            ("rist://127.0.0.1:6000?cname=other", "uri: the cname"),
            ("rist://127.0.0.1:6000?profile=main", "uri: the profile"),
        ] {
            let error = update(&before, &mut config(urls)).unwrap_err();
            assert_eq!(error.to_string(), format!("{what} cannot change while the element runs"));
        }
        let main = "rist://127.0.0.1:6000?profile=main";
        for name in ["null-packet-deletion", "sequence-extension", "full-datagrams", "virt-dst-port"] {
            let error =
                update(&config(main), &mut config(&format!("{main}&{name}=1").replace("port=1", "port=2")));
            assert_eq!(
                error.unwrap_err().to_string(),
                format!("uri: {name} cannot change while the element runs")
            );
        }
    }
}
