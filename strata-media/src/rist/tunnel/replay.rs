//! Which datagrams of a tunnel came before, by their numbers (RFC 6479).
//!
//! With a key, nothing else can be said again by who does not know it. In clear there is no such thing: who can repeat a datagram can
//! make one up, and RTP is told apart by its own numbers.

use std::collections::VecDeque;

/// Bits of a word.
const BITS: u32 = u64::BITS;
/// One of them is cleared ahead of the newest number.
const WORDS: u32 = 128;
/// Numbers behind the newest one that are told apart: 0.8 s of 100 Mbit/s, as links reorder.
pub(super) const WIDTH: u32 = (WORDS - 1) * BITS;
/// Nonces that are remembered: of [`Psk::MIN_KEY_ROTATION`](super::Psk::MIN_KEY_ROTATION), 3 s of a Gbit/s.
const NONCES: usize = 512;
/// Those of them whose late datagrams are still told apart.
const WHOLE: usize = 8;

/// Numbers that came with one nonce. They do not wrap: a nonce is used for 2^32 datagrams at most (TR-06-2).
#[derive(Debug, Clone, Default)]
pub(super) struct Window {
    newest: Option<u32>,
    /// Empty when nothing came, or when all up to the newest is taken to have come.
    seen: Vec<u64>,
}

impl Window {
    /// Whether this number did not come yet, as far as is known: of those that are too old, it is not.
    pub(super) fn is_fresh(&self, number: u32) -> bool {
        match self.newest {
            Some(newest) if number <= newest => newest - number < WIDTH && !self.has(number),
            _ => true,
        }
    }

    /// A fresh number came, for certain from the peer: a made-up one would put all that follow out of the window.
    pub(super) fn note(&mut self, number: u32) {
        if self.seen.is_empty() {
            let came = self.newest.map_or(0, |_| u64::MAX);
            self.seen = vec![came; WORDS as usize];
            // What follows the newest one in its word did not come.
            if let Some(newest) = self.newest {
                self.seen[(newest / BITS % WORDS) as usize] >>= BITS - 1 - newest % BITS;
            }
        }
        let word = number / BITS;
        let newest = *self.newest.get_or_insert(number);
        for passed in (newest / BITS + 1..=word).rev().take(WORDS as usize) {
            self.seen[(passed % WORDS) as usize] = 0;
        }
        self.newest = Some(newest.max(number));
        self.seen[(word % WORDS) as usize] |= 1 << (number % BITS);
    }

    fn has(&self, number: u32) -> bool {
        self.seen.get((number / BITS % WORDS) as usize).is_none_or(|word| word & 1 << (number % BITS) != 0)
    }
}

/// Nonces whose keys are no longer there, with what came: who still uses one goes on with it, and what is late comes with the last ones.
#[derive(Debug, Default)]
pub(super) struct Gone(VecDeque<(u32, Window)>);

impl Gone {
    /// What is fresh of a nonce.
    pub(super) fn window(&self, nonce: u32) -> Window {
        let found = self.0.iter().find(|(gone, _)| *gone == nonce);
        found.map_or_else(Window::default, |(_, window)| window.clone())
    }

    /// A key makes room for another one.
    pub(super) fn note(&mut self, nonce: u32, window: Window) {
        if window.newest.is_none() {
            return;
        }
        self.0.retain(|(gone, _)| *gone != nonce);
        if self.0.len() == NONCES {
            self.0.pop_front();
        }
        self.0.push_back((nonce, window));
        if let Some(place) = self.0.len().checked_sub(WHOLE + 1) {
            self.0[place].1.seen = Vec::new();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_is_fresh_once_and_within_the_window() {
        let mut window = Window::default();
        assert!(window.is_fresh(0) && window.is_fresh(u32::MAX));
        window.note(100_000);
        for (number, fresh) in [
            (100_000, false),
            (100_001, true),
            (99_999, true),
            (100_001 - WIDTH, true),
            (100_000 - WIDTH, false),
            (0, false),
            (u32::MAX, true),
        ] {
            assert_eq!(window.is_fresh(number), fresh, "{number}");
        }
        // Out of order, each once.
        for number in
            (100_001..108_000).rev().step_by(3).chain((100_001..108_000).filter(|n| (107_999 - n) % 3 != 0))
        {
            assert!(window.is_fresh(number), "{number}");
            window.note(number);
            assert!(!window.is_fresh(number), "{number}");
        }
        window.note(u32::MAX);
        assert!(!window.is_fresh(u32::MAX) && window.is_fresh(u32::MAX - 1) && !window.is_fresh(107_999));
    }

    /// Every way to go on from a word: what was seen in the words that are used again is forgotten, and nothing else.
    #[test]
    fn the_window_moves_on_by_any_step() {
        for step in [1, BITS - 1, BITS, BITS + 1, WIDTH - 1, WIDTH, WIDTH + BITS, WIDTH * 3, 1 << 24] {
            let (mut window, mut seen) = (Window::default(), std::collections::BTreeSet::new());
            for number in (0..40).map(|i| 77 + i * step) {
                window.note(number);
                seen.insert(number);
                let from = number.saturating_sub(WIDTH + 200);
                for old in (from..=number).chain([number + 1, number + WIDTH]) {
                    let known = old > number || number - old < WIDTH && !seen.contains(&old);
                    assert_eq!(window.is_fresh(old), known, "step {step}: {old} at {number}");
                }
            }
        }
    }

    /// One that comes back goes on; of the last ones, what is late is fresh.
    #[test]
    fn nonces_are_remembered_within_bounds() {
        let (mut gone, mut window) = (Gone::default(), Window::default());
        gone.note(0, window.clone());
        assert!(gone.0.is_empty(), "nothing came");
        window.note(5);
        (0..NONCES as u32 + 1).for_each(|nonce| gone.note(nonce, window.clone()));
        assert!(gone.0.len() == NONCES && gone.window(0).is_fresh(5));
        let whole = gone.0.iter().filter(|(_, window)| !window.seen.is_empty()).count();
        assert_eq!(whole, WHOLE);
        for (nonce, late) in [(NONCES as u32 - 7, true), (NONCES as u32 - 8, false), (1, false)] {
            let mut window = gone.window(nonce);
            assert_eq!(window.is_fresh(0), late, "{nonce}");
            assert!(!window.is_fresh(5) && window.is_fresh(6));
            window.note(7);
            assert_eq!(window.is_fresh(0), late, "{nonce}");
            assert!(!window.is_fresh(5) && !window.is_fresh(7) && window.is_fresh(6) && window.is_fresh(8));
            gone.note(nonce, window);
            assert!(gone.0.len() == NONCES && !gone.window(nonce).is_fresh(7));
        }
    }
}
