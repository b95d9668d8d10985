//! How packets are spread and copied: one set of parameters, checked as a whole.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use thiserror::Error;

use crate::ts::Priority;

/// How much is sent that may turn out not to have been needed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Mode {
    /// Nothing is sent twice beforehand; what is lost is repeated.
    #[default]
    Economy,
    /// Critical packets are copied to a second link, and a tenth of what the links have to spare is spent on copies of
    /// others.
    Balanced,
    /// Critical packets are copied to all links, and half of what these have to spare is spent on copies of others.
    Robust,
}

impl Mode {
    /// Every mode, from the least to the most that is sent.
    pub const ALL: [Self; 3] = [Self::Economy, Self::Balanced, Self::Robust];

    /// Its name: `economy`, `balanced` or `robust`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Economy => "economy",
            Self::Balanced => "balanced",
            Self::Robust => "robust",
        }
    }
}

impl fmt::Display for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Mode {
    type Err = ParamsError;

    fn from_str(text: &str) -> Result<Self, ParamsError> {
        let known = Self::ALL.into_iter().find(|mode| mode.name() == text);
        known.ok_or_else(|| {
            ParamsError::new("mode", format!("expected economy, balanced or robust, got {text:.32?}"))
        })
    }
}

/// How packets are spread over links. Changes take effect at once.
///
/// What was lost and has no time for a further try, or was sent three times, is sent by two links at once, whatever
/// is set here: that is recovery, not redundancy.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct SchedulerParams {
    /// A packet that is not expected to arrive within this time is not sent; when `None`, or more than the latency, one
    /// that is not expected within that. 1 ms to 60 s. Where the peer does not tell what arrives, `None` gives up only what has
    /// waited longer than that: how long it takes to arrive is a guess there, by which nothing is discarded unless it is asked for.
    pub discard_deadline: Option<Duration>,
    /// How far a link is filled ahead of what it is believed to carry, at most. When `None`, 10 ms; where the peer tells what
    /// arrives, a tenth of the latency, 15 to 100 ms, which is the most there whatever is set. 1 ms to 1 s.
    pub max_ahead: Option<Duration>,
    /// Copies of packets on further links.
    pub redundancy: Redundancy,
    /// Copies of critical packets.
    pub critical_broadcast: CriticalBroadcast,
    /// What happens when there is more to send than the links carry.
    pub storm: Storm,
    /// When a link is given up, and taken up again.
    pub failover: Failover,
    /// Repair packets.
    pub fec: Fec,
}

/// Repair packets for what is lost and cannot be repeated in time ([`crate::fec`]): none as long as nothing is, none without a
/// receiver that announced that it takes them, and never while a packet waits that was not sent.
#[derive(Debug, Clone, Copy, PartialEq)]
#[non_exhaustive]
pub struct Fec {
    /// Whether there may be any.
    pub enabled: bool,
    /// Most bytes of repair packets per byte of payload, 0 to 1.
    pub max_ratio: f64,
}

impl Default for Fec {
    /// Up to three tenths: bursts of three, one packet in fifty, take less.
    fn default() -> Self {
        Self { enabled: true, max_ratio: 0.3 }
    }
}

/// When a link is given up, and taken up again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Failover {
    /// A link is suspect without proof of delivery for so long, and two round trips; what it has under way goes by others
    /// then. 50 ms to 10 s.
    pub suspect_after: Duration,
    /// A link that was dead is trusted when it has answered for so long; where the peer tells what arrives, it carries as
    /// much as is seen to arrive meanwhile. At most 60 s.
    pub readmit_after: Duration,
}

impl Default for Failover {
    /// 150 and 500 ms.
    fn default() -> Self {
        Self { suspect_after: MS * 150, readmit_after: MS * 500 }
    }
}

/// Copies of what nothing can be decoded without: tables, parameter sets and keyframes, found in an MPEG transport stream
/// with H.264 or H.265 ([`crate::ts`]). They go first among copies, and may take all that the links have to spare.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct CriticalBroadcast {
    /// Whether there are any.
    pub enabled: bool,
    /// On how many links a critical packet is sent, the first one included, 1 to 64.
    pub target_links: usize,
}

/// Two queues under overload: what comes out in bits and pieces is worth less than its sound and its keyframes.
///
/// Reliable is what is critical ([`CriticalBroadcast`]), and sound; everything else is unreliable, and dropped when it has
/// waited too long for a link. While both wait, links are shared by weight; else whatever waits has them all.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Storm {
    /// Whether there are two queues; else the oldest packet goes first.
    pub enabled: bool,
    /// Share of the reliable queue, 0 to 1; with 1 it always goes first.
    pub reliable_weight: f64,
    /// How long an unreliable packet may wait for a link, each time that it is to be sent. 1 ms to 60 s.
    pub unreliable_max_age: Duration,
}

/// Copies that are sent beforehand, from what the links have to spare: never while fresh packets wait.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Redundancy {
    /// Whether there are any.
    pub enabled: bool,
    /// Share of the spare capacity that is spent on them, 0 to 1. Spare is what the links carry less what the stream
    /// takes, less a tenth.
    pub spare_ratio: f64,
    /// Largest payload that is copied, bytes.
    pub max_packet_bytes: usize,
    /// On how many links a packet is sent, the first one included, 1 to 64.
    pub target_links: usize,
}

/// A parameter that cannot be.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("invalid {field}: {reason}")]
pub struct ParamsError {
    /// Its name, as in `control.md`'s `bonding_config.scheduler`.
    pub field: &'static str,
    /// What was expected.
    pub reason: String,
}

impl ParamsError {
    fn new(field: &'static str, reason: impl Into<String>) -> Self {
        Self { field, reason: reason.into() }
    }
}

impl SchedulerParams {
    /// What a mode means.
    #[must_use]
    pub fn new(mode: Mode) -> Self {
        let spare_ratio = match mode {
            Mode::Economy | Mode::Balanced => 0.1,
            Mode::Robust => 0.5,
        };
        Self {
            discard_deadline: None,
            max_ahead: None,
            redundancy: Redundancy {
                enabled: mode != Mode::Economy,
                spare_ratio,
                max_packet_bytes: usize::from(u16::MAX),
                target_links: 2,
            },
            critical_broadcast: CriticalBroadcast {
                enabled: mode != Mode::Economy,
                target_links: if mode == Mode::Robust { MAX_TARGET_LINKS } else { 2 },
            },
            storm: Storm {
                enabled: false,
                reliable_weight: 0.8,
                unreliable_max_age: Duration::from_millis(200),
            },
            failover: Failover::default(),
            fec: Fec::default(),
        }
    }

    /// On how many further links a packet is to be sent.
    pub(super) fn copies(&self, priority: Priority, len: usize) -> usize {
        let Redundancy { enabled, max_packet_bytes, target_links, .. } = self.redundancy;
        let any = if enabled && len <= max_packet_bytes { target_links } else { 1 };
        let broadcast = self.critical_broadcast.enabled && priority == Priority::Critical;
        let critical = if broadcast { self.critical_broadcast.target_links } else { 1 };
        any.max(critical).saturating_sub(1)
    }

    /// Checks everything.
    ///
    /// # Errors
    /// The first parameter that is out of its range, and why.
    pub fn check(&self) -> Result<(), ParamsError> {
        within("discard_deadline_ms", self.discard_deadline, MS..=MS * 60_000)?;
        within("max_ahead_ms", self.max_ahead, MS..=MS * 1000)?;
        ratio("redundancy_spare_ratio", self.redundancy.spare_ratio)?;
        links("redundancy_target_links", self.redundancy.target_links)?;
        links("critical_target_links", self.critical_broadcast.target_links)?;
        ratio("storm_reliable_weight", self.storm.reliable_weight)?;
        within("storm_unreliable_max_age_ms", Some(self.storm.unreliable_max_age), MS..=MS * 60_000)?;
        within("failover_suspect_ms", Some(self.failover.suspect_after), MS * 50..=MS * 10_000)?;
        within("failover_readmit_ms", Some(self.failover.readmit_after), Duration::ZERO..=MS * 60_000)?;
        ratio("fec_max_ratio", self.fec.max_ratio)
    }
}

impl Default for SchedulerParams {
    fn default() -> Self {
        Self::new(Mode::default())
    }
}

impl From<Mode> for SchedulerParams {
    fn from(mode: Mode) -> Self {
        Self::new(mode)
    }
}

fn within(
    field: &'static str,
    given: Option<Duration>,
    range: std::ops::RangeInclusive<Duration>,
) -> Result<(), ParamsError> {
    match given {
        Some(time) if !range.contains(&time) => {
            let (least, most) = (range.start().as_millis(), range.end().as_millis());
            Err(ParamsError::new(field, format!("expected {least} to {most} ms, got {time:?}")))
        }
        _ => Ok(()),
    }
}

fn links(field: &'static str, given: usize) -> Result<(), ParamsError> {
    if (1..=MAX_TARGET_LINKS).contains(&given) {
        return Ok(());
    }
    Err(ParamsError::new(field, format!("expected 1 to {MAX_TARGET_LINKS}, got {given}")))
}

fn ratio(field: &'static str, given: f64) -> Result<(), ParamsError> {
    // Not a number is in no range.
    if (0.0..=1.0).contains(&given) {
        return Ok(());
    }
    Err(ParamsError::new(field, format!("expected 0 to 1, got {given}")))
}

const MS: Duration = Duration::from_millis(1);
/// As many as `control.md`'s vocabulary has; a bond has 16.
const MAX_TARGET_LINKS: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn modes_have_names_and_each_is_good() {
        for mode in Mode::ALL {
            assert_eq!(mode.to_string().parse(), Ok(mode));
            assert_eq!(SchedulerParams::from(mode).check(), Ok(()));
        }
        let error = "Robust".parse::<Mode>().unwrap_err();
        assert_eq!(error.to_string(), r#"invalid mode: expected economy, balanced or robust, got "Robust""#);
    }

    #[test]
    fn every_error_names_its_field() {
        type Change = fn(&mut SchedulerParams);
        let cases: [(&str, Change); 16] = [
            ("discard_deadline_ms", |p| p.discard_deadline = Some(Duration::ZERO)),
            ("discard_deadline_ms", |p| p.discard_deadline = Some(MS * 60_001)),
            ("max_ahead_ms", |p| p.max_ahead = Some(Duration::ZERO)),
            ("redundancy_spare_ratio", |p| p.redundancy.spare_ratio = 1.01),
            ("redundancy_spare_ratio", |p| p.redundancy.spare_ratio = -0.01),
            ("redundancy_spare_ratio", |p| p.redundancy.spare_ratio = f64::NAN),
            ("redundancy_target_links", |p| p.redundancy.target_links = 0),
            ("redundancy_target_links", |p| p.redundancy.target_links = 65),
            ("critical_target_links", |p| p.critical_broadcast.target_links = 0),
            ("storm_reliable_weight", |p| p.storm.reliable_weight = f64::INFINITY),
            ("storm_unreliable_max_age_ms", |p| p.storm.unreliable_max_age = Duration::ZERO),
            ("storm_unreliable_max_age_ms", |p| p.storm.unreliable_max_age = MS * 60_001),
            ("failover_suspect_ms", |p| p.failover.suspect_after = MS * 49),
            ("failover_readmit_ms", |p| p.failover.readmit_after = MS * 60_001),
            ("fec_max_ratio", |p| p.fec.max_ratio = 1.01),
            ("fec_max_ratio", |p| p.fec.max_ratio = f64::NAN),
        ];
        for (field, change) in cases {
            let mut params = SchedulerParams::default();
            change(&mut params);
            assert_eq!(params.check().unwrap_err().field, field);
        }
    }
}
