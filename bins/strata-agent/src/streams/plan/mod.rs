//! From a `stream.start` to what the pipeline is told; everything that can be known to be wrong is
//! refused here, naming the field.

mod links;
mod uri;

use std::collections::BTreeMap;
use std::path::Path;

use strata_agent_protocol::stream::{PipelineConfig, latency_ms, merge_encoder};
use strata_proto::control::{
    BITRATE_KBPS, BondingConfig, BondingLink, ConfigUpdate, Encoder, ErrorCode, Fault, Scheduler, Source,
    SourceMode, StreamStart,
};
use url::Url;

use crate::media_dir::MediaDir;
pub(crate) use links::Interfaces;
pub(crate) use uri::without_secrets;

/// What a plan is made against.
#[derive(Debug)]
pub(crate) struct Facts<'a> {
    /// Where files may come from.
    pub(crate) media: &'a MediaDir,
    /// What links may leave by.
    pub(crate) interfaces: Interfaces<'a>,
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
    let destinations = destinations(start, &facts.interfaces)?;
    let bonding = match &start.bonding_config {
        Some(config) => bond(config, &destinations, &facts.interfaces)?,
        None => BondingConfig { version: 1, links: destinations, scheduler: Scheduler::default() },
    };
    Ok(PipelineConfig {
        stream_id: start.stream_id.clone(),
        source,
        encoder: start.encoder.clone(),
        latency_ms: latency_ms(&bonding.links).unwrap_or(DEFAULT_LATENCY_MS),
        bonding,
        stats_interval_ms: facts.stats_interval_ms,
        parent: std::process::id(),
        rules: facts.interfaces.rules.clone(),
        spent: BTreeMap::new(),
        log: facts.log.to_owned(),
    })
}

/// Checks a `config.update` as a whole, before anything of it is carried out; its links come back with what their addresses
/// say in their fields.
///
/// # Errors
/// A [`Fault`] naming the field that cannot be.
pub(crate) fn check_update(
    update: &ConfigUpdate,
    interfaces: &Interfaces<'_>,
) -> Result<ConfigUpdate, Fault> {
    if let Some(given) = &update.scheduler {
        scheduler(given, "payload.scheduler")?;
    }
    if let Some(given) = &update.encoder {
        let mut alone = Encoder::default();
        merge_encoder(&mut alone, given);
        encoder(&alone, "payload.encoder")?;
    }
    let settle = |given: &Vec<_>| links::settle(given, "payload.links", interfaces);
    let links = update.links.as_ref().map(settle).transpose()?;
    Ok(ConfigUpdate { links, ..update.clone() })
}

/// Checks what `update` asks of the stream that runs.
///
/// # Errors
/// A [`Fault`] naming the field that cannot change while it does.
pub(crate) fn check_change(running: &PipelineConfig, update: &ConfigUpdate) -> Result<(), Fault> {
    let mut merged = running.encoder.clone();
    update.encoder.iter().for_each(|given| merge_encoder(&mut merged, given));
    encoder(&merged, "payload.encoder")?;
    let go_on = |links: &Vec<_>| links::go_on(&running.bonding.links, links, "payload.links");
    update.links.as_ref().map_or(Ok(()), go_on)
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
    within(&format!("{field}.ramp_percent"), encoder.ramp_percent, 1..=1000)?;
    let most = encoder.bitrate_kbps.unwrap_or(*BITRATE_KBPS.end());
    within(&format!("{field}.min_bitrate_kbps"), encoder.min_bitrate_kbps, 1..=most)?;
    match encoder.tune.as_deref() {
        Some(tune) if tune != TUNE => Err(bad(
            &format!("{field}.tune"),
            format!("this agent encodes with {TUNE} only, got {tune:.32?}"),
        )),
        _ => Ok(()),
    }
}

/// Checks `destinations`; the links they are when there is no `bonding_config`.
fn destinations(start: &StreamStart, interfaces: &Interfaces<'_>) -> Result<Vec<BondingLink>, Fault> {
    let field = "payload.destinations";
    if start.destinations.len() > links::MAX_LINKS {
        return Err(bad(field, format!("more than {} destinations", links::MAX_LINKS)));
    }
    if start.destinations.is_empty() && start.bonding_config.is_none() {
        return Err(bad(field, "expected at least one rist://host:port".to_owned()));
    }
    links::of_uris(&start.destinations, field, interfaces)
}

fn bond(
    given: &BondingConfig,
    destinations: &[BondingLink],
    interfaces: &Interfaces<'_>,
) -> Result<BondingConfig, Fault> {
    let field = "payload.bonding_config";
    if given.version != 1 {
        return Err(bad(&format!("{field}.version"), format!("expected 1, got {}", given.version)));
    }
    scheduler(&given.scheduler, &format!("{field}.scheduler"))?;
    let links_field = format!("{field}.links");
    let links = links::settle(&given.links, &links_field, interfaces)?;
    links::keep_secret(destinations, &links, &links_field)?;
    Ok(BondingConfig { links, ..given.clone() })
}

/// What the wire type's own limits (shares of 0 to 1, 1 to 64 links) leave open.
fn scheduler(scheduler: &Scheduler, field: &str) -> Result<(), Fault> {
    let key = |key: &str| format!("{field}.{key}");
    within(&key("storm_unreliable_max_age_ms"), scheduler.storm_unreliable_max_age_ms, 1..=60_000)?;
    within(&key("discard_deadline_ms"), scheduler.discard_deadline_ms, 1..=60_000)?;
    within(&key("max_ahead_ms"), scheduler.max_ahead_ms, 1..=1000)?;
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

fn bad(field: &str, message: String) -> Fault {
    Fault::new(ErrorCode::INVALID_FIELD, message).with_field(field)
}

/// TR-06-1 appendix B.
const DEFAULT_LATENCY_MS: u32 = 1000;
/// What the pipeline encodes with: live pictures must not wait for later ones.
const TUNE: &str = "zerolatency";

#[cfg(test)]
mod tests;
