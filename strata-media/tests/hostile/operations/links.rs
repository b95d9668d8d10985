//! A bond whose links come, go, change and are let rest, with parameters that change, under any sequence of operations, while payloads
//! and answers pass. Nothing is sent by a link that is not there or not to be used, and what is kept is bounded.

use std::time::{Duration, Instant};

use bytes::Bytes;
use strata_media::bond::sender::{Input, Output};
use strata_media::bond::{BondConfig, BondLink, Cost, MAX_LINKS, SchedulerParams, Sender};
use strata_media::rist::rtcp::{Loss, TAKES_FEEDBACK, TAKES_REPAIRS, Writer};

use super::Bytecode;

/// What somebody may ask for; as often as not it cannot be.
fn params(code: &mut Bytecode<'_>) -> SchedulerParams {
    let mut time = || Duration::from_millis(u64::from(code.half()));
    let mut params = SchedulerParams::default();
    params.discard_deadline = Some(time()).filter(|time| !time.is_zero());
    params.max_ahead = Some(time() / 64).filter(|time| !time.is_zero());
    params.storm.unreliable_max_age = time();
    params.failover.suspect_after = time();
    params.failover.readmit_after = time();
    let mut share = || f64::from(code.byte()) / 200.0;
    params.redundancy.spare_ratio = share();
    params.storm.reliable_weight = share();
    params.fec.max_ratio = share();
    params.redundancy.target_links = usize::from(code.byte()) % 80;
    params.critical_broadcast.target_links = usize::from(code.byte()) % 80;
    let flags = code.byte();
    params.redundancy.enabled = flags & 1 != 0;
    params.critical_broadcast.enabled = flags & 2 != 0;
    params.storm.enabled = flags & 4 != 0;
    params.fec.enabled = flags & 8 != 0;
    params
}

fn link(code: &mut Bytecode<'_>) -> BondLink {
    let (id, kind) = (code.byte().into(), code.byte());
    let cost = [Cost::Free, Cost::Free, Cost::Backup, Cost::Metered][usize::from(kind % 4)];
    let cap_bytes = (kind & 4 != 0).then(|| u64::from(code.half()) * 16);
    BondLink { id, cost, cap_bytes, weight: (kind >> 4).into(), ..BondLink::default() }
}

/// Runs the operations that `data` stands for.
pub fn run(start: Instant, data: &[u8]) {
    let mut code = Bytecode(data);
    let mut now = start;
    let mut sender = Sender::new(now, BondConfig::new(vec![BondLink::default()], 1));
    let ssrc = sender.ssrc();
    // Which links there are, and of each whether it is to be used and whether it can be.
    let mut usable = vec![Some([true; 2])];
    let (mut echoes, mut payload) = (Vec::new(), Bytes::from_static(&[0x47; 1316]));
    while !code.0.is_empty() {
        let op = code.byte();
        let place = usize::from(op >> 4);
        let input = match op % 16 {
            0 => {
                now += Duration::from_millis(code.byte().into());
                Input::Timeout
            }
            1 | 2 => Input::Payload(payload.clone()),
            3 => {
                // One that is a table or not, and of another length.
                let len = 188 * (1 + usize::from(code.byte() % 7));
                let mut packet = vec![0x47; len];
                packet[..4].copy_from_slice(&[0x47, 0x40, code.byte() % 32, 0x10]);
                payload = packet.into();
                continue;
            }
            4 => {
                let place = place.min(usable.len());
                if place < MAX_LINKS {
                    usable.resize(usable.len().max(place + 1), None);
                    usable[place].get_or_insert([true; 2]);
                }
                Input::Link { link: place, config: link(&mut code) }
            }
            5 => {
                usable.get_mut(place).map(Option::take);
                Input::Remove { link: place }
            }
            6 => Input::Readdress { link: place },
            7 => {
                let enabled = code.byte() & 1 == 1;
                if let Some(Some(link)) = usable.get_mut(place) {
                    link[0] = enabled;
                }
                Input::Enable { link: place, enabled }
            }
            8 => {
                let works = code.byte() & 1 == 1;
                if let Some(Some(link)) = usable.get_mut(place) {
                    link[1] = works;
                }
                Input::LinkError { link: place, error: (!works).then(|| "gone".to_owned()) }
            }
            9 => Input::Carried { link: place, bytes: code.half().into() },
            10 => Input::Latency(Duration::from_millis(u64::from(code.half()) + 1)),
            11 => match params(&mut code) {
                params if params.check().is_ok() => Input::Scheduler(params),
                _ => continue,
            },
            // Answers, by links that are there or not any more.
            kind => {
                let mut writer = Writer::new();
                writer.receiver_report(9, None);
                let mut link = place;
                match kind {
                    12 => {
                        let Some((asked, stamp)) = echoes.pop() else { continue };
                        link = asked;
                        writer.echo_response(9, stamp, 0, &[]);
                    }
                    13 => writer
                        .range_nack(ssrc, &[Loss { first: code.half(), additional: code.byte().into() }]),
                    14 => writer.capabilities(9, TAKES_FEEDBACK | TAKES_REPAIRS),
                    _ => writer.picture_loss(9, ssrc),
                }
                if link < usable.len() {
                    sender.handle_input(now, Input::Rtcp { link, data: &writer.finish() });
                }
                Input::Timeout
            }
        };
        sender.handle_input(now, input);
        for round in 0.. {
            assert!(round < 100_000, "does not come to an end");
            let (link, rtcp) = match sender.poll_output() {
                Output::Timeout(at) if at <= now => {
                    sender.handle_input(now, Input::Timeout);
                    continue;
                }
                Output::Timeout(_) => break,
                Output::Rtp { link, .. } => (link, None),
                Output::Rtcp { link, data } => (link, Some(data)),
                output => panic!("{output:?} is not known"),
            };
            assert_eq!(usable.get(link), Some(&Some([true; 2])), "by link {link}");
            // SR, SDES, then the echo request: its time stamp is 12 bytes from its start.
            let stamp = rtcp
                .and_then(|data| Some(u64::from_be_bytes(*data.split_last_chunk::<12>()?.1.first_chunk()?)));
            if let Some(stamp) = stamp.filter(|_| echoes.len() < 64) {
                echoes.push((link, stamp));
            }
        }
        let stats = sender.stats(now);
        assert!(stats.pending <= 4096);
        assert_eq!(stats.links.len(), usable.iter().flatten().count());
    }
}
