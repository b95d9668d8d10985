use rtnetlink::RouteMessageBuilder;

use super::*;

fn link(index: u32, name: &str, flags: LinkFlags, state: State) -> LinkMessage {
    let mut link = LinkMessage::default();
    link.header.index = index;
    link.header.flags = flags;
    link.attributes = vec![LinkAttribute::IfName(name.to_owned()), LinkAttribute::OperState(state)];
    link
}

fn address(index: u32, ip: IpAddr, prefix: u8, scope: AddressScope) -> AddressMessage {
    let mut message = AddressMessage::default();
    message.header.index = index;
    message.header.prefix_len = prefix;
    message.header.scope = scope;
    message.attributes = vec![AddressAttribute::Address(ip)];
    message
}

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

fn one(tables: &Tables) -> NetworkInterface {
    report(tables, |_| Sysfs::default(), &BTreeSet::new()).remove(0)
}

#[test]
fn address_subnet_gateway_and_route() {
    let up = LinkFlags::Up | LinkFlags::Running;
    let four = RouteMessageBuilder::<Ipv4Addr>::new;
    let six = RouteMessageBuilder::<Ipv6Addr>::new;
    let tables = Tables {
        links: vec![link(2, "wwan0", up, State::Unknown), link(1, "eth1", up, State::Down)],
        addresses: vec![
            address(2, ip("fe80::1"), 64, AddressScope::Link),
            address(2, ip("2001:db8::7"), 64, AddressScope::Universe),
            address(2, ip("10.45.0.2"), 28, AddressScope::Universe),
        ],
        routes: vec![
            six().output_interface(2).gateway("fe80::2".parse().unwrap()).build(),
            four().output_interface(2).gateway([10, 45, 0, 1].into()).build(),
            four()
                .destination_prefix([10, 0, 0, 0].into(), 8)
                .output_interface(1)
                .gateway([1, 1, 1, 1].into())
                .build(),
        ],
    };
    let disabled = BTreeSet::from(["eth1".to_owned()]);
    let interfaces = report(&tables, |_| Sysfs::default(), &disabled);
    let [eth, wwan] = &interfaces[..] else { panic!("{interfaces:?}") };
    assert_eq!((eth.name.as_str(), eth.state), ("eth1", InterfaceState::Disconnected));
    assert_eq!((eth.enabled, eth.has_default_route, &eth.ip), (Some(false), Some(false), &None));
    assert_eq!((wwan.kind, wwan.state), (InterfaceType::Cellular, InterfaceState::Connected));
    assert_eq!(wwan.ip.as_deref(), Some("10.45.0.2"));
    assert_eq!(wwan.subnet.as_deref(), Some("10.45.0.0/28"));
    assert_eq!(wwan.gateway.as_deref(), Some("10.45.0.1"));
    assert_eq!((wwan.enabled, wwan.has_default_route), (Some(true), Some(true)));
}

#[test]
fn states() {
    let up = LinkFlags::Up;
    for (flags, oper, addressed, expected) in [
        (up, State::Up, true, InterfaceState::Connected),
        (up, State::Up, false, InterfaceState::Connecting),
        (up, State::Dormant, true, InterfaceState::Connecting),
        (up, State::Down, true, InterfaceState::Disconnected),
        (up, State::LowerLayerDown, true, InterfaceState::Disconnected),
        (LinkFlags::empty(), State::Up, true, InterfaceState::Disconnected),
    ] {
        let addresses = match addressed {
            true => vec![address(1, ip("10.0.0.1"), 8, AddressScope::Universe)],
            false => vec![],
        };
        let tables = Tables { links: vec![link(1, "x", flags, oper)], addresses, routes: vec![] };
        assert_eq!(one(&tables).state, expected, "{flags:?} {oper:?} {addressed}");
    }
}

#[test]
fn subnets_of_every_length() {
    let subnet = |text, prefix| Address { ip: ip(text), prefix, global: true }.subnet();
    assert_eq!(subnet("10.1.2.3", 0), "0.0.0.0/0");
    assert_eq!(subnet("10.1.2.3", 32), "10.1.2.3/32");
    assert_eq!(subnet("2001:db8::7", 0), "::/0");
    assert_eq!(subnet("2001:db8::7", 128), "2001:db8::7/128");
    assert_eq!(subnet("10.1.2.3", 200), "10.1.2.3/200", "nonsense from the kernel does not panic");
}

#[test]
fn point_to_point_reports_the_own_address() {
    let mut tunnel = address(1, ip("10.9.9.9"), 32, AddressScope::Universe);
    tunnel.attributes.push(AddressAttribute::Local(ip("10.9.9.1")));
    let links = vec![link(1, "ppp0", LinkFlags::Up, State::Unknown)];
    let tables = Tables { links, addresses: vec![tunnel], routes: vec![] };
    assert_eq!(one(&tables).ip.as_deref(), Some("10.9.9.1"));
}

#[test]
fn kinds_from_sysfs() {
    let dir = tempfile::tempdir().unwrap();
    let put = |path: &str, text: &str| {
        let path = dir.path().join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    };
    put("lo/type", "772\n");
    put("wlp1/type", "1\n");
    put("wlp1/uevent", "DEVTYPE=wlan\nINTERFACE=wlp1\n");
    put("usb0/type", "1\n");
    put("usb0/device/product", "LTE Stick\n");
    put("drivers/qmi_wwan/bind", "");
    std::os::unix::fs::symlink(dir.path().join("drivers/qmi_wwan"), dir.path().join("usb0/device/driver"))
        .unwrap();
    put("docker0/type", "1\n");
    put("docker0/uevent", "DEVTYPE=bridge\n");
    put("enp3s0/type", "1\n");
    put("enp3s0/device/vendor", "x");
    put("tun0/type", "65534\n");
    let kind = |name: &str| Sysfs::read(dir.path(), name).kind(name);
    assert_eq!(kind("lo"), InterfaceType::Loopback);
    assert_eq!(kind("wlp1"), InterfaceType::Wifi);
    assert_eq!(kind("usb0"), InterfaceType::Cellular);
    assert_eq!(kind("docker0"), InterfaceType::Other);
    assert_eq!(kind("enp3s0"), InterfaceType::Ethernet);
    assert_eq!(kind("tun0"), InterfaceType::Other);
    assert_eq!(kind("absent"), InterfaceType::Other);
    let usb = Sysfs::read(dir.path(), "usb0");
    assert_eq!((usb.driver.as_deref(), usb.product.as_deref()), (Some("qmi_wwan"), Some("LTE Stick")));
}
