//! Repair packets at the receiver ([`crate::fec`]): what they give back goes where it would have come.

use std::net::IpAddr;
use std::time::{Duration, Instant};

use bytes::Bytes;

use super::flow::{Flow, Outcome};
use super::rtp::Header;
use super::sequence::Sequence;
use crate::fec::{Arrived, Decoder, PAYLOAD_TYPE, Repair, RepairError, Repaired, repair_ssrc};

/// Repair packets of the current stream, and what was counted.
#[derive(Debug, Default)]
pub(super) struct Repairs {
    decoder: Decoder,
    /// Repair packets that came.
    pub(super) packets: u64,
    /// Packets that were lost and given back in time.
    pub(super) recovered: u64,
}

/// The SSRC of the stream that a repair packet is of. One that no stream is known for is told by its form.
pub(super) fn repaired(header: &Header) -> Option<u32> {
    (header.payload_type == PAYLOAD_TYPE).then(|| repair_ssrc(header.ssrc))
}

/// Whether this is the payload of a repair packet, and not of a stream with the same payload type.
pub(super) fn is_repair(payload: &Bytes) -> bool {
    Repair::decode(payload).is_ok()
}

impl Repairs {
    /// Repair packets that were of no use.
    pub(super) fn useless(&self) -> u64 {
        self.decoder.useless()
    }

    /// It is another stream.
    pub(super) fn clear(&mut self) {
        self.decoder.clear();
    }

    /// How often a block was not solved because too much was computed lately.
    pub(super) fn throttled(&self) -> u64 {
        self.decoder.throttled()
    }

    /// When what is kept is to be [forgotten](Self::expire).
    pub(super) fn due(&self) -> Option<Instant> {
        self.decoder.due()
    }

    /// Forgets what is of no more use.
    pub(super) fn expire(&mut self, now: Instant, flow: &Flow) {
        self.decoder.expire(now, flow.window().0);
    }

    /// Takes a repair packet of the stream, whose packets were put out so long after they came.
    pub(super) fn repair(
        &mut self,
        (now, latency): (Instant, Duration),
        flow: &mut Flow,
        from: (usize, IpAddr),
        payload: &Bytes,
    ) -> Result<(), RepairError> {
        let repair = Repair::decode(payload)?;
        self.packets += 1;
        flow.keep_played();
        // Its block was sent before it.
        let arrived = Arrived { now, until: now + latency, from, first: flow.number(repair.first) };
        let lost = self.decoder.repair(&arrived, &repair, flow.window(), &|number| flow.find(number));
        self.put(now, flow, lost);
        Ok(())
    }

    /// A packet of the stream came.
    pub(super) fn source(&mut self, now: Instant, flow: &mut Flow, sequence: Sequence) {
        let (number, (next, end)) = (sequence.near(flow.window().1), flow.window());
        if number < end {
            let lost = self.decoder.source(now, number, next, &|number| flow.find(number));
            self.put(now, flow, lost);
        }
    }

    fn put(&mut self, now: Instant, flow: &mut Flow, lost: Vec<Repaired>) {
        for packet in lost {
            self.recovered += u64::from(flow.insert_repaired(now, packet) == Some(Outcome::Recovered));
        }
    }
}
