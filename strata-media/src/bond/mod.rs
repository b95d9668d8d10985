//! Link bonding: one stream over several links, without sockets and without a clock.

mod stats;

pub use stats::{BondStats, LinkState, LinkStats};

/// How packets are spread over links. Changes take effect at once.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct SchedulerParams {
    /// A packet that cannot arrive within this time is not sent; the latency of the stream when `None`.
    pub discard_deadline: Option<std::time::Duration>,
    /// How far a link is filled ahead of what it is believed to carry.
    pub max_ahead: std::time::Duration,
}

impl Default for SchedulerParams {
    fn default() -> Self {
        Self { discard_deadline: None, max_ahead: std::time::Duration::from_millis(10) }
    }
}
