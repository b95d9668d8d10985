//! What a sink was told, and what its sender is made of.

use gstreamer as gst;

use super::super::common::Common;
use super::super::error::SettingError;
use super::super::scheduler;
use super::super::types::{SinkMode, SinkProfile};
use crate::bond::{AdaptationParams, SchedulerParams};
use crate::net::{Profile, RistUrls, SenderConfig, Verifiers};

/// Values of properties.
#[derive(Debug, Clone)]
pub(super) struct Settings {
    pub(super) common: Common,
    pub(super) profile: SinkProfile,
    /// Whether the source cannot wait.
    pub(super) live: bool,
    pub(super) null_packet_deletion: bool,
    pub(super) sequence_extension: bool,
    pub(super) full_datagrams: bool,
    pub(super) mode: SinkMode,
    pub(super) scheduler: Option<gst::Structure>,
    /// bit/s.
    pub(super) min_bitrate: u32,
    /// bit/s; 0 leaves the source alone.
    pub(super) max_bitrate: u32,
    /// Percent of `max_bitrate` per second.
    pub(super) ramp: u32,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            common: Common::default(),
            profile: SinkProfile::Auto,
            live: true,
            null_packet_deletion: false,
            sequence_extension: false,
            full_datagrams: false,
            mode: SinkMode::Economy,
            scheduler: None,
            min_bitrate: 0,
            max_bitrate: 0,
            ramp: 10,
        }
    }
}

impl Settings {
    /// The sender they ask for, with these links, which these users may call.
    ///
    /// # Errors
    /// The property that cannot be.
    pub(super) fn sender(
        &self,
        urls: &RistUrls,
        users: Option<&Verifiers>,
    ) -> Result<SenderConfig, SettingError> {
        let mut config = self.with_own(urls.clone()).sender()?;
        config.latency = self.common.latency().unwrap_or(config.latency);
        config.users = users.cloned();
        config.live = self.live;
        config.keyframes = true;
        let fec = config.scheduler.fec;
        let of_mode = SchedulerParams { fec, ..SchedulerParams::new(self.mode.into()) };
        config.scheduler = scheduler::params(of_mode, self.scheduler.as_deref())?;
        Ok(config)
    }

    /// URLs, with what the element's properties say where they do not.
    fn with_own(&self, urls: RistUrls) -> RistUrls {
        let urls = urls
            .or_null_packet_deletion(self.null_packet_deletion)
            .or_sequence_extension(self.sequence_extension)
            .or_full_datagrams(self.full_datagrams);
        match self.profile {
            SinkProfile::Auto => urls,
            SinkProfile::Simple => urls.or_profile(Profile::Simple),
            SinkProfile::Main => urls.or_profile(Profile::Main),
        }
    }

    /// Limits of what the source should make, if it is to be told.
    ///
    /// # Errors
    /// [`SettingError::Bitrates`] when the least is more than the most.
    pub(super) fn adaptation(&self) -> Result<Option<AdaptationParams>, SettingError> {
        let (min, max) = (self.min_bitrate, self.max_bitrate);
        if max == 0 {
            return Ok(None);
        }
        if min > max {
            return Err(SettingError::Bitrates { min, max });
        }
        let mut params = AdaptationParams::new(max.into());
        if min > 0 {
            params.floor_bps = min.into();
        }
        params.ramp = f64::from(self.ramp) / 100.0;
        Ok(Some(params))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_no_url_says_is_as_the_properties_have_it() {
        let settings = Settings {
            null_packet_deletion: true,
            sequence_extension: true,
            full_datagrams: true,
            ..Settings::default()
        };
        let of = |settings: &Settings, text: &str| {
            let config = settings.sender(&text.parse().unwrap(), None).unwrap();
            let is = [config.null_packet_deletion, config.sequence_extension, config.full_datagrams];
            (config.profile, is)
        };
        assert_eq!(of(&settings, "rist://127.0.0.1:6000"), (Profile::Main, [true; 3]));
        let text = "rist://127.0.0.1:6000?null-packet-deletion=0&sequence-extension=0&full-datagrams=0";
        assert_eq!(of(&settings, text), (Profile::Simple, [false; 3]));
        let main = Settings { profile: SinkProfile::Main, ..Settings::default() };
        assert_eq!(of(&main, "rist://127.0.0.1:6000"), (Profile::Main, [false; 3]));
        assert_eq!(of(&main, "rist://127.0.0.1:6000?profile=simple"), (Profile::Simple, [false; 3]));
    }

    #[test]
    fn repair_packets_are_sent_unless_a_url_or_the_scheduler_says_otherwise() {
        gst::init().unwrap();
        for (query, scheduler, enabled) in [
            ("", "scheduler", true),
            ("?fec=0", "scheduler", false),
            ("?fec=0", "scheduler, fec_enabled=true", true),
            ("?fec=1", "scheduler, fec_enabled=false", false),
        ] {
            let scheduler = Some(scheduler.parse().unwrap());
            let settings = Settings { mode: SinkMode::Robust, scheduler, ..Settings::default() };
            let urls = format!("rist://127.0.0.1:6000{query}").parse().unwrap();
            assert_eq!(settings.sender(&urls, None).unwrap().scheduler.fec.enabled, enabled, "{query}");
        }
    }

    #[test]
    fn limits_of_the_source_are_a_share_of_its_most() {
        let settings = Settings { max_bitrate: 5_000_000, ..Settings::default() };
        assert_eq!(settings.adaptation().unwrap(), Some(AdaptationParams::new(5_000_000)));
        let limits = Settings { min_bitrate: 1_000_000, ramp: 50, ..settings }.adaptation().unwrap().unwrap();
        assert_eq!((limits.floor_bps, limits.ceiling_bps, limits.ramp), (1_000_000, 5_000_000, 0.5));
        assert_eq!(Settings::default().adaptation().unwrap(), None);
    }
}
