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

use std::collections::BTreeSet;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use strata_proto::control::{BondingConfig, ConfigUpdate, Encoder, Source, StreamStats};
use strata_proto::id::StreamId;

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
    /// Interfaces whose links must not be used.
    #[serde(default)]
    pub disabled: BTreeSet<String>,
    /// What the child logs; the agent's own filter.
    pub log: String,
}

impl PipelineConfig {
    /// Lays an update over the configuration.
    pub fn merge(&mut self, update: &ConfigUpdate) {
        if let Some(bitrate) = update.encoder.as_ref().and_then(|encoder| encoder.bitrate_kbps) {
            self.encoder.bitrate_kbps = Some(bitrate);
        }
        let Some(given) = &update.scheduler else { return };
        let have = &mut self.bonding.scheduler;
        macro_rules! take {
            ($($field:ident)*) => {$( if given.$field.is_some() { have.$field = given.$field; } )*};
        }
        take!(storm_enabled storm_reliable_weight storm_unreliable_max_age_ms discard_deadline_ms
            redundancy_enabled redundancy_spare_ratio redundancy_max_packet_bytes redundancy_target_links
            critical_broadcast failover_suspect_ms failover_readmit_ms);
    }
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
    /// Use the links of these interfaces no more, and all others.
    Disable {
        /// Names of interfaces.
        interfaces: BTreeSet<String>,
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
