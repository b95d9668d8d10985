//! `stratasink`: a transport stream in, RIST over any number of links out.

mod imp;
mod properties;
mod session;
mod settings;
mod watch;

use gstreamer as gst;
use gstreamer::glib;
use gstreamer_base as gst_base;

glib::wrapper! {
    /// The element `stratasink`; its properties and signals are those that `gst-inspect-1.0 stratasink` shows.
    pub struct StrataSink(ObjectSubclass<imp::StrataSink>)
        @extends gst_base::BaseSink, gst::Element, gst::Object;
}
