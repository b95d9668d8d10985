//! Whether the receiver at the end of a path takes repair packets ([`crate::fec`]).

use std::time::{Duration, Instant};

use super::rtcp::TAKES_REPAIRS;

/// Another receiver that reports on the path, as in a multicast group, is gone when nothing came of it for so long.
const GONE: Duration = Duration::from_secs(5);

/// Who reports on a path.
#[derive(Debug, Default)]
pub(super) struct Taker {
    /// Who said that it takes repair packets.
    announced: Option<u32>,
    /// Who else reported last, and when.
    stranger: Option<(u32, Instant)>,
}

impl Taker {
    /// A receiver told what it takes.
    pub(super) fn announce(&mut self, ssrc: u32, capabilities: u32) {
        if capabilities & TAKES_REPAIRS != 0 {
            self.announced = Some(ssrc);
        }
    }

    /// A receiver reported.
    pub(super) fn report(&mut self, now: Instant, ssrc: u32) {
        if self.announced != Some(ssrc) {
            self.stranger = Some((ssrc, now));
        }
    }

    /// Whether the receiver that gives feedback takes repair packets, and no other one would get them.
    pub(super) fn takes(&self, now: Instant, feedback: u32) -> bool {
        let other = self.stranger.is_some_and(|(ssrc, at)| ssrc != feedback && now < at + GONE);
        self.announced == Some(feedback) && !other
    }
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "any instant will do")]
mod tests {
    use super::super::rtcp::TAKES_FEEDBACK;
    use super::*;

    #[test]
    fn only_the_receiver_that_announced_it_and_only_while_it_is_alone() {
        let now = Instant::now();
        let mut taker = Taker::default();
        taker.report(now, 2);
        taker.announce(2, TAKES_FEEDBACK);
        assert!(!taker.takes(now, 2));
        taker.announce(2, TAKES_REPAIRS);
        assert!(taker.takes(now, 2) && !taker.takes(now, 4));
        // A standard receiver joins, and leaves.
        taker.report(now, 6);
        assert!(!taker.takes(now, 2) && taker.takes(now + GONE, 2));
        // The receiver is another one, which takes none.
        taker.report(now + GONE, 8);
        assert!(!taker.takes(now + GONE, 8) && !taker.takes(now + GONE, 2));
        taker.announce(8, TAKES_REPAIRS);
        assert!(taker.takes(now + GONE, 8));
    }
}
