//! What is not interrupted when its caller goes away.

use std::future::Future;

use super::{ApiError, App};

impl App {
    /// Runs `work` to its end, also when the caller goes away or its time is up: the server drops a
    /// request's future then, and what had begun would stay half done or without its audit entry.
    ///
    /// A shutdown waits for it as it waits for connections. Give it what changes something together with
    /// what must follow; what only reads is better dropped.
    ///
    /// # Errors
    /// Those of `work`; 500 `internal` when it panicked.
    pub(super) async fn uninterrupted<T, F>(&self, work: F) -> Result<T, ApiError>
    where
        T: Send + 'static,
        F: Future<Output = Result<T, ApiError>> + Send + 'static,
    {
        self.connections().spawn(work).await.map_err(ApiError::internal)?
    }
}
