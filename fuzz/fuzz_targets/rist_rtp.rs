//! RTP packets: any bytes are refused or give a payload within the packet.
#![no_main]

use libfuzzer_sys::fuzz_target;
use strata_media::rist::rtp::{HEADER_LEN, Header};

fuzz_target!(|data: &[u8]| {
    if let Ok((header, payload)) = Header::decode(data) {
        assert!(payload.start >= HEADER_LEN && payload.start <= payload.end && payload.end <= data.len());
        assert_eq!(Header::decode(&header.encode()), Ok((header, HEADER_LEN..HEADER_LEN)));
    }
});
