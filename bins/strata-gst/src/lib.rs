#![doc = include_str!("../README.md")]
#![expect(missing_docs, reason = "what the macro makes is for GStreamer's loader alone")]

use gstreamer as gst;
use gstreamer::glib;

fn plugin_init(plugin: &gst::Plugin) -> Result<(), glib::BoolError> {
    strata_media::gst::register(Some(plugin))
}

gst::plugin_define!(
    strata,
    env!("CARGO_PKG_DESCRIPTION"),
    plugin_init,
    env!("CARGO_PKG_VERSION"),
    // One of the two; GStreamer knows no way to say both.
    "MIT/X11",
    env!("CARGO_PKG_NAME"),
    env!("CARGO_PKG_NAME"),
    env!("CARGO_PKG_REPOSITORY")
);
