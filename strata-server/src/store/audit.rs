//! Who changed what, when, from where.

use strata_proto::time::Timestamp;

use super::{Store, StoreError, time};

/// One state-changing call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuditEntry {
    /// When it happened.
    pub at: Timestamp,
    /// Who did it: a user's or sender's id, or `system`.
    pub actor: String,
    /// What was done, such as `sender.create`.
    pub action: String,
    /// On what, such as a sender's id.
    pub target: Option<String>,
    /// From which address.
    pub address: Option<String>,
    /// Further details; never a secret.
    pub detail: Option<String>,
}

impl Store {
    /// Appends one entry.
    ///
    /// # Errors
    /// [`StoreError::Query`].
    pub async fn audit(&self, entry: &AuditEntry) -> Result<(), StoreError> {
        let id = crate::entropy::message_id(entry.at);
        sqlx::query(
            "INSERT INTO audit (id, at, actor, action, target, address, detail) \
             VALUES ($1, $2, $3, $4, $5, $6, $7)",
        )
        .bind(id.as_str())
        .bind(entry.at.unix_millis())
        .bind(&entry.actor)
        .bind(&entry.action)
        .bind(&entry.target)
        .bind(&entry.address)
        .bind(&entry.detail)
        .execute(self.writer())
        .await?;
        Ok(())
    }

    /// The newest entries, newest first.
    ///
    /// # Errors
    /// [`StoreError::Query`].
    pub async fn audit_entries(&self, limit: u32) -> Result<Vec<AuditEntry>, StoreError> {
        let rows: Vec<Row> = sqlx::query_as(
            "SELECT at, actor, action, target, address, detail FROM audit \
             ORDER BY at DESC, id DESC LIMIT $1",
        )
        .bind(i64::from(limit))
        .fetch_all(self.reader())
        .await?;
        Ok(rows.into_iter().map(AuditEntry::from).collect())
    }
}

#[derive(sqlx::FromRow)]
struct Row {
    at: i64,
    actor: String,
    action: String,
    target: Option<String>,
    address: Option<String>,
    detail: Option<String>,
}

impl From<Row> for AuditEntry {
    fn from(row: Row) -> Self {
        Self {
            at: time(row.at),
            actor: row.actor,
            action: row.action,
            target: row.target,
            address: row.address,
            detail: row.detail,
        }
    }
}
