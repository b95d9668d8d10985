//! Settings that live in memory and on disk at once.

use std::sync::{MutexGuard, PoisonError};
use std::time::Duration;

use strata_proto::control::{AgentSettings, ErrorCode, Fault};

use super::Device;
use crate::config::{Config, Live, Settings};

/// What the control plane set, what follows from it, and what it wishes at login.
#[derive(Debug)]
pub(crate) struct Kept {
    /// What lies on disk.
    pub(crate) settings: Settings,
    /// What holds now.
    pub(crate) live: Live,
    wishes: AgentSettings,
}

impl Kept {
    /// The settings on disk at the start, over `config`.
    pub(crate) fn new(settings: Settings, config: &Config) -> Self {
        Self { settings, live: config.live.clone(), wishes: AgentSettings::default() }
    }

    /// Makes `next` hold, on disk first.
    ///
    /// # Errors
    /// When it cannot be written; nothing has changed then.
    pub(super) fn keep(&mut self, next: Settings, config: &Config) -> Result<(), Fault> {
        let mut live = self.live.clone();
        let internal = |e: String| Fault::new(ErrorCode::INTERNAL, format!("cannot keep the settings: {e}"));
        next.apply(&mut live, &config.fixed).map_err(|e| internal(e.to_string()))?;
        next.write(&config.state_dir).map_err(|e| internal(e.to_string()))?;
        self.live = live;
        self.settings = next;
        Ok(())
    }

    /// Remembers what the control plane wishes; the interval of `stream.stats` that follows.
    pub(super) fn wished(&mut self, wishes: AgentSettings) -> Duration {
        self.wishes = wishes;
        self.stats_interval()
    }

    /// Time between two `stream.stats`: the device's own setting, else the control plane's wish.
    pub(super) fn stats_interval(&self) -> Duration {
        let wished = self.wishes.stats_interval_s.filter(|s| (1..=3600).contains(s));
        let wished = wished.map(|s| Duration::from_secs(s.into()));
        self.live.stats_interval.or(wished).unwrap_or(DEFAULT_STATS)
    }
}

impl Device {
    pub(super) fn kept(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// `control.md` §4.1: every 1 s while streaming.
const DEFAULT_STATS: Duration = Duration::from_secs(1);
