//! What can go wrong before a session runs: the caller's configuration, or the device's files.

use std::path::PathBuf;

use thiserror::Error;

/// Why a client could not be made.
///
/// What goes wrong later, on the network, is not an error: the session reports it as an event and
/// tries again.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum Error {
    /// The address is not one an agent can connect to.
    #[error("invalid control plane address {url:?}: expected wss://host[:port]/agent/ws")]
    Address {
        /// The address as given.
        url: String,
    },
    /// The device is not enrolled and has no token to enrol with.
    #[error("this device is not enrolled: give it an enrollment token (enr_…) from the dashboard")]
    NotEnrolled,
    /// A file of the state directory could not be read or written.
    #[error("cannot {action} {path}: {source}")]
    File {
        /// What was tried.
        action: &'static str,
        /// Which file.
        path: PathBuf,
        /// Why it failed.
        source: std::io::Error,
    },
    /// A file of the state directory does not hold what it should.
    #[error("{path} is damaged ({reason}); restore it, or remove it and enrol the device again")]
    Damaged {
        /// Which file.
        path: PathBuf,
        /// What is wrong with it; never its content.
        reason: String,
    },
    /// The system gave no random bytes.
    #[error("no randomness from the system: {0}")]
    Random(getrandom::Error),
    /// TLS could not be set up.
    #[error("cannot set up TLS: {0}")]
    Tls(String),
}
