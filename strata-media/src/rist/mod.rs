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

mod arrivals;
pub mod auth;
mod clock;
mod echo;
mod error;
pub mod extension;
mod flow;
pub mod gre;
pub(crate) mod history;
mod missing;
mod peers;
pub mod psk;
pub mod receiver;
pub mod rtcp;
pub mod rtp;
pub(crate) mod seed;
pub mod sender;
mod sequence;
mod skew;
mod stats;
pub mod streams;
pub mod tunnel;

pub use error::DecodeError;
pub use flow::Packet;
pub use receiver::{NackForm, Receiver, ReceiverConfig};
pub use sender::{Media, Received, Sender, SenderConfig, SenderCounters};
pub use stats::{PathStats, ReceiverStats};
pub use streams::Streams;
