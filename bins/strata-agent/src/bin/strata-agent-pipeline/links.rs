//! From the links of `bonding_config` to what the engine takes. Pure but for name lookup.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr, ToSocketAddrs as _};

use anyhow::Context as _;
use strata_agent_protocol::stream::PipelineConfig;
use strata_media::net::url::{Host, RistUrl, RistUrls};
use strata_media::net::{LinkConfig, SenderConfig};
use strata_proto::control::{BondingLink, LinkPriority};

/// What was found for the host of a link. A name has its first address as long as a link leads there: looking it up again
/// could move links that nobody wanted to change.
pub(crate) type Addresses = BTreeMap<String, IpAddr>;

/// Where links lead; names without a `known` address are looked up, which may take seconds.
///
/// # Errors
/// When a name has no address.
pub(crate) fn addresses(links: &[BondingLink], known: &Addresses) -> anyhow::Result<Addresses> {
    let mut found = Addresses::new();
    for (link, url) in links.iter().zip(urls(links)?.urls()) {
        let place = place(url);
        let ip = match known.get(&place) {
            Some(known) => *known,
            None => resolve(url).with_context(|| format!("link {}: {}", link.id, url.authority()))?,
        };
        found.insert(place, ip);
    }
    Ok(found)
}

/// The sender that the links of a stream make, as their addresses and their fields have it; in all else as the constructor.
///
/// # Errors
/// When the address of a link is not known, or what the links say does not go together.
pub(crate) fn sender(config: &PipelineConfig, addresses: &Addresses) -> anyhow::Result<SenderConfig> {
    let links = &config.bonding.links;
    let urls = urls(links)?;
    let found = urls.urls().iter().map(|url| addresses.get(&place(url)).copied());
    let found: Option<Vec<_>> = found.collect();
    let found = found.context("the address of a link is not known")?;
    let mut sender = urls.at(found).or_cname(config.stream_id.to_string()).sender()?;
    for (link, given) in sender.links.iter_mut().zip(links) {
        lay_over(link, &config.rules.prefer(given));
        link.spent_bytes = config.spent.get(&given.id).copied().unwrap_or_default();
    }
    Ok(sender)
}

/// The fields of a link hold what its address says too.
fn lay_over(link: &mut LinkConfig, given: &BondingLink) {
    link.id = given.id;
    link.interface.clone_from(&given.interface);
    link.backup = given.priority == Some(LinkPriority::Backup);
    link.metered = given.metered.unwrap_or_default();
    link.weight = given.weight.unwrap_or_default();
    link.cap_bytes = given.cap_mb.map(|megabytes| u64::from(megabytes) * MEGABYTE);
}

fn urls(links: &[BondingLink]) -> anyhow::Result<RistUrls> {
    let uris: Vec<_> = links.iter().map(|link| link.uri.as_str()).collect();
    Ok(uris.join(",").parse()?)
}

/// Host and port as they are written, for links of this source.
fn place(url: &RistUrl) -> String {
    url.source().map_or_else(|| url.authority(), |source| format!("{} from {source}", url.authority()))
}

fn resolve(url: &RistUrl) -> anyhow::Result<IpAddr> {
    let name = match url.host() {
        Host::Ip(ip) => return Ok(*ip),
        Host::Name(name) => name.as_str(),
    };
    let fits = |addr: &SocketAddr| url.source().is_none_or(|source| source.is_ipv4() == addr.is_ipv4());
    let found = (name, url.port()).to_socket_addrs()?.find(fits);
    Ok(found.context("the host has no address, or none of the family of its source")?.ip())
}

const MEGABYTE: u64 = 1_000_000;

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use serde_json::{Value, json};
    use strata_media::net::{AesType, Credentials, Passphrase, Profile, Psk};

    use super::*;

    fn config(links: &Value) -> PipelineConfig {
        serde_json::from_value(json!({
            "stream_id": "str_1", "source": {"mode": "test"}, "encoder": {}, "latency_ms": 1000,
            "stats_interval_ms": 1000, "parent": 1, "log": "info", "bonding": {"version": 1, "links": links},
        }))
        .unwrap()
    }

    fn sender(links: &Value) -> SenderConfig {
        let config = config(links);
        let found = addresses(&config.bonding.links, &Addresses::new()).unwrap();
        super::sender(&config, &found).unwrap()
    }

    #[test]
    fn what_a_link_costs_is_passed_on() {
        let uri = "rist://127.0.0.1:15000";
        let mut config = config(&json!([
            {"id": 3, "uri": uri, "interface": "wwan0", "priority": "backup", "weight": 5, "metered": true, "cap_mb": 500},
            {"id": 4, "uri": uri},
        ]));
        config.spent = BTreeMap::from([(2, 7), (3, 8)]);
        let found = addresses(&config.bonding.links, &Addresses::new()).unwrap();
        let mut links = super::sender(&config, &found).unwrap().links;
        assert_eq!(links.pop(), Some(LinkConfig::new(4, "127.0.0.1:15000".parse().unwrap())));
        let link = &links[0];
        assert_eq!((link.id, link.interface.as_deref(), link.weight), (3, Some("wwan0"), 5));
        assert!(link.backup && link.metered);
        assert_eq!((link.cap_bytes, link.spent_bytes), (Some(500_000_000), 8));
    }

    #[test]
    fn what_only_an_address_can_say_is_passed_on() {
        let key = "secret=correct horse&aes-type=128&key-rotation=2000";
        let sent = sender(&json!([
            {"id": 7, "uri": format!("rist://127.0.0.1:15001?{key}&source=127.0.0.2")},
            {"id": 9, "uri": "rist://127.0.0.1:15001?username=me&password=word&rver=0"},
        ]));
        let mut psk = Psk::new(Passphrase::new("correct horse").unwrap());
        (psk.aes_type, psk.key_rotation) = (AesType::Aes128, Some(2000));
        assert_eq!(sent.psk, Some(psk.with_rver(strata_media::net::Rver::Zero)));
        assert_eq!((sent.profile, sent.credentials), (Profile::Main, Credentials::new("me", "word")));
        let links: Vec<_> = sent.links.iter().map(|link| (link.id, link.source)).collect();
        assert_eq!(links, [(7, Some([127, 0, 0, 2].into())), (9, None)]);
        assert_eq!((sent.cname.as_str(), sent.latency), ("str_1", Duration::from_secs(1)));
        let named = sender(&json!([{"id": 0, "uri": "rist://239.1.1.1:6000?cname=van-1&ttl=3"}]));
        assert_eq!(
            (named.cname.as_str(), named.links[0].hops, named.profile),
            ("van-1", Some(3), Profile::Simple)
        );
    }

    #[test]
    fn a_name_is_looked_up_once() {
        let link = |query| BondingLink {
            uri: format!("rist://no-such-host.invalid:15000{query}"),
            ..BondingLink::default()
        };
        addresses(&[link("")], &Addresses::new()).unwrap_err();
        let known =
            Addresses::from([("rist://no-such-host.invalid:15000".to_owned(), [127, 0, 0, 1].into())]);
        assert_eq!(addresses(&[link("?weight=5")], &known).unwrap(), known);
        // It could be of the other family.
        addresses(&[link("?source=[::1]")], &known).unwrap_err();
    }

    #[test]
    fn an_address_or_a_name_is_resolved() {
        let resolved = |uri: &str| {
            let urls: RistUrls = uri.parse().unwrap();
            resolve(&urls.urls()[0])
        };
        assert_eq!(resolved("rist://127.0.0.1:15000").unwrap(), IpAddr::from([127, 0, 0, 1]));
        assert_eq!(resolved("rist://[::1]:15002?buffer=500").unwrap(), "::1".parse::<IpAddr>().unwrap());
        assert!(resolved("rist://localhost:15004").unwrap().is_loopback());
    }

    #[test]
    fn no_secret_is_in_the_words_of_an_error() {
        let uri = "rist://no-such-host.invalid:15001?secret=topsecret";
        let links = [BondingLink { uri: uri.to_owned(), ..BondingLink::default() }];
        let error = format!("{:#}", addresses(&links, &Addresses::new()).unwrap_err());
        assert!(
            error.contains("link 0: rist://no-such-host.invalid:15001") && !error.contains("topsecret"),
            "{error}"
        );
    }
}
