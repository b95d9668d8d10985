//! Commands: what the control plane asks of an agent (`control.md` §4.2, control-facts *Commands*).

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::bonding::public_part;
use super::{BondingConfig, BondingLink, Encoder, NetworkInterface, Scheduler, Source};
use crate::id::{MessageId, StreamId};
use crate::range;
use crate::time::Timestamp;

macro_rules! commands {
    ($($(#[$doc:meta])* $name:ident = $tag:literal,)*) => {
        /// A request to an agent; each gets exactly one `<type>.response`.
        #[derive(Debug, Clone, PartialEq, Serialize)]
        #[serde(untagged)]
        #[non_exhaustive]
        pub enum Command {
            $($(#[$doc])* $name($name),)*
        }

        /// The type of a [`Command`], as agents list it in `capabilities`.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[non_exhaustive]
        pub enum CommandKind {
            $($(#[$doc])* $name,)*
        }

        impl CommandKind {
            /// Every command there is.
            pub const ALL: &'static [Self] = &[$(Self::$name,)*];

            /// The message type, such as `stream.start`.
            #[must_use]
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$name => $tag,)* }
            }
        }

        impl Command {
            /// Which command this is.
            #[must_use]
            pub fn kind(&self) -> CommandKind {
                match self { $(Self::$name(_) => CommandKind::$name,)* }
            }

            /// Decodes the payload of a command of the given kind.
            ///
            /// # Errors
            /// [`crate::DecodeError`] with a path below `payload`.
            pub fn decode(kind: CommandKind, payload: &str) -> Result<Self, crate::DecodeError> {
                match kind {
                    $(CommandKind::$name => crate::error::from_json(payload, "payload").map(Self::$name),)*
                }
            }
        }

        $(impl From<$name> for Command {
            fn from(payload: $name) -> Self {
                Self::$name(payload)
            }
        })*
    };
}

commands! {
    /// Start a broadcast.
    StreamStart = "stream.start",
    /// Stop a broadcast.
    StreamStop = "stream.stop",
    /// Change a running stream's configuration.
    ConfigUpdate = "config.update",
    /// Replace the agent's software.
    AgentUpdate = "agent.update",
    /// Take pictures from another source, without stopping the stream.
    SourceSwitch = "source.switch",
    /// Change one network interface.
    InterfaceCommand = "interface.command",
    /// Look for network interfaces again.
    InterfacesScan = "interfaces.scan",
    /// List files below a configured root.
    FilesList = "files.list",
    /// Delete a saved file.
    MediaDelete = "media.delete",
    /// Read the agent's log.
    LogsGet = "logs.get",
    /// Measure the network.
    DiagnosticsNetwork = "diagnostics.network",
    /// Restart the agent, reboot or shut down the device.
    PowerCommand = "power.command",
    /// Read the agent's configuration.
    ConfigGet = "config.get",
    /// Change the agent's configuration.
    ConfigSet = "config.set",
    /// Give up a command that is still running.
    CommandCancel = "command.cancel",
}

impl fmt::Display for CommandKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A message type that is not a command.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a command")]
pub struct NotACommand;

impl FromStr for CommandKind {
    type Err = NotACommand;

    fn from_str(text: &str) -> Result<Self, NotACommand> {
        Self::ALL.iter().copied().find(|kind| kind.as_str() == text).ok_or(NotACommand)
    }
}

/// `stream.start`; `Debug` does not show what its addresses may have of secrets.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
pub struct StreamStart {
    /// The stream's identifier, chosen by the control plane.
    pub stream_id: StreamId,
    /// Where pictures come from.
    pub source: Source,
    /// How they are encoded.
    #[serde(default)]
    pub encoder: Encoder,
    /// Where they go, one `rist://host:port` per link.
    pub destinations: Vec<String>,
    /// How they are spread; over `destinations` with defaults when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bonding_config: Option<BondingConfig>,
}

impl fmt::Debug for StreamStart {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { stream_id, source, encoder, destinations, bonding_config } = self;
        let destinations: Vec<_> = destinations.iter().map(|uri| public_part(uri)).collect();
        let mut out = f.debug_struct("StreamStart");
        out.field("stream_id", stream_id).field("source", source).field("encoder", encoder);
        out.field("destinations", &destinations).field("bonding_config", bonding_config).finish()
    }
}

/// `stream.stop`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StreamStop {
    /// Which stream.
    pub stream_id: StreamId,
    /// Why, such as `user_request`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// `config.update`: changes a running stream; absent fields stay as they are.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct ConfigUpdate {
    /// How packets are spread.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scheduler: Option<Scheduler>,
    /// How pictures are encoded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub encoder: Option<EncoderUpdate>,
    /// Every link there is to be from now on: others are removed, new ones added, and those of a known id changed. Not in
    /// `control.md`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub links: Option<Vec<BondingLink>>,
}

/// What can change in a running encoder.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct EncoderUpdate {
    /// Video bitrate, kbit/s, 1 to 1 000 000.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "range::setting::<1, 1000000, _>"
    )]
    pub bitrate_kbps: Option<u32>,
    /// Encode less when the links carry less, and more again when they do. Not in `control.md`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub adaptive: Option<bool>,
    /// The least video bitrate while the links can carry that, kbit/s, at most `bitrate_kbps`. Not in `control.md` either.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "range::setting::<1, 1000000, _>"
    )]
    pub min_bitrate_kbps: Option<u32>,
    /// How fast it rises again: percent of `bitrate_kbps` per second, 1 to 1000. Not in `control.md` either.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "range::setting::<1, 1000, _>"
    )]
    pub ramp_percent: Option<u32>,
}

/// `agent.update`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AgentUpdate {
    /// Where the new program is, `https://` only.
    pub binary_url: String,
    /// SHA-256 of the program, hexadecimal.
    pub sha256: String,
    /// Signature of the program by a key in the agent's configuration (minisign).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signature: Option<String>,
    /// Restart into the new program when it is in place.
    #[serde(default)]
    pub restart_after: bool,
    /// Do it although a stream runs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub force: Option<bool>,
}

/// `source.switch`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SourceSwitch {
    /// Which stream.
    pub stream_id: StreamId,
    /// The new source.
    pub source: Source,
}

/// `interface.command`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct InterfaceCommand {
    /// Which interface.
    pub interface: String,
    /// What to do with it.
    pub action: InterfaceAction,
    /// Priority, band or APN, by `action`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value: Option<Value>,
}

/// What to do with an interface.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum InterfaceAction {
    /// Use it.
    Enable,
    /// Do not use it.
    Disable,
    /// Set its priority.
    Priority,
    /// Hold the modem on one band.
    BandLock,
    /// Set the access point name.
    Apn,
}

/// `interfaces.scan`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct InterfacesScan {}

/// Result of `interfaces.scan`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct InterfacesScanResult {
    /// Every interface the device has now.
    pub network_interfaces: Vec<NetworkInterface>,
}

/// `files.list`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct FilesList {
    /// Directory below a configured root; the roots themselves when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
}

/// Result of `files.list`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct FilesListResult {
    /// What is in the directory.
    pub files: Vec<FileEntry>,
}

/// One entry of a directory.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileEntry {
    /// Name without directory.
    pub name: String,
    /// Path to pass on.
    pub path: String,
    /// Whether it is a directory.
    pub is_dir: bool,
    /// Size, bytes.
    pub size_bytes: u64,
    /// Last change.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub modified: Option<Timestamp>,
}

/// `media.delete`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MediaDelete {
    /// File below a configured root.
    pub path: String,
}

/// `logs.get`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogsGet {
    /// Most lines (default 200).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lines: Option<u32>,
    /// Only lines of this level or worse, such as `warn`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub level: Option<String>,
}

/// Result of `logs.get`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogsGetResult {
    /// The newest lines, oldest first.
    pub lines: Vec<String>,
}

/// `diagnostics.network`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DiagnosticsNetwork {
    /// What to measure.
    pub kind: DiagnosticsKind,
    /// Host to measure against.
    pub target: String,
    /// Interface to measure over; the system's choice when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub interface: Option<String>,
}

/// What `diagnostics.network` measures.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum DiagnosticsKind {
    /// Round-trip time.
    Ping,
    /// The way packets take.
    Traceroute,
    /// Rate.
    Throughput,
}

/// `power.command`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PowerCommand {
    /// What to do.
    pub action: PowerAction,
    /// Do it although a stream runs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub force: Option<bool>,
}

/// What `power.command` does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum PowerAction {
    /// Start the agent's program anew.
    RestartAgent,
    /// Start the device anew.
    Reboot,
    /// Switch the device off.
    Shutdown,
}

/// `config.get`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConfigGet {}

/// Result of `config.get`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct ConfigGetResult {
    /// Keys of the agent's configuration and their values, without secrets.
    pub values: Map<String, Value>,
}

/// `config.set`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct ConfigSet {
    /// Keys of the agent's configuration and their new values.
    pub values: Map<String, Value>,
}

/// `command.cancel`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CommandCancel {
    /// Message id of the command to give up.
    pub command_id: MessageId,
}
