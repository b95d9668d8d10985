//! The control socket of a receiver process: JSON lines over a Unix socket (control-facts, *Control plane*).
//!
//! A control plane that comes back finds its receivers by these sockets and takes them up again.

use serde::{Deserialize, Serialize};

use crate::id::StreamId;
use crate::tagged::from_tagged_json;
use crate::{DecodeError, range};

/// What a control plane tells a receiver: `{"cmd":"stop"}`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "cmd", rename_all = "snake_case")]
#[non_exhaustive]
pub enum ReceiverCommand {
    /// Drain the outputs, write what is left, end.
    Stop,
    /// Answer with `stats` at once.
    Stats,
    /// Forward to these outputs from now on; outputs that stay are not disturbed.
    UpdateForward {
        /// Where to.
        outputs: Vec<ReceiverOutput>,
    },
}

impl ReceiverCommand {
    /// Decodes one line.
    ///
    /// # Errors
    /// [`DecodeError`] naming the field that did not fit.
    pub fn decode(line: &str) -> Result<Self, DecodeError> {
        #[derive(Deserialize)]
        #[serde(remote = "ReceiverCommand", rename_all = "snake_case")]
        enum Fields {
            Stop,
            Stats,
            UpdateForward { outputs: Vec<ReceiverOutput> },
        }
        #[derive(Deserialize)]
        struct Line(#[serde(with = "Fields")] ReceiverCommand);
        from_tagged_json::<Line>(line, "cmd").map(|line| line.0)
    }
}

/// One place a receiver forwards to: `file:///…`, `srt://…`, `rtmp://…`, `rtmps://…`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReceiverOutput {
    /// The address, which may hold a stream key.
    pub uri: crate::token::Secret,
}

/// What a receiver says: `{"event":"ready",…}`. Every new connection is greeted with `ready`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
#[non_exhaustive]
pub enum ReceiverEvent {
    /// Ports are bound.
    Ready {
        /// Which stream.
        stream_id: StreamId,
        /// The process.
        pid: u32,
        /// RTP ports; RTCP is one above each.
        ports: Vec<u16>,
    },
    /// The first byte came, and a file was made for it.
    Recording {
        /// Which: `record`, or `output N` for a forward to a file.
        part: String,
        /// The file; when the name asked for was taken, `name-1.ts`, and so on.
        path: String,
    },
    /// Once per second, and when asked.
    Stats(ReceiverStats),
    /// An output or the input failed; the others go on.
    Error {
        /// What failed, such as `output 1` (never the address, which may hold a key).
        part: String,
        /// Why.
        message: String,
    },
    /// The last line.
    Stopped {
        /// Why: `stop`, `idle`, `signal` or `error`.
        reason: String,
    },
}

impl ReceiverEvent {
    /// Decodes one line.
    ///
    /// # Errors
    /// [`DecodeError`] naming the field that did not fit.
    pub fn decode(line: &str) -> Result<Self, DecodeError> {
        #[derive(Deserialize)]
        #[serde(remote = "ReceiverEvent", rename_all = "snake_case")]
        enum Fields {
            Ready { stream_id: StreamId, pid: u32, ports: Vec<u16> },
            Recording { part: String, path: String },
            Stats(ReceiverStats),
            Error { part: String, message: String },
            Stopped { reason: String },
        }
        #[derive(Deserialize)]
        struct Line(#[serde(with = "Fields")] ReceiverEvent);
        from_tagged_json::<Line>(line, "event").map(|line| line.0)
    }
}

/// Statistics of a receiver.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct ReceiverStats {
    /// Time since its start, ms.
    pub uptime_ms: u64,
    /// Time since the last packet of the stream, ms; absent before the first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub idle_ms: Option<u64>,
    /// Packets put out, in order.
    pub delivered_packets: u64,
    /// Bytes put out.
    pub delivered_bytes: u64,
    /// Packets that never came in time.
    pub lost_packets: u64,
    /// Packets that came again by retransmission.
    pub recovered_packets: u64,
    /// Packets that came twice.
    pub duplicate_packets: u64,
    /// Packets that came after their playout time.
    pub late_packets: u64,
    /// Playout latency, ms.
    pub latency_ms: u32,
    /// Every port that packets came in by.
    pub links: Vec<ReceiverLinkStats>,
}

/// Statistics of one port of a receiver.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct ReceiverLinkStats {
    /// RTP port.
    pub port: u16,
    /// Packets received.
    pub packets: u64,
    /// Bytes received.
    pub bytes: u64,
    /// Smoothed round-trip time, ms; absent before the first echo.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "range::optional_millis")]
    pub rtt_ms: Option<f64>,
}
