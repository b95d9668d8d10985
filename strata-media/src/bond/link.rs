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

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use super::capacity::{Capacity, Span};
use super::loss::LossWindow;
use super::stats::LinkState;

/// Added to each datagram for the capacity's sake: IPv4 and UDP headers.
const OVERHEAD: usize = 28;
/// Least time without proof of delivery after which a link is suspect.
const SUSPECT: Duration = Duration::from_millis(150);
/// The same for a link that is alone: nothing could be done about it, and its peer may report seldom.
const SUSPECT_ALONE: Duration = Duration::from_secs(1);
/// A link that never answered is dead after so long.
const PROBE_TIME: Duration = Duration::from_secs(2);
/// How long a link must answer until it is trusted: at first, and after it was dead.
const WARM_TIME: Duration = Duration::from_secs(1);
const COOLDOWN_TIME: Duration = Duration::from_millis(500);
/// How long a least round-trip time counts: one to two of these.
const BASELINE_WINDOW: Duration = Duration::from_secs(15);
/// Less than that above the least round-trip time is jitter, and no queue; more, when jitter is more.
const QUEUE_THRESHOLD: Duration = Duration::from_millis(15);
const QUEUE_THRESHOLD_MOST: Duration = Duration::from_millis(60);
/// A link is degraded above these, and well again below half of them.
const DEGRADED_LOSS: f64 = 0.10;
const DEGRADED_QUEUE: Duration = Duration::from_millis(150);
/// Round-trip time that is assumed until one is measured.
const DEFAULT_RTT: Duration = Duration::from_millis(100);
/// The least of so many round trips shows the queue that stands: it is in all of them, and jitter is not.
const RECENT: usize = 4;
/// Sendings remembered as under way; 1 s of 100 Mbit/s.
const MAX_IN_FLIGHT: usize = 10_000;

/// One link of a bond.
#[derive(Debug)]
pub(super) struct Link {
    pub(super) state: LinkState,
    /// Why it cannot be used, as its driver says.
    pub(super) error: Option<String>,
    /// Whether it may be used.
    pub(super) enabled: bool,
    pub(super) capacity: Capacity,
    pub(super) loss: LossWindow,
    rtt: Option<Rtt>,
    liveness: Liveness,
    /// What was handed to the link is believed to have left by then.
    busy_until: Instant,
    last_sent: Instant,
    in_flight: VecDeque<(Instant, u32)>,
    in_flight_bytes: u64,
}

#[derive(Debug)]
struct Rtt {
    smoothed: Duration,
    variation: Duration,
    recent: [Duration; RECENT],
    next: usize,
    queue: Duration,
    standing: Duration,
    least: Duration,
    least_before: Duration,
    window_started: Instant,
}

#[derive(Debug)]
struct Liveness {
    /// When it entered its state.
    since: Instant,
    /// What was sent until then had the time to arrive.
    proven: Instant,
    /// When anything came in by it.
    heard: Instant,
}

impl Link {
    pub(super) fn new(now: Instant) -> Self {
        Self {
            state: LinkState::Probe,
            error: None,
            enabled: true,
            capacity: Capacity::default(),
            loss: LossWindow::new(now),
            rtt: None,
            liveness: Liveness { since: now, proven: now, heard: now },
            busy_until: now,
            last_sent: now,
            in_flight: VecDeque::new(),
            in_flight_bytes: 0,
        }
    }

    /// Whether new packets go to it when there is a choice.
    pub(super) fn trusted(&self) -> bool {
        self.available() && matches!(self.state, LinkState::Warm | LinkState::Live | LinkState::Degraded)
    }

    /// Whether packets can go to it at all.
    pub(super) fn available(&self) -> bool {
        self.enabled && self.error.is_none()
    }

    /// Smoothed round-trip time.
    pub(super) fn rtt(&self) -> Option<Duration> {
        self.rtt.as_ref().map(|rtt| rtt.smoothed)
    }

    /// Estimated queueing delay.
    pub(super) fn queue(&self) -> Duration {
        self.rtt.as_ref().map_or(Duration::ZERO, |rtt| rtt.queue)
    }

    pub(super) fn in_flight_bytes(&self) -> u64 {
        self.in_flight_bytes
    }

    /// More queueing delay than that is a queue, and not jitter.
    fn threshold(&self) -> Duration {
        let variation = self.rtt.as_ref().map_or(Duration::ZERO, |rtt| rtt.variation * 2);
        variation.clamp(QUEUE_THRESHOLD, QUEUE_THRESHOLD_MOST)
    }

    /// One way, without queue: half the least round trip.
    pub(super) fn one_way(&self) -> Duration {
        self.rtt.as_ref().map_or(DEFAULT_RTT, |rtt| rtt.least.min(rtt.least_before)) / 2
    }

    /// How long a datagram occupies the link.
    pub(super) fn airtime(&self, len: usize) -> Duration {
        let standing = self.rtt.as_ref().map_or(Duration::ZERO, |rtt| rtt.standing);
        let bps = self.capacity.pacing_bps(self.queue(), standing, self.threshold());
        Duration::from_secs_f64((len + OVERHEAD) as f64 * 8.0 / bps)
    }

    /// How far the link is filled ahead.
    pub(super) fn backlog(&self, now: Instant) -> Duration {
        self.busy_until.saturating_duration_since(now)
    }

    /// Until when what was handed to the link is believed to have left.
    pub(super) fn busy_until(&self) -> Instant {
        self.busy_until
    }

    /// Time since it was given a datagram.
    pub(super) fn idle(&self, now: Instant) -> Duration {
        now.saturating_duration_since(self.last_sent)
    }

    /// Time until a datagram given to the link now would arrive, if it does.
    pub(super) fn delay(&self, now: Instant) -> Duration {
        self.backlog(now).max(self.queue()) + self.one_way()
    }

    /// Time until a datagram given to the link after `waiting` more would arrive: its own queue, the link's, the
    /// way, and the way back and forth again if it is lost.
    pub(super) fn arrival(&self, now: Instant, waiting: Duration) -> Duration {
        let queue = (self.backlog(now) + waiting).max(self.queue());
        let again = self.rtt().unwrap_or(DEFAULT_RTT).mul_f64(self.loss.rate() * 2.0);
        queue + self.one_way() + again
    }

    /// A datagram was handed to the link.
    pub(super) fn sent(&mut self, now: Instant, len: usize) {
        self.busy_until = self.busy_until.max(now) + self.airtime(len);
        self.loss.sent(now);
        self.last_sent = now;
        let bytes = (len + OVERHEAD) as u32;
        self.in_flight_bytes += u64::from(bytes);
        match self.in_flight.back_mut() {
            // What is sent at one instant is one entry.
            Some((at, sum)) if *at == now && *sum < u32::MAX / 2 => *sum += bytes,
            _ => self.in_flight.push_back((now, bytes)),
        }
        if self.in_flight.len() > MAX_IN_FLIGHT {
            self.land(None);
        }
    }

    /// Takes the oldest sending off, if it was not after `until`.
    fn land(&mut self, until: Option<Instant>) -> Option<u64> {
        let (at, bytes) = *self.in_flight.front()?;
        if until.is_some_and(|until| at > until) {
            return None;
        }
        self.in_flight.pop_front();
        self.in_flight_bytes -= u64::from(bytes);
        Some(bytes.into())
    }

    /// RTCP came in by it.
    pub(super) fn heard(&mut self, now: Instant) {
        self.liveness.heard = now;
    }

    /// An answer: what was sent until `sent_at` had the time to arrive, within `rtt`.
    pub(super) fn proof(&mut self, now: Instant, sent_at: Instant, rtt: Duration) {
        self.measure(now, rtt);
        if sent_at > self.liveness.proven {
            let time = sent_at - self.liveness.proven;
            let mut bytes = 0;
            while let Some(landed) = self.land(Some(sent_at)) {
                bytes += landed;
            }
            let (queue, threshold, loss) = (self.queue(), self.threshold(), self.loss.rate());
            self.capacity.observe(Span { time, bytes, queue, threshold, loss });
            self.liveness.proven = sent_at;
        }
        match self.state {
            LinkState::Probe => self.enter(now, LinkState::Warm),
            LinkState::Dead => self.enter(now, LinkState::Cooldown),
            _ => {}
        }
    }

    fn measure(&mut self, now: Instant, sample: Duration) {
        let rtt = self.rtt.get_or_insert(Rtt {
            smoothed: sample,
            variation: Duration::ZERO,
            recent: [sample; RECENT],
            next: 0,
            queue: Duration::ZERO,
            standing: Duration::ZERO,
            least: sample,
            least_before: sample,
            window_started: now,
        });
        // RFC 6298, 2.3.
        rtt.variation = (rtt.variation * 3 + rtt.smoothed.abs_diff(sample)) / 4;
        rtt.smoothed = (rtt.smoothed * 7 + sample) / 8;
        rtt.least = rtt.least.min(sample);
        if now >= rtt.window_started + BASELINE_WINDOW {
            (rtt.least_before, rtt.least, rtt.window_started) = (rtt.least, sample, now);
        }
        rtt.recent[rtt.next] = sample;
        rtt.next = (rtt.next + 1) % RECENT;
        let standing = rtt.recent.iter().min().copied().unwrap_or_default();
        let least = rtt.least.min(rtt.least_before);
        (rtt.queue, rtt.standing) = (sample.saturating_sub(least), standing.saturating_sub(least));
    }

    fn enter(&mut self, now: Instant, state: LinkState) {
        self.state = state;
        self.liveness.since = now;
    }

    /// Lets time pass. Returns since when nothing is proven to have arrived, when the link just died.
    pub(super) fn tick(&mut self, now: Instant, alone: bool, interval: Duration) -> Option<Instant> {
        let age = now.saturating_duration_since(self.liveness.since);
        let bad = self.loss.rate() > DEGRADED_LOSS || self.queue() > DEGRADED_QUEUE;
        let well = self.loss.rate() < DEGRADED_LOSS / 2.0 && self.queue() < DEGRADED_QUEUE / 2;
        match self.state {
            LinkState::Probe if age >= PROBE_TIME => self.enter(now, LinkState::Dead),
            LinkState::Probe | LinkState::Dead => {}
            _ if self.suspect(now, alone, interval) => {
                self.enter(now, LinkState::Dead);
                return Some(self.liveness.proven);
            }
            LinkState::Warm if age >= WARM_TIME => self.enter(now, LinkState::Live),
            LinkState::Cooldown if age >= COOLDOWN_TIME => self.enter(now, LinkState::Warm),
            LinkState::Live if bad => self.enter(now, LinkState::Degraded),
            LinkState::Degraded if well => self.enter(now, LinkState::Live),
            _ => {}
        }
        None
    }

    /// Whether proof of delivery is overdue. A lost question or answer is no proof of death as long as the peer is
    /// heard, so twice the time is given then.
    fn suspect(&self, now: Instant, alone: bool, interval: Duration) -> bool {
        let least = if alone { SUSPECT_ALONE } else { SUSPECT };
        let limit = (self.rtt().unwrap_or(DEFAULT_RTT) * 2).max(least) + interval;
        let unproven = now.saturating_duration_since(self.liveness.proven);
        let quiet = now.saturating_duration_since(self.liveness.heard);
        unproven > limit && (quiet > least || unproven > limit * 2)
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
        let mut link = Link::new(start);
        let now = start + MS * 10_000;
        if state != LinkState::Probe {
            answer(&mut link, now, 40);
        }
        link.state = state;
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
                    link.sent(now, 1316);
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
