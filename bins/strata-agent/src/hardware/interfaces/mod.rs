//! Network interfaces: from what rtnetlink and sysfs say to what `device.status` says. Pure but for
//! [`Sysfs::read`].

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::Path;

use rtnetlink::packet_route::address::{AddressAttribute, AddressMessage, AddressScope};
use rtnetlink::packet_route::link::{LinkAttribute, LinkFlags, LinkMessage, State};
use rtnetlink::packet_route::route::{RouteAddress, RouteAttribute, RouteMessage, RouteType};
use strata_proto::control::{InterfaceState, InterfaceType, NetworkInterface};

/// All that rtnetlink says about interfaces, in three dumps.
#[derive(Debug, Default)]
pub(crate) struct Tables {
    /// Every link.
    pub(crate) links: Vec<LinkMessage>,
    /// Every address.
    pub(crate) addresses: Vec<AddressMessage>,
    /// Default routes; others may be left out.
    pub(crate) routes: Vec<RouteMessage>,
}

/// What sysfs says about one interface.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Sysfs {
    /// `type`: an ARPHRD number of linux/if_arp.h.
    hardware_type: Option<u16>,
    /// `DEVTYPE` of `uevent`, such as `wlan` or `wwan`.
    devtype: Option<String>,
    /// Whether there is a `wireless` or `phy80211` entry.
    wireless: bool,
    /// Whether a device is behind it; without one it is made by software.
    device: bool,
    driver: Option<String>,
    /// Subsystem and name of the device, such as `usb 1-1.2`.
    bus: Option<String>,
    product: Option<String>,
}

/// Every interface, by name, as far as it is known. `disabled` are those streams must not use.
pub(crate) fn report(
    tables: &Tables,
    sysfs: impl Fn(&str) -> Sysfs,
    disabled: &BTreeSet<String>,
) -> Vec<NetworkInterface> {
    let addresses = addresses(&tables.addresses);
    let gateways = default_routes(&tables.routes);
    let describe = |link: &LinkMessage| {
        let name = name(link)?;
        let address = addresses.get(&link.header.index).copied();
        let route = gateways.get(&link.header.index);
        let sysfs = sysfs(&name);
        Some(NetworkInterface {
            kind: sysfs.kind(&name),
            state: state(link, address.is_some()),
            ip: address.map(|a| a.ip.to_string()),
            carrier: None,
            signal_dbm: None,
            technology: None,
            enabled: Some(!disabled.contains(&name)),
            driver: sysfs.driver,
            bus: sysfs.bus,
            product: sysfs.product,
            subnet: address.map(Address::subnet),
            gateway: route.and_then(|gateway| gateway.map(|ip| ip.to_string())),
            has_default_route: Some(route.is_some()),
            band: None,
            rsrp: None,
            rsrq: None,
            sinr: None,
            name,
        })
    };
    let mut interfaces: Vec<NetworkInterface> = tables.links.iter().filter_map(describe).collect();
    interfaces.sort_by(|a, b| a.name.cmp(&b.name));
    interfaces.truncate(MAX_INTERFACES);
    interfaces
}

fn name(link: &LinkMessage) -> Option<String> {
    link.attributes.iter().find_map(|a| match a {
        LinkAttribute::IfName(name) => Some(name.clone()),
        _ => None,
    })
}

fn state(link: &LinkMessage, has_address: bool) -> InterfaceState {
    let up = link.header.flags.contains(LinkFlags::Up);
    let oper = link.attributes.iter().find_map(|a| match a {
        LinkAttribute::OperState(state) => Some(*state),
        _ => None,
    });
    match oper {
        _ if !up => InterfaceState::Disconnected,
        // RFC 2863: `unknown` is what drivers without link detection say (loopback, tunnels, modems).
        None | Some(State::Up | State::Unknown) if has_address => InterfaceState::Connected,
        None | Some(State::Up | State::Unknown | State::Dormant | State::Testing) => {
            InterfaceState::Connecting
        }
        Some(_) => InterfaceState::Disconnected,
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Address {
    ip: IpAddr,
    prefix: u8,
    global: bool,
}

impl Address {
    /// Smaller is better: reachable from outside before link-local, IPv4 before IPv6.
    fn rank(self) -> (bool, bool) {
        (!self.global, self.ip.is_ipv6())
    }

    fn subnet(self) -> String {
        let keep = u32::from(self.prefix);
        match self.ip {
            IpAddr::V4(ip) => {
                let mask = u32::MAX.checked_shl(32u32.saturating_sub(keep)).unwrap_or(0);
                format!("{}/{}", Ipv4Addr::from_bits(ip.to_bits() & mask), self.prefix)
            }
            IpAddr::V6(ip) => {
                let mask = u128::MAX.checked_shl(128u32.saturating_sub(keep)).unwrap_or(0);
                format!("{}/{}", Ipv6Addr::from_bits(ip.to_bits() & mask), self.prefix)
            }
        }
    }
}

/// The best address of each link.
fn addresses(messages: &[AddressMessage]) -> BTreeMap<u32, Address> {
    let mut best: BTreeMap<u32, Address> = BTreeMap::new();
    for message in messages {
        // On point-to-point links `Address` is the peer's and `Local` the own one.
        let local = message.attributes.iter().find_map(|a| match a {
            AddressAttribute::Local(ip) => Some(*ip),
            _ => None,
        });
        let any = message.attributes.iter().find_map(|a| match a {
            AddressAttribute::Address(ip) => Some(*ip),
            _ => None,
        });
        let Some(ip) = local.or(any) else { continue };
        let global = message.header.scope == AddressScope::Universe;
        let found = Address { ip, prefix: message.header.prefix_len, global };
        let have = best.entry(message.header.index).or_insert(found);
        if found.rank() < have.rank() {
            *have = found;
        }
    }
    best
}

/// Links a default route leaves by, with the gateway (IPv4's, if both have one).
fn default_routes(messages: &[RouteMessage]) -> BTreeMap<u32, Option<IpAddr>> {
    let mut gateways: BTreeMap<u32, Option<IpAddr>> = BTreeMap::new();
    let mut add = |index, gateway: Option<IpAddr>| {
        let have = gateways.entry(index).or_insert(gateway);
        if have.is_none() || (have.is_some_and(|ip| ip.is_ipv6()) && gateway.is_some_and(|ip| ip.is_ipv4())) {
            *have = gateway;
        }
    };
    for message in messages {
        if message.header.destination_prefix_length != 0 || message.header.kind != RouteType::Unicast {
            continue;
        }
        if let Some(index) = out_interface(&message.attributes) {
            add(index, gateway(&message.attributes));
        }
        let hops = message.attributes.iter().filter_map(|a| match a {
            RouteAttribute::MultiPath(hops) => Some(hops),
            _ => None,
        });
        for hop in hops.flatten() {
            add(hop.interface_index, gateway(&hop.attributes));
        }
    }
    gateways
}

fn out_interface(attributes: &[RouteAttribute]) -> Option<u32> {
    attributes.iter().find_map(|a| match a {
        RouteAttribute::Oif(index) => Some(*index),
        _ => None,
    })
}

fn gateway(attributes: &[RouteAttribute]) -> Option<IpAddr> {
    attributes.iter().find_map(|a| match a {
        RouteAttribute::Gateway(RouteAddress::Inet(ip)) => Some(IpAddr::V4(*ip)),
        RouteAttribute::Gateway(RouteAddress::Inet6(ip)) => Some(IpAddr::V6(*ip)),
        _ => None,
    })
}

impl Sysfs {
    /// Reads what is below `root` (`/sys/class/net`) for one interface; what is not there stays unknown.
    pub(crate) fn read(root: &Path, name: &str) -> Self {
        let dir = root.join(name);
        let text = |path: &str| {
            let text = std::fs::read_to_string(dir.join(path)).ok()?;
            Some(text.trim().to_owned()).filter(|t| !t.is_empty())
        };
        let target = |path: &str| {
            let target = std::fs::canonicalize(dir.join(path)).ok()?;
            Some(target.file_name()?.to_string_lossy().into_owned())
        };
        let devtype = text("uevent").and_then(|uevent| {
            uevent.lines().find_map(|line| line.strip_prefix("DEVTYPE=").map(str::to_owned))
        });
        let bus = target("device").map(|device| match target("device/subsystem") {
            Some(subsystem) => format!("{subsystem} {device}"),
            None => device,
        });
        Self {
            hardware_type: text("type").and_then(|t| t.parse().ok()),
            devtype,
            wireless: dir.join("wireless").exists() || dir.join("phy80211").exists(),
            device: dir.join("device").exists(),
            driver: target("device/driver"),
            // The interface's device is one function of a USB device, whose name its parent holds.
            product: text("device/../product").or_else(|| text("device/product")),
            bus,
        }
    }

    fn kind(&self, name: &str) -> InterfaceType {
        let driver = self.driver.as_deref().unwrap_or_default();
        match self.hardware_type {
            Some(ARPHRD_LOOPBACK) => InterfaceType::Loopback,
            _ if self.devtype.as_deref() == Some("wwan") || name.starts_with("wwan") => {
                InterfaceType::Cellular
            }
            _ if MODEM_DRIVERS.contains(&driver) => InterfaceType::Cellular,
            _ if self.devtype.as_deref() == Some("wlan") || self.wireless => InterfaceType::Wifi,
            // In containers the only way out is a virtual pair that is named like a cable.
            Some(ARPHRD_ETHER) if self.devtype.is_none() && (self.device || name.starts_with("eth")) => {
                InterfaceType::Ethernet
            }
            _ => InterfaceType::Other,
        }
    }
}

/// linux/if_arp.h
const ARPHRD_ETHER: u16 = 1;
const ARPHRD_LOOPBACK: u16 = 772;
/// Kernel drivers that only modems have (drivers/net/usb, drivers/net/wwan).
const MODEM_DRIVERS: [&str; 8] =
    ["qmi_wwan", "cdc_mbim", "huawei_cdc_ncm", "sierra_net", "hso", "iosm", "mtk_t7xx", "mhi_net"];
/// A device with more interfaces reports the first ones by name: containers make hundreds.
const MAX_INTERFACES: usize = 64;

#[cfg(test)]
mod tests;
