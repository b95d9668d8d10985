//! A driver of `net` in a thread of its own, and names looked up in one that ends.

use std::io;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use tokio::runtime::{Builder, Runtime};
use tokio::sync::oneshot;

use super::error::SettingError;
use crate::net::{NetError, RistUrls, as_task};

/// Longest wait for the addresses of names.
const RESOLVE_S: u64 = 5;
/// A driver that has nothing left to do ends within this; else it is ended.
const END: Duration = Duration::from_secs(1);

/// A driver at work.
#[derive(Debug)]
pub(super) struct Driver {
    thread: JoinHandle<()>,
    abort: oneshot::Sender<()>,
    ended: mpsc::Receiver<Result<(), NetError>>,
}

fn runtime() -> Result<Runtime, SettingError> {
    Builder::new_current_thread().enable_all().build().map_err(SettingError::Thread)
}

fn spawn<T: Send + 'static>(
    name: &str,
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<JoinHandle<T>, SettingError> {
    thread::Builder::new().name(name.to_owned()).spawn(work).map_err(SettingError::Thread)
}

impl Driver {
    /// Runs it in a thread of this name.
    pub(super) fn start<F>(name: &str, run: F) -> Result<Self, SettingError>
    where
        F: Future<Output = Result<(), NetError>> + Send + 'static,
    {
        let runtime = runtime()?;
        let (abort, aborted) = oneshot::channel();
        let (end, ended) = mpsc::channel();
        let thread = spawn(name, move || {
            let outcome = runtime.block_on(as_task(async {
                tokio::select! {
                    outcome = run => outcome,
                    _ = aborted => Ok(()),
                }
            }));
            // Who stops it may not wait for its outcome.
            let _ = end.send(outcome);
        })?;
        Ok(Self { thread, abort, ended })
    }

    /// Why it ended, if it did.
    pub(super) fn failure(&self) -> Option<NetError> {
        match self.ended.try_recv() {
            Ok(outcome) => Some(outcome.err().unwrap_or(NetError::Closed)),
            Err(_) => None,
        }
    }

    /// Ends it: at once, or when it has done what its handle left to it.
    pub(super) fn stop(self, at_once: bool) {
        if at_once || matches!(self.ended.recv_timeout(END), Err(RecvTimeoutError::Timeout)) {
            // It may have ended by itself.
            let _ = self.abort.send(());
        }
        // A panic of the driver was shown when it happened.
        let _ = self.thread.join();
    }
}

/// Looks the names of URLs up, in a thread of its own: the caller's may be part of a runtime.
pub(super) fn resolve(urls: RistUrls) -> Result<RistUrls, SettingError> {
    let lookup = spawn("strata-resolve", move || {
        let runtime = runtime()?;
        let limit = Duration::from_secs(RESOLVE_S);
        let found = runtime.block_on(async { tokio::time::timeout(limit, urls.resolve()).await });
        runtime.shutdown_background();
        found.map_err(|_| SettingError::Resolve(RESOLVE_S))?.map_err(SettingError::Uri)
    })?;
    let panicked = |_| SettingError::Thread(io::Error::other("the look-up of names panicked"));
    lookup.join().map_err(panicked)?
}
