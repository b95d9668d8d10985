//! GStreamer elements: `stratasink` sends a transport stream over bonded links, `stratasrc` receives one.
//!
//! ```text
//!  … ! mpegtsmux ! stratasink ═══ RIST over N links ═══► stratasrc ! tsdemux ! …
//!        ▲            │                                      │
//!        └────────────┘ GstForceKeyUnit, strata-bitrate      └─ time stamps, DISCONT where packets are missing
//! ```
//!
//! Both stand on [`net`](crate::net): a thread with a runtime of its own drives the sockets, another one looks at the
//! statistics and tells what they say, by messages, signals and events. [`register`] makes the elements known to a program;
//! the plugin `strata-gst` is that and nothing else. Their properties are listed in the plugin's README, and by
//! `gst-inspect-1.0`.
//!
//! # Example
//! ```no_run
//! use gstreamer as gst;
//! use gstreamer::prelude::*;
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! gst::init()?;
//! strata_media::gst::register(None)?;
//! let pipeline = gst::parse::launch(
//!     "videotestsrc is-live=true ! x264enc name=encoder tune=zerolatency ! mpegtsmux alignment=7
//!      ! stratasink name=sink uri=rist://192.0.2.1:6000,rist://192.0.2.1:6002 max-bitrate=4000000",
//! )?;
//! let pipeline = pipeline.downcast::<gst::Pipeline>().map_err(|_| "no pipeline")?;
//! let encoder = pipeline.by_name("encoder").ok_or("no encoder")?;
//! let sink = pipeline.by_name("sink").ok_or("no sink")?;
//! // What the links carry drives the encoder; x264enc takes kbit/s, of video alone.
//! sink.connect("bitrate", false, move |values| {
//!     let bps: u32 = values[1].get().ok()?;
//!     encoder.set_property("bitrate", bps / 1000 * 9 / 10);
//!     None
//! });
//! pipeline.set_state(gst::State::Playing)?;
//! # Ok(())
//! # }
//! ```

mod common;
mod cutter;
mod driver;
mod error;
mod gate;
pub(crate) mod keyframes;
mod links;
mod scheduler;
mod sink;
mod source;
mod stats;
mod ticker;
mod timeline;
mod types;
mod wait;

pub use sink::StrataSink;
pub use source::StrataSrc;
pub use types::{SinkMode, SinkProfile};

use gstreamer as gst;
use gstreamer::glib;
use gstreamer::prelude::*;

/// Makes `stratasink` and `stratasrc` known, as elements of a plugin or of this program (`None`). GStreamer must be
/// initialized. Doing it again changes nothing.
///
/// # Errors
/// When GStreamer does not take an element.
pub fn register(plugin: Option<&gst::Plugin>) -> Result<(), glib::BoolError> {
    gst::Element::register(plugin, "stratasink", gst::Rank::NONE, StrataSink::static_type())?;
    gst::Element::register(plugin, "stratasrc", gst::Rank::NONE, StrataSrc::static_type())
}
