//! How much the source should make: what the links carry together drives the encoder (the task of VSF TR-06-4-1, done
//! at the sender).
//!
//! ```text
//!  statistics, every 50 ms ───► carried, backlog ──► less at once ──► target, bit/s
//!                                                └─► more on evidence, by the ramp
//! ```
//!
//! A link is counted with less than its estimate while a queue has just shown what it carries, and with more the longer
//! that is ago: only by trying more can be seen that there is more. What is tried and stands in a queue lowers the
//! estimate, and with it the target.

use std::time::{Duration, Instant};

use super::stats::{BondStats, LinkState, LinkStats};

/// Part of what the links carry that is left for repeats and reports, when it was just measured.
const MEASURED_SHARE: f64 = 0.85;
/// What is tried of an estimate that was not measured for long.
const TRIED_SHARE: f64 = 1.1;
/// Below this part of what the links carried a moment ago, nothing more is tried: one of them is gone.
const FALL: f64 = 0.9;
/// When a payload waits for so long, in the sender and then on the emptiest link, too much is made.
const BACKLOG_MS: f64 = 60.0;
/// After a backlog was answered with less, so long is waited for it to go before there is less again.
const PATIENCE: Duration = Duration::from_millis(300);
/// At first each packet goes by every link, until they are known: what is seen then says little.
const START: Duration = Duration::from_secs(1);
/// A backlog takes at least this off the target: estimates are slower than queues.
const LESS: f64 = 0.8;
/// After less was asked for, so long nothing more is.
const HOLD: Duration = Duration::from_secs(1);
/// Never less, bit/s: sound, and a picture now and then.
const LEAST_BPS: f64 = 100e3;

/// Limits of the source's rate. Payload, all media together, bit/s.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct AdaptationParams {
    /// Not less, as long as the links can carry it. When they cannot, it yields.
    pub floor_bps: u64,
    /// Not more.
    pub ceiling_bps: u64,
    /// How fast the target rises: share of the ceiling per second, more than 0.
    pub ramp: f64,
}

impl AdaptationParams {
    /// From a tenth of `ceiling_bps` up to it, rising by a tenth of it per second.
    #[must_use]
    pub fn new(ceiling_bps: u64) -> Self {
        Self { floor_bps: ceiling_bps / 10, ceiling_bps, ramp: 0.1 }
    }
}

/// The machine: it is told what the bond sees, and says what the source should make.
#[derive(Debug)]
pub struct Adaptation {
    params: AdaptationParams,
    target_bps: f64,
    started: Instant,
    /// When it was last told.
    told: Instant,
    /// When less was last asked for.
    lowered: Option<Instant>,
    discarded_fresh: u64,
    /// What the links carried when it was last told, bit/s.
    carried: f64,
}

impl Adaptation {
    /// Starts at the ceiling: a source that the links can carry is never touched.
    #[must_use]
    pub fn new(now: Instant, params: AdaptationParams) -> Self {
        let target_bps = params.ceiling_bps as f64;
        Self { params, target_bps, started: now, told: now, lowered: None, discarded_fresh: 0, carried: 0.0 }
    }

    /// Other limits, at once: what was at the ceiling stays there.
    pub fn set_params(&mut self, params: AdaptationParams) {
        let ceiling = params.ceiling_bps as f64;
        let unlimited = self.target_bps >= self.params.ceiling_bps as f64;
        self.target_bps = if unlimited { ceiling } else { self.target_bps.min(ceiling) };
        self.params = params;
    }

    /// What the source should make, bit/s of payload.
    #[must_use]
    pub fn target_bps(&self) -> u64 {
        self.target_bps as u64
    }

    /// Takes statistics, every 50 ms or so; gives the target, bit/s of payload.
    pub fn handle_stats(&mut self, now: Instant, stats: &BondStats) -> u64 {
        let since = now.saturating_duration_since(self.told).as_secs_f64();
        self.told = self.told.max(now);
        let Seen { carried, tried, waiting_ms } = seen(stats);
        let late = stats.discarded_fresh > self.discarded_fresh || waiting_ms > BACKLOG_MS;
        self.discarded_fresh = stats.discarded_fresh;
        let ceiling = self.params.ceiling_bps as f64;
        if now < self.started + START {
            return self.target_bps as u64;
        }
        let fell = carried < std::mem::replace(&mut self.carried, carried) * FALL;
        let limit = if fell || late { carried * MEASURED_SHARE } else { tried }.min(ceiling);
        if late && self.patient(now, PATIENCE) {
            self.lower(now, limit.min(self.target_bps * LESS), carried);
        } else if self.target_bps > limit {
            self.lower(now, limit, carried);
        } else if !late && self.patient(now, HOLD) {
            self.target_bps = (self.target_bps + ceiling * self.params.ramp * since).min(limit);
        }
        self.target_bps as u64
    }

    fn lower(&mut self, now: Instant, target: f64, carried: f64) {
        // A floor above what the links carry would only fill queues.
        let floor = (self.params.floor_bps as f64).min(carried * MEASURED_SHARE);
        self.target_bps = target.max(floor).max(LEAST_BPS).min(self.params.ceiling_bps as f64);
        self.lowered = Some(now);
    }

    fn patient(&self, now: Instant, time: Duration) -> bool {
        self.lowered.is_none_or(|at| now >= at + time)
    }
}

/// What statistics say of all usable links together.
struct Seen {
    /// What they carry by their estimates, bit/s.
    carried: f64,
    /// What may be tried, bit/s.
    tried: f64,
    /// How long a payload waits, ms.
    waiting_ms: f64,
}

fn seen(stats: &BondStats) -> Seen {
    let usable = |link: &&LinkStats| {
        link.error.is_none() && !matches!(link.state, LinkState::Cooldown | LinkState::Dead)
    };
    let links: Vec<_> = stats.links.iter().filter(usable).collect();
    if links.is_empty() {
        // Nothing works: there is no better guess than the bond's own.
        return Seen {
            carried: stats.capacity_bps as f64,
            tried: f64::INFINITY,
            waiting_ms: stats.pending_ms,
        };
    }
    let useful = |link: &LinkStats| link.capacity_bps as f64 * (1.0 - link.loss_rate);
    // What was never measured is a guess, or what happened to pass: it limits nothing.
    let share = |link: &LinkStats| match link.capacity_confidence {
        0.0 => f64::INFINITY,
        confidence => TRIED_SHARE + (MEASURED_SHARE - TRIED_SHARE) * confidence,
    };
    let carried = links.iter().map(|link| useful(link)).sum();
    let tried = links.iter().map(|link| useful(link) * share(link)).sum();
    let emptiest = links.iter().map(|link| link.waiting_ms).fold(f64::INFINITY, f64::min);
    Seen { carried, tried, waiting_ms: stats.pending_ms + emptiest }
}
