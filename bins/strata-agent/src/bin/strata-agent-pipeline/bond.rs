//! From `bonding_config` to what the engine takes. Pure but for name lookup.

use std::net::{SocketAddr, ToSocketAddrs as _};
use std::time::Duration;

use anyhow::Context as _;
use strata_agent_protocol::stream::PipelineConfig;
use strata_media::bond::{Mode, SchedulerParams};
use strata_media::net::{LinkConfig, SenderConfig};
use strata_proto::control::{BondingLink, LinkPriority, Scheduler};
use url::Url;

/// The bond as the engine takes it; names are looked up.
///
/// # Errors
/// When a name has no address.
pub(crate) fn sender_config(config: &PipelineConfig) -> anyhow::Result<SenderConfig> {
    let links = config.bonding.links.iter().map(link).collect::<anyhow::Result<_>>()?;
    let mut sender = SenderConfig::new(links);
    sender.latency = Duration::from_millis(config.latency_ms.into());
    sender.scheduler = scheduler(&config.bonding.scheduler)?;
    sender.cname = config.stream_id.to_string();
    Ok(sender)
}

fn link(link: &BondingLink) -> anyhow::Result<LinkConfig> {
    let remote = resolve(&link.uri).with_context(|| format!("link {}: {}", link.id, link.uri))?;
    let mut config = LinkConfig::new(link.id, remote);
    config.interface.clone_from(&link.interface);
    config.backup = link.priority == Some(LinkPriority::Backup);
    Ok(config)
}

fn resolve(uri: &str) -> anyhow::Result<SocketAddr> {
    let url = Url::parse(uri)?;
    let host = url.host_str().context("no host")?.trim_matches(['[', ']']);
    let port = url.port().context("no port")?;
    (host, port).to_socket_addrs()?.next().context("the host has no address")
}

/// The scheduler as the engine takes it: absent fields as in its economy mode.
///
/// # Errors
/// The field that the engine refuses.
pub(crate) fn scheduler(given: &Scheduler) -> anyhow::Result<SchedulerParams> {
    let mut params = SchedulerParams::new(Mode::Economy);
    let ms = |ms: u32| Duration::from_millis(ms.into());
    params.discard_deadline = given.discard_deadline_ms.map(ms);
    let copies = &mut params.redundancy;
    take(&mut copies.enabled, given.redundancy_enabled);
    take(&mut copies.spare_ratio, given.redundancy_spare_ratio);
    take(&mut copies.max_packet_bytes, given.redundancy_max_packet_bytes.map(|bytes| bytes as usize));
    take(&mut copies.target_links, given.redundancy_target_links.map(|links| links as usize));
    take(&mut params.critical_broadcast.enabled, given.critical_broadcast);
    let storm = &mut params.storm;
    take(&mut storm.enabled, given.storm_enabled);
    take(&mut storm.reliable_weight, given.storm_reliable_weight);
    take(&mut storm.unreliable_max_age, given.storm_unreliable_max_age_ms.map(ms));
    take(&mut params.failover.suspect_after, given.failover_suspect_ms.map(ms));
    take(&mut params.failover.readmit_after, given.failover_readmit_ms.map(ms));
    params.check()?;
    Ok(params)
}

fn take<T>(have: &mut T, given: Option<T>) {
    if let Some(given) = given {
        *have = given;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses() {
        assert_eq!(resolve("rist://127.0.0.1:15000").unwrap(), "127.0.0.1:15000".parse().unwrap());
        assert_eq!(resolve("rist://[::1]:15002?buffer=500").unwrap(), "[::1]:15002".parse().unwrap());
        assert_eq!(resolve("rist://localhost:15004").unwrap().port(), 15004);
        resolve("rist://127.0.0.1").unwrap_err();
    }

    #[test]
    fn every_field_finds_its_place() {
        let nothing = scheduler(&Scheduler::default()).unwrap();
        assert_eq!(nothing, SchedulerParams::new(Mode::Economy));
        let given = Scheduler {
            storm_enabled: Some(true),
            storm_reliable_weight: Some(0.7),
            storm_unreliable_max_age_ms: Some(150),
            discard_deadline_ms: Some(200),
            redundancy_enabled: Some(true),
            redundancy_spare_ratio: Some(0.4),
            redundancy_max_packet_bytes: Some(1000),
            redundancy_target_links: Some(3),
            critical_broadcast: Some(true),
            failover_suspect_ms: Some(300),
            failover_readmit_ms: Some(900),
        };
        let params = scheduler(&given).unwrap();
        assert_eq!(params.discard_deadline, Some(Duration::from_millis(200)));
        let storm = params.storm;
        assert!(storm.enabled && storm.reliable_weight == 0.7);
        assert_eq!(storm.unreliable_max_age, Duration::from_millis(150));
        let copies = params.redundancy;
        assert!(copies.enabled && copies.spare_ratio == 0.4 && params.critical_broadcast.enabled);
        assert_eq!((copies.max_packet_bytes, copies.target_links), (1000, 3));
        let failover = params.failover;
        let ms = |time: Duration| time.as_millis();
        assert_eq!((ms(failover.suspect_after), ms(failover.readmit_after)), (300, 900));
    }

    #[test]
    fn what_the_engine_refuses_is_named() {
        let given = Scheduler { discard_deadline_ms: Some(0), ..Scheduler::default() };
        assert!(scheduler(&given).unwrap_err().to_string().contains("discard_deadline_ms"));
    }
}
