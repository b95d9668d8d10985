//! Users and their refresh tokens.

use strata_proto::control::Role;
use strata_proto::id::UserId;
use strata_proto::time::Timestamp;
use thiserror::Error;

use super::{Store, StoreError, parse, time};

/// A user as stored.
#[derive(Clone, PartialEq, Eq)]
pub struct UserRow {
    /// Its id.
    pub id: UserId,
    /// Address, in lower case.
    pub email: String,
    /// argon2id in PHC string format.
    pub password_hash: String,
    /// What the user may do.
    pub role: Role,
    /// The account whose senders the user sees; the user's own id unless made for another's.
    pub account: UserId,
    /// When it was created.
    pub created_at: Timestamp,
    /// When it was disabled.
    pub disabled_at: Option<Timestamp>,
    /// How often its access tokens were revoked.
    pub token_epoch: u64,
}

impl std::fmt::Debug for UserRow {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("UserRow").field("id", &self.id).field("role", &self.role).finish_non_exhaustive()
    }
}

/// Why a refresh token does not refresh.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum RefreshRefusal {
    /// Not known, or its time is over.
    #[error("refresh token is not valid; log in again")]
    Invalid,
    /// Used before: its whole family was revoked, for one of two holders is a thief.
    #[error("refresh token was already used; all tokens of this login are revoked, log in again")]
    Reused,
}

impl Store {
    /// Adds a user.
    ///
    /// # Errors
    /// [`StoreError::is_unique_violation`] when the address is taken.
    pub async fn insert_user(&self, user: &UserRow) -> Result<(), StoreError> {
        sqlx::query(
            "INSERT INTO users (id, email, password_hash, role, account, created_at) \
             VALUES ($1, $2, $3, $4, $5, $6)",
        )
        .bind(user.id.as_str())
        .bind(&user.email)
        .bind(&user.password_hash)
        .bind(role_text(user.role))
        .bind(user.account.as_str())
        .bind(user.created_at.unix_millis())
        .execute(self.writer())
        .await?;
        Ok(())
    }

    /// The user of an address (in lower case), disabled or not.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn user_by_email(&self, email: &str) -> Result<Option<UserRow>, StoreError> {
        let row: Option<Row> = sqlx::query_as("SELECT * FROM users WHERE email = $1")
            .bind(email)
            .fetch_optional(self.reader())
            .await?;
        row.map(UserRow::try_from).transpose()
    }

    /// Every user, disabled ones too, oldest first.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn users(&self) -> Result<Vec<UserRow>, StoreError> {
        let rows: Vec<Row> =
            sqlx::query_as("SELECT * FROM users ORDER BY created_at, id").fetch_all(self.reader()).await?;
        rows.into_iter().map(UserRow::try_from).collect()
    }

    /// How many users there are.
    ///
    /// # Errors
    /// [`StoreError::Query`].
    pub async fn user_count(&self) -> Result<u64, StoreError> {
        let (count,): (i64,) = sqlx::query_as("SELECT COUNT(*) FROM users").fetch_one(self.reader()).await?;
        Ok(count.unsigned_abs())
    }

    /// The token epoch of a user that may log in; `None` for one that is disabled or not there. Asked for
    /// every request with an access token: one lookup by primary key.
    ///
    /// # Errors
    /// [`StoreError::Query`].
    pub async fn token_epoch(&self, id: &UserId) -> Result<Option<u64>, StoreError> {
        let row: Option<(i64,)> =
            sqlx::query_as("SELECT token_epoch FROM users WHERE id = $1 AND disabled_at IS NULL")
                .bind(id.as_str())
                .fetch_optional(self.reader())
                .await?;
        Ok(row.map(|(epoch,)| epoch.unsigned_abs()))
    }

    /// Replaces a user's password and revokes all of the user's tokens; false when there is no such user.
    ///
    /// # Errors
    /// [`StoreError::Query`].
    pub async fn set_password(&self, id: &UserId, hash: &str, now: Timestamp) -> Result<bool, StoreError> {
        let mut tx = self.writer().begin().await?;
        let done =
            sqlx::query("UPDATE users SET password_hash = $2, token_epoch = token_epoch + 1 WHERE id = $1")
                .bind(id.as_str())
                .bind(hash)
                .execute(&mut *tx)
                .await?;
        revoke_refresh_tokens(&mut tx, id, now).await?;
        tx.commit().await?;
        Ok(done.rows_affected() == 1)
    }

    /// Disables a user and revokes all of the user's tokens; false when it is not there or already was.
    ///
    /// # Errors
    /// [`StoreError::Query`].
    pub async fn disable_user(&self, id: &UserId, now: Timestamp) -> Result<bool, StoreError> {
        let mut tx = self.writer().begin().await?;
        let done = sqlx::query(
            "UPDATE users SET disabled_at = $2, token_epoch = token_epoch + 1 \
             WHERE id = $1 AND disabled_at IS NULL",
        )
        .bind(id.as_str())
        .bind(now.unix_millis())
        .execute(&mut *tx)
        .await?;
        revoke_refresh_tokens(&mut tx, id, now).await?;
        tx.commit().await?;
        Ok(done.rows_affected() == 1)
    }

    /// Lets a disabled user log in again; false when it is not there or may already.
    ///
    /// # Errors
    /// [`StoreError::Query`].
    pub async fn enable_user(&self, id: &UserId) -> Result<bool, StoreError> {
        let done =
            sqlx::query("UPDATE users SET disabled_at = NULL WHERE id = $1 AND disabled_at IS NOT NULL")
                .bind(id.as_str())
                .execute(self.writer())
                .await?;
        Ok(done.rows_affected() == 1)
    }

    /// Stores the first refresh token of a login; `hash` begins a family of its own. False when the user
    /// was disabled, or its tokens were revoked, since its row was read: `epoch` is that row's.
    ///
    /// # Errors
    /// [`StoreError::Query`].
    pub async fn insert_refresh_token(
        &self,
        hash: &str,
        user: &UserId,
        epoch: u64,
        now: Timestamp,
        expires_at: Timestamp,
    ) -> Result<bool, StoreError> {
        let done = sqlx::query(
            "INSERT INTO refresh_tokens (hash, family, user_id, created_at, expires_at) \
             SELECT $1, $1, id, $3, $4 FROM users \
             WHERE id = $2 AND token_epoch = $5 AND disabled_at IS NULL",
        )
        .bind(hash)
        .bind(user.as_str())
        .bind(now.unix_millis())
        .bind(expires_at.unix_millis())
        .bind(epoch.cast_signed())
        .execute(self.writer())
        .await?;
        Ok(done.rows_affected() == 1)
    }

    /// Uses one refresh token and stores its successor, all or nothing. Reuse revokes the family. The user is
    /// as of the same moment: what revokes its tokens comes wholly before or wholly after.
    ///
    /// # Errors
    /// [`StoreError`]; that the token does not refresh is the inner [`RefreshRefusal`].
    pub async fn rotate_refresh_token(
        &self,
        hash: &str,
        next_hash: &str,
        now: Timestamp,
        expires_at: Timestamp,
    ) -> Result<Result<UserRow, RefreshRefusal>, StoreError> {
        let mut tx = self.writer().begin().await?;
        let used = sqlx::query(
            "UPDATE refresh_tokens SET used_at = $2 \
             WHERE hash = $1 AND used_at IS NULL AND revoked_at IS NULL AND expires_at > $2",
        )
        .bind(hash)
        .bind(now.unix_millis())
        .execute(&mut *tx)
        .await?;
        let row: Option<(String, String, Option<i64>)> =
            sqlx::query_as("SELECT family, user_id, used_at FROM refresh_tokens WHERE hash = $1")
                .bind(hash)
                .fetch_optional(&mut *tx)
                .await?;
        let Some((family, user, used_at)) = row else { return Ok(Err(RefreshRefusal::Invalid)) };
        if used.rows_affected() != 1 {
            if used_at.is_none() {
                return Ok(Err(RefreshRefusal::Invalid));
            }
            revoke_family(&mut tx, &family, now).await?;
            tx.commit().await?;
            return Ok(Err(RefreshRefusal::Reused));
        }
        let user: Option<Row> = sqlx::query_as("SELECT * FROM users WHERE id = $1 AND disabled_at IS NULL")
            .bind(&user)
            .fetch_optional(&mut *tx)
            .await?;
        let Some(user) = user else { return Ok(Err(RefreshRefusal::Invalid)) };
        let user = UserRow::try_from(user)?;
        sqlx::query(
            "INSERT INTO refresh_tokens (hash, family, user_id, created_at, expires_at) \
             VALUES ($1, $2, $3, $4, $5)",
        )
        .bind(next_hash)
        .bind(&family)
        .bind(user.id.as_str())
        .bind(now.unix_millis())
        .bind(expires_at.unix_millis())
        .execute(&mut *tx)
        .await?;
        tx.commit().await?;
        Ok(Ok(user))
    }
}

async fn revoke_family(
    tx: &mut sqlx::Transaction<'_, sqlx::Sqlite>,
    family: &str,
    now: Timestamp,
) -> Result<(), StoreError> {
    sqlx::query("UPDATE refresh_tokens SET revoked_at = $2 WHERE family = $1 AND revoked_at IS NULL")
        .bind(family)
        .bind(now.unix_millis())
        .execute(&mut **tx)
        .await?;
    Ok(())
}

async fn revoke_refresh_tokens(
    tx: &mut sqlx::Transaction<'_, sqlx::Sqlite>,
    user: &UserId,
    now: Timestamp,
) -> Result<(), StoreError> {
    sqlx::query("UPDATE refresh_tokens SET revoked_at = $2 WHERE user_id = $1 AND revoked_at IS NULL")
        .bind(user.as_str())
        .bind(now.unix_millis())
        .execute(&mut **tx)
        .await?;
    Ok(())
}

#[derive(sqlx::FromRow)]
struct Row {
    id: String,
    email: String,
    password_hash: String,
    role: String,
    account: String,
    created_at: i64,
    disabled_at: Option<i64>,
    token_epoch: i64,
}

impl TryFrom<Row> for UserRow {
    type Error = StoreError;

    fn try_from(row: Row) -> Result<Self, StoreError> {
        Ok(Self {
            id: parse("users.id", &row.id)?,
            email: row.email,
            password_hash: row.password_hash,
            role: role_of(&row.role).ok_or_else(|| StoreError::Corrupt {
                column: "users.role",
                reason: format!("{:?} is not a role", row.role),
            })?,
            account: parse("users.account", &row.account)?,
            created_at: time(row.created_at),
            disabled_at: row.disabled_at.map(time),
            token_epoch: row.token_epoch.unsigned_abs(),
        })
    }
}

/// A role as it is stored and written into tokens.
pub(crate) fn role_text(role: Role) -> &'static str {
    match role {
        Role::Admin => "admin",
        Role::Operator => "operator",
        Role::Viewer => "viewer",
    }
}

/// The role of a text.
pub(crate) fn role_of(text: &str) -> Option<Role> {
    [Role::Admin, Role::Operator, Role::Viewer].into_iter().find(|role| role_text(*role) == text)
}
