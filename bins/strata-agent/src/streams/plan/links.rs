//! Links: checked as a whole, and what stands in their addresses brought into their fields.

use std::collections::BTreeSet;
use std::fmt::Debug;

use strata_agent_protocol::interfaces::Rules;
use strata_media::net::SenderConfig;
use strata_proto::control::{BondingLink, ErrorCode, Fault, NetworkInterface};

use super::{bad, uri};

/// Interfaces, as links may use them.
#[derive(Debug)]
pub(crate) struct Interfaces<'a> {
    /// Those there are.
    pub(crate) present: &'a [NetworkInterface],
    /// What was said of them.
    pub(crate) rules: &'a Rules,
    /// Those of the running stream: their links may stay while they are unplugged or disabled.
    pub(crate) in_use: &'a BTreeSet<String>,
}

/// Checks links as a whole; they come back with what their addresses say in their fields.
pub(super) fn settle(
    links: &[BondingLink],
    field: &str,
    interfaces: &Interfaces<'_>,
) -> Result<Vec<BondingLink>, Fault> {
    if links.is_empty() || links.len() > MAX_LINKS {
        return Err(bad(field, format!("expected 1 to {MAX_LINKS} links")));
    }
    let mut ids = BTreeSet::new();
    for (i, link) in links.iter().enumerate() {
        if !ids.insert(link.id) {
            return Err(bad(
                &format!("{field}[{i}].id"),
                format!("{} is the id of another link too", link.id),
            ));
        }
    }
    let urls = uri::read(&uris(links), |i| format!("{field}[{i}].uri"))?;
    let mut settled = Vec::new();
    for (i, (link, url)) in links.iter().zip(urls.urls()).enumerate() {
        let field = format!("{field}[{i}]");
        let link = agreed(link, uri::link(link.id, &link.uri, url), &field)?;
        if let Some(name) = &link.interface {
            interfaces.check(name, &format!("{field}.interface"))?;
        }
        settled.push(link);
    }
    Ok(settled)
}

/// The links that addresses alone make: `rist://host:port`, with librist's parameters.
pub(super) fn of_uris(
    uris: &[String],
    field: &str,
    interfaces: &Interfaces<'_>,
) -> Result<Vec<BondingLink>, Fault> {
    let field = |i: usize| format!("{field}[{i}]");
    if uris.is_empty() {
        return Ok(Vec::new());
    }
    let texts: Vec<_> = uris.iter().map(String::as_str).collect();
    let urls = uri::read(&texts, field)?;
    let links = (0..).zip(texts).zip(urls.urls()).map(|((id, text), url)| uri::link(id, text, url));
    let links: Vec<_> = links.collect();
    for (i, link) in links.iter().enumerate() {
        link.interface.as_ref().map_or(Ok(()), |name| interfaces.check(name, &field(i)))?;
    }
    Ok(links)
}

/// Refuses links that would send in clear, or as another, what `destinations` have a key or a user for: the links are what is used.
pub(super) fn keep_secret(
    destinations: &[BondingLink],
    links: &[BondingLink],
    field: &str,
) -> Result<(), Fault> {
    if destinations.is_empty() {
        return Ok(());
    }
    let (said, used) = (stream(destinations, field)?, stream(links, field)?);
    let same_key = said.psk.is_none() || said.psk == used.psk;
    if same_key && (said.credentials.is_none() || said.credentials == used.credentials) {
        return Ok(());
    }
    Err(bad(field, "destinations have a secret or a password, and the links another one or none".to_owned()))
}

/// Refuses links that differ from those of a running stream in what it has in common for all its life.
pub(super) fn go_on(running: &[BondingLink], links: &[BondingLink], field: &str) -> Result<(), Fault> {
    let (before, after) = (stream(running, field)?, stream(links, field)?);
    let fixed = [
        ("secret, or its aes-type, key-rotation or rver,", before.psk == after.psk),
        ("username or password", before.credentials == after.credentials),
        ("cname", before.cname == after.cname),
        ("profile", before.profile == after.profile),
        ("null-packet-deletion", before.null_packet_deletion == after.null_packet_deletion),
        ("sequence-extension", before.sequence_extension == after.sequence_extension),
        ("full-datagrams", before.full_datagrams == after.full_datagrams),
        ("virt-dst-port", before.virtual_port == after.virtual_port),
    ];
    let Some((what, _)) = fixed.into_iter().find(|(_, same)| !same) else { return Ok(()) };
    let new = links.iter().position(|link| !running.iter().any(|old| old.uri == link.uri)).unwrap_or(0);
    let message = format!("another {what} than the running stream's, which keeps it to its end");
    Err(bad(&format!("{field}[{new}].uri"), message))
}

/// What links say of their stream.
fn stream(links: &[BondingLink], field: &str) -> Result<SenderConfig, Fault> {
    let urls = uri::read(&uris(links), |i| format!("{field}[{i}].uri"))?;
    uri::stream(&urls).map_err(|error| bad(field, error.to_string()))
}

fn uris(links: &[BondingLink]) -> Vec<&str> {
    links.iter().map(|link| link.uri.as_str()).collect()
}

/// What a link's fields and its address say together.
fn agreed(link: &BondingLink, said: BondingLink, field: &str) -> Result<BondingLink, Fault> {
    let key = |key: &str| format!("{field}.{key}");
    Ok(BondingLink {
        id: link.id,
        uri: said.uri,
        interface: either(&link.interface, said.interface, &key("interface"))?,
        priority: either(&link.priority, said.priority, &key("priority"))?,
        weight: either(&link.weight, said.weight, &key("weight"))?,
        metered: either(&link.metered, said.metered, &key("metered"))?,
        cap_mb: either(&link.cap_mb, said.cap_mb, &key("cap_mb"))?,
    })
}

fn either<T: Clone + PartialEq + Debug>(
    given: &Option<T>,
    said: Option<T>,
    field: &str,
) -> Result<Option<T>, Fault> {
    match (given, said) {
        (Some(given), Some(said)) if *given != said => {
            Err(bad(field, format!("this is {given:?}, and the link's uri says {said:?}")))
        }
        (given, said) => Ok(given.clone().or(said)),
    }
}

impl Interfaces<'_> {
    pub(super) fn check(&self, name: &str, field: &str) -> Result<(), Fault> {
        if self.in_use.contains(name) {
            return Ok(());
        }
        if !self.present.iter().any(|interface| interface.name == name) {
            let message = format!("this device has no interface {name:.32}");
            return Err(Fault::new(ErrorCode::NOT_FOUND, message).with_field(field));
        }
        if self.rules.disabled.contains(name) {
            return Err(bad(field, format!("{name:.32} is disabled; enable it with interface.command")));
        }
        Ok(())
    }
}

/// A device with more modems does not exist; a list of thousands is a mistake.
pub(super) const MAX_LINKS: usize = 16;
