//! What one end says by RTCP.

use std::time::{Duration, Instant};

/// IPv4 and UDP, bytes.
pub(crate) const HEADERS: u64 = 28;

/// What was said from one moment on.
#[derive(Debug, Default)]
pub(crate) struct Spoken {
    /// Datagrams, and their bytes with the headers of the network.
    pub(crate) datagrams: u64,
    pub(crate) bytes: u64,
    /// By link, when it last was.
    last: Vec<Option<Instant>>,
    /// Longest time between two datagrams by one link.
    pub(crate) longest: Duration,
}

impl Spoken {
    pub(super) fn note(&mut self, now: Instant, link: usize, len: usize) {
        self.datagrams += 1;
        self.bytes += len as u64 + HEADERS;
        if self.last.len() <= link {
            self.last.resize(link + 1, None);
        }
        let last = self.last[link].replace(now).unwrap_or(now);
        self.longest = self.longest.max(now - last);
    }
}
