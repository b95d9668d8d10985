use proptest::prelude::*;

use super::*;

const PMT: u16 = 0x100;
const VIDEO: u16 = 0x101;
const AUDIO: u16 = 0x102;

/// A packet of `pid` with this payload, filled up by an adaptation field.
fn packet(pid: u16, starts: bool, payload: &[u8]) -> Vec<u8> {
    let [high, low] = pid.to_be_bytes();
    let room = PACKET - 4 - payload.len();
    let mut packet =
        vec![SYNC, high | if starts { 0x40 } else { 0 }, low, if room > 0 { 0x30 } else { 0x10 }];
    if room > 0 {
        packet.push(room as u8 - 1);
        packet.resize(packet.len() + room.min(2) - 1, 0);
        packet.resize(PACKET - payload.len(), 0xff);
    }
    packet.extend_from_slice(payload);
    packet
}

/// A section, pointer field included, with a checksum that nobody looks at.
fn section(table: u8, body: &[u8]) -> Vec<u8> {
    let len = body.len() + 5 + 4;
    let mut section = vec![0, table, 0xb0 | (len >> 8) as u8, len as u8, 0, 1, 0xc1, 0, 0];
    section.extend_from_slice(body);
    section.extend_from_slice(&[0; 4]);
    section
}

fn pat() -> Vec<u8> {
    packet(PAT_PID, true, &section(0, &[0, 0, 0xe0, 0x10, 0, 1, 0xe1, 0x00]))
}

fn pmt(video: u8) -> Vec<u8> {
    let body = [0xe1, 0x01, 0xf0, 0x02, 0xaa, 0xbb, video, 0xe1, 0x01, 0xf0, 1, 9, 0x0f, 0xe1, 0x02, 0xf0, 0];
    packet(PMT, true, &section(2, &body))
}

/// A classifier that has seen the tables.
fn classifier(video: u8) -> Classifier {
    let mut classifier = Classifier::new();
    assert_eq!(classifier.classify(&pat()), Priority::Critical);
    assert_eq!(classifier.classify(&pmt(video)), Priority::Critical);
    classifier
}

/// Packets of a picture of these units, as large as given.
fn picture(units: &[(u8, usize)]) -> Vec<Vec<u8>> {
    let mut pes = vec![0, 0, 1, 0xe0, 0, 0, 0x80, 0x80, 5, 0x21, 0, 1, 0, 1];
    for &(first, len) in units {
        pes.extend_from_slice(&[0, 0, 0, 1, first]);
        pes.resize(pes.len() + len, 0x5a);
    }
    pes.chunks(184).enumerate().map(|(i, part)| packet(VIDEO, i == 0, part)).collect()
}

fn priorities(classifier: &mut Classifier, packets: &[Vec<u8>]) -> String {
    let letter = |priority| match priority {
        Priority::Critical => 'C',
        Priority::Audio => 'A',
        Priority::Normal => '.',
    };
    packets.iter().map(|packet| letter(classifier.classify(packet))).collect()
}

#[test]
fn a_picture_that_all_depend_on_is_critical_to_its_end() {
    let mut h264 = classifier(0x1b);
    // Access unit delimiter, SPS, PPS, IDR slice.
    assert_eq!(priorities(&mut h264, &picture(&[(9, 1), (0x67, 20), (0x68, 5), (0x65, 800)])), "CCCCC");
    assert_eq!(priorities(&mut h264, &picture(&[(9, 1), (0x41, 800)])), ".....");
    // Parameter sets before a picture of another kind.
    assert_eq!(priorities(&mut h264, &picture(&[(9, 1), (0x67, 250), (0x41, 600)])), "CC...");
    let mut h265 = classifier(0x24);
    assert_eq!(priorities(&mut h265, &picture(&[(0x40, 20), (0x42, 30), (0x44, 5), (0x26, 500)])), "CCCC");
    assert_eq!(priorities(&mut h265, &picture(&[(0x02, 500)])), "...");
}

/// Wherever the packets are cut.
#[test]
fn a_unit_is_found_across_packets() {
    for before in 165..200 {
        let mut classifier = classifier(0x1b);
        let seen = priorities(&mut classifier, &picture(&[(0x41, before), (0x65, 400)]));
        assert!(seen.ends_with("CC") && !seen.starts_with("CCC"), "{before}: {seen}");
    }
}

#[test]
fn sound_and_what_is_not_known() {
    let mut classifier = classifier(0x1b);
    assert_eq!(
        classifier.classify(&packet(AUDIO, true, &[0, 0, 1, 0xc0, 0, 0, 0x80, 0, 0])),
        Priority::Audio
    );
    assert_eq!(classifier.classify(&packet(0x1fff, false, &[0xff; 184])), Priority::Normal);
    assert_eq!(classifier.classify(b"no transport stream"), Priority::Normal);
    assert_eq!(classifier.classify(&[]), Priority::Normal);
    // The most of what is in it, and with room for error correction.
    let mut both = packet(0x1fff, false, &[0xff; 184]);
    both.extend(packet(AUDIO, false, &[1; 184]));
    assert_eq!(classifier.classify(&both), Priority::Audio);
    let wide: Vec<u8> = both.chunks(PACKET).flat_map(|packet| [packet, &[0; 16]].concat()).collect();
    assert_eq!(classifier.classify(&wide), Priority::Audio);
}

/// A packet of `pid` that tells the clock.
fn reference(pid: u16, ticks: u64) -> Vec<u8> {
    let (base, extension) = (ticks / 300, (ticks % 300) as u16);
    let mut packet = packet(pid, false, &[]);
    packet[5] = 0x10;
    packet[6..10].copy_from_slice(&((base >> 1) as u32).to_be_bytes());
    packet[10] = (((base & 1) as u8) << 7) | 0x7e | (extension >> 8) as u8;
    packet[11] = extension as u8;
    packet
}

#[test]
fn the_clock_of_the_first_program_is_read() {
    let (first, last) = (987_654_321_012, CLOCK_PERIOD - 1);
    let mut reader = ClockReader::new();
    assert_eq!(reader.read(&reference(VIDEO, first)), None, "no table has come yet");
    // In one payload with the tables, and behind another program's.
    let all = [pat(), pmt(0x1b), reference(AUDIO, 1), reference(VIDEO, first), reference(VIDEO, 2)].concat();
    assert_eq!(reader.read(&all), Some(first));
    assert_eq!(reader.read(&reference(VIDEO, last)), Some(last));
    assert_eq!(reader.read(&packet(VIDEO, false, &[0; 150])), None, "a field without it");
    assert_eq!(reader.read(&packet(VIDEO, false, &[0; 184])), None, "no field");
    // Another map tells it elsewhere; one that tells none changes nothing.
    for (pid, kept) in [(AUDIO, AUDIO), (0x1fff, AUDIO), (VIDEO, VIDEO)] {
        let [high, low] = pid.to_be_bytes();
        reader.read(&packet(PMT, true, &section(2, &[0xe0 | high, low, 0xf0, 0])));
        assert_eq!(reader.read(&reference(kept, 7)), Some(7), "{pid:#x}");
    }
    assert_eq!(reader.read(&reference(AUDIO, 7)), None);
    // Anything may come.
    let cut = &reference(VIDEO, 5)[..100];
    assert_eq!((reader.read(cut), reader.read(&[SYNC; PACKET]), reader.read(&[])), (None, None, None));
}

/// A map of several packets, of which one is lost at first.
#[test]
fn a_long_table_is_put_together() {
    let mut body = vec![0xe1, 0x01, 0xf0, 0xc8];
    body.resize(body.len() + 200, 0xaa);
    body.extend_from_slice(&[0x0f, 0xe1, 0x02, 0xf0, 0]);
    let section = section(2, &body);
    let (first, second) = section.split_at(184);
    let mut classifier = Classifier::new();
    classifier.classify(&pat());
    let sound = packet(AUDIO, false, &[1; 184]);
    let parts = [packet(PMT, true, first), packet(PMT, false, second)];
    assert_eq!(priorities(&mut classifier, &[parts[1].clone(), sound.clone()]), "C.");
    assert_eq!(
        priorities(&mut classifier, &[parts[0].clone(), sound.clone(), parts[1].clone(), sound]),
        "C.CA"
    );
}

/// A map that comes in the middle of a keyframe is not its end; one of another codec is another stream.
#[test]
fn tables_change_what_they_say_and_nothing_else() {
    let mut classifier = classifier(0x1b);
    let mut packets = picture(&[(0x65, 800)]);
    packets.insert(2, pmt(0x1b));
    assert_eq!(priorities(&mut classifier, &packets), "CCCCCC");
    assert_eq!(priorities(&mut classifier, &[pmt(0x24), packet(VIDEO, false, &[1; 184])]), "C.");
    // Program and streams are gone.
    let empty = packet(PAT_PID, true, &section(0, &[]));
    assert_eq!(priorities(&mut classifier, &[empty, packet(AUDIO, false, &[1; 184])]), "C.");
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    /// Any bytes in any packets, between good ones: nothing panics, memory is bounded, and a keyframe that begins
    /// thereafter is found.
    #[test]
    fn noise_is_survived(
        noise in proptest::collection::vec((0u16..0x104, any::<bool>(), proptest::collection::vec(any::<u8>(), 0..184)), 0..40),
    ) {
        let mut classifier = classifier(0x1b);
        for (pid, starts, payload) in noise {
            classifier.classify(&packet(pid, starts, &payload));
            prop_assert!(classifier.programs.len() <= MAX_PROGRAMS);
            prop_assert!(classifier.streams.len() <= MAX_PROGRAMS * MAX_STREAMS);
        }
        classifier.classify(&pat());
        classifier.classify(&pmt(0x1b));
        prop_assert_eq!(priorities(&mut classifier, &picture(&[(0x65, 300)])), "CC");
    }

    /// Any units of any size: a packet is critical just when it holds a byte of a unit that is, less its prefix.
    #[test]
    fn packets_are_what_their_units_are(units in proptest::collection::vec((any::<bool>(), 1usize..500), 1..8)) {
        let mut classifier = classifier(0x1b);
        let given: Vec<_> = units.iter().map(|&(key, len)| (if key { 0x65 } else { 0x41 }, len)).collect();
        let mut marks = vec![false; 14];
        for &(key, len) in &units {
            // The prefix belongs to the unit before it, as far as can be known.
            let before = *marks.last().unwrap();
            marks.extend([before; 4]);
            marks.extend(vec![key; len + 1]);
        }
        let expected: String =
            marks.chunks(184).map(|part| if part.contains(&true) { 'C' } else { '.' }).collect();
        prop_assert_eq!(priorities(&mut classifier, &picture(&given)), expected);
    }
}
