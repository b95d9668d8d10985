//! How much RTCP may be said: a twentieth of the media (TR-06-1, 5.2.1).
//!
//! Every packet of media earns room for about a twentieth of its bytes, and all that is said by RTCP uses it up. What has to be said
//! is said in any case, and counted: reports at least every 100 ms, which the standard puts before the share, what they have to tell of
//! liveness, and requests. What can wait, or be told less often, does so while there is no room. By a link of less than about
//! 225 kbit/s, what has to be said takes more than the share.

/// Bytes of media per byte of RTCP: one more than twenty, so that what is saved up does not add up to more.
const MEDIA: i64 = 21;
/// IPv4 and UDP, bytes: they count with both (RFC 3550, 6.2), and RTCP's packets are short.
const HEADERS: usize = 28;
/// Most that is saved up, bytes: a burst of losses is asked for at once, and half a second of that on a link of 10 Mbit/s is so much.
const SAVED: i64 = 16_000 * MEDIA;
/// What there is at the start, bytes, when nobody knows of the other yet.
const START: i64 = 4000 * MEDIA;
/// With less than this, bytes, it is said in fewer words: reports that several links are due at once.
const SCARCE: i64 = 2000 * MEDIA;
/// Most that is owed, bytes: what is said while nothing is sent does not keep a stream silent that goes on.
const OWED: i64 = 2000 * MEDIA;

/// What is left of the share of a stream.
#[derive(Debug)]
pub(super) struct Share {
    /// Bytes of media that have earned it.
    left: i64,
}

impl Default for Share {
    fn default() -> Self {
        Self { left: START }
    }
}

impl Share {
    /// So many bytes of media came or went, without headers of the network.
    pub(super) fn earn(&mut self, len: usize) {
        self.left = (self.left + (len + HEADERS) as i64).min(SAVED);
    }

    /// So many bytes of RTCP went, without headers of the network.
    pub(super) fn spend(&mut self, len: usize) {
        self.left = (self.left - (len + HEADERS) as i64 * MEDIA).max(-OWED);
    }

    /// Whether only what has to be said may be said.
    pub(super) fn is_used_up(&self) -> bool {
        self.left <= 0
    }

    /// Whether things are to be said once rather than twice.
    pub(super) fn is_scarce(&self) -> bool {
        self.left <= SCARCE
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_twentieth_is_earned_and_neither_saved_nor_owed_without_bounds() {
        let mut share = Share::default();
        share.spend(2000 - HEADERS);
        assert!(share.is_scarce() && !share.is_used_up());
        share.spend(2000 - HEADERS);
        assert!(share.is_used_up());
        share.earn(0);
        assert!(!share.is_used_up());
        (0..100).for_each(|_| share.spend(1000));
        (0..42).for_each(|_| share.earn(1000 - HEADERS));
        assert!(share.is_used_up());
        share.earn(1);
        assert!(!share.is_used_up());
        (0..1000).for_each(|_| share.earn(1000));
        (0..4).for_each(|_| share.spend(4000 - HEADERS));
        assert!(share.is_used_up());
    }
}
