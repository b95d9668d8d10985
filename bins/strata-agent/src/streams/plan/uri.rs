//! The addresses of links: librist's URLs, of which everything is carried out, or refused by name.

use std::net::{IpAddr, Ipv4Addr};

use strata_media::net::url::{Host, RistUrl, RistUrls, UrlError, Use};
use strata_media::net::{Profile, SenderConfig};
use strata_proto::control::{BondingLink, Fault, LATENCY_MS, LinkPriority};

use super::bad;

/// Reads the addresses of one stream's links. Each is checked, and that they agree in what the stream has in common; a
/// fault is of the field that `field` names.
pub(super) fn read(uris: &[&str], field: impl Fn(usize) -> String) -> Result<RistUrls, Fault> {
    for (i, uri) in uris.iter().enumerate() {
        let of_link: RistUrls = uri.parse().map_err(|error| refused(&error, &field(i)))?;
        match of_link.urls() {
            [url] => check(url, &of_link, &field(i))?,
            _ => {
                return Err(bad(
                    &field(i),
                    "expected one rist://host:port; another link has its own".to_owned(),
                ));
            }
        }
    }
    let fault = |error: UrlError| refused(&error, &field(error.index));
    let urls: RistUrls = uris.join(",").parse().map_err(fault)?;
    let profile = stream(&urls).map_err(fault)?.profile;
    // RTP on an even port, RTCP on the next one (TR-06-1 §5.1); a tunnel of the Main Profile has one for both.
    let odd = urls.urls().iter().position(|url| !url.port().is_multiple_of(2));
    match odd.filter(|_| profile == Profile::Simple) {
        Some(i) => {
            let expected =
                "expected rist://host:port with an even port, unless the profile is Main, as with a secret";
            Err(bad(&field(i), format!("{expected}, got {}", urls.urls()[i].port())))
        }
        None => Ok(urls),
    }
}

/// What URLs say of a stream. Names are not looked up: what is said of one is said of any address.
pub(super) fn stream(urls: &RistUrls) -> Result<SenderConfig, UrlError> {
    let any = |url: &RistUrl| url.source().unwrap_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED));
    let named = urls.urls().iter().map(|url| match url.host() {
        Host::Ip(ip) => *ip,
        Host::Name(_) => any(url),
    });
    urls.clone().at(named.collect::<Vec<_>>()).sender()
}

/// The link that an address alone makes.
pub(super) fn link(id: u32, uri: &str, url: &RistUrl) -> BondingLink {
    let number = |name| url.value(name).and_then(|value| value.parse().ok());
    let flag = |name| url.value(name).map(|value| value == "1");
    let priority = |backup| if backup { LinkPriority::Backup } else { LinkPriority::Normal };
    BondingLink {
        id,
        uri: uri.to_owned(),
        interface: url.value("interface"),
        priority: flag("backup").map(priority),
        weight: number("weight"),
        metered: flag("metered"),
        cap_mb: number("cap"),
    }
}

/// Refuses what is good for others, and not for a device that is told all the rest by fields.
fn check(url: &RistUrl, of_link: &RistUrls, field: &str) -> Result<(), Fault> {
    if url.listens() {
        return Err(bad(field, "expected rist://host:port: a device calls, and cannot be called".to_owned()));
    }
    let buffer = url.value("buffer").and_then(|value| value.parse::<u32>().ok());
    if buffer.is_some_and(|ms| !LATENCY_MS.contains(&ms)) {
        let (least, most) = (LATENCY_MS.start(), LATENCY_MS.end());
        return Err(bad(field, format!("buffer: expected {least} to {most} ms")));
    }
    if url.value("fec").is_some() {
        return Err(bad(field, "fec: scheduler.fec_enabled says that".to_owned()));
    }
    match of_link.unused(Use::Sender).first() {
        Some(unused) => Err(bad(field, format!("{}: has no effect: {}", unused.name, unused.why))),
        None => Ok(()),
    }
}

/// The words of a URL's error, which are without secrets, and without its place: `field` tells that.
fn refused(error: &UrlError, field: &str) -> Fault {
    bad(field, format!("{}: {}", error.field, error.reason))
}

/// An address whose secrets are left out, for people and tools that look at what is configured.
pub(crate) fn without_secrets(uri: &str) -> String {
    let Some((place, query)) = uri.split_once('?') else { return uri.to_owned() };
    let shown = query.split('&').map(|part| match part.split_once('=') {
        Some((name @ ("secret" | "password"), _)) => format!("{name}=…"),
        _ => part.to_owned(),
    });
    format!("{place}?{}", shown.collect::<Vec<_>>().join("&"))
}

#[cfg(test)]
mod tests {
    use strata_media::net::{AesType, Rver};

    use super::*;

    const PLACE: &str = "rist://gate.example:15000";

    fn said(query: &str) -> SenderConfig {
        let uri = format!("{PLACE}?{query}");
        stream(&read(&[uri.as_str()], |i| i.to_string()).unwrap()).unwrap()
    }

    #[test]
    fn every_parameter_of_a_sender_is_carried_out() {
        let key = |query| said(query).psk.unwrap();
        assert_eq!(key("secret=a b").secret.expose(), "a b");
        assert_eq!(key("secret=x&aes-type=128").aes_type, AesType::Aes128);
        assert_eq!(key("secret=x&aes-type=256").aes_type, AesType::Aes256);
        assert_eq!(key("secret=x&key-rotation=500").key_rotation, Some(500));
        assert_eq!(key("secret=x&rver=0").rver, Rver::Zero);
        assert_eq!((said("secret=x").profile, said("buffer=500").profile), (Profile::Main, Profile::Simple));
        let named = said("username=me&password=word");
        assert!(named.profile == Profile::Main && named.credentials.is_some());
        assert_eq!(said("cname=van-1").cname, "van-1");
        assert_eq!(said("source=[fd00::2]").links[0].source, Some("fd00::2".parse().unwrap()));
        assert_eq!(said("miface=wwan0").links[0].interface.as_deref(), Some("wwan0"));
        assert_eq!(
            (said("profile=1").profile, said("secret=x&profile=main").profile),
            (Profile::Main, Profile::Main)
        );
        assert!(said("null-packet-deletion=1").null_packet_deletion);
        assert!(said("sequence-extension=1").sequence_extension && said("full-datagrams=1").full_datagrams);
        assert_eq!(said("virt-dst-port=2000").virtual_port, Some(2000));
        let group = read(&["rist://239.1.1.1:6000?ttl=3"], |i| i.to_string()).unwrap();
        assert_eq!(stream(&group).unwrap().links[0].hops, Some(3));
    }

    #[test]
    fn what_cannot_be_carried_out_is_refused_by_name() {
        for (query, words) in [
            ("colour=red", "colour: unknown parameter"),
            ("secret=", "secret: expected a value"),
            ("secret=x&aes-type=192", "aes-type: expected 128 or 256"),
            ("secret=x&key-rotation=1", "key-rotation: "),
            ("secret=x&rver=2", "rver: expected 0 or 1"),
            ("aes-type=128", "aes-type: only with a secret"),
            ("key-rotation=2000", "key-rotation: only with a secret"),
            ("username=me", "username: only with a password"),
            ("password=word", "password: only with a username"),
            ("source=eth0", "source: expected an address"),
            ("interface=a/b", "interface: expected the name of an interface"),
            ("ttl=3", "ttl: only for a multicast group"),
            ("fec=0", "fec: scheduler.fec_enabled says that"),
            ("rtt-min=50", "rtt-min: has no effect: measured"),
            ("bandwidth=5000", "bandwidth: has no effect: links share"),
            ("virt-src-port=5", "virt-src-port: has no effect: "),
            ("virt-dst-port=5", "virt-dst-port: expected an even port"),
            ("profile=advanced", "profile: expected simple or main"),
            ("buffer=49", "buffer: expected 50 to 30000 ms"),
            ("weight=1000001", "weight: "),
            ("weight=1&weight=1", "weight: given twice"),
        ] {
            let uri = format!("{PLACE}?{query}");
            let fault = read(&["rist://h:2", &uri], |i| format!("links[{i}].uri")).unwrap_err();
            assert_eq!(fault.field.as_deref(), Some("links[1].uri"), "{query}");
            assert!(fault.message.starts_with(words), "{query}: {}", fault.message);
        }
    }

    #[test]
    fn what_a_stream_has_in_common_is_the_same_in_all_that_say_it() {
        let read = |uris: [&str; 2]| read(&uris, |i| format!("links[{i}].uri"));
        let common = read(["rist://a:1?secret=x", "rist://b:3?aes-type=128"]).unwrap();
        assert_eq!(stream(&common).unwrap().psk.unwrap().aes_type, AesType::Aes128);
        for second in ["secret=other", "cname=b", "buffer=600", "username=b", "password=b"] {
            let first = "rist://a:1?secret=topsecret&cname=a&buffer=500&username=a&password=topsecret";
            let fault = read([first, &format!("rist://b:3?{second}")]).unwrap_err();
            assert_eq!(fault.field.as_deref(), Some("links[1].uri"), "{second}");
            assert!(fault.message.contains("another value"), "{}", fault.message);
            assert!(!fault.message.contains("topsecret"), "{}", fault.message);
        }
    }

    #[test]
    fn an_address_is_one_that_can_be_called() {
        for uri in
            ["rist://@0.0.0.0:6000", "rist://a:2,rist://b:4", "rist://a", "rist://a:0", "udp://a:2", ""]
        {
            let fault = read(&[uri], |i| i.to_string()).unwrap_err();
            assert_eq!(fault.field.as_deref(), Some("0"), "{uri}");
        }
        // Of two ports that are neighbours the first is even; a tunnel has one port.
        read(&["rist://a:15001"], |i| i.to_string()).unwrap_err();
        read(&["rist://a:15001?secret=x"], |i| i.to_string()).unwrap();
    }

    #[test]
    fn secrets_are_in_no_message_and_in_no_file() {
        for uri in [
            "rist://h:2?secret=topsecret&colour=red",
            "rist://h:2?secret=a&topsecret=b",
            "rist://h:2?password=topsecret",
            "rist://h:2?secret=a,topsecret",
            "rist://topsecret@h:2",
        ] {
            let fault = read(&[uri], |i| i.to_string()).unwrap_err();
            assert!(!format!("{fault:?}").contains("topsecret"), "{fault:?}");
        }
        let shown =
            without_secrets("rist://h:2?buffer=500&secret=topsecret&username=me&password=topsecret&weight=5");
        assert_eq!(shown, "rist://h:2?buffer=500&secret=…&username=me&password=…&weight=5");
        assert_eq!(without_secrets("rist://h:2"), "rist://h:2");
    }
}
