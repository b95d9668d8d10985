//! What a sender knows of one path.

use std::time::{Duration, Instant};

use super::echo::Echo;
use super::intake::Intake;
use super::reports::Reports;
use super::sender::REPORT_INTERVAL;
use super::taker::Taker;

/// Time between two reports of a path that rests: ten of the usual ones, and less than the second after which those that
/// expect a sender's call take it for gone.
pub(crate) const REST_INTERVAL: Duration = Duration::from_millis(900);
/// So many reports of a path that no longer rests say so; they are lost too.
const ROUSED_WORDS: u8 = 4;
/// Time between the first reports of a path, until it is answered.
const START_INTERVAL: Duration = Duration::from_millis(20);
/// How many of those.
const START_REPORTS: u32 = 5;
/// Until then nothing can be told of most paths.
const START: Duration = Duration::from_secs(1);

/// The receiver's clock, as its feedback on one path tells it.
#[derive(Debug)]
pub(super) struct Feedback {
    /// Who sends it.
    pub(super) ssrc: u32,
    /// When it last came.
    pub(super) at: Instant,
    /// Whether it has told of the path's own arrivals.
    pub(super) own: bool,
    /// Time of the newest report, 1/65536 s, beyond its wraps.
    pub(super) newest: i64,
}

/// How long a packet takes by a path.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Way {
    /// Without a queue.
    pub(crate) least: Duration,
    /// With what is known of queue and jitter.
    pub(crate) most: Duration,
}

#[derive(Debug)]
pub(super) struct Path {
    pub(super) open: bool,
    pub(super) echo: Echo,
    /// Whether echo requests are answered; if not, the reports must do.
    pub(super) echoes: bool,
    /// Whether the peer has told of an echo request, or of a report, that was sent to it: it is where it says.
    pub(super) proven: bool,
    /// The reports that were sent on it.
    pub(super) told: Reports,
    pub(super) next_report: Instant,
    pub(super) reports: u32,
    pub(super) feedback: Option<Feedback>,
    pub(super) taker: Taker,
    pub(super) last_answer: Option<Instant>,
    /// Whether reports are as far apart as they may be, for want of room for more.
    pub(super) spaced: bool,
    /// An echo request that is answered with the next report.
    pub(super) question: Option<Question>,
    /// Whether only this is to be known, that it is there.
    pub(super) rests: bool,
    /// Whether it carries nothing to a receiver that counts on its reports: they say little, and ask seldom.
    pub(super) idles: bool,
    /// Reports that are still to say that it no longer rests.
    roused: u8,
    /// What whoever chooses the path knows of it.
    pub(super) way: Option<Way>,
    /// What is read of its peer.
    pub(super) intake: Intake,
}

#[derive(Debug)]
pub(super) struct Question {
    pub(super) timestamp: u64,
    pub(super) padding: Vec<u8>,
    pub(super) at: Instant,
}

impl Path {
    pub(super) fn new(now: Instant, seed: u64) -> Self {
        Self {
            open: true,
            echo: Echo::new(seed),
            echoes: false,
            proven: false,
            told: Reports::default(),
            next_report: now,
            reports: 0,
            feedback: None,
            taker: Taker::default(),
            last_answer: None,
            spaced: false,
            question: None,
            rests: false,
            idles: false,
            roused: 0,
            way: None,
            intake: Intake::new(now),
        }
    }

    /// Lets the path rest, or not, which its receiver is told at once.
    pub(super) fn rest(&mut self, now: Instant, rests: bool) {
        if self.rests && !rests {
            (self.next_report, self.roused) = (now, ROUSED_WORDS);
        }
        self.rests = rests;
    }

    /// Lets the path idle, or not, in which case it is asked at once.
    pub(super) fn idle(&mut self, now: Instant, idles: bool) {
        if self.idles && !idles {
            self.next_report = now;
        }
        self.idles = idles;
    }

    /// Whether a report is to say that it rests, or no longer does.
    pub(super) fn says_rest(&mut self) -> bool {
        let roused = self.roused > 0;
        self.roused = self.roused.saturating_sub(1);
        self.rests || roused
    }

    /// Time until the next report, which is `usual` to a receiver that does not tell what arrives.
    pub(super) fn interval(&self, fed_back: bool, usual: Duration) -> Duration {
        if self.rests {
            REST_INTERVAL
        } else if self.echo.srtt().is_none() && self.reports < START_REPORTS {
            START_INTERVAL
        } else if fed_back {
            REPORT_INTERVAL
        } else {
            usual
        }
    }

    /// Whether it was told what arrived no longer than a second before `at`.
    pub(super) fn is_told(&self, at: Instant) -> bool {
        self.open && self.feedback.as_ref().is_some_and(|feedback| at < feedback.at + START)
    }

    /// Whether the receiver tells what arrives, now that packets are sent.
    pub(super) fn is_fed_back(&self, now: Instant) -> bool {
        self.feedback.as_ref().is_some_and(|feedback| now < feedback.at + REPORT_INTERVAL)
    }

    /// The same, and it has told of what arrived on this path itself. What it tells of others, on this path as on all, says
    /// nothing of one that has carried nothing yet; at the start of a stream, that is all of them.
    pub(super) fn is_known(&self, now: Instant, epoch: Instant) -> bool {
        let own = self.feedback.as_ref().is_some_and(|feedback| feedback.own);
        self.is_fed_back(now) && (own || now < epoch + START)
    }

    /// Time that a request takes which comes by it.
    pub(super) fn back(&self) -> Duration {
        self.way.map(|way| way.least).or(self.echo.srtt().map(|rtt| rtt / 2)).unwrap_or_default()
    }

    /// Whether the receiver takes repair packets.
    pub(super) fn takes_repairs(&self, now: Instant) -> bool {
        let feedback = self.feedback.as_ref().filter(|feedback| now < feedback.at + START);
        feedback.is_some_and(|feedback| self.taker.takes(now, feedback.ssrc))
    }
}
