//! From a `stream.start` to what the pipeline is told; everything that can be known to be wrong is
//! refused here, naming the field.

use std::collections::BTreeSet;
use std::path::Path;

use strata_agent_protocol::stream::PipelineConfig;
use strata_proto::control::{
    BITRATE_KBPS, BondingConfig, BondingLink, ConfigUpdate, Encoder, ErrorCode, Fault, LATENCY_MS,
    NetworkInterface, Scheduler, Source, SourceMode, StreamStart,
};
use url::Url;

use crate::media_dir::MediaDir;

/// What a plan is made against.
#[derive(Debug)]
pub(crate) struct Facts<'a> {
    /// Where files may come from.
    pub(crate) media: &'a MediaDir,
    /// Interfaces there are.
    pub(crate) interfaces: &'a [NetworkInterface],
    /// Interfaces streams must not use.
    pub(crate) disabled: &'a BTreeSet<String>,
    /// Time between two `stream.stats`, ms.
    pub(crate) stats_interval_ms: u64,
    /// What the pipeline logs.
    pub(crate) log: &'a str,
}

/// Checks `start` as a whole.
///
/// # Errors
/// A [`Fault`] naming the field that cannot be.
pub(crate) fn plan(start: &StreamStart, facts: &Facts<'_>) -> Result<PipelineConfig, Fault> {
    let source = source(&start.source, facts.media)?;
    encoder(&start.encoder, "payload.encoder")?;
    let destinations = targets(start)?;
    let bonding = match &start.bonding_config {
        Some(config) => config.clone(),
        None => BondingConfig {
            version: 1,
            links: (0..).zip(&start.destinations).map(|(id, uri)| link(id, uri)).collect(),
            scheduler: Scheduler::default(),
        },
    };
    let mut latency_ms = destinations;
    if start.bonding_config.is_some() {
        latency_ms = links(&bonding, facts)?;
    }
    Ok(PipelineConfig {
        stream_id: start.stream_id.clone(),
        source,
        encoder: start.encoder.clone(),
        bonding,
        latency_ms: latency_ms.unwrap_or(DEFAULT_LATENCY_MS),
        stats_interval_ms: facts.stats_interval_ms,
        parent: std::process::id(),
        disabled: BTreeSet::new(),
        log: facts.log.to_owned(),
    })
}

/// Checks a `config.update` as a whole, before anything of it is carried out.
///
/// # Errors
/// A [`Fault`] naming the field that cannot be.
pub(crate) fn check_update(update: &ConfigUpdate) -> Result<(), Fault> {
    if let Some(given) = &update.scheduler {
        scheduler(given, "payload.scheduler")?;
    }
    let bitrate_kbps = update.encoder.as_ref().and_then(|encoder| encoder.bitrate_kbps);
    encoder(&Encoder { bitrate_kbps, ..Encoder::default() }, "payload.encoder")
}

fn source(source: &Source, media: &MediaDir) -> Result<Source, Fault> {
    let mut source = source.clone();
    let needed = |given: &Option<String>, field: &str, what: &str| {
        given.clone().ok_or_else(|| {
            Fault::new(ErrorCode::MISSING_FIELD, format!("this source needs {what}"))
                .with_field(format!("payload.source.{field}"))
        })
    };
    match source.mode {
        SourceMode::Test => {}
        SourceMode::File => {
            let path = needed(&source.path, "path", "the path of a file below the media directory")?;
            let found = media.file(&path).map_err(|e| bad("payload.source.path", e.to_string()))?;
            source.path = Some(text(&found, "payload.source.path")?);
        }
        SourceMode::V4l2 => {
            let device = needed(&source.device, "device", "a device such as /dev/video0")?;
            source.device = Some(video_device(&device)?);
        }
        SourceMode::Rtsp => {
            let uri = needed(&source.uri, "uri", "an address such as rtsp://camera/stream")?;
            let known =
                Url::parse(&uri).is_ok_and(|u| ["rtsp", "rtsps"].contains(&u.scheme()) && u.has_host());
            if !known {
                return Err(bad("payload.source.uri", "expected rtsp://host[:port]/path".to_owned()));
            }
        }
        _ => return Err(bad("payload.source.mode", "this agent does not know this source".to_owned())),
    }
    Ok(source)
}

/// The device's node, through links such as those of `/dev/v4l/by-id`.
fn video_device(device: &str) -> Result<String, Fault> {
    let field = "payload.source.device";
    let wanted = Path::new(device);
    if !wanted.starts_with("/dev") {
        return Err(bad(field, format!("expected a node such as /dev/video0, got {device:.64?}")));
    }
    let found = std::fs::canonicalize(wanted).map_err(|_| {
        Fault::new(ErrorCode::NOT_FOUND, format!("there is no {device:.64}")).with_field(field)
    })?;
    let name = found.strip_prefix("/dev").ok().and_then(Path::to_str).unwrap_or_default();
    if !name.starts_with("video") {
        return Err(bad(field, format!("{device:.64?} is not a video device")));
    }
    text(&found, field)
}

fn text(path: &Path, field: &str) -> Result<String, Fault> {
    path.to_str().map(str::to_owned).ok_or_else(|| bad(field, "the path is not UTF-8".to_owned()))
}

fn encoder(encoder: &Encoder, field: &str) -> Result<(), Fault> {
    within(&format!("{field}.bitrate_kbps"), encoder.bitrate_kbps, BITRATE_KBPS)?;
    within(&format!("{field}.keyint_max"), encoder.keyint_max, 1..=3000)?;
    match encoder.tune.as_deref() {
        Some(tune) if tune != TUNE => Err(bad(
            &format!("{field}.tune"),
            format!("this agent encodes with {TUNE} only, got {tune:.32?}"),
        )),
        _ => Ok(()),
    }
}

/// Checks `destinations`; gives the latency one of them asks for.
fn targets(start: &StreamStart) -> Result<Option<u32>, Fault> {
    let field = "payload.destinations";
    if start.destinations.len() > MAX_LINKS {
        return Err(bad(field, format!("more than {MAX_LINKS} destinations")));
    }
    if start.destinations.is_empty() && start.bonding_config.is_none() {
        return Err(bad(field, "expected at least one rist://host:port".to_owned()));
    }
    let mut latency = None;
    for (i, uri) in start.destinations.iter().enumerate() {
        latency = rist_uri(uri, &format!("{field}[{i}]"))?.or(latency);
    }
    Ok(latency)
}

/// Checks the bond; gives the latency one of its links asks for.
fn links(bonding: &BondingConfig, facts: &Facts<'_>) -> Result<Option<u32>, Fault> {
    let field = "payload.bonding_config";
    if bonding.version != 1 {
        return Err(bad(&format!("{field}.version"), format!("expected 1, got {}", bonding.version)));
    }
    if bonding.links.is_empty() || bonding.links.len() > MAX_LINKS {
        return Err(bad(&format!("{field}.links"), format!("expected 1 to {MAX_LINKS} links")));
    }
    scheduler(&bonding.scheduler, &format!("{field}.scheduler"))?;
    let mut ids = BTreeSet::new();
    let mut latency = None;
    for (i, link) in bonding.links.iter().enumerate() {
        let field = format!("{field}.links[{i}]");
        if !ids.insert(link.id) {
            return Err(bad(&format!("{field}.id"), format!("{} is the id of another link too", link.id)));
        }
        latency = rist_uri(&link.uri, &format!("{field}.uri"))?.or(latency);
        if let Some(name) = &link.interface {
            interface(name, &format!("{field}.interface"), facts)?;
        }
    }
    Ok(latency)
}

fn interface(name: &str, field: &str, facts: &Facts<'_>) -> Result<(), Fault> {
    if !facts.interfaces.iter().any(|interface| interface.name == name) {
        let message = format!("this device has no interface {name:.32}");
        return Err(Fault::new(ErrorCode::NOT_FOUND, message).with_field(field));
    }
    if facts.disabled.contains(name) {
        return Err(bad(field, format!("{name:.32} is disabled; enable it with interface.command")));
    }
    Ok(())
}

/// Checks `rist://host:port[?buffer=MS]`; gives the buffer.
fn rist_uri(text: &str, field: &str) -> Result<Option<u32>, Fault> {
    let expected = || bad(field, format!("expected rist://host:port with an even port, got {text:.128?}"));
    let url = Url::parse(text).map_err(|_| expected())?;
    // RTP on an even port, RTCP on the next one (TR-06-1 §5.1).
    let even = url.port().is_some_and(|port| port >= 2 && port % 2 == 0);
    if url.scheme() != "rist" || !url.has_host() || !even {
        return Err(expected());
    }
    let Some((_, buffer)) = url.query_pairs().find(|(key, _)| key == "buffer") else { return Ok(None) };
    match buffer.parse() {
        Ok(ms) if LATENCY_MS.contains(&ms) => Ok(Some(ms)),
        _ => {
            let (least, most) = LATENCY_MS.into_inner();
            Err(bad(field, format!("expected a buffer of {least} to {most} ms, got {buffer:.32?}")))
        }
    }
}

/// What the wire type's own limits (shares of 0 to 1, 1 to 64 links) leave open.
fn scheduler(scheduler: &Scheduler, field: &str) -> Result<(), Fault> {
    let key = |key: &str| format!("{field}.{key}");
    within(&key("storm_unreliable_max_age_ms"), scheduler.storm_unreliable_max_age_ms, 1..=60_000)?;
    within(&key("discard_deadline_ms"), scheduler.discard_deadline_ms, 1..=60_000)?;
    within(&key("failover_suspect_ms"), scheduler.failover_suspect_ms, 50..=10_000)?;
    within(&key("failover_readmit_ms"), scheduler.failover_readmit_ms, 0..=60_000)?;
    within(&key("redundancy_max_packet_bytes"), scheduler.redundancy_max_packet_bytes, 0..=65_535)
}

fn within(field: &str, given: Option<u32>, range: std::ops::RangeInclusive<u32>) -> Result<(), Fault> {
    match given {
        Some(n) if !range.contains(&n) => {
            Err(bad(field, format!("expected {} to {}, got {n}", range.start(), range.end())))
        }
        _ => Ok(()),
    }
}

fn link(id: u32, uri: &str) -> BondingLink {
    BondingLink { id, uri: uri.to_owned(), ..BondingLink::default() }
}

fn bad(field: &str, message: String) -> Fault {
    Fault::new(ErrorCode::INVALID_FIELD, message).with_field(field)
}

/// TR-06-1 appendix B.
const DEFAULT_LATENCY_MS: u32 = 1000;
/// A device with more modems does not exist; a list of thousands is a mistake.
const MAX_LINKS: usize = 16;
/// What the pipeline encodes with: live pictures must not wait for later ones.
const TUNE: &str = "zerolatency";

#[cfg(test)]
mod tests;
