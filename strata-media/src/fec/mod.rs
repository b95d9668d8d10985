//! Forward error correction where there is no time to ask again: repair packets beside the stream, sans-IO.
//!
//! ```text
//!   sender                                              receiver
//!  payloads ──► Encoder: blocks by time ──┐            packets of the stream ──┐
//!                                         │ repairs                            ▼
//!  losses that ──► Losses: share, bursts ─┴─► spread ──► RTP, own SSRC ──► Decoder ──► packets that were lost
//!  came too late                              over time
//!  to be repeated                             and links
//! ```
//!
//! A round trip longer than the playout latency leaves retransmission no chance. What was sent in some time (a part of the
//! latency) is a *block*: `k` packets, to which the sender adds `r` repair packets of a Reed-Solomon code over GF(2^16), so that
//! any `k` of the `k + r` give all of them back. Reed-Solomon needs not one packet more than were lost, which codes without a
//! rate (RaptorQ) do, and blocks are small.
//!
//! **When.** The sender counts what was lost and could not have been repeated in time. As long as there is nothing of it, there
//! are no repair packets, and none are computed: retransmission costs what was lost, repair packets cost whether something was lost
//! or not. `r` is the least with which a block of this size is expected to come whole, from the share of such losses and
//! their bursts ([`Losses`]), within [`Fec::max_ratio`](crate::bond::Fec).
//!
//! **Who.** Only a Strata receiver gets any, once it has announced that it takes them (bit
//! [`TAKES_REPAIRS`](crate::rist::rtcp::TAKES_REPAIRS) of the RTCP packet `STRA`, to senders that say they take feedback), and only by
//! paths by which that very receiver gives feedback and no other one reports.
//!
//! **The wire.** A repair packet is RTP of payload type 126, with an SSRC (the stream's, all bits but the lowest inverted),
//! sequence numbers and feedback (RFC 8888) of its own, so that it is encrypted, counted, and taken into account on its link as any
//! other. Its payload, numbers in network order:
//!
//! ```text
//!  |  version = 1  |  k, 1 to 128  |  r, 1 to 64   |N| index < r   |
//!  |      sequence number of the first packet of the block, 32 bits|
//!  |      the repair shard, of even length …                       |
//! ```
//!
//! Where the stream numbers packets with 16 bits, the upper half does not count. What is coded of each packet is its source
//! shard, filled with zeros to the length of the longest of its block:
//!
//! ```text
//!  |     bytes that follow the time stamp, 16 bits   |0|packets(3)|
//!  |0|   removed   |   RTP time stamp, 32 bits                     |
//!  |      payload …                                                |
//! ```
//!
//! With N, null packets (PID 0x1fff) of a transport stream are left out, as the Main Profile's header extension tells it
//! ([`Nulls`](crate::rist::extension::Nulls)): the links leave them out, too, and what they were filled with is then not known
//! to the receiver. Without, `packets` and `removed` are 0, and the payload is as it is.

mod code;
mod credit;
mod decoder;
mod encoder;
mod kept;
mod losses;
mod wire;

pub use decoder::{Arrived, Decoder, Repaired};
pub use encoder::{Block, Encoder};
pub use losses::{Losses, Rate};
pub use wire::{PAYLOAD_TYPE, Repair, RepairError, repair_ssrc};

/// Most source packets of a block.
pub const MAX_SOURCES: usize = 128;
/// Most repair packets of a block.
pub const MAX_REPAIRS: usize = 64;

#[cfg(test)]
mod tests;
