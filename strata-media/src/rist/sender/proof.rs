//! What receiver reports tell of the way.

use std::time::Instant;

use super::super::rtcp::ReportBlock;
use super::super::rtp;
use super::{Output, Sender};

impl Sender {
    /// Round-trip time by the reports, for peers that do not echo (RFC 3550, 6.4.1).
    pub(super) fn round_trip(&mut self, now: Instant, path: usize, block: &ReportBlock) {
        let state = &mut self.paths[path];
        if state.echoes || block.last_report == 0 || rtp::stream(block.ssrc) != self.ssrc {
            return;
        }
        let Some(sample) = state.told.heard(now, block.last_report, block.delay) else {
            self.counters.unknown_reports += 1;
            return;
        };
        state.proven = true;
        // What waited here to be read tells no round trip.
        if now < self.read_late {
            return;
        }
        state.echo.smooth(sample.rtt);
        self.out.push_back(Output::Echo { path, sent_at: sample.sent_at, rtt: sample.rtt });
    }
}
