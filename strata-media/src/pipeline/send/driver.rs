//! The loop of a stream: packets to the bond, commands to the graph, passes of a file one after the other.

#![expect(clippy::disallowed_methods, reason = "a driver has a clock")]

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use bytes::Bytes;
use gstreamer as gst;
use gstreamer::prelude::*;
use tokio::sync::{mpsc, oneshot};

use super::super::config::{Encoder, EncoderUpdate, SendConfig, Source};
use super::super::element::{BUS_QUEUE, BusEvent, play, watch};
use super::super::error::PipelineError;
use super::super::probe::MediaInfo;
use super::graph::Graph;
use super::rate::VideoRate;
use super::reader::{Reader, Tracks, is_end};
use super::{EndReason, Ended, SendEvent, SendStats, encoder};
use crate::gst::keyframes::Keyframes;
use crate::net::{Sender, SenderDriver, SenderUpdate};

/// Payloads between the graph and the bond: more than a second of them.
const PACKETS: usize = 1024;

/// Longest time from [`SendHandle::stop`](super::SendHandle::stop) to the end. Who runs the stream in a process of its
/// own kills that after 5 s (control-facts, *Sender agent*): this is well within, so that the end is in order, with its
/// count, also when the links are too slow for the rest.
pub const STOP_TIMEOUT: Duration = Duration::from_secs(4);

/// Where the time line of pictures that pass through starts: they may have decoding times before their first picture.
const PASSTHROUGH_START: i64 = 200_000_000;

/// How often the encoder may follow the links: statistics come as often.
const FOLLOW: Duration = Duration::from_millis(50);

#[derive(Debug)]
pub(super) enum Command {
    Encoder(EncoderUpdate),
    Update(Box<Update>),
    Stop,
}

/// A change of the bond and, where it takes that, of the encoder.
#[derive(Debug)]
pub(super) struct Update {
    pub(super) bond: SenderUpdate,
    pub(super) encoder: EncoderUpdate,
    pub(super) answer: oneshot::Sender<Result<(), PipelineError>>,
}

/// What a bus said, and whose it was.
#[derive(Debug)]
pub(super) enum Signal {
    Main(BusEvent),
    Reader(BusEvent),
}

/// Runs a stream.
#[derive(Debug)]
pub struct SendDriver {
    network: SenderDriver,
    sender: Sender,
    stream: Stream,
}

/// A running graph. Dropped from top to bottom: nothing may wait for something that is gone before.
#[derive(Debug)]
struct Running {
    packets: mpsc::Receiver<Bytes>,
    graph: Playing,
    reader: Option<Reader>,
    tracks: Option<Arc<Tracks>>,
    signals: mpsc::Receiver<Signal>,
    signal: mpsc::Sender<Signal>,
}

#[derive(Debug)]
struct Playing(Graph);

impl Drop for Playing {
    fn drop(&mut self) {
        let _ = self.0.pipeline.set_state(gst::State::Null);
    }
}

#[derive(Debug)]
struct Stream {
    config: SendConfig,
    media: MediaInfo,
    running: Running,
    rate: VideoRate,
    keyframes: Keyframes,
    commands: mpsc::UnboundedReceiver<Command>,
    events: mpsc::Sender<SendEvent>,
    started: Option<Instant>,
    stopping: Option<Instant>,
    bytes: u64,
    /// Encoded bytes at the last statistics, and when that was.
    measured: (u64, Instant),
    /// A payload that the bond has not taken yet.
    pending: Option<Bytes>,
}

impl SendDriver {
    pub(super) fn new(
        config: SendConfig,
        media: MediaInfo,
        video_encoder: &'static str,
        sender: Sender,
        network: SenderDriver,
        commands: mpsc::UnboundedReceiver<Command>,
        events: mpsc::Sender<SendEvent>,
    ) -> Result<Self, PipelineError> {
        let running = Running::build(&config, &media, video_encoder)?;
        let now = Instant::now();
        let (measured, rate) = ((0, now), VideoRate::new(now, &config.encoder));
        let keyframes = Keyframes::default();
        let (started, stopping, pending) = (None, None, None);
        let stream = Stream {
            config,
            media,
            running,
            rate,
            keyframes,
            commands,
            events,
            started,
            stopping,
            bytes: 0,
            measured,
            pending,
        };
        Ok(Self { network, sender, stream })
    }

    /// Runs the stream to its end.
    pub async fn run(self) -> Ended {
        let Self { network, sender, mut stream } = self;
        let network = network.run();
        tokio::pin!(network);
        let outcome = tokio::select! {
            outcome = stream.run(&sender) => outcome,
            result = &mut network => {
                Err(result.map_or_else(PipelineError::Net, |()| PipelineError::Closed))
            }
        };
        stream.end(outcome)
    }
}

impl Running {
    fn build(
        config: &SendConfig,
        media: &MediaInfo,
        video_encoder: &'static str,
    ) -> Result<Self, PipelineError> {
        let (packet_sender, packets) = mpsc::channel(PACKETS);
        let (signal, signals) = mpsc::channel(BUS_QUEUE);
        let graph = Playing(Graph::build(config, media, video_encoder, packet_sender)?);
        let tracks = match &config.source {
            Source::File { passthrough, .. } => {
                let start = if *passthrough { PASSTHROUGH_START } else { 0 };
                let (video, audio) = (graph.0.video_in.clone(), graph.0.audio_in.clone());
                Some(Arc::new(Tracks::new(video, audio, start)))
            }
            _ => None,
        };
        Ok(Self { packets, graph, reader: None, tracks, signals, signal })
    }

    fn start(&mut self, source: &Source) -> Result<(), PipelineError> {
        watch(&self.graph.0.pipeline, self.signal.clone(), Signal::Main);
        play(&self.graph.0.pipeline)?;
        self.read(source)
    }

    /// Starts a pass over the file, if it is one.
    fn read(&mut self, source: &Source) -> Result<(), PipelineError> {
        self.reader = None;
        if let (Source::File { path, passthrough, .. }, Some(tracks)) = (source, &self.tracks) {
            self.reader = Some(Reader::start(path, *passthrough, tracks, self.signal.clone())?);
        }
        Ok(())
    }

    /// Tells the encoder, when there is one.
    fn set_bitrate(&self, kbps: u32) {
        if let Some(element) = &self.graph.0.encoder {
            encoder::set_bitrate(element, kbps);
        }
    }

    /// Asks the encoder, when there is one.
    fn force_keyframe(&self) {
        if let Some(element) = &self.graph.0.encoder {
            encoder::force_keyframe(element);
        }
    }

    /// Ends the source, so that the end travels through the graph.
    fn finish(&mut self) {
        match &self.tracks {
            // First the end, which frees a reader that waits for room, then the reader.
            Some(tracks) => tracks.end(),
            None => drop(self.graph.0.pipeline.send_event(gst::event::Eos::new())),
        }
        self.reader = None;
    }
}

impl Stream {
    async fn run(&mut self, sender: &Sender) -> Result<EndReason, PipelineError> {
        self.running.start(&self.config.source)?;
        let mut tick = tokio::time::interval(Duration::from_secs(1));
        tick.tick().await;
        let mut follow = tokio::time::interval(FOLLOW);
        follow.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            let deadline = self.stopping.map_or_else(far_away, |at| at + STOP_TIMEOUT);
            tokio::select! {
                signal = self.running.signals.recv() => {
                    if let Some(reason) = signal.map_or(Ok(None), |signal| self.signal(signal))? {
                        self.drain(sender, deadline).await;
                        return Ok(reason);
                    }
                }
                command = self.commands.recv() => self.command(command.unwrap_or(Command::Stop), sender),
                _ = tick.tick() => self.stats(sender),
                _ = follow.tick() => self.follow(sender),
                () = tokio::time::sleep_until(deadline.into()), if self.stopping.is_some() => {
                    self.tell(SendEvent::Warning("the pipeline did not end in time and was cut off".into()));
                    return Ok(EndReason::Stopped);
                }
                result = forward(&mut self.running.packets, &mut self.pending, sender) => {
                    self.sent(result?);
                }
            }
        }
    }

    fn sent(&mut self, bytes: usize) {
        self.bytes += bytes as u64;
        if self.started.is_none() {
            let now = Instant::now();
            self.started = Some(now);
            self.tell(SendEvent::Started);
        }
    }

    /// What a bus said; the reason when the stream is over.
    fn signal(&mut self, signal: Signal) -> Result<Option<EndReason>, PipelineError> {
        match signal {
            Signal::Main(BusEvent::Eos) => {
                let stopped = self.stopping.is_some();
                return Ok(Some(if stopped { EndReason::Stopped } else { EndReason::EndOfSource }));
            }
            Signal::Reader(event) if is_end(&event) => self.next_pass()?,
            Signal::Main(BusEvent::Warning(text)) | Signal::Reader(BusEvent::Warning(text)) => {
                self.tell(SendEvent::Warning(text));
            }
            Signal::Main(BusEvent::Error(error)) => self.fall_back(error)?,
            Signal::Reader(BusEvent::Error(error)) if self.stopping.is_none() => return Err(error),
            Signal::Reader(_) => {}
        }
        Ok(None)
    }

    fn next_pass(&mut self) -> Result<(), PipelineError> {
        let (Source::File { repeat, path, .. }, Some(tracks)) = (&self.config.source, &self.running.tracks)
        else {
            return Ok(());
        };
        if self.stopping.is_some() {
            return Ok(());
        }
        if !tracks.next_pass() {
            let reason = format!("{} holds no pictures and no sound", path.display());
            return Err(PipelineError::Unsupported { element: "source".into(), reason });
        }
        if *repeat {
            return self.running.read(&self.config.source);
        }
        self.running.finish();
        Ok(())
    }

    /// A hardware encoder that fails before its first picture is replaced by one in software.
    fn fall_back(&mut self, error: PipelineError) -> Result<(), PipelineError> {
        let factory = self.running.graph.0.encoder_factory;
        if self.started.is_some() || !encoder::is_hardware(factory) {
            return Err(error);
        }
        let software = encoder::choose_video(false)?;
        self.tell(SendEvent::Warning(format!("{factory} failed ({error}), going on with {software}")));
        self.running = Running::build(&self.config, &self.media, software)?;
        self.running.set_bitrate(self.rate.kbps());
        self.running.start(&self.config.source)
    }

    fn command(&mut self, command: Command, sender: &Sender) {
        match command {
            Command::Encoder(update) => {
                let encoder = self.config.encoder.with(&update);
                // What was checked by itself need not fit what runs.
                match encoder.check() {
                    Ok(()) => self.set_encoder(encoder),
                    Err(error) => self.tell(SendEvent::Warning(error.to_string())),
                }
            }
            Command::Update(update) => {
                let Update { bond, encoder, answer } = *update;
                let encoder = self.config.encoder.with(&encoder);
                let taken = encoder.check().and_then(|()| Ok(sender.update(bond)?));
                if taken.is_ok() && encoder != self.config.encoder {
                    self.set_encoder(encoder);
                }
                // Who no longer waits for it does not want to know.
                let _ = answer.send(taken);
            }
            Command::Stop if self.stopping.is_none() => {
                self.stopping = Some(Instant::now());
                self.commands.close();
                self.running.finish();
            }
            Command::Stop => {}
        }
    }

    fn set_encoder(&mut self, encoder: Encoder) {
        self.config.encoder = encoder;
        let kbps = self.rate.set(Instant::now(), &self.config.encoder);
        self.running.set_bitrate(kbps);
    }

    /// Lets the encoder follow the links: with its bitrate, and with a keyframe where pictures were lost.
    fn follow(&mut self, sender: &Sender) {
        let (now, stats) = (Instant::now(), sender.stats());
        if let Some(kbps) = self.rate.follow(now, &stats, &self.config.encoder) {
            self.running.set_bitrate(kbps);
        }
        if self.keyframes.handle_stats(now, &stats) {
            self.running.force_keyframe();
        }
    }

    /// Sends what the graph left behind, and waits until it had its time to be repeated.
    async fn drain(&mut self, sender: &Sender, deadline: Instant) {
        let deadline = if self.stopping.is_some() { deadline } else { Instant::now() + STOP_TIMEOUT };
        let rest = async {
            // The graph is at its end: all its packets are in the queue.
            self.running.packets.close();
            while self.pending.is_some() || !self.running.packets.is_empty() {
                match forward(&mut self.running.packets, &mut self.pending, sender).await {
                    Ok(bytes) => self.sent(bytes),
                    Err(_) => return,
                }
            }
            let _ = sender.finish().await;
        };
        if tokio::time::timeout_at(deadline.into(), rest).await.is_err() {
            self.tell(SendEvent::Warning("the links did not take the rest of the stream in time".into()));
        }
    }

    fn stats(&mut self, sender: &Sender) {
        let now = Instant::now();
        let encoded = self.running.graph.0.encoded.load(Ordering::Relaxed);
        let (before, at) = std::mem::replace(&mut self.measured, (encoded, now));
        let ms = u64::try_from((now - at).as_millis()).unwrap_or(u64::MAX).max(1);
        let stats = SendStats {
            uptime: self.uptime(now),
            encoder_kbps: u32::try_from(encoded.saturating_sub(before) * 8 / ms).unwrap_or(u32::MAX),
            target_kbps: self.rate.kbps(),
            bytes: self.bytes,
            bond: sender.stats(),
        };
        self.tell(SendEvent::Stats(stats));
    }

    fn uptime(&self, now: Instant) -> Duration {
        self.started.map_or(Duration::ZERO, |start| now - start)
    }

    fn end(self, outcome: Result<EndReason, PipelineError>) -> Ended {
        let (reason, error) = match outcome {
            Ok(reason) => (reason, None),
            Err(error) => (EndReason::Error, Some(error.to_string())),
        };
        let ended = Ended { reason, error, duration: self.uptime(Instant::now()), bytes: self.bytes };
        self.tell(SendEvent::Ended(ended.clone()));
        ended
    }

    fn tell(&self, event: SendEvent) {
        let _ = self.events.try_send(event);
    }
}

/// Gives one payload to the bond and says how long it was. What was not taken yet is kept when this is dropped.
async fn forward(
    packets: &mut mpsc::Receiver<Bytes>,
    pending: &mut Option<Bytes>,
    sender: &Sender,
) -> Result<usize, PipelineError> {
    if pending.is_none() {
        *pending = packets.recv().await;
    }
    let Some(payload) = pending.clone() else { return std::future::pending().await };
    let size = payload.len();
    sender.send(payload).await?;
    *pending = None;
    Ok(size)
}

fn far_away() -> Instant {
    Instant::now() + Duration::from_secs(3600)
}
