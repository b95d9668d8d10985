//! Properties of a source: what they are called, and what they take.

use std::sync::LazyLock;

use gstreamer::glib;
use gstreamer::prelude::*;

use super::super::common::{self, Blurbs, Common};
use super::session::Monitor;

pub(super) static PROPERTIES: LazyLock<Vec<glib::ParamSpec>> = LazyLock::new(|| {
    common::properties(&Blurbs {
        uri: "rist://@ADDRESS:PORT?buffer=MS&…, one per port, joined by commas",
        latency: "Constant playout latency, ms; 0: as the URLs say, or 1000",
        users_file: "Who is let in, a line of ristsrppasswd for each; all, when it is not set",
        stats: "Counts since the start, and of every port",
        live: false,
    })
});

/// Whether a running receiver takes another value.
pub(super) fn is_live(name: &str) -> bool {
    name == "stats-interval"
}

/// What a property is.
pub(super) fn get(name: &str, settings: &Common, monitor: Option<&Monitor>) -> glib::Value {
    settings.get(name).unwrap_or_else(|| monitor.map(Monitor::stats).to_value())
}
