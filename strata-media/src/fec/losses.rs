//! What is lost for good, and in what bursts: how many repair packets a block needs.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use super::MAX_REPAIRS;

/// Packets that are counted together: their losses show bursts.
const GROUP: u64 = 32;
/// Groups whose losses may still become known: 8192 packets.
const MAX_GROUPS: usize = 256;
/// How fast what was seen counts less: a sudden loss shows in the first, its bursts and its end in the second.
const MEMORIES: [f64; 2] = [1.0, 6.0];
/// Fewer losses than that tell nothing yet.
const LEAST_LOSSES: f64 = 3.0;
/// Longest mean burst that is believed, packets: beyond it, a link is down, and no block gets over that.
const MAX_BURST: f64 = 16.0;
/// Share of packets that may be lost though there are repair packets.
const TARGET: f64 = 2e-4;

/// Counts losses by sequence number.
#[derive(Debug, Default)]
pub struct Losses {
    /// Number of the first packet of the first group.
    first: u64,
    groups: VecDeque<Group>,
    memories: [Memory; MEMORIES.len()],
    turned: Option<Instant>,
}

#[derive(Debug)]
struct Group {
    /// Packets lost, a bit for each.
    lost: u32,
    /// When its first packet was given.
    at: Instant,
}

/// Sums over groups, which fade.
#[derive(Debug, Default, Clone, Copy)]
struct Memory {
    groups: f64,
    losses: f64,
    squares: f64,
}

/// How packets are lost.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Rate {
    /// Share of packets lost, 0 to 1.
    pub share: f64,
    /// Mean length of a burst, packets, at least 1.
    pub burst: f64,
}

impl Losses {
    /// A packet was given to be sent.
    pub fn sent(&mut self, now: Instant, number: u64) {
        let start = number - number % GROUP;
        if self.groups.is_empty() {
            self.first = start;
        }
        if start >= self.first + GROUP * self.groups.len() as u64 {
            if self.groups.len() == MAX_GROUPS {
                self.turn_one(now);
            }
            self.groups.push_back(Group { lost: 0, at: now });
        }
    }

    /// A packet is lost, and there is no time to repeat it. Told twice, it counts once.
    pub fn lost(&mut self, number: u64) {
        let index = number.checked_sub(self.first).map(|offset| (offset / GROUP) as usize);
        if let Some(group) = index.and_then(|index| self.groups.get_mut(index)) {
            group.lost |= 1 << (number % GROUP);
        }
    }

    /// How packets are lost, of those given until `settled` ago, and of those before that so far; `None` when that is not known, or
    /// there is nothing of it.
    pub fn rate(&mut self, now: Instant, settled: Duration) -> Option<Rate> {
        while self.groups.front().is_some_and(|group| now >= group.at + settled) {
            self.turn_one(now);
        }
        self.fade(now);
        let [fast, slow] = self.memories;
        if slow.losses < LEAST_LOSSES {
            return None;
        }
        // Half of what a short time shows may be chance.
        let share = slow.share().max(fast.share() / 2.0);
        // Losses of a group whose bursts come at random and have lengths that do (Pólya-Aeppli): their variance is their mean
        // times 2 b - 1. What is taken off is the mean's own square.
        let dispersion = slow.squares / slow.losses - share * GROUP as f64;
        Some(Rate { share, burst: f64::midpoint(dispersion, 1.0).clamp(1.0, MAX_BURST) })
    }

    /// Takes the first group into account.
    fn turn_one(&mut self, now: Instant) {
        let Some(group) = self.groups.pop_front() else { return };
        self.first += GROUP;
        self.fade(now);
        let losses = f64::from(group.lost.count_ones());
        for memory in &mut self.memories {
            memory.groups += 1.0;
            memory.losses += losses;
            memory.squares += losses * losses;
        }
    }

    fn fade(&mut self, now: Instant) {
        let since = now.saturating_duration_since(*self.turned.get_or_insert(now)).as_secs_f64();
        self.turned = Some(now);
        for (memory, time) in self.memories.iter_mut().zip(MEMORIES) {
            let keep = (-since / time).exp();
            memory.groups *= keep;
            memory.losses *= keep;
            memory.squares *= keep;
        }
    }
}

impl Memory {
    fn share(&self) -> f64 {
        // A single group says little.
        self.losses / (self.groups.max(4.0) * GROUP as f64)
    }
}

impl Rate {
    /// The least number of repair packets with which a block of `sources` is expected to come whole but for two packets in ten
    /// thousand; 64 when there is none.
    #[must_use]
    pub fn repairs(&self, sources: usize) -> usize {
        (1..MAX_REPAIRS).find(|&repairs| self.residual(sources, repairs) <= TARGET).unwrap_or(MAX_REPAIRS)
    }

    /// Share of packets that stay lost: bursts come at random in a block, and have geometric lengths.
    fn residual(&self, sources: usize, repairs: usize) -> f64 {
        let packets = (sources + repairs) as f64;
        let (bursts, more) = (packets * self.share / self.burst, 1.0 - 1.0 / self.burst);
        let (mut before, mut chance) = (0.0, (-bursts).exp());
        // Losses expected in blocks that lose no more than there are repair packets.
        let mut repaired = 0.0;
        for losses in 1..=repairs {
            let count = losses as f64;
            let next = ((bursts * (1.0 - more) + 2.0 * more * (count - 1.0)) * chance
                - more * more * (count - 2.0) * before)
                / count;
            (before, chance) = (chance, next);
            repaired += count * chance;
        }
        (self.share - repaired / packets).max(0.0)
    }
}
