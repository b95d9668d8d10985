//! Receiver reports, requests and feedback of who has not shown that anything reaches it: a sender that is lied to sends its
//! stream all the same.

use std::collections::HashSet;

use bytes::Bytes;
use strata_media::bond::sender::{Input, Output};
use strata_media::bond::{BondConfig, BondLink, BondStats, LinkState, Sender};
use strata_media::rist::rtcp::{Compound, Loss, Packet, ReportBlock, Run, TAKES_FEEDBACK, Writer};
use strata_media::rist::rtp::Header;

use super::{MS, start};

/// What a liar goes by.
#[derive(Default)]
struct Known {
    /// Time since the start, ms.
    ms: u32,
    ssrc: u32,
    /// Number of the newest packet.
    newest: u16,
    /// The middle of the NTP time of the newest sender report, and when that was sent, ms.
    report: (u32, u32),
}

/// Packets in ten seconds: less than a link is taken to carry of which nothing is known.
const GIVEN: u32 = 3333;

/// 3.5 Mbit/s for ten seconds by `links` links, and 100 datagrams a second by each of them of who answers no echo request.
fn sent_to(links: usize, lie: impl Fn(&Known, &mut Writer)) -> (usize, BondStats) {
    sent_every(3, links, lie)
}

/// A packet every so many milliseconds for ten seconds by `links` links, and 100 datagrams a second by each of them of who answers no echo request: how many
/// packets were sent, and what was counted.
fn sent_every(pace: u32, links: usize, lie: impl Fn(&Known, &mut Writer)) -> (usize, BondStats) {
    let mut now = start();
    let mut sender = Sender::new(now, BondConfig::new(vec![BondLink::default(); links], 1));
    let (mut known, mut sent) = (Known { ssrc: sender.ssrc(), ..Known::default() }, HashSet::new());
    for ms in 0..GIVEN * 3 {
        now += MS;
        known.ms = ms;
        if ms % pace == 0 {
            sender.handle_input(now, Input::Payload(Bytes::from_static(&[0x47; 1316])));
        }
        sender.handle_input(now, Input::Timeout);
        if ms % 10 == 5 {
            let mut writer = Writer::new();
            lie(&known, &mut writer);
            let data = writer.finish();
            (0..links).for_each(|link| sender.handle_input(now, Input::Rtcp { link, data: &data }));
        }
        loop {
            match sender.poll_output() {
                Output::Rtp { media, .. } => {
                    let (header, _) = Header::decode(&media.header).unwrap();
                    if !header.is_retransmission() {
                        known.newest = header.sequence;
                        sent.insert(header.sequence);
                    }
                }
                Output::Rtcp { data, .. } => {
                    for packet in Compound::parse(&data).unwrap().flatten() {
                        if let Packet::SenderReport { ntp, .. } = packet {
                            known.report = ((ntp >> 16) as u32, ms);
                        }
                    }
                }
                Output::Timeout(at) if at <= now => sender.handle_input(now, Input::Timeout),
                _ => break,
            }
        }
    }
    let stats = sender.stats(now);
    println!("{links} links: {} packets sent; {stats:?}", sent.len());
    (sent.len(), stats)
}

fn report(known: &Known, writer: &mut Writer, last_report: u32, delay: u32) {
    let block = ReportBlock { ssrc: known.ssrc, last_report, delay, ..ReportBlock::default() };
    writer.receiver_report(9, Some(&block));
}

/// Round trips that jump from nothing to seconds, told by times that a sender could have, and by those that it had but for one bit.
#[test]
fn made_up_round_trips_are_not_believed() {
    for (links, step) in [(1, 50), (1, 300), (2, 50), (2, 300)] {
        let guessed = |known: &Known, writer: &mut Writer| {
            let now = ((u64::from(known.ms) + 1000) * 65_536 / 1000) as u32;
            report(known, writer, now.wrapping_sub(known.ms % 17 * step * 65), 0);
        };
        let altered = |known: &Known, writer: &mut Writer| {
            report(known, writer, known.report.0 ^ 1 << (known.ms / 10 % 5), known.ms % 17 * 65);
        };
        // Longer ago than that it was sent.
        let early = |known: &Known, writer: &mut Writer| {
            report(known, writer, known.report.0, (known.ms - known.report.1 + 2) * 66 + 66);
        };
        for (sent, stats) in [sent_to(links, guessed), sent_to(links, altered), sent_to(links, early)] {
            assert_eq!((sent, stats.unknown_reports), (GIVEN as usize, 1000 * links as u64), "{stats:?}");
            assert!(stats.links.iter().all(|link| link.rtt_ms.is_none() && link.state == LinkState::Dead));
        }
    }
}

/// The same from who was sent the reports: they are all there is to go by where echoes are not answered.
#[test]
fn true_round_trips_are_believed() {
    let (sent, stats) = sent_to(1, |known, writer| {
        report(known, writer, known.report.0, (known.ms - known.report.1) * 65_536 / 1000);
    });
    assert_eq!(sent, GIVEN as usize, "{stats:?}");
    assert!(
        stats.links[0].state == LinkState::Live && stats.links[0].rtt_ms.is_some_and(|rtt| rtt < 2.0),
        "{stats:?}"
    );
}

/// All that was sent lately.
fn ask_for_everything(known: &Known, writer: &mut Writer) {
    writer.receiver_report(9, None);
    writer.range_nack(known.ssrc, &[Loss { first: known.newest.wrapping_sub(300), additional: 299 }]);
}

/// By links that carry hardly what there is to send, or less: what is asked for takes no room of what was never sent. It goes when that has all gone,
/// one packet at a time, so that at the end one may stand before the last.
#[test]
fn requests_of_who_is_not_proven_displace_nothing() {
    for links in [1, 2] {
        let (alone, _) = sent_every(1, links, |_, writer| writer.receiver_report(9, None));
        let (sent, stats) = sent_every(1, links, ask_for_everything);
        println!("by {links}: {sent} sent, {alone} without requests; {stats:?}");
        assert!(links > 1 || alone < (GIVEN * 3) as usize, "one link is full");
        assert!(sent + 1 >= alone && stats.requested > 200_000, "{sent} of {alone}: {stats:?}");
    }
}

/// Everything that was sent lately is asked for: it costs no more than it may, and says nothing of the link.
#[test]
fn requests_of_who_is_not_proven_do_not_lower_the_rate() {
    for links in [1, 2] {
        let (sent, stats) = sent_to(links, ask_for_everything);
        let repeated = stats.retransmitted;
        assert!(repeated <= u64::from(GIVEN) + 100 && stats.requested > 200_000, "{repeated}");
        assert!(stats.links.iter().all(|link| link.lost == 0 && link.loss_rate == 0.0), "{stats:?}");
        // What is known of a link of which nothing is known.
        assert_eq!(stats.capacity_bps, 4_000_000 * links as u64, "{stats:?}");
        assert_eq!(sent, GIVEN as usize, "{stats:?}");
    }
}

/// Little of it came, and late.
#[test]
fn feedback_of_who_is_not_proven_is_not_taken() {
    for (links, every) in [(1, 1), (1, 17), (2, 1), (2, 17)] {
        let (sent, stats) = sent_to(links, |known, writer| {
            writer.receiver_report(9, None);
            writer.capabilities(9, TAKES_FEEDBACK);
            let came = |i: u16| i.is_multiple_of(every).then_some((known.ms % 30) as u16 * 20);
            let offsets: Vec<_> = (0..60).map(came).collect();
            let run = Run { ssrc: known.ssrc, first: known.newest.wrapping_sub(60), offsets: &offsets };
            writer.congestion_feedback(9, [run], known.ms * 65 / 3);
        });
        assert_eq!((sent, stats.unproven_feedback), (GIVEN as usize, 1000 * links as u64), "{stats:?}");
        assert!(stats.links.iter().all(|link| link.delivery_bps == 0 && link.lost == 0), "{stats:?}");
    }
}
