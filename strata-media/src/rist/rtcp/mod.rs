//! RTCP as RIST uses it (RFC 3550, 6; RFC 4585; TR-06-1, 5.2 and 5.3; the echo of TR-06-1:2020).
//!
//! Every datagram is a compound packet: a report, a source description, then what is needed. [`Compound`] reads
//! one without allocating; [`Writer`] writes one.

mod decode;
mod encode;
mod feedback;

pub use decode::{Blocks, Compound, Losses, Packet};
pub use encode::Writer;
pub(super) use feedback::Runs;
pub use feedback::{Arrival, Arrivals, MAX_OFFSET, Run};

/// Packet type of a sender report.
const SENDER_REPORT: u8 = 200;
/// Packet type of a receiver report.
const RECEIVER_REPORT: u8 = 201;
/// Packet type of a source description.
const SOURCE_DESCRIPTION: u8 = 202;
/// Packet type of a goodbye.
const BYE: u8 = 203;
/// Packet type of an application's own packet.
const APPLICATION: u8 = 204;
/// Packet type of transport layer feedback (RFC 4585).
const TRANSPORT_FEEDBACK: u8 = 205;
/// Packet type of payload-specific feedback (RFC 4585).
const PAYLOAD_FEEDBACK: u8 = 206;
/// Its format that says that pictures were lost (RFC 4585, 6.3.1).
const PICTURE_LOSS: u8 = 1;
/// Packet type of an extended report (RFC 3611).
const EXTENDED_REPORT: u8 = 207;
/// Name of RIST's own packets.
const NAME: [u8; 4] = *b"RIST";
/// Name of Strata's own packets: RFC 3550, 6.7 lets receivers ignore names they do not know.
const STRATA: [u8; 4] = *b"STRA";
/// Strata's own packets, by subtype: what the sender of the packet understands beyond the standard. librist (0.2.7) takes
/// any packet of subtype 0 for a request, whatever its name, and logs an error.
const SUBTYPE_CAPABILITIES: u8 = 16;
/// RIST's own packets, by subtype.
const SUBTYPE_RANGE_NACK: u8 = 0;
const SUBTYPE_EXTENDED_SEQUENCE: u8 = 1;
const SUBTYPE_ECHO_REQUEST: u8 = 2;
const SUBTYPE_ECHO_RESPONSE: u8 = 3;

/// Bit of [`Packet::Capabilities`]: takes congestion control feedback (RFC 8888) on every path.
pub const TAKES_FEEDBACK: u32 = 1;

/// Bit of [`Packet::Capabilities`]: takes repair packets ([`crate::fec`]).
pub const TAKES_REPAIRS: u32 = 4;

/// Bit of [`Packet::Capabilities`]: asks its source for a keyframe when the receiver tells that pictures were lost.
pub const TAKES_PICTURE_LOSS: u32 = 8;

/// Bit of [`Packet::Capabilities`]: the sender spares the path it comes by, which costs something and carries nothing. A receiver
/// sends back nothing by it but answers, as long as it hears by another one.
pub const RESTS: u32 = 16;

/// Bit of [`Packet::Capabilities`]: the feedback after it in the same datagram is of another path than the one it
/// comes by.
pub const RELAYED: u32 = 2;

/// Packets that were lost, one after another: `first` and `additional` more, over the wrap of sequence numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Loss {
    /// The first lost packet.
    pub first: u16,
    /// How many more after it.
    pub additional: u16,
}

/// What a receiver tells about one source (RFC 3550, 6.4.1).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct ReportBlock {
    /// The source reported on.
    pub ssrc: u32,
    /// Share of packets lost since the last report, in 1/256.
    pub fraction_lost: u8,
    /// Packets lost since the start, 24 bits with sign.
    pub cumulative_lost: i32,
    /// Highest sequence number received, with wraps in the upper half.
    pub highest: u32,
    /// Interarrival jitter in ticks of the stream's clock.
    pub jitter: u32,
    /// Middle half of the NTP time of the last sender report; 0 when there was none.
    pub last_report: u32,
    /// Time since that report, 1/65536 s.
    pub delay: u32,
}

#[cfg(test)]
mod tests;
