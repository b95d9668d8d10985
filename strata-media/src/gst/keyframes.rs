//! When a sender's source should make a keyframe: after packets were given up, when the links work again, and when the
//! receiver wants one. The elements ask upstream for it, a pipeline its own encoder.
//!
//! ```text
//!  packets given up    ──► …none for a moment, or a second over ──► ask
//!  no link usable      ──► one is again                         ──► ask
//!  the receiver asks   ─────────────────────────────────────────► ask
//! ```

use std::time::{Duration, Instant};

use gstreamer as gst;

use crate::bond::{BondStats, LinkState};

/// No more was given up for so long: a keyframe would get through.
const QUIET: Duration = Duration::from_millis(200);
/// When there is no end of it, a keyframe is asked for nevertheless, and not more often than this.
const INTERVAL: Duration = Duration::from_secs(1);

/// The machine: it is told what a bond counts, and says when a keyframe is needed.
#[derive(Debug, Default)]
pub(crate) struct Keyframes {
    discarded_fresh: u64,
    /// Of the receiver, as they were passed on.
    requests: u64,
    /// When the first and the last packet was given up that no keyframe was asked for.
    given_up: Option<(Instant, Instant)>,
    /// Whether no link is usable, after one was.
    outage: bool,
    /// Whether there was a usable link.
    worked: bool,
    asked: Option<Instant>,
}

impl Keyframes {
    /// Takes statistics, some times per second; whether a keyframe should be made now.
    pub(crate) fn handle_stats(&mut self, now: Instant, stats: &BondStats) -> bool {
        if stats.discarded_fresh > self.discarded_fresh {
            let (first, _) = self.given_up.unwrap_or((now, now));
            self.given_up = Some((first, now));
        }
        self.discarded_fresh = stats.discarded_fresh;
        let works = stats.links.iter().any(is_usable);
        let back = works && self.outage;
        self.outage = !works && (self.outage || self.worked);
        self.worked |= works;
        let lost = self.given_up.is_some_and(|(first, last)| now >= last + QUIET || now >= first + INTERVAL);
        let due = self.asked.is_none_or(|at| now >= at + INTERVAL || back);
        let wanted = stats.keyframe_requests > std::mem::replace(&mut self.requests, stats.keyframe_requests);
        let asks = wanted || works && (back || lost) && due;
        if asks {
            (self.given_up, self.asked) = (None, Some(now));
        }
        asks
    }
}

/// What `gst_video_event_new_upstream_force_key_unit` makes: a keyframe as soon as possible, with its headers.
pub(crate) fn force_key_unit() -> gst::Event {
    let structure = gst::Structure::builder("GstForceKeyUnit")
        .field("running-time", gst::ClockTime::NONE)
        .field("all-headers", true)
        .field("count", 0u32)
        .build();
    gst::event::CustomUpstream::new(structure)
}

fn is_usable(link: &crate::bond::LinkStats) -> bool {
    link.error.is_none() && matches!(link.state, LinkState::Warm | LinkState::Live | LinkState::Degraded)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bond::LinkStats;

    const TICK: Duration = Duration::from_millis(50);

    /// In which of ticks, each with packets given up so far and the state of the link, keyframes are asked for.
    fn asked(ticks: impl IntoIterator<Item = (u64, LinkState)>) -> Vec<usize> {
        #[expect(clippy::disallowed_methods, reason = "time starts anywhere")]
        let start = Instant::now();
        let mut keyframes = Keyframes::default();
        let mut asks = |(index, (discarded_fresh, state)): (usize, (u64, LinkState))| {
            let links = vec![LinkStats { state, ..LinkStats::default() }];
            let stats = BondStats { discarded_fresh, links, ..BondStats::default() };
            keyframes.handle_stats(start + TICK * index as u32, &stats).then_some(index)
        };
        ticks.into_iter().enumerate().filter_map(&mut asks).collect()
    }

    #[test]
    fn a_stream_that_gets_through_needs_none() {
        let start = [(0, LinkState::Probe); 10];
        assert_eq!(asked(start.into_iter().chain([(0, LinkState::Live); 100])), [0; 0]);
    }

    #[test]
    fn after_a_loss_one_is_asked_for_when_no_more_is_lost() {
        let ticks = (0..100).map(|tick| (if tick < 5 { tick } else { 5 }, LinkState::Live));
        assert_eq!(asked(ticks), [9]);
    }

    #[test]
    fn of_a_loss_without_end_one_is_asked_for_each_second() {
        assert_eq!(asked((0..100).map(|tick| (tick, LinkState::Degraded))), [21, 42, 63, 84]);
    }

    #[test]
    fn when_links_work_again_one_is_asked_for_at_once() {
        let outage = |tick| match tick {
            20..40 => (tick, LinkState::Dead),
            40..45 => (40, LinkState::Cooldown),
            _ => (40.min(tick), LinkState::Live),
        };
        assert_eq!(
            asked((0..100).map(|tick| match tick {
                0..20 => (0, LinkState::Live),
                _ => outage(tick),
            })),
            [45]
        );
    }

    #[test]
    fn what_the_receiver_wants_is_asked_for_each_time() {
        #[expect(clippy::disallowed_methods, reason = "time starts anywhere")]
        let start = Instant::now();
        let mut keyframes = Keyframes::default();
        let asked = [0, 1, 1, 2, 2, 5].map(|keyframe_requests| {
            keyframes.handle_stats(start, &BondStats { keyframe_requests, ..BondStats::default() })
        });
        assert_eq!(asked, [false, true, false, true, false, true]);
    }
}
