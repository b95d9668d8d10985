//! What the agent is doing: commands that run, each with a way to cancel it, and the status it is asked for.

use std::any::Any;
use std::collections::HashMap;
use std::fmt;
use std::future::{Future, pending};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::{AbortHandle, Abortable, FutureExt as _};
use futures_util::stream::{FuturesUnordered, StreamExt as _};
use strata_proto::control::{
    AgentSettings, Command, CommandCancel, CommandKind, DeviceStatus, ErrorCode, Fault, Reply,
};
use strata_proto::id::MessageId;

use super::dispatch::dispatch;
use super::{Agent, Context, Reporter};

type Running<T> = Pin<Box<dyn Future<Output = T> + Send>>;

/// The agent and what it does now.
pub(super) struct Work {
    agent: Arc<dyn Agent>,
    reporter: Reporter,
    commands: FuturesUnordered<Running<(MessageId, Reply)>>,
    cancel: HashMap<MessageId, AbortHandle>,
    status: Option<Running<Option<DeviceStatus>>>,
    /// The status was asked for while it was being made.
    status_again: bool,
}

/// Work that is done.
#[derive(Debug)]
pub(super) enum Finished {
    Command(MessageId, Reply),
    Status(Option<DeviceStatus>),
}

impl Work {
    pub(super) fn new(agent: Arc<dyn Agent>, reporter: Reporter) -> Self {
        let (commands, cancel) = (FuturesUnordered::new(), HashMap::new());
        Self { agent, reporter, commands, cancel, status: None, status_again: false }
    }

    /// Introduces the agent to its reporter, before the first status is asked for.
    pub(super) fn start(&mut self) {
        let (agent, reporter) = (self.agent.clone(), self.reporter.clone());
        // Beside the session, not before it: the agent may wait for what the session does.
        self.status = Some(Box::pin(async move {
            survive("started", async { agent.started(reporter).await }).await;
            None
        }));
    }

    /// What the agent can do, and what the framework does for it.
    pub(super) fn capabilities(&self) -> Vec<CommandKind> {
        let listed = catch_unwind(AssertUnwindSafe(|| self.agent.capabilities()));
        let mut capabilities = listed.unwrap_or_else(|panic| {
            tracing::error!(
                text = words(&*panic),
                "the agent's capabilities() panicked: it is taken to have none"
            );
            Vec::new()
        });
        capabilities.push(CommandKind::CommandCancel);
        capabilities.sort_unstable();
        capabilities.dedup();
        capabilities
    }

    /// Begins a command.
    pub(super) fn command(&mut self, id: MessageId, command: Command) {
        let kind = command.kind();
        let work: Running<Reply> = match command {
            Command::CommandCancel(cancel) => {
                let reply = self.cancel(&cancel);
                Box::pin(async move { reply })
            }
            command => {
                let agent = self.agent.clone();
                let ctx = Context { reporter: self.reporter.clone(), id: id.clone(), kind };
                Box::pin(async move { dispatch(&*agent, ctx, command).await })
            }
        };
        let (handle, registration) = AbortHandle::new_pair();
        self.cancel.insert(id.clone(), handle);
        let work = Abortable::new(AssertUnwindSafe(work).catch_unwind(), registration);
        self.commands.push(Box::pin(async move {
            let reply = match work.await {
                Ok(Ok(reply)) => reply,
                Ok(Err(panic)) => panicked(kind, &*panic),
                Err(_) => Reply::failed(Fault::new(ErrorCode::CANCELLED, format!("{kind} was cancelled"))),
            };
            (id, reply)
        }));
    }

    /// Asks for the device's status, after telling the agent the settings of a new login.
    pub(super) fn status(&mut self, settings: Option<AgentSettings>) {
        if self.status.is_some() && settings.is_none() {
            self.status_again = true;
            return;
        }
        let agent = self.agent.clone();
        let earlier = self.status.take();
        self.status = Some(Box::pin(async move {
            if let Some(earlier) = earlier {
                // One call at a time; its result is of before the login.
                earlier.await;
            }
            if let Some(settings) = settings {
                survive("logged_in", async { agent.logged_in(settings).await }).await;
            }
            let status = survive("status", async { agent.status().await });
            let Ok(status) = tokio::time::timeout(STATUS_LIMIT, status).await else {
                tracing::error!(limit = ?STATUS_LIMIT, "the agent's status() takes too long: it is dropped");
                return None;
            };
            status.flatten()
        }));
    }

    /// The next work that is done. May be dropped and called again.
    pub(super) async fn next(&mut self) -> Finished {
        let status = async {
            match &mut self.status {
                Some(status) => status.await,
                None => pending().await,
            }
        };
        tokio::select! {
            Some((id, reply)) = self.commands.next() => {
                self.cancel.remove(&id);
                Finished::Command(id, reply)
            }
            status = status => {
                self.status = None;
                if std::mem::take(&mut self.status_again) {
                    self.status(None);
                }
                Finished::Status(status)
            }
        }
    }

    fn cancel(&mut self, cancel: &CommandCancel) -> Reply {
        match self.cancel.get(&cancel.command_id) {
            Some(handle) => {
                handle.abort();
                Reply::ok()
            }
            None => {
                let fault = Fault::new(ErrorCode::NOT_FOUND, "no such command is running");
                Reply::failed(fault.with_field("payload.command_id"))
            }
        }
    }
}

/// A command that breaks must not take the others, and the session, with it.
fn panicked(kind: CommandKind, panic: &(dyn Any + Send)) -> Reply {
    tracing::error!(%kind, text = words(panic), "a command panicked");
    Reply::failed(Fault::new(ErrorCode::INTERNAL, format!("{kind} broke inside the agent")))
}

/// What the vendor's `method` gives, or `None` when it panics: that must not end the session.
async fn survive<T>(method: &str, work: impl Future<Output = T>) -> Option<T> {
    let outcome = AssertUnwindSafe(work).catch_unwind().await;
    outcome.inspect_err(|panic| tracing::error!(method, text = words(&**panic), "the agent panicked")).ok()
}

/// What a panic says.
fn words(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("no message")
}

impl fmt::Debug for Work {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Work").field("commands", &self.commands.len()).finish_non_exhaustive()
    }
}

/// Longest time for one [`Agent::status`]: three of the default status intervals of 10 s. A device that cannot say
/// how it is within it hangs somewhere, and is asked anew.
const STATUS_LIMIT: Duration = Duration::from_secs(30);

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use async_trait::async_trait;
    use tokio::sync::mpsc;

    use super::*;

    /// An agent in which everything breaks at first.
    #[derive(Default)]
    struct Broken {
        asked: AtomicUsize,
    }

    #[async_trait]
    impl Agent for Broken {
        fn capabilities(&self) -> Vec<CommandKind> {
            panic!("capabilities");
        }

        async fn started(&self, _: Reporter) {
            panic!("started");
        }

        async fn logged_in(&self, _: AgentSettings) {
            panic!("logged_in");
        }

        async fn status(&self) -> Option<DeviceStatus> {
            match self.asked.fetch_add(1, Ordering::SeqCst) {
                0 => panic!("status {}", 0),
                1 => pending().await,
                _ => Some(DeviceStatus::default()),
            }
        }
    }

    fn work() -> Work {
        let (ops, _) = mpsc::channel(1);
        Work::new(Arc::new(Broken::default()), Reporter { ops })
    }

    #[tokio::test(start_paused = true)]
    async fn what_breaks_outside_commands_breaks_alone() {
        let mut work = work();
        assert_eq!(work.capabilities(), [CommandKind::CommandCancel]);
        work.start();
        assert!(matches!(work.next().await, Finished::Status(None)), "started panicked");
        work.status(Some(AgentSettings::default()));
        assert!(matches!(work.next().await, Finished::Status(None)), "logged_in and status panicked");
    }

    #[tokio::test(start_paused = true)]
    async fn a_status_that_hangs_is_dropped_and_asked_for_again() {
        let mut work = work();
        work.status(None);
        assert!(matches!(work.next().await, Finished::Status(None)), "it panicked");
        let begun = tokio::time::Instant::now();
        work.status(None);
        assert!(matches!(work.next().await, Finished::Status(None)), "it hung");
        assert_eq!(begun.elapsed(), STATUS_LIMIT);
        work.status(None);
        assert!(matches!(work.next().await, Finished::Status(Some(_))));
    }
}
