//! Which datagrams of a tunnel came before, by their numbers (RFC 6479).
//!
//! With a key, nothing else can be said again by who does not know it. In clear there is no such thing: who can repeat a datagram can
//! make one up, and RTP is told apart by its own numbers.

use std::collections::{HashMap, VecDeque};

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

/// What came with each nonce that was proven to be a peer's, wherever from: what was heard at one address is not new at another. Of keys
/// that are no longer there too: who still uses one goes on with it, and what is late comes with the last ones.
#[derive(Debug, Default)]
pub(super) struct Memory {
    nonces: HashMap<u32, Nonce>,
    /// Those of which no key is there, the latest last.
    gone: VecDeque<u32>,
}

#[derive(Debug, Default)]
struct Nonce {
    window: Window,
    /// Keys that are there.
    keys: usize,
}

impl Memory {
    /// Whether this number did not come yet with this nonce, as far as is known.
    pub(super) fn is_fresh(&self, nonce: u32, number: u32) -> bool {
        self.nonces.get(&nonce).is_none_or(|known| known.window.is_fresh(number))
    }

    /// A key for this nonce is there.
    pub(super) fn hold(&mut self, nonce: u32) {
        let known = self.nonces.entry(nonce).or_default();
        if known.keys == 0 && known.window.newest.is_some() {
            self.gone.retain(|gone| *gone != nonce);
        }
        known.keys += 1;
    }

    /// A fresh number came with a nonce whose key is there, for certain from the peer.
    pub(super) fn note(&mut self, nonce: u32, number: u32) {
        if let Some(known) = self.nonces.get_mut(&nonce) {
            known.window.note(number);
        }
    }

    /// A key makes room for another one.
    pub(super) fn release(&mut self, nonce: u32) {
        let Some(known) = self.nonces.get_mut(&nonce) else { return };
        known.keys = known.keys.saturating_sub(1);
        if known.keys > 0 {
            return;
        }
        if known.window.newest.is_none() {
            self.nonces.remove(&nonce);
            return;
        }
        if self.gone.len() == NONCES {
            self.gone.pop_front().map(|oldest| self.nonces.remove(&oldest));
        }
        self.gone.push_back(nonce);
        let late = self.gone.len().checked_sub(WHOLE + 1).map(|place| self.gone[place]);
        if let Some(late) = late.and_then(|late| self.nonces.get_mut(&late)) {
            late.window.seen = Vec::new();
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

    fn whole(memory: &Memory) -> usize {
        memory.nonces.values().filter(|known| !known.window.seen.is_empty()).count()
    }

    /// One that comes back goes on; of the last ones, what is late is fresh.
    #[test]
    fn nonces_are_remembered_within_bounds() {
        let mut memory = Memory::default();
        memory.hold(0);
        memory.release(0);
        assert!(memory.nonces.is_empty() && memory.gone.is_empty(), "nothing came");
        for nonce in 0..NONCES as u32 + 1 {
            memory.hold(nonce);
            memory.note(nonce, 5);
            memory.release(nonce);
        }
        assert!(memory.nonces.len() == NONCES && memory.gone.len() == NONCES && memory.is_fresh(0, 5));
        assert_eq!(whole(&memory), WHOLE);
        for (nonce, late) in [(NONCES as u32 - 7, true), (NONCES as u32 - 8, false), (1, false)] {
            assert_eq!(memory.is_fresh(nonce, 0), late, "{nonce}");
            memory.hold(nonce);
            assert!(!memory.is_fresh(nonce, 5) && memory.is_fresh(nonce, 6));
            memory.note(nonce, 7);
            assert_eq!(memory.is_fresh(nonce, 0), late, "{nonce}");
            let fresh = [5, 6, 7, 8].map(|number| memory.is_fresh(nonce, number));
            assert_eq!(fresh, [false, true, false, true]);
            memory.release(nonce);
            assert!(memory.nonces.len() == NONCES && !memory.is_fresh(nonce, 7));
        }
    }

    /// As long as a key is there, in however many places, nothing takes the place of what came with it.
    #[test]
    fn what_is_used_is_not_forgotten() {
        let mut memory = Memory::default();
        memory.hold(7);
        memory.hold(7);
        (1..100).for_each(|number| memory.note(7, number * 2));
        memory.release(7);
        for nonce in 100..100 + 3 * NONCES as u32 {
            memory.hold(nonce);
            memory.note(nonce, 5);
            memory.release(nonce);
        }
        assert!((1..100).all(|number| !memory.is_fresh(7, number * 2) && memory.is_fresh(7, number * 2 + 1)));
        assert_eq!(whole(&memory), WHOLE + 1);
        memory.release(7);
        assert!(!memory.is_fresh(7, 2) && memory.gone.len() == NONCES);
    }
}
