//! GStreamer graphs: from a source to a bonded stream, and from a bonded stream to files and other people's servers.
//!
//! ```text
//!  send     reader (file, one per pass) ─► time line ─┐
//!           test picture and tone ────────────────────┼─► clock ─► H.264, AAC ─► MPEG-TS ─► 1316 bytes ─► net::sender
//!           v4l2, rtsp ───────────────────────────────┘
//!
//!  receive  net::receiver ─┬─► file (.ts, as it came)
//!                          ├─► SRT  (as it came)
//!                          └─► RTMP (demultiplexed, FLV)        each output in a thread of its own, with a bounded queue
//! ```
//!
//! [`send()`] and [`receive()`] return `(handle, driver)`: the driver runs where its caller wants, on tokio; dropping the
//! handle ends it. GStreamer itself brings threads (a few per graph), and so does every output of a receiver.
//! [`probe`] says what this machine and its files have to offer.
//!
//! # Example
//! ```no_run
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! use strata_media::net::{LinkConfig, ReceiverConfig, SenderConfig};
//! use strata_media::pipeline::{ReceiveConfig, SendConfig, SendEvent, Source, receive, send};
//!
//! // Receive into a file, and pass it on.
//! let mut config = ReceiveConfig::new(ReceiverConfig::new(vec!["127.0.0.1:15000".parse()?]));
//! config.record = Some("match.ts".into());
//! config.outputs = vec!["srt://:9000?mode=listener".parse()?];
//! let (receiver, driver) = receive(config)?;
//! tokio::spawn(driver.run());
//!
//! // Send a clip over and over, without a seam.
//! let clip = Source::File { path: "clip.mp4".into(), repeat: true, passthrough: false };
//! let bond = SenderConfig::new(vec![LinkConfig::new(0, "127.0.0.1:15000".parse()?)]);
//! let (mut stream, driver) = send(SendConfig::new(clip), bond)?;
//! tokio::spawn(driver.run());
//! while let Some(event) = stream.event().await {
//!     if let SendEvent::Stats(stats) = event {
//!         println!("{} kbit/s over {} links", stats.encoder_kbps, stats.bond.links.len());
//!         stream.set_bitrate(3000)?;
//!     }
//! }
//! # Ok(())
//! # }
//! ```
//!
//! # Files
//! A file is read anew for every pass, by a graph of its own, and laid on one time line that the encoders see: no seek,
//! and so no quirk of a container, can leave a seam.
//!
//! ```text
//!  reader   uridecodebin ─┬─► pictures ─► appsink ─┐  pass 1 │ pass 2 │ pass 3
//!                         └─► sound ────► appsink ─┤  ▒▒▒▒▒▒▒│▒▒▒▒▒▒▒▒│▒▒▒▒▒    pictures: on the grid of their rate,
//!                                                  │  ≈≈≈≈≈≈≈≈≈≈≈≈≈≈≈≈≈≈≈≈≈    sound under them, sample by sample:
//!  main     appsrc ─► clocksync ─► encoder ─► mux ◄┘                            cut where it is too long, silence where short
//! ```
//!
//! The clock is in front of the encoder, as it is with a camera: a new bitrate takes effect with the next picture, and
//! what is behind it may wait for the other medium without loss.

mod config;
mod element;
mod error;
pub mod probe;
mod receive;
mod send;

pub use config::{Encoder, EncoderUpdate, SendConfig, Source};
pub use error::PipelineError;
pub use receive::{
    Output, OutputError, OutputState, OutputStats, Receive, ReceiveConfig, ReceiveDriver, ReceiveEvent,
    ReceiveStats, receive,
};
pub use send::{EndReason, Ended, STOP_TIMEOUT, SendDriver, SendEvent, SendHandle, SendStats, send};

/// Loads GStreamer; every function that needs it does so by itself.
///
/// # Errors
/// [`PipelineError::Init`] when it cannot be loaded.
pub fn init() -> Result<(), PipelineError> {
    gstreamer::init().map_err(|e| PipelineError::Init(e.to_string()))
}
