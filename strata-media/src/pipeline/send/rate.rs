//! Between the payload that the links carry and the video bitrate of an encoder.

use std::time::Instant;

use super::super::config::Encoder;
use crate::bond::{Adaptation, AdaptationParams, BondStats};

/// What a transport stream adds to video, as a factor.
const TRANSPORT: f64 = 1.06;
/// Sound and tables, bit/s.
const BESIDE_BPS: f64 = 170e3;
/// A smaller change is not worth telling an encoder, as a share.
const STEP: f64 = 0.02;

/// The video bitrate that follows the links.
#[derive(Debug)]
pub(super) struct VideoRate {
    adaptation: Option<Adaptation>,
    /// What the encoder was told, kbit/s.
    kbps: u32,
}

impl VideoRate {
    pub(super) fn new(now: Instant, encoder: &Encoder) -> Self {
        let adaptation = encoder.adaptive.then(|| Adaptation::new(now, params(encoder)));
        Self { adaptation, kbps: encoder.bitrate_kbps }
    }

    /// What the encoder was told, kbit/s.
    pub(super) fn kbps(&self) -> u32 {
        self.kbps
    }

    /// Takes other limits; gives the bitrate.
    pub(super) fn set(&mut self, now: Instant, encoder: &Encoder) -> u32 {
        let before = self.adaptation.take().filter(|_| encoder.adaptive);
        self.kbps = encoder.bitrate_kbps;
        if let Some(mut adaptation) = before {
            adaptation.set_params(params(encoder));
            self.kbps = video_kbps(adaptation.target_bps()).min(encoder.bitrate_kbps);
            self.adaptation = Some(adaptation);
        } else if encoder.adaptive {
            self.adaptation = Some(Adaptation::new(now, params(encoder)));
        }
        self.kbps
    }

    /// Takes statistics, some times per second; the bitrate when the encoder is to be told another one.
    pub(super) fn follow(&mut self, now: Instant, stats: &BondStats, encoder: &Encoder) -> Option<u32> {
        let target = self.adaptation.as_mut()?.handle_stats(now, stats);
        let kbps = video_kbps(target).min(encoder.bitrate_kbps);
        let change = f64::from(kbps.abs_diff(self.kbps));
        let worth = change > f64::from(self.kbps) * STEP || (change > 0.0 && kbps == encoder.bitrate_kbps);
        worth.then(|| {
            self.kbps = kbps;
            kbps
        })
    }
}

fn params(encoder: &Encoder) -> AdaptationParams {
    let mut params = AdaptationParams::new(payload_bps(encoder.bitrate_kbps));
    params.floor_bps = payload_bps(encoder.min_bitrate_kbps.unwrap_or(encoder.bitrate_kbps / 10));
    params.ramp = f64::from(encoder.ramp_percent) / 100.0;
    params
}

fn payload_bps(kbps: u32) -> u64 {
    (f64::from(kbps) * 1e3 * TRANSPORT + BESIDE_BPS) as u64
}

/// The least that is asked of an encoder, kbit/s.
const LEAST_KBPS: f64 = 50.0;

fn video_kbps(payload_bps: u64) -> u32 {
    (((payload_bps as f64 - BESIDE_BPS) / TRANSPORT / 1e3).round()).max(LEAST_KBPS) as u32
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::bond::{LinkState, LinkStats};

    fn stats(capacity_bps: u64, pending_ms: f64) -> BondStats {
        let link = LinkStats {
            state: LinkState::Live,
            capacity_bps,
            capacity_confidence: 1.0,
            ..LinkStats::default()
        };
        BondStats { capacity_bps, pending_ms, links: vec![link], ..BondStats::default() }
    }

    #[test]
    fn the_encoder_is_told_what_the_links_carry() {
        #[expect(clippy::disallowed_methods, reason = "time starts anywhere")]
        let mut now = Instant::now();
        let encoder = Encoder::default();
        let mut rate = VideoRate::new(now, &encoder);
        assert_eq!(rate.follow(now, &stats(10_000_000, 0.0), &encoder), None);
        now += Duration::from_secs(2);
        let less = rate.follow(now, &stats(2_000_000, 200.0), &encoder);
        assert!(less.is_some_and(|kbps| (1000..2000).contains(&kbps)), "{less:?}");
        for _ in 0..200 {
            now += Duration::from_millis(100);
            rate.follow(now, &stats(10_000_000, 0.0), &encoder);
        }
        assert_eq!(rate.kbps(), encoder.bitrate_kbps);
    }

    #[test]
    fn a_bitrate_that_is_set_holds_at_once() {
        #[expect(clippy::disallowed_methods, reason = "time starts anywhere")]
        let now = Instant::now();
        for adaptive in [true, false] {
            let mut encoder = Encoder { adaptive, ..Encoder::default() };
            let mut rate = VideoRate::new(now, &encoder);
            for kbps in [200, 6000] {
                encoder.bitrate_kbps = kbps;
                assert_eq!(rate.set(now, &encoder), kbps);
            }
        }
    }

    /// How far the encoder is turned down by links that carry next to nothing, and how long it takes to be turned up again.
    fn down_and_up(encoder: &Encoder) -> (u32, Duration) {
        #[expect(clippy::disallowed_methods, reason = "time starts anywhere")]
        let mut now = Instant::now();
        let mut rate = VideoRate::new(now, encoder);
        for _ in 0..100 {
            now += Duration::from_millis(50);
            rate.follow(now, &stats(1_500_000, 200.0), encoder);
        }
        let (least, start) = (rate.kbps(), now);
        while rate.kbps() < encoder.bitrate_kbps {
            now += Duration::from_millis(50);
            rate.follow(now, &stats(10_000_000, 0.0), encoder);
        }
        (least, now - start)
    }

    #[test]
    fn floor_and_ramp_are_as_they_are_set() {
        let encoder =
            |min_bitrate_kbps, ramp_percent| Encoder { min_bitrate_kbps, ramp_percent, ..Encoder::default() };
        let (deep, slow) = down_and_up(&encoder(None, 10));
        let (floor, fast) = down_and_up(&encoder(Some(800), 100));
        assert!(deep <= 420 && (795..=805).contains(&floor), "{deep} and {floor} kbit/s");
        assert!(slow >= Duration::from_secs(9) && fast <= Duration::from_secs(3), "{slow:?} and {fast:?}");
    }

    #[test]
    fn what_does_not_follow_the_links_can_begin_to_and_end() {
        #[expect(clippy::disallowed_methods, reason = "time starts anywhere")]
        let mut now = Instant::now();
        let mut encoder = Encoder { adaptive: false, ..Encoder::default() };
        let mut rate = VideoRate::new(now, &encoder);
        let mut follow = |rate: &mut VideoRate, encoder: &Encoder| {
            for _ in 0..40 {
                now += Duration::from_millis(50);
                rate.follow(now, &stats(1_500_000, 200.0), encoder);
            }
            (now, rate.kbps())
        };
        assert_eq!(follow(&mut rate, &encoder).1, 4000);
        encoder.adaptive = true;
        let (now, _) = follow(&mut rate, &encoder);
        assert_eq!(rate.set(now, &encoder), 4000);
        let (now, less) = follow(&mut rate, &encoder);
        assert!(less < 1500, "{less}");
        encoder.adaptive = false;
        assert_eq!(rate.set(now, &encoder), 4000);
        assert_eq!(follow(&mut rate, &encoder).1, 4000);
    }
}
