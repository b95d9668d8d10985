//! `bonding_config`: links and scheduler of a bonded stream.

use serde::{Deserialize, Serialize};

use crate::range;

/// How a stream is spread over links. Also written as TOML, key for key.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct BondingConfig {
    /// Version of this structure; 1.
    pub version: u32,
    /// Every link.
    pub links: Vec<BondingLink>,
    /// How packets are spread.
    #[serde(default)]
    pub scheduler: Scheduler,
}

/// One link of a bond.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct BondingLink {
    /// Number of the link, unique in the bond.
    pub id: u32,
    /// Where it leads: `rist://host:port`.
    pub uri: String,
    /// Interface it leaves by; the system's choice when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub interface: Option<String>,
    /// Preference among links.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub priority: Option<LinkPriority>,
}

/// Preference among links.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum LinkPriority {
    /// Used as its capacity allows.
    Normal,
    /// Used only when the others do not suffice.
    Backup,
    /// A priority of a newer peer, treated as normal.
    #[serde(other)]
    Unknown,
}

/// How packets are spread over links; absent fields keep their value or default.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Scheduler {
    /// Two queues, reliable and unreliable, under overload.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub storm_enabled: Option<bool>,
    /// Share of the reliable queue, 0 to 1.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "range::optional_ratio")]
    pub storm_reliable_weight: Option<f64>,
    /// Age at which an unreliable packet is dropped, ms.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub storm_unreliable_max_age_ms: Option<u32>,
    /// A packet that cannot arrive within this time is not sent, ms.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub discard_deadline_ms: Option<u32>,
    /// Copies on a second link, within spare capacity.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub redundancy_enabled: Option<bool>,
    /// Share of spare capacity used for copies, 0 to 1.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "range::optional_ratio")]
    pub redundancy_spare_ratio: Option<f64>,
    /// Largest packet that is copied, bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub redundancy_max_packet_bytes: Option<u32>,
    /// On how many links a copied packet is sent, 1 to 64.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "range::setting::<1, 64, _>"
    )]
    pub redundancy_target_links: Option<u32>,
    /// A link is suspect without proof of delivery for so long, ms. Not in `control.md`, whose `config.update` names failover
    /// thresholds without saying which.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failover_suspect_ms: Option<u32>,
    /// A link that was dead is trusted when it has answered for so long, ms. Not in `control.md` either.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failover_readmit_ms: Option<u32>,
    /// Keyframes, parameter sets and tables are copied to a second link.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub critical_broadcast: Option<bool>,
}
