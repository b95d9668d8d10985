//! What senders and receivers count.

use std::time::Duration;

use super::tunnel::Counters;

/// What a sender counts, since its start.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct SenderCounters {
    /// Payloads given.
    pub packets: u64,
    /// Payload bytes given.
    pub bytes: u64,
    /// Sequence numbers asked for, each request counted.
    pub requested: u64,
    /// Requests not served: too old, too soon, too often, or over the allowance.
    pub refused: u64,
    /// Requests for packets that were never given.
    pub unknown_requests: u64,
    /// RTCP datagrams that came, of whatever kind.
    pub rtcp_datagrams: u64,
    /// Those of them that were not understood.
    pub rejected: u64,
    /// Those of them that were not read, as more came than a peer has to say: 4 MB in a second, on one path.
    pub throttled: u64,
    /// Requests for a keyframe, of a receiver that has answered an echo request; at most two and a half in a second.
    pub keyframe_requests: u64,
    /// Requests that named another stream.
    pub foreign_requests: u64,
    /// Echo requests that came too soon after others to be answered.
    pub throttled_echoes: u64,
    /// Answers to echo requests that were not made, or long ago.
    pub unknown_echoes: u64,
    /// Packets told to have arrived that were never sent, or are of another stream.
    pub unknown_arrivals: u64,
    /// Round trips told by reports that are not believed: none of the last sender reports on that path is the one they name.
    pub unknown_reports: u64,
    /// Feedback of peers that have not shown that anything reaches them; not taken.
    pub unproven_feedback: u64,
}

/// Statistics of a [receiver](super), since its start.
#[derive(Debug, Clone, Default, PartialEq)]
#[non_exhaustive]
pub struct ReceiverStats {
    /// Packets put out, in order.
    pub delivered_packets: u64,
    /// Payload bytes put out.
    pub delivered_bytes: u64,
    /// Packets that never came in time.
    pub lost_packets: u64,
    /// Packets that came by retransmission, and in time.
    pub recovered_packets: u64,
    /// Repair packets that came ([`crate::fec`]).
    pub fec_packets: u64,
    /// Packets that repair packets gave back, in time.
    pub fec_recovered: u64,
    /// Repair packets that were of no use: nothing of their block was lost, or too much.
    pub fec_useless: u64,
    /// How often a block was not made whole at once, because too much had been computed lately.
    pub fec_throttled: u64,
    /// Packets that came more than once.
    pub duplicate_packets: u64,
    /// Packets that came after they were given up as lost.
    pub late_packets: u64,
    /// Sequence numbers asked for, each request counted.
    pub requested_packets: u64,
    /// Datagrams that were not understood or belonged to another stream.
    pub rejected_datagrams: u64,
    /// Datagrams of RTCP, of who has not shown to belong to the stream: they are asked for nothing, and told nothing. Not counted in
    /// multicast groups, where other members speak, too.
    pub unproven_datagrams: u64,
    /// The same of addresses there was no room for.
    pub crowded_datagrams: u64,
    /// Echo requests that came too soon after others to be answered.
    pub throttled_echoes: u64,
    /// Datagrams of RTCP that were not read, as more came than a sender has to say: 4 MB in a second, of one of its links, or of all that
    /// are not known.
    pub throttled_datagrams: u64,
    /// Datagrams to senders, of RTCP or of tunnels, that the system did not take; counted by who has the sockets.
    pub refused_datagrams: u64,
    /// Packets given up because the consumer or the buffer had no room. (With more in the latency than can be told apart, the buffer
    /// puts the first ones out before their time.)
    pub overflowed_packets: u64,
    /// How often another source was taken up: a new SSRC, or a jump of sequence or time.
    pub restarts: u64,
    /// Packets that wait for their playout time.
    pub buffered_packets: u64,
    /// Playout latency.
    pub latency: Duration,
    /// Time since the last packet of the stream; `None` before the first.
    pub idle: Option<Duration>,
    /// SSRC of the stream (even form); `None` before the first packet.
    pub ssrc: Option<u32>,
    /// What the Main Profile's tunnels took and refused; nothing where there are none.
    pub tunnel: Counters,
    /// One per local socket pair, in the order of the configuration.
    pub paths: Vec<PathStats>,
}

/// Statistics of one local socket pair of a receiver.
#[derive(Debug, Clone, Default, PartialEq)]
#[non_exhaustive]
pub struct PathStats {
    /// RTP packets received.
    pub packets: u64,
    /// Bytes of RTP packets received.
    pub bytes: u64,
    /// RTCP datagrams received.
    pub rtcp_packets: u64,
    /// Smoothed round-trip time; `None` before the first answered echo.
    pub rtt: Option<Duration>,
}
