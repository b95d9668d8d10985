//! Requests of receivers that tell nothing else: whether what is asked for is lost, or only not there yet.
//!
//! A standard receiver waits for what is out of order as long as its user has set, and not as long as links are apart: of a
//! slow link's packets it asks for many that are under way. Such a request is no loss; nor is it answered as long as the next
//! one for the same packet comes in time, which it does only if the packet does not.

use std::time::{Duration, Instant};

use super::super::history::Entry;
use super::super::path::Way;
use super::{DEFAULT_REPEAT, MAX_SENDS, MIN_REPEAT, Output, PATIENCE, Sender, UNHURRIED, URGENT_SENDS};

/// So often a packet is asked for within the latency, until it is seen how often it is (TR-06-1, appendix B).
const REQUESTS: u32 = 7;
/// The next request may come so much later than those before: timers of 5 ms, and jitter.
const LATER: Duration = Duration::from_millis(15);
/// So many requests are taken to be early, each time a packet is sent. Links are hardly further apart than that; a receiver asks
/// no more than so often (librist 20 times), and where a machine stood still, what is taken for the way is too long.
const MAX_EARLY: u8 = 3;

/// What a request says of a packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It should have arrived, and did not.
    Lost,
    /// It may arrive yet, and if it does not, there is time to be told so.
    Early,
    /// It may arrive yet, but nothing more can be waited for.
    Pressing,
}

/// How often a receiver asks again.
#[derive(Debug, Default)]
pub(super) struct Requests {
    /// Time between two requests for a packet, once known.
    again: Option<Duration>,
}

impl Requests {
    /// A packet is asked for by a request that comes now and took `back`; who made it puts it out so long after it was given.
    pub(super) fn judge(
        &mut self,
        now: Instant,
        entry: &mut Entry,
        back: Duration,
        latency: Duration,
    ) -> Verdict {
        let before = entry.requested.replace(now);
        if let Some(time) = before.map(|at| now.saturating_duration_since(at)).filter(|&time| time < latency)
            && time >= LATER
        {
            self.again = Some(self.again.map_or(time, |again| (again * 7 + time) / 8));
        }
        // Without a word on it, one that was sent and asked for has had the time.
        if entry.expected.is_none_or(|expected| now >= expected + back) {
            return Verdict::Lost;
        }
        // The way of the repeated packet is that of the one that the receiver's latency starts with.
        let again = now + self.again.unwrap_or(latency / REQUESTS) + LATER;
        let waits = again <= entry.created + latency || entry.sends > 1;
        if waits && entry.early < MAX_EARLY {
            entry.early += 1;
            return Verdict::Early;
        }
        Verdict::Pressing
    }
}

impl Sender {
    /// The packet that was just taken should have arrived until then: requests that were made before are early.
    pub(crate) fn expect(&mut self, number: u64, at: Instant) {
        if let Some(entry) = self.history.get_mut(number) {
            entry.expected = Some(at);
        }
    }

    /// Whoever runs the machine stood still: what is read until then may have waited for it, and tells no round trip.
    pub(crate) fn stood_still(&mut self, until: Instant) {
        self.read_late = until;
    }

    /// When the oldest echo request on a path was sent that has no answer, nor has one after it.
    pub(crate) fn unanswered(&self, path: usize) -> Option<Instant> {
        self.paths.get(path)?.echo.unanswered()
    }

    /// How long packets take by a path.
    pub(crate) fn set_way(&mut self, path: usize, way: Way) {
        if let Some(path) = self.paths.get_mut(path) {
            path.way = Some(way);
        }
    }

    /// Lets a packet be sent again, if that makes sense.
    pub(super) fn repeat(&mut self, now: Instant, by: usize, number: u64) -> bool {
        let back = self.paths[by].back();
        // One that tells what arrives, on any path, knows how far they are apart.
        let standard = self.paths.iter().all(|path| path.feedback.is_none());
        let Some(entry) = self.history.get_mut(number) else { return false };
        let Some((sent_at, path)) = entry.last else { return false };
        let state = path.map(|path| &self.paths[path]);
        let rtt = state.and_then(|state| state.echo.srtt());
        // Where feedback comes, it shows what is lost: this is under way still, however late the receiver finds it.
        let (round, age) = (rtt.unwrap_or_default(), now.saturating_duration_since(entry.created));
        let told = state.is_some_and(|state| state.is_fed_back(now))
            && now < sent_at + round * 2 + PATIENCE
            && self.config.latency.saturating_sub(age) > round * UNHURRIED;
        // The request was under way when it arrived; one that comes later is by a receiver that started anew.
        let arrived = entry.arrived.is_some_and(|at| now < at + round.max(PATIENCE));
        let (mut lost, mut wait) = (true, rtt.map_or(DEFAULT_REPEAT, |rtt| rtt.max(MIN_REPEAT)));
        // Before a round trip is measured, nothing is known of when it should have arrived.
        if standard && self.paths[by].proven && rtt.is_some() && entry.expected.is_some() {
            let most = state.and_then(|state| state.way).map(|way| sent_at + way.most);
            entry.expected = entry.expected.max(most);
            let verdict = self.requests.judge(now, entry, back, self.config.latency);
            if verdict == Verdict::Early {
                return false;
            }
            (lost, wait) = (verdict == Verdict::Lost, MIN_REPEAT);
        }
        let len = entry.payload.len();
        if told
            || arrived
            || entry.asked
            || entry.sends >= MAX_SENDS
            || now < sent_at + wait
            || self.allowance < len
        {
            return false;
        }
        // It tells nothing of a path either.
        if !self.paths[by].proven {
            return self.beg(number, sent_at);
        }
        entry.asked = true;
        self.allowance -= len;
        let (created, urgent) = (entry.created, entry.sends >= URGENT_SENDS);
        if let Some(path) = path.filter(|_| lost) {
            self.out.push_back(Output::Lost { path, sent_at, len });
        }
        self.out.push_back(Output::Send { number, created, len, repeat: true, urgent });
        true
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    const MS: Duration = Duration::from_millis(1);

    fn entry(sent: Instant, expected: Instant) -> Entry {
        Entry {
            payload: Bytes::new(),
            timestamp: 0,
            created: sent,
            last: Some((sent, Some(0))),
            expected: Some(expected),
            requested: None,
            early: 0,
            sends: 1,
            arrived: None,
            asked: false,
        }
    }

    #[test]
    fn what_may_arrive_is_waited_for_while_there_is_time() {
        #[expect(clippy::disallowed_methods, reason = "any instant will do")]
        let sent = Instant::now();
        let mut entry = entry(sent, sent + MS * 120);
        let mut requests = Requests::default();
        let mut judge =
            |ms: u32, latency: u32| requests.judge(sent + MS * ms, &mut entry, MS * 30, MS * latency);
        assert_eq!(judge(85, 300), Verdict::Early);
        assert_eq!(judge(85, 115), Verdict::Pressing, "the next one is taken to come after 16 ms");
        assert_eq!(judge(140, 300), Verdict::Early, "asked for 110 ms after it was sent");
        assert_eq!(judge(140, 200), Verdict::Pressing, "the next one is known to come after 55 ms");
        assert_eq!(judge(155, 300), Verdict::Lost);
    }

    #[test]
    fn requests_are_not_waited_for_until_there_are_no_more() {
        #[expect(clippy::disallowed_methods, reason = "any instant will do")]
        let sent = Instant::now();
        let mut entry = entry(sent, sent + MS * 2000);
        let mut requests = Requests::default();
        let mut judge = |ms: u32| requests.judge(sent + MS * ms, &mut entry, MS * 20, MS * 6000);
        let verdicts = [100, 150, 200, 250, 300].map(&mut judge);
        assert_eq!(verdicts[..3], [Verdict::Early; 3]);
        assert_eq!(verdicts[3..], [Verdict::Pressing; 2]);
    }
}
