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
mod bottleneck;
mod capacity;
mod copies;
mod delay;
mod echoes;
mod flight;
mod link;
mod loss;
mod params;
mod places;
mod priority;
mod reorder;
mod scheduler;
pub mod sender;
mod standing;
mod stats;

use std::time::Duration;

pub use adaptation::{Adaptation, AdaptationParams};
pub use params::{CriticalBroadcast, Failover, Fec, Mode, ParamsError, Redundancy, SchedulerParams, Storm};
pub use sender::Sender;
pub use stats::{BondStats, LinkState, LinkStats, rounded};

use crate::rist::Seed;

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
    /// Whether null packets are left out of what goes by the links, whose contents the receiver then does not know.
    pub null_packet_deletion: bool,
    /// Largest payload of an RTP packet that the links carry whole, bytes: no repair packet is longer ([`crate::fec`]).
    pub max_payload: usize,
    /// Whether payloads are of a live source, which cannot wait: those that cannot arrive in time are discarded. Otherwise they
    /// are to be given only while there is room for them ([`Sender::has_room`]), and none is too late before it was sent.
    pub live: bool,
    /// Whether the source can be asked for a keyframe ([`BondStats::keyframe_requests`]), which Strata's receivers are told.
    pub keyframes: bool,
    /// Canonical name in RTCP.
    pub cname: String,
    /// Where SSRC and first sequence number and time stamp come from; to be random outside of tests.
    pub seed: Seed,
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
    /// Bytes it may carry in all, both ways and with all headers ([`LinkStats::spent_bytes`]); then it is not used any more, and
    /// says so in [`LinkStats::error`].
    pub cap_bytes: Option<u64>,
    /// Bytes that it has carried before it is there, which count towards its cap and in [`LinkStats::spent_bytes`].
    pub spent_bytes: u64,
    /// A hint: links of more weight get more of what may go by any, in proportion, as far as they carry it. 0 is no hint, and
    /// counts as the mean of the others. Without effect on a link whose peer does not tell what arrives by it: packets go where they
    /// arrive first then.
    pub weight: u32,
}

/// When a link is used.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Cost {
    /// As its capacity allows.
    #[default]
    Free,
    /// Only when the others do not suffice: media goes by it then, and what is short of time to be repeated. Otherwise it rests,
    /// where the receiver tells what arrives, as Strata's does: one report in 900 ms and its answer, which is 8 kB a minute there
    /// and 5 kB back, headers included. Any other receiver may count on ten reports a second, and gets them.
    Backup,
    /// The same, but every byte costs: last of all, and never with copies or repair packets that are sent beforehand.
    Metered,
}

/// Most links of a bond.
pub const MAX_LINKS: usize = 16;

impl BondConfig {
    /// Links with a latency of 1000 ms and default scheduling, as of the Simple Profile, for a live source.
    #[must_use]
    pub fn new(links: Vec<BondLink>, seed: impl Into<Seed>) -> Self {
        let (latency, scheduler) = (Duration::from_millis(1000), SchedulerParams::default());
        let cname = "strata".to_owned();
        let max_payload = crate::rist::rtp::MAX_PAYLOAD;
        let (null_packet_deletion, live, keyframes) = (false, true, false);
        let seed = seed.into();
        Self { links, latency, scheduler, null_packet_deletion, max_payload, live, keyframes, cname, seed }
    }
}
