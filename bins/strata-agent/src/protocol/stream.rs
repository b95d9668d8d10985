//! One stream: the agent, and the child that is its media pipeline.
//!
//! ```text
//!   agent                                     child
//!     │ stdin:  PipelineConfig, once ─────────►│ builds the pipeline
//!     │◄──────────── stdout: {"event":"started"}│
//!     │◄──────── {"event":"stats",…} each second│
//!     │ {"cmd":"update",…} ───────────────────►│ changes it while it runs
//!     │◄──────────────────── {"event":"updated"}│
//!     │ {"cmd":"stop"}, or stdin closes ──────►│ end of stream, last retransmissions
//!     │◄───────────── {"event":"ended",…}, exit │
//! ```
//! What goes wrong is `{"event":"failed"}` before the child exits, or just its death.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use strata_proto::control::{
    BondingConfig, BondingLink, ConfigUpdate, Encoder, EncoderUpdate, Source, StreamStats,
};
use strata_proto::id::StreamId;

use crate::interfaces::Rules;

/// From [`PipelineCommand::Stop`] to the child's end; then it is killed (control-facts, *Sender agent*: end of stream,
/// 5 s, then kill). The child must be done before, by a limit of its own that is shorter.
pub const STOP_LIMIT: Duration = Duration::from_secs(5);

/// The first line on the child's stdin.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PipelineConfig {
    /// Which stream.
    pub stream_id: StreamId,
    /// Where pictures come from; a file's path is absolute and was checked.
    pub source: Source,
    /// How they are encoded.
    pub encoder: Encoder,
    /// Where they go, link by link.
    pub bonding: BondingConfig,
    /// Time the receiver waits for retransmissions, ms.
    pub latency_ms: u32,
    /// Time between two `stats`, ms.
    pub stats_interval_ms: u64,
    /// The agent's process id: a child of somebody else has been orphaned.
    pub parent: u32,
    /// What was said of interfaces.
    #[serde(default)]
    pub rules: Rules,
    /// Bytes that links have carried with earlier children, by their ids; they count towards their caps.
    #[serde(default)]
    pub spent: BTreeMap<u32, u64>,
    /// What the child logs; the agent's own filter.
    pub log: String,
}

/// Links of which is kept what they have carried, those that were removed included.
pub const MOST_SPENT: usize = 256;

impl PipelineConfig {
    /// Takes what links have carried, of which the least is forgotten when they are more than [`MOST_SPENT`].
    pub fn spend(&mut self, links: Vec<(u32, u64)>) {
        self.spent.extend(links);
        while self.spent.len() > MOST_SPENT {
            let least = self.spent.iter().min_by_key(|(_, bytes)| **bytes).map(|(id, _)| *id);
            least.and_then(|id| self.spent.remove(&id));
        }
    }

    /// Lays an update over the configuration.
    pub fn merge(&mut self, update: &ConfigUpdate) {
        if let Some(given) = &update.encoder {
            merge_encoder(&mut self.encoder, given);
        }
        if let Some(links) = &update.links {
            self.latency_ms = latency_ms(links).unwrap_or(self.latency_ms);
            self.bonding.links.clone_from(links);
        }
        let Some(given) = &update.scheduler else { return };
        let have = &mut self.bonding.scheduler;
        if given.mode.is_some() {
            // What was set before within another mode is over.
            (have.redundancy_enabled, have.redundancy_spare_ratio) = (None, None);
            (have.critical_broadcast, have.critical_target_links) = (None, None);
        }
        macro_rules! take {
            ($($field:ident)*) => {$( if given.$field.is_some() { have.$field = given.$field; } )*};
        }
        take!(mode storm_enabled storm_reliable_weight storm_unreliable_max_age_ms discard_deadline_ms
            max_ahead_ms redundancy_enabled redundancy_spare_ratio redundancy_max_packet_bytes redundancy_target_links
            critical_broadcast critical_target_links failover_suspect_ms failover_readmit_ms fec_enabled fec_max_ratio);
    }
}

/// Lays what is given of an encoder over what there is.
pub fn merge_encoder(have: &mut Encoder, given: &EncoderUpdate) {
    let EncoderUpdate { bitrate_kbps, adaptive, min_bitrate_kbps, ramp_percent } = *given;
    have.bitrate_kbps = bitrate_kbps.or(have.bitrate_kbps);
    have.adaptive = adaptive.or(have.adaptive);
    have.min_bitrate_kbps = min_bitrate_kbps.or(have.min_bitrate_kbps);
    have.ramp_percent = ramp_percent.or(have.ramp_percent);
}

/// Time the receiver waits for retransmissions, ms, where an address says so: its `buffer`, the same in all that have one.
#[must_use]
pub fn latency_ms(links: &[BondingLink]) -> Option<u32> {
    let buffer = |link: &BondingLink| {
        let (_, parameters) = link.uri.split_once('?')?;
        let values = parameters.split('&').find_map(|parameter| parameter.strip_prefix("buffer="));
        values?.parse().ok()
    };
    links.iter().find_map(buffer)
}

/// A further line on the child's stdin.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "cmd", rename_all = "snake_case")]
pub enum PipelineCommand {
    /// Send what is left, and exit.
    Stop,
    /// Change the running pipeline; answered by `updated`.
    Update {
        /// What changes.
        update: ConfigUpdate,
    },
    /// Use links as is said of their interfaces now.
    Rules {
        /// All that is said.
        rules: Rules,
    },
    /// Send `stats` this often from now on.
    StatsInterval {
        /// Time between two, ms.
        ms: u64,
    },
}

/// A line on the child's stdout.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum PipelineEvent {
    /// Media flows.
    Started,
    /// How it goes; counters are the child's own, from its start.
    Stats(StreamStats),
    /// What links have carried as their caps count it, earlier children included; every second.
    Spent {
        /// Ids, and bytes.
        links: Vec<(u32, u64)>,
    },
    /// An update was carried out, or why it was not.
    Updated {
        /// The fault; nothing was changed then.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        error: Option<String>,
    },
    /// The pipeline cannot go on; the child exits.
    Failed {
        /// Why.
        message: String,
    },
    /// The stream is over; the child exits.
    Ended {
        /// Bytes sent over all links.
        total_bytes: u64,
    },
}
