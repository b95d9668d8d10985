//! Link bonding: one stream over several links, without sockets and without a clock.
//!
//! ```text
//!              ┌────────────────────────── bond::Sender ──────────────────────────┐
//!  payload ───►│ rist::Sender ──► scheduler: oldest first, shared by capacity, or │──► RTP per link
//!              │      ▲           by the link on which it arrives earliest        │
//!  RTCP ──────►│ requests, echoes ──► link: alive? round trip, loss, capacity     │──► RTCP per link
//!              └──────────────────────────────────────────────────────────────────┘
//! ```
//!
//! The wire stays plain RIST (TR-06-1, 5.4), so that any receiver that merges by sequence number will do. No link is
//! weighted by hand. A Strata receiver tells per link what arrived, and when (RFC 8888): from that come loss,
//! queue, capacity and liveness. With any other, round-trip time and liveness come from echoes, loss from which link
//! a packet asked for again was sent on, capacity from queues.

mod adaptation;
mod capacity;
mod copies;
mod delay;
mod flight;
mod link;
mod loss;
mod params;
mod priority;
mod scheduler;
pub mod sender;
mod stats;

use std::time::Duration;

pub use adaptation::{Adaptation, AdaptationParams};
pub use params::{CriticalBroadcast, Failover, Mode, ParamsError, Redundancy, SchedulerParams, Storm};
pub use sender::Sender;
pub use stats::{BondStats, LinkState, LinkStats};

/// A bonded stream.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct BondConfig {
    /// The links.
    pub links: Vec<BondLink>,
    /// How long a packet may be repeated: at least the receiver's latency.
    pub latency: Duration,
    /// How packets are spread.
    pub scheduler: SchedulerParams,
    /// Canonical name in RTCP.
    pub cname: String,
    /// Where SSRC and first sequence number and time stamp come from; to be random outside of tests.
    pub seed: u64,
}

/// One link of a bonded stream.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct BondLink {
    /// Its number; only a name.
    pub id: u32,
    /// Its interface; only a name.
    pub interface: Option<String>,
    /// What it costs to use it.
    pub cost: Cost,
    /// Bytes it may carry in all, headers of IP and UDP included, from when it is there; then it is not used any more, and
    /// says so in [`LinkStats::error`].
    pub cap_bytes: Option<u64>,
    /// A hint: links of more weight get more of what may go by any, in proportion, as far as they carry it. 0 is no hint, and
    /// counts as the mean of the others.
    pub weight: u32,
}

/// When a link is used.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Cost {
    /// As its capacity allows.
    #[default]
    Free,
    /// Only when the others do not suffice. No copies are sent by it beforehand.
    Backup,
    /// The same, but every byte costs: last of all, and nothing is sent by it to find out how it is.
    Metered,
}

/// Most links of a bond.
pub const MAX_LINKS: usize = 16;

impl BondConfig {
    /// Links with a latency of 1000 ms and default scheduling.
    #[must_use]
    pub fn new(links: Vec<BondLink>, seed: u64) -> Self {
        let (latency, scheduler) = (Duration::from_millis(1000), SchedulerParams::default());
        Self { links, latency, scheduler, cname: "strata".to_owned(), seed }
    }
}
