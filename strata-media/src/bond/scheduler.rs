//! Which packet goes next, and over which link.
//!
//! The oldest packet goes first, fresh or repeated: it is the one that must arrive first. Links whose peer tells what
//! arrives share fresh packets by their capacity, as long as one that is lost there could still be repeated in time; so
//! every link is known by what it carries, and little is lost with one of them. Any other packet goes over the link
//! by which it is expected to arrive earliest. A link is filled only a little ahead of what it carries, and what was given
//! at once goes in batches; what does not fit waits here, where it can still change its link, and what can no longer arrive
//! in time is not sent. Under overload there may be two queues, so that what matters most is not held up by the rest.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use super::Cost;
use super::copies::Ahead;
use super::link::Link;
use super::params::SchedulerParams;
use super::places::Places;
use super::stats::LinkState;

/// Packets that wait; what comes beyond is the oldest's loss. 2 s of 80 Mbit/s.
const MAX_PENDING: usize = 16_384;
/// How far a link is filled ahead of what it carries, unless its user says.
const AHEAD: Duration = Duration::from_millis(10);
/// Waiting packets that are looked at, at a time.
const LOOK_AHEAD: usize = 128;
/// A link that has carried nothing for so long gets a packet: what is known of a link is known from what it carries.
const KEEP_WARM: Duration = Duration::from_millis(50);
/// But not if that would arrive so much later than by the best link that the receiver asked for it meanwhile
/// (TR-06-1, appendix B: a reorder section of 70 ms).
const MOST_SKEW: Duration = Duration::from_millis(65);
/// Added to the expected arrival by a backup link, as a share of the latency: used when others are that far behind.
const BACKUP_SHARE: u32 = 4;
/// The same for a metered one: after the backups.
const METERED_SHARE: u32 = 2;

/// Part of the deadline (one n-th) that a packet which has waited must have left, and the most: two reports, and the jitter
/// that is no queue.
const MARGIN_SHARE: u32 = 8;
const MOST_MARGIN: Duration = Duration::from_millis(60);

/// What waits for less is no overload: a link that is found dead holds up so much, two round trips, the time between two reports, and
/// what it takes the others to carry the rest.
const LONG_WAIT: Duration = Duration::from_millis(350);

/// It may take so long until a packet is known to be lost, beside the round trip: the time between two reports.
const FEEDBACK: Duration = Duration::from_millis(25);

/// What is older than this part (one n-th) of the deadline, or than this, waits for no pace: it is no longer one of those that were just
/// given, but the links are behind.
const PACED_SHARE: u32 = 20;
const MOST_PACED: Duration = Duration::from_millis(50);

/// A packet that waits.
#[derive(Debug, Clone, Copy)]
pub(super) struct Waiting {
    pub(super) created: Instant,
    pub(super) len: usize,
    pub(super) repeat: bool,
    pub(super) urgent: bool,
    /// Since when it waits.
    pub(super) since: Instant,
    /// Whether it is critical, or sound.
    pub(super) reliable: bool,
    /// Group of the link that lost it.
    pub(super) lost_by: Option<usize>,
}

/// A packet and its link.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Dispatch {
    pub(super) number: u64,
    pub(super) link: usize,
    pub(super) repeat: bool,
    pub(super) urgent: bool,
    /// There is no time to send it once more.
    pub(super) last: bool,
    /// Time it has to arrive.
    pub(super) left: Duration,
    /// Payload bytes.
    pub(super) len: usize,
    /// Since when it waited.
    pub(super) since: Instant,
}

/// Packets that were given up.
#[derive(Debug, Default)]
pub(super) struct Discarded {
    /// Never sent: there was no room for them.
    pub(super) fresh: u64,
    /// Sent before, and asked for too late: that says nothing of the room there is.
    pub(super) repeats: u64,
}

impl Discarded {
    fn count(&mut self, waiting: &Waiting) {
        *(if waiting.repeat { &mut self.repeats } else { &mut self.fresh }) += 1;
    }
}

/// Packets that wait for a link.
#[derive(Debug, Default)]
pub(super) struct Scheduler {
    params: SchedulerParams,
    /// Whether what was never sent is kept, however long it waits.
    keeps: bool,
    /// By sequence number, which is by age. All are in the first one, unless there are two.
    queues: [BTreeMap<u64, Waiting>; 2],
    /// Bytes sent from each, while both had some.
    served: [f64; 2],
    /// When unreliable packets that waited too long are looked for next.
    sweep: Option<Instant>,
    pub(super) discarded: Discarded,
    /// Room for the links as they are, while one is chosen.
    ways: Vec<Way>,
}

/// The queues: of reliable packets, or of all; and of unreliable ones.
const RELIABLE: usize = 0;
const UNRELIABLE: usize = 1;
/// How often unreliable packets that waited too long are looked for.
const SWEEP: Duration = Duration::from_millis(5);

impl Scheduler {
    /// One for a live source, or one that waits, whose packets are kept until they were sent.
    pub(super) fn new(params: SchedulerParams, live: bool) -> Self {
        Self { params, keeps: !live, ..Self::default() }
    }

    pub(super) fn params(&self) -> &SchedulerParams {
        &self.params
    }

    /// Other parameters; what waits is sorted anew.
    pub(super) fn set_params(&mut self, params: SchedulerParams) {
        self.params = params;
        let waiting = std::mem::take(&mut self.queues);
        for (number, waiting) in waiting.into_iter().flatten() {
            self.queues[self.queue(&waiting)].insert(number, waiting);
        }
    }

    fn queue(&self, waiting: &Waiting) -> usize {
        if self.params.storm.enabled && !waiting.reliable { UNRELIABLE } else { RELIABLE }
    }

    pub(super) fn push(&mut self, number: u64, waiting: Waiting) {
        self.queues[self.queue(&waiting)].insert(number, waiting);
        if self.len() > MAX_PENDING {
            let [reliable, unreliable] = &mut self.queues;
            let oldest = unreliable.pop_first().or_else(|| reliable.pop_first());
            oldest.iter().for_each(|(_, waiting)| self.discarded.count(waiting));
        }
    }

    /// Gives up what waits to go once more, below a number and created before a time.
    pub(super) fn give_up(&mut self, below: u64, before: Instant) {
        for queue in &mut self.queues {
            let count = queue.len();
            queue.retain(|&number, waiting| number >= below || waiting.created >= before);
            self.discarded.repeats += (count - queue.len()) as u64;
        }
    }

    pub(super) fn len(&self) -> usize {
        self.queues.iter().map(BTreeMap::len).sum()
    }

    /// How long the oldest packet that was never sent has waited.
    pub(super) fn wait(&self, now: Instant) -> Duration {
        let fresh = |queue: &BTreeMap<u64, Waiting>| {
            let fresh = queue.values().find(|waiting| !waiting.repeat);
            fresh.map_or(Duration::ZERO, |waiting| now.saturating_duration_since(waiting.created))
        };
        self.queues.iter().map(fresh).max().unwrap_or_default()
    }

    /// When a link that is full, or was just given a batch, has room again for what waits. Links with room have been tried.
    pub(super) fn due(&self, now: Instant, links: &[Link], latency: Duration) -> Option<Instant> {
        if self.len() == 0 {
            return None;
        }
        let (ahead, queue) = self.ahead(latency);
        let room = |&link: &usize| {
            let busy = links[link].busy_until();
            let ahead = if links[link].is_fed_back() { queue } else { ahead };
            let room = busy.checked_sub(ahead).unwrap_or(busy);
            links[link].paced_until(now).map_or(room, |paced| paced.max(room))
        };
        candidates(links).iter().map(room).filter(|&at| at > now).min()
    }

    /// How far a link is filled, and how far one whose peer tells what arrives.
    pub(super) fn ahead(&self, latency: Duration) -> Ahead {
        let queue = queue_of(latency);
        self.params.max_ahead.map_or((AHEAD, queue), |most| (most, most.min(queue)))
    }

    /// The oldest packet that may be sent now. The caller tells the link before the next call.
    pub(super) fn next(&mut self, now: Instant, links: &[Link], latency: Duration) -> Option<Dispatch> {
        let mut ways = std::mem::take(&mut self.ways);
        self.find_ways(&mut ways, now, links, latency);
        let found = self.next_by(&mut ways, now, links, latency);
        ways.clear();
        self.ways = ways;
        found
    }

    fn next_by(
        &mut self,
        ways: &mut [Way],
        now: Instant,
        links: &[Link],
        latency: Duration,
    ) -> Option<Dispatch> {
        // Without a way, as by the best of those there were.
        let base = ways.iter().map(|way| way.one_way).min();
        let base = base.or_else(|| links.iter().map(Link::one_way).min()).unwrap_or_default();
        // The receiver's latency starts with the way of an undelayed packet.
        let whole = latency + base;
        let deadline = self.params.discard_deadline.map_or(whole, |given| given.min(whole));
        self.discard_older(now, deadline);
        if ways.iter().all(|way| way.full) {
            return None;
        }
        let order = self.order();
        order.into_iter().find_map(|queue| self.pick(queue, links, ways, deadline, now))
    }

    /// Which queue's turn it is.
    fn order(&mut self) -> [usize; 2] {
        if self.queues.iter().any(BTreeMap::is_empty) {
            self.served = [0.0; 2];
        }
        let weight = self.params.storm.reliable_weight;
        let [reliable, unreliable] = self.served;
        let first = reliable * (1.0 - weight) <= unreliable * weight;
        if first { [RELIABLE, UNRELIABLE] } else { [UNRELIABLE, RELIABLE] }
    }

    /// The oldest packet of a queue that may be sent now.
    fn pick(
        &mut self,
        queue: usize,
        links: &[Link],
        ways: &mut [Way],
        deadline: Duration,
        now: Instant,
    ) -> Option<Dispatch> {
        let mut given_up = Vec::new();
        let mut found = None;
        for (&number, waiting) in self.queues[queue].iter().take(LOOK_AHEAD) {
            let age = now.saturating_duration_since(waiting.created);
            let left = deadline.saturating_sub(age);
            let Some(index) = choose(ways, waiting, left, deadline) else { break };
            let way = &mut ways[index];
            // An answer that is overdue may have been lost: what might arrive is not given up for that.
            let late = way.delay() - way.overdue + margin(waiting, age, deadline) > left
                && (way.exact || waits_long(waiting, age, deadline));
            if late && (waiting.repeat || !self.keeps) {
                given_up.push(number);
            } else if way.full || way.paced && is_paced(waiting, age, deadline) {
                way.waiting += links[way.link].airtime(waiting.len);
            } else {
                let &Waiting { repeat, urgent, len, since, .. } = waiting;
                let last = repeat && way.delay() + way.round + FEEDBACK > left;
                found = Some(Dispatch { number, link: way.link, repeat, urgent, last, left, len, since });
                break;
            }
        }
        for number in given_up {
            let waiting = self.queues[queue].remove(&number);
            waiting.iter().for_each(|waiting| self.discarded.count(waiting));
        }
        if let Some(dispatch) = found {
            self.queues[queue].remove(&dispatch.number);
            self.served[queue] += dispatch.len as f64;
        }
        found
    }

    /// What can no longer arrive in time is not waited with, whether there is a way for it or not.
    fn discard_older(&mut self, now: Instant, deadline: Duration) {
        for queue in &mut self.queues {
            while let Some(oldest) = queue.first_entry()
                && now.saturating_duration_since(oldest.get().created) > deadline
                && (oldest.get().repeat || !self.keeps)
            {
                self.discarded.count(&oldest.remove());
            }
        }
        if self.queues[UNRELIABLE].is_empty() || self.sweep.is_some_and(|sweep| now < sweep) {
            return;
        }
        self.sweep = Some(now + SWEEP);
        let most = self.params.storm.unreliable_max_age;
        self.queues[UNRELIABLE].retain(|_, waiting| {
            let keep = now.saturating_duration_since(waiting.since) <= most || self.keeps && !waiting.repeat;
            if !keep {
                self.discarded.count(waiting);
            }
            keep
        });
    }

    fn find_ways(&self, ways: &mut Vec<Way>, now: Instant, links: &[Link], latency: Duration) {
        let (ahead, queue) = self.ahead(latency);
        let usable = awake(links);
        // A source that waits does so for missing answers too, wherever it could go.
        let alone = !self.keeps && links.iter().filter(|link| link.available()).count() == 1;
        let hint = hints(links, &usable);
        let way = |index: usize| {
            let link = &links[index];
            let delay = link.delay(now);
            Way {
                link: index,
                delay,
                overdue: link.overdue(now),
                again: link.arrival(now, Duration::ZERO) - delay,
                reserve: reserve(link.cost, latency),
                one_way: link.one_way(),
                round: link.round(),
                load: link.load(now) * hint(link.weight),
                full: link.is_full(now, ahead, queue, alone),
                paced: link.paced_until(now).is_some(),
                exact: link.is_fed_back() || self.params.discard_deadline.is_some(),
                shares: link.is_fed_back() && link.cost == Cost::Free && link.state != LinkState::Degraded,
                group: link.group,
                free: link.cost == Cost::Free,
                idle: if link.cost == Cost::Free { link.idle(now) } else { Duration::ZERO },
                waiting: Duration::ZERO,
            }
        };
        ways.extend(usable.into_iter().map(way));
    }
}

/// Whether a packet waits until its link may be given more at once.
fn is_paced(waiting: &Waiting, age: Duration, deadline: Duration) -> bool {
    !waiting.urgent && age < (deadline / PACED_SHARE).min(MOST_PACED)
}

/// Time that a packet must have left beside what it takes to arrive. One that has waited for long is one of many: what
/// comes just too late by a bit more of a queue than was seen had better not been sent, for those that follow. What
/// matters most is given up last.
fn margin(waiting: &Waiting, age: Duration, deadline: Duration) -> Duration {
    if waiting.repeat || age < deadline / 2 {
        return Duration::ZERO;
    }
    let margin = (deadline / MARGIN_SHARE).min(MOST_MARGIN);
    if waiting.reliable { margin / 2 } else { margin }
}

/// Whether a packet was not sent for so long that there must be more to send than the links carry, however little is told of them.
fn waits_long(waiting: &Waiting, age: Duration, deadline: Duration) -> bool {
    !waiting.repeat && age >= LONG_WAIT.max(deadline / 2)
}

/// How much later a link of this cost is taken to deliver than it does.
fn reserve(cost: Cost, latency: Duration) -> Duration {
    match cost {
        Cost::Free => Duration::ZERO,
        Cost::Backup => latency / BACKUP_SHARE,
        Cost::Metered => latency / METERED_SHARE,
    }
}

/// What the load of a link of some weight counts: less for one of more weight than the mean of those that have one.
fn hints(links: &[Link], usable: &[usize]) -> impl Fn(u32) -> f64 + use<> {
    let given = usable.iter().map(|&link| links[link].weight).filter(|&weight| weight > 0);
    let (sum, count) = given.fold((0.0, 0.0), |(sum, count), weight| (sum + f64::from(weight), count + 1.0));
    move |weight| if weight == 0 { 1.0 } else { sum / count / f64::from(weight) }
}

/// A link as it is now.
#[derive(Debug)]
struct Way {
    link: usize,
    /// Time until a packet arrives by it, if it does.
    delay: Duration,
    /// What of that is because the link's answer is overdue.
    overdue: Duration,
    /// What is added to that for its losses.
    again: Duration,
    /// And for what it costs.
    reserve: Duration,
    one_way: Duration,
    round: Duration,
    load: f64,
    full: bool,
    /// Whether it was just given as much as it should be at a time.
    paced: bool,
    /// Whether its delay is known well enough to give up packets by it.
    exact: bool,
    /// Whether it carries its share of what leaves time to repeat.
    shares: bool,
    /// The links with which it shares a bottleneck.
    group: Option<usize>,
    free: bool,
    idle: Duration,
    /// What already waits for it.
    waiting: Duration,
}

impl Way {
    fn delay(&self) -> Duration {
        self.delay + self.waiting
    }

    /// Time until a packet arrives by it, its losses counted.
    fn arrival(&self) -> Duration {
        self.delay() + self.again
    }
}

/// The way by which a packet that has `left` arrives first, what costs something counted as later; but what had to wait
/// for the cheaper one until it could not be repeated any more is not made to, nor what is `urgent`.
fn best(ways: &[Way], urgent: bool, left: Duration) -> Option<usize> {
    let cheapest = (0..ways.len()).min_by_key(|&index| ways[index].arrival() + ways[index].reserve)?;
    let fastest = (0..ways.len()).min_by_key(|&index| ways[index].arrival())?;
    let way = &ways[cheapest];
    let too_late = way.full && way.delay() + way.round + ways[fastest].delay() > left;
    Some(if too_late || urgent { fastest } else { cheapest })
}

/// The way for a packet that has `left` of the `deadline` to arrive. What was lost and has less than half of it is lost
/// again before it is known how a link does that has just become worse: costs do not count then.
fn choose(ways: &[Way], waiting: &Waiting, left: Duration, deadline: Duration) -> Option<usize> {
    let best = best(ways, waiting.repeat && left < deadline / 2, left)?;
    if waiting.repeat {
        // What was lost in one bottleneck had better go by another.
        let elsewhere = |&index: &usize| {
            let way = &ways[index];
            way.group != waiting.lost_by && way.free && !way.full && way.delay() <= left
        };
        let lost_there = waiting.lost_by.is_some() && ways[best].group == waiting.lost_by;
        let other = (0..ways.len()).filter(|_| lost_there).filter(elsewhere);
        let other = other.min_by_key(|&index| ways[index].arrival() + ways[index].reserve);
        return other.or(Some(best));
    }
    // Time for the packet, for finding it lost, and for its copy by the fastest way.
    let repeatable = |way: &&Way| way.delay() + way.round + ways[best].delay() <= left;
    let sharing = (0..ways.len()).filter(|&index| {
        let way = &ways[index];
        way.shares && !way.full && repeatable(&way)
    });
    let least = sharing.min_by(|&a, &b| ways[a].load.total_cmp(&ways[b].load));
    let resting = |&index: &usize| {
        let way = &ways[index];
        !way.exact && way.idle >= KEEP_WARM && way.delay() <= ways[best].delay() + MOST_SKEW
    };
    least.or_else(|| (0..ways.len()).find(resting)).or(Some(best))
}

/// How long a queue may stand on a link, at a latency: a tenth of it, so that what happens on one link leaves time
/// to go by another; but more than jitter, and no more than keeps a moving link busy.
pub(super) fn queue_of(latency: Duration) -> Duration {
    (latency / 10).clamp(Duration::from_millis(15), Duration::from_millis(100))
}

/// The links that packets may go to, less one that rests if there are others.
fn awake(links: &[Link]) -> Places {
    let usable = candidates(links);
    if usable.iter().any(|&link| !links[link].resting) {
        return usable.retain(|link| !links[link].resting);
    }
    usable
}

/// The links that packets may go to: those that are trusted; or else the best of the others. When all are dead of
/// which it would be seen that they are not, packets had better wait.
pub(super) fn candidates(links: &[Link]) -> Places {
    let having = |wanted: &dyn Fn(&Link) -> bool| -> Places {
        links.iter().enumerate().filter(|(_, link)| wanted(link)).map(|(index, _)| index).collect()
    };
    let trusted = having(&Link::trusted);
    if !trusted.is_empty() {
        return trusted;
    }
    let returning = having(&|link| link.available() && link.state == LinkState::Cooldown);
    if !returning.is_empty() {
        return returning;
    }
    having(&|link| link.available() && !(link.is_fed_back() && link.state == LinkState::Dead))
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "any instant will do")]
mod tests {
    use super::*;
    use crate::bond::BondLink;

    const MS: Duration = Duration::from_millis(1);

    /// Live links of these round trips, whose peer does not tell what arrives.
    fn links(now: Instant, round_trips_ms: [u32; 3]) -> Vec<Link> {
        let link = |ms| {
            let mut link = Link::new(now, &BondLink::default());
            link.state = LinkState::Live;
            link.proof(now, now - MS * ms, MS * ms);
            link
        };
        round_trips_ms.map(link).into()
    }

    fn fresh(now: Instant) -> Waiting {
        let (created, since, len) = (now, now, 1316);
        Waiting { created, len, repeat: false, urgent: false, since, reliable: false, lost_by: None }
    }

    /// By the fastest way, until what is on its way there takes longer than the next one; one that would come too late is not sent.
    #[test]
    fn a_fresh_packet_goes_where_it_arrives_first() {
        let now = Instant::now();
        // One way takes 25, 30 and 100 ms, and a packet's own time is 1.4 ms as long as nothing is known.
        let mut links = links(now, [50, 60, 200]);
        let mut scheduler = Scheduler::default();
        let mut went = Vec::new();
        for number in 0..40 {
            scheduler.push(number, fresh(now));
            let Some(dispatch) = scheduler.next(now, &links, MS * 500) else { break };
            links[dispatch.link].sent(now, number, false, dispatch.len);
            went.push(dispatch.link);
        }
        assert_eq!(went[..8], [0, 0, 0, 0, 1, 0, 1, 0]);
        assert!(
            went.len() < 40 && !went.contains(&2),
            "both full, which is no reason for the slow one: {went:?}"
        );
        let params = SchedulerParams { discard_deadline: Some(MS * 20), ..SchedulerParams::default() };
        let mut hurried = Scheduler::new(params, true);
        hurried.push(9, fresh(now));
        assert_eq!(hurried.next(now, &links, MS * 500), None);
        assert_eq!((hurried.len(), hurried.discarded.fresh), (0, 1), "no way takes 20 ms");
    }

    /// What was lost in one bottleneck is repeated by another, as long as it comes in time by that.
    #[test]
    fn a_repeat_goes_by_another_bottleneck() {
        let now = Instant::now();
        let mut links = links(now, [50, 60, 120]);
        let mut repeated = |group: Option<usize>, lost_by, latency: u64| {
            (links[0].group, links[1].group) = (group, group);
            let waiting = Waiting { repeat: true, lost_by, ..fresh(now) };
            let mut scheduler = Scheduler::default();
            scheduler.push(7, waiting);
            scheduler.next(now, &links, Duration::from_millis(latency)).map(|dispatch| dispatch.link)
        };
        assert_eq!(repeated(None, None, 500), Some(0));
        assert_eq!(repeated(Some(0), Some(0), 500), Some(2));
        assert_eq!(repeated(Some(0), None, 500), Some(0), "lost elsewhere");
        assert_eq!(repeated(Some(0), Some(0), 30), Some(0), "too late by the other");
    }
}
