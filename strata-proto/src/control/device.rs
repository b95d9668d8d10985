//! `device.status`: what the hardware is and does (`control.md` §4.1).

use serde::{Deserialize, Serialize};

use crate::id::StreamId;
use crate::range;

/// `device.status`: heartbeat every 10 s, at once after login, and when something changes.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct DeviceStatus {
    /// Interfaces packets could leave by.
    pub network_interfaces: Vec<NetworkInterface>,
    /// Cameras and capture cards.
    pub media_inputs: Vec<MediaInput>,
    /// Files that can be streamed.
    #[serde(default)]
    pub saved_media: Vec<SavedMedia>,
    /// What the agent is doing.
    pub stream_state: StreamState,
    /// Load of all cores together, 0 to 100.
    #[serde(with = "range::percent")]
    pub cpu_percent: f64,
    /// Memory in use, MB (10⁶ bytes).
    pub mem_used_mb: u64,
    /// Time since the device was started, seconds.
    pub uptime_s: u64,
    /// Streams that run now, so that a server that was away can take them up again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub running_streams: Option<Vec<StreamId>>,
}

/// What an agent is doing with its camera.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum StreamState {
    /// Nothing.
    #[default]
    Idle,
    /// Building the pipeline.
    Starting,
    /// Media flows.
    Streaming,
    /// Draining the pipeline.
    Stopping,
    /// A state of a newer agent.
    #[serde(other)]
    Unknown,
}

/// One network interface.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct NetworkInterface {
    /// The system's name, such as `wwan0`.
    pub name: String,
    /// What kind of network it reaches.
    #[serde(rename = "type")]
    pub kind: InterfaceType,
    /// Whether it can carry packets.
    pub state: InterfaceState,
    /// Its first address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ip: Option<String>,
    /// Mobile operator.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub carrier: Option<String>,
    /// Signal strength, dBm.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signal_dbm: Option<i32>,
    /// Radio technology, such as `LTE` or `5G-NSA`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub technology: Option<String>,
    /// Whether the agent may use it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub enabled: Option<bool>,
    /// Kernel driver.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub driver: Option<String>,
    /// Bus position, such as `usb 1-1.2`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bus: Option<String>,
    /// Product name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub product: Option<String>,
    /// Subnet in CIDR notation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subnet: Option<String>,
    /// Address of the gateway.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gateway: Option<String>,
    /// Whether a default route leaves by it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub has_default_route: Option<bool>,
    /// Radio band.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub band: Option<String>,
    /// Reference signal received power, dBm.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rsrp: Option<f64>,
    /// Reference signal received quality, dB.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rsrq: Option<f64>,
    /// Signal to interference and noise ratio, dB.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sinr: Option<f64>,
}

/// What kind of network an interface reaches.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum InterfaceType {
    /// A mobile network.
    Cellular,
    /// A cable.
    Ethernet,
    /// A wireless LAN.
    Wifi,
    /// The machine itself.
    Loopback,
    /// Anything else, such as a tunnel.
    #[serde(other)]
    Other,
}

/// Whether an interface can carry packets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum InterfaceState {
    /// Up, with an address.
    Connected,
    /// Up, waiting for an address or a network.
    Connecting,
    /// No carrier, or switched off.
    Disconnected,
    /// A state of a newer agent.
    #[serde(other)]
    Unknown,
}

/// One camera or capture card.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MediaInput {
    /// Device node, such as `/dev/video0`.
    pub device: String,
    /// Kind of source, such as `v4l2`.
    #[serde(rename = "type")]
    pub kind: String,
    /// Name for people.
    pub label: String,
    /// Formats, such as `1920x1080@30`.
    pub capabilities: Vec<String>,
    /// Whether it can be opened.
    pub status: InputStatus,
}

/// Whether an input can be opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum InputStatus {
    /// Yes.
    Available,
    /// Somebody has it open.
    InUse,
    /// It is there but fails.
    Error,
    /// A status of a newer agent.
    #[serde(other)]
    Unknown,
}

/// One file that can be streamed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SavedMedia {
    /// Absolute path on the device.
    pub path: String,
    /// File name.
    pub name: String,
    /// Size, MB (10⁶ bytes), rounded.
    pub size_mb: u64,
    /// Duration, seconds, rounded; absent when it could not be read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub duration_s: Option<u64>,
}
