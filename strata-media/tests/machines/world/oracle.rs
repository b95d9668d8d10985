//! What moving links could carry of a stream for one who knew all about them beforehand.

use std::collections::VecDeque;
use std::time::Duration;

use strata_media::testing::netem::Config;

use super::{MS, PAYLOAD};

/// Header of RTP.
const HEADER: f64 = 12.0;

/// Share of the packets of a stream of `bps` that links cannot carry within `latency`, of which `part` of what they have is
/// used. Nobody does better with all of it: it is used without a gap, the oldest packet first, nothing is sent twice or in
/// vain, and the way of each link is as short as that of the shortest.
pub(crate) fn loss(links: &[Config], bps: u64, latency: Duration, length: Duration, part: f64) -> f64 {
    let interval = Duration::from_secs_f64(PAYLOAD as f64 * 8.0 / bps as f64);
    let (mut waiting, mut next) = (VecDeque::new(), Duration::ZERO);
    let (mut sent, mut lost, mut room) = (0u64, 0u64, 0.0);
    let until = |at: Duration| -> u64 {
        links.iter().filter_map(|link| link.trace.as_ref()).map(|trace| trace.bytes_until(at)).sum()
    };
    let (mut now, mut before) = (Duration::ZERO, 0);
    while now < length {
        now += MS;
        while next < now {
            waiting.push_back(next);
            (next, sent) = (next + interval, sent + 1);
        }
        while waiting.front().is_some_and(|&created| created + latency < now) {
            waiting.pop_front();
            lost += 1;
        }
        let after = until(now);
        room += (after - before) as f64 * part;
        before = after;
        while room >= PAYLOAD as f64 + HEADER && waiting.pop_front().is_some() {
            room -= PAYLOAD as f64 + HEADER;
        }
        // A chance that nothing uses is gone.
        if waiting.is_empty() {
            room = 0.0;
        }
    }
    lost as f64 / sent as f64
}
