//! The machine.

use std::cmp::Ordering;
use std::collections::{BinaryHeap, VecDeque};
use std::time::{Duration, Instant};

use bytes::Bytes;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use super::config::{Config, Loss};
use super::trace::OPPORTUNITY;

/// Packets that one link holds at most, waiting and on their way: a bound for links without rate or with hours of delay.
const MAX_PACKETS: usize = 100_000;

/// Something with a size that a link can carry.
pub trait Packet: Clone {
    /// Size in bytes, without the headers that [`Config::overhead`] adds.
    fn size(&self) -> usize;
}

impl Packet for Bytes {
    fn size(&self) -> usize {
        self.len()
    }
}

impl Packet for Vec<u8> {
    fn size(&self) -> usize {
        self.len()
    }
}

/// A packet at the far end of a link.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Delivered<P> {
    /// When it arrived.
    pub at: Instant,
    /// The packet.
    pub packet: P,
}

/// What a link did so far.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct LinkStats {
    /// Packets pushed.
    pub pushed: u64,
    /// Bytes pushed, without headers.
    pub pushed_bytes: u64,
    /// Packets delivered, copies included.
    pub delivered: u64,
    /// Bytes delivered, without headers.
    pub delivered_bytes: u64,
    /// Packets that the queue had no room for.
    pub queue_dropped: u64,
    /// Packets lost at random or in bursts.
    pub lost: u64,
    /// Packets lost in outages.
    pub outage_lost: u64,
    /// Copies made.
    pub duplicated: u64,
    /// Packets held back.
    pub reordered: u64,
    /// Bytes waiting now, headers included.
    pub queued_bytes: usize,
    /// Most bytes that ever waited.
    pub queued_bytes_max: usize,
    /// Time that the delivered packets took, from push to arrival, summed.
    pub delay: Duration,
}

/// One direction of an emulated link; see the [module](super) for how it is used.
#[derive(Debug)]
pub struct Link<P> {
    config: Config,
    rng: StdRng,
    /// Time of the first packet: outages and the trace count from it.
    epoch: Option<Instant>,
    waiting: VecDeque<Waiting<P>>,
    /// When the packet in front started to be transmitted, and when that is done.
    service: Option<(Instant, Instant)>,
    /// When the link was last free.
    free_at: Option<Instant>,
    /// Chance of the trace in use, and the bytes left of it.
    chance: Option<(u64, usize)>,
    bad: bool,
    down: bool,
    last_arrival: Option<Instant>,
    travelling: BinaryHeap<Travelling<P>>,
    order: u64,
    stats: LinkStats,
}

#[derive(Debug)]
struct Waiting<P> {
    pushed: Instant,
    size: usize,
    packet: P,
}

impl<P: Packet> Link<P> {
    /// A link that is idle. Two links of the same seed and the same input do the same.
    #[must_use]
    pub fn new(config: Config, seed: u64) -> Self {
        Self {
            config,
            rng: StdRng::seed_from_u64(seed),
            epoch: None,
            waiting: VecDeque::new(),
            service: None,
            free_at: None,
            chance: None,
            bad: false,
            down: false,
            last_arrival: None,
            travelling: BinaryHeap::new(),
            order: 0,
            stats: LinkStats::default(),
        }
    }

    /// Takes a packet at the near end. `now` must not go backwards.
    pub fn push(&mut self, now: Instant, packet: P) {
        self.epoch.get_or_insert(now);
        self.advance(now);
        self.stats.pushed += 1;
        self.stats.pushed_bytes += packet.size() as u64;
        let size = packet.size() + self.config.overhead;
        let room = self.config.queue_bytes().saturating_sub(self.stats.queued_bytes);
        if size > room || self.waiting.len() + self.travelling.len() >= MAX_PACKETS {
            self.stats.queue_dropped += 1;
            return;
        }
        self.stats.queued_bytes += size;
        self.stats.queued_bytes_max = self.stats.queued_bytes_max.max(self.stats.queued_bytes);
        self.waiting.push_back(Waiting { pushed: now, size, packet });
        self.advance(now);
    }

    /// A packet that has arrived by `now`, earliest first; call it until there is none.
    pub fn poll(&mut self, now: Instant) -> Option<Delivered<P>> {
        self.advance(now);
        if self.travelling.peek()?.at > now {
            return None;
        }
        let Travelling { at, pushed, packet, .. } = self.travelling.pop()?;
        self.stats.delivered += 1;
        self.stats.delay += at - pushed;
        self.stats.delivered_bytes += packet.size() as u64;
        Some(Delivered { at, packet })
    }

    /// When to poll next; nothing happens before. Not every event is an arrival: a packet may leave the queue then.
    #[must_use]
    pub fn next_event(&self) -> Option<Instant> {
        let arrival = self.travelling.peek().map(|t| t.at);
        let departure = self.service.map(|(_, done)| done);
        arrival.into_iter().chain(departure).min()
    }

    /// Changes the link from `now` on. What waits, waits on at the new rate; what travels, arrives as it would have.
    pub fn configure(&mut self, now: Instant, config: Config) {
        self.advance(now);
        let restarted = self.config.trace != config.trace;
        self.config = config;
        if restarted {
            self.chance = None;
        }
        if let Some((start, done)) = self.service.take() {
            let left = (done - now).as_secs_f64() / (done - start).as_secs_f64().max(1e-9);
            let fresh = self.transmission_end(now);
            let scaled = fresh.saturating_duration_since(now).mul_f64(left.clamp(0.0, 1.0));
            let done = if self.config.trace.is_some() { fresh } else { now + scaled };
            self.service = Some((now, done));
        }
    }

    /// What the link does to packets now.
    #[must_use]
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// Starts or ends an outage by hand: while it is down, all that is transmitted is lost.
    pub fn set_down(&mut self, now: Instant, down: bool) {
        self.advance(now);
        self.down = down;
    }

    /// What the link did so far.
    #[must_use]
    pub fn stats(&self) -> LinkStats {
        self.stats
    }

    /// Lets every packet depart whose transmission is over by `now`.
    fn advance(&mut self, now: Instant) {
        loop {
            if self.service.is_none() {
                let Some(front) = self.waiting.front() else { return };
                let start = self.free_at.map_or(front.pushed, |free| free.max(front.pushed));
                self.service = Some((start, self.transmission_end(start)));
            }
            let Some((_, done)) = self.service.filter(|&(_, done)| done <= now) else { return };
            self.service = None;
            self.free_at = Some(done);
            if let Some(waiting) = self.waiting.pop_front() {
                self.stats.queued_bytes -= waiting.size;
                self.depart(done, waiting);
            }
        }
    }

    /// When the packet in front has been transmitted if that starts at `start`.
    fn transmission_end(&mut self, start: Instant) -> Instant {
        let Some(size) = self.waiting.front().map(|w| w.size) else { return start };
        if self.config.trace.is_some() {
            return self.traced_end(start, size);
        }
        let Some(rate) = self.config.rate_bps else { return start };
        let nanos = (size as u64 * 8).saturating_mul(1_000_000_000).div_ceil(rate.max(1));
        start + Duration::from_nanos(nanos)
    }

    fn traced_end(&mut self, start: Instant, mut size: usize) -> Instant {
        let (Some(trace), Some(epoch)) = (&self.config.trace, self.epoch) else { return start };
        let first = trace.first_at(start.saturating_duration_since(epoch));
        let (mut chance, mut left) = self.chance.filter(|c| c.0 >= first).unwrap_or((first, OPPORTUNITY));
        while size > left {
            size -= left;
            (chance, left) = (chance + 1, OPPORTUNITY);
        }
        self.chance = Some((chance, left - size));
        (epoch + trace.time_of(chance)).max(start)
    }

    /// Decides what becomes of a packet that left the queue at `at`.
    fn depart(&mut self, at: Instant, waiting: Waiting<P>) {
        let Waiting { pushed, packet, .. } = waiting;
        // Everything is drawn for every packet, so that one setting does not change the dice of another.
        let [loss, change, jitter, hold, copy] = std::array::from_fn(|_| self.rng.random::<f64>());
        if self.loses(loss, change) {
            self.stats.lost += 1;
            return;
        }
        if self.in_outage(at) {
            self.stats.outage_lost += 1;
            return;
        }
        let mut arrival = at + self.config.delay + self.config.jitter.mul_f64(jitter);
        if hold < self.config.reorder {
            self.stats.reordered += 1;
            arrival += self.config.reorder_delay;
        } else if !self.config.jitter_reorders {
            arrival = self.last_arrival.map_or(arrival, |last| last.max(arrival));
            self.last_arrival = Some(arrival);
        }
        if copy < self.config.duplicate {
            self.stats.duplicated += 1;
            self.travel(arrival, pushed, packet.clone());
        }
        self.travel(arrival, pushed, packet);
    }

    fn travel(&mut self, at: Instant, pushed: Instant, packet: P) {
        self.order += 1;
        self.travelling.push(Travelling { at, order: self.order, pushed, packet });
    }

    fn loses(&mut self, loss: f64, change: f64) -> bool {
        match self.config.loss {
            Loss::None => false,
            Loss::Random { rate } => loss < rate,
            Loss::GilbertElliott { enter_bad, leave_bad, loss_in_good, loss_in_bad } => {
                let lost = loss < if self.bad { loss_in_bad } else { loss_in_good };
                if change < if self.bad { leave_bad } else { enter_bad } {
                    self.bad = !self.bad;
                }
                lost
            }
        }
    }

    fn in_outage(&self, at: Instant) -> bool {
        let since = self.epoch.map_or(Duration::ZERO, |epoch| at.saturating_duration_since(epoch));
        self.down || self.config.outages.iter().any(|o| since >= o.start && since - o.start < o.length)
    }
}

/// A packet on its way, ordered so that the earliest is the greatest.
#[derive(Debug)]
struct Travelling<P> {
    at: Instant,
    order: u64,
    pushed: Instant,
    packet: P,
}

impl<P> Ord for Travelling<P> {
    fn cmp(&self, other: &Self) -> Ordering {
        (other.at, other.order).cmp(&(self.at, self.order))
    }
}

impl<P> PartialOrd for Travelling<P> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl<P> PartialEq for Travelling<P> {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl<P> Eq for Travelling<P> {}
