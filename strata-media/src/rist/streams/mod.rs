//! Many streams at one set of socket pairs (TR-06-2, appendix C): a [`Receiver`] per stream, told apart by the upper 31
//! bits of their SSRC. A stream may come from several addresses, as bonded ones do, and an address may send several.
//!
//! ```text
//!                      ┌─ Receiver, SSRC 2 ─┐
//!  RTP, RTCP ─ SSRC? ──┼─ Receiver, SSRC 6 ─┼──► opened, packets in order, closed
//!                      └─ …, bounded ───────┘
//! ```
//!
//! There are so many places. When all are taken, a stray makes room, or else a stream of the host that has most, for one of
//! a host that has less: SSRCs cost nothing.

mod hosts;

use std::cmp::Reverse;
use std::collections::VecDeque;
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use bytes::Bytes;

use super::flow::Packet;
use super::receiver::{self, Input, Receiver, ReceiverConfig};
use super::repairs;
use super::rtcp::{self, Compound, Writer};
use super::rtp::{self, Header};
use super::seed::Seed;
use super::stats::ReceiverStats;
use hosts::Hosts;

/// Packets a stream must have sent before it is told of: noise and strays are seldom two of one source.
const PROBATION: u64 = 2;
/// One that has not makes room for another after so long.
const DOUBT: Duration = Duration::from_secs(1);
/// A stream that is silent for so long, and put out to its end, is over.
const SILENCE: Duration = Duration::from_secs(10);
/// The same after it said goodbye.
const FAREWELL: Duration = Duration::from_millis(500);
/// How often silence is looked for.
const LOOK: Duration = Duration::from_millis(500);

/// What streams want.
#[derive(Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Output {
    /// A stream has come.
    Opened {
        /// Its number, from now on.
        stream: u64,
        /// Its SSRC, with the retransmission bit 0.
        ssrc: u32,
        /// Where its first packet came from.
        from: SocketAddr,
    },
    /// The next packet of a stream, at its time.
    Packet {
        /// The stream.
        stream: u64,
        /// The packet.
        packet: Packet,
    },
    /// A stream is over; its number does not come again.
    Closed {
        /// The stream.
        stream: u64,
    },
    /// Send this datagram from an RTCP port.
    Transmit {
        /// The socket pair.
        link: usize,
        /// Where to.
        to: SocketAddr,
        /// The datagram.
        data: Bytes,
    },
    /// Nothing more until then, or until the next input.
    Timeout(Instant),
}

/// All streams, bounded.
#[derive(Debug)]
pub struct Streams {
    config: ReceiverConfig,
    most: usize,
    /// Of what is said to who has no stream.
    ssrc: u32,
    seed: Seed,
    streams: Vec<Stream>,
    hosts: Hosts,
    opened: u64,
    next_look: Instant,
    rejected: u64,
    out: VecDeque<Output>,
}

#[derive(Debug)]
struct Stream {
    number: u64,
    ssrc: u32,
    /// Where its first packet came from.
    from: SocketAddr,
    receiver: Receiver,
    /// Packets, not counting one that comes again right after itself.
    packets: u64,
    /// Sequence number of the last one.
    last: Option<u16>,
    heard: Instant,
    leaving: bool,
    due: Instant,
}

impl Stream {
    fn is_known(&self) -> bool {
        self.packets >= PROBATION
    }
}

impl Streams {
    /// No streams yet; `most` at a time, each received as `config` says. Its seed is to be random outside of tests.
    #[must_use]
    pub fn new(now: Instant, config: ReceiverConfig, most: usize) -> Self {
        let mut seed = config.seed.clone();
        Self {
            ssrc: rtp::stream(seed.child().next() as u32),
            seed,
            config,
            most,
            streams: Vec::new(),
            hosts: Hosts::default(),
            opened: 0,
            next_look: now + LOOK,
            rejected: 0,
            out: VecDeque::new(),
        }
    }

    /// What was counted of a stream; `None` when it is over.
    #[must_use]
    pub fn stats(&self, now: Instant, stream: u64) -> Option<ReceiverStats> {
        Some(self.streams.iter().find(|other| other.number == stream)?.receiver.stats(now))
    }

    /// Datagrams that were not understood, of no stream, or of one there was no room for.
    #[must_use]
    pub fn rejected(&self) -> u64 {
        self.rejected
    }

    /// Takes what happened. Then [`Streams::poll_output`] until it gives a timeout.
    pub fn handle_input(&mut self, now: Instant, input: Input<'_>) {
        let index = match &input {
            Input::Rtp { from, data, .. } => self.rtp(now, *from, data),
            Input::Rtcp { link, from, data } => self.rtcp(*link, from.ip(), data),
            Input::KeyframeWanted => {
                let numbers: Vec<_> = self.streams.iter().map(|stream| stream.number).collect();
                return numbers.into_iter().for_each(|stream| self.want_keyframe(now, stream));
            }
            Input::Timeout => return self.timeout(now),
        };
        match index {
            Some(index) => {
                self.streams[index].receiver.handle_input(now, input);
                self.drain(index);
            }
            None => {
                self.rejected += 1;
                if let Input::Rtcp { link, from, data } = input {
                    self.greet(now, link, from, data);
                }
            }
        }
    }

    /// Somebody wants a keyframe of this stream; see [`Input::KeyframeWanted`], which is for all of them.
    pub fn want_keyframe(&mut self, now: Instant, stream: u64) {
        if let Some(index) = self.streams.iter().position(|other| other.number == stream) {
            self.streams[index].receiver.handle_input(now, Input::KeyframeWanted);
            self.drain(index);
        }
    }

    /// What is to be done next.
    pub fn poll_output(&mut self) -> Output {
        self.out.pop_front().unwrap_or_else(|| {
            let due = self.streams.iter().map(|stream| stream.due);
            Output::Timeout(due.fold(self.next_look, Instant::min))
        })
    }

    /// Answers a report of who has sent nothing yet: librist's senders hold a stream back until they hear RTCP. It is no longer than
    /// what came, so that who forges an address gains nothing.
    fn greet(&mut self, now: Instant, link: usize, to: SocketAddr, data: &[u8]) {
        let Ok(mut packets) = Compound::parse(data) else { return };
        let reports = |packet| {
            matches!(packet, Ok(rtcp::Packet::SenderReport { .. } | rtcp::Packet::ReceiverReport { .. }))
        };
        let has_room = self.streams.len() < self.most || self.displaced(now, to.ip()).is_some();
        if has_room && packets.any(reports) {
            let mut writer = Writer::new();
            writer.receiver_report(self.ssrc, None);
            writer.source_description(self.ssrc, &self.config.cname);
            let answer = writer.finish();
            if answer.len() <= data.len() {
                self.out.push_back(Output::Transmit { link, to, data: answer });
            }
        }
    }

    /// The stream an RTP packet is of, taken up if there is room.
    fn rtp(&mut self, now: Instant, from: SocketAddr, data: &Bytes) -> Option<usize> {
        let (header, payload) = Header::decode(data).ok()?;
        if let Some(stream) = repairs::repaired(&header)
            && let Some(index) = self.streams.iter().position(|other| other.ssrc == stream)
        {
            return Some(index);
        }
        // A repair packet alone makes no stream.
        if repairs::repaired(&header).is_some() && repairs::is_repair(&data.slice(payload)) {
            return None;
        }
        let ssrc = header.stream();
        let known = self.streams.iter().position(|stream| stream.ssrc == ssrc);
        let index = known.or_else(|| self.take_up(now, ssrc, from))?;
        let stream = &mut self.streams[index];
        stream.heard = now;
        let another = stream.last.replace(header.sequence) != Some(header.sequence);
        stream.packets += u64::from(another);
        if another && stream.packets == PROBATION {
            self.out.push_back(Output::Opened { stream: stream.number, ssrc, from: stream.from });
        }
        Some(index)
    }

    fn take_up(&mut self, now: Instant, ssrc: u32, from: SocketAddr) -> Option<usize> {
        if self.streams.len() >= self.most {
            let stream = self.streams.swap_remove(self.displaced(now, from.ip())?);
            self.hosts.went(stream.from.ip());
            if stream.is_known() {
                self.out.push_back(Output::Closed { stream: stream.number });
            }
        }
        self.hosts.came(from.ip());
        let config = ReceiverConfig { seed: self.seed.child(), ..self.config.clone() };
        self.streams.push(Stream {
            number: self.opened,
            ssrc,
            from,
            receiver: Receiver::new(now, config),
            packets: 0,
            last: None,
            heard: now,
            leaving: false,
            due: now,
        });
        self.opened += 1;
        Some(self.streams.len() - 1)
    }

    /// Which stream makes room for one of this host: a stray; or of the host with most streams, if it would still have more than the
    /// other one then: the one that was not told of, or not heard, for longest.
    fn displaced(&self, now: Instant, ip: IpAddr) -> Option<usize> {
        let stray = |stream: &Stream| !stream.is_known() && now >= stream.heard + DOUBT;
        if let Some(index) = self.streams.iter().position(stray) {
            return Some(index);
        }
        let own = self.hosts.streams(ip);
        let holds = self.streams.iter().map(|stream| self.hosts.streams(stream.from.ip()));
        let may = holds.zip(&self.streams).enumerate().filter(|(_, (holds, _))| *holds > own + 1);
        let first = may.min_by_key(|(_, (holds, stream))| (Reverse(*holds), stream.is_known(), stream.heard));
        first.map(|(index, _)| index)
    }

    /// The stream an RTCP datagram is of: by the SSRC of its first report, or else by where RTP came from. Others are not looked for:
    /// a datagram has room for thousands.
    fn rtcp(&mut self, link: usize, ip: IpAddr, data: &[u8]) -> Option<usize> {
        let (mut first, mut leaves) = (None, false);
        for packet in Compound::parse(data).ok()? {
            match packet.ok()? {
                rtcp::Packet::SenderReport { ssrc, .. } | rtcp::Packet::ReceiverReport { ssrc, .. } => {
                    first.get_or_insert(rtp::stream(ssrc));
                }
                rtcp::Packet::Bye { .. } => leaves = true,
                _ => {}
            }
        }
        let named = self.streams.iter().position(|stream| Some(stream.ssrc) == first);
        if let Some(index) = named.filter(|&index| self.streams[index].receiver.hears(link, ip)) {
            self.streams[index].leaving |= leaves;
        }
        named.or_else(|| self.streams.iter().position(|stream| stream.receiver.hears(link, ip)))
    }

    fn timeout(&mut self, now: Instant) {
        for index in 0..self.streams.len() {
            if self.streams[index].due <= now {
                self.streams[index].receiver.handle_input(now, Input::Timeout);
                self.drain(index);
            }
        }
        if now >= self.next_look {
            self.next_look = now + LOOK;
            let (out, hosts) = (&mut self.out, &mut self.hosts);
            self.streams.retain(|stream| {
                let patience = match (stream.is_known(), stream.leaving) {
                    (false, _) => DOUBT,
                    (_, true) => FAREWELL,
                    _ => SILENCE,
                };
                let over = now >= stream.heard + patience && stream.receiver.is_empty();
                if over && stream.is_known() {
                    out.push_back(Output::Closed { stream: stream.number });
                }
                if over {
                    hosts.went(stream.from.ip());
                }
                !over
            });
        }
    }

    fn drain(&mut self, index: usize) {
        let stream = &mut self.streams[index];
        loop {
            let output = match stream.receiver.poll_output() {
                receiver::Output::Transmit { link, to, data } => Output::Transmit { link, to, data },
                receiver::Output::Packet(packet) if stream.is_known() => {
                    Output::Packet { stream: stream.number, packet }
                }
                // A single one, which nobody was told of.
                receiver::Output::Packet(_) => continue,
                receiver::Output::Timeout(at) => {
                    stream.due = at;
                    return;
                }
            };
            self.out.push_back(output);
        }
    }
}

#[cfg(test)]
mod tests;
