//! The media engine of Strata: RIST, link bonding, sockets, and GStreamer pipelines.
//!
//! Pure first, then I/O. [`rist`] speaks the protocol and [`bond`] spreads one stream over several links;
//! both are machines without sockets or clocks, driven by `handle_input` and `poll_output`; [`fec`] repairs what there is no time to
//! ask for again, and [`ts`] tells which packets matter most. `net` (feature
//! `net`) runs them over UDP, a socket pair per link. `testing` (feature `testing`) emulates bad links, in
//! virtual time and for real processes. `pipeline` (feature `gst`) captures, encodes, records and forwards, and `gst` has
//! the elements `stratasink` and `stratasrc`.

#[cfg(all(doctest, feature = "net"))]
#[doc = include_str!("../README.md")]
mod readme {}

pub mod bond;
pub mod fec;
#[cfg(feature = "gst")]
pub mod gst;
#[cfg(feature = "net")]
pub mod net;
#[cfg(feature = "gst")]
pub mod pipeline;
pub mod rist;
#[cfg(feature = "testing")]
pub mod testing;
pub mod ts;
#[cfg(all(test, feature = "net"))]
mod until;
