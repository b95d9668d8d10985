//! What a receiver counts.

use std::time::Duration;

use super::tunnel::Counters;

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
    /// Packets that came more than once.
    pub duplicate_packets: u64,
    /// Packets that came after they were given up as lost.
    pub late_packets: u64,
    /// Sequence numbers asked for, each request counted.
    pub requested_packets: u64,
    /// Datagrams that were not understood or belonged to another stream.
    pub rejected_datagrams: u64,
    /// Packets given up because the consumer or the buffer had no room.
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
