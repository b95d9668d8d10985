//! What arrived by one way lately, to be told to a sender that takes congestion control feedback (RFC 8888).

use std::collections::VecDeque;
use std::net::IpAddr;
use std::time::{Duration, Instant};

use super::rtcp::{MAX_OFFSET, Runs};

/// Time between two reports, as long as there is room for them ([`super::share`]): a fraction of any round trip that matters.
const INTERVAL: Duration = Duration::from_millis(25);
/// With fewer bytes than this to report, it takes longer: they have about 60 bytes themselves.
const ENOUGH: usize = 1200;
const LONG_INTERVAL: Duration = Duration::from_millis(90);
/// A packet is told of in so many reports, since reports are lost too.
const TIMES: u8 = 3;
/// Packets told of in one report: as many as come in 75 ms at 1 Gbit/s; beyond, the oldest are left out, and what is left
/// out three times is taken for lost.
const MAX_ARRIVALS: usize = 8192;
/// A longer gap than this starts another run, which has 8 bytes more than a number.
const MAX_GAP: u16 = 4;

/// Where packets of a stream come from: one link of its sender.
#[derive(Debug)]
pub(super) struct Source {
    /// Local socket pair.
    pub(super) link: usize,
    pub(super) ip: IpAddr,
    arrivals: VecDeque<Seen>,
    due: Option<Instant>,
    unreported: usize,
    oldest: Instant,
    /// When the last packet came.
    pub(super) heard: Instant,
}

#[derive(Debug)]
struct Seen {
    ssrc: u32,
    sequence: u16,
    at: Instant,
    told: u8,
}

/// What a report tells, in memory that the next one uses again.
#[derive(Debug, Default)]
pub(super) struct Report {
    pub(super) runs: Runs,
    /// Arrivals, to be sorted.
    told: Vec<(u32, u16, Instant)>,
}

impl Report {
    /// Leaves nothing in it.
    pub(super) fn clear(&mut self) {
        self.told.clear();
        self.runs.clear();
    }

    /// Makes runs of what was gathered, to be told at `now` or less than 1/1024 s later.
    pub(super) fn sort(&mut self, now: Instant) {
        let Self { told, runs } = self;
        let base = told.first().map_or(0, |&(_, sequence, _)| sequence);
        // Sorted by distance from the oldest arrival, which is in order beyond the wrap.
        told.sort_unstable_by_key(|&(ssrc, sequence, at)| {
            (ssrc, sequence.wrapping_sub(base).wrapping_add(1 << 15), at)
        });
        for &(ssrc, sequence, at) in &*told {
            let since = now.saturating_duration_since(at).as_nanos() * 1024 / 1_000_000_000;
            let offset = u16::try_from(since).map_or(MAX_OFFSET, |since| since.min(MAX_OFFSET));
            match runs.last().filter(|&(last, _)| last == ssrc).map(|(_, next)| sequence.wrapping_sub(next)) {
                // Twice: the first arrival counts (RFC 8888, 3.1).
                Some(u16::MAX) => {}
                Some(gap) if gap <= MAX_GAP => runs.extend(gap, offset),
                _ => runs.begin(ssrc, sequence, offset),
            }
        }
    }
}

impl Source {
    pub(super) fn new(now: Instant, link: usize, ip: IpAddr) -> Self {
        Self { link, ip, arrivals: VecDeque::new(), due: None, unreported: 0, oldest: now, heard: now }
    }

    /// A packet came.
    pub(super) fn arrived(&mut self, now: Instant, ssrc: u32, sequence: u16, len: usize) {
        self.heard = now;
        if self.arrivals.len() == MAX_ARRIVALS {
            self.arrivals.pop_front();
        }
        self.arrivals.push_back(Seen { ssrc, sequence, at: now, told: 0 });
        if self.unreported == 0 {
            self.oldest = now;
        }
        self.unreported += len;
        let interval = if self.unreported >= ENOUGH { INTERVAL } else { LONG_INTERVAL };
        let due = self.oldest + interval;
        self.due = Some(self.due.map_or(due, |before| before.min(due)));
    }

    /// When to report next.
    pub(super) fn due(&self) -> Option<Instant> {
        self.due
    }

    /// Puts off what is due.
    pub(super) fn wait(&mut self, until: Instant) {
        self.due = self.due.map(|_| until);
    }

    /// Adds what is to be told to `report`; only what was never told, if it is to be `new`.
    pub(super) fn gather(&self, report: &mut Report, new: bool) {
        let wanted = self.arrivals.iter().filter(|seen| !new || seen.told == 0);
        report.told.extend(wanted.map(|seen| (seen.ssrc, seen.sequence, seen.at)));
    }

    /// Counts what there is as told `times` times, and forgets what was told often enough.
    pub(super) fn turn(&mut self, now: Instant, times: u8) {
        for seen in &mut self.arrivals {
            seen.told += times;
        }
        self.arrivals.retain(|seen| seen.told < TIMES);
        self.unreported = 0;
        // The rest is told again also when nothing follows.
        self.due = self.arrivals.back().map(|_| now + LONG_INTERVAL);
    }
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "any instant will do")]
mod tests {
    use super::super::rtcp::Run;
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    fn source(now: Instant) -> Source {
        Source::new(now, 0, IpAddr::from([10, 0, 0, 1]))
    }

    fn told<'a>(source: &Source, now: Instant, report: &'a mut Report) -> Vec<Run<'a>> {
        report.clear();
        source.gather(report, false);
        report.sort(now);
        report.runs.parts(usize::MAX).flat_map(|part| part.runs()).collect()
    }

    #[test]
    fn runs_span_small_gaps_and_the_wrap() {
        let now = Instant::now();
        let mut source = source(now);
        for (ssrc, sequence) in [(2, 0xfffe), (2, 1), (2, 0), (2, 1), (3, 0xff00), (2, 9)] {
            source.arrived(now, ssrc, sequence, 1328);
        }
        assert_eq!(source.due(), Some(now + INTERVAL));
        let at = Some(25 * 1024 / 1000);
        let expected = [
            Run { ssrc: 2, first: 0xfffe, offsets: &[at, None, at, at] },
            Run { ssrc: 2, first: 9, offsets: &[at] },
            Run { ssrc: 3, first: 0xff00, offsets: &[at] },
        ];
        let mut report = Report::default();
        assert_eq!(told(&source, now + INTERVAL, &mut report), expected);
    }

    #[test]
    fn an_arrival_is_told_three_times_and_then_there_is_silence() {
        let now = Instant::now();
        let mut source = source(now);
        source.arrived(now, 2, 1, 100);
        let (mut reports, mut report) = (0, Report::default());
        while let Some(due) = source.due() {
            assert_eq!(told(&source, due, &mut report).len(), 1);
            source.turn(due, 1);
            assert!(due <= now + MS * 300);
            reports += 1;
        }
        assert_eq!(reports, TIMES);
    }

    /// A sender would take for lost what is never told of.
    #[test]
    fn at_800_mbit_per_second_every_arrival_is_told_of_three_times() {
        let (start, mut times) = (Instant::now(), vec![0; 16_000]);
        let (mut source, mut report) = (source(start), Report::default());
        for number in 0..times.len() as u16 {
            let now = start + Duration::from_nanos(13_160) * u32::from(number);
            source.arrived(now, 2, number, 1328);
            if source.due().is_some_and(|due| due <= now) {
                let runs = told(&source, now, &mut report).into_iter();
                let numbers = runs.flat_map(|run| run.first..run.first + run.offsets.len() as u16);
                numbers.for_each(|number| times[usize::from(number)] += 1);
                source.turn(now, 1);
            }
        }
        assert_eq!(times[..8000], vec![TIMES; 8000]);
    }
}
