//! What a link does to packets.

use std::sync::Arc;
use std::time::Duration;

use thiserror::Error;

use super::trace::Trace;

/// What a link does to packets. The default does nothing: no limit, no delay, no loss.
#[derive(Debug, Clone, PartialEq)]
pub struct Config {
    /// Bits per second, headers included; unlimited when absent. Not used when there is a trace.
    pub rate_bps: Option<u64>,
    /// Recorded capacity instead of a constant rate. It starts when the link sees its first packet.
    pub trace: Option<Arc<Trace>>,
    /// Room for packets that wait for their turn; what does not fit is dropped (tail drop).
    pub queue: Queue,
    /// Time from the end of transmission to arrival.
    pub delay: Duration,
    /// Added to the delay: a uniformly distributed time from zero to this.
    pub jitter: Duration,
    /// Whether jitter may let a packet overtake another; otherwise it waits for the one before it.
    pub jitter_reorders: bool,
    /// How packets are lost.
    pub loss: Loss,
    /// Share of packets, 0 to 1, that arrive twice.
    pub duplicate: f64,
    /// Share of packets, 0 to 1, that are held back by `reorder_delay` and so come after later ones.
    pub reorder: f64,
    /// How long a reordered packet is held back.
    pub reorder_delay: Duration,
    /// Times at which everything sent is lost, counted from the link's first packet.
    pub outages: Vec<Outage>,
    /// Bytes of headers that a packet has on the wire beside its own size: 28 for UDP over IPv4.
    pub overhead: usize,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            rate_bps: None,
            trace: None,
            queue: Queue::default(),
            delay: Duration::ZERO,
            jitter: Duration::ZERO,
            jitter_reorders: false,
            loss: Loss::None,
            duplicate: 0.0,
            reorder: 0.0,
            reorder_delay: Duration::from_millis(10),
            outages: Vec::new(),
            overhead: 28,
        }
    }
}

impl Config {
    /// A link of a constant rate with a one-way delay and random loss (0 to 1), and the default queue.
    #[must_use]
    pub fn simple(rate_bps: u64, delay: Duration, loss: f64) -> Self {
        Self { rate_bps: Some(rate_bps), delay, loss: Loss::Random { rate: loss }, ..Self::default() }
    }

    /// Checks that shares are shares and that a rate is not zero.
    ///
    /// # Errors
    /// The first field that is out of range.
    pub fn check(&self) -> Result<(), ConfigError> {
        let share = |field, value: f64| match value {
            v if (0.0..=1.0).contains(&v) => Ok(()),
            value => Err(ConfigError::Share { field, value }),
        };
        if self.rate_bps == Some(0) {
            return Err(ConfigError::ZeroRate);
        }
        share("duplicate", self.duplicate)?;
        share("reorder", self.reorder)?;
        match self.loss {
            Loss::None => Ok(()),
            Loss::Random { rate } => share("loss.rate", rate),
            Loss::GilbertElliott { enter_bad, leave_bad, loss_in_good, loss_in_bad } => {
                share("loss.enter_bad", enter_bad)?;
                share("loss.leave_bad", leave_bad)?;
                share("loss.loss_in_good", loss_in_good)?;
                share("loss.loss_in_bad", loss_in_bad)
            }
        }
    }

    /// Room of the queue in bytes.
    pub(super) fn queue_bytes(&self) -> usize {
        let rate = self.trace.as_ref().map(|t| t.mean_rate_bps()).or(self.rate_bps);
        match (self.queue, rate) {
            (Queue::Bytes(bytes), _) => bytes,
            (Queue::Time(_), None) => usize::MAX,
            (Queue::Time(time), Some(rate)) => {
                let bytes = u128::from(rate) * time.as_nanos() / 8_000_000_000;
                // A queue that cannot hold one packet would be a link that carries nothing.
                usize::try_from(bytes).unwrap_or(usize::MAX).max(1500)
            }
        }
    }
}

/// Room of a queue, the packet in transmission included.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Queue {
    /// So many bytes, headers included.
    Bytes(usize),
    /// As many bytes as the rate (or a trace's mean rate) carries in this time; never less than one packet of 1500.
    Time(Duration),
}

impl Default for Queue {
    /// 200 ms.
    fn default() -> Self {
        Self::Time(Duration::from_millis(200))
    }
}

/// How packets are lost, after they took their time on the link.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub enum Loss {
    /// Not at all.
    #[default]
    None,
    /// Each by itself.
    Random {
        /// Share of packets, 0 to 1.
        rate: f64,
    },
    /// In bursts: a link with a good and a bad state, changed between after every packet (Gilbert 1960, Elliott 1963).
    GilbertElliott {
        /// Chance to go from good to bad.
        enter_bad: f64,
        /// Chance to go from bad to good: one divided by the mean length of a bad time in packets.
        leave_bad: f64,
        /// Chance of loss in the good state.
        loss_in_good: f64,
        /// Chance of loss in the bad state.
        loss_in_bad: f64,
    },
}

impl Loss {
    /// Bursts of `mean` packets (at least 1) that together lose a share `rate` (below 1) of all packets.
    #[must_use]
    pub fn bursts(rate: f64, mean: f64) -> Self {
        let leave_bad = 1.0 / mean.max(1.0);
        let enter_bad = (rate * leave_bad / (1.0 - rate).max(f64::EPSILON)).min(1.0);
        Self::GilbertElliott { enter_bad, leave_bad, loss_in_good: 0.0, loss_in_bad: 1.0 }
    }
}

/// A time at which everything sent is lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Outage {
    /// Start, counted from the link's first packet.
    pub start: Duration,
    /// Length.
    pub length: Duration,
}

/// A link that cannot be.
#[derive(Debug, Clone, Copy, PartialEq, Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// A share is not from 0 to 1.
    #[error("{field} is {value}, expected a share from 0 to 1")]
    Share {
        /// Which one.
        field: &'static str,
        /// What it was.
        value: f64,
    },
    /// A link of no rate carries nothing, ever.
    #[error("rate_bps is 0: use an outage for a dead link, or leave the rate out for an unlimited one")]
    ZeroRate,
}
