//! `bonding_config`: links and scheduler of a bonded stream.

use std::fmt;

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

/// Declares a link with the fields that every link has, after its own ones. They are declared, and not flattened in, because
/// serde's path to a field that does not fit ends where something is flattened.
macro_rules! any_link {
    ($(#[$doc:meta])* pub struct $name:ident { $($(#[$attr:meta])* pub $field:ident: $type:ty,)* }) => {
        $(#[$doc])*
        pub struct $name {
            $($(#[$attr])* pub $field: $type,)*
            /// Interface it leaves by; the device's choice when absent.
            #[serde(default, skip_serializing_if = "Option::is_none")]
            pub interface: Option<String>,
            /// Preference among links.
            #[serde(default, skip_serializing_if = "Option::is_none")]
            pub priority: Option<$crate::control::LinkPriority>,
            /// A hint: links of more weight get more, as far as they carry it; 0 is no hint, at most 1 000 000. Not in
            /// `control.md`.
            #[serde(
                default,
                skip_serializing_if = "Option::is_none",
                deserialize_with = "crate::range::setting::<0, 1000000, _>"
            )]
            pub weight: Option<u32>,
            /// Every byte costs: used last of all. Not in `control.md` either.
            #[serde(default, skip_serializing_if = "Option::is_none")]
            pub metered: Option<bool>,
            /// What it may carry in all, MB (1 000 000 bytes), 1 to 1 000 000 000; then it is not used any more. Not in
            /// `control.md` either.
            #[serde(
                default,
                skip_serializing_if = "Option::is_none",
                deserialize_with = "crate::range::setting::<1, 1000000000, _>"
            )]
            pub cap_mb: Option<u32>,
        }
    };
}

/// Declares such a link that knows nothing of addresses, as people ask for it.
macro_rules! wanted_link {
    ($(#[$doc:meta])* pub struct $name:ident { $($body:tt)* }) => {
        any_link! { $(#[$doc])* pub struct $name { $($body)* } }

        impl $name {
            /// The link of a bond that has this number and leads there, with all that is said of this one.
            #[must_use]
            pub fn bonded(&self, id: u32, uri: String) -> $crate::control::BondingLink {
                let Self { interface, priority, weight, metered, cap_mb, .. } = self.clone();
                $crate::control::BondingLink { id, uri, interface, priority, weight, metered, cap_mb }
            }
        }
    };
}
pub(super) use {any_link, wanted_link};

any_link! {
    /// One link of a bond; `Debug` does not show what its address may have of secrets.
    #[derive(Clone, Default, PartialEq, Serialize, Deserialize)]
    pub struct BondingLink {
        /// Number of the link, unique in the bond.
        pub id: u32,
        /// Where it leads: `rist://host:port`. What else stands here as one of librist's parameters (`interface`, `weight`,
        /// `backup`, `metered`, `cap`) and in a field below must be the same in both.
        pub uri: String,
    }
}

impl fmt::Debug for BondingLink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { id, uri, interface, priority, weight, metered, cap_mb } = self;
        let mut out = f.debug_struct("BondingLink");
        out.field("id", id).field("uri", &public_part(uri)).field("interface", interface);
        out.field("priority", priority).field("weight", weight).field("metered", metered);
        out.field("cap_mb", cap_mb).finish()
    }
}

/// What of an address may be shown: nothing before an `@`, and no parameters; there could be secrets in either.
pub(super) fn public_part(uri: &str) -> &str {
    let place = uri.split(['?', '&']).next().unwrap_or_default();
    place.rsplit_once('@').map_or(place, |(_, place)| place)
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

/// How much is sent that may turn out not to have been needed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum BondingMode {
    /// Nothing is sent twice beforehand.
    Economy,
    /// Copies of critical packets on a second link, and of others from what the links have to spare.
    Balanced,
    /// Copies of critical packets on all links, and more of others.
    Robust,
}

impl BondingMode {
    /// Its name, as it goes over the wire.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Economy => "economy",
            Self::Balanced => "balanced",
            Self::Robust => "robust",
        }
    }
}

/// How packets are spread over links; absent fields keep their value or default.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Scheduler {
    /// Sets [`redundancy_enabled`](Self::redundancy_enabled), [`redundancy_spare_ratio`](Self::redundancy_spare_ratio),
    /// [`critical_broadcast`](Self::critical_broadcast) and [`critical_target_links`](Self::critical_target_links), where they do
    /// not stand beside it in the same message; `economy` when it was never given. Not in `control.md`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mode: Option<BondingMode>,
    /// Two queues, reliable and unreliable, under overload.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub storm_enabled: Option<bool>,
    /// Share of the reliable queue, 0 to 1.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "range::optional_ratio")]
    pub storm_reliable_weight: Option<f64>,
    /// Age at which an unreliable packet is dropped, ms.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub storm_unreliable_max_age_ms: Option<u32>,
    /// A packet that cannot arrive within this time is not sent, ms. When absent, the latency is that time, and towards a receiver that
    /// does not tell what arrives, as any but Strata's, only what has waited for so long is not sent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub discard_deadline_ms: Option<u32>,
    /// How far a link is filled ahead of what it is believed to carry, at most, ms. When absent, the engine chooses by the latency. Not in
    /// `control.md`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_ahead_ms: Option<u32>,
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
    /// Repair packets for what is lost and cannot be repeated in time. Not in `control.md` either.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fec_enabled: Option<bool>,
    /// Most bytes of repair packets per byte of the stream, 0 to 1. Not in `control.md` either.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "range::optional_ratio")]
    pub fec_max_ratio: Option<f64>,
    /// Keyframes, parameter sets and tables are copied to a second link.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub critical_broadcast: Option<bool>,
    /// On how many links such a packet is sent, the first one included, 1 to 64. Not in `control.md`.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "range::setting::<1, 64, _>"
    )]
    pub critical_target_links: Option<u32>,
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::control::{Command, CommandKind};

    #[test]
    fn a_mode_goes_by_its_name_and_another_is_refused() {
        for mode in [BondingMode::Economy, BondingMode::Balanced, BondingMode::Robust] {
            let scheduler = Scheduler { mode: Some(mode), ..Scheduler::default() };
            assert_eq!(serde_json::to_value(&scheduler).unwrap(), json!({"mode": mode.name()}));
            assert_eq!(serde_json::from_value::<Scheduler>(json!({"mode": mode.name()})).unwrap(), scheduler);
        }
        let absent = serde_json::to_value(Scheduler::default()).unwrap();
        assert_eq!(absent, json!({}), "older peers never see it");
        for wrong in [json!("Robust"), json!("fast"), json!(1)] {
            let update = json!({"scheduler": {"mode": wrong}}).to_string();
            let fault = Command::decode(CommandKind::ConfigUpdate, &update).unwrap_err();
            assert_eq!(fault.path, "payload.scheduler.mode", "{fault}");
        }
    }
}
