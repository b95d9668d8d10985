//! RIST over UDP: a socket pair (RTP, RTCP) per link, and the loops that drive the machines.
//!
//! ```text
//!  payloads ──► Sender ──► SenderDriver ══ link 0 ══► ReceiverDriver ──► Receiver ──► packets in order
//!                                       ══ link 1 ══►
//! ```
//!
//! With the Main Profile a link has one socket, and a [tunnel](crate::rist::tunnel) around both.
//!
//! [`sender()`] and [`receiver()`] open the sockets and return a handle and a driver. The caller decides where
//! `driver.run().await` runs (it needs a tokio runtime with I/O and time); dropping the handle ends it.

mod config;
mod error;
mod receiver;
mod sender;
mod socket;
mod tunnels;

pub use crate::rist::Packet;
pub use crate::rist::psk::{AesType, Passphrase, PassphraseError};
pub use crate::rist::tunnel::{Counters as TunnelStats, Psk};
pub use config::{LinkConfig, Profile, ReceiverConfig, SenderConfig, SenderUpdate};
pub use error::NetError;
pub use receiver::{Receiver, ReceiverDriver, ReceiverMonitor, receiver};
pub use sender::{Sender, SenderDriver, sender};

#[cfg(test)]
mod tests;
