//! `stratasrc`: RIST in over any number of links, a transport stream out, at constant latency.

mod imp;
mod properties;
mod session;
mod settings;

use gstreamer as gst;
use gstreamer::glib;
use gstreamer_base as gst_base;

glib::wrapper! {
    /// The element `stratasrc`; its properties are those that `gst-inspect-1.0 stratasrc` shows.
    pub struct StrataSrc(ObjectSubclass<imp::StrataSrc>)
        @extends gst_base::PushSrc, gst_base::BaseSrc, gst::Element, gst::Object;
}
