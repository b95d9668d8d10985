//! A link whose peer tells nothing but what the standard asks for: what is known of it comes from echoes, and from what is
//! asked for.

use std::time::{Duration, Instant};

use super::{Link, OVERHEAD, UNTOLD};
use crate::rist::rtp::HEADER_LEN;

/// Jitter that is reckoned with.
const LEAST_JITTER: Duration = Duration::from_millis(10);
const MOST_JITTER: Duration = Duration::from_millis(60);
/// Two of the answers that come every 50 ms may be lost, or one of the reports that come every 100 ms, before less is sent.
const ANSWERS: Duration = Duration::from_millis(150);
/// So many echoes in a row are hardly lost.
const LOST_ANSWERS: u32 = 2;

/// Who tells what arrives does so for the first time within a round trip and so long.
const FIRST_WORD: Duration = Duration::from_millis(100);

impl Link {
    fn jitter(&self) -> Duration {
        let variation = self.rtt.as_ref().map_or(MOST_JITTER, |rtt| rtt.variation * 2);
        variation.clamp(LEAST_JITTER, MOST_JITTER)
    }

    /// Time until what is sent now should have arrived, whatever jitter there is.
    pub(in crate::bond) fn latest(&self, now: Instant) -> Duration {
        self.delay(now) + self.jitter()
    }

    /// Whether its peer has had the time to tell what arrives, and does not: until then, it is taken to be one that does.
    pub(in crate::bond) fn tells_nothing(&self, now: Instant) -> bool {
        let time = self.rtt().unwrap_or(UNTOLD) * 2 + FIRST_WORD;
        self.transit.is_none() && now >= self.liveness.told + time
    }

    /// How long what was sent lately takes at most, as far as is known by now.
    pub(in crate::bond) fn most(&self) -> Duration {
        self.one_way() + self.queue() + self.jitter()
    }

    /// Its peer asked for a packet of so many bytes that should have arrived.
    pub(in crate::bond) fn asked_for(&mut self, now: Instant, len: usize) {
        self.loss.lost(now);
        self.asked_for += (len + HEADER_LEN + OVERHEAD) as u64;
    }

    /// Whether as much is under way as the link carries until that is known, with a queue of `queue`: if more is sent, it is not
    /// seen in time that the link carries less than it did.
    pub(super) fn is_loaded(&self, now: Instant, queue: Duration) -> bool {
        let time = self.least_rtt() + ANSWERS + queue;
        self.rtt.is_some()
            && self.tells_nothing(now)
            && self.trusted()
            && self.flight.bytes() as f64 >= self.window_of(time)
    }

    /// Whether it answers to what it was asked before it was taken to be dead, or hardly later: a burst of losses on the way
    /// back is all that is known of it. Where the peer tells what arrives, that says more.
    pub(super) fn was_alive(&self, asked: Instant) -> bool {
        self.transit.is_none() && asked <= self.liveness.since + self.failover.suspect_after
    }

    /// Whether its answers, as often as they come, are what shows what it carries.
    fn is_asked(&self) -> bool {
        self.transit.is_none() && self.trusted() && !self.liveness.rests
    }

    /// The oldest echo request that has no answer, nor has one after it, was sent at `asked`; there is one every `interval`.
    /// When even a few lost ones do not explain that, what was sent before it has not passed yet. A link that rests is asked too seldom.
    pub(in crate::bond) fn wait_for_answer(
        &mut self,
        now: Instant,
        asked: Option<Instant>,
        interval: Duration,
    ) {
        let Some(asked) = asked.filter(|_| self.is_asked()) else { return };
        let usual = self.least_rtt() + self.queue();
        let waited = now.saturating_duration_since(asked + usual);
        if waited > interval * LOST_ANSWERS + self.jitter() {
            let time = asked.saturating_duration_since(self.liveness.proven);
            self.capacity.limit(now, self.flight.bytes_until(asked), time, waited);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::BondLink;
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    /// 4 Mbit/s sent by a link whose answers cease: after three of them, it is known to carry less.
    #[test]
    fn an_answer_that_does_not_come_lowers_the_capacity() {
        #[expect(clippy::disallowed_methods, reason = "any instant will do")]
        let start = Instant::now();
        let mut link = Link::new(start, &BondLink::default());
        let mut number = 0;
        let mut run = |link: &mut Link, from: u32, to: u32, answers: bool| {
            for ms in (from..to).step_by(5) {
                let now = start + MS * ms;
                (number, _) = (number + 1, link.sent(now, number, false, 2472));
                if answers && ms % 50 == 0 && ms >= 40 {
                    link.proof(now, now - MS * 40, MS * 40);
                }
                if !answers {
                    link.wait_for_answer(now, Some(start + MS * 2000), MS * 50);
                }
            }
        };
        run(&mut link, 0, 2000, true);
        let before = link.capacity.bps();
        assert!(before >= 4e6 && link.capacity.confidence(start) == 0.0, "{before}");
        run(&mut link, 2000, 2150, false);
        assert!(link.capacity.bps() >= before, "two may be lost");
        run(&mut link, 2150, 2300, false);
        assert!(link.capacity.bps() < before / 3.0, "{}", link.capacity.bps());
        assert!(link.capacity.confidence(start + MS * 2300) > 0.9);
    }
}
