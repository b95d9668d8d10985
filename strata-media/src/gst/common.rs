//! What both elements are told: where links lead, how long they wait, who may call, and how often they tell of it.

use std::fmt;
use std::time::Duration;

use gstreamer as gst;
use gstreamer::glib;
use gstreamer::prelude::*;

use super::driver::resolve;
use super::error::SettingError;
use crate::net::{RistUrls, Verifiers};

/// Longest latency, ms.
const MAX_LATENCY_MS: u32 = 60_000;

/// Values of the properties that both have.
#[derive(Clone)]
pub(super) struct Common {
    pub(super) uri: Option<String>,
    /// In place of the URLs', if it is not 0.
    pub(super) latency_ms: u32,
    /// File with the verifiers of the users that may call.
    pub(super) users_file: Option<String>,
    /// 0 for no messages.
    pub(super) stats_interval_ms: u32,
}

/// Without the URLs, which have secrets.
impl fmt::Debug for Common {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Common").finish_non_exhaustive()
    }
}

impl Default for Common {
    fn default() -> Self {
        Self { uri: None, latency_ms: 0, users_file: None, stats_interval_ms: 1000 }
    }
}

/// What an element says of these properties.
pub(super) struct Blurbs {
    pub(super) uri: &'static str,
    pub(super) latency: &'static str,
    pub(super) users_file: &'static str,
    pub(super) stats: &'static str,
    /// Whether URLs and latency change while it runs.
    pub(super) live: bool,
}

fn mutable<'a, B: GstParamSpecBuilderExt<'a>>(builder: B, live: bool) -> B {
    if live { builder.mutable_playing() } else { builder.mutable_ready() }
}

/// The properties.
pub(super) fn properties(blurbs: &Blurbs) -> Vec<glib::ParamSpec> {
    let uri = glib::ParamSpecString::builder("uri").nick("URI").blurb(blurbs.uri);
    let latency = glib::ParamSpecUInt::builder("latency").nick("Latency").blurb(blurbs.latency);
    let users_file = glib::ParamSpecString::builder("users-file").nick("File of users");
    let stats_interval = glib::ParamSpecUInt::builder("stats-interval").nick("Interval of statistics");
    vec![
        mutable(uri, blurbs.live).build(),
        mutable(latency, blurbs.live).maximum(MAX_LATENCY_MS).build(),
        users_file.blurb(blurbs.users_file).mutable_ready().build(),
        glib::ParamSpecBoxed::builder::<gst::Structure>("stats")
            .nick("Statistics")
            .blurb(blurbs.stats)
            .read_only()
            .build(),
        stats_interval
            .blurb("How often a message strata-stats is posted, ms; 0: never")
            .default_value(Common::default().stats_interval_ms)
            .mutable_playing()
            .build(),
    ]
}

impl Common {
    /// What a property is, if it is one of these.
    pub(super) fn get(&self, name: &str) -> Option<glib::Value> {
        Some(match name {
            "uri" => self.uri.to_value(),
            "latency" => self.latency_ms.to_value(),
            "users-file" => self.users_file.to_value(),
            "stats-interval" => self.stats_interval_ms.to_value(),
            _ => return None,
        })
    }

    /// Sets a property, if it is one of these. GObject has checked its type and range.
    pub(super) fn set(&mut self, name: &str, value: &glib::Value) {
        match name {
            "uri" => self.uri = value.get().unwrap_or_default(),
            "latency" => self.latency_ms = value.get().unwrap_or_default(),
            "users-file" => self.users_file = value.get().unwrap_or_default(),
            "stats-interval" => self.stats_interval_ms = value.get().unwrap_or_default(),
            _ => {}
        }
    }

    /// Where its links lead; names are looked up.
    ///
    /// # Errors
    /// [`SettingError`] of `uri`.
    pub(super) fn urls(&self) -> Result<RistUrls, SettingError> {
        resolve(self.uri.as_deref().ok_or(SettingError::NoUri)?.parse()?)
    }

    /// The latency, if it is not the URLs'.
    pub(super) fn latency(&self) -> Option<Duration> {
        (self.latency_ms > 0).then(|| Duration::from_millis(self.latency_ms.into()))
    }

    /// Who may call, read from the file; anybody when there is none.
    ///
    /// # Errors
    /// [`SettingError::Users`] names the file.
    pub(super) fn users(&self) -> Result<Option<Verifiers>, SettingError> {
        let Some(path) = &self.users_file else { return Ok(None) };
        let fault = |error: &dyn fmt::Display| SettingError::Users(format!("{path}: {error}"));
        let text = std::fs::read_to_string(path).map_err(|error| fault(&error))?;
        Verifiers::parse(&text).map(Some).map_err(|error| fault(&error))
    }
}
