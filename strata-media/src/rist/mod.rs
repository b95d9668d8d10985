//! RIST (VSF TR-06-1 Simple Profile, TR-06-2 Main Profile), without sockets and without a clock.
//!
//! ```text
//!  payload ──► Sender ── RTP, SR, echo ───────────────────────► Receiver ──► packets in order,
//!              history ◄─ RR, NACK, echo ─── on every path ──── clock, gaps   at constant latency
//! ```
//!
//! [`rtp`] and [`rtcp`] are the wire. [`Sender`] numbers, keeps and repeats; it leaves open which path carries
//! which packet (see [`crate::bond`]). [`Receiver`] merges all paths, asks for what is missing, and puts packets
//! out. Both are driven by `handle_input(now, …)` and `poll_output()`; every queue in them has a limit.
//!
//! The Main Profile puts the same packets into a [`tunnel`]: [`gre`] is its wire, [`psk`] its encryption, [`extension`]
//! what it adds to RTP.

mod allowance;
mod arrivals;
pub mod auth;
mod budget;
mod clock;
mod echo;
mod error;
pub mod extension;
mod flow;
pub mod gre;
#[cfg(feature = "net")]
pub(crate) mod group;
pub(crate) mod history;
mod intake;
mod keyframe;
mod media;
mod missing;
mod outbox;
pub(crate) mod path;
mod peers;
pub mod psk;
pub mod receiver;
mod repairs;
mod reports;
pub mod rtcp;
pub mod rtp;
pub(crate) mod seed;
pub mod sender;
mod sequence;
mod share;
mod skew;
mod stats;
pub mod streams;
mod succession;
mod taker;
pub mod tunnel;

pub use error::DecodeError;
pub use flow::Packet;
#[cfg(feature = "net")]
pub use group::GroupStats;
pub use media::Media;
pub use receiver::{NackForm, Receiver, ReceiverConfig};
pub use seed::Seed;
pub use sender::{Received, Sender, SenderConfig};
pub use stats::{PathStats, ReceiverStats, SenderCounters};
pub use streams::Streams;
