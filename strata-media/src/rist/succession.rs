//! What comes instead of the current stream: a sender that starts anew, another one, or the one that was there before.
//!
//! A stream that only pauses is not replaced: its sender's reports go on. Who took the place of one that had fallen
//! silent altogether leaves it when that comes back.

use std::net::IpAddr;
use std::time::{Duration, Instant};

use super::arrivals::Source;
use super::flow::{Flow, Outcome};
use super::rtp::Header;
use super::sequence::Sequence;

/// A stream that is silent for so long, and put out to its end, may be replaced.
const SILENCE: Duration = Duration::from_millis(500);
/// A sender whose reports came so lately lives: at least every 100 ms (TR-06-1, 5.2.1), and one may be lost.
const REPORTED: Duration = Duration::from_millis(250);
/// Packets another stream must have sent before it is taken up.
const PROBATION: u64 = 2;
/// Streams to return to.
const MAX_FORMER: usize = 4;

/// Who sends a packet that is not of the current stream; the later ones go before.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Claim {
    /// Nobody known.
    Stranger,
    /// A sender at an address that packets of the current stream come from.
    Known,
    /// The sender of a stream that was replaced.
    Returns,
}

/// The stream that may be next.
#[derive(Debug)]
struct Candidate {
    flow: Flow,
    claim: Claim,
    /// Where its first packet came from.
    from: (usize, IpAddr),
}

/// A stream that was replaced.
#[derive(Debug)]
struct Former {
    ssrc: u32,
    /// Where it came from, if what replaced it came from elsewhere.
    sources: Vec<(usize, IpAddr)>,
}

impl Former {
    fn is_of(&self, ssrc: u32, from: (usize, IpAddr)) -> bool {
        self.ssrc == ssrc || self.sources.contains(&from)
    }
}

/// The stream that may be next, and those there were.
#[derive(Debug, Default)]
pub(super) struct Succession {
    candidate: Option<Candidate>,
    /// In the order in which they were replaced.
    former: Vec<Former>,
}

impl Succession {
    /// Packets of the next stream that wait.
    pub(super) fn held(&self) -> u64 {
        self.candidate.as_ref().map_or(0, |candidate| candidate.flow.held())
    }

    /// When the next stream would be put out.
    pub(super) fn due(&self) -> Option<Instant> {
        self.candidate.as_ref()?.flow.due()
    }

    /// Whether a packet goes on with the next stream: its number may stand for one of the current stream as well, where that has
    /// the same source.
    pub(super) fn continues(&self, now: Instant, header: &Header, sequence: Sequence) -> bool {
        let known = self
            .candidate
            .as_ref()
            .filter(|candidate| candidate.claim > Claim::Stranger && candidate.flow.silence(now) < SILENCE);
        known.is_some_and(|candidate| candidate.flow.goes_on(now, header, sequence))
    }

    /// Takes a packet that is not of the current stream, `ssrc`, from an address that packets of the current one come
    /// from, or another: `fresh` is a stream that starts with it, and `insert` puts it into one that it may be of.
    /// Returns how many packets were refused by that.
    pub(super) fn packet(
        &mut self,
        now: Instant,
        (ssrc, from, known): (u32, (usize, IpAddr), bool),
        fresh: impl FnOnce() -> Flow,
        insert: impl FnOnce(&mut Flow) -> Option<Outcome>,
    ) -> u64 {
        let returns = self.former.iter().any(|former| former.is_of(ssrc, from));
        let claim = match known {
            _ if returns => Claim::Returns,
            true => Claim::Known,
            false => Claim::Stranger,
        };
        let gives_way = |candidate: &Candidate| {
            candidate.flow.silence(now) >= SILENCE
                || (candidate.flow.ssrc() != ssrc && candidate.claim < claim)
        };
        let mut refused = 0;
        if self.candidate.as_ref().is_none_or(gives_way) {
            refused += self.held();
            self.candidate = Some(Candidate { flow: fresh(), claim, from });
        }
        let candidate = self.candidate.as_mut().filter(|candidate| candidate.flow.ssrc() == ssrc);
        let outcome = candidate.and_then(|candidate| {
            candidate.claim = candidate.claim.max(claim);
            insert(&mut candidate.flow)
        });
        refused + u64::from(outcome.is_none_or(|outcome| outcome == Outcome::Overflow))
    }

    /// The stream that takes the place of `current` now, whose packets came from `sources` and whose sender `lives`
    /// if it said so within the time it is asked about.
    pub(super) fn next(
        &mut self,
        now: Instant,
        current: &Flow,
        latency: Duration,
        sources: &[Source],
        lives: impl FnOnce(Duration) -> bool,
    ) -> Option<Flow> {
        let Candidate { flow, claim, .. } = self.candidate.as_ref()?;
        let patience = SILENCE.min(latency);
        let ended = current.held() == 0 && current.silence(now) >= patience;
        let is_due = flow.due().is_some_and(|due| due <= now);
        // What is put out until then comes from who is to leave.
        let returns = *claim == Claim::Returns && is_due && flow.silence(now) < patience;
        if flow.came() < PROBATION || !(ended || returns) {
            return None;
        }
        // Who is known may have to be taken up within a short latency.
        let window = if *claim == Claim::Stranger { patience.max(REPORTED) } else { patience };
        let is_another = flow.ssrc() != current.ssrc();
        if *claim != Claim::Returns && is_another && lives(window) {
            return None;
        }
        let Candidate { flow, claim, from } = self.candidate.take()?;
        if let Some(index) = self.former.iter().position(|former| former.is_of(flow.ssrc(), from)) {
            // Who came after it is forgotten.
            self.former.truncate(index);
        } else if is_another {
            // What comes from the same address is its sender, started anew.
            let elsewhere = sources.iter().filter(|_| claim == Claim::Stranger);
            let sources = elsewhere.map(|source| (source.link, source.ip)).collect();
            self.remember(Former { ssrc: current.ssrc(), sources });
        }
        Some(flow)
    }

    fn remember(&mut self, former: Former) {
        if self.former.len() == MAX_FORMER {
            let anew = self.former.iter().position(|former| former.sources.is_empty());
            self.former.remove(anew.unwrap_or(0));
        }
        self.former.push(former);
    }

    /// Puts off what would have been put out by now, as the current stream goes on; how many packets that is.
    pub(super) fn refuse(&mut self, now: Instant) -> u64 {
        let flow = self.candidate.as_mut().map(|candidate| &mut candidate.flow);
        flow.map_or(0, |flow| std::iter::from_fn(|| flow.pop(now)).count() as u64)
    }
}
