//! In which form a receiver asks for what is missing, and what a sender makes of forms that others use.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use bytes::Bytes;
use strata_media::bond::sender::{Input as SendInput, Output as SendOutput};
use strata_media::bond::{BondConfig, BondLink, Sender};
use strata_media::rist::receiver::{Input, Output};
use strata_media::rist::rtcp::{TAKES_FEEDBACK, Writer};
use strata_media::rist::rtp::Header;
use strata_media::rist::{Receiver, ReceiverConfig};

const MS: Duration = Duration::from_millis(1);
const SSRC: u32 = 0x1000;

/// What a sender's links ask of a receiver.
#[derive(Default, Debug, PartialEq)]
struct Asked {
    ranges: usize,
    masks: usize,
}

/// A stream by so many links, with `missing` packets less from 100 on, when it is believed to miss so many, until it has gone on for a while.
fn asked(links: usize, is_strata: bool, missing: u16) -> Asked {
    #[expect(clippy::disallowed_methods, reason = "virtual time starts anywhere")]
    let start = Instant::now();
    let mut receiver = Receiver::new(start, ReceiverConfig::new(links, 1));
    let from = |link: usize, port| SocketAddr::from(([10, 0, 0, link as u8 + 1], port));
    let mut asked = Asked::default();
    for number in (0..100).chain(100 + missing..200 + missing) {
        let (now, link) = (start + MS * u32::from(number), usize::from(number) % links);
        let timestamp = u32::from(number) * 90;
        let header = Header { marker: false, payload_type: 33, sequence: number, timestamp, ssrc: SSRC };
        let mut data = header.encode().to_vec();
        data.extend([0x47; 188]);
        receiver.handle_input(now, Input::Rtp { link, from: from(link, 6000), data: Bytes::from(data) });
        let mut writer = Writer::new();
        writer.receiver_report(SSRC, None);
        writer.source_description(SSRC, "sender");
        if is_strata {
            writer.capabilities(SSRC, TAKES_FEEDBACK);
        }
        let data = writer.finish();
        receiver.handle_input(now, Input::Rtcp { link, from: from(link, 6001), data: &data });
        loop {
            match receiver.poll_output() {
                Output::Transmit { data, .. } => count(&data, &mut asked),
                Output::Packet(_) => {}
                _ => break,
            }
        }
    }
    asked
}

/// Looks at the bytes: decoded, both are the same.
fn count(mut compound: &[u8], asked: &mut Asked) {
    while let [first, packet_type, l0, l1, ..] = *compound {
        let length = usize::from(u16::from_be_bytes([l0, l1]));
        match (packet_type, first & 0x1f) {
            (204, 0) => asked.ranges += 1,
            (205, 1) => asked.masks += 1,
            _ => {}
        }
        if matches!((packet_type, first & 0x1f), (204, 0) | (205, 1)) {
            // Behind who asks, or a name, and the source.
            assert!((1..=16).contains(&(length - 2)), "{} entries (TR-06-1, 5.3.2)", length - 2);
        }
        compound = &compound[4 * (length + 1)..];
    }
}

#[test]
fn several_links_of_another_make_are_asked_by_masks() {
    let Asked { ranges: 0, masks: 1.. } = asked(2, false, 3) else { panic!("GStreamer hears no ranges") };
    let Asked { ranges: 1.., masks: 0 } = asked(2, true, 3) else { panic!("ranges are shorter") };
    let Asked { ranges: 1.., masks: 0 } = asked(1, false, 3) else { panic!("one link hears ranges") };
    // 128 masks of 17.
    let Asked { ranges: 0, masks: 1.. } = asked(2, false, 2176) else { panic!("masks suffice") };
    let Asked { ranges: 1.., masks: 0 } = asked(2, false, 2177) else { panic!("masks do not suffice") };
}

/// Of requests of GStreamer 1.22 only the numbers come, for an eighth of all numbers.
#[test]
fn a_sender_understands_requests_without_their_header() {
    #[expect(clippy::disallowed_methods, reason = "virtual time starts anywhere")]
    let mut now = Instant::now();
    let mut sender = Sender::new(now, BondConfig::new(vec![BondLink::default()], 1));
    let mut sent = Vec::new();
    // Up to numbers that look like a padded header.
    while !sent.last().is_some_and(|number| (0xa010..0xc000).contains(number)) {
        now += MS;
        sender.handle_input(now, SendInput::Payload(Bytes::from_static(&[0x47; 188])));
        sent.extend(media(&mut sender));
    }
    let lost = sent.last().unwrap() - 8;
    let mut writer = Writer::new();
    writer.receiver_report(7, None);
    writer.source_description(7, "receiver");
    let request = [&writer.finish()[..], &lost.to_be_bytes(), &[0, 0]].concat();
    now += MS * 100;
    sender.handle_input(now, SendInput::Timeout);
    assert!(!media(&mut sender).contains(&lost));
    sender.handle_input(now, SendInput::Rtcp { link: 0, data: &request });
    assert!(media(&mut sender).contains(&lost));
}

/// Numbers of the packets that a sender wants to send.
fn media(sender: &mut Sender) -> Vec<u16> {
    let mut numbers = Vec::new();
    loop {
        match sender.poll_output() {
            SendOutput::Rtp { media, .. } => {
                numbers.push(u16::from_be_bytes([media.header[2], media.header[3]]))
            }
            SendOutput::Timeout(_) => return numbers,
            _ => {}
        }
    }
}
