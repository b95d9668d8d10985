//! The Strata session, and the roles that speak through it.
//!
//! A device runs one long-lived connection to its control plane. [`session`] is that connection as a
//! machine without I/O: login, heartbeats, expiry, backoff, and a journal of what must not be lost.
//! `driver` (feature `driver`, on by default) runs it on tokio over TLS; `role` (same feature) is
//! what a vendor implements. Without the feature nothing here knows of tokio or of sockets, and any
//! event loop can run the machine.
//!
//! | module | what it holds |
//! |---|---|
//! | [`session`] | the sans-IO machine |
//! | [`identity`] | the device's key and who it is, on disk |
//! | [`journal`] | where the machine's journal lies on disk |
//! | [`config`] | where to connect, and as what |
//! | `tls` | the control plane's certificate, pinned by fingerprint (feature `tls`) |
//! | `driver` | sockets, clocks and files around the machine (feature `driver`) |
//! | `role` | typed faces of a session (feature `driver`) |

pub mod config;
pub mod error;
pub mod identity;

#[cfg(feature = "control")]
pub mod journal;
#[cfg(feature = "control")]
pub mod session;

#[cfg(feature = "tls")]
pub mod tls;

#[cfg(all(feature = "control", feature = "driver"))]
pub mod driver;
#[cfg(all(feature = "control", feature = "driver"))]
pub mod role;

pub use config::Config;
pub use error::Error;
pub use identity::Identity;

/// The code in the README is compiled.
#[cfg(all(doctest, feature = "driver", feature = "control"))]
#[doc = include_str!("../README.md")]
struct Readme;
