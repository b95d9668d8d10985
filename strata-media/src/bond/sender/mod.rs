//! The bonding machine: a [`crate::rist::Sender`], its links, and the scheduler between them.

mod costs;
mod links;
mod repairs;
mod source;
mod stats;

use std::collections::VecDeque;
use std::ops::Range;
use std::time::{Duration, Instant};

use bytes::Bytes;

use super::bottleneck::Bottlenecks;
use super::copies::{Copies, Copy, Original};
use super::link::Link;
use super::priority::Priorities;
use super::scheduler::{Dispatch, Scheduler, Waiting, candidates};
use super::{BondConfig, BondLink, SchedulerParams};
use crate::rist::path::Way;
use crate::rist::{self, Media, sender as rist_sender};
use crate::ts::Priority;
use repairs::Repairs;
use source::Source;
use stats::Counts;

/// Time between two reports of a link whose peer tells nothing of what arrives: their echoes show which is alive, and what it
/// carries. Of one that is alone, this is known when its peer has had the time to tell something.
const REPORT_INTERVAL: Duration = Duration::from_millis(50);
/// How often links are looked after.
const TICK: Duration = Duration::from_millis(10);
/// Whoever runs the machine stood still when it comes so much later to look after them: less than links are suspected for.
const STOOD_STILL: Duration = Duration::from_millis(50);
/// As long as no link has answered, everything is sent over each of them; but no longer than this.
const UNPROVEN: Duration = Duration::from_secs(1);
/// A link that is alone and loses more than this share gets a packet's last copy twice; one that loses less seldom
/// loses a copy.
const LOSSY: f64 = 0.05;
/// A link that its peer reports on gets a packet at least this often: 4 in a second are less than 1 % of a stream of
/// 5 Mbit/s.
const IDLE: Duration = Duration::from_millis(250);
/// Of a packet that is as large as can be: for how long those that wait take.
const LARGE_PACKET_BYTES: usize = 1400;
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
    /// A link is to be used or not. One that is not gets nothing at all, no reports either.
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
    /// What a link has carried both ways since this was last told, as it is billed: with all headers, and with what the layers
    /// below have to say themselves. It takes the place of what was counted here meanwhile, RTP and RTCP that was sent.
    Carried {
        /// The link, by its place.
        link: usize,
        /// Bytes of IP.
        bytes: u64,
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
        data: Bytes,
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
    bottlenecks: Bottlenecks,
    priorities: Priorities,
    repairs: Repairs,
    source: Source,
    /// Of the payload that was just given.
    given: Priority,
    next_tick: Instant,
    report_due: Instant,
    first_payload: Option<Instant>,
    /// Whether there is something to choose links by.
    started: bool,
    last_payload: Instant,
    /// The last packet, and how often it was sent again because nothing followed.
    tail: Option<(u64, usize)>,
    /// The first packet, and how often it was sent again.
    head: Option<(u64, usize)>,
    /// Packets of a start that was given up which were not sent since.
    beginning: Range<u64>,
    /// Packets that were to be sent again, and arrived before.
    withdrawn: u64,
    /// Memory that is used again.
    lost: Vec<(u64, Instant)>,
    now: Instant,
    out: VecDeque<Output>,
}

impl Sender {
    /// A bond that starts at `now`.
    #[must_use]
    pub fn new(now: Instant, config: BondConfig) -> Self {
        let mut flow = rist::SenderConfig::new(config.links.len(), config.seed.clone());
        flow.latency = config.latency;
        flow.keyframes = config.keyframes;
        flow.cname.clone_from(&config.cname);
        if config.links.len() > 1 {
            flow.report_interval = REPORT_INTERVAL;
        }
        Self {
            flow: rist::Sender::new(now, flow),
            links: config.links.iter().map(|link| source::link(now, link, &config)).collect(),
            removed: vec![false; config.links.len()],
            counts: config.links.iter().map(|_| Counts::default()).collect(),
            gone: Counts::default(),
            scheduler: Scheduler::new(config.scheduler.clone(), config.live),
            copies: Copies::new(now),
            bottlenecks: Bottlenecks::new(now),
            priorities: Priorities::default(),
            repairs: Repairs::new(config.null_packet_deletion, config.max_payload),
            source: Source::default(),
            given: Priority::default(),
            next_tick: now,
            report_due: now,
            first_payload: None,
            started: false,
            last_payload: now,
            tail: None,
            head: None,
            beginning: 0..0,
            withdrawn: 0,
            lost: Vec::new(),
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
        // Nobody is judged by what was not read meanwhile: first it is.
        if self.now >= self.next_tick + STOOD_STILL {
            self.next_tick = self.now + TICK;
            self.flow.stood_still(self.next_tick);
            self.links.iter_mut().for_each(|link| link.rouse(self.now));
        }
        match input {
            Input::Payload(payload) => {
                self.first_payload.get_or_insert(now);
                self.last_payload = now;
                self.given = self.priorities.classify(&payload);
                self.flow.handle_input(now, rist_sender::Input::Payload(payload));
            }
            Input::Rtcp { link, data } => {
                self.flow.handle_input(now, rist_sender::Input::Rtcp { path: link, data });
            }
            Input::LinkError { link, error } => {
                if let Some(link) = self.present_mut(link) {
                    link.error = error;
                }
            }
            Input::Enable { link, enabled } => self.enable_link(link, enabled),
            Input::Link { link, config } => self.set_link(link, config),
            Input::Remove { link } => self.remove_link(link),
            Input::Readdress { link } => self.readdress_link(link),
            Input::Carried { link, bytes } => {
                if let Some(link) = self.present_mut(link) {
                    link.settle(bytes);
                }
            }
            Input::Latency(latency) => {
                self.config.latency = latency;
                self.flow.set_latency(latency);
            }
            Input::Scheduler(params) => {
                self.links.iter_mut().for_each(|link| link.failover = params.failover);
                // Links that come later are of them too.
                self.config.scheduler.clone_from(&params);
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
        // Before anything that came later is sent.
        if self.first_payload.is_some() && !self.started {
            self.give_up_start();
        }
        if self.now >= self.next_tick {
            self.tick();
        }
        self.dispatch();
    }

    /// What is to be done next.
    pub fn poll_output(&mut self) -> Output {
        self.out.pop_front().unwrap_or_else(|| {
            let due = self.due().unwrap_or(self.next_tick);
            Output::Timeout(due.min(self.next_tick).min(self.report_due))
        })
    }

    /// When a link may be given more of what waits.
    fn due(&self) -> Option<Instant> {
        if self.scheduler.len() > 0 {
            return self.scheduler.due(self.now, &self.links, self.config.latency);
        }
        let waits = self.copies.are_waiting() || self.repairs_wait();
        self.links.iter().filter(|_| waits).filter_map(|link| link.paced_until(self.now)).min()
    }

    fn drain_flow(&mut self) {
        loop {
            match self.flow.poll_output() {
                rist_sender::Output::Send { number, created, len, repeat, urgent } => {
                    if !repeat {
                        self.priorities.push(number, self.given);
                        self.tail = Some((number, 0));
                        self.head.get_or_insert((number, 0));
                        self.protect(number);
                    }
                    if !repeat && self.config.live && self.unproven() {
                        self.send_everywhere(number);
                    } else {
                        let (since, reliable) = (self.now, self.priorities.get(number) > Priority::Normal);
                        let lost_by = self.flow.last_path(number).filter(|_| repeat);
                        let lost_by = lost_by.and_then(|path| self.links[path].group);
                        let waiting = Waiting { created, len, repeat, urgent, since, reliable, lost_by };
                        self.scheduler.push(number, waiting);
                    }
                }
                // A link that is disabled, or whose cap is used up, gets nothing at all; nor does one that cannot be used.
                rist_sender::Output::Rtcp { path, .. } if !self.links[path].available() => {}
                rist_sender::Output::Rtcp { path, data } => {
                    self.links[path].spend(data.len());
                    self.out.push_back(Output::Rtcp { link: path, data });
                }
                rist_sender::Output::Heard { path } => self.links[path].heard(self.now),
                rist_sender::Output::Echo { path, sent_at, rtt } => {
                    self.links[path].proof(self.now, sent_at, rtt);
                    let (least, most) = (self.links[path].one_way(), self.links[path].most());
                    self.flow.set_way(path, Way { least, most });
                }
                rist_sender::Output::Feedback { path, relayed: false, received } => {
                    self.links[path].feedback(self.now, &received, false);
                    self.find_lost(path);
                    self.flow.take_back(received);
                }
                rist_sender::Output::Feedback { path, received, .. } => {
                    for other in (0..self.links.len()).filter(|&other| other != path) {
                        self.links[other].feedback(self.now, &received, true);
                        self.find_lost(other);
                    }
                    self.flow.take_back(received);
                }
                // What arrives is known better from the link itself.
                rist_sender::Output::Lost { path, .. } if self.links[path].is_fed_back() => {}
                rist_sender::Output::Lost { path, len, .. } => {
                    // While everything goes by every link, what is missing says little.
                    if self.first_payload.is_some_and(|first| self.now >= first + UNPROVEN) {
                        self.links[path].asked_for(self.now, len);
                    }
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
        let mut lost = std::mem::take(&mut self.lost);
        self.links[path].lost(self.now, &mut lost);
        self.counts[path].lost += lost.len() as u64;
        // All of them first: how many a block has lost tells whether its repair packets make up for them.
        lost.retain(|&(number, sent_at)| self.is_to_be_made_up_for(path, number, sent_at));
        for (number, sent_at) in lost.drain(..) {
            if !self.repairs.cover(number) {
                let input = rist_sender::Input::Missing { path, number, sent_at };
                self.flow.handle_input(self.now, input);
            }
        }
        self.lost = lost;
    }

    /// Counts a packet that a link has lost. Whether it is one of the stream that no other link carries.
    fn is_to_be_made_up_for(&mut self, path: usize, number: u64, sent_at: Instant) -> bool {
        if repairs::is_repair(number) {
            self.repairs.lost_repair(number);
        } else if let Some((other, at)) = self.elsewhere(path, number) {
            self.flow.under_way(number, other, at);
        } else {
            self.note_lost(path, number, sent_at);
            return true;
        }
        false
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
        let since = self.first_payload.map(|first| self.now.saturating_duration_since(first));
        self.present() > 1 && since.is_some_and(|since| since < UNPROVEN && self.is_unanswered(since))
    }

    fn send_everywhere(&mut self, number: u64) {
        for link in self.everywhere() {
            self.send_copy(number, link);
        }
    }

    /// Sends a packet that other links get too.
    fn send_copy(&mut self, number: u64, link: usize) {
        self.send(number, link, false);
        self.links[link].share_last();
    }

    fn send(&mut self, number: u64, link: usize, repeat: bool) {
        let repeat = repeat && !self.begins_with(number);
        if let Some(media) = self.flow.take(self.now, number, link, repeat) {
            self.flow.expect(number, self.now + self.links[link].latest(self.now));
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
        if !self.attend_source() {
            return;
        }
        self.dispatch_waiting();
        if self.scheduler.len() > 0 {
            self.links.iter_mut().for_each(|link| link.hold(self.now));
        } else {
            self.dispatch_repairs();
            self.dispatch_copies();
        }
    }

    /// Sends copies as far as nothing else wants the links.
    fn dispatch_copies(&mut self) {
        loop {
            let params = self.scheduler.params();
            let ahead = self.scheduler.ahead(self.config.latency);
            let Some(copy) = self.copies.next(self.now, &self.links, params, ahead) else { return };
            let Copy { number, link, .. } = copy;
            if let Some(media) = self.flow.copy(number) {
                self.copies.sent(copy);
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
            // What was under way on a link that seemed dead may have arrived since.
            if self.flow.has_arrived(dispatch.number, dispatch.since) {
                self.withdrawn += 1;
                continue;
            }
            if !dispatch.repeat && self.unproven() {
                self.send_everywhere(dispatch.number);
            } else if !dispatch.repeat && self.copy_to_idle(dispatch) {
                self.send_copy(dispatch.number, dispatch.link);
            } else {
                self.send(dispatch.number, dispatch.link, dispatch.repeat);
            }
            if !dispatch.repeat && self.present() > 1 {
                let Dispatch { number, link, len, left, .. } = dispatch;
                let priority = self.priorities.get(number);
                let original = Original { number, len, priority, link, deadline: self.now + left };
                self.copies.push(self.now, original, self.scheduler.params());
            }
            let other = if dispatch.urgent || dispatch.last { self.other(dispatch) } else { None };
            let alone = self.present() == 1;
            let lossy = alone && dispatch.last && self.links[dispatch.link].loss.rate() > LOSSY;
            if let Some(other) = other.or((dispatch.urgent || lossy).then_some(dispatch.link)) {
                self.send(dispatch.number, other, true);
            }
        }
    }

    /// The best other link by which a packet can arrive in time, rather behind another bottleneck.
    fn other(&self, dispatch: Dispatch) -> Option<usize> {
        let others = candidates(&self.links).into_iter().filter(|&link| link != dispatch.link);
        let delay = |link: usize| self.links[link].delay(self.now);
        let beside = |link: usize| self.links[link].is_beside(&self.links[dispatch.link]);
        others.filter(|&link| delay(link) <= dispatch.left).min_by_key(|&link| (beside(link), delay(link)))
    }

    /// What is known of a link is known from what it carries: one that is too slow for its share gets copies.
    fn copy_to_idle(&mut self, dispatch: Dispatch) -> bool {
        let mut copied = false;
        for link in candidates(&self.links) {
            // Of those behind one bottleneck one at a time.
            let beside = link != dispatch.link && self.links[link].is_beside(&self.links[dispatch.link]);
            if link != dispatch.link && !(beside && copied) && self.wants_copy(link, dispatch.link) {
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
        let patience = if state.is_fed_back() && !state.resting { IDLE } else { NEW };
        // At the start of a stream the first word of all links is still on its way.
        let started = self.first_payload.is_some_and(|first| self.now >= first + UNPROVEN);
        let told = state.is_fed_back() || started && self.links[beside].is_fed_back();
        (told || state.resting) && self.may_copy(link, beside) && state.idle(self.now) >= patience
    }

    fn tick(&mut self) {
        self.next_tick = self.now + TICK;
        let alone = self.links.iter().filter(|link| link.available()).count() < 2;
        self.repeat_ends();
        self.tick_repairs();
        if self.links.iter().any(|link| link.rtt().is_some() && link.tells_nothing(self.now)) {
            self.flow.set_report_interval(REPORT_INTERVAL);
        }
        let wait = self.scheduler.wait(self.now);
        self.bottlenecks.tick(self.now, &mut self.links, self.config.latency, wait);
        for index in 0..self.links.len() {
            if self.removed[index] {
                continue;
            }
            let counts = &mut self.counts[index];
            counts.rate.turn(self.now, counts.bytes);
            counts.delivery.turn(self.now, self.links[index].arrived());
            self.find_lost(index);
            let interval = self.rest(index);
            let interval = if alone { rist_sender::REPORT_INTERVAL } else { interval };
            let reports = self.report_interval(index);
            self.links[index].wait_for_answer(self.now, self.flow.unanswered(index), reports);
            let died = self.links[index].tick(self.now, alone, interval);
            if died.is_some() {
                self.lose_repairs(index);
            }
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
        let links = self.everywhere();
        if let Some(&link) = links.get(times % links.len().max(1))
            && let Some(media) = self.flow.take_unasked(self.now, number, link, true)
        {
            self.transmit(number, link, true, media);
        }
    }
}
