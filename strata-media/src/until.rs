//! What tests wait for that no event tells of.

use std::time::Duration;

use tokio::time::{interval, timeout};

/// Longer than a machine stands still that has other things to do.
const PATIENCE: Duration = Duration::from_secs(60);

/// Returns once this is so.
///
/// # Panics
/// When it is not within a minute.
pub(crate) async fn until(is: impl Fn() -> bool) {
    let mut timer = interval(Duration::from_millis(5));
    let waiting = async {
        while !is() {
            timer.tick().await;
        }
    };
    timeout(PATIENCE, waiting).await.expect("it never was so");
}
