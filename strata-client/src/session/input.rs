//! What goes into the machine, and what comes out.

use std::time::Instant;

use strata_proto::control::{AgentMessage, CommandProgress, DeviceStatus, Reply, StreamEnded, StreamStats};
use strata_proto::id::MessageId;
use strata_proto::time::Timestamp;

use super::Event;

/// The time, as the caller's clocks show it.
///
/// Everything that waits is measured by `monotonic`; `wall` only goes into time stamps, so that a
/// wall clock that jumps (a device without a battery, when NTP finds it) disturbs nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Now {
    /// A clock that never jumps.
    pub monotonic: Instant,
    /// UTC.
    pub wall: Timestamp,
}

/// What happened outside.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Input<'a> {
    /// The transport is open: TLS and the WebSocket upgrade are done.
    Connected,
    /// The transport did not open, for the given reason.
    DialFailed(&'a str),
    /// A text frame.
    Text(&'a str),
    /// A binary frame: nothing of this protocol.
    Binary,
    /// A message over the size limit.
    TooBig,
    /// A ping. The transport answers it.
    Ping,
    /// A pong with its payload.
    Pong(&'a [u8]),
    /// A close frame, or 1005 for one without a code.
    Closed {
        /// WebSocket close code (RFC 6455 §7.4).
        code: u16,
        /// Its reason.
        reason: &'a str,
    },
    /// The transport broke without a close frame.
    Broken(&'a str),
    /// Tell the control plane something.
    Send(Report),
    /// Answer a command that came as [`Event::Command`].
    Reply {
        /// The command's id.
        id: MessageId,
        /// The answer.
        reply: Reply,
    },
    /// The device changed; an [`Event::StatusDue`] follows soon.
    StatusChanged,
    /// Hand over what must not be lost, then close.
    Shutdown,
    /// The time of the last [`Output::Timeout`] has come. Giving it early or often does no harm.
    Timeout,
}

/// What an agent tells the control plane by itself.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Report {
    /// `device.status`. Telemetry: dropped without a connection.
    Status(Box<DeviceStatus>),
    /// `stream.stats`. Telemetry.
    Stats(StreamStats),
    /// `command.progress`. Telemetry.
    Progress(CommandProgress),
    /// `stream.ended`. Kept until the server acknowledges it.
    Ended(StreamEnded),
}

impl From<Report> for AgentMessage {
    fn from(report: Report) -> Self {
        match report {
            Report::Status(status) => Self::DeviceStatus(status),
            Report::Stats(stats) => Self::StreamStats(stats),
            Report::Progress(progress) => Self::Progress(progress),
            Report::Ended(ended) => Self::StreamEnded(ended),
        }
    }
}

/// What is to be done now.
#[derive(Debug, Clone, PartialEq)]
pub enum Output {
    /// For the transport.
    Transmit(Transmit),
    /// For the machine's owner.
    Event(Event),
    /// Nothing more now: give [`Input::Timeout`] at this time, if any, or another input before.
    Timeout(Option<Instant>),
}

/// What the transport has to do, in this order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Transmit {
    /// Open a connection; answer with [`Input::Connected`] or [`Input::DialFailed`].
    Dial,
    /// Send a text frame.
    Text(String),
    /// Send a ping with this payload.
    Ping([u8; 8]),
    /// Send a close frame if the connection is open, and let go of it: nothing of it may come as
    /// input after this. While dialing: give up.
    Close {
        /// WebSocket close code (RFC 6455 §7.4, or 4000 to 4999).
        code: u16,
        /// Its reason, at most 123 bytes.
        reason: &'static str,
    },
}
