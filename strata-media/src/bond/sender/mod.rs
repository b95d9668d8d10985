//! The bonding machine: a [`crate::rist::Sender`], its links, and the scheduler between them.

mod links;
mod stats;

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use bytes::Bytes;

use super::copies::{Copies, Original};
use super::link::Link;
use super::priority::Priorities;
use super::scheduler::{Dispatch, Scheduler, Waiting, candidates};
use super::stats::LinkState;
use super::{BondConfig, BondLink, Cost, SchedulerParams};
use crate::rist::{self, Media, sender as rist_sender};
use crate::ts::Priority;
use stats::Counts;

/// Time between two reports of a link, when there are several: their echoes show which is alive.
const REPORT_INTERVAL: Duration = Duration::from_millis(50);
/// How often links are looked after.
const TICK: Duration = Duration::from_millis(10);
/// As long as no link has answered, everything is sent over each of them; but no longer than this.
const UNPROVEN: Duration = Duration::from_secs(1);
/// A link that is alone and loses more than this share gets a packet's last copy twice; one that loses less seldom
/// loses a copy.
const LOSSY: f64 = 0.05;
/// A link that its peer reports on gets a packet at least this often: 4 in a second are less than 1 % of a stream of
/// 5 Mbit/s.
const IDLE: Duration = Duration::from_millis(250);
/// The same for a link that its peer, which reports on others, has not reported on yet.
const NEW: Duration = Duration::from_millis(20);
/// It may take so long until a packet is known to be lost, beside the round trip.
const FEEDBACK: Duration = Duration::from_millis(50);
/// The first packet is sent again so long after it: were it lost, the receiver could not know that there was one.
const HEAD: [Duration; 3] = [Duration::from_millis(10), Duration::from_millis(40), Duration::from_millis(90)];
/// When nothing follows for these parts (one n-th) of the latency, the last packet is sent again: if it or those
/// before it were lost, the receiver cannot know until something comes after them.
const TAIL: [u32; 3] = [10, 4, 2];

/// What happens to a bond.
#[derive(Debug)]
#[non_exhaustive]
pub enum Input<'a> {
    /// A payload is to be sent.
    Payload(Bytes),
    /// An RTCP datagram came in by a link.
    Rtcp {
        /// The link, by its place in the configuration.
        link: usize,
        /// The datagram.
        data: &'a [u8],
    },
    /// A link cannot be used, or (`None`) can be used again.
    LinkError {
        /// The link, by its place in the configuration.
        link: usize,
        /// Why.
        error: Option<String>,
    },
    /// A link is to be used or not.
    Enable {
        /// The link, by its place in the configuration.
        link: usize,
        /// Whether it is to be used.
        enabled: bool,
    },
    /// There is one more link, or what is known of its cost has changed.
    Link {
        /// Its place: that of a link there is, or of one that was removed, or one beyond the last.
        link: usize,
        /// What it is.
        config: BondLink,
    },
    /// A link is no more; its place may be taken by another one. What it had under way goes by the others.
    Remove {
        /// The link, by its place.
        link: usize,
    },
    /// A link has another address: what was known of it no longer holds, and what it had under way goes by the others.
    Readdress {
        /// The link, by its place.
        link: usize,
    },
    /// Other latency.
    Latency(Duration),
    /// Other scheduling.
    Scheduler(SchedulerParams),
    /// The stream is at its end.
    Bye,
    /// The time of [`Output::Timeout`] has come.
    Timeout,
}

/// What a bond wants.
#[derive(Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Output {
    /// Send this packet to the RTP port of a link.
    Rtp {
        /// The link, by its place in the configuration.
        link: usize,
        /// Header and payload.
        media: Media,
    },
    /// Send this datagram to the RTCP port of a link.
    Rtcp {
        /// The link, by its place in the configuration.
        link: usize,
        /// The datagram.
        data: Vec<u8>,
    },
    /// Nothing more until then, or until the next input.
    Timeout(Instant),
}

/// The sending machine of a bonded stream.
#[derive(Debug)]
pub struct Sender {
    config: BondConfig,
    flow: rist::Sender,
    links: Vec<Link>,
    /// Places that no link has.
    removed: Vec<bool>,
    counts: Vec<Counts>,
    /// Of links whose places others have taken.
    gone: Counts,
    scheduler: Scheduler,
    copies: Copies,
    priorities: Priorities,
    /// Of the payload that was just given.
    given: Priority,
    next_tick: Instant,
    report_due: Instant,
    first_payload: Option<Instant>,
    last_payload: Instant,
    /// The last packet, and how often it was sent again because nothing followed.
    tail: Option<(u64, usize)>,
    /// The first packet, and how often it was sent again.
    head: Option<(u64, usize)>,
    now: Instant,
    out: VecDeque<Output>,
}

impl Sender {
    /// A bond that starts at `now`.
    #[must_use]
    pub fn new(now: Instant, config: BondConfig) -> Self {
        let mut flow = rist::SenderConfig::new(config.links.len(), config.seed);
        flow.latency = config.latency;
        flow.cname.clone_from(&config.cname);
        if config.links.len() > 1 {
            flow.report_interval = REPORT_INTERVAL;
        }
        Self {
            flow: rist::Sender::new(now, flow),
            links: config.links.iter().map(|link| Link::with(now, link, &config.scheduler)).collect(),
            removed: vec![false; config.links.len()],
            counts: config.links.iter().map(|_| Counts::default()).collect(),
            gone: Counts::default(),
            scheduler: Scheduler::new(config.scheduler.clone()),
            copies: Copies::new(now),
            priorities: Priorities::default(),
            given: Priority::default(),
            next_tick: now,
            report_due: now,
            first_payload: None,
            last_payload: now,
            tail: None,
            head: None,
            now,
            out: VecDeque::new(),
            config,
        }
    }

    /// The stream's SSRC, with the retransmission bit 0.
    #[must_use]
    pub fn ssrc(&self) -> u32 {
        self.flow.ssrc()
    }

    /// Takes what happened. Then [`Sender::poll_output`] until it gives a timeout.
    pub fn handle_input(&mut self, now: Instant, input: Input<'_>) {
        self.now = self.now.max(now);
        match input {
            Input::Payload(payload) => {
                self.first_payload.get_or_insert(now);
                self.last_payload = now;
                let looked_at = self.scheduler.params().asks_for_priorities();
                self.given = if looked_at { self.priorities.classify(&payload) } else { Priority::default() };
                self.flow.handle_input(now, rist_sender::Input::Payload(payload));
            }
            Input::Rtcp { link, data } => {
                self.flow.handle_input(now, rist_sender::Input::Rtcp { path: link, data });
            }
            Input::LinkError { link, error } => {
                if let Some(link) = self.links.get_mut(link) {
                    link.error = error;
                }
            }
            Input::Enable { link, enabled } => {
                if let Some(link) = self.links.get_mut(link) {
                    link.enabled = enabled;
                }
            }
            Input::Link { link, config } => self.set_link(link, config),
            Input::Remove { link } => self.remove_link(link),
            Input::Readdress { link } => self.readdress_link(link),
            Input::Latency(latency) => {
                self.config.latency = latency;
                self.flow.set_latency(latency);
            }
            Input::Scheduler(params) => {
                self.links.iter_mut().for_each(|link| link.failover = params.failover);
                self.scheduler.set_params(params);
            }
            Input::Bye => self.flow.handle_input(now, rist_sender::Input::Bye),
            Input::Timeout => {
                if self.now >= self.report_due {
                    self.flow.handle_input(now, rist_sender::Input::Timeout);
                }
            }
        }
        self.drain_flow();
        if self.now >= self.next_tick {
            self.tick();
        }
        self.dispatch();
    }

    /// What is to be done next.
    pub fn poll_output(&mut self) -> Output {
        self.out.pop_front().unwrap_or_else(|| {
            let due =
                self.scheduler.due(self.now, &self.links, self.config.latency).unwrap_or(self.next_tick);
            Output::Timeout(due.min(self.next_tick).min(self.report_due))
        })
    }

    /// How long the oldest packet that was never sent has waited for room on a link: a caller that can wait should,
    /// when this is much. Nothing while there is no link to wait for: a live stream goes on, and its oldest packets
    /// are discarded when they could no longer arrive in time.
    #[must_use]
    pub fn wait(&self, now: Instant) -> Duration {
        if candidates(&self.links).is_empty() { Duration::ZERO } else { self.scheduler.wait(now) }
    }

    /// Whether everything had its latency to be repeated in.
    #[must_use]
    pub fn is_drained(&self, now: Instant) -> bool {
        self.first_payload.is_none() || now >= self.last_payload + self.config.latency
    }

    fn drain_flow(&mut self) {
        loop {
            match self.flow.poll_output() {
                rist_sender::Output::Send { number, created, len, repeat, urgent } => {
                    if !repeat {
                        self.priorities.push(number, self.given);
                        self.tail = Some((number, 0));
                        self.head.get_or_insert((number, 0));
                    }
                    if !repeat && self.unproven() {
                        self.send_everywhere(number);
                    } else {
                        let (since, reliable) = (self.now, self.priorities.get(number) > Priority::Normal);
                        let waiting = Waiting { created, len, repeat, urgent, since, reliable };
                        self.scheduler.push(number, waiting);
                    }
                }
                // A link whose cap is used up gets nothing at all.
                rist_sender::Output::Rtcp { path, .. } if self.links[path].is_capped() => {}
                rist_sender::Output::Rtcp { path, data } => {
                    self.links[path].spend(data.len());
                    self.out.push_back(Output::Rtcp { link: path, data });
                }
                rist_sender::Output::Heard { path } => self.links[path].heard(self.now),
                rist_sender::Output::Echo { path, sent_at, rtt } => {
                    self.links[path].proof(self.now, sent_at, rtt);
                }
                rist_sender::Output::Feedback { path, relayed: false, received } => {
                    self.links[path].feedback(self.now, &received, false);
                    self.find_lost(path);
                }
                rist_sender::Output::Feedback { path, received, .. } => {
                    for other in (0..self.links.len()).filter(|&other| other != path) {
                        self.links[other].feedback(self.now, &received, true);
                        self.find_lost(other);
                    }
                }
                // What arrives is known better from the link itself.
                rist_sender::Output::Lost { path, .. } if self.links[path].is_fed_back() => {}
                rist_sender::Output::Lost { path, .. } => {
                    self.links[path].loss.lost(self.now);
                    self.counts[path].lost += 1;
                }
                rist_sender::Output::Timeout(at) => {
                    self.report_due = at;
                    return;
                }
            }
        }
    }

    /// Lets packets be sent again that a link is seen to have lost.
    fn find_lost(&mut self, path: usize) {
        for (number, sent_at) in self.links[path].lost(self.now) {
            self.counts[path].lost += 1;
            if let Some((other, at)) = self.elsewhere(path, number) {
                self.flow.under_way(number, other, at);
                continue;
            }
            self.flow.handle_input(self.now, rist_sender::Input::Missing { path, number, sent_at });
        }
    }

    /// The other link that carries a packet too, and since when, if there is still time to repeat it once it is known to
    /// be lost there as well.
    fn elsewhere(&self, path: usize, number: u64) -> Option<(usize, Instant)> {
        let others = self.links.iter().enumerate().filter(|&(other, _)| other != path);
        let carried = others.filter_map(|(other, link)| Some((other, link.carries(number)?, link)));
        let (other, at, link) = carried.min_by_key(|&(_, at, link)| at + link.round())?;
        let usable = candidates(&self.links);
        let again =
            usable.iter().map(|&link| self.links[link].delay(self.now) + self.links[link].round()).min()?;
        let base = usable.iter().map(|&link| self.links[link].one_way()).min()?;
        let deadline = self.flow.created(number)? + self.config.latency + base;
        (at + link.round() + FEEDBACK + again <= deadline).then_some((other, at))
    }

    /// Whether there is a choice of links and nothing to choose by.
    fn unproven(&self) -> bool {
        self.links.len() > 1
            && self.first_payload.is_some_and(|first| self.now < first + UNPROVEN)
            && self.links.iter().all(|link| link.state == LinkState::Probe)
    }

    fn send_everywhere(&mut self, number: u64) {
        for link in candidates(&self.links) {
            self.send_copy(number, link);
        }
    }

    /// Sends a packet that other links get too.
    fn send_copy(&mut self, number: u64, link: usize) {
        self.send(number, link, false);
        self.links[link].share_last();
    }

    fn send(&mut self, number: u64, link: usize, repeat: bool) {
        if let Some(media) = self.flow.take(self.now, number, link, repeat) {
            self.transmit(number, link, repeat, media);
        }
    }

    fn transmit(&mut self, number: u64, link: usize, repeat: bool, media: Media) {
        self.copies.spent(self.now, media.len());
        self.counts[link].retransmitted += u64::from(repeat);
        self.hand_over(number, link, repeat, media);
    }

    fn hand_over(&mut self, number: u64, link: usize, repeat: bool, media: Media) {
        let len = media.len();
        self.links[link].sent(self.now, number, repeat, len);
        let counts = &mut self.counts[link];
        counts.packets += 1;
        counts.bytes += len as u64;
        self.out.push_back(Output::Rtp { link, media });
    }

    fn dispatch(&mut self) {
        self.dispatch_waiting();
        if self.scheduler.len() == 0 {
            self.dispatch_copies();
        }
    }

    /// Sends copies as far as nothing else wants the links.
    fn dispatch_copies(&mut self) {
        loop {
            let params = self.scheduler.params();
            let next = self.copies.next(self.now, &self.links, params);
            let Some((number, link)) = next else { return };
            if let Some(media) = self.flow.copy(number) {
                self.hand_over(number, link, false, media);
                self.counts[link].copied += 1;
                self.links.iter_mut().for_each(|link| link.copied(number));
            }
        }
    }

    fn dispatch_waiting(&mut self) {
        while self.scheduler.len() > 0 {
            let next = self.scheduler.next(self.now, &self.links, self.config.latency);
            let Some(dispatch) = next else { return };
            if !dispatch.repeat && self.copy_to_idle(dispatch) {
                self.send_copy(dispatch.number, dispatch.link);
            } else {
                self.send(dispatch.number, dispatch.link, dispatch.repeat);
            }
            if !dispatch.repeat && self.links.len() > 1 {
                let Dispatch { number, link, len, left, .. } = dispatch;
                let priority = self.priorities.get(number);
                let original = Original { number, len, priority, link, deadline: self.now + left };
                self.copies.push(self.now, original, self.scheduler.params());
            }
            let other = if dispatch.urgent || dispatch.last { self.other(dispatch) } else { None };
            let alone = self.links.len() == 1;
            let lossy = alone && dispatch.last && self.links[dispatch.link].loss.rate() > LOSSY;
            if let Some(other) = other.or((dispatch.urgent || lossy).then_some(dispatch.link)) {
                self.send(dispatch.number, other, true);
            }
        }
    }

    /// The best other link by which a packet can arrive in time.
    fn other(&self, dispatch: Dispatch) -> Option<usize> {
        let others = candidates(&self.links).into_iter().filter(|&link| link != dispatch.link);
        let delay = |link: usize| self.links[link].delay(self.now);
        others.filter(|&link| delay(link) <= dispatch.left).min_by_key(|&link| delay(link))
    }

    /// What is known of a link is known from what it carries: one that is too slow for its share gets copies.
    fn copy_to_idle(&mut self, dispatch: Dispatch) -> bool {
        let mut copied = false;
        for link in candidates(&self.links) {
            if link != dispatch.link && self.wants_copy(link, dispatch.link) {
                self.send_copy(dispatch.number, link);
                copied = true;
            }
        }
        copied
    }

    /// Whether a link beside the one that a packet goes by is idle for so long that it should have one too. Of a new one
    /// among others whose peer tells what arrives, nothing is told before something arrives by it.
    fn wants_copy(&self, link: usize, beside: usize) -> bool {
        let state = &self.links[link];
        let patience = if state.is_fed_back() { IDLE } else { NEW };
        // At the start of a stream the first word of all links is still on its way.
        let started = self.first_payload.is_some_and(|first| self.now >= first + UNPROVEN);
        let told = state.is_fed_back() || started && self.links[beside].is_fed_back();
        told && state.cost != Cost::Metered && state.idle(self.now) >= patience
    }

    fn tick(&mut self) {
        self.next_tick = self.now + TICK;
        let alone = self.links.iter().filter(|link| link.available()).count() < 2;
        let interval = if alone { rist_sender::REPORT_INTERVAL } else { REPORT_INTERVAL };
        self.repeat_ends();
        for index in 0..self.links.len() {
            let counts = &mut self.counts[index];
            counts.rate.turn(self.now, counts.bytes);
            self.find_lost(index);
            let died = self.links[index].tick(self.now, alone, interval);
            // What the others can repeat is not waited for.
            if let Some(since) = died.filter(|_| self.links.iter().any(Link::trusted)) {
                let input = rist_sender::Input::Reclaim { path: index, since };
                self.flow.handle_input(self.now, input);
            }
        }
        self.drain_flow();
    }

    /// Sends the first and the last packet again, when it is time.
    fn repeat_ends(&mut self) {
        let first = self.first_payload.unwrap_or(self.now);
        if let Some((number, times)) = self.head
            && HEAD.get(times).is_some_and(|&after| self.now >= first + after)
        {
            self.head = Some((number, times + 1));
            self.send_again(number, times);
        }
        if let Some((number, times)) = self.tail
            && TAIL.get(times).is_some_and(|&part| self.now >= self.last_payload + self.config.latency / part)
            && self.now <= self.last_payload + self.config.latency
            && self.scheduler.len() == 0
        {
            self.tail = Some((number, times + 1));
            self.send_again(number, times);
        }
    }

    /// Over another link each time.
    fn send_again(&mut self, number: u64, times: usize) {
        let links = candidates(&self.links);
        if let Some(&link) = links.get(times % links.len().max(1))
            && let Some(media) = self.flow.take_unasked(self.now, number, link, true)
        {
            self.transmit(number, link, true, media);
        }
    }
}
