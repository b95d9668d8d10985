//! What to open, and with which latency.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use crate::bond::SchedulerParams;

/// A bonded sender: links, latency, scheduler.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct SenderConfig {
    /// One entry per link, at least one, at most 16.
    pub links: Vec<LinkConfig>,
    /// How long a packet may be repeated after it was first sent: at least the receiver's latency.
    pub latency: Duration,
    /// How packets are spread.
    pub scheduler: SchedulerParams,
    /// Canonical name in RTCP (RFC 3550, 6.5.1).
    pub cname: String,
}

impl SenderConfig {
    /// Links with a latency of 1000 ms and default scheduling.
    #[must_use]
    pub fn new(links: Vec<LinkConfig>) -> Self {
        Self {
            links,
            latency: Duration::from_millis(1000),
            scheduler: SchedulerParams::default(),
            cname: "strata".to_owned(),
        }
    }
}

/// One link of a bonded sender.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct LinkConfig {
    /// Number of the link, unique in the bond; only a name.
    pub id: u32,
    /// RTP address of the receiver; RTCP goes to the port above. The port must be even and not 0 (TR-06-1, 5.1.1).
    pub remote: SocketAddr,
    /// Interface the sockets are bound to (`SO_BINDTODEVICE`); the system's choice when `None`.
    pub interface: Option<String>,
    /// Source address of the sockets; the system's choice when `None`.
    pub source: Option<IpAddr>,
    /// Used only when the other links do not suffice.
    pub backup: bool,
}

impl LinkConfig {
    /// A link to `remote` over whatever interface the system chooses.
    #[must_use]
    pub fn new(id: u32, remote: SocketAddr) -> Self {
        Self { id, remote, interface: None, source: None, backup: false }
    }
}

/// What changes on a running sender; `None` leaves a value as it is.
#[derive(Debug, Clone, Default)]
pub struct SenderUpdate {
    /// New latency.
    pub latency: Option<Duration>,
    /// New scheduling.
    pub scheduler: Option<SchedulerParams>,
    /// Links (by id) that are to be used or not, without being closed.
    pub enabled: Vec<(u32, bool)>,
}

/// A receiver: where it listens, and its latency.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct ReceiverConfig {
    /// RTP addresses; RTCP is one port above each. Even ports, or 0 to let the system choose a pair.
    pub binds: Vec<SocketAddr>,
    /// Constant time from the arrival of an undelayed packet to its playout.
    pub latency: Duration,
    /// Canonical name in RTCP (RFC 3550, 6.5.1).
    pub cname: String,
    /// Packets kept for a consumer that does not take them; more are dropped and counted.
    pub output_capacity: usize,
}

impl ReceiverConfig {
    /// Listens at `binds` with a latency of 1000 ms.
    #[must_use]
    pub fn new(binds: Vec<SocketAddr>) -> Self {
        Self {
            binds,
            latency: Duration::from_millis(1000),
            cname: "strata".to_owned(),
            output_capacity: 8192,
        }
    }
}
