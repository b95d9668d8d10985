use std::time::Duration;

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{select, subsequence};

use super::*;
use crate::net::{
    AesType, Credentials, LinkConfig, Membership, Passphrase, Profile, Psk, Rver, SenderConfig,
};

fn urls(text: &str) -> RistUrls {
    text.parse().unwrap_or_else(|error| panic!("{text}: {error}"))
}

/// What is said of a text that is refused.
fn refused(text: &str) -> String {
    text.parse::<RistUrls>().expect_err(text).to_string()
}

#[test]
fn every_parameter_finds_its_place() {
    let urls = urls(
        "rist://10.0.0.1:6000?buffer=300&secret=correct%20horse&aes-type=256&key-rotation=2000&rver=0&cname=van-1&miface=wwan0&fec=0,\
         rist://[2001:db8::1]:6002/?source=[fd00::2]&backup=1, rist://10.0.0.1:6004?source=10.0.0.9&backup=0&weight=5&metered&cap=500&",
    );
    // librist knows no escapes.
    let mut psk = Psk::new(Passphrase::new("correct%20horse").unwrap());
    (psk.aes_type, psk.key_rotation, psk.rver) = (AesType::Aes256, Some(2000), Rver::Zero);
    let config = urls.sender().unwrap();
    assert_eq!((config.latency, config.cname.as_str()), (Duration::from_millis(300), "van-1"));
    assert_eq!((config.profile, config.psk), (Profile::Main, Some(psk)));
    let links = vec![
        LinkConfig::new(0, "10.0.0.1:6000".parse().unwrap()).with_interface("wwan0"),
        LinkConfig::new(1, "[2001:db8::1]:6002".parse().unwrap())
            .with_source("fd00::2".parse().unwrap())
            .as_backup(),
        LinkConfig::new(2, "10.0.0.1:6004".parse().unwrap())
            .with_source("10.0.0.9".parse().unwrap())
            .with_weight(5)
            .as_metered()
            .with_cap(500_000_000),
    ];
    assert_eq!(config.links, links);
    assert!(!config.scheduler.fec.enabled);
    assert!(!self::urls("rist://@127.0.0.1:6000?fec=0").receiver().unwrap().fec);
    assert_eq!(urls.unused(Use::Sender), []);
}

#[test]
fn what_is_not_said_is_as_the_constructor_has_it() {
    let config = urls("rist://10.0.0.1:6000").sender().unwrap();
    let new = SenderConfig::new(vec![LinkConfig::new(0, "10.0.0.1:6000".parse().unwrap())]);
    assert_eq!(format!("{config:?}"), format!("{new:?}"));
}

#[test]
fn a_profile_is_what_urls_say_or_follows_from_them() {
    let profile = |text: &str| urls(text).sender().unwrap().profile;
    let main =
        ["profile=1", "profile=main", "null-packet-deletion", "sequence-extension=1", "full-datagrams"];
    for query in main.into_iter().chain(["virt-dst-port=2000", "secret=s"]) {
        assert_eq!(profile(&format!("rist://1.1.1.1:2?{query}")), Profile::Main, "{query}");
    }
    for query in ["profile=0", "profile=simple&secret=s", "null-packet-deletion=0", "buffer=5"] {
        assert_eq!(profile(&format!("rist://1.1.1.1:2?{query}")), Profile::Simple, "{query}");
    }
    let config = urls("rist://1.1.1.1:2?profile=0").or_profile(Profile::Main).sender().unwrap();
    assert_eq!(config.profile, Profile::Simple);
    let config = urls("rist://1.1.1.1:2?secret=s").or_profile(Profile::Simple).sender().unwrap();
    assert_eq!(config.profile, Profile::Simple);
}

#[test]
fn what_only_the_main_profile_has_is_set_by_urls_and_beside_them() {
    let all = |config: &SenderConfig| {
        (config.null_packet_deletion, config.sequence_extension, config.full_datagrams, config.virtual_port)
    };
    let text = "rist://1.1.1.1:2?null-packet-deletion,rist://1.1.1.1:4?sequence-extension=1&full-datagrams&virt-dst-port=2000";
    assert_eq!(all(&urls(text).sender().unwrap()), (true, true, true, Some(2000)));
    let beside = |text: &str, [nulls, numbers, whole]: [bool; 3]| {
        let urls = urls(text).or_null_packet_deletion(nulls).or_sequence_extension(numbers);
        all(&urls.or_full_datagrams(whole).sender().unwrap())
    };
    for wanted @ [nulls, numbers, whole] in
        [[true; 3], [false; 3], [true, false, false], [false, true, false]]
    {
        assert_eq!(beside("rist://1.1.1.1:2", wanted), (nulls, numbers, whole, None));
    }
    let text = "rist://1.1.1.1:2?null-packet-deletion=0&sequence-extension=0&full-datagrams=0";
    assert_eq!(beside(text, [true; 3]), (false, false, false, None));
}

#[test]
fn what_no_url_says_may_come_from_elsewhere() {
    let with = |text| {
        let urls = urls(text).or_buffer(Duration::from_millis(500)).or_aes_type(AesType::Aes256);
        urls.or_secret(Passphrase::new("elsewhere").unwrap()).sender().unwrap()
    };
    let config = with("rist://1.1.1.1:2,rist://1.1.1.1:4?buffer=300&secret=here");
    let psk = config.psk.unwrap();
    assert_eq!((config.latency, psk.aes_type), (Duration::from_millis(300), AesType::Aes256));
    assert_eq!(psk.secret.expose(), "here");
    let config = with("rist://1.1.1.1:2,rist://1.1.1.1:4?aes-type=128");
    let psk = config.psk.unwrap();
    assert_eq!((config.latency, psk.aes_type), (Duration::from_millis(500), AesType::Aes128));
    assert_eq!(psk.secret.expose(), "elsewhere");
}

#[test]
fn of_a_parameter_its_value_is_told_unless_nobody_is_to_know() {
    let urls = urls(
        "rist://h:1?secret=abc&username=me&password=me&miface=wwan0&metered&source=[fd00::2]&ttl=3&fec=0",
    );
    let value = |name| urls.urls()[0].value(name);
    for (name, expected) in
        [("interface", "wwan0"), ("metered", "1"), ("source", "[fd00::2]"), ("username", "me"), ("fec", "0")]
    {
        assert_eq!(value(name).as_deref(), Some(expected), "{name}");
    }
    for name in ["secret", "password", "cap", "miface"] {
        assert_eq!(value(name), None, "{name}");
    }
    assert_eq!(urls.urls()[0].source(), Some("fd00::2".parse().unwrap()));
}

#[test]
fn who_looks_names_up_says_what_was_found() {
    let found = ["10.0.0.1", "2001:db8::1"].map(|ip| ip.parse().unwrap());
    let config = urls("rist://a.example:6000,rist://b.example:6002").at(found).sender().unwrap();
    let remotes: Vec<_> = config.links.iter().map(|link| link.remote.to_string()).collect();
    assert_eq!(remotes, ["10.0.0.1:6000", "[2001:db8::1]:6002"]);
    let error = urls("rist://a.example:6000,rist://b.example:6002").at(found[..1].to_vec()).sender();
    assert_eq!(error.unwrap_err().index, 1);
    let cname = |text| urls(text).or_cname("van-1".to_owned()).sender().unwrap().cname;
    assert_eq!(
        (cname("rist://10.0.0.1:2"), cname("rist://10.0.0.1:2?cname=me")),
        ("van-1".into(), "me".into())
    );
}

#[test]
fn a_sender_says_who_it_is() {
    let config =
        urls("rist://1.1.1.1:2?username=van,rist://1.1.1.1:4?username=van&password=p").sender().unwrap();
    assert_eq!((config.profile, config.credentials), (Profile::Main, Credentials::new("van", "p")));
}

#[test]
fn a_receiver_listens_at_all_of_them() {
    let config =
        urls("rist://@0.0.0.0:6000?buffer=700&secret=s,rist://@[::1]:6002,rist://@:0").receiver().unwrap();
    assert_eq!(config.binds, ["0.0.0.0:6000", "[::1]:6002", "0.0.0.0:0"].map(|addr| addr.parse().unwrap()));
    assert_eq!((config.latency, config.psk.is_some()), (Duration::from_millis(700), true));
}

/// Who calls whom has nothing to do with who sends.
#[test]
fn a_sender_may_wait_and_a_receiver_call() {
    let text = "rist://@0.0.0.0:6000?secret=s&miface=eth0,rist://10.0.0.1:6002";
    let config = urls(text).sender().unwrap();
    let listening = LinkConfig::listening(0, "0.0.0.0:6000".parse().unwrap()).with_interface("eth0");
    assert_eq!(config.links, [listening, LinkConfig::new(1, "10.0.0.1:6002".parse().unwrap())]);
    assert_eq!(urls("rist://@0.0.0.0:6000").sender().unwrap().profile, Profile::Main);
    let text = "rist://@:6000,rist://10.0.0.1:6001?source=10.0.0.9&username=u&password=p";
    let config = urls(text).receiver().unwrap();
    let call = LinkConfig::new(1, "10.0.0.1:6001".parse().unwrap()).with_source("10.0.0.9".parse().unwrap());
    assert_eq!((config.binds.len(), config.calls), (1, vec![call]));
    assert_eq!(config.credentials, Credentials::new("u", "p"));
}

#[test]
fn groups_are_sent_to_and_joined() {
    let config = urls("rist://239.1.1.1:6000?miface=eth0&ttl=8&source=10.0.0.9").sender().unwrap();
    let link = LinkConfig::new(0, "239.1.1.1:6000".parse().unwrap()).with_interface("eth0").with_hops(8);
    assert_eq!(config.links, [link.with_source("10.0.0.9".parse().unwrap())]);
    let urls = urls(
        "rist://@:6000,rist://@239.1.1.1:6002?miface=eth1,rist://@[ff15::1]:6004,rist://@239.1.1.2:8?ttl=3",
    );
    let config = urls.receiver().unwrap();
    assert_eq!((config.binds.len(), config.binds[1]), (4, "239.1.1.1:6002".parse().unwrap()));
    assert_eq!(
        config.memberships,
        [Membership::new(1).with_interface("eth1"), Membership::new(3).with_hops(3)]
    );
    for (text, sends) in [("rist://10.0.0.1:2?ttl=3", true), ("rist://@10.0.0.1:2?ttl=3", false)] {
        let urls = self::urls(text);
        let error = if sends { urls.sender().unwrap_err() } else { urls.receiver().unwrap_err() };
        assert_eq!(error.field, "ttl");
    }
}

#[test]
fn what_needs_no_setting_is_told() {
    let urls = urls(
        "rist://h:6000?rtt=20&rtt-min=5&rtt-max=500&reorder-buffer=15&bandwidth=100000&session-timeout=2000,\
         rist://h:6002?virt-src-port=1971&keepalive-interval=1000&congestion-control=1&min-retries=6&max-retries=20",
    );
    let unused: Vec<_> =
        urls.unused(Use::Sender).into_iter().map(|unused| (unused.index, unused.name)).collect();
    let first = ["rtt", "rtt-min", "rtt-max", "reorder-buffer", "bandwidth", "session-timeout"];
    let second = ["virt-src-port", "keepalive-interval", "congestion-control", "min-retries", "max-retries"];
    let expected: Vec<_> =
        first.map(|name| (0, name)).into_iter().chain(second.map(|name| (1, name))).collect();
    assert_eq!(unused, expected);
    assert!(urls.unused(Use::Sender).iter().all(|unused| !unused.why.is_empty()));
    let receiver = self::urls("rist://@1.1.1.1:2?weight=5&profile=1&virt-dst-port=8");
    let unused = receiver.unused(Use::Receiver);
    assert_eq!(
        unused.iter().map(|unused| unused.name).collect::<Vec<_>>(),
        ["weight", "profile", "virt-dst-port"]
    );
    receiver.receiver().unwrap();
}

#[test]
fn an_error_names_url_field_and_reason() {
    for (text, said) in [
        ("", "URL 1 (): scheme: expected rist://"),
        ("udp://h:1", "URL 1 (udp://h:1): scheme: expected rist://"),
        ("rist://h:6000,h:6002?buffer=1", "URL 2 (h:6002): scheme: expected rist://"),
        ("rist://h", "URL 1 (rist://h): port: expected a port"),
        ("rist://h:0", "port: expected a port"),
        ("rist://h:65536", "port: expected a port"),
        ("rist://:6000", "host: expected an address"),
        ("rist://fd00::1:6000", "host: expected an address (IPv6 in brackets)"),
        ("rist://[fd00::1:6000", "host: expected an address (IPv6 in brackets)"),
        ("rist://10.0.0.256:6000", "host: expected an address"),
        ("rist://h:6000/path", "port: expected a port"),
        ("rist://h:6000?buffer=0", r#"buffer: "0", 1 to 60000 are expected"#),
        ("rist://h:6000?buffer=60001", r#"buffer: "60001", 1 to 60000 are expected"#),
        ("rist://h:6000?buffer=1s", r#"buffer: "1s", 1 to 60000 are expected"#),
        ("rist://h:6000?buffer=", "buffer: expected a value after ="),
        ("rist://h:6000?buffer", "buffer: expected a value after ="),
        ("rist://h:6000?buffer=1&buffer=1", "buffer: given twice in one URL"),
        ("rist://h:6000?interface=a&miface=b", "miface: given twice in one URL"),
        ("rist://h:6000?aes-type=192", "aes-type: expected 128 or 256"),
        ("rist://h:6000?rver=2", "rver: expected 0 or 1"),
        ("rist://h:6000?key-rotation=499", r#"key-rotation: "499", 500 to 4294967295"#),
        ("rist://h:6000?interface=averylonginterface", "interface: expected the name of an interface"),
        ("rist://h:6000?source=localhost", "source: expected an address of this machine"),
        ("rist://h:6000?backup=maybe", "backup: expected 1 or 0"),
        ("rist://h:6000?weight=-1", r#"weight: "-1", 0 to 1000000 are expected"#),
        ("rist://h:6000?max-retries=1", r#"max-retries: "1", 2 to 100 are expected"#),
        ("rist://h:6000?timing-mode=3", r#"timing-mode: "3", 0 to 2 are expected"#),
        ("rist://h:6000?username=", "username: expected a value after ="),
        ("rist://h:6000?password=\0", "password: expected 1 to 255 bytes, without a NUL"),
        ("rist://h:6000?profile=2", "profile: expected simple or main (0 or 1); the Advanced Profile"),
        ("rist://h:6000?virt-dst-port=1969", "virt-dst-port: expected an even port"),
        ("rist://h:6000?virt-dst-port=0", r#"virt-dst-port: "0", 2 to 65534 are expected"#),
        ("rist://h:6000?multiplex-filter=10.0.0.1:5", "multiplex-filter: not supported: it picks from"),
        ("rist://h:6000?stream-id=2", "stream-id: a parameter of udp:// and rtp:// URLs"),
        ("rist://h:6000?buffre=300", "buffre: unknown parameter; these are known: buffer, profile, secret,"),
    ] {
        let error = refused(text);
        assert!(error.contains(said), "{text}: {error}");
    }
}

#[test]
fn a_secret_is_in_no_message() {
    let long = "x".repeat(128);
    for text in [format!("rist://h:6000?secret={long}"), format!("rist://{long}@h:6000?secret={long}")] {
        let error = text.parse::<RistUrls>().unwrap_err();
        assert!(!error.to_string().contains(&long) && !format!("{error:?}").contains(&long), "{error}");
    }
    assert!(refused(&format!("rist://h:6000?secret={long}")).contains("secret: a passphrase of 128 bytes"));
    for text in [
        "h:6000?secret=a&hunter2",
        "h:6000?secret=a,hunter2",
        "h:6000&secret=hunter2",
        "h?secret=hunter2",
        "h:6000?password=a&hunter2",
    ] {
        let error = format!("rist://{text}").parse::<RistUrls>().unwrap_err();
        assert!(
            !error.to_string().contains("hunter2") && !format!("{error:?}").contains("hunter2"),
            "{error}"
        );
    }
    assert!(
        refused("rist://h:6000?secret=a&hunter2").contains("a parameter after secret: unknown parameter")
    );
    let urls = urls("rist://10.0.0.1:6000?secret=hunter2,rist://10.0.0.1:6002?secret=hunter3");
    assert!(!format!("{urls:?}").contains("hunter"));
    assert!(!urls.sender().unwrap_err().to_string().contains("hunter"));
    let urls =
        self::urls("rist://10.0.0.1:6000?username=u&password=hunter2,rist://10.0.0.1:6002?password=hunter3");
    assert!(!format!("{urls:?}").contains("hunter"));
    assert!(!urls.sender().unwrap_err().to_string().contains("hunter"));
}

#[test]
fn links_agree_on_what_they_have_in_common() {
    for (field, one, other) in [
        ("buffer", "300", "500"),
        ("secret", "a", "b"),
        ("aes-type", "128", "256"),
        ("cname", "a", "b"),
        ("username", "a", "b"),
        ("password", "a", "b"),
        ("profile", "0", "main"),
        ("null-packet-deletion", "0", "1"),
        ("sequence-extension", "0", "1"),
        ("full-datagrams", "0", "1"),
        ("virt-dst-port", "2", "4"),
    ] {
        let with = |one, other| {
            urls(&format!("rist://1.1.1.1:2?{field}={one},rist://1.1.1.1:4,rist://1.1.1.1:6?{field}={other}"))
        };
        let error = with(one, other).sender().unwrap_err();
        assert_eq!((error.index, error.field.as_str()), (2, field));
        assert_eq!(error.reason, Reason::Conflict { first: 0 });
        if !["aes-type", "username", "password"].contains(&field) {
            with(one, one).sender().unwrap();
        }
    }
}

#[test]
fn what_does_not_go_together_is_named() {
    for (text, is_sender, field) in [
        ("rist://1.1.1.1:2,rist://1.1.1.1:4?username=u", true, "username"),
        ("rist://1.1.1.1:2?password=p", true, "password"),
        ("rist://@1.1.1.1:2?username=u&password=p", false, "username"),
        ("rist://1.1.1.1:2?aes-type=128", true, "aes-type"),
        ("rist://1.1.1.1:2,rist://1.1.1.1:4?key-rotation=500", true, "key-rotation"),
        ("rist://1.1.1.1:2,rist://1.1.1.1:4?rver=0", true, "rver"),
        ("rist://h:2", true, "host"),
        ("rist://h:2", false, "host"),
        ("rist://@1.1.1.1:2?source=1.1.1.1", false, "source"),
        ("rist://@1.1.1.1:2?backup", false, "backup"),
        ("rist://@1.1.1.1:2?metered", false, "metered"),
        ("rist://@1.1.1.1:2?cap=5", false, "cap"),
        ("rist://@1.1.1.1:2?null-packet-deletion", false, "null-packet-deletion"),
        ("rist://@1.1.1.1:2?sequence-extension", false, "sequence-extension"),
        ("rist://1.1.1.1:2?full-datagrams", false, "full-datagrams"),
        ("rist://@1.1.1.1:2?miface=lo", false, "interface"),
    ] {
        let urls = urls(text);
        let error = if is_sender { urls.sender().unwrap_err() } else { urls.receiver().unwrap_err() };
        assert_eq!(error.field, field, "{error}");
    }
}

#[tokio::test]
async fn names_are_resolved_to_the_family_of_the_source() {
    let named = urls("rist://localhost:6000?source=127.0.0.1&secret=s,rist://10.0.0.1:6002");
    assert_eq!(named.sender().unwrap_err().reason, Reason::Unresolved);
    let config = named.resolve().await.unwrap().sender().unwrap();
    assert_eq!(config.links[0].remote, "127.0.0.1:6000".parse().unwrap());
    let error = urls("rist://10.0.0.1:6000,rist://no-such-host.invalid:6002").resolve().await.unwrap_err();
    assert_eq!((error.index, error.field.as_str()), (1, "host"));
    assert!(matches!(error.reason, Reason::Resolve(_)), "{error}");
}

fn host() -> impl Strategy<Value = String> {
    let v4 = any::<std::net::Ipv4Addr>().prop_map(|ip| ip.to_string());
    let v6 = any::<std::net::Ipv6Addr>().prop_map(|ip| format!("[{ip}]"));
    prop_oneof![v4, v6, "[a-z][a-z0-9.-]{0,20}"]
}

fn params() -> impl Strategy<Value = Vec<String>> {
    let all = (
        (
            1..=60_000u32,
            "[ -%'-+\\--~]{1,127}",
            select(vec![128, 256]),
            500..=u32::MAX,
            "[ -%'-+\\--~]{1,255}",
        ),
        ("[a-z0-9:.]{1,15}", any::<std::net::IpAddr>(), any::<bool>(), 0..=1_000_000u32, -1..=100i8),
    );
    let all = all.prop_map(
        |((buffer, secret, bits, rotation, cname), (interface, source, backup, weight, level))| {
            vec![
                format!("buffer={buffer}"),
                format!("secret={secret}"),
                format!("aes-type={bits}"),
                format!("key-rotation={rotation}"),
                format!("rver={}", rotation % 2),
                format!("username={cname}"),
                format!("password={secret}"),
                format!("cname={cname}"),
                format!("fec={}", u8::from(backup)),
                format!("interface={interface}"),
                format!("source={source}"),
                format!("backup={}", u8::from(backup)),
                format!("weight={weight}"),
                format!("ttl={}", weight % 256),
                format!("metered={}", u8::from(!backup)),
                format!("cap={}", weight + 1),
                format!("profile={}", if backup { "main" } else { "simple" }),
                format!("null-packet-deletion={}", u8::from(backup)),
                format!("sequence-extension={}", u8::from(!backup)),
                format!("full-datagrams={}", u8::from(backup)),
                format!("virt-dst-port={}", 2 + weight % 32_000 * 2),
                format!("verbose-level={level}"),
            ]
        },
    );
    all.prop_flat_map(|all| subsequence(all.clone(), 0..=all.len())).prop_shuffle()
}

proptest! {
    #[test]
    fn what_is_written_is_read_as_the_same(
        list in vec((any::<bool>(), host(), 1..=u16::MAX, params()), 1..5)
    ) {
        let texts = list.iter().map(|(listens, host, port, params)| {
            let query = if params.is_empty() { String::new() } else { format!("?{}", params.join("&")) };
            format!("rist://{}{host}:{port}{query}", if *listens { "@" } else { "" })
        });
        let urls = urls(&texts.collect::<Vec<_>>().join(","));
        prop_assert_eq!(urls.urls().len(), list.len());
        for (url, (listens, _, port, params)) in urls.urls().iter().zip(&list) {
            prop_assert_eq!((url.listens(), url.port(), url.params.len()), (*listens, *port, params.len()));
        }
        let written = urls.to_string();
        prop_assert_eq!(written.parse::<RistUrls>().unwrap(), urls);
    }

    #[test]
    fn any_text_is_read_or_refused(text in "(rist://)?@?[\\[\\]a-z0-9.:]{0,12}(:[0-9]{0,6})?\\??[a-z&=0-9,-]{0,30}") {
        if let Ok(urls) = text.parse::<RistUrls>() {
            prop_assert_eq!(urls.to_string().parse::<RistUrls>().unwrap(), urls);
        }
    }
}

#[test]
fn a_configuration_is_refused_by_the_words_of_its_urls() {
    use crate::net::NetError;
    let urls = urls("rist://@10.0.0.1:6000,rist://10.0.0.2:6002?secret=horse,rist://@10.0.0.3:6004");
    let reason = || "why".to_owned();
    let explained =
        |field: &str| urls.explain(&NetError::Config { field: field.to_owned(), reason: reason() });
    for (field, expected) in [
        ("links[1].remote", "URL 2 (rist://10.0.0.2:6002): port: why"),
        ("links[2].listens", "URL 3 (rist://@10.0.0.3:6004): the @ before the host: why"),
        ("links[1].hops", "URL 2 (rist://10.0.0.2:6002): ttl: why"),
        ("links[1].source", "URL 2 (rist://10.0.0.2:6002): source: why"),
        // Of a receiver, those that listen and those that call are counted for themselves.
        ("binds[1]", "URL 3 (rist://@10.0.0.3:6004): port: why"),
        ("calls[0].remote", "URL 2 (rist://10.0.0.2:6002): port: why"),
        ("binds", "URLs: why"),
        ("psk", "secret: why"),
        ("psk.key_rotation", "key-rotation: why"),
        ("virtual_port", "virt-dst-port: why"),
    ] {
        assert_eq!(explained(field).as_deref(), Some(expected), "{field}");
    }
    let group = NetError::Unsupported { field: "links[0].remote".to_owned(), reason: reason() };
    assert_eq!(urls.explain(&group).as_deref(), Some("URL 1 (rist://@10.0.0.1:6000): host: why"));
    for field in ["users", "scheduler.fec", "links[3].remote", "calls[1].remote"] {
        assert_eq!(explained(field), None, "{field}");
    }
    assert_eq!(urls.explain(&NetError::Busy), None);
}

#[test]
fn a_scope_is_refused_with_what_there_is_instead() {
    let said = refused("rist://[fe80::1%lo]:6000");
    assert!(
        said.starts_with("URL 1 (rist://[fe80::1%lo]:6000): host: ") && said.contains("interface=NAME"),
        "{said}"
    );
    assert_eq!(
        urls("rist://[fe80::1]:6000?interface=lo").urls()[0].value("interface").as_deref(),
        Some("lo")
    );
}
