//! Packets that are missing, and when to ask for them.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use super::rtcp::Loss;

/// How often one packet is asked for at full pace (TR-06-1, appendix B); then the way back, or the sender, is likely to
/// be gone for longer.
const PATIENT_REQUESTS: u16 = 7;
/// The part of what is left of its time (one n-th) after which it is asked for again at the latest.
const SLOWEST: u32 = 4;
/// How often one packet is asked for, at most: with 60 s left, and 20 ms between two requests, it is 42 times.
const MAX_REQUESTS: u16 = 48;
/// A packet that was asked for so often is asked for by two datagrams.
const URGENT_REQUESTS: u16 = 3;
/// Entries in one request (TR-06-1, 5.3.2: 16 or fewer are recommended).
pub(super) const MAX_ENTRIES: usize = 16;

/// Packets one bitmask tells of, its first number included (RFC 4585, 6.2.1).
pub(super) const MASKED: usize = 17;

/// The missing packets of a stream, by number.
#[derive(Debug, Default)]
pub(super) struct Missing {
    list: VecDeque<Gap>,
    /// No packet is to be asked for earlier; `None` when none is missing.
    earliest: Option<Instant>,
}

/// How often packets are asked for.
#[derive(Debug, Clone, Copy)]
pub(super) struct Pace {
    /// Time between two requests for one packet, as long as that is not hopeless: the answer had the time to come by any path.
    pub(super) retry: Duration,
    /// The same when there is no time for two more of them: it had the time to come by the fastest path.
    pub(super) hurry: Duration,
    /// How long after it was seen to be missing a packet can still come.
    pub(super) latency: Duration,
}

#[derive(Debug)]
struct Gap {
    number: u64,
    /// When it was seen to be missing.
    since: Instant,
    due: Instant,
    requests: u16,
}

impl Gap {
    /// When to ask again after a request now. The times grow at first; as they are a part of the time that is left, they
    /// shrink again, and the last request is one whose answer comes just in time.
    fn again(&self, now: Instant, pace: Pace) -> Instant {
        let left = (self.since + pace.latency).saturating_duration_since(now);
        let doublings = self.requests.saturating_sub(PATIENT_REQUESTS).min(16);
        let least = pace.retry.min(left / 2).max(pace.hurry);
        now + (pace.retry * (1 << doublings)).min(left / SLOWEST).max(least)
    }
}

impl Missing {
    /// Adds packets above all those added before, to be asked for after `reorder`.
    pub(super) fn push_back(&mut self, numbers: std::ops::Range<u64>, since: Instant, reorder: Duration) {
        let due = since + reorder;
        self.note(&numbers, due);
        self.list.extend(numbers.map(|number| Gap { number, since, due, requests: 0 }));
    }

    /// Adds packets below all those added before.
    pub(super) fn push_front(&mut self, numbers: std::ops::Range<u64>, since: Instant, reorder: Duration) {
        let due = since + reorder;
        self.note(&numbers, due);
        for number in numbers.rev() {
            self.list.push_front(Gap { number, since, due, requests: 0 });
        }
    }

    fn note(&mut self, numbers: &std::ops::Range<u64>, due: Instant) {
        if !numbers.is_empty() {
            self.earliest = Some(self.earliest.map_or(due, |earliest| earliest.min(due)));
        }
    }

    /// Takes a packet off that has come; since when it was missing.
    pub(super) fn remove(&mut self, number: u64) -> Option<Instant> {
        let index = self.list.binary_search_by_key(&number, |gap| gap.number).ok()?;
        let gap = self.list.remove(index)?;
        if self.list.is_empty() {
            self.earliest = None;
        }
        Some(gap.since)
    }

    /// Takes all packets below `number` off.
    pub(super) fn forget_below(&mut self, number: u64) {
        while self.list.front().is_some_and(|gap| gap.number < number) {
            self.list.pop_front();
        }
        if self.list.is_empty() {
            self.earliest = None;
        }
    }

    /// When to [collect](Self::collect) next.
    pub(super) fn due(&self) -> Option<Instant> {
        self.earliest
    }

    /// Puts what is to be asked for now into `out`, as runs, at most `room` of them; each is to be asked for again
    /// at this pace. Returns how many packets that is, and whether one of them was asked for several times.
    pub(super) fn collect(
        &mut self,
        now: Instant,
        pace: Pace,
        room: usize,
        out: &mut Vec<Request>,
    ) -> (usize, bool) {
        let (mut count, mut urgent) = (0, false);
        let mut earliest: Option<Instant> = None;
        let mut last = None;
        for gap in &mut self.list {
            if gap.requests < MAX_REQUESTS && gap.due <= now {
                let follows = last.is_some_and(|last| last + 1 == gap.number);
                let fits = out.len() < room;
                match out.last_mut() {
                    Some(run) if follows && run.additional < u16::MAX => run.additional += 1,
                    _ if fits => out.push(Request { first: gap.number, additional: 0 }),
                    _ => {
                        earliest = Some(now);
                        break;
                    }
                }
                last = Some(gap.number);
                gap.requests += 1;
                gap.due = gap.again(now, pace);
                count += 1;
                urgent |= gap.requests >= URGENT_REQUESTS;
            }
            if gap.requests < MAX_REQUESTS {
                earliest = Some(earliest.map_or(gap.due, |earliest| earliest.min(gap.due)));
            }
        }
        self.earliest = earliest;
        (count, urgent)
    }
}

/// Packets to be asked for, one after another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Request {
    /// Number of the first one.
    pub(super) first: u64,
    /// How many more after it.
    pub(super) additional: u16,
}

/// What is asked for at a time, in memory that is used again.
#[derive(Debug, Default)]
pub(super) struct Asking {
    pub(super) requests: Vec<Request>,
    pub(super) written: Written,
    /// Of [`bitmasks`].
    pub(super) masks: Vec<(u16, u16)>,
}

/// Requests as they are written.
#[derive(Debug, Default)]
pub(super) struct Written {
    losses: Vec<Loss>,
    /// Upper halves of their numbers, and where those of each end.
    halves: Vec<(u16, usize)>,
}

impl Written {
    /// Takes other requests, whose numbers have 32 bits if they are `long`, or else 16.
    pub(super) fn take(&mut self, requests: &[Request], long: bool) {
        self.losses.clear();
        self.halves.clear();
        for &Request { first, additional } in requests {
            // Numbers up to the end of the upper half; the rest has the next one.
            let fit = if long { u16::MAX - first as u16 } else { u16::MAX };
            self.add(if long { (first >> 16) as u16 } else { 0 }, first as u16, additional.min(fit));
            if additional > fit {
                self.add((first >> 16) as u16 + 1, 0, additional - fit - 1);
            }
        }
    }

    fn add(&mut self, upper: u16, first: u16, additional: u16) {
        self.losses.push(Loss { first, additional });
        let end = self.losses.len();
        match self.halves.last_mut().filter(|(last, _)| *last == upper) {
            Some(half) => half.1 = end,
            None => self.halves.push((upper, end)),
        }
    }

    /// What they ask for, by the upper half of the numbers.
    pub(super) fn halves(&self) -> impl Iterator<Item = (u16, &[Loss])> {
        let mut start = 0;
        self.halves
            .iter()
            .map(move |&(upper, end)| (upper, &self.losses[std::mem::replace(&mut start, end)..end]))
    }
}

/// Puts runs into `entries`, as pairs of a first number and a mask of the 16 after it; at most `room` pairs, the rest is left out.
pub(super) fn bitmasks(losses: &[Loss], room: usize, entries: &mut Vec<(u16, u16)>) {
    entries.clear();
    for loss in losses {
        for offset in 0..=loss.additional {
            let number = loss.first.wrapping_add(offset);
            let fits = entries.len() < room;
            match entries.last_mut() {
                Some((first, mask)) if (1..=16).contains(&number.wrapping_sub(*first)) => {
                    *mask |= 1 << (number.wrapping_sub(*first) - 1);
                }
                _ if fits => entries.push((number, 0)),
                _ => return,
            }
        }
    }
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "any instant will do")]
mod tests {
    use super::*;

    fn written(requests: &[Request], long: bool) -> Vec<(u16, Vec<Loss>)> {
        let mut written = Written::default();
        // What was asked for before is gone.
        written.take(&[Request { first: 7, additional: 7 }], !long);
        written.take(requests, long);
        written.halves().map(|(upper, losses)| (upper, losses.to_vec())).collect()
    }

    #[test]
    fn runs_are_asked_for_when_due_and_again_after_retry() {
        let now = Instant::now();
        let (reorder, retry) = (Duration::from_millis(70), Duration::from_millis(100));
        let pace = Pace { retry, hurry: retry, latency: Duration::from_secs(1) };
        let mut missing = Missing::default();
        missing.push_back(0xffff..0x1_0002, now, reorder);
        missing.push_back(0x1_0005..0x1_0006, now, reorder);
        let mut out = Vec::new();
        assert_eq!(missing.collect(now, pace, 16, &mut out), (0, false));
        assert_eq!(missing.due(), Some(now + reorder));
        assert_eq!(missing.collect(now + reorder, pace, 16, &mut out), (4, false));
        let loss = |first, additional| Loss { first, additional };
        let short = [(0, vec![loss(0xffff, 2), loss(5, 0)])];
        assert_eq!(written(&out, false), short);
        let long = [(0, vec![loss(0xffff, 0)]), (1, vec![loss(0, 1), loss(5, 0)])];
        assert_eq!(written(&out, true), long);
        assert_eq!(missing.remove(0x1_0000), Some(now));
        assert_eq!(missing.remove(0x1_0000), None);
        out.clear();
        assert_eq!(missing.collect(now + reorder + retry, pace, 1, &mut out), (1, false));
        assert_eq!(written(&out, false), [(0, vec![loss(0xffff, 0)])]);
        assert_eq!(missing.due(), Some(now + reorder + retry));
        missing.forget_below(0x2_0000);
        assert_eq!(missing.due(), None);
    }

    /// What is asked for in vain is asked for less often, until it is too late, and then once more in time.
    #[test]
    fn requests_last_as_long_as_the_latency() {
        let retry = Duration::from_millis(20);
        for (latency, most) in [(1000, 21), (5000, 30), (60_000, 42)] {
            let begin = Instant::now();
            let pace = Pace { retry, hurry: retry, latency: Duration::from_millis(latency) };
            let mut missing = Missing::default();
            missing.push_back(1..2, begin, Duration::ZERO);
            let mut asked = Vec::new();
            while let Some(due) = missing.due().filter(|&due| due < begin + pace.latency) {
                let (count, _) = missing.collect(due, pace, 16, &mut Vec::new());
                assert_eq!(count, 1);
                asked.push(due - begin);
            }
            println!("{latency} ms: {} requests: {asked:?}", asked.len());
            assert_eq!(asked[..7], std::array::from_fn::<_, 7, _>(|i| retry * i as u32));
            assert!(asked.len() <= most, "{} requests", asked.len());
            assert!(asked.iter().any(|&at| (retry..retry * 2).contains(&(pace.latency - at))), "{asked:?}");
            let slowest = |pair: &[Duration]| pair[1] - pair[0] <= retry.max((pace.latency - pair[0]) / 4);
            assert!(asked.windows(2).all(slowest), "{asked:?}");
        }
    }

    /// A path whose answers would come too late does not leave a packet with one request: the other one is fast enough for more.
    #[test]
    fn requests_hurry_when_there_is_no_time_for_the_slowest_path() {
        let ms = Duration::from_millis;
        for (retry, asked) in [
            (ms(900), vec![0, 500, 750, 875, 937, 968, 988]),
            (ms(300), vec![0, 300, 600, 800, 900, 950, 975, 995]),
        ] {
            let begin = Instant::now();
            let pace = Pace { retry, hurry: ms(20), latency: ms(1000) };
            let mut missing = Missing::default();
            missing.push_back(1..2, begin, Duration::ZERO);
            let requests = std::iter::from_fn(|| {
                let due = missing.due().filter(|&due| due < begin + pace.latency)?;
                missing.collect(due, pace, 16, &mut Vec::new());
                Some((due - begin).as_millis())
            });
            assert_eq!(requests.collect::<Vec<_>>(), asked);
        }
    }

    #[test]
    fn masks_cover_the_same_packets() {
        let losses = [Loss { first: 0xfffe, additional: 17 }, Loss { first: 20, additional: 0 }];
        let mut masks = vec![(7, 7)];
        bitmasks(&losses, 16, &mut masks);
        assert_eq!(masks, [(0xfffe, 0xffff), (15, 1 << 4)]);
        bitmasks(&losses, 1, &mut masks);
        assert_eq!(masks, [(0xfffe, 0xffff)]);
    }
}
