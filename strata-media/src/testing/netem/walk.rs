//! Capacity that is made, where none was recorded.

use std::fmt::Write;

/// Length of what is made, ms.
const LENGTH: u32 = 120_000;

/// The text of a trace like that of a moving car, from a seed: a walk of the logarithm of the rate that returns to its
/// mean (Mbit/s), and silences that take about the share `silent` of the time. Two minutes.
#[must_use]
pub fn walk(seed: u64, mean_mbit: f64, silent: f64) -> String {
    let mut dice = Dice(seed.wrapping_mul(0x5851_f42d_4c95_7f2d) + 99);
    let (mut log, mut credit, mut silence) = (0.0f64, 0.0f64, 0u32);
    let mut text = String::new();
    for ms in 1..=LENGTH {
        // Every 100 ms: a step of up to a quarter, a tenth of the way back to the mean; a silence is 0.2 to 1.2 s.
        if ms % 100 == 0 {
            log = log * 0.9 + (dice.next() - 0.5) * 0.8;
            if silence == 0 && dice.next() < silent / 7.0 {
                silence = 200 + (dice.next() * 1000.0) as u32;
            }
        }
        silence = silence.saturating_sub(1);
        if silence == 0 {
            credit += mean_mbit * log.exp() * 1e6 / 1000.0 / 12_000.0;
        }
        while credit >= 1.0 || (ms == LENGTH && credit >= 0.0) {
            credit -= 1.0;
            let _ = writeln!(text, "{ms}");
        }
    }
    text
}

/// A linear congruential generator (Knuth, MMIX), 0 to 1.
struct Dice(u64);

impl Dice {
    fn next(&mut self) -> f64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 11) as f64 / (1u64 << 53) as f64
    }
}
