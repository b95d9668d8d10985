//! Somebody else sends packets to the port of a receiver, ten a second and without an end, and its sender falls silent.

use super::*;

const NEW: u32 = 0x4000;
const STRAY: u32 = 0x2000;

/// A receiver and what it put out, by time stamp: packet `i` of the sender has 90 `i`.
struct Rig {
    begin: Instant,
    receiver: Receiver,
    /// Milliseconds since the begin.
    at: u32,
    out: Vec<u32>,
}

impl Rig {
    fn new(latency: Duration) -> Self {
        let begin = start();
        let mut config = ReceiverConfig::new(1, 1);
        config.latency = latency;
        Self { begin, receiver: Receiver::new(begin, config), at: 0, out: Vec::new() }
    }

    /// Lets `ms` pass, with a packet of `media` every 5 ms and a report on `reports` every 90, both from `host`.
    fn run(&mut self, ms: u32, host: u8, media: Option<u32>, reports: Option<u32>) {
        for at in self.at..self.at + ms {
            let now = self.begin + MS * at;
            if let Some(ssrc) = reports.filter(|_| at % 90 == 0) {
                let mut report = Writer::new();
                report.sender_report(ssrc, u64::from(at) << 32, at * 90, 1, 1);
                report.source_description(ssrc, "sender");
                let data = &report.finish();
                self.receiver.handle_input(now, Input::Rtcp { link: 0, from: peer(host), data });
            }
            if let Some(ssrc) = media.filter(|_| at % 5 == 0) {
                let data = rtp((at / 5) as u16, at * 90, ssrc);
                self.receiver.handle_input(now, Input::Rtp { link: 0, from: peer(host), data });
            }
            if at % 100 == 52 {
                let data = rtp((at / 100) as u16, at * 90, STRAY);
                self.receiver.handle_input(now, Input::Rtp { link: 0, from: peer(99), data });
            }
            self.receiver.handle_input(now, Input::Timeout);
            self.put_out();
        }
        self.at += ms;
    }

    fn put_out(&mut self) {
        loop {
            match self.receiver.poll_output() {
                Output::Packet(packet) => self.out.push(packet.timestamp / 90),
                Output::Timeout(_) => return,
                _ => {}
            }
        }
    }

    /// The sender's packets of these milliseconds all came out; the stray's have other times.
    fn put_out_all(&self, ms: std::ops::Range<u32>) {
        let out: Vec<_> = self.out.iter().copied().filter(|at| ms.contains(at) && at % 5 == 0).collect();
        assert_eq!(out, ms.step_by(5).collect::<Vec<_>>());
    }

    fn restarts(&self) -> (u64, Option<u32>) {
        let stats = self.receiver.stats(self.begin + MS * self.at);
        (stats.restarts, stats.ssrc)
    }
}

/// Whose input pauses goes on reporting: its stream is kept.
#[test]
fn a_stream_that_pauses_is_not_taken_over() {
    for latency in [MS * 100, MS * 1000] {
        let mut rig = Rig::new(latency);
        rig.run(3000, 1, Some(SSRC), Some(SSRC));
        rig.run(2000, 1, None, Some(SSRC));
        rig.run(5000, 1, Some(SSRC), Some(SSRC));
        rig.run(1001, 1, None, Some(SSRC));
        assert_eq!(rig.restarts(), (0, Some(SSRC)));
        rig.put_out_all(0..3000);
        rig.put_out_all(5000..10_000);
        assert_eq!(rig.out.len(), 1600, "nothing else");
    }
}

/// A sender whose only link is dead cannot say that it lives. When it is back, so is its stream, whoever is there.
#[test]
fn a_stream_comes_back_from_who_took_it_over() {
    for (latency, ssrc) in [(MS * 100, SSRC), (MS * 1000, SSRC), (MS * 1000, NEW)] {
        let mut rig = Rig::new(latency);
        rig.run(3000, 1, Some(SSRC), Some(SSRC));
        rig.run(3000, 1, None, None);
        assert_eq!(rig.restarts(), (1, Some(STRAY)));
        rig.run(5000, 1, Some(ssrc), Some(ssrc));
        assert_eq!(rig.restarts(), (2, Some(ssrc)));
        rig.run(1001, 1, None, Some(ssrc));
        assert_eq!(rig.restarts(), (2, Some(ssrc)));
        rig.put_out_all(0..3000);
        rig.put_out_all(6000..11_000);
    }
}

/// A sender that starts anew is taken up before who knocks all the time, and loses nothing.
#[test]
fn a_sender_that_starts_anew_goes_before_a_stray() {
    for latency in [MS * 100, MS * 1000] {
        let mut rig = Rig::new(latency);
        rig.run(3000, 1, Some(SSRC), Some(SSRC));
        rig.run(100, 1, None, None);
        rig.run(5000, 1, Some(NEW), Some(NEW));
        rig.run(1001, 1, None, Some(NEW));
        assert_eq!(rig.restarts(), (1, Some(NEW)));
        rig.put_out_all(0..3000);
        rig.put_out_all(3100..8100);
        assert_eq!(rig.out.len(), 1600, "nothing else");
    }
}

/// Reports in the stream's name from where none of its packets come do not keep a sender that starts anew out.
#[test]
fn forged_reports_do_not_keep_a_stream() {
    let mut rig = Rig::new(MS * 1000);
    rig.run(3000, 1, Some(SSRC), Some(SSRC));
    rig.run(3000, 77, None, Some(SSRC));
    assert_eq!(rig.restarts(), (1, Some(STRAY)));
}
