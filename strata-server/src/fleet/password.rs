//! argon2id, a bounded number of times at once: a hash costs 19 MiB and tens of milliseconds.

use std::sync::Arc;

use argon2::Argon2;
use argon2::password_hash::phc::PasswordHash;
use argon2::password_hash::{PasswordHasher as _, PasswordVerifier as _};
use strata_proto::token::Secret;
use tokio::sync::Semaphore;

#[derive(Debug, Clone)]
pub(super) struct Passwords {
    permits: Arc<Semaphore>,
    /// Checked when there is no such user, so that the answer takes as long.
    decoy: Arc<str>,
}

impl Passwords {
    pub(super) fn new(at_once: usize) -> Result<Self, String> {
        let decoy = hash(&Secret::new("no user has this password"))?;
        Ok(Self { permits: Arc::new(Semaphore::new(at_once)), decoy: decoy.into() })
    }

    /// PHC string of a password.
    pub(super) async fn hash(&self, password: Secret) -> Result<String, String> {
        self.run(move || hash(&password)).await
    }

    /// Whether the password is the one of the hash; without a hash never, after the same time.
    pub(super) async fn verify(&self, password: Secret, stored: Option<String>) -> Result<bool, String> {
        let decoy = Arc::clone(&self.decoy);
        let check = move || {
            let known = stored.is_some();
            let text = stored.as_deref().unwrap_or(&decoy);
            let hash = PasswordHash::new(text).map_err(|e| e.to_string())?;
            let fits = Argon2::default().verify_password(password.expose().as_bytes(), &hash).is_ok();
            Ok(fits && known)
        };
        self.run(check).await
    }

    /// The permit goes with the work, which goes on when the caller has gone away.
    async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> Result<T, String> + Send + 'static,
    ) -> Result<T, String> {
        let permit = Arc::clone(&self.permits).acquire_owned().await.map_err(|e| e.to_string())?;
        let work = move || {
            let _permit = permit;
            work()
        };
        tokio::task::spawn_blocking(work).await.map_err(|e| e.to_string())?
    }
}

fn hash(password: &Secret) -> Result<String, String> {
    let hash = Argon2::default().hash_password(password.expose().as_bytes()).map_err(|e| e.to_string())?;
    Ok(hash.to_string())
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;

    use super::*;

    #[test]
    fn a_caller_that_goes_away_frees_no_place_while_its_hash_is_still_to_do() {
        let runtime = tokio::runtime::Builder::new_current_thread().max_blocking_threads(1).build().unwrap();
        runtime.block_on(async {
            let (release, held) = std::sync::mpsc::channel::<()>();
            let busy = tokio::task::spawn_blocking(move || held.recv());
            let passwords = Passwords::new(1).unwrap();
            assert!(passwords.hash(Secret::new("password")).now_or_never().is_none());
            assert_eq!(passwords.permits.available_permits(), 0);
            release.send(()).unwrap();
            busy.await.unwrap().unwrap();
            assert!(passwords.hash(Secret::new("password")).await.is_ok());
        });
    }
}
