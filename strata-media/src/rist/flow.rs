//! One stream at the receiver: packets put into order, asked for again, and held until their playout time.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use bytes::Bytes;

use super::clock::Clock;
use super::missing::{Missing, Pace, Request};
use super::rtcp::ReportBlock;
use super::rtp::{CLOCK_HZ, Header, PAYLOAD_TYPE_TS, RETRANSMISSION_BIT};
use super::sequence::{ORIGIN, Sequence};
use super::skew::Skew;
use crate::fec::{MAX_SOURCES, Repaired};

/// Numbers from the next one to be put out to the highest one received: what 16 bits tell apart, and with 32 bits 1 s of
/// 1 Gbit/s. When more than half of them came and more come, the first are put out before their time.
const MAX_WINDOW: u64 = 1 << 15;
const MAX_LONG_WINDOW: u64 = 1 << 17;
/// A packet further away from the highest one belongs to another source (RFC 3550, A.1, has 3000; 10 s without any
/// link at 10 Mbit/s are 9500); where 16 bits are not all, it may be that much.
const MAX_JUMP: u64 = 20_000;
const MAX_LONG_JUMP: u64 = 1 << 17;
/// A source that has sent little has not shown that anybody is there, and a gap costs memory: so much is believed of the
/// first packet, and so much more with each (16 times 40 bytes are what a packet of its own may cost).
const YOUNG_JUMP: u64 = 1024;
const GROWTH: u64 = 16;
/// A gap of more than this, and of more than ever came, is believed when a second packet lies behind it (RFC 3550, A.1).
/// Of a source that has not sent so many, no more is believed than 16 bits can tell: a gap costs memory.
const MAX_DROPOUT: u64 = 3000;
/// Two packets so far from each other agree on a gap.
const MAX_MISORDER: u64 = 100;
/// So many numbers before the first packet are taken, until something was put out.
const MAX_EARLY: u64 = 1024;
/// A packet may be that much later than its latency, or earlier than the fastest so far, before it is taken for
/// one of another source: the first that come may have waited for a link as long as their sender keeps them.
const MAX_AWAY: Duration = Duration::from_secs(5);
/// The part of the latency (one n-th) that packets may be out of order at most.
const MOST_REORDER: u32 = 4;
/// Packets put out last that are remembered once there are repair packets: two blocks of these.
const MAX_PLAYED: usize = 2 * MAX_SOURCES;
/// Numbers given up last, to tell late packets from duplicates.
const MAX_GIVEN_UP: usize = 1024;

/// A packet of the stream, in order.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Packet {
    /// The RTP payload.
    pub payload: Bytes,
    /// Sequence number, extended over wraps.
    pub sequence: u64,
    /// RTP time stamp.
    pub timestamp: u32,
    /// Packets lost for good right before this one.
    pub lost_before: u64,
}

/// What became of a packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Outcome {
    Stored,
    Recovered,
    Duplicate,
    Late,
    Overflow,
}

#[derive(Debug)]
pub(super) struct Flow {
    ssrc: u32,
    /// Whether sequence numbers have 32 bits.
    long: bool,
    latency: Duration,
    reorder: Duration,
    skew: Skew,
    clock: Clock,
    /// Number of the first slot: the next packet to be put out.
    next: u64,
    slots: VecDeque<Option<Held>>,
    /// Slots that hold a packet.
    held: u64,
    /// Index of the first slot that holds a packet.
    head: usize,
    missing: Missing,
    given_up: VecDeque<u64>,
    /// Packets put out last, if repair packets may ask for them.
    played: Option<VecDeque<(u64, Held)>>,
    /// First number, and how many packets came, duplicates not counted.
    first: u64,
    came: u64,
    reported: (u64, u64),
    lost: u64,
    /// Packets below this number are put out at once: there is no room for them.
    hurry: u64,
    /// Packets lost between the stream as it was before a jump and the first one of this, until that is put out.
    skipped: u64,
    last_arrival: Instant,
    started: bool,
    /// What has a smaller number was put out by the stream as it was before this one.
    floor: u64,
    only_repeats: bool,
    /// The highest number of a packet that was not repeated: its time stamp is the clock's newest.
    newest: u64,
    /// Number of a packet behind a gap that is not believed yet.
    beyond: Option<u64>,
}

#[derive(Debug, Clone)]
struct Held {
    payload: Bytes,
    /// Extended.
    timestamp: i64,
}

impl Flow {
    /// A stream that starts with the packet `header`, which is to be [inserted](Self::insert) next.
    pub(super) fn new(
        now: Instant,
        header: &Header,
        sequence: Sequence,
        latency: Duration,
        reorder: Duration,
    ) -> Self {
        let first = sequence.first();
        Self {
            ssrc: header.stream(),
            long: sequence.upper.is_some(),
            latency,
            reorder,
            skew: Skew::new(now),
            clock: Clock::new(now, header.timestamp),
            next: first,
            slots: VecDeque::new(),
            held: 0,
            head: 0,
            missing: Missing::default(),
            given_up: VecDeque::new(),
            played: None,
            first,
            came: 0,
            reported: (0, 0),
            lost: 0,
            hurry: 0,
            skipped: 0,
            last_arrival: now,
            started: false,
            floor: 0,
            only_repeats: true,
            newest: first,
            beyond: None,
        }
    }

    /// How long packets may be out of order, from now on: `least`, or as long as the links are apart, but not so
    /// long that no time is left to ask.
    pub(super) fn set_reorder(&mut self, now: Instant, least: Duration) {
        self.reorder = self.skew.wait(now).min(self.latency / MOST_REORDER).max(least);
    }

    pub(super) fn ssrc(&self) -> u32 {
        self.ssrc
    }

    /// Whether sequence numbers have 32 bits.
    pub(super) fn is_long(&self) -> bool {
        self.long
    }

    /// Packets held.
    pub(super) fn held(&self) -> u64 {
        self.held
    }

    /// Packets that came, duplicates not counted.
    pub(super) fn came(&self) -> u64 {
        self.came
    }

    /// Time since the last packet.
    pub(super) fn silence(&self, now: Instant) -> Duration {
        now.saturating_duration_since(self.last_arrival)
    }

    /// Number after the highest one received.
    fn end(&self) -> u64 {
        self.next + self.slots.len() as u64
    }

    /// Whether a packet can be of this stream: same source, and a sequence number and a time stamp that fit.
    pub(super) fn fits(&self, now: Instant, header: &Header, sequence: Sequence) -> bool {
        let number = sequence.near(self.end());
        header.stream() == self.ssrc
            && number.abs_diff(self.end()) <= self.longest_jump()
            && self.is_timely(now, header.timestamp)
    }

    /// The same of a packet that was made after the first one.
    pub(super) fn goes_on(&self, now: Instant, header: &Header, sequence: Sequence) -> bool {
        let (_, first) = self.clock.first();
        header.timestamp.wrapping_sub(first) as i32 >= 0 && self.fits(now, header, sequence)
    }

    /// Whether a packet that does not [fit](Self::fits) is an old one of this stream: asked for too late, by a slower link, or from
    /// before the first one.
    pub(super) fn is_past(&self, now: Instant, header: &Header, sequence: Sequence) -> bool {
        header.stream() == self.ssrc
            && sequence.near(self.end()) < self.end()
            && self.clock.ticks(header.timestamp).1 < 0
            && self.is_timely(now, header.timestamp)
    }

    /// Whether nothing is known of it but packets that whoever received it before had asked for, and nothing was put out.
    pub(super) fn is_left_over(&self) -> bool {
        self.only_repeats && !self.started
    }

    /// Whether its time stamp can be one of a packet of this stream.
    pub(super) fn is_timely(&self, at: Instant, timestamp: u32) -> bool {
        let delay = self.clock.delay(at, timestamp);
        (-(MAX_AWAY.as_nanos() as i64)..=(self.latency + MAX_AWAY).as_nanos() as i64).contains(&delay)
    }

    /// Takes the place of `before`, which was put out to its end: what lies between them is lost, if they are one stream, and what both
    /// have is not put out again.
    pub(super) fn follow(&mut self, before: &Self) {
        // What was put out while it waited for its turn was refused, and so was lost with the rest.
        (self.lost, self.skipped) = (0, 0);
        if let Some(distance) = before.distance(self) {
            self.floor = self.first.saturating_add_signed(-distance);
            self.skipped = self.next.saturating_sub(self.floor);
            self.skip_to(self.floor);
        }
    }

    /// Packets from the end of this stream to the first one of `after`, a stream with the same source and clock, less than none where they
    /// overlap; `None` when it is another one. Numbers tell only the rest of a division; how many there were by time tells the whole.
    /// (Where 16 bits leave a rest that [fits](Self::fits), nothing is seen of the whole: a source that paused looks alike.)
    fn distance(&self, after: &Self) -> Option<i64> {
        let (at, timestamp) = after.clock.first();
        // What was repeated and came first is late, and what follows it early.
        let apart = self.clock.delay(at, timestamp).unsigned_abs();
        let is_timely = u128::from(apart) <= (self.latency + MAX_AWAY).as_nanos();
        if after.ssrc != self.ssrc || after.long != self.long || !is_timely {
            return None;
        }
        let numbers: i64 = if self.long { 1 << 32 } else { 1 << 16 };
        let rest = after.first.wrapping_sub(self.end()) as i64 & (numbers - 1);
        let packets = self.packets_until(timestamp).unwrap_or(rest as f64);
        let wraps = ((packets - rest as f64) / numbers as f64).round() as i64;
        (wraps >= -1).then_some(rest + wraps * numbers)
    }

    /// Packets from the end of this stream to this time of its source, by their rate; `None` when a few packets do not tell it.
    fn packets_until(&self, timestamp: u32) -> Option<f64> {
        let (ticks, between) = self.clock.ticks(timestamp);
        if ticks < CLOCK_HZ as i64 / 10 {
            // What is older begins before the end.
            return (between < 0).then_some(0.0);
        }
        let since = self.newest.saturating_sub(self.first) as f64 * between as f64 / ticks as f64;
        Some(since - (self.end() - self.newest) as f64)
    }

    /// Puts nothing out that has a smaller number.
    fn skip_to(&mut self, number: u64) {
        let count = number.saturating_sub(self.next);
        let held = self.slots.drain(..self.slots.len().min(count as usize)).flatten().count();
        self.held -= held as u64;
        self.next += count;
        self.head = self.slots.iter().position(Option::is_some).unwrap_or(0);
        self.missing.forget_below(self.next);
    }

    fn longest_jump(&self) -> u64 {
        if self.long && self.came >= MAX_DROPOUT {
            return MAX_LONG_JUMP;
        }
        MAX_JUMP.min(YOUNG_JUMP + GROWTH * self.came)
    }

    /// Whether so much may be missing before a packet: more than ever came only if another one says so, too.
    fn believes(&mut self, number: u64) -> bool {
        if number <= self.end() + self.came.max(MAX_DROPOUT) {
            return true;
        }
        let agree = |beyond: u64| beyond != number && beyond.abs_diff(number) <= MAX_MISORDER;
        let believed = self.beyond.is_some_and(agree);
        self.beyond = (!believed).then_some(number);
        believed
    }

    /// Takes a packet that [fits](Self::fits).
    pub(super) fn insert(
        &mut self,
        now: Instant,
        header: &Header,
        sequence: Sequence,
        payload: impl FnOnce() -> Bytes,
    ) -> Outcome {
        let number = sequence.near(self.end());
        let timestamp = self.clock.extend(header.timestamp);
        if number < self.next && !self.make_room_before(now, number) {
            return match self.given_up.binary_search(&number) {
                Ok(index) => {
                    self.given_up.remove(index);
                    Outcome::Late
                }
                Err(_) => Outcome::Duplicate,
            };
        }
        let index = (number - self.next) as usize;
        if number >= self.end() {
            let window = if self.long { MAX_LONG_WINDOW } else { MAX_WINDOW };
            // A gap makes no room: too many came to be told apart, or kept, as long as the latency.
            let crowded = self.held >= window / 2;
            if number - self.next >= window && !crowded || !self.believes(number) {
                return Outcome::Overflow;
            }
            self.hurry = self.hurry.max((number + 1).saturating_sub(window));
            self.missing.push_back(self.end()..number, now, self.reorder);
            self.slots.resize_with(index + 1, || None);
        } else if self.slots[index].is_some() {
            return Outcome::Duplicate;
        } else if let Some(since) = self.missing.remove(number)
            && !header.is_retransmission()
        {
            self.skew.observe(now, now.saturating_duration_since(since));
        }
        if !header.is_retransmission() {
            self.only_repeats = false;
            self.newest = self.newest.max(number);
            self.clock.observe(now, timestamp);
        }
        self.slots[index] = Some(Held { payload: payload(), timestamp });
        self.head = if self.held == 0 { index } else { self.head.min(index) };
        self.held += 1;
        self.came += 1;
        self.last_arrival = now;
        if header.is_retransmission() { Outcome::Recovered } else { Outcome::Stored }
    }

    /// At the start, packets may come that were sent before the first one: by a slower link.
    fn make_room_before(&mut self, now: Instant, number: u64) -> bool {
        if self.started || number < self.floor || self.next - number > MAX_EARLY {
            return false;
        }
        let count = (self.next - number) as usize;
        self.missing.push_front(number + 1..self.next, now, self.reorder);
        for _ in 0..count {
            self.slots.push_front(None);
        }
        self.head += count;
        self.skipped = self.skipped.saturating_sub(count as u64);
        (self.next, self.first) = (number, number);
        true
    }

    /// The number nearest to what was received that has these lower bits; of 32, those that the stream numbers packets with.
    pub(super) fn number(&self, lower: u32) -> u64 {
        Sequence { upper: self.long.then_some((lower >> 16) as u16), lower: lower as u16 }.near(self.end())
    }

    /// The next number to be put out, and the one after the highest received.
    pub(super) fn window(&self) -> (u64, u64) {
        (self.next, self.end())
    }

    /// There are repair packets: what is put out is remembered for a while.
    pub(super) fn keep_played(&mut self) {
        self.played.get_or_insert_default();
    }

    /// Payload and time stamp of a packet that came, put out or not yet.
    pub(super) fn find(&self, number: u64) -> Option<(&Bytes, u32)> {
        let held = match number.checked_sub(self.next) {
            Some(index) => self.slots.get(usize::try_from(index).ok()?)?.as_ref()?,
            None => {
                let played = self.played.as_ref()?;
                let index = played.binary_search_by_key(&number, |&(number, _)| number).ok()?;
                &played[index].1
            }
        };
        Some((&held.payload, held.timestamp as u32))
    }

    /// Takes a packet that was given back; `None` when it cannot be of this stream.
    pub(super) fn insert_repaired(&mut self, now: Instant, repaired: Repaired) -> Option<Outcome> {
        let Repaired { number, timestamp, payload } = repaired;
        let sequence = Sequence { lower: number as u16, upper: self.long.then_some((number >> 16) as u16) };
        let header = Header {
            marker: false,
            payload_type: PAYLOAD_TYPE_TS,
            sequence: sequence.lower,
            timestamp,
            ssrc: self.ssrc | RETRANSMISSION_BIT,
        };
        // Nobody repairs what is much newer than what came: it would hold up all that follows it until its time.
        let is_made = self.clock.ticks(timestamp).1 <= CLOCK_HZ as i64;
        let fits = is_made && self.fits(now, &header, sequence);
        fits.then(|| self.insert(now, &header, sequence, || payload))
    }

    /// When the next packet is to be put out.
    pub(super) fn due(&self) -> Option<Instant> {
        let held = self.slots.get(self.head)?.as_ref()?;
        if self.next + (self.head as u64) < self.hurry {
            return Some(self.last_arrival);
        }
        Some(self.clock.due(held.timestamp, self.latency))
    }

    /// The next packet, if its time has come. What is missing before it is given up.
    pub(super) fn pop(&mut self, now: Instant) -> Option<Packet> {
        if self.due().is_none_or(|due| due > now) {
            return None;
        }
        let (missing, skipped) = (self.head as u64, std::mem::take(&mut self.skipped));
        if missing > 0 {
            self.give_up(missing);
        }
        self.lost += skipped;
        let held = self.slots.pop_front().flatten()?;
        let sequence = self.next;
        self.next += 1;
        self.held -= 1;
        if self.held > 0 {
            self.head = self.slots.iter().position(Option::is_some).unwrap_or(0);
        }
        if let Some(played) = &mut self.played {
            if played.len() == MAX_PLAYED {
                played.pop_front();
            }
            played.push_back((sequence, held.clone()));
        }
        self.started = true;
        self.clock.settle(now);
        Some(Packet {
            payload: held.payload,
            sequence,
            timestamp: held.timestamp as u32,
            lost_before: missing + skipped,
        })
    }

    fn give_up(&mut self, count: u64) {
        for number in self.next..self.next + count {
            self.slots.pop_front();
            if self.given_up.len() == MAX_GIVEN_UP {
                self.given_up.pop_front();
            }
            self.given_up.push_back(number);
        }
        self.next += count;
        self.lost += count;
        self.head = 0;
        self.missing.forget_below(self.next);
    }

    /// Packets given up.
    pub(super) fn lost(&self) -> u64 {
        self.lost
    }

    /// When to ask for packets next.
    pub(super) fn request_due(&self) -> Option<Instant> {
        self.missing.due()
    }

    /// Puts what is to be asked for now into `out`; returns how many packets that is, and whether
    /// one of them was asked for several times.
    pub(super) fn requests(
        &mut self,
        now: Instant,
        pace: Pace,
        room: usize,
        out: &mut Vec<Request>,
    ) -> (usize, bool) {
        self.missing.collect(now, pace, room, out)
    }

    /// What the receiver report says (RFC 3550, A.3).
    pub(super) fn report(&mut self) -> ReportBlock {
        let expected = self.end() - self.first;
        let lost = expected.saturating_sub(self.came);
        let (expected_before, came_before) = self.reported;
        self.reported = (expected, self.came);
        let interval = expected.saturating_sub(expected_before);
        let lost_now = interval.saturating_sub(self.came - came_before);
        ReportBlock {
            ssrc: self.ssrc,
            fraction_lost: (lost_now * 256).checked_div(interval).unwrap_or(0).min(255) as u8,
            cumulative_lost: lost.min(0x7f_ffff) as i32,
            highest: (self.end() - 1).wrapping_sub(ORIGIN) as u32,
            jitter: self.clock.jitter(),
            last_report: 0,
            delay: 0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a stranger's datagrams cost grows with their number, and so does what a stream may miss.
    #[test]
    fn a_young_stream_is_believed_little() {
        #[expect(clippy::disallowed_methods, reason = "any instant will do")]
        let now = Instant::now();
        let header = |sequence| Header { marker: false, payload_type: 33, sequence, timestamp: 1, ssrc: 2 };
        let number = |lower| Sequence { lower, upper: None };
        let second = Duration::from_secs(1);
        let mut flow = Flow::new(now, &header(0), number(0), second, second);
        flow.insert(now, &header(0), number(0), Bytes::new);
        assert!(flow.fits(now, &header(1000), number(1000)));
        assert!(!flow.fits(now, &header(1100), number(1100)));
        for sequence in 1..1250 {
            flow.insert(now, &header(sequence), number(sequence), Bytes::new);
        }
        assert!(flow.fits(now, &header(21_000), number(21_000)));
        assert!(!flow.fits(now, &header(21_300), number(21_300)));
    }

    /// The first packets waited for a link as long as their sender keeps them, and what follows does not.
    #[test]
    fn what_comes_earlier_than_a_late_start_goes_on_with_it() {
        #[expect(clippy::disallowed_methods, reason = "any instant will do")]
        let now = Instant::now();
        let header = |sequence, ms: u32| Header {
            marker: false,
            payload_type: 33,
            sequence,
            timestamp: ms * 90,
            ssrc: 2,
        };
        let number = |lower| Sequence { lower, upper: None };
        let ms = Duration::from_millis;
        let mut flow = Flow::new(now, &header(0, 0), number(0), ms(400), ms(10));
        flow.insert(now, &header(0, 0), number(0), Bytes::new);
        assert!(flow.fits(now + ms(10), &header(1, 4900), number(1)));
        assert!(!flow.fits(now + ms(10), &header(1, 5100), number(1)));
    }
}
