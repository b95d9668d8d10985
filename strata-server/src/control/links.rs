//! Links as people ask for them: checked against the device, and led to the receiver's ports.

use strata_proto::control::{
    DeviceStatus, ErrorCode, Fault, InterfaceState, InterfaceType, LinkPriority, StartLink,
};

use super::config::host_part;
use super::plan::invalid;

/// One link per connected interface of the device's last report, loopback left out, or a single one when nothing is known.
pub(super) fn connected(status: Option<&DeviceStatus>) -> Vec<StartLink> {
    let interfaces = status.map(|s| s.network_interfaces.as_slice()).unwrap_or_default();
    let mut links: Vec<_> = interfaces
        .iter()
        .filter(|i| i.state == InterfaceState::Connected && i.kind != InterfaceType::Loopback)
        .filter(|i| i.enabled != Some(false))
        .map(|i| StartLink { interface: Some(i.name.clone()), ..StartLink::default() })
        .take(MAX_LINKS)
        .collect();
    if links.is_empty() {
        links.push(StartLink::default());
    }
    links
}

/// Checks, of each link, its interface and priority; `most` links may be used.
pub(super) fn check<'a>(
    links: impl ExactSizeIterator<Item = (Option<&'a String>, Option<LinkPriority>)>,
    most: usize,
) -> Result<(), Fault> {
    let count = links.len();
    if !(1..=most).contains(&count) {
        return Err(invalid("links", format!("has {count} links, must have 1 to {most}")));
    }
    let bad = |name: &String| name.is_empty() || name.len() > INTERFACE_NAME || name.contains(['/', ' ']);
    for (i, (interface, priority)) in links.enumerate() {
        if interface.is_some_and(bad) {
            return Err(invalid(format!("links[{i}].interface"), "is not the name of an interface"));
        }
        if priority == Some(LinkPriority::Unknown) {
            return Err(invalid(format!("links[{i}].priority"), "expected normal or backup"));
        }
    }
    Ok(())
}

/// Interfaces that the device did not report, or may not use, are refused before anything is started.
/// A device that reported none has not said what it has.
pub(super) fn check_reported(links: &[StartLink], status: Option<&DeviceStatus>) -> Result<(), Fault> {
    let Some(status) = status.filter(|status| !status.network_interfaces.is_empty()) else { return Ok(()) };
    for (i, link) in links.iter().enumerate() {
        let Some(name) = &link.interface else { continue };
        let field = format!("links[{i}].interface");
        match status.network_interfaces.iter().find(|interface| interface.name == *name) {
            None => {
                let message = format!("this device has no interface {name:.32}");
                return Err(Fault::new(ErrorCode::NOT_FOUND, message).with_field(field));
            }
            Some(interface) if interface.enabled == Some(false) => {
                return Err(invalid(field, format!("{name:.32} is disabled on this device")));
            }
            Some(_) => {}
        }
    }
    Ok(())
}

/// Where link `i` of a stream leads: to `hosts[i % n]`, at `port`.
pub(super) fn uri(i: usize, port: u16, latency_ms: u32, hosts: &[String]) -> String {
    let host = hosts.get(i % hosts.len().max(1)).map_or("localhost", String::as_str);
    let host = host_part(host).unwrap_or_else(|| host.to_owned());
    match latency_ms {
        RIST_BUFFER_MS => format!("rist://{host}:{port}"),
        other => format!("rist://{host}:{port}?buffer={other}"),
    }
}

/// A receiver reports its links once per second; more paths than these exist on no device.
pub(super) const MAX_LINKS: usize = 8;
/// `IFNAMSIZ` without its NUL.
const INTERFACE_NAME: usize = 15;
/// Buffer of RIST senders and receivers when nothing else is said (TR-06-1 appendix B).
const RIST_BUFFER_MS: u32 = 1000;
