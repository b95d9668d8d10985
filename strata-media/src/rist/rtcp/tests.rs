use bytes::Bytes;
use proptest::prelude::*;

use super::*;
use crate::rist::DecodeError;

fn hex(text: &str) -> Vec<u8> {
    let digits: Vec<u8> = text.bytes().filter(|b| !b.is_ascii_whitespace()).collect();
    digits.chunks(2).map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap()).collect()
}

fn written(write: impl FnOnce(&mut Writer)) -> Bytes {
    let mut writer = Writer::new();
    write(&mut writer);
    writer.finish()
}

fn losses(datagram: &[u8]) -> Vec<(u16, u16)> {
    let mut found = Vec::new();
    for packet in Compound::parse(datagram).unwrap() {
        if let Packet::Nack { losses, .. } = packet.unwrap() {
            found.extend(losses.map(|loss| (loss.first, loss.additional)));
        }
    }
    found
}

/// Two runs, one of an odd number of packets; a packet that did not arrive, and one that did too long ago.
#[test]
fn congestion_feedback_is_byte_exact() {
    let runs = [
        Run { ssrc: 0xaabb_ccdc, first: 0xfffe, offsets: &[Some(3), None, Some(0x3fff)] },
        Run { ssrc: 0xaabb_ccdd, first: 7, offsets: &[Some(0), Some(1)] },
    ];
    let bytes = written(|w| {
        w.receiver_report(7, None);
        w.congestion_feedback(7, runs, 0x0102_0304);
    });
    let expected = "80c90001 00000007  8bcd0009 00000007 aabbccdc fffe0003 80030000 9ffe0000
                    aabbccdd 00070002 80008001 01020304";
    assert_eq!(bytes, hex(expected));
    let Some(Ok(Packet::Feedback { ssrc: 7, arrivals, timestamp: 0x0102_0304 })) =
        Compound::parse(&bytes).unwrap().nth(1)
    else {
        panic!("no feedback");
    };
    let arrived: Vec<_> = arrivals.map(|arrival| (arrival.ssrc, arrival.sequence, arrival.offset)).collect();
    let (original, repeated) = (0xaabb_ccdc, 0xaabb_ccdd);
    let expected = [(original, 0xfffe, 3), (original, 0, MAX_OFFSET), (repeated, 7, 0), (repeated, 8, 1)];
    assert_eq!(arrived, expected);
}

/// Whatever the runs and the room are, the parts tell the same, and each fits.
#[test]
fn parts_of_feedback_fit_and_tell_everything() {
    let mut runs = Runs::default();
    for (ssrc, first, count) in [(2, 0xfff0, 700), (2, 900, 1), (2, 903, 37), (3, 5, 2), (3, 90, 640)] {
        runs.begin(ssrc, first, 0);
        (1..count).step_by(2).for_each(|i| runs.extend(u16::from(i % 3 == 1), i));
    }
    let told = |runs: &[Run<'_>]| -> Vec<_> {
        let bytes = written(|w| {
            w.receiver_report(7, None);
            w.congestion_feedback(7, runs.iter().copied(), 1);
        });
        match Compound::parse(&bytes).unwrap().nth(1) {
            Some(Ok(Packet::Feedback { arrivals, .. })) => {
                arrivals.map(|a| (a.ssrc, a.sequence, a.offset)).collect()
            }
            other => panic!("{other:?}"),
        }
    };
    let whole: Vec<_> = runs.parts(usize::MAX).flat_map(|part| part.runs()).collect();
    assert_eq!(whole.len(), 5);
    for room in [12, 13, 40, 100, 1160, 10_000] {
        let parts: Vec<Vec<_>> = runs.parts(room).map(|part| part.runs().collect()).collect();
        for part in &parts {
            let len = written(|w| w.congestion_feedback(7, part.iter().copied(), 1)).len();
            assert!(!part.is_empty() && len <= room + Writer::FEEDBACK_LEN, "{len} > {room}");
        }
        assert_eq!(parts.iter().flat_map(|part| told(part)).collect::<Vec<_>>(), told(&whole), "{room}");
    }
}

/// A count that its packets do not fill.
#[test]
fn a_run_that_is_cut_is_refused() {
    let bytes = hex("80c90001 00000007  8bcd0004 00000007 aabbccdc 00000009 00000000");
    let refused = Compound::parse(&bytes).unwrap().nth(1);
    assert!(matches!(refused, Some(Err(DecodeError::Short { need: 40, have: 20, .. }))), "{refused:?}");
}

#[test]
fn capabilities_are_byte_exact() {
    let bytes = written(|w| {
        w.receiver_report(7, None);
        w.capabilities(8, TAKES_FEEDBACK);
    });
    assert_eq!(bytes, hex("80c90001 00000007  90cc0003 00000008 53545241 00000001"));
    let told = Compound::parse(&bytes).unwrap().nth(1);
    assert!(matches!(told, Some(Ok(Packet::Capabilities { ssrc: 8, capabilities: TAKES_FEEDBACK }))));
}

#[test]
fn picture_loss_is_byte_exact() {
    let bytes = written(|w| {
        w.receiver_report(7, None);
        w.picture_loss(7, 0xaabb_ccdc);
    });
    assert_eq!(bytes, hex("80c90001 00000007  81ce0002 00000007 aabbccdc"));
    let told = Compound::parse(&bytes).unwrap().nth(1);
    assert!(matches!(told, Some(Ok(Packet::PictureLoss { media_ssrc: 0xaabb_ccdc }))), "{told:?}");
    // Another format of the same type is passed over, and one without its source is refused.
    let other = hex("80c90001 00000007  82ce0002 00000007 aabbccdc");
    assert!(matches!(Compound::parse(&other).unwrap().nth(1), Some(Ok(Packet::Other { packet_type: 206 }))));
    let cut = hex("80c90001 00000007  81ce0001 00000007");
    assert!(matches!(Compound::parse(&cut).unwrap().nth(1), Some(Err(DecodeError::Short { .. }))));
}

/// The compound librist sends by default: empty RR, SDES, range NACK with one packet.
#[test]
fn range_nack_is_byte_exact() {
    let bytes = written(|w| {
        w.receiver_report(0x0102_0304, None);
        w.source_description(0x0102_0304, "strata");
        w.range_nack(0xaabb_ccdd, &[Loss { first: 0xfffe, additional: 3 }]);
    });
    let expected = "80c90001 01020304  81ca0004 01020304 0106 737472617461 00000000
                    80cc0003 aabbccdd 52495354 fffe0003";
    assert_eq!(bytes, hex(expected));
    assert_eq!(losses(&bytes), [(0xfffe, 3)]);
}

#[test]
fn extended_sequence_is_byte_exact() {
    let bytes = written(|w| {
        w.receiver_report(7, None);
        w.extended_sequence(0xaabb_ccdd, 0x0102);
    });
    assert_eq!(bytes, hex("80c90001 00000007  81cc0003 aabbccdd 52495354 01020000"));
    let last = Compound::parse(&bytes).unwrap().last().unwrap().unwrap();
    assert!(matches!(last, Packet::ExtendedSequence { media_ssrc: 0xaabb_ccdd, upper: 0x0102 }), "{last:?}");
}

#[test]
fn bitmask_nack_is_byte_exact() {
    let bytes = written(|w| {
        w.receiver_report(7, None);
        w.bitmask_nack(0, 0xaabb_ccdd, &[(0xffff, 0b1000_0000_0000_0101)]);
    });
    assert_eq!(bytes, hex("80c90001 00000007  81cd0003 00000000 aabbccdd ffff8005"));
    // PID, PID+1, PID+3, PID+16, over the wrap.
    assert_eq!(losses(&bytes), [(0xffff, 1), (2, 0), (15, 0)]);
}

#[test]
fn reports_are_byte_exact() {
    let bytes = written(|w| w.sender_report(1, 0x1111_2222_3333_4444, 5, 6, 7));
    assert_eq!(bytes, hex("80c80006 00000001 11112222 33334444 00000005 00000006 00000007"));
    let block = ReportBlock {
        ssrc: 2,
        fraction_lost: 3,
        cumulative_lost: -1,
        highest: 5,
        jitter: 6,
        last_report: 7,
        delay: 8,
    };
    let bytes = written(|w| w.receiver_report(1, Some(&block)));
    assert_eq!(bytes, hex("81c90007 00000001 00000002 03ffffff 00000005 00000006 00000007 00000008"));
    let Some(Ok(Packet::ReceiverReport { ssrc: 1, mut blocks })) = Compound::parse(&bytes).unwrap().next()
    else {
        panic!("no receiver report");
    };
    assert_eq!((blocks.next(), blocks.next()), (Some(block), None));
}

#[test]
fn echo_is_byte_exact() {
    let request = written(|w| {
        w.receiver_report(1, None);
        w.echo_request(1, 0x0001_0203_0405_0607);
    });
    assert_eq!(request, hex("80c90001 00000001  82cc0005 00000001 52495354 00010203 04050607 00000000"));
    let response = written(|w| w.echo_response(1, 0x0001_0203_0405_0607, 9, &[0; 6]));
    assert_eq!(response, hex("83cc0006 00000001 52495354 00010203 04050607 00000009 00000000"));
}

/// A name ends with one to four zero bytes, so that its length is a multiple of four.
#[test]
fn source_description_is_padded() {
    for (cname, zeroes) in [("a", 1), ("ab", 4), ("abc", 3), ("abcd", 2), ("abcde", 1)] {
        let bytes = written(|w| {
            w.receiver_report(1, None);
            w.source_description(1, cname);
        });
        assert_eq!(bytes.len() % 4, 0);
        assert_eq!(bytes.iter().rev().take_while(|&&b| b == 0).count(), zeroes, "{cname}");
        let packets: Vec<_> = Compound::parse(&bytes).unwrap().collect::<Result<_, _>>().unwrap();
        assert!(
            matches!(packets[1], Packet::SourceDescription { ssrc: 1, cname: c } if c == cname.as_bytes())
        );
    }
}

/// The first report of a librist receiver: RR, SDES, XR with RRTR, echo request.
#[test]
fn extended_report_is_tolerated() {
    let bytes = hex("80c90001 00000001  81ca0003 00000001 01026162 00000000
                     80cf0004 00000001 04000002 11112222 33334444
                     82cc0005 00000001 52495354 00010203 04050607 00000000");
    let packets: Vec<_> = Compound::parse(&bytes).unwrap().collect::<Result<_, _>>().unwrap();
    assert_eq!(packets.len(), 4);
    assert!(matches!(packets[2], Packet::ExtendedReport { ssrc: 1 }));
    assert!(matches!(packets[3], Packet::EchoRequest { timestamp: 0x0001_0203_0405_0607, .. }));
}

#[test]
fn padding_of_the_last_packet_is_taken_away() {
    let bytes = hex("80c90001 00000001  a0cc0004 00000002 52495354 00050001 00000004");
    assert_eq!(losses(&bytes), [(5, 1)]);
}

/// What GStreamer's `ristsrc` 1.22 sent: empty RR, SDES, and of two requests only the numbers.
#[test]
fn a_request_without_its_header_is_read() {
    let report = "80c90001 6ff0aaeb  81ca0004 6ff0aaeb 0106 737472617461 00000000";
    for (numbers, expected) in [
        ("ba250000 ba430002", &[(0xba25, 0), (0xba43, 2)][..]),
        // Like a padded sender report that is too short to be one.
        ("a0c80000", &[(0xa0c8, 0)]),
    ] {
        let bytes = hex(&format!("{report} {numbers}"));
        let parts: Vec<_> = Compound::parse(&bytes).unwrap().map(Result::unwrap).collect();
        let [Packet::ReceiverReport { .. }, Packet::SourceDescription { .. }, Packet::Remnant { losses }] =
            parts.as_slice()
        else {
            panic!("{parts:?}")
        };
        let read: Vec<_> = losses.clone().map(|loss| (loss.first, loss.additional)).collect();
        assert_eq!(read, expected);
    }
    // Not first, not of a length of words, not without the padding bit.
    for refused in ["ba250000".to_owned(), format!("{report} ba250000 ba43"), format!("{report} 3a250000")] {
        assert!(Compound::parse(&hex(&refused)).is_err(), "{refused}");
    }
}

#[test]
fn broken_outlines_are_told_apart() {
    let parse = |text: &str| Compound::parse(&hex(text)).unwrap_err();
    assert_eq!(parse(""), DecodeError::Truncated { at: 0, need: 4, have: 0 });
    assert_eq!(parse("80c90001"), DecodeError::Truncated { at: 0, need: 8, have: 4 });
    assert_eq!(parse("00c90001 00000001"), DecodeError::Version { at: 0, version: 0 });
    assert_eq!(parse("80cc0002 00000001 52495354"), DecodeError::NotCompound(204));
    assert_eq!(parse("80c90001 00000001 80"), DecodeError::Truncated { at: 8, need: 4, have: 1 });
    assert_eq!(parse("a0c90001 00000009"), DecodeError::Padding { padding: 9, have: 4 });
    let bytes = hex("80c80001 00000001");
    let error = Compound::parse(&bytes).unwrap().next().unwrap().unwrap_err();
    assert_eq!(error, DecodeError::Short { at: 0, packet_type: 200, need: 28, have: 8 });
}

proptest! {
    #[test]
    fn arbitrary_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..256)) {
        if let Ok(compound) = Compound::parse(&bytes) {
            for packet in compound.flatten() {
                match packet {
                    Packet::Nack { losses, .. } => { losses.count(); }
                    Packet::ReceiverReport { blocks, .. } => { blocks.count(); }
                    _ => {}
                }
            }
        }
    }

    #[test]
    fn bitmask_says_what_range_says(first: u16, mask: u16) {
        let bytes = written(|w| { w.receiver_report(1, None); w.bitmask_nack(1, 2, &[(first, mask)]); });
        let numbers: Vec<u16> = losses(&bytes)
            .into_iter()
            .flat_map(|(first, additional)| (0..=additional).map(move |i| first.wrapping_add(i)))
            .collect();
        let expected: Vec<u16> = std::iter::once(first)
            .chain((0..16).filter(|bit| mask >> bit & 1 == 1).map(|bit| first.wrapping_add(bit + 1)))
            .collect();
        prop_assert_eq!(numbers, expected);
    }
}
