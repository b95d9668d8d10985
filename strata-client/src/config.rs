//! Where to connect, and as what.

use std::time::Duration;

use strata_proto::token::{EnrollUri, EnrollmentToken, Fingerprint};
use url::Url;

/// What a device needs to know to reach its control plane.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Config {
    /// The control plane: `wss://host[:port]/agent/ws`.
    pub url: Url,
    /// Its own CA, by fingerprint; the system's certificate authorities when absent.
    pub ca: Option<Fingerprint>,
    /// One-time token; only needed until the device is enrolled.
    pub enrollment_token: Option<EnrollmentToken>,
    /// What the device says about itself.
    pub about: About,
    /// Most time for name lookup, TCP, TLS and the WebSocket upgrade together (default 15 s).
    pub connect_timeout: Duration,
    /// Times and limits of the session.
    #[cfg(feature = "control")]
    pub session: crate::session::Config,
}

impl Config {
    /// A configuration for the control plane at `url`, with everything else at its default.
    #[must_use]
    pub fn new(url: Url) -> Self {
        Self {
            url,
            ca: None,
            enrollment_token: None,
            about: About::default(),
            connect_timeout: Duration::from_secs(15),
            #[cfg(feature = "control")]
            session: crate::session::Config::default(),
        }
    }
}

impl From<EnrollUri> for Config {
    fn from(uri: EnrollUri) -> Self {
        Self { ca: uri.ca, enrollment_token: Some(uri.token), ..Self::new(uri.url) }
    }
}

/// What a device says about itself at login.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct About {
    /// Version of the agent's software (default: this crate's).
    pub agent_version: String,
    /// Name of the device (default: the host's, or `unknown`).
    pub hostname: String,
    /// CPU architecture, such as `aarch64`.
    pub arch: String,
}

impl Default for About {
    fn default() -> Self {
        let hostname = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
        let hostname = match hostname.trim() {
            "" => "unknown",
            name => name,
        };
        Self {
            agent_version: env!("CARGO_PKG_VERSION").to_owned(),
            hostname: hostname.to_owned(),
            arch: std::env::consts::ARCH.to_owned(),
        }
    }
}
