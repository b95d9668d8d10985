//! What a driver tells in the log while it runs: links that cannot be used, die and come back, and keys that do not fit. Each once,
//! when it comes to be so: a peer must not fill a log.

use std::collections::BTreeMap;

use super::TunnelStats;
use super::links::{LEFT, UNCALLED};
use crate::bond::{LinkState, LinkStats};

/// What was told.
#[derive(Debug, Default)]
pub(super) struct News {
    links: BTreeMap<u32, Known>,
    undecryptable: bool,
    unencrypted: bool,
}

#[derive(Debug, Default)]
struct Known {
    error: Option<String>,
    dead: bool,
}

impl News {
    /// Tells what has become of links.
    pub(super) fn links(&mut self, links: &[LinkStats]) {
        self.links.retain(|&id, _| links.iter().any(|link| link.id == id));
        for LinkStats { id, state, error, .. } in links {
            // Callers are told of as they come and go.
            let error = error.as_deref().filter(|error| ![UNCALLED, LEFT].contains(error));
            let known = self.links.entry(*id).or_default();
            if known.error.as_deref() != error {
                match error {
                    Some(error) => tracing::warn!(link = id, error, "link cannot be used"),
                    None => tracing::info!(link = id, "link can be used again"),
                }
                known.error = error.map(str::to_owned);
            }
            let dead = *state == LinkState::Dead && error.is_none();
            if dead != known.dead {
                match dead {
                    true => tracing::warn!(link = id, "nothing comes back by this link"),
                    false if error.is_none() => tracing::info!(link = id, "link is alive again"),
                    false => {}
                }
                known.dead = dead;
            }
        }
    }

    /// Tells what a tunnel cannot read.
    pub(super) fn tunnel(&mut self, counters: &TunnelStats) {
        if counters.undecryptable > 0 && !std::mem::replace(&mut self.undecryptable, true) {
            tracing::warn!(
                "encrypted datagrams come that cannot be read: another passphrase than here, or none here"
            );
        }
        if counters.unencrypted > 0 && !std::mem::replace(&mut self.unencrypted, true) {
            tracing::warn!("datagrams come in clear and are refused, as a passphrase is set here");
        }
    }
}
