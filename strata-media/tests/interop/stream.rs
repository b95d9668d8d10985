//! The stream that is sent, and the check of what comes out.

use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use strata_media::net::Receiver;
use tokio::time::{MissedTickBehavior, interval};

use crate::kernel::room;

/// Sent before and after what is compared: the session is made, and the last packets can be asked for, of which a receiver that nothing
/// follows knows nothing.
pub(crate) const MARGIN: Duration = Duration::from_secs(3);
/// A burst of `BURST` datagrams of 1316 bytes every 10 ms: 4.2 Mbit/s.
const BURST: u64 = 4;
/// Seven packets of a transport stream.
pub(crate) const DATAGRAM_BYTES: usize = 7 * 188;
pub(crate) const TICK: Duration = Duration::from_millis(10);

/// Datagram `number` of a transport stream: seven packets with continuity counters, filled from the number. Every
/// third packet but the first ones is a null packet.
pub(crate) fn datagram(number: u64) -> Bytes {
    let mut out = Vec::with_capacity(DATAGRAM_BYTES);
    for index in number * 7..number * 7 + 7 {
        if index % 7 > 0 && index % 3 == 0 {
            out.extend([0x47, 0x1f, 0xff, 0x10]);
            out.resize(out.len().next_multiple_of(188), 0xff);
            continue;
        }
        out.extend([0x47, 0x01, 0x00, 0x10 | (index % 16) as u8]);
        out.extend(index.to_be_bytes());
        let mut state = index;
        while out.len() % 188 != 0 {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            out.extend(&state.to_be_bytes()[..4]);
        }
    }
    out.into()
}

/// Which of them it is.
pub(crate) fn number(datagram: &[u8]) -> u64 {
    let mut bytes = [0; 8];
    bytes.copy_from_slice(&datagram[4..12]);
    u64::from_be_bytes(bytes) / 7
}

/// How many datagrams are sent in `time`.
pub(crate) fn datagrams(time: Duration) -> u64 {
    (time.as_nanos() / TICK.as_nanos()) as u64 * BURST
}

/// Calls `send` for every datagram of a stream that is compared for `length`, at its time, or later: as a live source it makes up
/// for nothing when the machine stood still, and it waits while a program has not read what came to its sockets, `into`.
pub(crate) async fn stream<F: Future<Output = ()>>(
    length: Duration,
    into: &[SocketAddr],
    send: impl Fn(Bytes) -> F,
) {
    let mut timer = interval(TICK);
    timer.set_missed_tick_behavior(MissedTickBehavior::Delay);
    for burst in 0..datagrams(length + MARGIN * 2) / BURST {
        timer.tick().await;
        for &socket in into {
            room(socket).await;
        }
        for index in 0..BURST {
            send(datagram(burst * BURST + index)).await;
        }
    }
}

/// Checks what comes out: from the first datagram on, every one, in order, byte for byte, for a length.
pub(crate) struct Check {
    length: Duration,
    first: Option<u64>,
    next: u64,
}

impl Check {
    pub(crate) fn new(length: Duration) -> Self {
        Self { length, first: None, next: 0 }
    }

    /// Takes what a receiver puts out until it is complete.
    pub(crate) async fn whole(mut self, receiver: &mut Receiver) {
        loop {
            let packet = receiver.recv().await.unwrap();
            assert_eq!(packet.lost_before, 0, "before {}: {:#?}", packet.sequence, receiver.stats());
            if self.take(&packet.payload) {
                return;
            }
        }
    }

    /// Whether it is complete.
    pub(crate) fn take(&mut self, taken: &[u8]) -> bool {
        let number = number(taken);
        if self.first.is_none() {
            // Whoever comes later than this into the stream has lost what came before.
            assert!(number < datagrams(MARGIN), "the first datagram is {number}");
            (self.first, self.next) = (Some(number), number);
        }
        let first = self.first.unwrap();
        assert_eq!(number, self.next, "{} datagrams after the first, {first}", self.next - first);
        assert!(taken == datagram(number), "datagram {number} differs");
        self.next += 1;
        self.next - first >= datagrams(self.length)
    }
}
