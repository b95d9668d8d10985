//! The `[streams]` section of the configuration.

use std::net::{IpAddr, Ipv4Addr};
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Deserializer};
use strata_proto::control::LATENCY_MS;

use super::{Graces, PortPool};
use crate::config::ConfigError;

/// Streams, ports and receivers.
#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct StreamsConfig {
    /// Address receivers bind (default `0.0.0.0`).
    pub bind: IpAddr,
    /// Hosts that agents send to: link i uses `hosts[i % n]` (default: the host of `public_url`).
    pub hosts: Vec<String>,
    /// UDP ports of receivers, both ends included, two per link (default `15000-16000`).
    #[serde(deserialize_with = "port_range")]
    pub ports: RangeInclusive<u16>,
    /// The receiver program (default: `strata-receiver` beside the running program, else in `PATH`).
    pub receiver: Option<PathBuf>,
    /// Directory of the receivers' control sockets and logs (default `DATA_DIR/run`). It must
    /// survive a restart of the control plane, and its path must be short: sockets allow 107 bytes.
    pub run_dir: Option<PathBuf>,
    /// Directory of recordings (default `DATA_DIR/recordings`).
    pub recordings_dir: Option<PathBuf>,
    /// Whether streams are recorded unless the request says otherwise (default true).
    pub record: bool,
    /// Playout latency of receivers unless the request says otherwise, ms (default 1000).
    pub latency_ms: u32,
    /// Seconds without input after which a receiver ends (default 60).
    pub idle_timeout_s: u64,
    /// Seconds a receiver may take to be ready (default 5).
    pub ready_timeout_s: u64,
    /// Seconds an agent may take to answer `stream.start`, `stream.stop` or `config.update` (default 10).
    pub command_timeout_s: u64,
    /// Seconds from the request until media flow (default 30).
    pub starting_grace_s: u64,
    /// Seconds without a word from the agent and without media (default 90).
    pub unobserved_grace_s: u64,
    /// Seconds an agent may take to end its stream (default 60).
    pub stopping_grace_s: u64,
}

impl Default for StreamsConfig {
    fn default() -> Self {
        Self {
            bind: IpAddr::V4(Ipv4Addr::UNSPECIFIED),
            hosts: Vec::new(),
            ports: 15_000..=16_000,
            receiver: None,
            run_dir: None,
            recordings_dir: None,
            record: true,
            latency_ms: 1000,
            idle_timeout_s: 60,
            ready_timeout_s: 5,
            command_timeout_s: 10,
            starting_grace_s: 30,
            unobserved_grace_s: 90,
            stopping_grace_s: 60,
        }
    }
}

impl StreamsConfig {
    /// Checks what types alone cannot say.
    ///
    /// # Errors
    /// [`ConfigError`] naming the key.
    pub fn check(&self) -> Result<(), ConfigError> {
        if PortPool::new(self.ports.clone()).total() == 0 {
            return Err(ConfigError::new("streams.ports", "holds no pair of an even port and the next one"));
        }
        if let Some(i) = self.hosts.iter().position(|host| host_part(host).is_none()) {
            let key = format!("streams.hosts[{i}]");
            return Err(ConfigError::new(key, "expected a host name or address without scheme and port"));
        }
        if !LATENCY_MS.contains(&self.latency_ms) {
            let (least, most) = LATENCY_MS.into_inner();
            let reason = format!("is {}, must be from {least} to {most}", self.latency_ms);
            return Err(ConfigError::new("streams.latency_ms", reason));
        }
        let seconds = [
            ("streams.idle_timeout_s", self.idle_timeout_s),
            ("streams.ready_timeout_s", self.ready_timeout_s),
            ("streams.command_timeout_s", self.command_timeout_s),
            ("streams.starting_grace_s", self.starting_grace_s),
            ("streams.unobserved_grace_s", self.unobserved_grace_s),
            ("streams.stopping_grace_s", self.stopping_grace_s),
        ];
        match seconds.iter().find(|(_, value)| !(1..=86_400).contains(value)) {
            Some((key, value)) => Err(ConfigError::new(*key, format!("is {value}, must be from 1 to 86400"))),
            None => Ok(()),
        }
    }

    /// How long states may last, for a stream of this playout latency.
    #[must_use]
    pub fn graces(&self, latency: Duration) -> Graces {
        Graces {
            starting: Duration::from_secs(self.starting_grace_s),
            unobserved: Duration::from_secs(self.unobserved_grace_s),
            stopping: Duration::from_secs(self.stopping_grace_s),
            draining: latency + Graces::default().draining,
        }
    }

    /// Where control sockets and logs are.
    #[must_use]
    pub fn run_dir(&self, data_dir: &Path) -> PathBuf {
        self.run_dir.clone().unwrap_or_else(|| data_dir.join("run"))
    }

    /// Where recordings are.
    #[must_use]
    pub fn recordings_dir(&self, data_dir: &Path) -> PathBuf {
        self.recordings_dir.clone().unwrap_or_else(|| data_dir.join("recordings"))
    }

    /// The receiver program.
    #[must_use]
    pub fn receiver_program(&self) -> PathBuf {
        let beside = || std::env::current_exe().ok().map(|own| own.with_file_name(RECEIVER));
        self.receiver
            .clone()
            .or_else(|| beside().filter(|program| program.is_file()))
            .unwrap_or_else(|| PathBuf::from(RECEIVER))
    }
}

/// The host as it stands in an address: IPv6 in brackets. `None` for what is no host.
pub(super) fn host_part(host: &str) -> Option<String> {
    if let Ok(IpAddr::V6(address)) = host.parse() {
        return Some(format!("[{address}]"));
    }
    match url::Host::parse(host) {
        Ok(parsed) => Some(parsed.to_string()),
        Err(_) => None,
    }
}

fn port_range<'de, D: Deserializer<'de>>(deserializer: D) -> Result<RangeInclusive<u16>, D::Error> {
    let text = String::deserialize(deserializer)?;
    let range = text
        .split_once('-')
        .and_then(|(first, last)| Some(first.trim().parse::<u16>().ok()?..=last.trim().parse::<u16>().ok()?));
    range.filter(|range| *range.start() >= 1024 && range.start() < range.end()).ok_or_else(|| {
        let shown: String = text.chars().take(32).collect();
        serde::de::Error::custom(format!(
            "bad port range {shown:?}, expected FIRST-LAST with 1024 <= FIRST < LAST <= 65535, such as \
             15000-16000"
        ))
    })
}

const RECEIVER: &str = "strata-receiver";
