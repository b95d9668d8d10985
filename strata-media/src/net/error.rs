//! Why sockets could not be opened or used.

use std::net::SocketAddr;

use thiserror::Error;

/// A failure of the network half.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum NetError {
    /// The configuration cannot work; the text names the field.
    #[error("invalid {field}: {reason}")]
    Config {
        /// Path of the field, such as `links[1].remote`.
        field: String,
        /// What is wrong and what is expected.
        reason: String,
    },
    /// The configuration asks for what is not offered; the text names the field.
    #[error("unsupported {field}: {reason}")]
    Unsupported {
        /// Path of the field, such as `links[1].remote`.
        field: String,
        /// What there is instead.
        reason: String,
    },
    /// No link of a sender could be opened; the reasons, one per link.
    #[error("no link could be opened: {}", .0.join("; "))]
    NoLink(Vec<String>),
    /// A receiver could not listen.
    #[error("cannot listen on {addr}: {source}; is the port in use, or the address not of this machine?")]
    Bind {
        /// The address.
        addr: SocketAddr,
        /// The system's reason.
        source: std::io::Error,
    },
    /// A receiver could not call.
    #[error("cannot call {addr}: {source}")]
    Call {
        /// The sender's address.
        addr: SocketAddr,
        /// The system's reason.
        source: std::io::Error,
    },
    /// The system refused something the driver needs.
    #[error("{what}: {source}")]
    Io {
        /// What was tried.
        what: &'static str,
        /// The system's reason.
        source: std::io::Error,
    },
    /// A payload that does not fit into one packet.
    #[error("payload of {len} bytes, 1 to {max} fit into one packet")]
    PayloadSize {
        /// Its length.
        len: usize,
        /// What fits, beside the headers of the profile.
        max: usize,
    },
    /// Updates come faster than the driver takes them.
    #[error("the driver does not keep up with updates, try again")]
    Busy,
    /// The driver has ended.
    #[error("the driver of this handle has ended")]
    Closed,
}
