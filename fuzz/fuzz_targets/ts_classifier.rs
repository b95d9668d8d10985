//! A transport stream of any packets, between good tables: work and memory are bounded, and what is no transport stream is
//! of normal priority. Its clock is told within its period.
#![no_main]

use libfuzzer_sys::fuzz_target;
use strata_media::ts::{CLOCK_PERIOD, Classifier, ClockReader, Priority};

/// Seven packets.
const PAYLOAD: usize = 1316;

fuzz_target!(|data: &[u8]| {
    let (mut raw, mut clock) = (Classifier::new(), ClockReader::new());
    for payload in data.chunks(PAYLOAD) {
        let priority = raw.classify(payload);
        assert!(priority == Priority::Normal || payload.contains(&0x47));
        assert!(clock.read(payload).is_none_or(|ticks| ticks < CLOCK_PERIOD));
    }
    // The same as operations: PID, flags and the length of what follows, so that much of it is a table or a picture.
    let (mut shaped, mut clock) = (Classifier::new(), ClockReader::new());
    let mut rest = data;
    while let Some((head, after)) = rest.split_first_chunk::<3>() {
        let (content, after) = after.split_at(after.len().min(usize::from(head[2]).min(184)));
        rest = after;
        let mut packet = [0xff; 188];
        packet[..4].copy_from_slice(&[0x47, head[1] & 0x41, head[0] & 0x1f, 0x10 | head[1] & 0x20]);
        packet[4..4 + content.len()].copy_from_slice(content);
        let priority = shaped.classify(&packet);
        assert!(clock.read(&packet).is_none_or(|ticks| ticks < CLOCK_PERIOD));
        assert!(head[0] & 0x1f != 0 || head[1] & 1 == 1 || priority == Priority::Critical);
    }
});
