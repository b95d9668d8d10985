//! A change of the running stream: made ready beside it, for a name to be looked up takes long, then applied as a whole.

use std::time::Duration;

use strata_agent_protocol::stream::PipelineConfig;
use strata_media::net::SenderUpdate;
use strata_proto::control::ConfigUpdate;

use crate::bond;
use crate::links::{self, Addresses};

/// What is to change, with everything that could be refused known to be good.
#[derive(Debug)]
pub(crate) struct Change {
    /// As it was asked for.
    pub(crate) update: ConfigUpdate,
    /// Where all links lead, with it.
    pub(crate) addresses: Addresses,
}

impl Change {
    /// Makes `update` ready, with which the configuration is `merged`; may take seconds.
    ///
    /// # Errors
    /// The field that the engine refuses, or the name that has no address.
    pub(crate) fn new(
        update: ConfigUpdate,
        merged: &PipelineConfig,
        known: &Addresses,
    ) -> anyhow::Result<Self> {
        bond::scheduler(&merged.bonding.scheduler)?;
        let addresses = links::addresses(&merged.bonding.links, known)?;
        Ok(Self { update, addresses })
    }
}

/// What the engine is told, to come from one configuration to the other: links that stay as they are are left alone.
///
/// # Errors
/// When a link is new and its address unknown, or the scheduler refused; never with a [`Change`] that was made ready.
pub(crate) fn between(
    before: &PipelineConfig,
    after: &PipelineConfig,
    addresses: &Addresses,
) -> anyhow::Result<SenderUpdate> {
    let mut update = SenderUpdate::default();
    if after.latency_ms != before.latency_ms {
        update.latency = Some(Duration::from_millis(after.latency_ms.into()));
    }
    if after.bonding.scheduler != before.bonding.scheduler {
        update.scheduler = Some(bond::scheduler(&after.bonding.scheduler)?);
    }
    let old: Vec<_> = before.bonding.links.iter().map(|link| before.rules.prefer(link)).collect();
    let new: Vec<_> = after.bonding.links.iter().map(|link| after.rules.prefer(link)).collect();
    let gone = old.iter().filter(|old| !new.iter().any(|new| new.id == old.id));
    update.remove = gone.map(|link| link.id).collect();
    let told = links::sender(after, addresses)?.links;
    update.links =
        told.into_iter().zip(&new).filter(|(_, link)| !old.contains(link)).map(|(told, _)| told).collect();
    update.enabled = new.iter().map(|link| (link.id, after.rules.allow(link))).collect();
    Ok(update)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};
    use strata_agent_protocol::interfaces::Preference;
    use strata_media::net::LinkConfig;

    use super::*;

    fn running() -> PipelineConfig {
        serde_json::from_value(json!({
            "stream_id": "str_1", "source": {"mode": "test"}, "encoder": {}, "latency_ms": 1000,
            "stats_interval_ms": 1000, "parent": 1, "log": "info", "rules": {"disabled": ["wwan1"]},
            "bonding": {"version": 1, "links": [
                {"id": 0, "uri": "rist://127.0.0.1:15000", "interface": "wwan0"},
                {"id": 1, "uri": "rist://127.0.0.1:15002", "interface": "wwan1"},
                {"id": 2, "uri": "rist://127.0.0.1:15004"},
            ]},
        }))
        .unwrap()
    }

    fn change(update: Value) -> (PipelineConfig, anyhow::Result<SenderUpdate>) {
        let before = running();
        let update: ConfigUpdate = serde_json::from_value(update).unwrap();
        let mut after = before.clone();
        after.merge(&update);
        let told = Change::new(update, &after, &Addresses::default());
        let told = told.and_then(|change| between(&before, &after, &change.addresses));
        (after, told)
    }

    #[test]
    fn a_complete_list_adds_removes_and_changes() {
        let (after, told) = change(json!({"links": [
            {"id": 0, "uri": "rist://127.0.0.1:15000", "interface": "wwan0", "weight": 5},
            {"id": 1, "uri": "rist://127.0.0.1:15002", "interface": "wwan1"},
            {"id": 3, "uri": "rist://127.0.0.1:15006?buffer=500", "metered": true, "cap_mb": 2},
        ]}));
        let told = told.unwrap();
        let links: Vec<_> = told.links.iter().map(|l| (l.id, l.weight, l.metered, l.cap_bytes)).collect();
        assert_eq!(links, [(0, 5, false, None), (3, 0, true, Some(2_000_000))], "1 stays as it is");
        assert_eq!((told.remove, told.enabled), (vec![2], vec![(0, true), (1, false), (3, true)]));
        assert_eq!((told.latency, after.latency_ms), (Some(Duration::from_millis(500)), 500));
        assert!(told.scheduler.is_none());
    }

    #[test]
    fn nothing_is_told_of_what_does_not_change() {
        let (after, told) = change(json!({"scheduler": {"discard_deadline_ms": 300}}));
        let told = told.unwrap();
        assert!(told.scheduler.is_some() && told.links.is_empty() && told.remove.is_empty());
        assert_eq!((told.latency, after.bonding.links), (None, running().bonding.links));
    }

    #[test]
    fn a_name_without_an_address_refuses_the_whole() {
        let (_, told) = change(json!({
            "scheduler": {"discard_deadline_ms": 300},
            "links": [{"id": 0, "uri": "rist://no-such-host.invalid:15000"}],
        }));
        let error = format!("{:#}", told.unwrap_err());
        assert!(error.contains("link 0: rist://no-such-host.invalid:15000"), "{error}");
    }

    #[test]
    fn what_is_said_of_an_interface_changes_its_links() {
        let before = running();
        let addresses = links::addresses(&before.bonding.links, &Addresses::default()).unwrap();
        let said = |preference| {
            let mut after = before.clone();
            after.rules.preferences.insert("wwan0".to_owned(), preference);
            let there = between(&before, &after, &addresses).unwrap();
            let back = between(&after, &before, &addresses).unwrap();
            assert!(there.remove.is_empty() && there.enabled == [(0, true), (1, false), (2, true)]);
            [there, back].map(|mut update| (update.links.pop(), update.links.len()))
        };
        let mut plain = LinkConfig::new(0, "127.0.0.1:15000".parse().unwrap());
        plain.interface = Some("wwan0".to_owned());
        let (mut backup, mut heavy) = (plain.clone(), plain.clone());
        (backup.backup, heavy.weight) = (true, 7);
        assert_eq!(said(Preference::Backup), [(Some(backup), 0), (Some(plain.clone()), 0)]);
        assert_eq!(said(Preference::Weight(7)), [(Some(heavy), 0), (Some(plain), 0)]);
    }
}
