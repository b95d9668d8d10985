//! The loop around the supervision: orders in, child's words in, reports out.
#![expect(clippy::disallowed_methods, reason = "this is a driver: it reads the clock for its machine")]

use std::path::PathBuf;
use std::time::Instant;

use strata_agent_protocol::stream::PipelineConfig;
use strata_proto::control::{BondingConfig, ErrorCode, Fault, StreamState};
use tokio::sync::{mpsc, oneshot, watch};

use super::child::{Child, Heard};
use super::supervision::{Input, Output, Supervision};
use super::{Order, Reports, plan};
use crate::hardware::Activity;

/// Runs streams, one at a time, until every [`super::Streams`] is dropped.
#[derive(Debug)]
pub(crate) struct Driver {
    program: PathBuf,
    run_dir: PathBuf,
    orders: mpsc::Receiver<Order>,
    activity: watch::Sender<Activity>,
    machine: Supervision,
    child: Option<Child>,
    starting: Option<Reply>,
    updating: Option<Reply>,
    stopping: Vec<Reply>,
}

type Reply = oneshot::Sender<Result<(), Fault>>;

impl Driver {
    pub(super) fn new(
        program: PathBuf,
        run_dir: PathBuf,
        orders: mpsc::Receiver<Order>,
        activity: watch::Sender<Activity>,
    ) -> Self {
        Self {
            program,
            run_dir,
            orders,
            activity,
            machine: Supervision::default(),
            child: None,
            starting: None,
            updating: None,
            stopping: Vec::new(),
        }
    }

    /// Runs until nobody can give orders any more, or the future is dropped; a child that still
    /// runs is killed then.
    pub(crate) async fn run(mut self, reports: impl Reports) {
        loop {
            let wake = self.drain(&reports).await;
            let due = async {
                match wake {
                    Some(at) => tokio::time::sleep_until(at.into()).await,
                    None => std::future::pending().await,
                }
            };
            let heard = async {
                match &mut self.child {
                    Some(child) => child.listen().await,
                    None => std::future::pending().await,
                }
            };
            let input = tokio::select! {
                order = self.orders.recv() => match order {
                    Some(order) => self.take(order),
                    None => return,
                },
                heard = heard => Some(self.heard(heard)),
                () = due => Some(Input::Timeout),
            };
            if let Some(input) = input {
                self.machine.handle_input(Instant::now(), input);
            }
        }
    }

    fn heard(&mut self, heard: Heard) -> Input {
        let generation = self.child.as_ref().map_or(0, Child::generation);
        match heard {
            Heard::Event(event) => Input::Said(generation, event),
            Heard::Gone(how) => {
                self.child = None;
                Input::Gone(generation, how)
            }
        }
    }

    fn take(&mut self, order: Order) -> Option<Input> {
        match order {
            Order::Start(config, reply) => {
                if let Some(running) = self.machine.running() {
                    let message = format!("stream {} is running; stop it first", running.stream_id);
                    return refuse(reply, ErrorCode::BUSY_STREAMING, &message);
                }
                self.starting = Some(reply);
                Some(Input::Start(config))
            }
            Order::Stop(None, _, reply) if self.machine.running().is_none() => {
                let _ = reply.send(Ok(()));
                None
            }
            Order::Stop(Some(id), _, reply) if !self.machine.runs(&id) => {
                refuse(reply, ErrorCode::NOT_FOUND, &format!("stream {id} is not running on this device"))
            }
            Order::Stop(_, reason, reply) => {
                self.stopping.push(reply);
                Some(Input::Stop(reason))
            }
            Order::Update(update, reply) => {
                let Some(running) = self.machine.running() else {
                    return refuse(reply, ErrorCode::NOT_FOUND, "no stream is running");
                };
                if let Err(fault) = plan::check_change(running, &update) {
                    let _ = reply.send(Err(fault));
                    return None;
                }
                if self.updating.is_some() {
                    return refuse(reply, ErrorCode::RATE_LIMITED, "another update is under way; try again");
                }
                self.updating = Some(reply);
                Some(Input::Update(update))
            }
            Order::StatsInterval(interval) => Some(Input::StatsInterval(interval)),
            Order::Rules(rules) => Some(Input::Rules(rules)),
        }
    }

    /// Does what the machine wants; when it wants to be woken.
    async fn drain(&mut self, reports: &impl Reports) -> Option<Instant> {
        loop {
            match self.machine.poll_output() {
                Output::Timeout(at) => return at,
                Output::Spawn(generation, config) => self.spawn(generation, *config).await,
                Output::Tell(command) => {
                    if let Some(child) = &mut self.child {
                        child.tell(&command).await;
                    }
                }
                Output::Kill => {
                    if let Some(child) = &mut self.child {
                        child.kill();
                    }
                }
                Output::Started(result) => self.started(result),
                Output::Updated(result) => {
                    if result.is_ok() {
                        self.updated();
                    }
                    if let Some(reply) = self.updating.take() {
                        let _ = reply.send(result.map_err(|words| failed(&words)));
                    }
                }
                Output::Stats(stats) => reports.stats(stats),
                Output::Ended(ended) => {
                    tracing::info!(stream = %ended.stream_id, reason = ?ended.reason, seconds = ended.duration_s,
                        bytes = ended.total_bytes, error = ended.error, "stream ended");
                    self.forget(&ended.stream_id);
                    reports.ended(ended).await;
                    for reply in self.stopping.drain(..) {
                        let _ = reply.send(Ok(()));
                    }
                }
                Output::Changed => {
                    self.activity.send_replace(self.activity());
                    reports.changed();
                }
            }
        }
    }

    fn started(&mut self, result: Result<(), String>) {
        match &result {
            Ok(()) => tracing::info!("stream is live"),
            Err(words) => tracing::warn!("stream did not start: {words}"),
        }
        let cancelled = match self.starting.take() {
            Some(reply) => reply.send(result.map_err(|words| failed(&words))) == Err(Ok(())),
            None => false,
        };
        if cancelled {
            // command.cancel: nobody waits for this stream any more.
            self.machine.handle_input(
                Instant::now(),
                Input::Stop(strata_proto::control::EndReason::ControlPlaneStop),
            );
        }
    }

    async fn spawn(&mut self, generation: u64, config: PipelineConfig) {
        tracing::info!(stream = %config.stream_id, links = config.bonding.links.len(), "starting the media pipeline");
        // A child that was given up must be gone before the next one takes its camera.
        self.child = None;
        let bonding = self.write_bonding(&config.stream_id, &config.bonding);
        let started = match bonding {
            Ok(()) => Child::spawn(&self.program, generation, &config).await,
            Err(error) => Err(error),
        };
        match started {
            Ok(child) => self.child = Some(child),
            Err(error) => {
                self.machine
                    .handle_input(Instant::now(), Input::Gone(generation, format!("cannot start: {error}")));
            }
        }
    }

    /// The running stream's configuration is another now.
    fn updated(&mut self) {
        if let Some(config) = self.machine.running()
            && let Err(error) = self.write_bonding(&config.stream_id, &config.bonding)
        {
            tracing::warn!(%error, "the changed bond could not be written");
        }
        self.activity.send_replace(self.activity());
    }

    /// The bond as TOML, key for key (`control.md` §4.2), where people and tools find it; secrets are in memory only.
    fn write_bonding(
        &self,
        stream: &strata_proto::id::StreamId,
        bonding: &BondingConfig,
    ) -> std::io::Result<()> {
        let mut shown = bonding.clone();
        for link in &mut shown.links {
            link.uri = plan::without_secrets(&link.uri);
        }
        let text = toml::to_string(&shown).map_err(std::io::Error::other)?;
        crate::config::settings::replace(&self.run_dir.join(format!("{stream}.toml")), text.as_bytes())
    }

    fn forget(&self, stream: &strata_proto::id::StreamId) {
        let _ = std::fs::remove_file(self.run_dir.join(format!("{stream}.toml")));
    }

    fn activity(&self) -> Activity {
        let running = self.machine.running();
        Activity {
            state: if running.is_some() { self.machine.state() } else { StreamState::Idle },
            running: running.iter().map(|config| config.stream_id.clone()).collect(),
            device: running.and_then(|config| config.source.device.clone()),
            interfaces: running
                .iter()
                .flat_map(|config| &config.bonding.links)
                .filter_map(|link| link.interface.clone())
                .collect(),
        }
    }
}

fn refuse(reply: Reply, code: ErrorCode, message: &str) -> Option<Input> {
    let _ = reply.send(Err(Fault::new(code, message)));
    None
}

fn failed(words: &str) -> Fault {
    Fault::new(ErrorCode::other("pipeline_failed"), words)
}
