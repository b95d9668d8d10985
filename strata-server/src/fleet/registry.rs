//! Senders: create, list, rename, decommission.

use std::time::Duration;

use sha2::{Digest as _, Sha256};
use strata_proto::control::{Presence, SenderView};
use strata_proto::id::{SenderId, UserId};
use strata_proto::time::Timestamp;
use strata_proto::token::EnrollmentToken;

use super::{Fleet, FleetError, Scope};
use crate::session::Close;
use crate::store::{Page, SenderRow};

/// A sender just created, with the only copy of its enrolment token.
#[derive(Debug, Clone)]
pub struct NewSender {
    /// The sender.
    pub view: SenderView,
    /// One-time token.
    pub token: EnrollmentToken,
    /// Until when the token can be used.
    pub expires_at: Timestamp,
}

impl Fleet {
    /// Creates a sender of `owner` and its enrolment token. `ttl` is the token's life, the configured one
    /// when absent.
    ///
    /// # Errors
    /// [`FleetError::Invalid`] for the name or the life; [`FleetError::Store`].
    pub async fn create_sender(
        &self,
        owner: &UserId,
        name: &str,
        ttl: Option<Duration>,
    ) -> Result<NewSender, FleetError> {
        let name = checked_name(name)?;
        let ttl = ttl.unwrap_or(self.inner.settings.enrollment_ttl);
        if ttl.is_zero() || ttl > MAX_ENROLLMENT_TTL {
            let reason = format!("expected 1 to {} seconds", MAX_ENROLLMENT_TTL.as_secs());
            return Err(FleetError::Invalid { field: "enrollment_ttl_s", reason });
        }
        let now = crate::clock::wall();
        let token = EnrollmentToken::generate(crate::entropy::bytes());
        let expires_at = now.after(ttl);
        let id = SenderId::generate(now, crate::entropy::bytes());
        let row = SenderRow::new(id, owner.clone(), name.to_owned(), now);
        self.inner.store.insert_sender(&row, &secret_hash(token.expose()), expires_at).await?;
        Ok(NewSender { view: self.view(row), token, expires_at })
    }

    /// The senders that `scope` sees, oldest first, with presence but without their last report.
    ///
    /// # Errors
    /// [`FleetError::Store`].
    pub async fn senders(&self, scope: &Scope) -> Result<Vec<SenderView>, FleetError> {
        self.sender_page(scope, Page::ALL).await
    }

    /// A part of [`Fleet::senders`].
    ///
    /// # Errors
    /// [`FleetError::Store`].
    pub async fn sender_page(
        &self,
        scope: &Scope,
        page: Page<'_, SenderId>,
    ) -> Result<Vec<SenderView>, FleetError> {
        let rows = self.inner.store.senders(scope, page).await?;
        Ok(rows.into_iter().map(|row| self.view(row)).collect())
    }

    /// One sender with its last report.
    ///
    /// # Errors
    /// [`FleetError::NotFound`], also when `scope` must not see it or it was decommissioned.
    pub async fn sender(&self, scope: &Scope, id: &SenderId) -> Result<SenderView, FleetError> {
        let mut view = self.view(self.row(scope, id).await?);
        view.status = self.status(id).map(|status| Box::new((*status).clone()));
        Ok(view)
    }

    /// Renames a sender.
    ///
    /// # Errors
    /// [`FleetError::NotFound`], [`FleetError::Invalid`] for the name.
    pub async fn rename_sender(
        &self,
        scope: &Scope,
        id: &SenderId,
        name: &str,
    ) -> Result<SenderView, FleetError> {
        let name = checked_name(name)?;
        self.row(scope, id).await?;
        if !self.inner.store.rename_sender(id, name).await? {
            return Err(FleetError::NotFound(id.clone()));
        }
        self.sender(scope, id).await
    }

    /// Decommissions a sender: its keys and tokens are worth nothing from now on, its stream is ended and
    /// it is disconnected at once.
    ///
    /// # Errors
    /// [`FleetError::NotFound`].
    pub async fn remove_sender(&self, scope: &Scope, id: &SenderId) -> Result<(), FleetError> {
        let row = self.row(scope, id).await?;
        // First the database, so that a login from now on is refused; then the stream, while the agent can
        // still be told; then the connection.
        let now = crate::clock::wall();
        if !self.inner.store.revoke_sender(id, now).await? {
            return Err(FleetError::NotFound(id.clone()));
        }
        self.refuse(id, &row.owner, now);
        if let Some(observer) = self.inner.observer() {
            // "At once" holds also for an agent that does not answer.
            let _ = tokio::time::timeout(FAREWELL, observer.on_sender_removed(id)).await;
        }
        self.disconnect(id, Close::Revoked);
        Ok(())
    }

    /// From now on no login opens this sender, not even one that the database allowed just before.
    fn refuse(&self, id: &SenderId, owner: &UserId, now: Timestamp) {
        loop {
            let device = self.device_or_new(id, owner);
            let mut live = device.lock();
            if !live.forgotten {
                live.revoked = Some(now);
                return;
            }
        }
    }

    async fn row(&self, scope: &Scope, id: &SenderId) -> Result<SenderRow, FleetError> {
        let row = self.inner.store.sender(id).await?;
        row.filter(|row| row.revoked_at.is_none() && scope.sees(&row.owner))
            .ok_or_else(|| FleetError::NotFound(id.clone()))
    }

    fn view(&self, row: SenderRow) -> SenderView {
        let live = self.presence(&row.id);
        let stored_cause = row
            .presence_cause
            .unwrap_or_else(|| if row.last_seen.is_some() { "closed" } else { "never_connected" }.to_owned());
        let presence_cause = match live.presence {
            Presence::Online => None,
            _ => live.cause.or(Some(stored_cause)),
        };
        SenderView {
            presence: live.presence,
            presence_cause,
            last_seen: live.last_seen.or(row.last_seen),
            stream_id: self.active_stream(&row.id),
            id: row.id,
            name: row.name,
            owner: row.owner,
            created_at: row.created_at,
            enrolled: row.enrolled_at.is_some(),
            hostname: row.hostname,
            agent_version: row.agent_version,
            arch: row.arch,
            capabilities: row.capabilities,
            status: None,
        }
    }
}

/// SHA-256 of a secret in hexadecimal: what the database holds instead of it. The secrets are 32 random
/// bytes, so nothing slower is needed.
pub(super) fn secret_hash(secret: &str) -> String {
    Sha256::digest(secret.as_bytes()).iter().fold(String::with_capacity(64), |mut hex, byte| {
        use std::fmt::Write as _;
        let _ = write!(hex, "{byte:02x}");
        hex
    })
}

fn checked_name(name: &str) -> Result<&str, FleetError> {
    let name = name.trim();
    if (1..=128).contains(&name.chars().count()) && !name.chars().any(char::is_control) {
        return Ok(name);
    }
    let reason = "expected 1 to 128 characters, none of them control characters".to_owned();
    Err(FleetError::Invalid { field: "name", reason })
}

/// A token that lies around longer is not short-lived any more.
const MAX_ENROLLMENT_TTL: Duration = Duration::from_secs(30 * 24 * 3600);
/// How long the stream of a sender being decommissioned may take to end in order.
const FAREWELL: Duration = Duration::from_millis(500);
