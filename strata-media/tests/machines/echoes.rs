//! Echoes as they are on the wire (TR-06-1:2020, 5.2.6): whose they are, and for how long an answer says that it was held. In virtual
//! time.

use std::time::Duration;

use crate::wire::{Listens, Wire, parts};
use crate::world::MS;
use strata_media::rist::rtcp::Packet;

/// Echo requests among what was said: the SSRC of each, and the time stamp.
fn requests<'a>(said: impl IntoIterator<Item = &'a [u8]>) -> Vec<(u32, u64)> {
    let request = |packet: &Packet<'_>| match *packet {
        Packet::EchoRequest { ssrc, timestamp, .. } => Some((ssrc, timestamp)),
        _ => None,
    };
    said.into_iter().flat_map(|data| parts(data).iter().filter_map(request).collect::<Vec<_>>()).collect()
}

/// An answer: when it was sent, its SSRC, its time stamp, and for how long it says that it was held; of a report's last packet.
fn answer(data: &[u8], at: Duration) -> Option<(Duration, u32, u64, Duration)> {
    parts(data).iter().find_map(|packet| match *packet {
        Packet::EchoResponse { ssrc, timestamp, processing_us } => {
            Some((at, ssrc, timestamp, Duration::from_micros(processing_us.into())))
        }
        _ => None,
    })
}

#[test]
fn a_sender_asks_in_the_name_of_its_media() {
    let mut wire = Wire::new();
    wire.run(3000);
    let asked = requests(wire.reports.iter().map(|(data, _)| &data[..]));
    assert!(asked.len() > 60, "{asked:?}");
    assert!(
        asked.iter().all(|&(ssrc, _)| ssrc == wire.sender.ssrc()),
        "{:#x}: {asked:x?}",
        wire.sender.ssrc()
    );
}

/// Its name is not the media's: a report says it first.
#[test]
fn a_receiver_asks_in_its_own_name() {
    let mut listens = Listens::new();
    listens.run(3000, |at| at % 50 == 0);
    let names: Vec<_> = listens
        .sent
        .iter()
        .map(|(.., data)| u32::from_be_bytes([data[4], data[5], data[6], data[7]]))
        .collect();
    let own = names[0];
    assert!(own != Listens::SSRC && names.iter().all(|&name| name == own), "{names:x?}");
    let asked = requests(listens.sent.iter().map(|(.., data)| &data[..]));
    assert!(asked.len() > 60 && asked.iter().all(|&(ssrc, _)| ssrc == own), "{own:#x}: {asked:x?}");
}

/// Whom it knows by what he tells of arrivals is answered with the next report, and told how long that took; anybody else at once.
#[test]
fn a_sender_says_for_how_long_it_held_an_answer() {
    let mut wire = Wire::new();
    wire.run(200);
    let (mut asked, mut answered) = (Vec::new(), Vec::new());
    for round in 0..40 {
        let data = wire
            .reports
            .iter()
            .zip(&wire.rtcp)
            .filter(|(_, (link, _))| *link == 0)
            .map(|((data, _), _)| &data[..]);
        let newest = requests(data).last().expect("it asks").1;
        wire.tell(0, |writer| {
            writer.echo_response(Wire::PEER, newest, 0, &[]);
            writer.congestion_feedback(Wire::PEER, [], round << 12);
        });
        let link = round as usize % 2;
        asked.push((link, wire.since()));
        wire.tell(link, |writer| writer.echo_request(Wire::PEER, round.into()));
        wire.run(57);
    }
    wire.run(100);
    for ((data, _), &(link, at)) in wire.reports.iter().zip(&wire.rtcp) {
        answered.extend(answer(data, at).map(|answer| (link, answer)));
    }
    assert_eq!(answered.len(), asked.len(), "each is answered, and once");
    let mut longest = [Duration::ZERO; 2];
    for (link, (at, ssrc, timestamp, held)) in answered {
        assert_eq!(ssrc, wire.sender.ssrc());
        assert_eq!((link, at - held), asked[timestamp as usize], "it was held from when it was asked for");
        longest[link] = longest[link].max(held);
    }
    assert!(longest[0] > MS * 20 && longest[1].is_zero(), "{longest:?}");
}

#[test]
fn a_receiver_answers_at_once_and_says_so() {
    let mut listens = Listens::new();
    listens.run(500, |_| false);
    for stamp in 0..20u64 {
        listens.run(33, |_| false);
        let said = listens.sent.len();
        listens.take_rtcp(stamp as usize % 2, |writer| writer.echo_request(Listens::SSRC, stamp));
        let (own, at) = (listens.sent[0].2[4..8].to_vec(), Duration::ZERO);
        let answers: Vec<_> = listens.sent[said..]
            .iter()
            .filter_map(|(link, _, data)| Some((*link, answer(data, at)?)))
            .collect();
        let [(link, (_, ssrc, timestamp, held))] = answers[..] else { panic!("{answers:?}") };
        assert_eq!(
            (link, ssrc.to_be_bytes().to_vec(), timestamp, held),
            (stamp as usize % 2, own, stamp, Duration::ZERO)
        );
    }
}

/// What comes after 80 ms, of which 30 were the peer's, was 50 under way.
#[test]
fn the_time_that_an_answer_was_held_is_no_part_of_the_way() {
    let mut wire = Wire::new();
    for _ in 0..10 {
        wire.run(20);
        let stamps = requests(wire.reports.iter().map(|(data, _)| &data[..]));
        let newest = wire.rtcp.iter().zip(&stamps).rfind(|((link, _), _)| *link == 0);
        let (&(_, at), &(_, stamp)) = newest.expect("each report asks");
        wire.run((at + MS * 80 - wire.since()).as_millis() as u32);
        wire.tell(0, |writer| writer.echo_response(Wire::PEER, stamp, 30_000, &[]));
    }
    let rtt = wire.sender.stats(wire.now).links[0].rtt_ms.unwrap_or_default();
    assert!((rtt - 50.0).abs() < 0.001, "{rtt} ms");
    let mut listens = Listens::new();
    listens.answers = (80, 30);
    listens.run(3000, |_| false);
    for path in listens.receiver.stats(listens.now()).paths {
        assert_eq!(path.rtt, Some(MS * 50));
    }
}
