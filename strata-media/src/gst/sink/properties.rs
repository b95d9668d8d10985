//! Properties and signals of a sink: what they are called, what they take, and what a new value does.

use std::sync::LazyLock;
use std::sync::atomic::Ordering;

use gstreamer as gst;
use gstreamer::glib;
use gstreamer::glib::subclass::Signal;
use gstreamer::prelude::*;

use super::super::common::{self, Blurbs};
use super::super::types::{SinkMode, SinkProfile};
use super::session::Session;
use super::settings::Settings;

pub(super) static SIGNALS: LazyLock<Vec<Signal>> = LazyLock::new(|| {
    // bit/s; see the property of the same name.
    vec![Signal::builder("bitrate").param_types([u32::static_type()]).build()]
});

pub(super) static PROPERTIES: LazyLock<Vec<glib::ParamSpec>> = LazyLock::new(|| {
    let mut properties = common::properties(&Blurbs {
        uri: "rist://HOST:PORT?buffer=MS&…, one per link, joined by commas; links come and go with it",
        latency: "How long what is lost is repeated, ms: at least the receiver's latency; 0: as the URLs say, or 1000",
        users_file: "Who may call links that wait for it, a line of ristsrppasswd for each; all, when it is not set",
        stats: "Counts since the start, and the state of every link",
        live: true,
    });
    properties.extend([
        glib::ParamSpecEnum::builder::<SinkProfile>("profile")
            .nick("Profile")
            .blurb("RIST profile")
            .mutable_ready()
            .build(),
        glib::ParamSpecBoolean::builder("live")
            .nick("Live")
            .blurb("The source cannot wait: what could not arrive in time is discarded; false: it waits for the links")
            .default_value(Settings::default().live)
            .mutable_ready()
            .build(),
        flag("null-packet-deletion", "Null packets out", "Null packets are left out, and restored by the receiver; by Main"),
        flag(
            "sequence-extension",
            "Long sequence numbers",
            "Sequence numbers of 32 bits, for more than 100 Mbit/s at a latency of 1 s; by Main",
        ),
        flag("full-datagrams", "Full datagrams", "Whole datagrams of IPv4 in the tunnel, 24 bytes more for each; by Main"),
        glib::ParamSpecEnum::builder::<SinkMode>("mode")
            .nick("Mode")
            .blurb("How much is sent that may turn out not to have been needed")
            .mutable_playing()
            .build(),
        glib::ParamSpecBoxed::builder::<gst::Structure>("scheduler")
            .nick("Scheduler")
            .blurb("Parameters other than the mode has them; checked as a whole before any of them applies")
            .mutable_playing()
            .build(),
        glib::ParamSpecUInt::builder("min-bitrate")
            .nick("Least bitrate")
            .blurb("The source is not told to make less while the links carry it, bit/s; 0: a tenth of max-bitrate")
            .mutable_playing()
            .build(),
        glib::ParamSpecUInt::builder("max-bitrate")
            .nick("Most bitrate")
            .blurb("The source is told what the links carry, up to this, bit/s; 0: it is told nothing")
            .mutable_playing()
            .build(),
        glib::ParamSpecUInt::builder("ramp")
            .nick("Ramp")
            .blurb("How fast the source is told to make more again, percent of max-bitrate per second")
            .minimum(1)
            .maximum(1000)
            .default_value(Settings::default().ramp)
            .mutable_playing()
            .build(),
        glib::ParamSpecUInt::builder("bitrate")
            .nick("Bitrate")
            .blurb("What the source should make, all media together, bit/s; 0: not told")
            .read_only()
            .build(),
    ]);
    properties
});

/// Something that is not, unless it is asked for before the start.
fn flag(name: &'static str, nick: &'static str, blurb: &'static str) -> glib::ParamSpec {
    glib::ParamSpecBoolean::builder(name).nick(nick).blurb(blurb).mutable_ready().build()
}

/// What a property is.
pub(super) fn get(name: &str, settings: &Settings, session: Option<&Session>) -> glib::Value {
    if let Some(value) = settings.common.get(name) {
        return value;
    }
    match name {
        "profile" => settings.profile.to_value(),
        "live" => settings.live.to_value(),
        "null-packet-deletion" => settings.null_packet_deletion.to_value(),
        "sequence-extension" => settings.sequence_extension.to_value(),
        "full-datagrams" => settings.full_datagrams.to_value(),
        "mode" => settings.mode.to_value(),
        "scheduler" => settings.scheduler.to_value(),
        "min-bitrate" => settings.min_bitrate.to_value(),
        "max-bitrate" => settings.max_bitrate.to_value(),
        "ramp" => settings.ramp.to_value(),
        "bitrate" => {
            let running = session.map(|session| session.target_bps.load(Ordering::Relaxed));
            running.unwrap_or(settings.max_bitrate).to_value()
        }
        "stats" => session.map(Session::stats).to_value(),
        _ => unreachable!("GObject asks for what was registered"),
    }
}

/// The settings with another value of one property. GObject has checked its type and range.
pub(super) fn set(name: &str, value: &glib::Value, settings: &Settings) -> Settings {
    let mut next = settings.clone();
    let number = || value.get().unwrap_or_default();
    next.common.set(name, value);
    match name {
        "profile" => next.profile = value.get().unwrap_or_default(),
        "live" => next.live = value.get().unwrap_or_default(),
        "null-packet-deletion" => next.null_packet_deletion = value.get().unwrap_or_default(),
        "sequence-extension" => next.sequence_extension = value.get().unwrap_or_default(),
        "full-datagrams" => next.full_datagrams = value.get().unwrap_or_default(),
        "mode" => next.mode = value.get().unwrap_or_default(),
        "scheduler" => next.scheduler = value.get().unwrap_or_default(),
        "min-bitrate" => next.min_bitrate = number(),
        "max-bitrate" => next.max_bitrate = number(),
        "ramp" => next.ramp = number(),
        _ => {}
    }
    next
}
