//! What `interface.command` says of interfaces, for the links that are bound to them.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use strata_proto::control::{BondingLink, LinkPriority};

/// All that was said of interfaces.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rules {
    /// Those whose links must not be used.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub disabled: BTreeSet<String>,
    /// Those whose links are preferred otherwise than the links say.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub preferences: BTreeMap<String, Preference>,
}

/// How the links of an interface are preferred, whatever they say themselves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Preference {
    /// Used as their capacity allows.
    Normal,
    /// Used only when the others do not suffice.
    Backup,
    /// Used as their capacity allows, with this weight as a hint.
    Weight(u32),
}

impl Rules {
    /// Whether a link may be used.
    #[must_use]
    pub fn allow(&self, link: &BondingLink) -> bool {
        !link.interface.as_ref().is_some_and(|interface| self.disabled.contains(interface))
    }

    /// The link as it is preferred now.
    #[must_use]
    pub fn prefer(&self, link: &BondingLink) -> BondingLink {
        let preference = link.interface.as_ref().and_then(|interface| self.preferences.get(interface));
        let mut link = link.clone();
        match preference {
            None => {}
            Some(Preference::Normal) => link.priority = Some(LinkPriority::Normal),
            Some(Preference::Backup) => link.priority = Some(LinkPriority::Backup),
            Some(Preference::Weight(weight)) => {
                link.priority = Some(LinkPriority::Normal);
                link.weight = Some(*weight);
            }
        }
        link
    }
}
