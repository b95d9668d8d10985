//! From `bonding_config` to what the engine takes. Pure but for name lookup.

use std::net::{SocketAddr, ToSocketAddrs as _};
use std::time::Duration;

use anyhow::Context as _;
use strata_agent_protocol::stream::PipelineConfig;
use strata_media::bond::SchedulerParams;
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
    sender.scheduler = scheduler(&config.bonding.scheduler);
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

/// The scheduler as the engine takes it; the agent lets nothing through that the engine does not know.
pub(crate) fn scheduler(scheduler: &Scheduler) -> SchedulerParams {
    let mut params = SchedulerParams::default();
    params.discard_deadline = scheduler.discard_deadline_ms.map(|ms| Duration::from_millis(ms.into()));
    params
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
    fn the_deadline_is_the_engine_s() {
        let given = Scheduler { discard_deadline_ms: Some(200), ..Scheduler::default() };
        assert_eq!(scheduler(&given).discard_deadline, Some(Duration::from_millis(200)));
    }
}
