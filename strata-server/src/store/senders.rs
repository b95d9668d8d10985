//! The registry of senders.

use strata_proto::id::{SenderId, UserId};
use strata_proto::time::Timestamp;

use super::{Page, Store, StoreError, parse, time};
use crate::fleet::Scope;

/// A sender as stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SenderRow {
    /// Its id.
    pub id: SenderId,
    /// The account it belongs to.
    pub owner: UserId,
    /// Name for people.
    pub name: String,
    /// When it was created.
    pub created_at: Timestamp,
    /// When a device enrolled as it.
    pub enrolled_at: Option<Timestamp>,
    /// When it was decommissioned.
    pub revoked_at: Option<Timestamp>,
    /// The device's Ed25519 public key, base64url without padding.
    pub public_key: Option<String>,
    /// SHA-256 of the device key, hexadecimal, for devices without a public key.
    pub device_key_hash: Option<String>,
    /// Name the device gave itself.
    pub hostname: Option<String>,
    /// Version of the agent.
    pub agent_version: Option<String>,
    /// CPU architecture.
    pub arch: Option<String>,
    /// Commands the agent can carry out.
    pub capabilities: Option<Vec<String>>,
    /// When it was last heard, as of the last batch.
    pub last_seen: Option<Timestamp>,
    /// Why it went offline, as of the last batch.
    pub presence_cause: Option<String>,
}

impl SenderRow {
    /// A sender as which no device has enrolled yet.
    #[must_use]
    pub fn new(id: SenderId, owner: UserId, name: String, created_at: Timestamp) -> Self {
        Self {
            id,
            owner,
            name,
            created_at,
            enrolled_at: None,
            revoked_at: None,
            public_key: None,
            device_key_hash: None,
            hostname: None,
            agent_version: None,
            arch: None,
            capabilities: None,
            last_seen: None,
            presence_cause: None,
        }
    }
}

/// One line of a batch of last-seen times.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LastSeen {
    /// Which sender.
    pub id: SenderId,
    /// When it was last heard.
    pub at: Timestamp,
    /// Why it is offline, if it is.
    pub cause: Option<String>,
}

impl Store {
    /// Adds a sender and its enrolment token in one transaction.
    ///
    /// # Errors
    /// [`StoreError::Query`].
    pub async fn insert_sender(
        &self,
        sender: &SenderRow,
        token_hash: &str,
        expires_at: Timestamp,
    ) -> Result<(), StoreError> {
        let mut tx = self.writer().begin().await?;
        sqlx::query("INSERT INTO senders (id, owner, name, created_at) VALUES ($1, $2, $3, $4)")
            .bind(sender.id.as_str())
            .bind(sender.owner.as_str())
            .bind(&sender.name)
            .bind(sender.created_at.unix_millis())
            .execute(&mut *tx)
            .await?;
        sqlx::query(
            "INSERT INTO enrollment_tokens (hash, sender_id, created_at, expires_at) VALUES ($1, $2, $3, $4)",
        )
        .bind(token_hash)
        .bind(sender.id.as_str())
        .bind(sender.created_at.unix_millis())
        .bind(expires_at.unix_millis())
        .execute(&mut *tx)
        .await?;
        tx.commit().await?;
        Ok(())
    }

    /// One sender, decommissioned or not.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn sender(&self, id: &SenderId) -> Result<Option<SenderRow>, StoreError> {
        let row: Option<Row> = sqlx::query_as("SELECT * FROM senders WHERE id = $1")
            .bind(id.as_str())
            .fetch_optional(self.reader())
            .await?;
        row.map(SenderRow::try_from).transpose()
    }

    /// The senders of one account or of all, without decommissioned ones, oldest first.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn senders(
        &self,
        scope: &Scope,
        page: Page<'_, SenderId>,
    ) -> Result<Vec<SenderRow>, StoreError> {
        let query = match scope {
            Scope::All => sqlx::query_as(
                "SELECT * FROM senders WHERE id > $1 AND revoked_at IS NULL ORDER BY id LIMIT $2",
            ),
            Scope::Account(_) => sqlx::query_as(
                "SELECT * FROM senders WHERE id > $1 AND revoked_at IS NULL AND owner = $3 \
                 ORDER BY id LIMIT $2",
            ),
        };
        let query = query.bind(page.after.map_or("", SenderId::as_str)).bind(i64::from(page.limit));
        let query = match scope {
            Scope::All => query,
            Scope::Account(owner) => query.bind(owner.as_str()),
        };
        let rows: Vec<Row> = query.fetch_all(self.reader()).await?;
        rows.into_iter().map(SenderRow::try_from).collect()
    }

    /// Renames a sender; false when it is not there or decommissioned.
    ///
    /// # Errors
    /// [`StoreError::Query`].
    pub async fn rename_sender(&self, id: &SenderId, name: &str) -> Result<bool, StoreError> {
        let done = sqlx::query("UPDATE senders SET name = $2 WHERE id = $1 AND revoked_at IS NULL")
            .bind(id.as_str())
            .bind(name)
            .execute(self.writer())
            .await?;
        Ok(done.rows_affected() == 1)
    }

    /// Decommissions a sender; false when it is not there or already was. Its unused enrolment tokens go.
    ///
    /// # Errors
    /// [`StoreError::Query`].
    pub async fn revoke_sender(&self, id: &SenderId, at: Timestamp) -> Result<bool, StoreError> {
        let mut tx = self.writer().begin().await?;
        let done = sqlx::query("UPDATE senders SET revoked_at = $2 WHERE id = $1 AND revoked_at IS NULL")
            .bind(id.as_str())
            .bind(at.unix_millis())
            .execute(&mut *tx)
            .await?;
        sqlx::query("DELETE FROM enrollment_tokens WHERE sender_id = $1 AND used_at IS NULL")
            .bind(id.as_str())
            .execute(&mut *tx)
            .await?;
        tx.commit().await?;
        Ok(done.rows_affected() == 1)
    }

    /// Writes a batch of last-seen times in one transaction.
    ///
    /// # Errors
    /// [`StoreError::Query`].
    pub async fn save_last_seen(&self, batch: &[LastSeen]) -> Result<(), StoreError> {
        let mut tx = self.writer().begin().await?;
        for seen in batch {
            sqlx::query("UPDATE senders SET last_seen = $2, presence_cause = $3 WHERE id = $1")
                .bind(seen.id.as_str())
                .bind(seen.at.unix_millis())
                .bind(&seen.cause)
                .execute(&mut *tx)
                .await?;
        }
        tx.commit().await?;
        Ok(())
    }
}

#[derive(sqlx::FromRow)]
struct Row {
    id: String,
    owner: String,
    name: String,
    created_at: i64,
    enrolled_at: Option<i64>,
    revoked_at: Option<i64>,
    public_key: Option<String>,
    device_key_hash: Option<String>,
    hostname: Option<String>,
    agent_version: Option<String>,
    arch: Option<String>,
    capabilities: Option<String>,
    last_seen: Option<i64>,
    presence_cause: Option<String>,
}

impl TryFrom<Row> for SenderRow {
    type Error = StoreError;

    fn try_from(row: Row) -> Result<Self, StoreError> {
        let capabilities = row.capabilities.as_deref().map(serde_json::from_str).transpose();
        Ok(Self {
            id: parse("senders.id", &row.id)?,
            owner: parse("senders.owner", &row.owner)?,
            name: row.name,
            created_at: time(row.created_at),
            enrolled_at: row.enrolled_at.map(time),
            revoked_at: row.revoked_at.map(time),
            public_key: row.public_key,
            device_key_hash: row.device_key_hash,
            hostname: row.hostname,
            agent_version: row.agent_version,
            arch: row.arch,
            capabilities: capabilities
                .map_err(|e| StoreError::Corrupt { column: "senders.capabilities", reason: e.to_string() })?,
            last_seen: row.last_seen.map(time),
            presence_cause: row.presence_cause,
        })
    }
}
