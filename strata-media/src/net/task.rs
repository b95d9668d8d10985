//! A stream as a task, where its thread has nothing else to do.

use std::future::pending;
use std::panic::resume_unwind;

/// Runs this as a task of the current runtime, to its end: for who would have a runtime [wait][block] for a driver itself. What the
/// runtime itself waits for is woken by a write to the runtime's eventfd and a look at all sockets, for every packet; a task by neither.
///
/// ```
/// let runtime = tokio::runtime::Builder::new_current_thread().build()?;
/// assert_eq!(runtime.block_on(strata_media::net::as_task(async { 7 })), 7);
/// # Ok::<(), std::io::Error>(())
/// ```
///
/// # Panics
/// When what it runs does.
///
/// [block]: tokio::runtime::Runtime::block_on
pub async fn as_task<T: Send + 'static>(work: impl Future<Output = T> + Send + 'static) -> T {
    match tokio::spawn(work).await {
        Ok(outcome) => outcome,
        Err(error) => match error.try_into_panic() {
            Ok(panic) => resume_unwind(panic),
            // It is cancelled when the runtime is gone, and with it who waits here.
            Err(_) => pending().await,
        },
    }
}
