//! What a running sink tells others: warnings and statistics on the bus, and upstream what its source should make.

use std::collections::BTreeMap;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use gstreamer as gst;
use gstreamer::glib;
use gstreamer::prelude::*;

use super::super::error::SettingError;
use super::super::keyframes::{Keyframes, force_key_unit};
use super::super::ticker::Ticker;
use super::StrataSink;
use super::session::Session;
use super::settings::Settings;
use crate::bond::{Adaptation, AdaptationParams, BondStats};

/// How often statistics are looked at.
const PERIOD: Duration = Duration::from_millis(50);
/// A smaller change is not worth telling a source, as a share.
const STEP: f64 = 0.02;

/// Settings as they are now.
pub(super) type Shared = Arc<Mutex<Settings>>;

/// Starts to look after `session`.
pub(super) fn watch(
    sink: &StrataSink,
    settings: Shared,
    session: Arc<Session>,
) -> Result<Ticker, SettingError> {
    let sink = sink.downgrade();
    let limits = settings.lock().unwrap_or_else(PoisonError::into_inner).adaptation()?;
    let mut watch = Watch {
        settings,
        keyframes: Keyframes::default(),
        limits,
        adaptation: None,
        errors: BTreeMap::new(),
        next_stats: None,
    };
    Ticker::start("strata-watch", PERIOD, move |now| watch.tick(now, &sink, &session))
}

#[derive(Debug)]
struct Watch {
    settings: Shared,
    keyframes: Keyframes,
    /// What the source may be told to make, as long as no other limits fit each other.
    limits: Option<AdaptationParams>,
    adaptation: Option<Adaptation>,
    /// Of links, as they were told.
    errors: BTreeMap<u32, String>,
    next_stats: Option<Instant>,
}

impl Watch {
    fn tick(&mut self, now: Instant, sink: &glib::WeakRef<StrataSink>, session: &Session) -> bool {
        let Some(sink) = sink.upgrade() else { return false };
        if let Some(error) = session.failure() {
            gst::element_error!(sink, gst::ResourceError::Failed, ("{error}"));
            return false;
        }
        let settings = self.settings.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let stats = session.bond_stats();
        self.tell_errors(&sink, &stats);
        self.follow(now, &sink, session, &settings, &stats);
        if self.keyframes.handle_stats(now, &stats) {
            push_upstream(&sink, force_key_unit());
        }
        self.tell_stats(now, &sink, session, &settings);
        true
    }

    fn tell_errors(&mut self, sink: &StrataSink, stats: &BondStats) {
        let mut errors = BTreeMap::new();
        for link in &stats.links {
            let Some(error) = &link.error else { continue };
            if self.errors.get(&link.id) != Some(error) {
                gst::element_warning!(sink, gst::ResourceError::OpenWrite, ("link {}: {error}", link.id));
            }
            errors.insert(link.id, error.clone());
        }
        self.errors = errors;
    }

    /// Tells the source what the links carry.
    fn follow(
        &mut self,
        now: Instant,
        sink: &StrataSink,
        session: &Session,
        settings: &Settings,
        stats: &BondStats,
    ) {
        let before = session.target_bps.load(Ordering::Relaxed);
        // Two properties are set one after the other: until they fit, what fitted holds.
        if let Ok(limits) = settings.adaptation() {
            self.limits = limits;
        }
        let Some(params) = self.limits.clone() else {
            self.adaptation = None;
            session.target_bps.store(0, Ordering::Relaxed);
            return;
        };
        let ceiling = u32::try_from(params.ceiling_bps).unwrap_or(u32::MAX);
        let adaptation = self.adaptation.get_or_insert_with(|| Adaptation::new(now, params.clone()));
        adaptation.set_params(params);
        let target = u32::try_from(adaptation.handle_stats(now, stats)).unwrap_or(u32::MAX);
        let worth = f64::from(target.abs_diff(before)) > f64::from(before) * STEP;
        if worth || target == ceiling && target != before {
            session.target_bps.store(target, Ordering::Relaxed);
            sink.notify("bitrate");
            sink.emit_by_name::<()>("bitrate", &[&target]);
            let structure = gst::Structure::builder("strata-bitrate").field("bitrate", target).build();
            push_upstream(sink, gst::event::CustomUpstream::new(structure));
        }
    }

    fn tell_stats(&mut self, now: Instant, sink: &StrataSink, session: &Session, settings: &Settings) {
        if settings.common.stats_interval_ms == 0 {
            self.next_stats = None;
            return;
        }
        let interval = Duration::from_millis(settings.common.stats_interval_ms.into());
        let next = *self.next_stats.get_or_insert(now + interval);
        // An interval that was made shorter holds at once.
        if now >= next.min(now + interval) {
            self.next_stats = Some(now + interval);
            let message = gst::message::Element::builder(session.stats()).src(sink).build();
            // A bus that takes nothing is one nobody reads.
            let _ = sink.post_message(message);
        }
    }
}

fn push_upstream(sink: &StrataSink, event: gst::Event) {
    let handled = sink.static_pad("sink").is_some_and(|pad| pad.push_event(event));
    gst::debug!(super::imp::CAT, obj = sink, "event upstream, handled: {handled}");
}
