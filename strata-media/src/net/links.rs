//! Links of a running sender: what an update makes of them, and opening and closing their sockets.

use std::time::Instant;

use super::config::{LinkConfig, Profile, SenderUpdate};
use super::error::NetError;
use super::sender::Running;
use super::socket::{self, LinkSockets};
use crate::bond::sender::Input;
use crate::bond::{BondLink, BondStats, LinkState, LinkStats, MAX_LINKS};

impl LinkConfig {
    /// What the machine is told of it.
    pub(super) fn bond(&self) -> BondLink {
        BondLink {
            id: self.id,
            interface: self.interface.clone(),
            cost: self.cost(),
            cap_bytes: self.cap_bytes,
            spent_bytes: self.spent_bytes,
            weight: self.weight,
        }
    }

    /// Whether the sockets of the one are not those of the other.
    fn leads_elsewhere(&self, other: &Self) -> bool {
        let way = |link: &Self| (link.remote, link.listens, link.interface.clone(), link.source, link.hops);
        way(self) != way(other)
    }
}

/// Why a link that listens cannot be used yet, or any more.
pub(super) const UNCALLED: &str = "no receiver has called";
/// Why a link that calls rests.
pub(super) const LEFT: &str = "the receiver has left";
/// Removed links of which is known what they carried; of more than these, those that carried least are as new when they
/// come again.
const REMEMBERED: usize = 256;

/// Checks links as a whole.
pub(super) fn check(links: &[LinkConfig], profile: Profile) -> Result<(), NetError> {
    let error = |field: String, reason: &str| Err(NetError::Config { field, reason: reason.to_owned() });
    if links.is_empty() || links.len() > MAX_LINKS {
        return error("links".to_owned(), "1 to 16 links are expected");
    }
    for (index, link) in links.iter().enumerate() {
        if links[..index].iter().any(|other| other.id == link.id) {
            return error(format!("links[{index}].id"), "another link has the same number");
        }
        if profile == Profile::Main && link.remote.port() == 0 {
            return error(format!("links[{index}].remote"), "the port must not be 0");
        }
        if profile == Profile::Simple && !socket::is_rtp_port(link.remote) {
            return error(
                format!("links[{index}].remote"),
                "the port of RTP must be even and from 2 to 65534 (RTCP is the port above)",
            );
        }
        let group = link.remote.ip().is_multicast();
        if group && profile == Profile::Main {
            return Err(NetError::Unsupported {
                field: format!("links[{index}].remote"),
                reason: format!(
                    "{} is a multicast group, which takes only the Simple Profile",
                    link.remote.ip()
                ),
            });
        }
        if link.listens && profile == Profile::Simple {
            return Err(NetError::Unsupported {
                field: format!("links[{index}].listens"),
                reason: "a receiver of the Simple Profile does not call; the Main Profile has it call"
                    .to_owned(),
            });
        }
        if link.listens && link.source.is_some() {
            return error(format!("links[{index}].source"), "the link listens: remote is its address here");
        }
        if link.hops.is_some() && !group {
            return error(format!("links[{index}].hops"), "only for a multicast group");
        }
        if link.source.is_some_and(|source| source.is_ipv4() != link.remote.is_ipv4()) {
            return error(format!("links[{index}].source"), "not of the same family as the remote address");
        }
    }
    Ok(())
}

/// The links there are after an update, checked as a whole.
pub(super) fn updated(
    before: &[LinkConfig],
    update: &SenderUpdate,
    profile: Profile,
) -> Result<Vec<LinkConfig>, NetError> {
    if !update.links.is_empty() {
        check(&update.links, profile)?;
    }
    for (index, id) in update.remove.iter().enumerate() {
        if !before.iter().any(|link| link.id == *id) {
            let field = format!("remove[{index}]");
            return Err(NetError::Config { field, reason: format!("there is no link {id}") });
        }
    }
    let mut links: Vec<_> = before.to_vec();
    links.retain(|link| !update.remove.contains(&link.id));
    for link in &update.links {
        match links.iter_mut().find(|known| known.id == link.id) {
            Some(known) => known.clone_from(link),
            None => links.push(link.clone()),
        }
    }
    check(&links, profile)?;
    for (index, (id, _)) in update.enabled.iter().enumerate() {
        if !links.iter().any(|link| link.id == *id) {
            let field = format!("enabled[{index}]");
            return Err(NetError::Config { field, reason: format!("there is no link {id}") });
        }
    }
    Ok(links)
}

impl Running {
    /// Adds a link, or changes the one of this number.
    pub(super) fn set_link(&mut self, now: Instant, config: LinkConfig) {
        let Some(link) = self.place(config.id) else { return self.add_link(now, config) };
        let elsewhere = config.leads_elsewhere(&self.config.links[link]);
        self.bond.handle_input(now, Input::Link { link, config: config.bond() });
        self.config.links[link] = config;
        if elsewhere {
            self.groups.leave(now, link);
            self.tunnels.open(now, link, &self.config.links[link]);
            self.addresses[link] = None;
            self.open(now, link);
            self.bond.handle_input(now, Input::Readdress { link });
        }
    }

    fn add_link(&mut self, now: Instant, mut config: LinkConfig) {
        let before = self.spent.remove(&config.id).unwrap_or(0);
        config.spent_bytes = config.spent_bytes.max(before);
        let free = self.removed.iter().position(|removed| *removed);
        let link = free.unwrap_or(self.removed.len());
        self.bond.handle_input(now, Input::Link { link, config: config.bond() });
        if free.is_some() {
            (self.config.links[link], self.removed[link], self.addresses[link]) = (config, false, None);
        } else {
            self.config.links.push(config);
            self.removed.push(false);
            self.sockets.push(None);
            self.addresses.push(None);
        }
        self.tunnels.open(now, link, &self.config.links[link]);
        self.open(now, link);
    }

    /// Ends the link of a number.
    pub(super) fn remove_link(&mut self, now: Instant, id: u32) {
        if let Some(link) = self.place(id) {
            self.settle(now, link);
            self.remember(now, id);
            self.bond.handle_input(now, Input::Remove { link });
            self.removed[link] = true;
            self.sockets[link] = None;
            self.groups.leave(now, link);
        }
    }

    /// Keeps what a link has carried that is about to be removed.
    fn remember(&mut self, now: Instant, id: u32) {
        let stats = self.bond.stats(now);
        let carried = stats.links.iter().filter(|link| link.id == id).map(|link| (id, link.spent_bytes));
        self.spent.extend(carried);
        while self.spent.len() > REMEMBERED {
            let least = self.spent.iter().min_by_key(|(_, bytes)| **bytes).map(|(id, _)| *id);
            least.and_then(|id| self.spent.remove(&id));
        }
    }

    /// Tells the machine what the sockets of a link have carried lately.
    pub(super) fn settle(&mut self, now: Instant, link: usize) {
        let bytes = self.sockets[link].as_ref().map_or(0, LinkSockets::take_carried);
        if bytes > 0 {
            self.bond.handle_input(now, Input::Carried { link, bytes });
        }
    }

    /// The place of the link of a number.
    pub(super) fn place(&self, id: u32) -> Option<usize> {
        let mut links = self.config.links.iter().zip(&self.removed);
        links.position(|(link, removed)| link.id == id && !removed)
    }

    /// Opens the sockets of a link; the machine is told when that cannot be, and when they have another address than those before.
    fn open(&mut self, now: Instant, link: usize) {
        self.settle(now, link);
        // Those before may have the very address that the new ones want.
        self.sockets[link] = None;
        let opened = socket::connect(&self.config.links[link], self.config.profile);
        let opened = opened.map_err(|error| error.to_string());
        let opened =
            opened.and_then(|pair| LinkSockets::register(now, pair).map_err(|error| error.to_string()));
        let address = opened.as_ref().ok().and_then(LinkSockets::ip);
        if let Some(address) = address
            && self.addresses[link].replace(address).is_some_and(|before| before != address)
        {
            self.tunnels.open(now, link, &self.config.links[link]);
            self.bond.handle_input(now, Input::Readdress { link });
        }
        let uncalled =
            (self.config.links[link].listens && !self.tunnels.is_called(link)).then(|| UNCALLED.to_owned());
        let error = opened.as_ref().err().cloned().or(uncalled);
        self.sockets[link] = opened.ok();
        self.bond.handle_input(now, Input::LinkError { link, error });
    }

    /// Opens the sockets anew that the system says cannot be used any more, unless they were opened only lately.
    pub(super) fn mend(&mut self, now: Instant, stats: &BondStats) {
        self.open_again(now, stats, |this, link, _| {
            this.sockets[link].as_ref().is_some_and(|sockets| sockets.is_to_be_mended(now))
        });
    }

    /// Opens the sockets of links that have none, as an interface may have come, and of dead ones that would have another
    /// address now.
    pub(super) fn reopen(&mut self, now: Instant, stats: &BondStats) {
        self.open_again(now, stats, |this, link, stats| {
            this.sockets[link].is_none() || stats.state == LinkState::Dead && this.has_moved(link)
        });
    }

    fn open_again(
        &mut self,
        now: Instant,
        stats: &BondStats,
        wanted: impl Fn(&Self, usize, &LinkStats) -> bool,
    ) {
        let present: Vec<_> = (0..self.removed.len()).filter(|&link| !self.removed[link]).collect();
        for (link, stats) in present.into_iter().zip(&stats.links) {
            if wanted(self, link, stats) {
                self.open(now, link);
            }
        }
    }

    /// Whether the system would have a link go from another address than it does, or not at all. One that listens, or leads to a group,
    /// goes from where its user says.
    fn has_moved(&self, link: usize) -> bool {
        let config = &self.config.links[link];
        if config.listens || config.remote.ip().is_multicast() {
            return false;
        }
        let source = socket::source(config).ok();
        source.is_none() || self.addresses[link].is_some_and(|address| Some(address) != source)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::config::SenderConfig;
    use super::super::sender::sender;
    use super::*;

    /// Of a link that is dead as nobody answers.
    fn state_after(change: impl FnOnce(&mut Running)) -> LinkState {
        #[expect(clippy::disallowed_methods, reason = "any instant will do")]
        let start = Instant::now();
        let mut config = SenderConfig::new(vec![LinkConfig::new(0, ([127, 0, 0, 1], 9).into())]);
        config.profile = Profile::Main;
        let mut running = Running::start(sender(config).unwrap().1).unwrap();
        let later = start + Duration::from_secs(10);
        for i in 0..1000 {
            running.bond.handle_input(start + Duration::from_millis(10) * i, Input::Timeout);
        }
        assert_eq!(running.bond.stats(later).links[0].state, LinkState::Dead);
        change(&mut running);
        let stats = running.bond.stats(later);
        running.reopen(later, &stats);
        running.bond.stats(later).links[0].state
    }

    /// Nobody has called it yet; where it listens it goes on listening.
    #[tokio::test]
    async fn a_link_that_listens_is_not_opened_anew() {
        let mut config = SenderConfig::new(vec![LinkConfig::listening(0, ([0; 4], 0).into())]);
        config.profile = Profile::Main;
        config.links[0].remote.set_port(free_port());
        let mut running = Running::start(sender(config).unwrap().1).unwrap();
        let now = running.next_reopen;
        let mut stats = running.bond.stats(now);
        stats.links[0].state = LinkState::Dead;
        let before = running.sockets[0].as_ref().map(LinkSockets::opened);
        running.reopen(now, &stats);
        assert_eq!(running.sockets[0].as_ref().map(LinkSockets::opened), before);
        // When it has to be, the port is not taken by the socket before.
        running.open(now, 0);
        assert_eq!(running.bond.stats(now).links[0].error.as_deref(), Some(UNCALLED));
        assert!(running.sockets[0].is_some());
    }

    fn free_port() -> u16 {
        let bound = socket::listen(([127, 0, 0, 1], 0).into()).unwrap();
        bound.rtp.local_addr().unwrap().port()
    }

    /// It is a new one then: what was known of the way holds no longer.
    #[tokio::test]
    async fn a_dead_link_is_opened_anew_when_its_address_is_another_one() {
        assert_eq!(state_after(|_| {}), LinkState::Dead);
        assert_eq!(state_after(|running| running.sockets[0] = None), LinkState::Dead);
        let moved = |running: &mut Running| running.addresses[0] = Some([192, 0, 2, 7].into());
        assert_eq!(state_after(moved), LinkState::Probe);
    }
}
