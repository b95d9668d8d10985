//! One link: is it alive, how far is the other end, what is lost, and how much is under way.
//!
//! ```text
//!            answer             answers for 1 s            loss or queue
//!  Probe ───────────► Warm ───────────────────────► Live ◄──────────────► Degraded
//!    │                 ▲ │                            │                       │
//!    │ nothing for 2 s │ │        no proof            │                       │
//!    ▼                 │ └──────────┬─────────────────┴───────────────────────┘
//!  Dead ◄──────────────┼────────────┘
//!    │    answer       │ answers for 0.5 s
//!    └──────────► Cooldown ──► Dead, when no proof
//! ```
//!
//! A dead link whose packets are told to have arrived after all stood still: it is warm again at once. Where the peer
//! tells what arrives, a link that is taken up again carries packets from the first answer on, few at first.

mod beside;
mod pace;
mod queueing;
mod standard;

use std::time::{Duration, Instant};

use super::capacity::{Arrivals, Capacity, Span};
use super::delay::Delay;
use super::flight::{Digest, Flight, Proof};
use super::loss::LossWindow;
use super::stats::LinkState;
use super::{BondLink, Cost, Failover, SchedulerParams};
use crate::rist::Received;
use pace::Pace;
use queueing::Queueing;

/// Added to each datagram for the capacity's sake: IPv4 and UDP headers.
const OVERHEAD: usize = 28;
/// Least time without proof of delivery after which a link is suspect that is alone: nothing could be done about it, and its peer may report seldom.
const SUSPECT_ALONE: Duration = Duration::from_secs(1);
/// A link that never answered is dead after so long.
const PROBE_TIME: Duration = Duration::from_secs(2);
/// How long a link must answer until it is trusted at first.
const WARM_TIME: Duration = Duration::from_secs(1);
/// Less than that above the least delay is jitter, and no queue; more, when jitter is more.
const QUEUE_THRESHOLD: Duration = Duration::from_millis(15);
const QUEUE_THRESHOLD_MOST: Duration = Duration::from_millis(60);
/// A queue of so many times that is one that we fill, of a link whose peer tells nothing.
const TALL: u32 = 4;
/// A link is degraded above these, and well again below half of them.
const DEGRADED_LOSS: f64 = 0.10;
const DEGRADED_QUEUE: Duration = Duration::from_millis(150);
/// Round-trip time that is assumed until one is measured.
const DEFAULT_RTT: Duration = Duration::from_millis(100);
/// Time between two reports of what arrived; as long again may pass until a packet's arrival is known.
const FEEDBACK: Duration = Duration::from_millis(25);
/// A peer that tells nothing of what arrives for so long, though it is alive, no longer does.
const UNTOLD: Duration = Duration::from_secs(1);
/// Bytes that a link may have under way however little it carries: some packets, by which a recovery is seen.
const LEAST_WINDOW: f64 = 6000.0;
/// A delay that is so much less than the least, µs, was taken by another clock: the receiver started anew. So was one that
/// is above the least by more than the round trip: by a receiver that has run for longer, or our clock stood still.
const OTHER_CLOCK: i64 = 2_000_000;
/// Grain of arrival times, of both ends of a difference, µs.
const GRAIN: i64 = 2000;
/// The load of a link is what it was given in about this time: a few packets of a slow stream.
const LOAD_TIME: f64 = 0.2;
/// What is sent within that after something had to wait was sent by a full link: the time between two reports.
const HELD: Duration = Duration::from_millis(50);

/// The same for one of which nothing is known, as a source that waits finds it: RFC 6928's ten packets.
const FIRST_WINDOW: f64 = 14_600.0;

/// Why a link may carry nothing, by its user's will.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum Refusal {
    #[error("it is disabled")]
    Disabled,
    #[error("its cap of {0} bytes is used up")]
    Capped(u64),
}

/// One link of a bond.
#[derive(Debug)]
pub(super) struct Link {
    pub(super) state: LinkState,
    /// Why it cannot be used, as its driver says.
    pub(super) error: Option<String>,
    /// Whether it may be used.
    pub(super) enabled: bool,
    /// When it is used.
    pub(super) cost: Cost,
    /// Hint by its user, 0 if there is none.
    pub(super) weight: u32,
    /// When it is given up, and taken up again.
    pub(super) failover: Failover,
    cap_bytes: Option<u64>,
    /// Bytes it was given, RTCP and the headers of the layers below included.
    spent: u64,
    /// Bytes given to it since what it has carried was last told.
    unsettled: u64,
    pub(super) capacity: Capacity,
    pub(super) loss: LossWindow,
    rtt: Option<Rtt>,
    /// Delay of packets by their arrival times, for a peer that tells them.
    transit: Option<Delay>,
    queueing: Queueing,
    /// When something last had to wait, as it was full.
    held: Option<Instant>,
    liveness: Liveness,
    /// What was handed to the link is believed to have left by then.
    busy_until: Instant,
    pace: Pace,
    last_sent: Instant,
    flight: Flight,
    /// Bytes that may be under way while the link is taken up again.
    ramp: Option<f64>,
    load: (Instant, f64),
    /// The first of the links with which it shares a bottleneck, if it does.
    pub(super) group: Option<usize>,
    /// Its part of what it would carry alone, when it does.
    pub(super) part: f64,
    /// Whether it gets only what is needed to measure it.
    pub(super) resting: bool,
    /// Bytes that arrived, or had the time to.
    arrived: u64,
    /// Bytes that the peer asked for since it last answered, and that should have arrived.
    asked_for: u64,
    /// The newest queueing delay, and when the packet was sent that showed it.
    sample: Option<(Instant, Duration)>,
    /// Whether anything since that was last asked shows what it carries, and not only what it was given.
    shows: bool,
}

#[derive(Debug)]
struct Rtt {
    smoothed: Duration,
    variation: Duration,
    delay: Delay,
}

#[derive(Debug)]
struct Liveness {
    /// When it entered its state.
    since: Instant,
    /// What was sent until then had the time to arrive.
    proven: Instant,
    /// When anything came in by it.
    heard: Instant,
    /// When its peer last told what arrived.
    told: Instant,
    /// Whether it is asked seldom.
    rests: bool,
    /// When it last no longer was.
    roused: Instant,
}

impl Link {
    pub(super) fn new(now: Instant, config: &BondLink) -> Self {
        Self {
            state: LinkState::Probe,
            error: None,
            enabled: true,
            cost: config.cost,
            weight: config.weight,
            failover: Failover::default(),
            cap_bytes: config.cap_bytes,
            spent: config.spent_bytes,
            unsettled: 0,
            capacity: Capacity::default(),
            loss: LossWindow::new(now),
            rtt: None,
            transit: None,
            queueing: Queueing::default(),
            held: None,
            liveness: Liveness { since: now, proven: now, heard: now, told: now, rests: false, roused: now },
            busy_until: now,
            pace: Pace::new(now),
            last_sent: now,
            flight: Flight::new(now),
            ramp: None,
            load: (now, 0.0),
            group: None,
            part: 1.0,
            resting: false,
            arrived: 0,
            asked_for: 0,
            sample: None,
            shows: false,
        }
    }

    /// A link under the parameters of its bond.
    pub(super) fn with(now: Instant, config: &BondLink, params: &SchedulerParams) -> Self {
        Self { failover: params.failover, ..Self::new(now, config) }
    }

    /// Nothing is known of it, and it is given little until something is.
    pub(super) fn start_slowly(&mut self) {
        self.ramp = Some(FIRST_WINDOW);
    }

    /// Stands in a place that no link has.
    pub(super) fn retired(now: Instant) -> Self {
        Self { state: LinkState::Dead, enabled: false, ..Self::new(now, &BondLink::default()) }
    }

    /// Takes what its user says of it.
    pub(super) fn set_cost(&mut self, config: &BondLink) {
        (self.cost, self.weight, self.cap_bytes) = (config.cost, config.weight, config.cap_bytes);
    }

    /// Forgets everything but what its user said, and what was counted: what it was given, and what of that arrived.
    pub(super) fn start_anew(&mut self, now: Instant) {
        let Self { error, enabled, cost, weight, failover, cap_bytes, spent, unsettled, arrived, .. } =
            std::mem::replace(self, Self::new(now, &BondLink::default()));
        (self.error, self.enabled, self.failover) = (error, enabled, failover);
        (self.spent, self.unsettled, self.arrived) = (spent, unsettled, arrived);
        (self.cost, self.weight, self.cap_bytes) = (cost, weight, cap_bytes);
    }

    /// It was given a datagram of so many bytes.
    pub(super) fn spend(&mut self, len: usize) {
        self.unsettled += (len + OVERHEAD) as u64;
    }

    /// It has carried so many bytes in all since this was last told.
    pub(super) fn settle(&mut self, bytes: u64) {
        self.spent += bytes;
        self.unsettled = 0;
    }

    /// Bytes it has carried as far as was told, and was given since, headers of the layers below included.
    pub(super) fn spent(&self) -> u64 {
        self.spent + self.unsettled
    }

    /// Whether it has carried all it may.
    pub(super) fn is_capped(&self) -> bool {
        self.cap_bytes.is_some_and(|cap| self.spent() >= cap)
    }

    /// Why its user lets it carry nothing.
    pub(super) fn refusal(&self) -> Option<Refusal> {
        let cap = self.cap_bytes.filter(|_| self.is_capped()).map(Refusal::Capped);
        if self.enabled { cap } else { Some(Refusal::Disabled) }
    }

    /// Since when packets are under way whose fate is not known.
    pub(super) fn under_way_since(&self, now: Instant) -> Option<Instant> {
        if self.transit.is_some() {
            return self.flight.oldest().map(|sent| sent.at);
        }
        now.checked_sub(self.rtt().unwrap_or(DEFAULT_RTT))
    }

    /// Numbers of packets that are not known to have arrived, nor to be lost.
    pub(super) fn unproven(&self) -> impl Iterator<Item = u64> {
        self.flight.unproven()
    }

    /// Whether new packets go to it when there is a choice.
    pub(super) fn trusted(&self) -> bool {
        let ramping = self.state == LinkState::Cooldown && self.ramp.is_some();
        self.available()
            && (ramping || matches!(self.state, LinkState::Warm | LinkState::Live | LinkState::Degraded))
    }

    /// Whether packets can go to it at all.
    pub(super) fn available(&self) -> bool {
        self.error.is_none() && self.refusal().is_none()
    }

    /// Whether its peer tells what arrives.
    pub(super) fn is_fed_back(&self) -> bool {
        self.transit.is_some()
    }

    /// Smoothed round-trip time.
    pub(super) fn rtt(&self) -> Option<Duration> {
        self.rtt.as_ref().map(|rtt| rtt.smoothed)
    }

    fn delay_measured(&self) -> Option<&Delay> {
        self.transit.as_ref().or(self.rtt.as_ref().map(|rtt| &rtt.delay))
    }

    /// Estimated queueing delay, when it was last measured.
    pub(super) fn queue(&self) -> Duration {
        self.delay_measured().map_or(Duration::ZERO, Delay::queue)
    }

    /// Bytes that arrived by it, or had the time to.
    pub(super) fn arrived(&self) -> u64 {
        self.arrived
    }

    pub(super) fn in_flight_bytes(&self, since: Option<Instant>) -> u64 {
        self.flight.bytes() - since.map_or(0, |since| self.flight.bytes_until(since))
    }

    /// More queueing delay than that is a queue, and not jitter.
    pub(super) fn threshold(&self) -> Duration {
        let variation = self.rtt.as_ref().map_or(Duration::ZERO, |rtt| rtt.variation * 2);
        variation.clamp(QUEUE_THRESHOLD, QUEUE_THRESHOLD_MOST)
    }

    /// The least round trip lately, if one was measured.
    pub(super) fn rtt_min(&self) -> Option<Duration> {
        self.rtt.as_ref().map(|rtt| Duration::from_micros(rtt.delay.least().unsigned_abs()))
    }

    fn least_rtt(&self) -> Duration {
        self.rtt_min().unwrap_or(DEFAULT_RTT)
    }

    /// One way, without queue: half the least round trip.
    pub(super) fn one_way(&self) -> Duration {
        self.least_rtt() / 2
    }

    /// Time from sending a packet until it is known to be lost and can have been sent again: a round trip, a
    /// sixteenth and 4 ms, as receivers ask.
    pub(super) fn round(&self) -> Duration {
        let rtt = self.least_rtt();
        rtt + rtt / 16 + Duration::from_millis(4)
    }

    /// How long a datagram occupies the link.
    pub(super) fn airtime(&self, len: usize) -> Duration {
        let bps = match &self.transit {
            // What is believed to wait is corrected with every report, so that no margin is needed.
            Some(_) => self.carried_bps(),
            None => {
                let standing = self.waiting();
                self.capacity.pacing_bps(self.queue(), standing, self.threshold())
            }
        };
        Duration::from_secs_f64((len + OVERHEAD) as f64 * 8.0 / bps)
    }

    /// How far the link is filled ahead, and how long its answer is overdue.
    pub(super) fn backlog(&self, now: Instant) -> Duration {
        self.busy_until.saturating_duration_since(now) + self.overdue(now)
    }

    /// How much longer than expected the oldest packet under way is without an answer: the link stands still.
    pub(super) fn overdue(&self, now: Instant) -> Duration {
        if self.transit.is_none() {
            return Duration::ZERO;
        }
        let expected = |sent: super::flight::Sent| sent.at + self.least_rtt() + sent.queued + FEEDBACK * 2;
        self.flight.oldest().map_or(Duration::ZERO, |sent| now.saturating_duration_since(expected(sent)))
    }

    /// Until when what was handed to the link is believed to have left.
    pub(super) fn busy_until(&self) -> Instant {
        self.busy_until
    }

    /// Whether it is filled so far that packets had better wait: `ahead` of what it carries, or, when its peer
    /// tells what arrives, with a queue of `queue`. `alone` when there is no other link.
    pub(super) fn is_full(&self, now: Instant, ahead: Duration, queue: Duration, alone: bool) -> bool {
        if self.transit.is_none() {
            let ramped = self.ramp.is_some_and(|ramp| self.flight.bytes() as f64 >= ramp);
            return ramped || self.backlog(now) > ahead || !alone && self.is_loaded(now, queue);
        }
        // Missing answers make other links the better ones; they are no reason to wait when there is none.
        if alone {
            return self.busy_until.saturating_duration_since(now) > queue;
        }
        self.backlog(now) > queue || self.flight.bytes() as f64 >= self.window(queue)
    }

    /// Bytes that may be under way: what the link carries until their arrival is known, and the queue.
    fn window(&self, queue: Duration) -> f64 {
        self.window_of(self.least_rtt() + FEEDBACK * 2 + queue)
    }

    /// Bytes that it carries in a time, but not so few that nothing would be known of it.
    fn window_of(&self, time: Duration) -> f64 {
        let window = (self.carried_bps() / 8.0 * time.as_secs_f64()).max(LEAST_WINDOW);
        self.ramp.map_or(window, |ramp| ramp.min(window))
    }

    /// What it was given lately per what it carries.
    pub(super) fn load(&self, now: Instant) -> f64 {
        let (at, bits) = self.load;
        let decay = (-now.saturating_duration_since(at).as_secs_f64() / LOAD_TIME).exp();
        bits * decay / (LOAD_TIME * self.capacity.bps())
    }

    /// Time since it was given a datagram.
    pub(super) fn idle(&self, now: Instant) -> Duration {
        now.saturating_duration_since(self.last_sent)
    }

    /// Time until a datagram given to the link now would arrive, if it does.
    pub(super) fn delay(&self, now: Instant) -> Duration {
        self.arrival_after(now, Duration::ZERO)
    }

    /// The same after `waiting` more.
    pub(super) fn arrival_after(&self, now: Instant, waiting: Duration) -> Duration {
        let backlog = self.backlog(now) + waiting;
        let queue = if self.transit.is_some() { backlog } else { backlog.max(self.queue()) };
        queue + self.one_way()
    }

    /// Time until a datagram given to the link after `waiting` more would arrive: its own queue, the link's, the
    /// way, and the way back and forth again if it is lost.
    pub(super) fn arrival(&self, now: Instant, waiting: Duration) -> Duration {
        let again = self.rtt().unwrap_or(DEFAULT_RTT).mul_f64(self.loss.rate() * 2.0);
        self.arrival_after(now, waiting) + again
    }

    /// Something waits, as it is full.
    pub(super) fn hold(&mut self, now: Instant) {
        self.held = Some(now);
    }

    /// A datagram was handed to the link.
    pub(super) fn sent(&mut self, now: Instant, number: u64, repeat: bool, len: usize) {
        let queued = self.busy_until.saturating_duration_since(now);
        let load = self.load(now) * LOAD_TIME * self.capacity.bps() + len as f64 * 8.0;
        self.load = (now, load);
        self.busy_until = self.busy_until.max(now) + self.airtime(len);
        self.pace(now, len);
        self.spend(len);
        if self.idle(now) >= UNTOLD {
            // There was nothing to tell of.
            self.liveness.told = now;
        }
        self.loss.sent(now);
        self.last_sent = now;
        self.flight.push(number, repeat, now, (len + OVERHEAD) as u32, queued);
    }

    /// What it was given last was given to other links too.
    pub(super) fn share_last(&mut self) {
        self.flight.share_last();
    }

    /// The packet that it was given as `number` is given to other links too.
    pub(super) fn copied(&mut self, number: u64) {
        self.flight.copy(number);
    }

    /// When it was given a packet of which its peer, that tells what arrives, has not told yet.
    pub(super) fn carries(&self, number: u64) -> Option<Instant> {
        self.transit.as_ref().and(self.flight.open(number))
    }

    /// What was sent until then had the time to arrive.
    pub(super) fn proven(&self) -> Instant {
        self.liveness.proven
    }

    /// Time since anything came in by it.
    pub(super) fn quiet(&self, now: Instant) -> Duration {
        now.saturating_duration_since(self.liveness.heard)
    }

    /// It is asked seldom how it is, or no longer: what was not asked then is no silence.
    pub(super) fn rest(&mut self, now: Instant, rests: bool) {
        if self.liveness.rests && !rests {
            self.rouse(now);
        }
        self.liveness.rests = rests;
    }

    /// Whoever runs it stood still, and it was not asked meanwhile.
    pub(super) fn rouse(&mut self, now: Instant) {
        self.liveness.roused = now;
    }

    /// RTCP came in by it.
    pub(super) fn heard(&mut self, now: Instant) {
        self.liveness.heard = now;
    }

    /// An answer: what was sent until `sent_at` had the time to arrive, within `rtt`.
    pub(super) fn proof(&mut self, now: Instant, sent_at: Instant, rtt: Duration) {
        // An answer that is faster than all before it shows that those waited, and not how long it waited itself.
        let waited = self.rtt_min().is_none_or(|least| rtt + self.threshold() < least);
        self.measure(now, rtt);
        if sent_at > self.liveness.proven {
            let time = sent_at - self.liveness.proven;
            self.liveness.proven = sent_at;
            let told = self.liveness.told.max(self.liveness.since);
            let untold = self.state != LinkState::Dead && now.saturating_duration_since(told) >= UNTOLD;
            if untold && self.flight.oldest().is_some_and(|sent| sent.at <= sent_at) {
                // Another receiver, which tells nothing.
                self.transit = None;
            }
            if self.transit.is_some() {
                self.flight.pass(now, sent_at);
            } else {
                let bytes = self.flight.land(sent_at);
                self.arrived += bytes;
                self.climb(bytes);
                self.sample = Some((sent_at, self.queue()));
                let (queue, threshold, loss) = (self.queue(), self.threshold(), self.loss.rate());
                let (lost, inferred) = (std::mem::take(&mut self.asked_for), self.tells_nothing(now));
                self.shows |= queue > threshold && (self.was_held(sent_at) || queue > threshold * TALL);
                let jitter = self.queueing.echo_jitter();
                self.queueing.note(queue);
                let lowers = self.hear(now, sent_at, time, bytes, lost);
                let span =
                    Span { at: now, time, bytes, queue, threshold, jitter, loss, lost, inferred, lowers };
                if waited {
                    self.capacity.start_over();
                } else {
                    self.capacity.observe(span);
                }
            }
        }
        match self.state {
            LinkState::Probe => self.enter(now, LinkState::Warm),
            // It was not dead, or for less than a few lost answers take.
            LinkState::Dead if self.was_alive(sent_at) => self.enter(now, LinkState::Warm),
            LinkState::Dead => {
                self.ramp = self.transit.as_ref().map(|_| LEAST_WINDOW);
                self.enter(now, LinkState::Cooldown);
            }
            _ => {}
        }
    }

    /// The peer told what arrived.
    pub(super) fn feedback(&mut self, now: Instant, received: &[Received], relayed: bool) {
        // The first word must be the link's own: what others carried too is not told apart.
        if relayed && self.transit.is_none() {
            return;
        }
        let digest = self.flight.digest(now, received, relayed);
        let Some(proven) = digest.proven else { return };
        self.liveness.told = now;
        self.liveness.proven = self.liveness.proven.max(proven);
        self.arrived += digest.bytes;
        if let Some(newest) = digest.newest {
            self.learn(now, newest, &digest, relayed);
        }
        self.climb(digest.bytes);
        // It was late, not lost: the link stood still.
        if matches!(self.state, LinkState::Probe | LinkState::Dead) {
            self.ramp = Some(LEAST_WINDOW + digest.bytes as f64);
            self.enter(now, LinkState::Warm);
        }
    }

    /// Lets more be under way, by what arrived.
    fn climb(&mut self, bytes: u64) {
        self.ramp = self.ramp.filter(|_| self.state != LinkState::Live).map(|ramp| ramp + bytes as f64);
    }

    fn learn(&mut self, now: Instant, newest: Proof, digest: &Digest, relayed: bool) {
        // The way back of another link says nothing of this one's.
        if !relayed {
            self.measure(now, newest.rtt);
        }
        let before = self.transit.is_some();
        let same_clock = self.observe_transit(now, newest);
        if !same_clock {
            self.flight.other_clock(newest.arrived);
        } else if before {
            let lowers = self.look(now, newest.sent_at, digest);
            let (queue, threshold) = (self.queue(), self.threshold());
            let held = self.was_held(newest.sent_at);
            self.shows |= lowers && held;
            let (span, bytes) = (digest.span, digest.carried);
            self.capacity.observe_arrivals(now, Arrivals { span, bytes, queue, threshold, lowers });
            self.sample = Some((newest.sent_at, queue));
        }
        let busy = newest.sent_at + self.queue();
        self.busy_until = self.flight.replay(newest.sent_at, busy, self.carried_bps()).max(now);
    }

    /// Whether it was taken by the same clock as those before.
    fn observe_transit(&mut self, now: Instant, newest: Proof) -> bool {
        let threshold = self.threshold().as_micros() as i64;
        let Some(delay) = &mut self.transit else {
            self.transit = Some(Delay::new(now, newest.transit));
            return true;
        };
        let above = newest.transit - delay.least();
        // What a packet waited in a queue is part of its round trip, by whichever link the answer came.
        let most = newest.rtt.as_micros() as i64 + GRAIN;
        let same_clock = (-OTHER_CLOCK..=most).contains(&above);
        if !same_clock || newest.alone && above > threshold {
            delay.rebase(now, newest.transit);
        } else {
            delay.observe(now, newest.transit);
        }
        same_clock
    }

    fn measure(&mut self, now: Instant, sample: Duration) {
        let micros = sample.as_micros() as i64;
        let rtt = self.rtt.get_or_insert(Rtt {
            smoothed: sample,
            variation: Duration::ZERO,
            delay: Delay::new(now, micros),
        });
        // RFC 6298, 2.3.
        rtt.variation = (rtt.variation * 3 + rtt.smoothed.abs_diff(sample)) / 4;
        rtt.smoothed = (rtt.smoothed * 7 + sample) / 8;
        rtt.delay.observe(now, micros);
    }

    fn enter(&mut self, now: Instant, state: LinkState) {
        self.state = state;
        self.liveness.since = now;
    }

    /// Puts packets into `lost`, which is empty, that did not arrive, with the time they were sent, as what came after them shows.
    pub(super) fn lost(&mut self, now: Instant, lost: &mut Vec<(u64, Instant)>) {
        if self.transit.is_some() {
            self.flight.lose(now, lost);
            for _ in lost {
                self.loss.lost(now);
            }
        }
    }

    /// Lets time pass. Returns since when nothing is proven to have arrived, when the link just died.
    pub(super) fn tick(&mut self, now: Instant, alone: bool, interval: Duration) -> Option<Instant> {
        let age = now.saturating_duration_since(self.liveness.since);
        let bad = self.loss.rate() > DEGRADED_LOSS || self.queue() > DEGRADED_QUEUE;
        let well = self.loss.rate() < DEGRADED_LOSS / 2.0 && self.queue() < DEGRADED_QUEUE / 2;
        match self.state {
            LinkState::Probe if age >= PROBE_TIME => {
                // No answer will tell that it may be given more.
                self.ramp = None;
                self.enter(now, LinkState::Dead);
            }
            // All are dead, and this one is tried for want of a better.
            LinkState::Dead if self.stuck(now, alone).is_some() => self.flight.abandon(),
            LinkState::Probe | LinkState::Dead => {}
            _ if self.suspect(now, alone, interval) => {
                let since = self.stuck(now, alone).unwrap_or(self.liveness.proven);
                self.flight.abandon();
                self.enter(now, LinkState::Dead);
                return Some(since);
            }
            LinkState::Warm if age >= WARM_TIME => self.enter(now, LinkState::Live),
            LinkState::Cooldown if age >= self.failover.readmit_after => self.enter(now, LinkState::Warm),
            LinkState::Live if bad => self.enter(now, LinkState::Degraded),
            LinkState::Degraded if well => self.enter(now, LinkState::Live),
            _ => {}
        }
        None
    }

    fn patience(&self, alone: bool) -> Duration {
        (self.rtt().unwrap_or(DEFAULT_RTT) * 2).max(self.least_patience(alone))
    }

    fn least_patience(&self, alone: bool) -> Duration {
        let suspect = self.failover.suspect_after;
        if alone { suspect.max(SUSPECT_ALONE) } else { suspect }
    }

    /// When the oldest packet was sent whose arrival, or that of a later one, should long be known.
    fn stuck(&self, now: Instant, alone: bool) -> Option<Instant> {
        self.transit.as_ref()?;
        let oldest = self.flight.oldest()?;
        (now >= oldest.at + self.patience(alone) + oldest.queued).then_some(oldest.at)
    }

    /// Whether proof of delivery is overdue. A lost question or answer is no proof of death as long as the peer is
    /// heard, so twice the time is given then.
    fn suspect(&self, now: Instant, alone: bool, interval: Duration) -> bool {
        if self.stuck(now, alone).is_some() {
            return true;
        }
        let limit = self.patience(alone) + interval;
        let least = self.least_patience(alone);
        let asked = self.liveness.proven.max(self.liveness.roused);
        let unproven = now.saturating_duration_since(asked);
        unproven > limit && (self.quiet(now) > least || unproven > limit * 2)
    }
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "any instant will do")]
mod tests {
    use std::fmt::Write;

    use super::*;

    const MS: Duration = Duration::from_millis(1);
    const STATES: [LinkState; 6] = [
        LinkState::Probe,
        LinkState::Warm,
        LinkState::Live,
        LinkState::Degraded,
        LinkState::Cooldown,
        LinkState::Dead,
    ];

    /// A link in `state` for 10 s, with answers of 40 ms so far unless it never had one; and the time.
    fn link(state: LinkState) -> (Link, Instant) {
        let start = Instant::now();
        let mut link = Link::new(start, &BondLink::default());
        let now = start + MS * 10_000;
        if state != LinkState::Probe {
            answer(&mut link, now, 40);
        }
        link.state = state;
        if state == LinkState::Dead {
            link.liveness.since = start;
        }
        (link, now)
    }

    fn answer(link: &mut Link, now: Instant, rtt: u32) {
        link.heard(now);
        link.proof(now, now - MS * rtt, MS * rtt);
    }

    /// Every state, and what each thing that may happen makes of it.
    #[test]
    fn transitions() {
        type Happening = (&'static str, fn(&mut Link, Instant) -> bool);
        let happenings: [Happening; 6] = [
            ("answer", |link, now| {
                answer(link, now, 40);
                false
            }),
            ("1 s, with answers", |link, now| {
                answer(link, now + MS * 1000, 40);
                link.tick(now + MS * 1000, false, MS * 50).is_some()
            }),
            ("200 ms without", |link, now| link.tick(now + MS * 200, false, MS * 50).is_some()),
            ("200 ms without, alone", |link, now| link.tick(now + MS * 200, true, MS * 100).is_some()),
            ("2 s without, alone", |link, now| link.tick(now + MS * 2000, true, MS * 100).is_some()),
            ("one in two lost", |link, now| {
                for i in 0..40 {
                    link.sent(now, i, false, 1316);
                    if i % 2 == 0 {
                        link.loss.lost(now);
                    }
                }
                link.tick(now, false, MS * 50).is_some()
            }),
        ];
        let mut table = String::new();
        for (name, happen) in happenings {
            write!(table, "{name}:").unwrap();
            for state in STATES {
                let (mut link, now) = link(state);
                let died = if happen(&mut link, now) { " (repeat)" } else { "" };
                if link.state != state {
                    write!(table, " {state:?} → {:?}{died},", link.state).unwrap();
                }
            }
            table.push('\n');
        }
        insta::assert_snapshot!(table, @"
        answer: Probe → Warm, Dead → Cooldown,
        1 s, with answers: Probe → Warm, Warm → Live, Degraded → Live, Cooldown → Warm, Dead → Cooldown,
        200 ms without: Probe → Dead, Warm → Dead (repeat), Live → Dead (repeat), Degraded → Dead (repeat), Cooldown → Dead (repeat),
        200 ms without, alone: Probe → Dead, Degraded → Live,
        2 s without, alone: Probe → Dead, Warm → Dead (repeat), Live → Dead (repeat), Degraded → Dead (repeat), Cooldown → Dead (repeat),
        one in two lost: Probe → Dead, Live → Degraded,
        ");
    }

    #[test]
    fn a_dead_link_is_readmitted_when_its_user_says() {
        for ms in [0, 500, 3000] {
            let (mut link, now) = link(LinkState::Dead);
            link.failover.readmit_after = MS * ms;
            answer(&mut link, now, 40);
            let warm = (0..400).map(|i| now + MS * 10 * i).find(|&at| {
                answer(&mut link, at, 40);
                link.tick(at, false, MS * 50);
                link.state == LinkState::Warm
            });
            assert_eq!(warm, Some(now + MS * ms));
        }
    }

    #[test]
    fn a_link_is_dead_within_200_ms_of_its_last_proof_and_a_lost_echo_is_no_death() {
        let (mut link, now) = link(LinkState::Live);
        // An answer to one of two questions, and RTCP of the peer all the while.
        for i in 0..100 {
            let now = now + MS * 50 * i;
            link.heard(now);
            if i % 2 == 0 {
                answer(&mut link, now, 40);
            }
            assert_eq!(link.tick(now, false, MS * 50), None);
        }
        let last = now + MS * 50 * 98;
        let died = (0..100).map(|i| last + MS * 10 * i).find(|&now| link.tick(now, false, MS * 50).is_some());
        assert!(died.unwrap() <= last + MS * 210, "{:?}", died.unwrap() - last);
    }
}
