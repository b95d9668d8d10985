//! Times and limits of a session.

use std::time::Duration;

use strata_proto::control::{JOURNAL_MESSAGES, MAX_MESSAGE_BYTES};

/// Times and limits of a session. The defaults are those of the control protocol.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Config {
    /// Most time for the transport to open (default 20 s; a driver's own limit is shorter).
    pub dial_timeout: Duration,
    /// Most time from the open transport to the login's outcome, and for a renewal (default 10 s).
    pub login_timeout: Duration,
    /// Time between two pings (default 15 s).
    pub ping_interval: Duration,
    /// A connection that says nothing for so long is dead (default 45 s).
    pub silence_limit: Duration,
    /// Most time for an answer to a request of ours (default 10 s).
    pub request_timeout: Duration,
    /// First step of the backoff, which doubles with each failure (default 1 s).
    pub backoff_min: Duration,
    /// Longest step of the backoff (default 30 s).
    pub backoff_max: Duration,
    /// A session that lasted so long since its login starts the backoff anew (default 60 s).
    pub good_session: Duration,
    /// Time between two `device.status`, unless the server's settings say otherwise (default 10 s).
    pub status_interval: Duration,
    /// How long changes are gathered before a `device.status` goes out early (default 250 ms).
    pub status_debounce: Duration,
    /// Most time to hand over what must not be lost at shutdown (default 3 s).
    pub shutdown_timeout: Duration,
    /// Longest message, in and out, bytes (default 1 MiB).
    pub max_message_bytes: usize,
    /// Most messages in the journal and in flight (default 1024).
    pub journal_max_messages: usize,
    /// Most bytes of them (default 4 MiB).
    pub journal_max_bytes: usize,
    /// Most answers kept for requests that come again (default 256).
    pub record_max_replies: usize,
    /// Most bytes of them (default 1 MiB).
    pub record_max_bytes: usize,
    /// Most commands running at once; more are answered `rate_limited` (default 64).
    pub max_running: usize,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            dial_timeout: Duration::from_secs(20),
            login_timeout: Duration::from_secs(10),
            ping_interval: Duration::from_secs(15),
            silence_limit: Duration::from_secs(45),
            request_timeout: Duration::from_secs(10),
            backoff_min: Duration::from_secs(1),
            backoff_max: Duration::from_secs(30),
            good_session: Duration::from_secs(60),
            status_interval: Duration::from_secs(10),
            status_debounce: Duration::from_millis(250),
            shutdown_timeout: Duration::from_secs(3),
            max_message_bytes: MAX_MESSAGE_BYTES,
            journal_max_messages: JOURNAL_MESSAGES,
            journal_max_bytes: 4 * 1024 * 1024,
            record_max_replies: 256,
            record_max_bytes: 1024 * 1024,
            max_running: 64,
        }
    }
}

impl Config {
    /// Keeps additions to clocks from overflowing, and timers from spinning, whatever the caller says.
    pub(super) fn within_reason(mut self) -> Self {
        for time in [
            &mut self.dial_timeout,
            &mut self.login_timeout,
            &mut self.ping_interval,
            &mut self.request_timeout,
        ] {
            *time = (*time).clamp(SHORTEST, LONGEST);
        }
        for time in
            [&mut self.silence_limit, &mut self.backoff_min, &mut self.backoff_max, &mut self.status_interval]
        {
            *time = (*time).clamp(SHORTEST, LONGEST);
        }
        for time in [&mut self.good_session, &mut self.status_debounce, &mut self.shutdown_timeout] {
            *time = (*time).min(LONGEST);
        }
        self
    }
}

/// Shorter times would only keep the processor busy.
const SHORTEST: Duration = Duration::from_millis(10);
/// Longer times could overflow a clock.
pub(super) const LONGEST: Duration = Duration::from_secs(30 * 24 * 3600);
