//! The running stream: plan, child process, retries, statistics, end.
//!
//! [`Streams`] is what commands call; [`Driver`] runs the [`supervision`] machine around the child.
//! A lost control connection changes nothing here: the stream goes on, and what it reports waits in
//! the session's journal.

mod child;
mod driver;
pub(crate) mod plan;
mod supervision;

use std::path::PathBuf;
use std::time::Duration;

use async_trait::async_trait;
use strata_agent_protocol::interfaces::Rules;
use strata_agent_protocol::stream::PipelineConfig;
use strata_client::role::agent::Reporter;
use strata_proto::control::{ConfigUpdate, EndReason, ErrorCode, Fault, StreamEnded, StreamStats};
use strata_proto::id::StreamId;
use tokio::sync::{mpsc, oneshot, watch};

use crate::hardware::Activity;

pub(crate) use driver::Driver;

/// The one stream, as the rest of the agent sees it.
#[derive(Debug, Clone)]
pub(crate) struct Streams {
    orders: mpsc::Sender<Order>,
    activity: watch::Receiver<Activity>,
}

/// Who is told about streams; the session's [`Reporter`].
#[async_trait]
pub(crate) trait Reports: Send + Sync {
    /// `stream.stats`; may be dropped.
    fn stats(&self, stats: StreamStats);
    /// `stream.ended`; on disk when this returns, or logged that it is not.
    async fn ended(&self, ended: StreamEnded);
    /// `device.status` has something new to say.
    fn changed(&self);
}

/// What the driver is told.
#[derive(Debug)]
enum Order {
    Start(Box<PipelineConfig>, oneshot::Sender<Result<(), Fault>>),
    /// Stop this stream, or whatever runs; answered when its end has been reported.
    Stop(Option<StreamId>, EndReason, oneshot::Sender<Result<(), Fault>>),
    Update(ConfigUpdate, oneshot::Sender<Result<(), Fault>>),
    StatsInterval(Duration),
    Rules(Rules),
}

/// Makes the supervisor of one stream at a time. `program` is the pipeline's; `run_dir` gets the bonding configuration of the running stream.
pub(crate) fn new(program: PathBuf, run_dir: PathBuf) -> (Streams, Driver) {
    let (orders, orders_rx) = mpsc::channel(ORDERS);
    let (activity_tx, activity) = watch::channel(Activity::default());
    (Streams { orders, activity }, Driver::new(program, run_dir, orders_rx, activity_tx))
}

impl Streams {
    /// Starts a stream; returns when media flows.
    ///
    /// # Errors
    /// `busy_streaming` when one runs, `pipeline_failed` with the pipeline's own words.
    pub(crate) async fn start(&self, config: PipelineConfig) -> Result<(), Fault> {
        self.order(|reply| Order::Start(Box::new(config), reply)).await
    }

    /// Stops a stream (`None`: whatever runs); returns when its end has been reported.
    ///
    /// # Errors
    /// `not_found` when it does not run.
    pub(crate) async fn stop(&self, stream_id: Option<StreamId>, reason: EndReason) -> Result<(), Fault> {
        self.order(|reply| Order::Stop(stream_id, reason, reply)).await
    }

    /// Changes the running stream; returns when it has changed.
    ///
    /// # Errors
    /// `not_found` when none runs, `pipeline_failed` when the pipeline refuses.
    pub(crate) async fn update(&self, update: ConfigUpdate) -> Result<(), Fault> {
        self.order(|reply| Order::Update(update, reply)).await
    }

    /// Changes how often statistics are reported.
    pub(crate) async fn set_stats_interval(&self, interval: Duration) {
        let _ = self.orders.send(Order::StatsInterval(interval)).await;
    }

    /// Changes how a running stream uses interfaces.
    pub(crate) async fn set_rules(&self, rules: Rules) {
        let _ = self.orders.send(Order::Rules(rules)).await;
    }

    /// What runs now.
    pub(crate) fn activity(&self) -> Activity {
        self.activity.borrow().clone()
    }

    async fn order(
        &self,
        order: impl FnOnce(oneshot::Sender<Result<(), Fault>>) -> Order,
    ) -> Result<(), Fault> {
        let gone = || Fault::new(ErrorCode::INTERNAL, "the agent is ending");
        let (reply, answer) = oneshot::channel();
        self.orders.send(order(reply)).await.map_err(|_| gone())?;
        answer.await.map_err(|_| gone())?
    }
}

#[async_trait]
impl Reports for Reporter {
    fn stats(&self, stats: StreamStats) {
        Reporter::stats(self, stats);
    }

    async fn ended(&self, ended: StreamEnded) {
        if let Err(error) = Reporter::ended(self, ended).await {
            tracing::error!(%error, "the end of the stream could not be journalled");
        }
    }

    fn changed(&self) {
        self.status_changed();
    }
}

/// Commands that may wait for the driver.
const ORDERS: usize = 16;
