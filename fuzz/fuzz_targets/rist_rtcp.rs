//! RTCP datagrams: any bytes are refused or read to their end, with work bounded by their length.
#![no_main]

use libfuzzer_sys::fuzz_target;
use strata_media::rist::rtcp::{Compound, Packet};

fuzz_target!(|data: &[u8]| {
    let Ok(compound) = Compound::parse(data) else { return };
    let mut parts = 0;
    for packet in compound {
        parts += match packet {
            Ok(Packet::Nack { losses, .. }) => 1 + losses.count() / 9,
            Ok(Packet::Feedback { arrivals, .. }) => 1 + arrivals.count() / 2,
            Ok(Packet::ReceiverReport { blocks, .. }) => 1 + blocks.count(),
            _ => 1,
        };
    }
    assert!(parts * 4 <= data.len() + 4);
});
