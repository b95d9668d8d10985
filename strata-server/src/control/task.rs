//! One stream's driver: carries out what its [`Life`] says, and tells it what happens.

use std::collections::VecDeque;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::json;
use strata_proto::control::{
    ReceiverCommand, ReceiverEvent, ReceiverOutput, Reply, StreamLife, StreamStart, StreamStop,
};
use strata_proto::token::Secret;
use tokio::sync::oneshot;

use super::active::Active;
use super::life::{Gone, Input, Life, Output};
use super::receiver::{Launch, News, Receiver, ReceiverError, launch};
use super::streams::{Shared, StartError, fault_of};
use super::totals::{Counts, counts};
use crate::fleet::CommandError;

type Work<T> = Option<Pin<Box<dyn Future<Output = T> + Send>>>;

/// The task of one stream; runs until the stream is over or the task is dropped.
pub(super) struct Task {
    shared: Arc<Shared>,
    active: Arc<Active>,
    life: Life,
    receiver: Option<Receiver>,
    launch: Launch,
    command: Option<StreamStart>,
    forward: Option<Secret>,
    /// Who waits for the start, and what refused it.
    starter: Option<oneshot::Sender<Result<(), StartError>>>,
    refusal: Option<StartError>,
    launching: Work<Result<Receiver, ReceiverError>>,
    asking: Work<Result<Reply, CommandError>>,
    telling: Work<()>,
    /// When the receiver is to be told to stop.
    stop_at: Option<Instant>,
    own: VecDeque<Input>,
    delivered: u64,
    /// What the receiver had counted when it last spoke; nothing yet of one that was found running, for an
    /// earlier process has counted its first packets.
    counted: Option<Counts>,
    /// Whether the end is in the database.
    written: bool,
}

impl Task {
    pub(super) fn new(shared: Arc<Shared>, active: Arc<Active>, life: Life, launch: Launch) -> Self {
        Self {
            shared,
            active,
            life,
            receiver: None,
            launch,
            command: None,
            forward: None,
            starter: None,
            refusal: None,
            launching: None,
            asking: None,
            telling: None,
            stop_at: None,
            own: VecDeque::new(),
            delivered: 0,
            counted: None,
            written: false,
        }
    }

    pub(super) fn active(&self) -> &Arc<Active> {
        &self.active
    }

    /// Where the receiver that is launched forwards to.
    pub(super) fn forwarding(mut self, forward: Option<Secret>) -> Self {
        self.forward = forward;
        self
    }

    /// What is sent to the agent, and who waits for the outcome.
    pub(super) fn starting(
        mut self,
        command: StreamStart,
        starter: oneshot::Sender<Result<(), StartError>>,
    ) -> Self {
        self.command = Some(command);
        self.starter = Some(starter);
        self
    }

    /// The receiver that was found running.
    pub(super) fn adopting(mut self, receiver: Receiver, ended: Option<Input>) -> Self {
        self.take_receiver(receiver);
        self.own.extend(ended);
        self
    }

    fn take_receiver(&mut self, receiver: Receiver) {
        self.active.lock().receiving = true;
        self.receiver = Some(receiver);
    }

    pub(super) async fn run(mut self) {
        loop {
            while let Some(output) = self.life.poll_output() {
                self.act(output).await;
            }
            if matches!(self.life.state(), StreamLife::Ended | StreamLife::Failed) {
                break;
            }
            let input = self.next().await;
            self.life.handle_input(crate::clock::mono(), input);
        }
        let telling = self.telling.take();
        let told = async {
            if let Some(telling) = telling {
                telling.await;
            }
        };
        let closed = async {
            if !self.written {
                self.shared.write_end(&self.active).await;
            }
        };
        tokio::join!(told, closed);
    }

    async fn act(&mut self, output: Output) {
        match output {
            Output::LaunchReceiver => self.launching = Some(Box::pin(launch(self.launch.clone()))),
            Output::AskAgent => self.ask(),
            Output::TellAgent => self.tell(),
            Output::StopReceiver => self.stop_receiver(),
            Output::KillReceiver => match &self.receiver {
                Some(receiver) => receiver.kill(),
                None => self.own.push_back(Input::ReceiverGone(Gone::Stopped)),
            },
            Output::FreePorts => self.shared.release_of(&self.active),
            Output::Changed => self.changed().await,
        }
    }

    fn ask(&mut self) {
        let Some(command) = self.command.take() else { return };
        let (fleet, sender) = (self.shared.fleet.clone(), self.active.row().sender);
        let deadline = self.shared.command_timeout();
        self.asking = Some(Box::pin(async move { fleet.request(&sender, command, deadline).await }));
    }

    fn tell(&mut self) {
        let row = self.active.row();
        let failed = self.life.outcome().is_some_and(|outcome| outcome.failed);
        let usual = if failed { "failed" } else { "user_request" };
        let reason = self.active.lock().stop_reason.clone().unwrap_or_else(|| usual.to_owned());
        let stop = StreamStop { stream_id: row.id, reason: Some(reason) };
        self.telling = Some(Box::pin(self.shared.clone().tell_stop(row.sender, stop)));
    }

    fn stop_receiver(&mut self) {
        if self.receiver.is_none() {
            // Dropping a launch ends its process.
            self.launching = None;
            self.own.push_back(Input::ReceiverGone(Gone::Stopped));
            return;
        }
        let played = match self.active.lock().row.receiver_stats {
            // What arrived last is put out one playout latency later.
            Some(_) if self.delivered > 0 => {
                Duration::from_millis(u64::from(self.launch.latency_ms)) + MARGIN
            }
            _ => Duration::ZERO,
        };
        self.stop_at = Some(crate::clock::mono() + played);
    }

    async fn changed(&mut self) {
        let state = self.life.state();
        let wall = crate::clock::wall();
        let row = {
            let mut now = self.active.lock();
            now.observed = self.life.observed();
            let row = &mut now.row;
            row.state = state;
            if state == StreamLife::Live {
                row.live_at.get_or_insert(wall);
            }
            if let Some(outcome) = self.life.outcome() {
                row.reason = Some(outcome.reason);
                row.error.clone_from(&outcome.error);
                row.presumed = outcome.presumed;
            }
            let over = matches!(state, StreamLife::Ended | StreamLife::Failed);
            row.ended_at = over.then_some(wall);
            row.clone()
        };
        let written = self.shared.store.update_stream(&row).await;
        if let Err(error) = &written {
            tracing::error!(stream = %row.id, %error, "stream state was not written down");
        }
        tracing::info!(
            stream = %row.id, sender = %row.sender, state = ?row.state, observed = self.life.observed(),
            reason = ?row.reason, error = row.error.as_deref(), "stream"
        );
        if row.ended_at.is_some() {
            self.written = written.is_ok();
            if self.written {
                self.shared.forget(&self.active);
            }
            let refused = self.refusal.take().unwrap_or(StartError::Failed(
                row.error.clone().unwrap_or_else(|| "it was stopped while it started".to_owned()),
            ));
            self.report(Err(refused));
        }
        self.shared.announce(&self.active);
    }

    fn report(&mut self, outcome: Result<(), StartError>) {
        if let Some(starter) = self.starter.take() {
            // The request may have been given up meanwhile; the stream goes on.
            drop(starter.send(outcome));
        }
    }

    async fn next(&mut self) -> Input {
        loop {
            if let Some(input) = self.own.pop_front() {
                return input;
            }
            let due = self.life.timeout();
            let input = tokio::select! {
                input = self.active.inbox.next() => Some(input),
                news = news(&mut self.receiver) => self.heard(news),
                launched = finished(&mut self.launching) => Some(self.launched(launched).await),
                answer = finished(&mut self.asking) => Some(self.answered(answer)),
                () = finished(&mut self.telling) => None,
                () = until(self.stop_at) => { self.send_stop().await; None }
                () = until(due) => Some(Input::Timeout),
            };
            if let Some(input) = input {
                return input;
            }
        }
    }

    async fn send_stop(&mut self) {
        self.stop_at = None;
        if let Some(receiver) = &mut self.receiver {
            receiver.send(&ReceiverCommand::Stop).await;
        }
    }

    async fn launched(&mut self, launched: Result<Receiver, ReceiverError>) -> Input {
        match launched {
            Ok(mut receiver) => {
                if let Some(uri) = self.forward.take() {
                    let outputs = vec![ReceiverOutput { uri }];
                    receiver.send(&ReceiverCommand::UpdateForward { outputs }).await;
                }
                self.counted = Some(Counts::default());
                self.take_receiver(receiver);
                Input::Ready
            }
            Err(error) => {
                self.refusal = Some(StartError::Receiver(error.to_string()));
                Input::LaunchFailed(error.to_string())
            }
        }
    }

    fn answered(&mut self, answer: Result<Reply, CommandError>) -> Input {
        match answer {
            Ok(reply) if reply.success => {
                if self.life.state() == StreamLife::Starting {
                    self.report(Ok(()));
                }
                Input::Accepted
            }
            Ok(reply) => {
                let fault = fault_of(reply);
                let text = fault.message.clone();
                self.refusal = Some(StartError::Refused(fault));
                Input::Refused(text)
            }
            Err(error) => {
                self.refusal = Some(StartError::Command(error));
                Input::Refused(error.to_string())
            }
        }
    }

    fn heard(&mut self, news: News) -> Option<Input> {
        match news {
            News::Gone(gone) => {
                self.receiver = None;
                self.active.lock().receiving = false;
                Some(Input::ReceiverGone(gone))
            }
            News::Event(ReceiverEvent::Stats(stats)) => {
                let media = stats.delivered_packets > self.delivered;
                self.delivered = stats.delivered_packets;
                let row = self.active.row();
                self.shared.publish(&row, "stream.receiver_stats", &stats);
                let counts = counts(&stats);
                if let Some(before) = self.counted.replace(counts) {
                    self.shared.totals.add(&before, &counts);
                }
                self.active.lock().row.receiver_stats = Some(stats);
                media.then_some(Input::Media)
            }
            News::Event(ReceiverEvent::Recording { part, path }) => {
                let row = self.active.row();
                tracing::info!(stream = %row.id, part, path, "recording");
                self.shared.publish(&row, "stream.recording", &json!({"part": part, "path": path}));
                None
            }
            News::Event(ReceiverEvent::Error { part, message }) => {
                let row = self.active.row();
                tracing::warn!(stream = %row.id, part, message, "receiver");
                let alert = json!({"code": "receiver_error", "part": part, "message": message});
                self.shared.publish(&row, "alert", &alert);
                None
            }
            News::Event(_) => None,
        }
    }
}

async fn news(receiver: &mut Option<Receiver>) -> News {
    match receiver {
        Some(receiver) => receiver.next().await,
        None => std::future::pending().await,
    }
}

/// The result of work under way; for ever pending when there is none. Cancel-safe.
async fn finished<T>(work: &mut Work<T>) -> T {
    match work {
        Some(running) => {
            let result = running.await;
            *work = None;
            result
        }
        None => std::future::pending().await,
    }
}

async fn until(due: Option<Instant>) {
    match due {
        Some(due) => tokio::time::sleep_until(due.into()).await,
        None => std::future::pending().await,
    }
}

/// What the last packets may be late on their way.
const MARGIN: Duration = Duration::from_millis(250);
