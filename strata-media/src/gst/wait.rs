//! Waiting in a streaming thread, which may or may not be part of somebody's runtime.
#![expect(clippy::disallowed_methods, reason = "a streaming thread waits by the clock")]

use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, Thread};
use std::time::{Duration, Instant};

struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

/// Waits for what needs neither I/O nor time of a runtime, such as the channels of a handle.
pub(super) fn block_on<F: Future>(future: F) -> F::Output {
    let mut future = pin!(future);
    let waker = Waker::from(Arc::new(Unpark(thread::current())));
    loop {
        if let Poll::Ready(output) = future.as_mut().poll(&mut Context::from_waker(&waker)) {
            return output;
        }
        thread::park();
    }
}

/// The same for a limited time.
pub(super) fn block_on_for<F: Future>(limit: Duration, future: F) -> Option<F::Output> {
    let end = Instant::now() + limit;
    let mut future = pin!(future);
    let waker = Waker::from(Arc::new(Unpark(thread::current())));
    loop {
        if let Poll::Ready(output) = future.as_mut().poll(&mut Context::from_waker(&waker)) {
            return Some(output);
        }
        let left = end.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return None;
        }
        thread::park_timeout(left);
    }
}

#[cfg(test)]
mod tests {
    use tokio::sync::oneshot;

    use super::*;

    #[test]
    fn what_another_thread_says_is_heard() {
        let (say, hear) = oneshot::channel();
        let other = thread::spawn(move || say.send(7));
        assert_eq!(block_on(hear), Ok(7));
        other.join().unwrap().unwrap();
    }

    #[test]
    fn waiting_has_an_end() {
        let (_say, hear) = oneshot::channel::<()>();
        assert_eq!(block_on_for(Duration::from_millis(1), hear), None);
    }
}
