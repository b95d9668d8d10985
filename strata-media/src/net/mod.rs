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
//!
//! What is opened is said in code, or in [URLs](url) such as other tools take:
//!
//! ```
//! use std::time::Duration;
//! use strata_media::net::{LinkConfig, RistUrls, SenderConfig};
//!
//! let links = vec![
//!     LinkConfig::new(0, "192.0.2.1:6000".parse()?).with_interface("wwan0"),
//!     LinkConfig::new(1, "192.0.2.1:6002".parse()?).with_source("10.0.0.2".parse()?).as_backup(),
//! ];
//! let config = SenderConfig::new(links).with_latency(Duration::from_millis(300));
//!
//! let urls: RistUrls = "rist://192.0.2.1:6000?buffer=300&interface=wwan0,\
//!                       rist://192.0.2.1:6002?source=10.0.0.2&backup=1".parse()?;
//! assert_eq!(urls.sender()?.links, config.links);
//! assert_eq!(urls.sender()?.latency, config.latency);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod builder;
mod calls;
mod channel;
mod config;
mod error;
mod front;
mod groups;
mod links;
mod listener;
mod multicast;
mod news;
mod receiver;
mod sender;
mod serve;
mod socket;
mod task;
mod tunnels;
pub mod url;
mod wish;

pub use crate::rist::auth::{Credentials, Verifiers, VerifiersError};
pub use crate::rist::psk::{AesType, Passphrase, PassphraseError, Rver};
pub use crate::rist::tunnel::{Counters as TunnelStats, Psk};
pub use crate::rist::{GroupStats, Packet};
pub use channel::{Channel, Inbox};
pub use config::{LinkConfig, Membership, Profile, ReceiverConfig, SenderConfig, SenderUpdate};
pub use error::NetError;
pub use listener::{Accepted, Listener, ListenerDriver, ListenerStats, listener};
pub use receiver::{Receiver, ReceiverDriver, ReceiverMonitor, receiver};
pub use sender::{Sender, SenderDriver, sender};
pub use task::as_task;
pub use url::RistUrls;

#[cfg(test)]
mod tests;
