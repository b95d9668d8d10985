//! Reading RTCP.

use super::super::error::DecodeError;
use super::feedback::{self, Arrivals};
use super::{
    APPLICATION, BYE, EXTENDED_REPORT, Loss, NAME, PAYLOAD_FEEDBACK, PICTURE_LOSS, RECEIVER_REPORT,
    ReportBlock, SENDER_REPORT, SOURCE_DESCRIPTION, STRATA, SUBTYPE_CAPABILITIES, SUBTYPE_ECHO_REQUEST,
    SUBTYPE_ECHO_RESPONSE, SUBTYPE_EXTENDED_SEQUENCE, SUBTYPE_RANGE_NACK, TRANSPORT_FEEDBACK,
};

/// A compound packet whose parts tile the datagram; iterates over them.
#[derive(Debug, Clone)]
pub struct Compound<'a> {
    data: &'a [u8],
    at: usize,
    /// What follows the last packet.
    remnant: &'a [u8],
}

/// One part of a compound packet.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum Packet<'a> {
    /// SR: what a sender has sent.
    SenderReport {
        /// The sender.
        ssrc: u32,
        /// NTP time in 1/2^32 s; may be 0 (TR-06-1, 5.2.2).
        ntp: u64,
        /// The same time as the stream's time stamps count it.
        rtp_time: u32,
        /// Packets sent since the start.
        packets: u32,
        /// Payload bytes sent since the start.
        octets: u32,
    },
    /// RR: what a receiver has received; without blocks, an empty one.
    ReceiverReport {
        /// The receiver.
        ssrc: u32,
        /// One per source.
        blocks: Blocks<'a>,
    },
    /// SDES: only the canonical name of the first chunk is read.
    SourceDescription {
        /// Whose name.
        ssrc: u32,
        /// The name, up to 255 bytes, seldom but not always text.
        cname: &'a [u8],
    },
    /// A request for packets, in either form (bitmask or range).
    Nack {
        /// The media source; either value of the lowest bit.
        media_ssrc: u32,
        /// What was lost.
        losses: Losses<'a>,
    },
    /// A request without its header, always the last part. GStreamer's `ristsrc` (seen with 1.22) takes a range request
    /// back to make it a bitmask one; where the numbers then look like the header of a padded packet (0xa000 to
    /// 0xbfff), nothing but them is left.
    Remnant {
        /// What was lost.
        losses: Losses<'a>,
    },
    /// The upper half of the sequence numbers in the requests that follow (TR-06-2).
    ExtendedSequence {
        /// The media source; either value of the lowest bit.
        media_ssrc: u32,
        /// Upper 16 bits.
        upper: u16,
    },
    /// A request to send `timestamp` back.
    EchoRequest {
        /// Who or what it is about; peers differ.
        ssrc: u32,
        /// Opaque to everyone but the requester.
        timestamp: u64,
        /// Bytes after the processing delay, to be sent back as they are.
        padding: &'a [u8],
    },
    /// The answer to an echo request.
    EchoResponse {
        /// Who or what it is about; peers differ.
        ssrc: u32,
        /// The time stamp of the request.
        timestamp: u64,
        /// Time between request and answer at the peer, µs.
        processing_us: u32,
    },
    /// Which packets arrived on this path, and when (RFC 8888).
    Feedback {
        /// The receiver.
        ssrc: u32,
        /// What arrived.
        arrivals: Arrivals<'a>,
        /// The receiver's time of the report, in 1/65536 s.
        timestamp: u32,
    },
    /// Pictures were lost: a keyframe is asked for (RFC 4585, 6.3.1).
    PictureLoss {
        /// The media source; either value of the lowest bit.
        media_ssrc: u32,
    },
    /// What the peer understands beyond the standard.
    Capabilities {
        /// The peer.
        ssrc: u32,
        /// A set of bits: [`super::TAKES_FEEDBACK`], [`super::TAKES_REPAIRS`],
        /// [`super::TAKES_PICTURE_LOSS`], [`super::RESTS`], [`super::RELAYED`].
        capabilities: u32,
    },
    /// XR (RFC 3611), not read further.
    ExtendedReport {
        /// Its sender.
        ssrc: u32,
    },
    /// The first source named leaves.
    Bye {
        /// The source.
        ssrc: u32,
    },
    /// Something else; ignored, as RFC 3550 asks.
    Other {
        /// Its type.
        packet_type: u8,
    },
}

/// The blocks of a receiver report.
#[derive(Debug, Clone)]
pub struct Blocks<'a>(&'a [u8]);

/// The losses of a request, in the order written. One bitmask entry may give up to nine.
#[derive(Debug, Clone)]
pub struct Losses<'a> {
    entries: &'a [u8],
    range: bool,
    /// What is left of a bitmask entry: its first number and 17 bits from there.
    base: u16,
    bits: u32,
}

impl<'a> Compound<'a> {
    /// Checks the outline of a datagram: versions, lengths, padding, and that it starts with a report.
    ///
    /// # Errors
    /// [`DecodeError`] tells where the outline breaks.
    pub fn parse(datagram: &'a [u8]) -> Result<Self, DecodeError> {
        let mut at = 0;
        loop {
            let have = datagram.len() - at;
            let Some(&[b0, packet_type, l0, l1]) = datagram.get(at..at + 4) else {
                return Err(DecodeError::Truncated { at, need: 4, have });
            };
            if b0 >> 6 != 2 {
                return Err(DecodeError::Version { at, version: b0 >> 6 });
            }
            if at == 0 && !matches!(packet_type, SENDER_REPORT | RECEIVER_REPORT) {
                return Err(DecodeError::NotCompound(packet_type));
            }
            if at > 0 && have.is_multiple_of(4) && is_remnant(b0, packet_type, [l0, l1]) {
                return Ok(Self { data: &datagram[..at], at: 0, remnant: &datagram[at..] });
            }
            let need = (usize::from(u16::from_be_bytes([l0, l1])) + 1) * 4;
            if have < need {
                return Err(DecodeError::Truncated { at, need, have });
            }
            at += need;
            if at == datagram.len() {
                return Ok(Self { data: unpadded(datagram, at - need)?, at: 0, remnant: &[] });
            }
        }
    }
}

impl<'a> Compound<'a> {
    /// The same datagram without those packets after its report that `drop` names.
    ///
    /// # Errors
    /// [`DecodeError`] of the outline, or of a packet.
    #[cfg(feature = "net")]
    pub(in crate::rist) fn without(
        datagram: &[u8],
        drop: impl Fn(&Packet<'_>) -> bool,
    ) -> Result<Vec<u8>, DecodeError> {
        let mut compound = Compound::parse(datagram)?;
        let (end, remnant) = (compound.data.len(), compound.remnant);
        let mut kept = Vec::with_capacity(datagram.len());
        loop {
            let start = compound.at;
            let Some(packet) = compound.next().filter(|_| start < end) else { break };
            if start == 0 || !drop(&packet?) {
                // The last one with its padding.
                let stop =
                    if compound.at < end || !remnant.is_empty() { compound.at } else { datagram.len() };
                kept.extend_from_slice(&datagram[start..stop]);
            }
        }
        kept.extend_from_slice(remnant);
        Ok(kept)
    }
}

/// Whether this cannot be the header of a packet: padded, but of no type of RTCP (RFC 5761, 4), or without room for it.
fn is_remnant(b0: u8, packet_type: u8, len: [u8; 2]) -> bool {
    b0 & PADDED != 0 && (!(192..=223).contains(&packet_type) || len == [0, 0])
}

const PADDED: u8 = 0x20;

/// Takes the padding of the last packet away (RFC 3550, 6.4.1: only the last one may be padded).
fn unpadded(datagram: &[u8], last: usize) -> Result<&[u8], DecodeError> {
    if datagram[last] & PADDED == 0 {
        return Ok(datagram);
    }
    let padding = usize::from(datagram[datagram.len() - 1]);
    let have = datagram.len() - last - 4;
    if padding == 0 || padding > have {
        return Err(DecodeError::Padding { padding, have });
    }
    Ok(&datagram[..datagram.len() - padding])
}

impl<'a> Iterator for Compound<'a> {
    type Item = Result<Packet<'a>, DecodeError>;

    fn next(&mut self) -> Option<Self::Item> {
        let rest = self.data.get(self.at..)?;
        let Some((&[b0, packet_type, l0, l1], body)) = rest.split_first_chunk::<4>() else {
            let losses = Losses::new(std::mem::take(&mut self.remnant), true);
            return (!losses.entries.is_empty()).then_some(Ok(Packet::Remnant { losses }));
        };
        let len = usize::from(u16::from_be_bytes([l0, l1])) * 4;
        // The last packet may be shorter than it says, when its padding was taken away.
        let body = &body[..len.min(body.len())];
        let at = self.at;
        self.at += 4 + len;
        let short = |need| DecodeError::Short { at, packet_type, need: need + 4, have: body.len() + 4 };
        Some(read(b0 & 0x1f, packet_type, body).map_err(short))
    }
}

fn word(body: &[u8], index: usize) -> Result<u32, usize> {
    match body.get(index * 4..index * 4 + 4) {
        Some(&[a, b, c, d]) => Ok(u32::from_be_bytes([a, b, c, d])),
        _ => Err(index * 4 + 4),
    }
}

fn long(body: &[u8], index: usize) -> Result<u64, usize> {
    Ok((u64::from(word(body, index)?) << 32) | u64::from(word(body, index + 1)?))
}

/// Reads the body of a packet; the error is how many bytes it should have had.
fn read(count: u8, packet_type: u8, body: &[u8]) -> Result<Packet<'_>, usize> {
    Ok(match packet_type {
        SENDER_REPORT => Packet::SenderReport {
            octets: word(body, 5)?,
            packets: word(body, 4)?,
            rtp_time: word(body, 3)?,
            ntp: long(body, 1)?,
            ssrc: word(body, 0)?,
        },
        RECEIVER_REPORT => {
            let blocks = usize::from(count) * 24;
            let blocks = body.get(4..4 + blocks).ok_or(4 + blocks)?;
            Packet::ReceiverReport { ssrc: word(body, 0)?, blocks: Blocks(blocks) }
        }
        SOURCE_DESCRIPTION if count > 0 => {
            Packet::SourceDescription { ssrc: word(body, 0)?, cname: cname(&body[4..]) }
        }
        TRANSPORT_FEEDBACK if count == 1 => {
            let (_sender, media_ssrc) = (word(body, 0)?, word(body, 1)?);
            Packet::Nack { media_ssrc, losses: Losses::new(&body[8..], false) }
        }
        TRANSPORT_FEEDBACK if count == feedback::FORMAT => congestion_feedback(body)?,
        PAYLOAD_FEEDBACK if count == PICTURE_LOSS => Packet::PictureLoss { media_ssrc: word(body, 1)? },
        APPLICATION => application(count, body)?,
        EXTENDED_REPORT => Packet::ExtendedReport { ssrc: word(body, 0)? },
        BYE if count > 0 => Packet::Bye { ssrc: word(body, 0)? },
        _ => Packet::Other { packet_type },
    })
}

fn congestion_feedback(body: &[u8]) -> Result<Packet<'_>, usize> {
    let ssrc = word(body, 0)?;
    let (runs, timestamp) = body[4..].split_last_chunk::<4>().ok_or(8usize)?;
    let arrivals = Arrivals::new(runs).map_err(|need| need + 8)?;
    Ok(Packet::Feedback { ssrc, arrivals, timestamp: u32::from_be_bytes(*timestamp) })
}

fn application(subtype: u8, body: &[u8]) -> Result<Packet<'_>, usize> {
    let (ssrc, name) = (word(body, 0)?, word(body, 1)?);
    if name.to_be_bytes() == STRATA && subtype == SUBTYPE_CAPABILITIES {
        return Ok(Packet::Capabilities { ssrc, capabilities: word(body, 2)? });
    }
    if name.to_be_bytes() != NAME {
        return Ok(Packet::Other { packet_type: APPLICATION });
    }
    Ok(match subtype {
        SUBTYPE_RANGE_NACK => Packet::Nack { media_ssrc: ssrc, losses: Losses::new(&body[8..], true) },
        SUBTYPE_EXTENDED_SEQUENCE => {
            Packet::ExtendedSequence { media_ssrc: ssrc, upper: (word(body, 2)? >> 16) as u16 }
        }
        SUBTYPE_ECHO_REQUEST => {
            let timestamp = long(body, 2)?;
            // The processing delay of a request is 0 and may be missing.
            Packet::EchoRequest { ssrc, timestamp, padding: body.get(20..).unwrap_or_default() }
        }
        SUBTYPE_ECHO_RESPONSE => {
            Packet::EchoResponse { ssrc, timestamp: long(body, 2)?, processing_us: word(body, 4)? }
        }
        _ => Packet::Other { packet_type: APPLICATION },
    })
}

/// The canonical name among the items of a chunk; empty when there is none.
fn cname(mut items: &[u8]) -> &[u8] {
    while let [kind @ 1..=255, len, rest @ ..] = items {
        let Some((text, rest)) = rest.split_at_checked(usize::from(*len)) else { break };
        if *kind == 1 {
            return text;
        }
        items = rest;
    }
    &[]
}

impl Iterator for Blocks<'_> {
    type Item = ReportBlock;

    fn next(&mut self) -> Option<ReportBlock> {
        let (block, rest) = self.0.split_at_checked(24)?;
        self.0 = rest;
        let word = |index| word(block, index).unwrap_or_default();
        let lost = word(1);
        Some(ReportBlock {
            ssrc: word(0),
            fraction_lost: (lost >> 24) as u8,
            // Shifted up and down again, so that bit 23 becomes the sign.
            cumulative_lost: ((lost << 8) as i32) >> 8,
            highest: word(2),
            jitter: word(3),
            last_report: word(4),
            delay: word(5),
        })
    }
}

impl<'a> Losses<'a> {
    fn new(entries: &'a [u8], range: bool) -> Self {
        Self { entries, range, base: 0, bits: 0 }
    }
}

impl Iterator for Losses<'_> {
    type Item = Loss;

    fn next(&mut self) -> Option<Loss> {
        if self.bits == 0 {
            let (&[a, b, c, d], rest) = self.entries.split_first_chunk::<4>()?;
            self.entries = rest;
            let (first, second) = (u16::from_be_bytes([a, b]), u16::from_be_bytes([c, d]));
            if self.range {
                return Some(Loss { first, additional: second });
            }
            (self.base, self.bits) = (first, (u32::from(second) << 1) | 1);
        }
        // One run of set bits: skip to its start, count it, take it away.
        let skip = self.bits.trailing_zeros();
        let run = (self.bits >> skip).trailing_ones();
        let first = self.base.wrapping_add(skip as u16);
        self.base = first.wrapping_add(run as u16);
        self.bits = self.bits >> skip >> run;
        Some(Loss { first, additional: run as u16 - 1 })
    }
}
