//! RIST with other implementations' own tools, both ways, through an emulated lossy link: a transport stream of
//! constant rate, in real time, byte for byte. Strata's own GStreamer elements are tried the same way.
//!
//! The machine may stall for a while without failing a test: latency is long, what a program has not read yet holds
//! back what it is sent, and nothing that is asserted has an upper bound in time.
#![expect(clippy::disallowed_types, reason = "real programs over real sockets")]
#![expect(clippy::unwrap_used, reason = "the rig of these tests fails them where it stands")]

mod backlog;
mod bridge;
#[cfg(feature = "gst")]
mod elements;
mod fec;
mod ffmpeg;
#[cfg(feature = "gst")]
mod gstreamer;
mod kernel;
mod librist;
mod multicast;
mod namespace;
mod own;
#[cfg(feature = "gst")]
mod pipeline;
mod priorities;
mod rig;
mod stream;
mod tap;
