//! GRE datagrams and the extension of RTP: any bytes are refused, or give parts within the datagram; what was read is
//! written and read again as the same.
#![no_main]

use libfuzzer_sys::fuzz_target;
use strata_media::rist::extension::{Extension, Nulls};
use strata_media::rist::gre::{Header, KeepAlive, Payload};

fuzz_target!(|data: &[u8]| {
    let _ = Header::is_gre(data);
    if let Ok((header, start)) = Header::decode(data) {
        let mut again = Vec::new();
        header.encode(&mut again);
        assert_eq!(Header::decode(&again), Ok((header, again.len())));
        let plain = &data[start..];
        match Payload::decode(header.ether_type, plain) {
            Ok(Payload::Datagram { data, .. }) => assert!(data.start <= data.end && data.end <= plain.len()),
            Ok(Payload::KeepAlive(place)) => {
                if let Ok(message) = KeepAlive::decode(&plain[place]) {
                    let mut again = Vec::new();
                    message.encode(&mut again);
                    assert_eq!(KeepAlive::decode(&again), Ok(message));
                }
            }
            _ => {}
        }
    }
    let mut kept = Vec::new();
    if let Some(nulls) = Nulls::remove(data, &mut kept) {
        let restored = nulls.restore(&kept);
        assert_eq!(restored.len(), data.len());
        let is_null = |packet: &[u8]| packet[1] & 0x1f == 0x1f && packet[2] == 0xff;
        assert!(
            restored
                .chunks(188)
                .zip(data.chunks(188))
                .all(|(now, then)| now == then || is_null(now) && is_null(then))
        );
    }
    if let Some(extension) = Extension::find(data) {
        let packet = [&[0x90; 12][..], &extension.encode()].concat();
        assert_eq!(Extension::find(&packet), Some(extension));
        if let Some(nulls) = extension.nulls {
            let restored = nulls.restore(data);
            assert!(restored.len() >= data.len() && restored.len() <= data.len() + 7 * 204);
        }
    }
});
