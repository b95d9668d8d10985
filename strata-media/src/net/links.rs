//! Links of a running sender: what an update makes of them, and opening and closing their sockets.

use std::time::Instant;

use super::config::{LinkConfig, Profile, SenderUpdate};
use super::error::NetError;
use super::sender::Running;
use super::socket::{self, LinkSockets};
use crate::bond::sender::Input;
use crate::bond::{BondLink, BondStats, LinkState, MAX_LINKS};

impl LinkConfig {
    /// What the machine is told of it.
    pub(super) fn bond(&self) -> BondLink {
        BondLink {
            id: self.id,
            interface: self.interface.clone(),
            cost: self.cost(),
            cap_bytes: self.cap_bytes,
            weight: self.weight,
        }
    }

    /// Whether the sockets of the one are not those of the other.
    fn leads_elsewhere(&self, other: &Self) -> bool {
        (self.remote, &self.interface, self.source) != (other.remote, &other.interface, other.source)
    }
}

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
            self.tunnels.open(now, link);
            self.open(now, link);
            self.bond.handle_input(now, Input::Readdress { link });
        }
    }

    fn add_link(&mut self, now: Instant, config: LinkConfig) {
        let free = self.removed.iter().position(|removed| *removed);
        let link = free.unwrap_or(self.removed.len());
        self.bond.handle_input(now, Input::Link { link, config: config.bond() });
        if free.is_some() {
            (self.config.links[link], self.removed[link]) = (config, false);
        } else {
            self.config.links.push(config);
            self.removed.push(false);
            self.sockets.push(None);
        }
        self.tunnels.open(now, link);
        self.open(now, link);
    }

    /// Ends the link of a number.
    pub(super) fn remove_link(&mut self, now: Instant, id: u32) {
        if let Some(link) = self.place(id) {
            self.bond.handle_input(now, Input::Remove { link });
            self.removed[link] = true;
            self.sockets[link] = None;
        }
    }

    /// The place of the link of a number.
    pub(super) fn place(&self, id: u32) -> Option<usize> {
        let mut links = self.config.links.iter().zip(&self.removed);
        links.position(|(link, removed)| link.id == id && !removed)
    }

    /// Opens the sockets of a link; the machine is told when that cannot be.
    fn open(&mut self, now: Instant, link: usize) -> Option<String> {
        let opened = socket::connect(&self.config.links[link], self.config.profile);
        let opened = opened.map_err(|error| error.to_string());
        let opened = opened.and_then(|pair| LinkSockets::register(pair).map_err(|error| error.to_string()));
        let error = opened.as_ref().err().cloned();
        self.sockets[link] = opened.ok();
        self.bond.handle_input(now, Input::LinkError { link, error: error.clone() });
        error
    }

    /// Opens the sockets of dead links anew: an interface may have come, or have another address now.
    pub(super) fn reopen(&mut self, now: Instant, stats: &BondStats) {
        let present: Vec<_> = (0..self.removed.len()).filter(|&link| !self.removed[link]).collect();
        for (link, stats) in present.into_iter().zip(&stats.links) {
            let broken = self.sockets[link].as_ref().is_none_or(LinkSockets::is_broken);
            if stats.state != LinkState::Dead || !broken {
                continue;
            }
            let error = self.open(now, link);
            if error != stats.error {
                tracing::info!(link = self.config.links[link].id, ?error, "link reopened");
            }
        }
    }
}
