//! The clock of a program, as it is told now and then (program clock reference, ISO/IEC 13818-1, 2.4.2.1).

use super::section::{self, Section};
use super::{PAT_PID, Packet, packets};

/// Ticks of a program's clock in a second.
pub const CLOCK_RATE: u64 = 27_000_000;
/// After so many ticks, 26.5 h, a program's clock begins at zero again: 33 bits of a 300th of its rate.
pub const CLOCK_PERIOD: u64 = 300 << 33;

/// Reads the clock of a transport stream: that of the first program it names. Nothing needs to be told beforehand.
///
/// ```
/// use strata_media::ts::ClockReader;
///
/// let mut reader = ClockReader::new();
/// assert_eq!(reader.read(&[0; 1316]), None, "no table has come yet");
/// ```
#[derive(Debug, Default)]
pub struct ClockReader {
    pat: Section,
    /// PID of the program's map.
    map: Option<(u16, Section)>,
    /// PID whose packets tell the clock.
    clock: Option<u16>,
}

impl ClockReader {
    /// Nothing is known yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes the next payload, as [`Classifier::classify`](super::Classifier::classify) does. What it says first of the clock, if it
    /// says something: ticks of [`CLOCK_RATE`], less than [`CLOCK_PERIOD`].
    pub fn read(&mut self, payload: &[u8]) -> Option<u64> {
        // To the end: tables may come after the clock.
        packets(payload).fold(None, |first, packet| first.or(self.packet(&packet)))
    }

    fn packet(&mut self, packet: &Packet<'_>) -> Option<u64> {
        if packet.pid == PAT_PID {
            let table = self.pat.push(packet.starts, packet.payload)?;
            let named = section::programs(&table).next();
            if named != self.map.as_ref().map(|(pid, _)| *pid) {
                self.map = named.map(|pid| (pid, Section::default()));
            }
            return None;
        }
        if let Some((_, section)) = self.map.as_mut().filter(|(pid, _)| *pid == packet.pid)
            && let Some(table) = section.push(packet.starts, packet.payload)
        {
            self.clock = section::clock(&table).or(self.clock);
        }
        packet.clock().filter(|_| self.clock == Some(packet.pid))
    }
}
