//! The one place that reads the machine's clocks; everything pure gets `now` as an argument.
#![expect(clippy::disallowed_methods, reason = "drivers ask here for the time and pass it on")]

use std::time::{Instant, SystemTime};

use strata_proto::time::Timestamp;

/// A point in time on both clocks: the monotonic one for intervals, the wall for what is written down.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Now {
    /// For deadlines and intervals.
    pub(crate) mono: Instant,
    /// For time stamps and token expiry.
    pub(crate) wall: Timestamp,
}

impl Now {
    /// Both clocks, now. The monotonic one is tokio's, so that paused tests stand still.
    pub(crate) fn read() -> Self {
        Self { mono: tokio::time::Instant::now().into_std(), wall: wall() }
    }
}

/// The wall clock.
pub(crate) fn wall() -> Timestamp {
    SystemTime::now().into()
}

/// The monotonic clock: tokio's, so that paused tests stand still.
pub(crate) fn mono() -> Instant {
    tokio::time::Instant::now().into_std()
}
