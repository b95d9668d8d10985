//! From a source to a bonded stream.

mod driver;
mod encoder;
mod graph;
mod rate;
mod reader;
mod timeline;

use std::time::Duration;

use tokio::sync::{mpsc, oneshot};

use super::config::{EncoderUpdate, SendConfig, Source};
use super::error::PipelineError;
use super::probe::{self, MediaInfo, VideoInfo};
use crate::bond::BondStats;
use crate::net::{self, SenderConfig, SenderUpdate};

use driver::{Command, Update};
pub use driver::{STOP_TIMEOUT, SendDriver};

/// Events that wait for the handle's owner; more of them are dropped, the last one of a stream is also what
/// [`SendDriver::run`] returns.
const EVENTS: usize = 64;

/// Time that opening a file or a network camera may take.
const OPEN_TIMEOUT: Duration = Duration::from_secs(10);

/// Steers a running stream. Dropping it stops the stream as [`SendHandle::stop`] does.
#[derive(Debug)]
pub struct SendHandle {
    commands: mpsc::UnboundedSender<Command>,
    events: mpsc::Receiver<SendEvent>,
    encoder: &'static str,
}

impl SendHandle {
    /// Changes the video bitrate, kbit/s, from the next picture on; where the encoder follows the links, its most.
    /// Without effect on pictures that pass through; below [`Encoder::min_bitrate_kbps`](super::Encoder) a warning says that it
    /// has none either.
    ///
    /// # Errors
    /// [`PipelineError::Config`] when it is out of range, [`PipelineError::Closed`] when the driver has ended.
    pub fn set_bitrate(&self, kbps: u32) -> Result<(), PipelineError> {
        check_bitrate(kbps)?;
        self.tell(Command::Encoder(EncoderUpdate { bitrate_kbps: Some(kbps), ..EncoderUpdate::default() }))
    }

    /// Changes the bond and the encoder: all of it or nothing.
    /// Returns when the bond has taken it, for which the driver must run meanwhile; dropped before that, it may still be taken.
    ///
    /// # Errors
    /// [`PipelineError::Config`] when the encoder's limits cannot be, [`PipelineError::Net`] when the bond refuses
    /// ([`net::Sender::update`]), [`PipelineError::Closed`] when the driver has ended.
    pub async fn update(&self, bond: SenderUpdate, encoder: EncoderUpdate) -> Result<(), PipelineError> {
        let (answer, taken) = oneshot::channel();
        self.tell(Command::Update(Box::new(Update { bond, encoder, answer })))?;
        taken.await.map_err(|_| PipelineError::Closed)?
    }

    /// Ends the stream: what has been encoded is sent and has its latency to be repeated in, at most [`STOP_TIMEOUT`].
    ///
    /// # Errors
    /// [`PipelineError::Closed`] when the driver has ended.
    pub fn stop(&self) -> Result<(), PipelineError> {
        self.tell(Command::Stop)
    }

    /// What happens, in order; `None` after the last.
    pub async fn event(&mut self) -> Option<SendEvent> {
        self.events.recv().await
    }

    /// GStreamer's name of the encoder that was chosen.
    #[must_use]
    pub fn encoder(&self) -> &str {
        self.encoder
    }

    fn tell(&self, command: Command) -> Result<(), PipelineError> {
        self.commands.send(command).map_err(|_| PipelineError::Closed)
    }
}

fn check_bitrate(kbps: u32) -> Result<(), PipelineError> {
    if (50..=200_000).contains(&kbps) {
        return Ok(());
    }
    let reason = "expected 50 to 200000 kbit/s".to_owned();
    Err(PipelineError::Config { field: "encoder.bitrate_kbps", reason })
}

/// What happens to a stream.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum SendEvent {
    /// The first packet was made.
    Started,
    /// Once per second.
    Stats(SendStats),
    /// Something is not as it should be, and the stream goes on.
    Warning(String),
    /// The stream is over; the last event.
    Ended(Ended),
}

/// Statistics of a stream.
#[derive(Debug, Clone, Default, PartialEq)]
#[non_exhaustive]
pub struct SendStats {
    /// Time since the first packet.
    pub uptime: Duration,
    /// Video that was encoded, or passed through, in the last second, kbit/s.
    pub encoder_kbps: u32,
    /// Video that is asked of the encoder now, kbit/s.
    pub target_kbps: u32,
    /// Bytes of transport stream given to the bond.
    pub bytes: u64,
    /// The bond and its links.
    pub bond: BondStats,
}

/// How a stream ended.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Ended {
    /// Why.
    pub reason: EndReason,
    /// The error in words, when the reason is one.
    pub error: Option<String>,
    /// Time from its first packet to its end.
    pub duration: Duration,
    /// Bytes of transport stream given to the bond.
    pub bytes: u64,
}

/// Why a stream ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum EndReason {
    /// It was stopped, or its handle dropped.
    Stopped,
    /// A file that is not repeated, or a live source, came to its end.
    EndOfSource,
    /// Something failed.
    Error,
}

/// Opens a source and the sockets of a bond. The stream starts with [`SendDriver::run`].
///
/// Looks into files and network cameras, which may take up to 10 s: call it where that may block.
///
/// # Errors
/// What is wrong with the configuration, the source, the encoder or the network.
pub fn send(config: SendConfig, mut bond: SenderConfig) -> Result<(SendHandle, SendDriver), PipelineError> {
    config.check()?;
    // A receiver is told whether there is an encoder here that it can ask for a keyframe.
    bond.keyframes = !matches!(config.source, Source::File { passthrough: true, .. });
    super::init()?;
    let media = look(&config)?;
    let video_encoder = encoder::choose_video(config.encoder.hardware)?;
    let (sender, network) = net::sender(bond)?;
    let (command_sender, commands) = mpsc::unbounded_channel();
    let (event_sender, events) = mpsc::channel(EVENTS);
    let handle = SendHandle { commands: command_sender, events, encoder: video_encoder };
    let driver = SendDriver::new(config, media, video_encoder, sender, network, commands, event_sender)?;
    Ok((handle, driver))
}

/// What the source has to offer.
fn look(config: &SendConfig) -> Result<MediaInfo, PipelineError> {
    let live = VideoInfo { width: 0, height: 0, framerate: config.framerate, codec: "raw".into() };
    match &config.source {
        Source::Test => Ok(MediaInfo { duration: None, video: Some(live), audio: true }),
        Source::V4l2 { device } => match std::fs::metadata(device) {
            Ok(_) => Ok(MediaInfo { duration: None, video: Some(live), audio: false }),
            Err(e) => Err(PipelineError::NotFound {
                element: "source".into(),
                reason: format!("{}: {e}", device.display()),
            }),
        },
        Source::Rtsp { uri } => probe::uri(uri, OPEN_TIMEOUT),
        Source::File { path, passthrough, .. } => {
            let media = probe::file(path, OPEN_TIMEOUT)?;
            match &media.video {
                Some(video) if *passthrough && video.codec != "video/x-h264" => {
                    Err(PipelineError::Unsupported {
                        element: "source".into(),
                        reason: format!(
                            "only H.264 can pass through, {} holds {}",
                            path.display(),
                            video.codec
                        ),
                    })
                }
                _ => Ok(media),
            }
        }
    }
}
