//! The one way to wait: look at what can be observed, again and again, up to a deadline.

use std::time::Duration;

use anyhow::{Result, bail};
use tokio::time::{MissedTickBehavior, interval, timeout};

/// Time between two looks.
const LOOK: Duration = Duration::from_millis(50);

/// Calls `condition` until it gives something.
///
/// # Errors
/// When `deadline` passes first; the message says what was waited for.
pub async fn eventually<T>(
    what: impl std::fmt::Display,
    deadline: Duration,
    mut condition: impl AsyncFnMut() -> Option<T>,
) -> Result<T> {
    let looks = async {
        let mut looks = interval(LOOK);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            looks.tick().await;
            if let Some(found) = condition().await {
                return found;
            }
        }
    };
    match timeout(deadline, looks).await {
        Ok(found) => Ok(found),
        Err(_) => bail!("{what}: not within {deadline:?}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn it_looks_until_it_finds() {
        let mut looks = 0;
        let found = eventually("three looks", Duration::from_secs(10), async || {
            looks += 1;
            (looks == 3).then_some(looks)
        });
        assert_eq!(found.await.unwrap(), 3);
    }

    #[tokio::test]
    async fn it_gives_up_at_the_deadline_and_says_what_was_missing() {
        let never = eventually("the impossible", Duration::from_millis(1), async || None::<()>);
        assert_eq!(never.await.unwrap_err().to_string(), "the impossible: not within 1ms");
    }
}
