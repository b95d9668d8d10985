//! The life of one stream, as a machine without I/O.
//!
//! ```text
//!              ready        accepted         media           stop wanted        agent ended
//!  Launching ────────► Asking ────────► Waiting ────────► Live ────────► Stopping ────────► Draining
//!  (receiver)         (agent)          (packets)                        (agent)            (receiver)
//!      └─────────────────┴────────────────┴── any failure ──┴──────────────┴────────────────►  │
//!                                                                                 receiver gone ▼
//!                                                                                     Ended | Failed
//! ```
//!
//! Launching, Asking and Waiting are `starting` to the world, Stopping and Draining `stopping`. A
//! lost agent makes a stream *unobserved*, not dead: it ends only when neither the agent nor its
//! media were heard for a grace. Such an end is *presumed*: [`Life::revive`] takes it back when the
//! agent reports the stream after all.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use strata_proto::control::{EndReason, StreamLife};

/// How long each state may last without progress (control-facts, *Control plane*).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Graces {
    /// From the request until media flow.
    pub starting: Duration,
    /// Without a word from the agent and without media.
    pub unobserved: Duration,
    /// For the agent to end its stream.
    pub stopping: Duration,
    /// For the receiver to write what it has; then it is killed.
    pub draining: Duration,
}

impl Default for Graces {
    fn default() -> Self {
        Self {
            starting: Duration::from_secs(30),
            unobserved: Duration::from_secs(90),
            stopping: Duration::from_secs(60),
            draining: Duration::from_secs(15),
        }
    }
}

/// What happened to a stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Input {
    /// The receiver bound its ports.
    Ready,
    /// The receiver could not be started; why.
    LaunchFailed(String),
    /// The agent accepted `stream.start`.
    Accepted,
    /// The agent refused `stream.start`, was gone, or did not answer; why.
    Refused(String),
    /// The receiver put out packets.
    Media,
    /// Somebody wants the stream to end.
    StopWanted(EndReason),
    /// The agent sent `stream.ended`.
    AgentEnded(EndReason, Option<String>),
    /// The agent's `device.status` lists the stream, or does not.
    Listed(bool),
    /// The agent is connected.
    AgentHere,
    /// The agent is not connected.
    AgentAway,
    /// The receiver process ended.
    ReceiverGone(Gone),
    /// The time of [`Life::timeout`] has come.
    Timeout,
}

/// How a receiver process ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Gone {
    /// It was told to.
    Stopped,
    /// Nothing came in for its idle timeout.
    Idle,
    /// By itself, with a reason in words.
    Crashed(String),
}

/// What is to be done, in this order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Output {
    /// Start the receiver and wait until it is ready.
    LaunchReceiver,
    /// Send `stream.start` to the agent.
    AskAgent,
    /// Send `stream.stop` to the agent, if it is connected.
    TellAgent,
    /// Tell the receiver to drain and end.
    StopReceiver,
    /// End the receiver process at once.
    KillReceiver,
    /// Give the ports back.
    FreePorts,
    /// The stream's state or observation changed: write it down, tell the dashboards.
    Changed,
}

/// How a stream ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outcome {
    /// Whether a fault ended it.
    pub failed: bool,
    /// Why.
    pub reason: EndReason,
    /// Where and why it failed, in words.
    pub error: Option<String>,
    /// Whether the agent may run it still: nobody heard it end.
    pub presumed: bool,
}

/// The machine of one stream.
#[derive(Debug)]
pub struct Life {
    phase: Phase,
    graces: Graces,
    observed: bool,
    /// When the present phase began; for the three starting phases, when the first did.
    since: Instant,
    last_sign: Instant,
    unlisted: bool,
    /// The agent runs the stream already: it must not be asked again.
    revived: bool,
    outcome: Option<Outcome>,
    outputs: VecDeque<Output>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    Launching,
    Asking,
    Waiting,
    Live,
    Stopping,
    Draining,
    Over,
}

impl Life {
    /// A new stream of an agent that is connected.
    #[must_use]
    pub fn start(graces: Graces, now: Instant) -> Self {
        Self::launch(graces, now, false)
    }

    /// A stream that was presumed dead, and that its agent, connected again, still runs.
    #[must_use]
    pub fn revive(graces: Graces, now: Instant) -> Self {
        Self::launch(graces, now, true)
    }

    /// A stream in `state` whose receiver a control plane found running when it came back; the
    /// agent has not connected yet. `failure` is what was known of its end, when it was ending.
    #[must_use]
    pub fn adopt(graces: Graces, state: StreamLife, failure: Option<Outcome>, now: Instant) -> Self {
        let phase = match state {
            StreamLife::Starting => Phase::Waiting,
            StreamLife::Live => Phase::Live,
            StreamLife::Stopping | StreamLife::Ended | StreamLife::Failed => Phase::Stopping,
        };
        let mut life = Self::at(phase, graces, now, false);
        life.outcome = failure;
        if phase == Phase::Stopping && life.outcome.is_none() {
            life.outcome = Some(Outcome::ended(EndReason::UserStop));
        }
        life.outputs.push_back(Output::Changed);
        life
    }

    fn launch(graces: Graces, now: Instant, revived: bool) -> Self {
        let mut life = Self::at(Phase::Launching, graces, now, true);
        life.revived = revived;
        life.outputs.extend([Output::Changed, Output::LaunchReceiver]);
        life
    }

    fn at(phase: Phase, graces: Graces, now: Instant, observed: bool) -> Self {
        Self {
            phase,
            graces,
            observed,
            since: now,
            last_sign: now,
            unlisted: false,
            revived: false,
            outcome: None,
            outputs: VecDeque::new(),
        }
    }

    /// Where in its life the stream is.
    #[must_use]
    pub fn state(&self) -> StreamLife {
        match self.phase {
            Phase::Launching | Phase::Asking | Phase::Waiting => StreamLife::Starting,
            Phase::Live => StreamLife::Live,
            Phase::Stopping | Phase::Draining => StreamLife::Stopping,
            Phase::Over if self.outcome.as_ref().is_some_and(|o| o.failed) => StreamLife::Failed,
            Phase::Over => StreamLife::Ended,
        }
    }

    /// Whether the agent is connected.
    #[must_use]
    pub fn observed(&self) -> bool {
        self.observed
    }

    /// How the stream ends or ended, once that is known.
    #[must_use]
    pub fn outcome(&self) -> Option<&Outcome> {
        self.outcome.as_ref()
    }

    /// When [`Input::Timeout`] is due, if nothing else happens.
    #[must_use]
    pub fn timeout(&self) -> Option<Instant> {
        match self.phase {
            Phase::Launching | Phase::Asking | Phase::Waiting => Some(self.since + self.graces.starting),
            Phase::Live => (!self.observed).then(|| self.last_sign + self.graces.unobserved),
            Phase::Stopping => Some(self.since + self.graces.stopping),
            Phase::Draining => Some(self.since + self.graces.draining),
            Phase::Over => None,
        }
    }

    /// The next thing to do; drained after every input.
    pub fn poll_output(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    /// Takes in what happened. Inputs that mean nothing in the present state change nothing.
    pub fn handle_input(&mut self, now: Instant, input: Input) {
        match input {
            Input::AgentHere => return self.observe(now, true),
            Input::AgentAway => return self.observe(now, false),
            Input::Media => self.last_sign = now,
            Input::Timeout if self.timeout().is_none_or(|due| now < due) => return,
            _ => {}
        }
        match self.phase {
            Phase::Launching => self.launching(now, input),
            Phase::Asking | Phase::Waiting => self.starting(now, input),
            Phase::Live => self.live(now, input),
            Phase::Stopping => self.stopping(now, input),
            Phase::Draining => self.draining(now, input),
            Phase::Over => {}
        }
    }

    fn launching(&mut self, now: Instant, input: Input) {
        match input {
            Input::Ready if self.revived => self.phase = Phase::Waiting,
            Input::Ready => {
                self.phase = Phase::Asking;
                self.outputs.push_back(Output::AskAgent);
            }
            Input::LaunchFailed(error) | Input::ReceiverGone(Gone::Crashed(error)) => {
                self.fail(EndReason::Error, format!("starting the receiver: {error}"));
                self.tell_revived();
                self.over();
            }
            Input::StopWanted(reason) => {
                self.end(reason);
                self.tell_revived();
                self.drain(now);
            }
            Input::Timeout => {
                self.fail(EndReason::Timeout, "starting the receiver: it was not ready in time".to_owned());
                self.tell_revived();
                self.drain(now);
            }
            _ => {}
        }
    }

    /// The agent has been asked.
    fn starting(&mut self, now: Instant, input: Input) {
        match input {
            Input::Accepted if self.phase == Phase::Asking => self.phase = Phase::Waiting,
            Input::Media if self.phase == Phase::Waiting => {
                self.phase = Phase::Live;
                self.since = now;
                self.outputs.push_back(Output::Changed);
            }
            Input::Refused(error) if self.phase == Phase::Asking => {
                self.fail(EndReason::Error, format!("starting the sender: {error}"));
                // A request without an answer may still be carried out.
                self.outputs.push_back(Output::TellAgent);
                self.drain(now);
            }
            Input::Timeout => {
                self.fail(EndReason::Timeout, format!("no media arrived within {:?}", self.graces.starting));
                self.outputs.push_back(Output::TellAgent);
                self.drain(now);
            }
            // Before the answer, a report of the agent may be older than the request.
            Input::Listed(_) if self.phase == Phase::Asking => {}
            other => self.running(now, other),
        }
    }

    fn live(&mut self, now: Instant, input: Input) {
        match input {
            Input::Timeout => {
                self.outcome = Some(Outcome::presumed());
                self.drain(now);
            }
            other => self.running(now, other),
        }
    }

    /// What a stream that the agent was asked for has in common before and after media flow.
    fn running(&mut self, now: Instant, input: Input) {
        match input {
            Input::StopWanted(reason) => {
                self.end(reason);
                if self.observed {
                    self.outputs.push_back(Output::TellAgent);
                    self.enter(Phase::Stopping, now);
                } else {
                    // It is told when it comes back and reports the stream.
                    self.drain(now);
                }
            }
            Input::AgentEnded(reason, error) => {
                self.ended_by_agent(reason, error);
                self.drain(now);
            }
            Input::Listed(true) => self.unlisted = false,
            // One report may have been written before the stream began.
            Input::Listed(false) if !self.unlisted => self.unlisted = true,
            Input::Listed(false) => {
                self.fail(EndReason::Error, "the sender no longer runs the stream".to_owned());
                self.drain(now);
            }
            Input::ReceiverGone(gone) => {
                match gone {
                    Gone::Idle if !self.observed => self.outcome = Some(Outcome::presumed()),
                    Gone::Idle => self.fail(EndReason::Timeout, "no media arrived any more".to_owned()),
                    Gone::Crashed(error) => self.fail(EndReason::Error, format!("receiver: {error}")),
                    Gone::Stopped => self.fail(EndReason::Error, "receiver: it was stopped".to_owned()),
                }
                self.outputs.push_back(Output::TellAgent);
                self.over();
            }
            _ => {}
        }
    }

    fn stopping(&mut self, now: Instant, input: Input) {
        match input {
            Input::AgentEnded(..) | Input::Listed(false) | Input::Timeout => self.drain(now),
            Input::ReceiverGone(_) => self.over(),
            _ => {}
        }
    }

    fn draining(&mut self, now: Instant, input: Input) {
        match input {
            Input::ReceiverGone(_) | Input::LaunchFailed(_) => self.over(),
            // A stream that was given up by mistake is not any more: the agent was heard.
            Input::AgentEnded(reason, error) if self.presumed() => self.ended_by_agent(reason, error),
            Input::StopWanted(reason) if self.presumed() => self.end(reason),
            Input::Timeout => {
                self.since = now;
                self.outputs.push_back(Output::KillReceiver);
            }
            _ => {}
        }
    }

    fn observe(&mut self, now: Instant, observed: bool) {
        if self.phase == Phase::Over || (self.observed == observed && !observed) {
            return;
        }
        self.last_sign = now;
        self.unlisted = false;
        if observed && self.phase == Phase::Stopping {
            // The first request may have been lost with the connection.
            self.outputs.push_back(Output::TellAgent);
        }
        if self.observed != observed {
            self.observed = observed;
            self.outputs.push_back(Output::Changed);
        }
    }

    fn ended_by_agent(&mut self, reason: EndReason, error: Option<String>) {
        match reason {
            EndReason::UserStop | EndReason::ControlPlaneStop | EndReason::AgentShutdown => self.end(reason),
            _ => {
                let error = error.unwrap_or_else(|| "no reason was given".to_owned());
                self.fail(reason, format!("sender: {error}"));
            }
        }
    }

    fn end(&mut self, reason: EndReason) {
        self.outcome = Some(Outcome::ended(reason));
    }

    fn fail(&mut self, reason: EndReason, error: String) {
        self.outcome = Some(Outcome { failed: true, reason, error: Some(error), presumed: false });
    }

    fn presumed(&self) -> bool {
        self.outcome.as_ref().is_some_and(|o| o.presumed)
    }

    fn tell_revived(&mut self) {
        if self.revived {
            self.outputs.push_back(Output::TellAgent);
        }
    }

    fn drain(&mut self, now: Instant) {
        self.outputs.push_back(Output::StopReceiver);
        self.enter(Phase::Draining, now);
    }

    fn over(&mut self) {
        self.phase = Phase::Over;
        self.outputs.extend([Output::FreePorts, Output::Changed]);
    }

    fn enter(&mut self, phase: Phase, now: Instant) {
        let before = self.state();
        self.phase = phase;
        self.since = now;
        if self.state() != before {
            self.outputs.push_back(Output::Changed);
        }
    }
}

impl Outcome {
    fn ended(reason: EndReason) -> Self {
        Self { failed: false, reason, error: None, presumed: false }
    }

    fn presumed() -> Self {
        let error = Some("neither the sender nor its media were heard any more".to_owned());
        Self { failed: false, reason: EndReason::Timeout, error, presumed: true }
    }
}

#[cfg(test)]
mod tests;
