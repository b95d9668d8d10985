//! GStreamer graphs: from a source to a bonded stream, and from a bonded stream to files and other people's servers.
//!
//! ```text
//!  send     reader (file, one per pass) ─► timeline ─┐
//!           test picture and tone ───────────────────┼─► clock ─► H.264, AAC ─► MPEG-TS ─► 1316 bytes ─► net::sender
//!           v4l2, rtsp ──────────────────────────────┘
//!
//!  receive  net::receiver ─┬─► file (.ts, as it came)
//!                          ├─► SRT  (as it came)
//!                          └─► RTMP (demultiplexed, FLV)        each output in a thread of its own, with a bounded queue
//! ```
//!
//! [`send()`] and [`receive()`] return `(handle, driver)`: the driver runs where its caller wants, on tokio; dropping the
//! handle ends it. GStreamer itself brings threads (a few per graph), and so does every output of a receiver.
//! [`probe`] says what this machine and its files have to offer.

mod config;
mod element;
mod error;
pub mod probe;
mod receive;
mod send;

pub use config::{Encoder, SendConfig, Source};
pub use error::PipelineError;
pub use receive::{
    Output, OutputError, OutputState, OutputStats, Receive, ReceiveConfig, ReceiveDriver, ReceiveEvent,
    ReceiveStats, receive,
};
pub use send::{EndReason, Ended, SendDriver, SendEvent, SendHandle, SendStats, send};

/// Loads GStreamer; every function that needs it does so by itself.
///
/// # Errors
/// [`PipelineError::Init`] when it cannot be loaded.
pub fn init() -> Result<(), PipelineError> {
    gstreamer::init().map_err(|e| PipelineError::Init(e.to_string()))
}
