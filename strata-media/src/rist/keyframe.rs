//! How often a receiver asks for a keyframe, and a sender is asked: by a picture loss indication (RFC 4585, 6.3.1), which no
//! standard RIST peer knows. It goes to senders alone that have announced that they pass it on.

use std::time::{Duration, Instant};

use super::rtcp::TAKES_PICTURE_LOSS;

/// Shortest time between two requests: a source that makes keyframes all the time sends little else.
const ASKED: Duration = Duration::from_millis(500);
/// The same where they arrive, by several paths each: two may come closer together than they left.
const HEARD: Duration = Duration::from_millis(400);

/// What somebody at a receiver wants.
#[derive(Debug, Default)]
pub(super) struct Wish {
    wanted: bool,
    asked: Option<Instant>,
}

impl Wish {
    /// A keyframe is wanted.
    pub(super) fn want(&mut self) {
        self.wanted = true;
    }

    /// Whether to ask now; what was wanted is forgotten then.
    pub(super) fn take(&mut self, now: Instant) -> bool {
        let due = self.wanted && self.asked.is_none_or(|at| now >= at + ASKED);
        if due {
            (self.wanted, self.asked) = (false, Some(now));
        }
        due
    }

    /// When to look again.
    pub(super) fn due(&self) -> Option<Instant> {
        self.asked.filter(|_| self.wanted).map(|at| at + ASKED)
    }
}

/// What a sender was asked for.
#[derive(Debug)]
pub(super) struct Heard {
    /// Whether its source can be asked.
    can: bool,
    last: Option<Instant>,
}

impl Heard {
    pub(super) fn new(can: bool) -> Self {
        Self { can, last: None }
    }

    /// What is announced of it.
    pub(super) fn capability(&self) -> u32 {
        if self.can { TAKES_PICTURE_LOSS } else { 0 }
    }

    /// Whether a request is to be passed on: of who has shown where it is, and not too soon.
    pub(super) fn takes(&mut self, now: Instant, proven: bool) -> bool {
        let takes = self.can && proven && self.last.is_none_or(|at| now >= at + HEARD);
        if takes {
            self.last = Some(now);
        }
        takes
    }
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;

    use bytes::Bytes;

    use super::super::receiver::{self, Receiver, ReceiverConfig};
    use super::super::rtcp::Writer;
    use super::super::sender::{self, Sender, SenderConfig};
    use super::*;

    const STEP: Duration = Duration::from_millis(10);
    const WAY: Duration = Duration::from_millis(20);

    /// A sender and a receiver with nothing but time between them.
    struct Pair {
        now: Instant,
        paths: usize,
        sender: Sender,
        receiver: Receiver,
        /// What is on its way to the sender.
        back: Vec<(Instant, usize, Bytes)>,
    }

    fn sender_config(paths: usize, keyframes: bool) -> SenderConfig {
        SenderConfig { keyframes, ..SenderConfig::new(paths, 1) }
    }

    impl Pair {
        fn new(paths: usize, keyframes: bool) -> Self {
            #[expect(clippy::disallowed_methods, reason = "virtual time starts anywhere")]
            let now = Instant::now();
            let sender = Sender::new(now, sender_config(paths, keyframes));
            let receiver = Receiver::new(now, ReceiverConfig::new(paths, 2));
            let mut pair = Self { now, paths, sender, receiver, back: Vec::new() };
            // All paths are known then.
            pair.run(Duration::from_secs(3));
            pair
        }

        fn run(&mut self, length: Duration) {
            let end = self.now + length;
            while self.now < end {
                self.now += STEP;
                let now = self.now;
                self.sender.handle_input(now, sender::Input::Payload(Bytes::from_static(&[0x47; 188])));
                let (arrived, back) = std::mem::take(&mut self.back).into_iter().partition(|it| it.0 <= now);
                self.back = back;
                for (_, path, data) in Vec::from_iter::<Vec<_>>(arrived) {
                    self.sender.handle_input(now, sender::Input::Rtcp { path, data: &data });
                }
                self.sender.handle_input(now, sender::Input::Timeout);
                self.send();
                self.receiver.handle_input(now, receiver::Input::Timeout);
                self.answer();
            }
        }

        fn send(&mut self) {
            let now = self.now;
            let from = |path: usize, port: u16| SocketAddr::from(([10, 0, 0, path as u8 + 1], port));
            loop {
                match self.sender.poll_output() {
                    sender::Output::Send { number, repeat, .. } => {
                        let link = number as usize % self.paths;
                        let Some(media) = self.sender.take(now, number, link, repeat) else { continue };
                        let data = Bytes::from([&media.header[..], &media.payload].concat());
                        let input = receiver::Input::Rtp { link, from: from(link, 6000), data };
                        self.receiver.handle_input(now, input);
                    }
                    sender::Output::Rtcp { path: link, data } => {
                        let input = receiver::Input::Rtcp { link, from: from(link, 6001), data: &data };
                        self.receiver.handle_input(now, input);
                    }
                    sender::Output::Timeout(_) => return,
                    _ => {}
                }
            }
        }

        fn answer(&mut self) {
            loop {
                match self.receiver.poll_output() {
                    // The paths differ, so that one request comes by them one after the other.
                    receiver::Output::Transmit { link, data, .. } => {
                        self.back.push((self.now + WAY * (link as u32 + 1), link, data));
                    }
                    receiver::Output::Packet(_) => {}
                    receiver::Output::Timeout(_) => return,
                }
            }
        }

        fn want(&mut self) {
            self.receiver.handle_input(self.now, receiver::Input::KeyframeWanted);
            self.answer();
        }

        /// How many picture loss indications are on their way.
        fn asked(&self) -> usize {
            let asks = |data: &Bytes| data.windows(4).any(|header| header == [0x81, 206, 0, 2]);
            self.back.iter().filter(|(.., data)| asks(data)).count()
        }

        fn heard(&self) -> u64 {
            self.sender.counters().keyframe_requests
        }
    }

    #[test]
    fn a_wish_is_told_once_by_every_path() {
        let mut pair = Pair::new(3, true);
        assert_eq!((pair.asked(), pair.heard()), (0, 0));
        pair.want();
        assert_eq!(pair.asked(), 3);
        pair.run(Duration::from_secs(1));
        assert_eq!((pair.asked(), pair.heard()), (0, 1));
    }

    #[test]
    fn who_wants_keyframes_all_the_time_gets_two_in_a_second() {
        let mut pair = Pair::new(2, true);
        for _ in 0..300 {
            pair.want();
            pair.run(STEP);
        }
        assert_eq!(pair.heard(), 6, "in 3 s");
        // What was wanted last is asked for in its time, and then nothing more.
        pair.run(Duration::from_secs(3));
        assert_eq!(pair.heard(), 7);
    }

    #[test]
    fn who_does_not_say_that_it_takes_requests_gets_none() {
        let mut pair = Pair::new(1, false);
        pair.want();
        assert_eq!(pair.asked(), 0);
        pair.run(Duration::from_secs(1));
        assert_eq!((pair.asked(), pair.heard()), (0, 0));
    }

    #[test]
    fn only_who_has_answered_is_obeyed_and_only_for_this_stream() {
        let told = |sender: &mut Sender, now: Instant, media: u32| {
            let mut writer = Writer::new();
            writer.receiver_report(7, None);
            writer.picture_loss(7, media);
            sender.handle_input(now, sender::Input::Rtcp { path: 0, data: &writer.finish() });
            sender.counters().keyframe_requests
        };
        let mut pair = Pair::new(1, true);
        let ssrc = pair.sender.ssrc();
        assert_eq!(told(&mut pair.sender, pair.now, ssrc + 2), 0, "another stream");
        assert_eq!(told(&mut pair.sender, pair.now, ssrc), 1);
        assert_eq!(told(&mut pair.sender, pair.now, ssrc), 1, "too soon");
        let mut unproven = Sender::new(pair.now, sender_config(1, true));
        assert_eq!(told(&mut unproven, pair.now, ssrc), 0, "nobody has shown where it is");
    }
}
