//! A multicast group as one path of a sender (TR-06-1, 5.1): what many receivers tell, made into what one could have told.
//!
//! ```text
//!  member A ─ RTCP to the group ──────┐                     ┌─ requests, reports, ─────────────► Sender: repeats
//!  member B ─ RTCP to the sender ─────┼─► who? ── is known ─┤  echoes of the slowest member      go to the group
//!  stranger ─ RTCP to the sender ─ ✗ ─┘                     └─ echo request ─► answered to the member
//! ```
//!
//! The standard has receivers answer to the group; librist (0.2.7) answers to where the sender's RTCP comes from. Both are
//! heard. What comes to the group was let through to it by the network, and everything it brings about goes to the group
//! as well. What comes to the sender's own address is taken from members alone: who has answered an echo request that was
//! sent to the group has its address, and was there. Nobody else is answered.
//!
//! Every member's requests are served. A packet that several have lost is lost once: it is not repeated again within the
//! round-trip time, which is that of the slowest member. What arrived at one member says nothing of the others, so that
//! congestion control feedback (RFC 8888) is not taken of a group.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use bytes::Bytes;

use super::rtcp::{Compound, Packet, Writer};

/// Members at a time; the requests of more are served when they come to the group.
const MAX_MEMBERS: usize = 256;
/// Echo requests whose answers are waited for, as of any path.
const OUTSTANDING: usize = 32;
/// Who has not answered for so long is no member any more: a hundred requests.
const FORGET: Duration = Duration::from_secs(10);
/// Who has not shown to be a member makes room after so long.
const DOUBT: Duration = Duration::from_secs(1);
/// A member whose answers are older than this is not the slowest one.
const LATELY: Duration = Duration::from_secs(1);
/// Nor is one that is slower than this: waiting for it would cost the others their repeats (librist's rtt-max).
const SLOWEST: Duration = Duration::from_millis(500);
/// Shortest time between two answers to one member.
const MIN_ECHO: Duration = Duration::from_millis(2);

/// What was heard of a group's members.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct GroupStats {
    /// Members at present: addresses that have answered within the last 10 s.
    pub members: u64,
    /// Datagrams of RTCP that were not understood.
    pub rejected: u64,
    /// Datagrams of RTCP to the sender's own address, of who has not shown to be a member.
    pub unproven: u64,
    /// Datagrams of addresses there was no room for.
    pub crowded: u64,
    /// Datagrams with congestion control feedback, which was left out.
    pub feedback: u64,
    /// Echo requests that came too soon after others of the same member to be answered.
    pub throttled_echoes: u64,
}

impl std::ops::AddAssign for GroupStats {
    fn add_assign(&mut self, other: Self) {
        let Self { members, rejected, unproven, crowded, feedback, throttled_echoes } = other;
        self.members += members;
        self.rejected += rejected;
        self.unproven += unproven;
        self.crowded += crowded;
        self.feedback += feedback;
        self.throttled_echoes += throttled_echoes;
    }
}

/// Where a member's RTCP came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum To {
    /// The group.
    Group,
    /// The sender's own address.
    Sender,
}

/// What becomes of a member's RTCP.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Taken {
    /// For the sender, as of one receiver.
    pub(crate) rtcp: Option<Vec<u8>>,
    /// For the member.
    pub(crate) answer: Option<Bytes>,
}

/// The members of a group.
#[derive(Debug)]
pub(crate) struct Group {
    /// Of the stream.
    ssrc: u32,
    cname: String,
    /// Echo requests: their time stamps, and when they were sent.
    asked: VecDeque<(u64, Instant)>,
    members: Vec<Member>,
    stats: GroupStats,
}

#[derive(Debug)]
struct Member {
    addr: SocketAddr,
    heard: Instant,
    /// When it last answered an echo request.
    proven: Option<Instant>,
    /// Smoothed round-trip time.
    srtt: Duration,
    last_answer: Option<Instant>,
}

impl Member {
    fn is_proven(&self, now: Instant) -> bool {
        self.proven.is_some_and(|at| now < at + FORGET)
    }
}

impl Group {
    /// No members yet, of a group that this stream is sent to.
    pub(crate) fn new(ssrc: u32, cname: &str) -> Self {
        Self {
            ssrc,
            cname: cname.to_owned(),
            asked: VecDeque::with_capacity(OUTSTANDING),
            members: Vec::new(),
            stats: GroupStats::default(),
        }
    }

    /// What was heard.
    pub(crate) fn stats(&self, now: Instant) -> GroupStats {
        let members = self.members.iter().filter(|member| member.is_proven(now)).count();
        GroupStats { members: members as u64, ..self.stats }
    }

    /// Takes notice of RTCP that is sent to the group.
    pub(crate) fn sent(&mut self, now: Instant, data: &[u8]) {
        for packet in Compound::parse(data).into_iter().flatten().flatten() {
            if let Packet::EchoRequest { timestamp, .. } = packet {
                if self.asked.len() == OUTSTANDING {
                    self.asked.pop_front();
                }
                self.asked.push_back((timestamp, now));
            }
        }
    }

    /// Takes RTCP that came.
    pub(crate) fn receive(&mut self, now: Instant, from: SocketAddr, to: To, data: &[u8]) -> Taken {
        let parts = match Parts::of(data) {
            Ok(Some(parts)) => parts,
            // The sender's own, which comes back, or another stream's.
            Ok(None) => return Taken::default(),
            Err(_) => {
                self.stats.rejected += 1;
                return Taken::default();
            }
        };
        let Some(index) = self.member(now, from) else {
            self.stats.crowded += 1;
            // Who cannot be told from strangers is served where no stranger is.
            let rtcp = (to == To::Group).then(|| self.cleared(data, false)).flatten();
            return Taken { rtcp, answer: None };
        };
        if let Some((stamp, delay)) = parts.answered {
            self.answered(now, index, stamp, delay);
        }
        let member = &mut self.members[index];
        if to == To::Sender && !member.is_proven(now) {
            self.stats.unproven += 1;
            return Taken::default();
        }
        self.stats.feedback += u64::from(parts.feedback);
        let question = parts.question.filter(|_| member.is_proven(now));
        let may = member.last_answer.is_none_or(|at| now >= at + MIN_ECHO);
        self.stats.throttled_echoes += u64::from(question.is_some() && !may);
        let answer = question.filter(|_| may).map(|(stamp, padding)| {
            member.last_answer = Some(now);
            let mut writer = Writer::new();
            writer.receiver_report(self.ssrc, None);
            writer.source_description(self.ssrc, &self.cname);
            writer.echo_response(self.ssrc, stamp, 0, padding);
            writer.finish()
        });
        let measures = self.slowest(now) == Some(index);
        Taken { rtcp: self.cleared(data, measures), answer }
    }

    /// What is left for the sender; echoes only of the member that measures the path.
    fn cleared(&self, data: &[u8], measures: bool) -> Option<Vec<u8>> {
        let drop = |packet: &Packet<'_>| match packet {
            Packet::EchoResponse { .. } => !measures,
            Packet::EchoRequest { .. } | Packet::Feedback { .. } | Packet::Capabilities { .. } => true,
            _ => false,
        };
        Compound::without(data, drop).ok()
    }

    /// The place of who speaks, made if there is room.
    fn member(&mut self, now: Instant, addr: SocketAddr) -> Option<usize> {
        let known = self.members.iter().position(|member| member.addr == addr);
        let index = known.or_else(|| {
            if self.members.len() == MAX_MEMBERS {
                let stale = |member: &Member| !member.is_proven(now) && now >= member.heard + DOUBT;
                self.members.swap_remove(self.members.iter().position(stale)?);
            }
            let new = Member { addr, heard: now, proven: None, srtt: Duration::ZERO, last_answer: None };
            self.members.push(new);
            Some(self.members.len() - 1)
        })?;
        self.members[index].heard = now;
        Some(index)
    }

    fn answered(&mut self, now: Instant, index: usize, stamp: u64, delay: Duration) {
        let Some((_, at)) = self.asked.iter().find(|(asked, _)| *asked == stamp) else { return };
        let rtt = now.saturating_duration_since(*at).saturating_sub(delay);
        let member = &mut self.members[index];
        // RFC 6298, 2.3: one eighth of the new value.
        member.srtt = if member.proven.is_some() { (member.srtt * 7 + rtt) / 8 } else { rtt };
        member.proven = Some(now);
    }

    /// The member whose round-trip time is the path's.
    fn slowest(&self, now: Instant) -> Option<usize> {
        let lately = |member: &Member| member.proven.is_some_and(|at| now < at + LATELY);
        let members = self.members.iter().enumerate();
        let members = members.filter(|(_, member)| lately(member) && member.srtt <= SLOWEST);
        members.max_by_key(|(_, member)| member.srtt).map(|(index, _)| index)
    }
}

/// What of a receiver's RTCP matters here.
#[derive(Debug, Default)]
struct Parts<'a> {
    /// Time stamp and padding of an echo request.
    question: Option<(u64, &'a [u8])>,
    /// Time stamp and processing time of an echo response.
    answered: Option<(u64, Duration)>,
    feedback: bool,
}

impl<'a> Parts<'a> {
    /// Reads a datagram; `None` when it is a sender's.
    fn of(data: &'a [u8]) -> Result<Option<Self>, super::DecodeError> {
        let mut parts = Self::default();
        for packet in Compound::parse(data)? {
            match packet? {
                Packet::SenderReport { .. } | Packet::Bye { .. } => return Ok(None),
                Packet::EchoRequest { timestamp, padding, .. } => parts.question = Some((timestamp, padding)),
                Packet::EchoResponse { timestamp, processing_us, .. } => {
                    parts.answered = Some((timestamp, Duration::from_micros(processing_us.into())));
                }
                Packet::Feedback { .. } => parts.feedback = true,
                _ => {}
            }
        }
        Ok(Some(parts))
    }
}

#[cfg(test)]
mod tests;
