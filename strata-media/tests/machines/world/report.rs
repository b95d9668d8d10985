//! What a run amounts to, in the figures by which bonding engines are compared.

use std::fmt;
use std::time::Duration;

use super::{PAYLOAD, Stream};

/// Figures of one stream.
#[derive(Debug, Clone)]
pub(crate) struct Report {
    /// Share of the payloads given that did not come out.
    pub(crate) residual_loss: f64,
    /// From creation to delivery.
    pub p50: Duration,
    pub p99: Duration,
    pub(crate) max: Duration,
    /// Longest time between two deliveries.
    pub(crate) longest_gap: Duration,
    /// RTP and RTCP bytes towards the receiver per payload byte.
    pub(crate) wire: f64,
    /// Part of the RTP bytes that each link carried.
    pub(crate) shares: Vec<f64>,
}

impl Stream {
    /// Figures since the start; to be taken when the stream has drained.
    pub(crate) fn report(&self) -> Report {
        let seen = &self.seen;
        let mut latencies = self.latencies.clone();
        latencies.sort_unstable();
        let at = |part: f64| {
            let index = (latencies.len() as f64 * part) as usize;
            latencies.get(index.min(latencies.len().saturating_sub(1))).copied().unwrap_or_default()
        };
        Report {
            residual_loss: (seen.sent - seen.delivered) as f64 / seen.sent.max(1) as f64,
            p50: at(0.5),
            p99: at(0.99),
            max: at(1.0),
            longest_gap: seen.longest_gap,
            wire: (seen.wire + seen.rtcp.0) as f64 / (seen.sent.max(1) * PAYLOAD as u64) as f64,
            shares: self.sent.iter().map(|&sent| sent as f64 / seen.wire.max(1) as f64).collect(),
        }
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ms = |duration: Duration| duration.as_secs_f64() * 1e3;
        write!(f, "loss {:.4} %, ", self.residual_loss * 100.0)?;
        write!(f, "p50 {:.0} p99 {:.0} max {:.0} ms, ", ms(self.p50), ms(self.p99), ms(self.max))?;
        write!(f, "gap {:.0} ms, wire {:.4}, shares", ms(self.longest_gap), self.wire)?;
        self.shares.iter().try_for_each(|share| write!(f, " {:.0} %", share * 100.0))
    }
}
