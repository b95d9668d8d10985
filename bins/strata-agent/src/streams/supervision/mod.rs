//! The life of the one stream, as a machine without I/O: the child process is its transport.
//!
//! ```text
//!          start                started
//!   Idle ────────► Starting ─────────────► Live
//!    ▲               │  ▲                    │ child died, failed or fell silent
//!    │  first try    │  │ 2, 4, 8 s          ▼
//!    ├───────────────┘  └───────────────  Waiting ──► Idle  (three retries in vain: stream.ended)
//!    │ ended, or killed after 5 s                │
//!    └──────────────── Stopping ◄── stop ────────┘ (from everywhere)
//! ```

mod totals;

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use strata_agent_protocol::interfaces::Rules;
use strata_agent_protocol::stream::{PipelineCommand, PipelineConfig, PipelineEvent, STOP_LIMIT};
use strata_proto::control::{ConfigUpdate, EndReason, StreamEnded, StreamState, StreamStats};
use strata_proto::id::StreamId;

use totals::Totals;

/// The supervision of one stream at a time.
#[derive(Debug, Default)]
pub(crate) struct Supervision {
    stream: Option<Stream>,
    /// Counts children, so that words of a dead one change nothing.
    generation: u64,
    output: VecDeque<Output>,
}

/// What happens.
#[derive(Debug)]
pub(crate) enum Input {
    /// A checked order to stream. Only while idle.
    Start(Box<PipelineConfig>),
    /// An order to stop, and why.
    Stop(EndReason),
    /// A checked change of the running pipeline. Only while live.
    Update(ConfigUpdate),
    /// How often statistics are wanted from now on.
    StatsInterval(Duration),
    /// What is said of interfaces from now on.
    Rules(Rules),
    /// The child said something.
    Said(u64, PipelineEvent),
    /// The child is gone (or never came to be), in words.
    Gone(u64, String),
    /// The time of [`Output::Timeout`] has come.
    Timeout,
}

/// What is to be done.
#[derive(Debug, PartialEq)]
pub(crate) enum Output {
    /// Start a child of this generation.
    Spawn(u64, Box<PipelineConfig>),
    /// Tell the child.
    Tell(PipelineCommand),
    /// End the child now; it is expected to be gone soon after.
    Kill,
    /// The order to start was carried out, or failed.
    Started(Result<(), String>),
    /// The order to change was carried out, or failed.
    Updated(Result<(), String>),
    /// Report how it goes.
    Stats(StreamStats),
    /// Report the end; the machine is idle again.
    Ended(StreamEnded),
    /// What [`Supervision::state`] says has changed.
    Changed,
    /// Nothing to do before this time; always the last output.
    Timeout(Option<Instant>),
}

#[derive(Debug)]
struct Stream {
    config: Box<PipelineConfig>,
    phase: Phase,
    /// When the phase ends by itself.
    deadline: Instant,
    begun: Instant,
    /// Whether the order to start has been answered.
    answered: bool,
    retries: u32,
    /// What the child was asked to change, until it answers.
    updating: Option<ConfigUpdate>,
    /// What the child said before it failed.
    words: Option<String>,
    totals: Totals,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// A child is building its pipeline.
    Starting,
    /// Media flows, since then.
    Live(Instant),
    /// No child; the next one starts at the deadline.
    Waiting,
    /// The child is sending what is left.
    Stopping(EndReason),
    /// The child was killed and is not gone yet.
    Killed(After),
}

/// What a killed child's end means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum After {
    Retry,
    End(EndReason),
}

impl Supervision {
    /// What the device is doing, for `device.status`.
    pub(crate) fn state(&self) -> StreamState {
        match self.stream.as_ref().map(|stream| stream.phase) {
            None => StreamState::Idle,
            Some(Phase::Live(_)) => StreamState::Streaming,
            Some(Phase::Stopping(_) | Phase::Killed(After::End(_))) => StreamState::Stopping,
            Some(_) => StreamState::Starting,
        }
    }

    /// The stream that runs, also while it is being retried or stopped.
    pub(crate) fn running(&self) -> Option<&PipelineConfig> {
        self.stream.as_ref().map(|stream| &*stream.config)
    }

    /// Takes what happened. Drain [`Supervision::poll_output`] afterwards.
    pub(crate) fn handle_input(&mut self, now: Instant, input: Input) {
        let before = self.state();
        match input {
            Input::Start(config) => self.start(now, config),
            Input::Stop(reason) => self.stop(now, reason),
            Input::Update(update) => self.update(update),
            Input::StatsInterval(interval) => self.stats_interval(interval),
            Input::Rules(rules) => self.rules(rules),
            Input::Said(generation, event) if generation == self.generation => self.said(now, event),
            Input::Gone(generation, how) if generation == self.generation => self.gone(now, &how),
            Input::Said(..) | Input::Gone(..) => {}
            Input::Timeout => self.timeout(now),
        }
        if self.state() != before {
            self.output.push_back(Output::Changed);
        }
    }

    /// What is to be done next; [`Output::Timeout`] when nothing is left.
    pub(crate) fn poll_output(&mut self) -> Output {
        self.output
            .pop_front()
            .unwrap_or_else(|| Output::Timeout(self.stream.as_ref().map(|stream| stream.deadline)))
    }

    fn start(&mut self, now: Instant, config: Box<PipelineConfig>) {
        if self.stream.is_some() {
            return self.output.push_back(Output::Started(Err("a stream is running".to_owned())));
        }
        self.stream = Some(Stream {
            config,
            phase: Phase::Starting,
            deadline: now + START_LIMIT,
            begun: now,
            answered: false,
            retries: 0,
            updating: None,
            words: None,
            totals: Totals::default(),
        });
        self.spawn();
    }

    fn spawn(&mut self) {
        self.generation += 1;
        if let Some(stream) = &self.stream {
            self.output.push_back(Output::Spawn(self.generation, stream.config.clone()));
        }
    }

    fn stop(&mut self, now: Instant, reason: EndReason) {
        let Some(stream) = &mut self.stream else { return };
        match stream.phase {
            Phase::Starting | Phase::Live(_) => {
                stream.phase = Phase::Stopping(reason);
                stream.deadline = now + STOP_LIMIT;
                self.output.push_back(Output::Tell(PipelineCommand::Stop));
            }
            Phase::Waiting => self.end(now, reason, None),
            Phase::Killed(After::Retry) => stream.phase = Phase::Killed(After::End(reason)),
            Phase::Stopping(_) | Phase::Killed(After::End(_)) => {}
        }
    }

    fn update(&mut self, update: ConfigUpdate) {
        let live = self.stream.as_mut().filter(|stream| matches!(stream.phase, Phase::Live(_)));
        match live {
            Some(stream) if stream.updating.is_none() => {
                stream.updating = Some(update.clone());
                self.output.push_back(Output::Tell(PipelineCommand::Update { update }));
            }
            Some(_) => self.output.push_back(Output::Updated(Err("another update is under way".to_owned()))),
            None => self.output.push_back(Output::Updated(Err("no stream is live".to_owned()))),
        }
    }

    fn stats_interval(&mut self, interval: Duration) {
        let Some(stream) = &mut self.stream else { return };
        let ms = u64::try_from(interval.as_millis()).unwrap_or(u64::MAX);
        if stream.config.stats_interval_ms == ms {
            return;
        }
        stream.config.stats_interval_ms = ms;
        if matches!(stream.phase, Phase::Live(_)) {
            self.output.push_back(Output::Tell(PipelineCommand::StatsInterval { ms }));
        }
    }

    fn rules(&mut self, rules: Rules) {
        let Some(stream) = &mut self.stream else { return };
        stream.config.rules.clone_from(&rules);
        if matches!(stream.phase, Phase::Live(_) | Phase::Starting) {
            self.output.push_back(Output::Tell(PipelineCommand::Rules { rules }));
        }
    }

    fn said(&mut self, now: Instant, event: PipelineEvent) {
        let Some(stream) = self.stream.as_mut().filter(|stream| stream.phase != Phase::Waiting) else {
            return;
        };
        match (event, stream.phase) {
            (PipelineEvent::Started, Phase::Starting) => {
                stream.phase = Phase::Live(now);
                stream.deadline = now + stream.patience();
                if !std::mem::replace(&mut stream.answered, true) {
                    self.output.push_back(Output::Started(Ok(())));
                }
            }
            (PipelineEvent::Stats(stats), phase) => {
                let stats = stream.totals.add(stats, now.saturating_duration_since(stream.begun));
                if let Phase::Live(since) = phase {
                    stream.deadline = now + stream.patience();
                    if now.saturating_duration_since(since) >= GOOD {
                        stream.retries = 0;
                    }
                    self.output.push_back(Output::Stats(stats));
                }
            }
            // For the next child, also of links that are removed meanwhile: their caps are the stream's.
            (PipelineEvent::Spent { links }, _) => stream.config.spend(links),
            (PipelineEvent::Updated { error }, _) => {
                let Some(update) = stream.updating.take() else { return };
                // A child that is started anew must not forget it, nor be given what was refused.
                if error.is_none() {
                    stream.config.merge(&update);
                }
                self.output.push_back(Output::Updated(error.map_or(Ok(()), Err)));
            }
            (PipelineEvent::Failed { message }, _) => stream.words = Some(message),
            (PipelineEvent::Ended { total_bytes }, phase) => {
                stream.totals.end(total_bytes);
                let reason = match phase {
                    Phase::Stopping(reason) | Phase::Killed(After::End(reason)) => reason,
                    // The file was to be played once, and was: that is what was asked for.
                    _ => EndReason::UserStop,
                };
                self.end(now, reason, None);
            }
            _ => {}
        }
    }

    fn gone(&mut self, now: Instant, how: &str) {
        let Some(stream) = self.stream.as_mut().filter(|stream| stream.phase != Phase::Waiting) else {
            return;
        };
        let said = stream.words.take();
        let failed = said.is_some();
        let words = said.unwrap_or_else(|| format!("the media pipeline died: {how}"));
        if stream.updating.take().is_some() {
            self.output.push_back(Output::Updated(Err(words.clone())));
        }
        stream.totals.child_gone();
        match stream.phase {
            Phase::Stopping(reason) | Phase::Killed(After::End(reason)) => {
                // The media was stopped as asked, only not in good order.
                self.end(now, reason, Some(words));
            }
            Phase::Starting if !stream.answered => {
                self.stream = None;
                self.output.push_back(Output::Started(Err(words)));
            }
            _ if stream.retries >= RETRIES => {
                let reason = if failed { EndReason::Error } else { EndReason::PipelineCrash };
                self.end(now, reason, Some(words));
            }
            _ => {
                tracing::warn!(stream = %stream.config.stream_id, "{words}; trying again");
                stream.phase = Phase::Waiting;
                stream.deadline = now + FIRST_RETRY * 2u32.pow(stream.retries);
                stream.retries += 1;
            }
        }
    }

    fn timeout(&mut self, now: Instant) {
        let Some(stream) = &mut self.stream else { return };
        if now < stream.deadline {
            return;
        }
        match stream.phase {
            Phase::Waiting => {
                stream.phase = Phase::Starting;
                stream.deadline = now + START_LIMIT;
                self.spawn();
            }
            Phase::Starting | Phase::Live(_) => {
                let phase = if stream.phase == Phase::Starting { "start" } else { "report" };
                stream
                    .words
                    .get_or_insert(format!("the media pipeline did not {phase} in time and was ended"));
                // Not answered yet: `gone` must still see a first start that failed.
                if stream.answered {
                    stream.phase = Phase::Killed(After::Retry);
                }
                stream.deadline = now + KILL_LIMIT;
                self.output.push_back(Output::Kill);
            }
            Phase::Stopping(reason) => {
                stream.words.get_or_insert(format!(
                    "the media pipeline did not stop within {STOP_LIMIT:?} and was ended"
                ));
                stream.phase = Phase::Killed(After::End(reason));
                stream.deadline = now + KILL_LIMIT;
                self.output.push_back(Output::Kill);
            }
            // A killed process that does not go away (in an uninterruptible call) cannot be waited for.
            Phase::Killed(_) => self.gone(now, "it could not be ended"),
        }
    }

    fn end(&mut self, now: Instant, reason: EndReason, error: Option<String>) {
        let Some(stream) = self.stream.take() else { return };
        // Nothing that this child still says is about a stream.
        self.generation += 1;
        if !stream.answered {
            self.output
                .push_back(Output::Started(Err("the stream was stopped before it had started".to_owned())));
        }
        if stream.updating.is_some() {
            self.output.push_back(Output::Updated(Err("the stream ended".to_owned())));
        }
        self.output.push_back(Output::Ended(StreamEnded {
            stream_id: stream.config.stream_id,
            reason,
            duration_s: now.saturating_duration_since(stream.begun).as_secs(),
            total_bytes: stream.totals.bytes(),
            error,
        }));
    }
}

impl Stream {
    /// How long a live child may say nothing.
    fn patience(&self) -> Duration {
        SILENCE + Duration::from_millis(self.config.stats_interval_ms) * 2
    }
}

impl Supervision {
    /// Whether `stream_id` runs, also while it is being retried or stopped.
    pub(crate) fn runs(&self, stream_id: &StreamId) -> bool {
        self.running().is_some_and(|config| config.stream_id == *stream_id)
    }
}

/// Loading GStreamer's plugins for the first time takes seconds on a small device; a network camera too.
const START_LIMIT: Duration = Duration::from_secs(20);
/// A killed process is gone in milliseconds.
const KILL_LIMIT: Duration = Duration::from_secs(2);
/// A child that says nothing for so long, beyond two intervals of its statistics, hangs.
const SILENCE: Duration = Duration::from_secs(8);
/// control-facts, *Sender agent*: 2 s, at most 3 times with backoff.
const FIRST_RETRY: Duration = Duration::from_secs(2);
const RETRIES: u32 = 3;
/// A child that ran so long was good; the next crash is a new one.
const GOOD: Duration = Duration::from_secs(60);

#[cfg(test)]
mod tests;
