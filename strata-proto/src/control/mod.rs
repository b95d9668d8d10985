//! The control protocol: sender agent ↔ control plane over WSS, REST bodies, the live WebSocket
//! (`control.md`).
//!
//! ```text
//! agent                                   control plane
//!   │  auth.login ───────────────────────────►│   first message, within 10 s
//!   │◄─────────────────────── auth.challenge  │   only for a device with a key pair
//!   │  auth.challenge.response ──────────────►│
//!   │◄────────────────── auth.login.response  │   session token, settings
//!   │  device.status, stream.stats, … ───────►│
//!   │◄──────────── stream.start, … (Command)  │
//!   │  <type>.response (Reply) ──────────────►│   the request's id, exactly one
//! ```

mod auth;
mod bonding;
mod command;
mod destination;
mod device;
mod envelope;
mod live;
mod message;
mod receiver;
mod reply;
mod rest;
mod stream;

pub use auth::{AgentSettings, Challenge, ChallengeResponse, Login, LoginResponse};
pub use bonding::{BondingConfig, BondingLink, BondingMode, LinkPriority, Scheduler};
pub use command::{
    AgentUpdate, Command, CommandCancel, CommandKind, ConfigGet, ConfigGetResult, ConfigSet, ConfigUpdate,
    DiagnosticsKind, DiagnosticsNetwork, EncoderUpdate, FileEntry, FilesList, FilesListResult,
    InterfaceAction, InterfaceCommand, InterfacesScan, InterfacesScanResult, LogsGet, LogsGetResult,
    MediaDelete, PowerAction, PowerCommand, SourceSwitch, StreamStart, StreamStop,
};
pub use destination::{DestinationCreate, DestinationUpdate, DestinationView, Platform};
pub use device::{
    DeviceStatus, InputStatus, InterfaceState, InterfaceType, MediaInput, NetworkInterface, SavedMedia,
    StreamState,
};
pub use envelope::{Envelope, RawEnvelope};
pub use live::{LiveEvent, LiveFrame, LiveRequest, Topic};
pub use message::{AgentMessage, CommandProgress, ControlMessage, Message};
pub use receiver::{ReceiverCommand, ReceiverEvent, ReceiverLinkStats, ReceiverOutput, ReceiverStats};
pub use reply::{ErrorCode, Fault, Reply};
pub use rest::{
    LATENCY_MS, LoginRequest, LoginTokens, Presence, Problem, RefreshRequest, Role, SenderCreate,
    SenderCreated, SenderUpdate, SenderView, StartLink, StartStream, StopStream, StreamLife, StreamView,
    UpdateLink, UpdateStream, UserView,
};
pub use stream::{
    BITRATE_KBPS, Encoder, EndReason, LinkState, LinkStats, ParseResolutionError, Resolution, Source,
    SourceMode, StreamEnded, StreamStats,
};

/// The version of the envelope this crate writes; a message without one has this version.
pub const PROTO_VERSION: u32 = 1;

/// Default limit of one message in bytes; a longer one closes the connection with 1009.
pub const MAX_MESSAGE_BYTES: usize = 1024 * 1024;

/// Most messages an agent keeps while it is away, and sends at once when it is back; a control plane takes
/// at least as many at once.
pub const JOURNAL_MESSAGES: usize = 1024;
