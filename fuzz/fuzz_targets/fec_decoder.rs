//! The decoder of repair packets under any sequence of operations: packets of a stream that come, late or never, the repair
//! packets of its blocks, forged ones, and time that passes. What it gives back of blocks nobody forged is what was sent.
#![no_main]
#![expect(clippy::disallowed_methods, reason = "any instant will do")]

use std::collections::HashMap;
use std::net::IpAddr;
use std::time::{Duration, Instant};

use bytes::Bytes;
use libfuzzer_sys::fuzz_target;
use strata_media::fec::{Arrived, Decoder, Encoder, Repair, Repaired};

struct Bytecode<'a>(&'a [u8]);

impl<'a> Bytecode<'a> {
    fn take(&mut self, len: usize) -> &'a [u8] {
        let (head, tail) = self.0.split_at(len.min(self.0.len()));
        self.0 = tail;
        head
    }

    fn byte(&mut self) -> u8 {
        self.take(1).first().copied().unwrap_or(0)
    }
}

fn find(came: &HashMap<u64, (Bytes, u32)>, number: u64) -> Option<(&Bytes, u32)> {
    came.get(&number).map(|(payload, timestamp)| (payload, *timestamp))
}

fn arrived(now: Instant, first: u64, host: u8) -> Arrived {
    let from = (0, IpAddr::from([10, 0, 0, host]));
    Arrived { now, until: now + Duration::from_millis(100), from, first }
}

fuzz_target!(|data: &[u8]| {
    let mut code = Bytecode(data);
    let mut now = Instant::now();
    let (mut encoder, mut decoder) = (Encoder::default(), Decoder::default());
    let (mut next, mut end, mut forged) = (1000u64, 1000u64, false);
    let mut sent: HashMap<u64, (Bytes, u32)> = HashMap::new();
    let mut came: HashMap<u64, (Bytes, u32)> = HashMap::new();
    let mut coded: Vec<(u64, Repair)> = Vec::new();
    while !code.0.is_empty() {
        let op = code.byte();
        let given = match op % 8 {
            // A packet is sent, and comes or not.
            0..=2 => {
                let payload = Bytes::copy_from_slice(code.take(usize::from(op >> 3)));
                encoder.push(now, end, end as u32 * 90, payload.clone());
                sent.insert(end, (payload.clone(), end as u32 * 90));
                end += 1;
                if op % 8 == 2 {
                    continue;
                }
                came.insert(end - 1, (payload, (end - 1) as u32 * 90));
                decoder.source(now, end - 1, next, &|number| find(&came, number))
            }
            3 => {
                let block = encoder.close(usize::from(op >> 3));
                let repairs = block.into_iter().flat_map(|block| {
                    let decode = move |repair| Some((block.first, Repair::decode(&repair).ok()?));
                    block.repairs.into_iter().filter_map(decode)
                });
                coded.extend(repairs);
                continue;
            }
            // A repair packet comes.
            4 => {
                let index = usize::from(code.byte()) % coded.len().max(1);
                let Some((first, repair)) = coded.get(index).cloned() else { continue };
                decoder.repair(&arrived(now, first, op >> 3), &repair, (next, end), &|number| {
                    find(&came, number)
                })
            }
            // A forged one comes.
            5 => {
                let len = usize::from(code.byte()) % 64 + 8;
                let Ok(repair) = Repair::decode(&Bytes::copy_from_slice(code.take(len))) else { continue };
                forged = true;
                let first = next.saturating_sub(100) + u64::from(repair.first % 2048);
                decoder.repair(&arrived(now, first, op >> 3), &repair, (next, end), &|number| {
                    find(&came, number)
                })
            }
            // A packet comes late.
            6 => {
                let number = next + u64::from(op >> 3);
                let Some(packet) = sent.get(&number).cloned() else { continue };
                came.insert(number, packet);
                decoder.source(now, number, next, &|number| find(&came, number))
            }
            _ => {
                now += Duration::from_millis(u64::from(op >> 3));
                decoder.expire(now, next);
                next = (next + u64::from(op >> 3)).min(end);
                came.retain(|&number, _| number + 256 >= next);
                continue;
            }
        };
        for Repaired { number, timestamp, payload } in given {
            assert!(!came.contains_key(&number), "gives back what came");
            if !forged {
                assert_eq!(sent.get(&number), Some(&(payload.clone(), timestamp)));
            }
            came.insert(number, (payload, timestamp));
        }
    }
});
