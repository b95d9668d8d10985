//! A thread that looks at something now and then.
#![expect(clippy::disallowed_methods, reason = "a ticker reads the clock")]

use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use super::error::SettingError;

/// Ends when it is dropped, after what it does at the moment.
#[derive(Debug)]
pub(super) struct Ticker {
    stop: Option<mpsc::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Ticker {
    /// Calls `tick` every `period`, as long as it says that there is more to do.
    pub(super) fn start(
        name: &str,
        period: Duration,
        mut tick: impl FnMut(Instant) -> bool + Send + 'static,
    ) -> Result<Self, SettingError> {
        let (stop, stopped) = mpsc::channel::<()>();
        let work = move || {
            while stopped.recv_timeout(period) == Err(RecvTimeoutError::Timeout) && tick(Instant::now()) {}
        };
        let thread =
            thread::Builder::new().name(name.to_owned()).spawn(work).map_err(SettingError::Thread)?;
        Ok(Self { stop: Some(stop), thread: Some(thread) })
    }
}

impl Drop for Ticker {
    fn drop(&mut self) {
        drop(self.stop.take());
        // What is called by a tick may be what ends it: a thread cannot wait for itself.
        if let Some(thread) = self.thread.take().filter(|it| it.thread().id() != thread::current().id()) {
            // A panic was shown when it happened.
            let _ = thread.join();
        }
    }
}
