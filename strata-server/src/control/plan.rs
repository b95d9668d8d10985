//! From a request to a plan: what is to be started, checked before anything is touched.

use strata_proto::control::{
    BITRATE_KBPS, BondingConfig, DeviceStatus, Encoder, ErrorCode, Fault, LATENCY_MS, Scheduler, Source,
    SourceMode, StartLink, StartStream, StreamStart,
};
use strata_proto::id::StreamId;
use strata_proto::token::Secret;

use super::config::StreamsConfig;
use super::links::{self, MAX_LINKS};

/// A stream to be started.
#[derive(Debug, Clone)]
pub struct Plan {
    /// Each link; without an interface the device chooses. 1 to 8 links.
    pub links: Vec<StartLink>,
    /// Playout latency, ms.
    pub latency_ms: u32,
    /// Whether it is written to a file.
    pub record: bool,
    /// Where the receiver forwards it; may hold a stream key.
    pub forward: Option<Secret>,
    source: Source,
    encoder: Encoder,
    scheduler: Scheduler,
}

impl Plan {
    /// Checks a request. Without `links` in it there is one per connected interface of the device's
    /// last report, loopback left out, or a single one when nothing is known.
    ///
    /// # Errors
    /// A [`Fault`] that names the field of the request's body.
    pub fn new(
        body: StartStream,
        status: Option<&DeviceStatus>,
        config: &StreamsConfig,
    ) -> Result<Self, Fault> {
        check_source(&body.source)?;
        check_encoder(&body.encoder)?;
        if let Some(forward) = &body.platform_dest {
            check_forward(forward)?;
        }
        let links = match body.links {
            Some(links) => links,
            None => links::connected(status),
        };
        links::check(links.iter().map(|link| (link.interface.as_ref(), link.priority)), MAX_LINKS)?;
        links::check_reported(&links, status)?;
        let latency_ms = body.latency_ms.unwrap_or(config.latency_ms);
        in_range("latency_ms", latency_ms, LATENCY_MS)?;
        Ok(Self {
            links,
            latency_ms,
            record: body.record.unwrap_or(config.record),
            forward: body.platform_dest,
            source: body.source,
            encoder: body.encoder,
            scheduler: body.scheduler.unwrap_or_default(),
        })
    }

    /// The command to the agent, once the receiver's ports are known; link i goes to
    /// `hosts[i % n]` and `ports[i]`.
    #[must_use]
    pub fn command(&self, stream_id: StreamId, ports: &[u16], hosts: &[String]) -> StreamStart {
        let uri = |(i, port): (usize, &u16)| links::uri(i, *port, self.latency_ms, hosts);
        let destinations: Vec<String> = ports.iter().enumerate().map(uri).collect();
        let links = (0..).zip(destinations.iter().zip(&self.links));
        let bonding = BondingConfig {
            version: 1,
            links: links.map(|(id, (uri, link))| link.bonded(id, uri.clone())).collect(),
            scheduler: self.scheduler.clone(),
        };
        StreamStart {
            stream_id,
            source: self.source.clone(),
            encoder: self.encoder.clone(),
            destinations,
            bonding_config: Some(bonding),
        }
    }
}

fn check_source(source: &Source) -> Result<(), Fault> {
    let missing = |field: &str, value: &Option<String>| match value.as_deref() {
        None | Some("") => {
            let fault = Fault::new(ErrorCode::MISSING_FIELD, format!("{field} is needed for this mode"));
            Err(fault.with_field(format!("source.{field}")))
        }
        Some(value) if value.len() > MAX_TEXT || value.contains('\0') => {
            Err(invalid(format!("source.{field}"), "is too long or holds a NUL"))
        }
        Some(_) => Ok(()),
    };
    match source.mode {
        SourceMode::V4l2 => missing("device", &source.device)?,
        SourceMode::File => {
            missing("path", &source.path)?;
            if source.path.as_deref().unwrap_or_default().split('/').any(|part| part == "..") {
                return Err(invalid("source.path", "expected a path in the media directory, without .."));
            }
        }
        SourceMode::Rtsp => {
            missing("uri", &source.uri)?;
            let uri = source.uri.as_deref().unwrap_or_default();
            if !uri.starts_with("rtsp://") && !uri.starts_with("rtsps://") {
                return Err(invalid("source.uri", "expected rtsp://… or rtsps://…"));
            }
        }
        _ => {}
    }
    Ok(())
}

fn check_encoder(encoder: &Encoder) -> Result<(), Fault> {
    if let Some(bitrate) = encoder.bitrate_kbps {
        in_range("encoder.bitrate_kbps", bitrate, BITRATE_KBPS)?;
    }
    match &encoder.tune {
        Some(tune) if tune.is_empty() || tune.len() > 32 => {
            Err(invalid("encoder.tune", "expected a tune of x264, such as zerolatency"))
        }
        _ => Ok(()),
    }
}

/// The address may hold a stream key, so that no message repeats it.
fn check_forward(forward: &Secret) -> Result<(), Fault> {
    let parsed = url::Url::parse(forward.expose()).ok().filter(|url| url.has_host());
    match parsed {
        Some(url) if url.as_str().len() <= MAX_TEXT && FORWARDS.contains(&url.scheme()) => Ok(()),
        _ => Err(invalid("platform_dest", "expected srt://host:port, rtmp://host/app/key or rtmps://…")),
    }
}

pub(super) fn in_range(field: &str, value: u32, range: std::ops::RangeInclusive<u32>) -> Result<(), Fault> {
    if range.contains(&value) {
        return Ok(());
    }
    Err(invalid(field, format!("is {value}, must be from {} to {}", range.start(), range.end())))
}

pub(super) fn invalid(field: impl Into<String>, message: impl Into<String>) -> Fault {
    Fault::new(ErrorCode::INVALID_FIELD, message).with_field(field)
}

const MAX_TEXT: usize = 2048;
const FORWARDS: [&str; 3] = ["srt", "rtmp", "rtmps"];

#[cfg(test)]
mod tests {
    use serde_json::json;
    use strata_proto::control::{BondingLink, LinkPriority, NetworkInterface};

    use super::*;

    fn plan(body: serde_json::Value) -> Result<Plan, String> {
        let body: StartStream = serde_json::from_value(body).unwrap();
        Plan::new(body, None, &StreamsConfig::default()).map_err(|fault| fault.field.unwrap())
    }

    #[test]
    fn bad_requests_name_their_field() {
        for (body, field) in [
            (json!({"source": {"mode": "v4l2"}}), "source.device"),
            (json!({"source": {"mode": "file", "path": ""}}), "source.path"),
            (json!({"source": {"mode": "file", "path": "clips/../../x.ts"}}), "source.path"),
            (json!({"source": {"mode": "rtsp", "uri": "http://x"}}), "source.uri"),
            (json!({"source": {"mode": "test"}, "encoder": {"bitrate_kbps": 49}}), "encoder.bitrate_kbps"),
            (json!({"source": {"mode": "test"}, "links": []}), "links"),
            (json!({"source": {"mode": "test"}, "links": [{}, {"interface": ""}]}), "links[1].interface"),
            (json!({"source": {"mode": "test"}, "links": [{"priority": "first"}]}), "links[0].priority"),
            (json!({"source": {"mode": "test"}, "platform_dest": "http://x/key"}), "platform_dest"),
        ] {
            assert_eq!(plan(body.clone()).err().as_deref(), Some(field), "{body}");
        }
        plan(json!({"source": {"mode": "test"}, "encoder": {"bitrate_kbps": 50}, "latency_ms": 50})).unwrap();
        plan(json!({"source": {"mode": "test"}, "links": [{}, {}, {}, {}, {}, {}, {}, {}]})).unwrap();
    }

    #[test]
    fn what_the_wire_takes_as_latency_is_taken_and_nothing_else() {
        for (latency, taken) in [(49, false), (50, true), (30_000, true), (30_001, false)] {
            let wire = serde_json::from_value::<StartStream>(
                json!({"source": {"mode": "test"}, "latency_ms": latency}),
            );
            assert_eq!(wire.is_ok(), taken, "{latency}");
            let body = StartStream { latency_ms: Some(latency), ..StartStream::default() };
            assert_eq!(Plan::new(body, None, &StreamsConfig::default()).is_ok(), taken, "{latency}");
            let config = StreamsConfig { latency_ms: latency, ..StreamsConfig::default() };
            assert_eq!(config.check().is_ok(), taken, "{latency}");
        }
        for (kbps, taken) in [(49, false), (50, true), (200_000, true), (200_001, false)] {
            let found = plan(json!({"source": {"mode": "test"}, "encoder": {"bitrate_kbps": kbps}}));
            assert_eq!(found.is_ok(), taken, "{kbps}");
        }
    }

    #[test]
    fn a_refused_destination_is_not_repeated() {
        let body: StartStream =
            serde_json::from_value(json!({"source": {}, "platform_dest": "http://x/secret-key"}))
                .unwrap_or_default();
        let body = StartStream { platform_dest: Some(Secret::new("http://x/secret-key")), ..body };
        let fault = Plan::new(body, None, &StreamsConfig::default()).unwrap_err();
        assert!(!format!("{fault:?}").contains("secret-key"));
    }

    #[test]
    fn links_follow_the_connected_interfaces() {
        let interface = |name: &str, kind, state, enabled| NetworkInterface {
            name: name.to_owned(),
            enabled,
            ..serde_json::from_value(json!({"name": name, "type": kind, "state": state})).unwrap()
        };
        let status = DeviceStatus {
            network_interfaces: vec![
                interface("lo", "loopback", "connected", None),
                interface("wwan0", "cellular", "connected", Some(true)),
                interface("wwan1", "cellular", "connected", Some(false)),
                interface("eth0", "ethernet", "disconnected", None),
                interface("wlan0", "wifi", "connected", None),
            ],
            ..DeviceStatus::default()
        };
        let plan = Plan::new(StartStream::default(), Some(&status), &StreamsConfig::default()).unwrap();
        let found: Vec<_> = plan.links.iter().map(|link| link.interface.as_deref()).collect();
        assert_eq!(found, [Some("wwan0"), Some("wlan0")]);
        for (name, code) in
            [("nope0", Some(ErrorCode::NOT_FOUND)), ("wwan1", Some(ErrorCode::INVALID_FIELD)), ("eth0", None)]
        {
            let body = json!({"source": {"mode": "test"}, "links": [{}, {"interface": name}]});
            let body = serde_json::from_value(body).unwrap();
            let fault = Plan::new(body, Some(&status), &StreamsConfig::default()).err();
            assert_eq!(fault.as_ref().map(|fault| fault.code.clone()), code, "{name}");
            assert!(fault.is_none_or(|fault| fault.field.as_deref() == Some("links[1].interface")));
        }
        let unknown = Plan::new(StartStream::default(), None, &StreamsConfig::default()).unwrap();
        assert_eq!(unknown.links, [StartLink::default()]);
    }

    #[test]
    fn links_take_the_hosts_in_turn() {
        let plan = plan(json!({"source": {"mode": "test"}, "links": [{"interface": "a"}, {}, {}]})).unwrap();
        let hosts = ["one.example.com".to_owned(), "2001:db8::1".to_owned()];
        let start = plan.command("str_1".parse().unwrap(), &[15_000, 15_002, 15_004], &hosts);
        let expected =
            ["rist://one.example.com:15000", "rist://[2001:db8::1]:15002", "rist://one.example.com:15004"];
        assert_eq!(start.destinations, expected);
        let links = start.bonding_config.unwrap().links;
        let shown: Vec<_> = links.iter().map(|l| (l.id, l.interface.as_deref(), l.uri.as_str())).collect();
        assert_eq!(shown, [(0, Some("a"), expected[0]), (1, None, expected[1]), (2, None, expected[2])]);
    }

    #[test]
    fn what_links_cost_is_told() {
        let link = json!({"priority": "backup", "weight": 5, "metered": true, "cap_mb": 500});
        let plan = plan(json!({"source": {"mode": "test"}, "links": [{}, link]})).unwrap();
        let start = plan.command("str_1".parse().unwrap(), &[15_000, 15_002], &["h.example.com".to_owned()]);
        let links = start.bonding_config.unwrap().links;
        let cost = |link: &BondingLink| (link.priority, link.weight, link.metered, link.cap_mb);
        assert_eq!(cost(&links[0]), (None, None, None, None));
        assert_eq!(cost(&links[1]), (Some(LinkPriority::Backup), Some(5), Some(true), Some(500)));
    }

    #[test]
    fn another_latency_than_the_standard_one_is_told() {
        let plan = plan(json!({"source": {"mode": "test"}, "latency_ms": 400})).unwrap();
        let start = plan.command("str_1".parse().unwrap(), &[15_000], &["h.example.com".to_owned()]);
        assert_eq!(start.destinations, ["rist://h.example.com:15000?buffer=400"]);
    }
}
