//! One-time enrolment: consuming a token and binding the device's key are one transaction.

use std::time::Duration;

use strata_proto::id::{SenderId, UserId};
use strata_proto::time::Timestamp;
use thiserror::Error;

use super::{Store, StoreError, parse};

/// What a device says of itself at login.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DeviceInfo {
    /// Name of the device.
    pub hostname: String,
    /// Version of the agent.
    pub agent_version: String,
    /// CPU architecture.
    pub arch: String,
    /// Commands the agent can carry out; unknown names are kept.
    pub capabilities: Option<Vec<String>>,
}

impl DeviceInfo {
    fn capabilities_json(&self) -> Option<String> {
        self.capabilities.as_ref().and_then(|list| serde_json::to_string(list).ok())
    }
}

/// The key a device is bound to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Binding {
    /// Its Ed25519 public key, base64url without padding.
    PublicKey(String),
    /// SHA-256 of the key the server issued to it, hexadecimal.
    DeviceKeyHash(String),
}

/// Why a token does not enrol.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum EnrollmentRefusal {
    /// There is no such token.
    #[error("enrollment token is not known; create the sender anew to get another")]
    Unknown,
    /// It was used before.
    #[error("enrollment token was already used; create the sender anew to get another")]
    Used,
    /// Its time is over.
    #[error("enrollment token has expired; create the sender anew to get another")]
    Expired,
    /// Its sender was decommissioned.
    #[error("sender was decommissioned")]
    Revoked,
}

/// What a token did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Enrollment {
    /// It bound the device to this sender of this account.
    Bound(SenderId, UserId),
    /// It had bound this very public key to this sender a moment ago. A public key is no secret: whoever
    /// shows it must prove the private one.
    Repeated(SenderId),
}

impl Store {
    /// Consumes a token and binds the device, all or nothing. Of two at once exactly one wins.
    ///
    /// A device whose first answer was lost on the way asks again with the same token and the same public key;
    /// for two minutes it is told who it is, or it could never come in.
    ///
    /// # Errors
    /// [`StoreError`]; that the token does not enrol is the inner [`EnrollmentRefusal`].
    pub async fn enroll(
        &self,
        token_hash: &str,
        binding: &Binding,
        info: &DeviceInfo,
        now: Timestamp,
    ) -> Result<Result<Enrollment, EnrollmentRefusal>, StoreError> {
        let mut tx = self.writer().begin().await?;
        let won = sqlx::query(
            "UPDATE enrollment_tokens SET used_at = $2 \
             WHERE hash = $1 AND used_at IS NULL AND expires_at > $2",
        )
        .bind(token_hash)
        .bind(now.unix_millis())
        .execute(&mut *tx)
        .await?;
        let row: Option<(String, String, Option<i64>, Option<String>)> = sqlx::query_as(
            "SELECT s.id, s.owner, t.used_at, CASE WHEN s.revoked_at IS NULL THEN s.public_key END \
             FROM enrollment_tokens t JOIN senders s ON s.id = t.sender_id WHERE t.hash = $1",
        )
        .bind(token_hash)
        .fetch_optional(&mut *tx)
        .await?;
        let Some((id, owner, used_at, bound_key)) = row else { return Ok(Err(EnrollmentRefusal::Unknown)) };
        if won.rows_affected() != 1 {
            let Some(used_at) = used_at else { return Ok(Err(EnrollmentRefusal::Expired)) };
            let is_recent = now.since(Timestamp::from_unix_millis(used_at)) <= REPEAT_WINDOW;
            let is_same = matches!(binding, Binding::PublicKey(key) if Some(key) == bound_key.as_ref());
            if !(is_recent && is_same) {
                return Ok(Err(EnrollmentRefusal::Used));
            }
            return Ok(Ok(Enrollment::Repeated(parse("senders.id", &id)?)));
        }
        let (public_key, key_hash) = match binding {
            Binding::PublicKey(key) => (Some(key), None),
            Binding::DeviceKeyHash(hash) => (None, Some(hash)),
        };
        let bound = sqlx::query(
            "UPDATE senders SET enrolled_at = $2, public_key = $3, device_key_hash = $4, hostname = $5, \
             agent_version = $6, arch = $7, capabilities = $8 WHERE id = $1 AND revoked_at IS NULL",
        )
        .bind(&id)
        .bind(now.unix_millis())
        .bind(public_key)
        .bind(key_hash)
        .bind(&info.hostname)
        .bind(&info.agent_version)
        .bind(&info.arch)
        .bind(info.capabilities_json())
        .execute(&mut *tx)
        .await?;
        if bound.rows_affected() != 1 {
            return Ok(Err(EnrollmentRefusal::Revoked));
        }
        tx.commit().await?;
        Ok(Ok(Enrollment::Bound(parse("senders.id", &id)?, parse("senders.owner", &owner)?)))
    }

    /// Notes what a device said of itself at a later login.
    ///
    /// # Errors
    /// [`StoreError::Query`].
    pub async fn save_device_info(&self, id: &SenderId, info: &DeviceInfo) -> Result<(), StoreError> {
        sqlx::query(
            "UPDATE senders SET hostname = $2, agent_version = $3, arch = $4, capabilities = $5 WHERE id = $1",
        )
        .bind(id.as_str())
        .bind(&info.hostname)
        .bind(&info.agent_version)
        .bind(&info.arch)
        .bind(info.capabilities_json())
        .execute(self.writer())
        .await?;
        Ok(())
    }

    /// Deletes tokens that expired before `before`, enrolment and refresh.
    ///
    /// # Errors
    /// [`StoreError::Query`].
    pub async fn forget_expired(&self, before: Timestamp) -> Result<(), StoreError> {
        for statement in [
            "DELETE FROM enrollment_tokens WHERE expires_at < $1",
            "DELETE FROM refresh_tokens WHERE expires_at < $1",
        ] {
            sqlx::query(statement).bind(before.unix_millis()).execute(self.writer()).await?;
        }
        Ok(())
    }
}

/// How long the same device may ask again with a used token: some reconnects at the longest backoff of 30 s.
const REPEAT_WINDOW: Duration = Duration::from_secs(120);
