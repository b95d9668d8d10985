//! Which links share one bottleneck: the same carrier, the same uplink.
//!
//! ```text
//!  queues alike for a second ──► suspected ──► trial: one rests, the other goes on
//!                                     ▲            │ queue of the resting one stays: shared   ──► confidence up
//!                                     └────────────┤ it drains: not shared                    ──► confidence down
//!                                                  └ no queue to see: nothing learned
//! ```
//!
//! Links behind one queue see the same queueing delay at the same time. So do links that are not, when they are filled
//! alike, as a bond fills them: what is alike makes a suspicion only. A trial decides: for some hundred milliseconds one
//! of the two gets only what is needed to measure it. A queue of its own drains then; one that both share stands.
//! Two trials of one mind are needed to join links, and to part them again; so are queues that are seen to differ.

mod group;
mod pair;
mod series;

use std::time::{Duration, Instant};

use self::group::Groups;
use self::pair::Pair;
use self::series::Series;
use super::link::Link;
use super::{Cost, LinkState};

/// Links whose queues are both longer than that may be tried: it must be seen whether it drains.
const TRIED_QUEUE: Duration = Duration::from_millis(30);
/// With less latency there is no time to wait for a link that rests.
const LEAST_LATENCY: Duration = Duration::from_millis(300);
/// Nor when packets wait for longer than this part (one n-th) of the latency; unless they wait so long that there is more
/// to send than the links carry anyway.
const MOST_WAIT: u32 = 8;
const OVERLOAD: u32 = 4;
/// A queue of its own has drained so long after it was as long; it is looked at for so long then.
const DRAIN: Duration = Duration::from_millis(20);
const LOOK: Duration = Duration::from_millis(300);
/// What is sent is known to have arrived by then, beside the round trip.
const FEEDBACK: Duration = Duration::from_millis(100);

/// The detector. Pairs of links are compared by a few numbers per 25 ms.
#[derive(Debug)]
pub(super) struct Bottlenecks {
    series: Vec<Series>,
    /// Of links i < j, in the order (0, 1), (0, 2), (1, 2), (0, 3) …
    pairs: Vec<Pair>,
    groups: Groups,
    trial: Option<Trial>,
    epoch: Instant,
    /// The next bin to be judged.
    judged: u64,
}

/// One link rests while another goes on.
#[derive(Debug, Clone, Copy)]
struct Trial {
    rests: usize,
    goes_on: usize,
    /// What was sent then shows.
    from: Instant,
    until: Instant,
    /// When that is known.
    known: Instant,
}

impl Bottlenecks {
    pub(super) fn new(now: Instant) -> Self {
        Self {
            series: Vec::new(),
            pairs: Vec::new(),
            groups: Groups::default(),
            trial: None,
            epoch: now,
            judged: 0,
        }
    }

    /// A link is no more, or leads elsewhere: nothing is known of it.
    pub(super) fn forget(&mut self, links: &mut [Link], link: usize) {
        // One that came after the last tick has no place yet: nothing was learned of it.
        let Some(series) = self.series.get_mut(link) else { return };
        *series = Series::default();
        for other in (0..self.series.len()).filter(|&other| other != link) {
            self.pairs[place(link, other)] = Pair::default();
        }
        if self.trial.is_some_and(|trial| trial.rests == link || trial.goes_on == link) {
            self.end_trial(links);
        }
        self.groups.form(links, &self.pairs);
    }

    /// Lets time pass: takes what the links measured, and says which of them rests ([`Link::resting`]) and which belong
    /// together ([`Link::group`]). `wait` is how long the oldest packet has waited.
    pub(super) fn tick(&mut self, now: Instant, links: &mut [Link], latency: Duration, wait: Duration) {
        self.series.resize_with(links.len(), Series::default);
        self.pairs.resize_with(links.len() * links.len().saturating_sub(1) / 2, Pair::default);
        for (series, link) in self.series.iter_mut().zip(links.iter_mut()) {
            if let Some((sent_at, queue)) = link.take_sample() {
                series.put(series::bin(self.epoch, sent_at), queue);
            }
        }
        self.judge(now);
        self.attend_trial(now, links, latency, wait);
        self.groups.form(links, &self.pairs);
        self.groups.measure(now, links);
    }

    /// Compares what was measured some time ago: by now it is known.
    fn judge(&mut self, now: Instant) {
        let end = series::known(self.epoch, now);
        // Time that nobody looked at is not made up for.
        self.judged = self.judged.max(end.saturating_sub(series::BINS as u64 / 2));
        while self.judged < end {
            for (j, second) in self.series.iter().enumerate() {
                for (i, first) in self.series[..j].iter().enumerate() {
                    if let (Some(queue), Some(around)) = (first.get(self.judged), second.around(self.judged))
                    {
                        self.pairs[place(i, j)].compare(queue, &around);
                    }
                }
            }
            self.judged += 1;
        }
    }

    fn attend_trial(&mut self, now: Instant, links: &mut [Link], latency: Duration, wait: Duration) {
        let calm = wait < latency / MOST_WAIT || wait > latency / OVERLOAD;
        let patient = latency >= LEAST_LATENCY && calm;
        let Some(trial) = self.trial else {
            if patient {
                self.start_trial(now, links);
            }
            return;
        };
        if links[trial.rests].resting && (now >= trial.until || !patient) {
            links[trial.rests].resting = false;
        }
        if now >= trial.known {
            let verdict = self.verdict(&trial);
            self.pairs[place(trial.rests, trial.goes_on)].conclude(now, verdict);
            self.end_trial(links);
        }
    }

    fn start_trial(&mut self, now: Instant, links: &mut [Link]) {
        let fit = |link: &Link| {
            link.cost == Cost::Free
                && link.available()
                && matches!(link.state, LinkState::Live | LinkState::Degraded)
                && link.queue() >= TRIED_QUEUE
        };
        let due = (0..links.len())
            .flat_map(|j| (0..j).map(move |i| (i, j)))
            .find(|&(i, j)| self.pairs[place(i, j)].is_due(now) && fit(&links[i]) && fit(&links[j]));
        let Some((i, j)) = due else { return };
        // Each of them in turn.
        let (rests, goes_on) = if self.pairs[place(i, j)].turn() { (j, i) } else { (i, j) };
        let from = now + links[rests].queue() + DRAIN;
        let until = from + LOOK;
        let known = until + links[rests].round().max(links[goes_on].round()) + TRIED_QUEUE + FEEDBACK;
        links[rests].resting = true;
        self.trial = Some(Trial { rests, goes_on, from, until, known });
    }

    fn end_trial(&mut self, links: &mut [Link]) {
        if let Some(link) = self.trial.take().and_then(|trial| links.get_mut(trial.rests)) {
            link.resting = false;
        }
    }

    /// Whether the queue of the link that rested stood as that of the other did; nothing if that had none.
    fn verdict(&self, trial: &Trial) -> Option<bool> {
        let bins = series::bin(self.epoch, trial.from)..series::bin(self.epoch, trial.until);
        let (mut alike, mut apart) = (0, 0);
        for bin in bins {
            let rested = self.series[trial.rests].get(bin);
            let went_on = self.series[trial.goes_on].around(bin);
            let (Some(rested), Some(went_on)) = (rested, went_on) else { continue };
            match pair::alike(rested, &went_on) {
                Some(true) => alike += 1,
                Some(false) => apart += 1,
                None => {}
            }
        }
        match alike.max(apart) {
            ENOUGH.. if alike > apart * CLEAR => Some(true),
            ENOUGH.. if apart > alike => Some(false),
            _ => None,
        }
    }
}

/// A trial needs so many looks to show anything.
const ENOUGH: u32 = 3;
/// And so many times as many for as against to be one for it.
const CLEAR: u32 = 3;

/// Where a pair is found.
fn place(a: usize, b: usize) -> usize {
    let (i, j) = (a.min(b), a.max(b));
    j * j.saturating_sub(1) / 2 + i
}
