#![expect(clippy::disallowed_methods, reason = "any instant will do")]

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use proptest::prelude::*;

use super::losses::Rate;
use super::*;

const MS: Duration = Duration::from_millis(1);

/// A payload of its own for each number; of `len` bytes, some of it null packets.
fn payload(number: u64, len: usize) -> Bytes {
    if len.is_multiple_of(3) {
        let packet = |place: u64| {
            let null = (number + place).is_multiple_of(3);
            let mut packet =
                if null { vec![0x47, 0x1f, 0xff, 0x10] } else { vec![0x47, 1, number as u8, place as u8] };
            packet.resize(188, 0xff);
            packet
        };
        return (0..1 + len as u64 % 7).flat_map(packet).collect();
    }
    (0..len).map(|i| (i as u64 * 7 + number % 256 * 13) as u8).collect()
}

fn block(
    first: u64,
    lens: &[usize],
    repairs: usize,
    nulls: bool,
) -> (HashMap<u64, (Bytes, u32)>, Vec<Repair>) {
    let (mut encoder, now) = (Encoder::new(nulls, 1440), Instant::now());
    let mut sent = HashMap::new();
    for (number, &len) in (first..).zip(lens) {
        let (payload, timestamp) = (payload(number, len), (number as u32).wrapping_mul(90));
        encoder.push(now, number, timestamp, payload.clone());
        sent.insert(number, (payload, timestamp));
    }
    let block = encoder.close(repairs).unwrap();
    assert_eq!((block.first, block.sources, block.repairs.len()), (first, lens.len(), repairs));
    (sent, block.repairs.iter().map(|repair| Repair::decode(repair).unwrap()).collect())
}

fn at(host: u8) -> (usize, IpAddr) {
    (0, [10, 0, 0, host].into())
}

fn arrived(now: Instant, first: u64) -> Arrived {
    Arrived { now, until: now + MS * 250, from: at(1), first }
}

/// Gives a decoder repair packets one by one, while `have` came.
fn repair(
    decoder: &mut Decoder,
    arrived: &Arrived,
    repairs: &[&Repair],
    have: &HashMap<u64, (Bytes, u32)>,
    end: u64,
) -> Vec<Repaired> {
    let window = (arrived.first, end);
    let give = |repair: &&Repair| decoder.repair(arrived, repair, window, &|number| find(have, number));
    repairs.iter().flat_map(give).collect()
}

fn find(have: &HashMap<u64, (Bytes, u32)>, number: u64) -> Option<(&Bytes, u32)> {
    have.get(&number).map(|(payload, timestamp)| (payload, *timestamp))
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    /// As many repair packets as packets were lost give them back, byte for byte; fewer give nothing.
    #[test]
    fn any_losses_up_to_the_repairs_are_given_back(
        first in 1u64..1 << 40,
        lens in proptest::collection::vec(0usize..=1424, 1..80),
        repairs in 1usize..24,
        lost in proptest::collection::vec(any::<proptest::sample::Index>(), 0..24),
        order in any::<u64>(),
        nulls: bool,
    ) {
        let (sent, coded) = block(first, &lens, repairs, nulls);
        let mut have = sent.clone();
        let mut lost: Vec<u64> = lost.iter().map(|index| first + index.index(lens.len()) as u64).collect();
        lost.sort_unstable();
        lost.dedup();
        for number in &lost {
            have.remove(number);
        }
        let mut coded: Vec<_> = coded.iter().collect();
        coded.rotate_left((order % repairs as u64) as usize);
        let (mut decoder, now) = (Decoder::default(), Instant::now());
        let end = first + lens.len() as u64;
        let given = repair(&mut decoder, &arrived(now, first), &coded, &have, end);
        if lost.is_empty() || lost.len() > repairs {
            prop_assert!(given.is_empty());
        } else {
            prop_assert_eq!(given.iter().map(|packet| packet.number).collect::<Vec<_>>(), lost);
            for packet in &given {
                let (payload, timestamp) = &sent[&packet.number];
                prop_assert_eq!((&packet.payload, packet.timestamp), (payload, *timestamp));
            }
            prop_assert_eq!(decoder.useless(), (repairs - given.len()) as u64);
        }
    }

    /// Packets of a block that come after its repair packets complete it as well.
    #[test]
    fn late_packets_of_a_block_complete_it(lens in proptest::collection::vec(1usize..1400, 3..40), at in any::<proptest::sample::Index>()) {
        let (sent, coded) = block(100, &lens, 2, false);
        let (end, late) = (100 + lens.len() as u64, 100 + at.index(lens.len()) as u64);
        let other = |step: u64| 100 + (late - 100 + step) % lens.len() as u64;
        let mut have = sent.clone();
        for number in [late, other(1), other(2)] {
            have.remove(&number);
        }
        let (mut decoder, now) = (Decoder::default(), Instant::now());
        prop_assert!(repair(&mut decoder, &arrived(now, 100), &coded.iter().collect::<Vec<_>>(), &have, end).is_empty());
        have.insert(late, sent[&late].clone());
        let given = decoder.source(now, late, 100, &|number| find(&have, number));
        prop_assert_eq!(given.len(), 2);
        prop_assert!(given.iter().all(|packet| (packet.payload.clone(), packet.timestamp) == sent[&packet.number]));
    }

    #[test]
    fn any_bytes_are_read_or_refused(payload: Vec<u8>) {
        let payload = Bytes::from(payload);
        if let Ok(repair) = Repair::decode(&payload) {
            prop_assert_eq!(repair.encode(), payload);
        }
    }
}

/// What is on the wire.
#[test]
fn a_repair_packet_is_byte_exact() {
    let repair = Repair {
        first: 0x0102_0304,
        sources: 40,
        repairs: 6,
        index: 5,
        nulls: false,
        shard: Bytes::from_static(b"\0\x05\0\0\0\0\0\x09hello\0"),
    };
    let bytes = repair.encode();
    assert_eq!(bytes, b"\x01\x28\x06\x05\x01\x02\x03\x04\0\x05\0\0\0\0\0\x09hello\0"[..]);
    assert_eq!(Repair::decode(&bytes), Ok(repair));
    let error = |bytes: &'static [u8]| Repair::decode(&Bytes::from_static(bytes)).unwrap_err();
    assert_eq!(error(b"\x01\x28\x06"), RepairError::Length(3));
    assert_eq!(error(b"\x01\x28\x06\x05\0\0\0\0seven.."), RepairError::Length(15));
}

/// Even where all that is coded is null packets.
#[test]
fn a_link_that_leaves_null_packets_out_leaves_repair_packets_alone() {
    let repair = Repair {
        first: 0,
        sources: 1,
        repairs: 1,
        index: 0,
        nulls: false,
        shard: Bytes::from(vec![0x47; 7 * 188 - 8]),
    };
    let bytes = repair.encode();
    assert_eq!(bytes.len(), 7 * 188);
    assert_eq!(crate::rist::extension::Nulls::remove(&bytes, &mut Vec::new()), None);
}

#[test]
fn what_cannot_be_a_repair_packet_is_refused() {
    let with = |change: fn(&mut Vec<u8>)| {
        let mut bytes = b"\x01\x28\x06\x05\0\0\0\0\0\0\0\0\0\0\0\0".to_vec();
        change(&mut bytes);
        Repair::decode(&bytes.into())
    };
    assert!(with(|_| {}).is_ok());
    assert_eq!(with(|bytes| bytes[0] = 0x47), Err(RepairError::Version(0x47)));
    assert_eq!(with(|bytes| bytes[1] = 0), Err(RepairError::Counts { sources: 0, repairs: 6, index: 5 }));
    assert_eq!(with(|bytes| bytes[1] = 129), Err(RepairError::Counts { sources: 129, repairs: 6, index: 5 }));
    assert_eq!(with(|bytes| bytes[2] = 65), Err(RepairError::Counts { sources: 40, repairs: 65, index: 5 }));
    assert_eq!(with(|bytes| bytes[3] = 6), Err(RepairError::Counts { sources: 40, repairs: 6, index: 6 }));
    assert_eq!(with(|bytes| bytes.push(0)), Err(RepairError::Length(17)));
    assert_eq!(with(|bytes| bytes.truncate(14)), Err(RepairError::Length(14)));
}

/// What does not fit what came gives nothing: no packet of another stream, however it was made.
#[test]
fn what_does_not_fit_together_gives_nothing() {
    let now = Instant::now();
    let (mut have, coded) = block(500, &[100; 10], 3, false);
    have.remove(&503);
    let mut decoder = Decoder::default();
    let forged = Repair { shard: Bytes::from(vec![0xff; coded[0].shard.len()]), ..coded[0].clone() };
    assert!(repair(&mut decoder, &arrived(now, 500), &[&forged], &have, 510).is_empty());
    // Of another length it is of another block, and the real one is none the worse.
    let longer = Repair { shard: Bytes::from(vec![0; 400]), ..coded[0].clone() };
    let mut decoder = Decoder::default();
    assert!(repair(&mut decoder, &arrived(now, 500), &[&longer], &have, 510).len() <= 1);
    assert_eq!(repair(&mut decoder, &arrived(now, 500), &[&coded[1]], &have, 510).len(), 1);
}

/// A repair packet of a block that no sender made.
fn forged(first: u64, sources: u8, repairs: u8, index: u64, shard: &Bytes) -> Repair {
    Repair {
        first: first as u32,
        sources,
        repairs,
        index: (index % u64::from(repairs)) as u8,
        nulls: false,
        shard: shard.clone(),
    }
}

/// What is kept is bounded in blocks and bytes.
#[test]
fn a_flood_of_repair_packets_is_bounded() {
    let (mut decoder, now) = (Decoder::default(), Instant::now());
    let shard = Bytes::from(vec![0; 1400]);
    for i in 0..20_000u64 {
        let first = 1000 + i % 700;
        let arrived = Arrived { from: at((i / 10) as u8), ..arrived(now, first) };
        decoder.repair(&arrived, &forged(first, 128, 64, i / 700, &shard), (1000, 1000), &|_| None);
        let (blocks, counted, bytes) = decoder.memory();
        assert!(blocks <= 64 && counted == bytes && bytes <= 2 << 20, "{blocks} blocks, {counted}, {bytes}");
    }
    assert!(decoder.useless() > 18_000);
    // What is over, or far ahead, is not kept.
    let (useless, repair) = (decoder.useless(), forged(0, 10, 2, 0, &shard));
    for first in [990, 1000 + 1025] {
        assert!(decoder.repair(&arrived(now, first), &repair, (1000, 1000), &|_| None).is_empty());
    }
    assert!(decoder.useless() >= useless + 2);
}

/// Blocks that can be solved, each at once: what is computed is bounded by time and by the bytes of the stream, not by the number of
/// repair packets, nor by that of packets with hardly anything in them.
#[test]
fn what_is_computed_is_bounded() {
    let (start, mut decoder) = (Instant::now(), Decoder::default());
    let have: HashMap<_, _> = (1000..1127).map(|number| (number, (Bytes::from_static(b"a"), 0))).collect();
    let (mut now, mut bytes) = (start, 0);
    for i in 0..20_000u64 {
        now = start + MS * i as u32 / 10;
        let lookup = |number| find(&have, number);
        decoder.source(now, 1000 + i % 127, 1000, &lookup);
        bytes += 1;
        // Of another length, so that it is of another block.
        let shard = Bytes::from(vec![0xff; 8 + 2 * (i as usize % 700)]);
        decoder.repair(&arrived(now, 1000), &forged(1000, 128, 64, i, &shard), (1000, 1127), &lookup);
    }
    // 35 ms of work per second, and 5 at once (a decode of 256 KiB takes 0.35 ms), of 7 to 18 s had every block been solved.
    let most = 2 * (32 << 20) + (4 << 20) + 4 * bytes;
    assert!(decoder.credit.spent > most / 2 && decoder.credit.spent <= most, "{}", decoder.credit.spent);
    assert!(decoder.throttled() > 10_000, "{}", decoder.throttled());
    // It goes on as soon as there is time for it.
    let (sent, coded) = block(2000, &[1316; 40], 2, false);
    let mut have = sent.clone();
    have.remove(&2007);
    now += MS * 20;
    assert_eq!(repair(&mut decoder, &arrived(now, 2000), &[&coded[0]], &have, 2040).len(), 1);
}

/// A datagram may be a small part of the memory it came in.
#[test]
fn what_is_kept_holds_no_other_memory() {
    let (mut decoder, now) = (Decoder::default(), Instant::now());
    let (_, coded) = block(100, &[1316; 40], 2, false);
    let owner = Arc::new(());
    struct Received(Bytes, #[expect(dead_code, reason = "counts who holds it")] Arc<()>);
    impl AsRef<[u8]> for Received {
        fn as_ref(&self) -> &[u8] {
            &self.0
        }
    }
    let datagram = Bytes::from_owner(Received(coded[0].encode(), owner.clone()));
    let taken = Repair::decode(&datagram).unwrap();
    drop(datagram);
    assert!(decoder.repair(&arrived(now, 100), &taken, (100, 140), &|_| None).is_empty());
    drop(taken);
    assert_eq!(decoder.memory(), (1, coded[0].shard.len(), coded[0].shard.len()));
    assert_eq!(Arc::strong_count(&owner), 1);
}

/// Blocks of a stream that falls silent are not kept for ever, nor are those that are whole.
#[test]
fn blocks_are_kept_until_their_packets_were_put_out() {
    let (mut decoder, now) = (Decoder::default(), Instant::now());
    let (_, coded) = block(100, &[1316; 40], 2, false);
    assert_eq!(decoder.due(), None);
    let of_next = block(140, &[9; 4], 2, false).1;
    decoder.repair(&arrived(now, 100), &coded[0], (100, 144), &|_| None);
    decoder.repair(&arrived(now + MS, 140), &of_next[0], (100, 144), &|_| None);
    assert_eq!(decoder.due(), Some(now + MS * 250));
    decoder.expire(now + MS * 249, 100);
    assert_eq!(decoder.memory().0, 2);
    decoder.expire(now + MS * 250, 100);
    assert_eq!((decoder.memory().0, decoder.useless()), (1, 1));
    decoder.expire(now + MS * 251, 100);
    assert_eq!((decoder.memory(), decoder.useless(), decoder.due()), ((0, 0, 0), 2, None));
}

/// Whoever floods displaces what it has sent itself, and not the block that is needed next.
#[test]
fn a_flood_from_elsewhere_displaces_nothing() {
    let (now, shard) = (Instant::now(), Bytes::from(vec![1; 1400]));
    for ahead in [0, 500] {
        let mut decoder = Decoder::default();
        let (sent, coded) = block(1000, &[1316; 40], 4, false);
        let mut have = sent.clone();
        for lost in [1003, 1004, 1030] {
            have.remove(&lost);
        }
        let mut given = 0;
        for coded in &coded {
            for i in 0..5000u64 {
                let first = 1000 + ahead + i % 500;
                let arrived = Arrived { from: at(2), ..arrived(now, first) };
                let repair = forged(first, 128, 64, i / 500, &shard);
                decoder.repair(&arrived, &repair, (1000, 1040), &|number| find(&have, number));
            }
            given += repair(&mut decoder, &arrived(now, 1000), &[coded], &have, 1040).len();
        }
        assert_eq!(given, 3, "{ahead}");
    }
}

/// One loss in fifty: each by itself, and in bursts of three.
#[test]
fn repairs_follow_share_and_bursts() {
    let needed = |share, burst, sources| Rate { share, burst }.repairs(sources);
    assert_eq!([0.002, 0.02, 0.05].map(|share| needed(share, 1.0, 50)), [1, 5, 9]);
    assert!((14..24).contains(&needed(0.02, 3.0, 50)), "{}", needed(0.02, 3.0, 50));
    assert_eq!(needed(0.5, 16.0, 100), MAX_REPAIRS);
    // Larger blocks need a smaller part.
    assert!(needed(0.02, 3.0, 100) < 2 * needed(0.02, 3.0, 50));
}

#[test]
fn share_and_bursts_are_seen_and_forgotten() {
    for burst in [1u64, 4] {
        let (start, mut losses) = (Instant::now(), Losses::default());
        let mut now = start;
        // Two in a hundred, at places that have nothing to do with groups.
        for number in 0..10_000u64 {
            now = start + MS * 2 * number as u32;
            losses.sent(now, number);
            if number % (50 * burst) < burst {
                losses.lost(number);
                losses.lost(number);
            }
            if number % 50 == 0 {
                losses.rate(now, MS * 200);
            }
        }
        let rate = losses.rate(now, MS * 200).unwrap();
        assert!((0.015..0.03).contains(&rate.share), "{rate:?}");
        // Bursts of one length vary less than those of any.
        assert!((rate.burst - f64::midpoint(burst as f64, 1.0)).abs() < 0.7, "{rate:?}");
        for number in 10_000..30_000u64 {
            now = start + MS * 2 * number as u32;
            losses.sent(now, number);
            losses.rate(now, MS * 200);
        }
        assert_eq!(losses.rate(now, MS * 200), None);
    }
}

#[test]
fn a_block_ends_in_time_or_when_it_is_full() {
    let (now, mut encoder) = (Instant::now(), Encoder::default());
    assert!(!encoder.is_due(now, MS) && encoder.close(3).is_none());
    encoder.push(now, 7, 0, payload(7, 100));
    assert!(!encoder.is_due(now + MS * 99, MS * 100) && encoder.is_due(now + MS * 100, MS * 100));
    // A number that does not follow begins another block.
    encoder.push(now + MS, 9, 0, payload(9, 100));
    assert_eq!(encoder.len(), 1);
    for number in 10..9 + MAX_SOURCES as u64 {
        assert!(!encoder.is_due(now, MS * 100));
        encoder.push(now, number, 0, payload(number, 100));
    }
    assert!(encoder.is_due(now, MS * 100));
    let block = encoder.close(500).unwrap();
    assert_eq!((block.first, block.sources, block.repairs.len()), (9, MAX_SOURCES, MAX_REPAIRS));
    assert!(encoder.is_empty());
}
