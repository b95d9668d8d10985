//! A link that is slow, late and lossy in a reproducible way.
//!
//! [`Link`] is a machine in virtual time: it reads no clock and gets its randomness from a seed, so that a run can be
//! repeated exactly, minutes of it in milliseconds. What happens to the n-th packet depends on the seed, the packets
//! before it and their times, never on how often the link was polled.
//!
//! ```
//! use std::time::{Duration, Instant};
//! use bytes::Bytes;
//! use strata_media::testing::netem::{Config, Link};
//!
//! let mut link = Link::new(Config { rate_bps: Some(10_000_000), delay: Duration::from_millis(40), ..Config::default() }, 1);
//! # #[expect(clippy::disallowed_methods)]
//! let start = Instant::now();
//! link.push(start, Bytes::from_static(b"hello"));
//! // Something happens at `next_event`: it leaves the queue, then it arrives.
//! let mut arrived = None;
//! while let Some(now) = link.next_event() {
//!     arrived = link.poll(now).or(arrived);
//! }
//! let arrived = arrived.expect("nothing was lost");
//! assert_eq!(&arrived.packet[..], b"hello");
//! assert!(arrived.at - start > Duration::from_millis(40));
//! ```

mod config;
mod link;
#[cfg(test)]
mod tests;
mod trace;
mod walk;

pub use config::{Config, ConfigError, Loss, Outage, Queue};
pub use link::{Delivered, Link, LinkStats, Packet};
pub use trace::{Trace, TraceError};
pub use walk::walk;
