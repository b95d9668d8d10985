//! People: accounts, roles, access tokens, and refresh tokens that rotate.

use std::time::Duration;

use base64::Engine as _;
use strata_proto::control::{LoginTokens, Role, UserView};
use strata_proto::id::UserId;
use strata_proto::time::Timestamp;
use strata_proto::token::{Claims, Secret};
use thiserror::Error;

use super::password::Passwords;
use super::registry::secret_hash;
use crate::config::{Config, FleetConfig};
use crate::error::LoadError;
use crate::session::Tokens;
use crate::store::users::role_text;
use crate::store::{AuditEntry, RefreshRefusal, Store, StoreError, UserRow};

/// Handle to the users; cheap to clone.
#[derive(Debug, Clone)]
pub struct Users {
    store: Store,
    tokens: Tokens,
    passwords: Passwords,
    access_ttl: Duration,
    refresh_ttl: Duration,
}

/// A user to be created.
#[derive(Debug, Clone)]
pub struct NewUser {
    /// Address; letter case does not count.
    pub email: String,
    /// At least 8 characters.
    pub password: Secret,
    /// What the user may do.
    pub role: Role,
    /// The account whose senders the user sees; an account of its own when absent.
    pub account: Option<UserId>,
}

/// A user as the operator of the control plane sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UserEntry {
    /// Who it is.
    pub user: UserView,
    /// Since when it may not log in.
    pub disabled_at: Option<Timestamp>,
}

/// Why a user cannot log in, be created or be changed.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum UserError {
    /// Address or password is wrong, or the user is disabled.
    #[error("address or password is wrong")]
    Credentials,
    /// There is no user of this address.
    #[error("there is no user with the address {0}")]
    NotFound(String),
    /// The refresh token does not refresh.
    #[error(transparent)]
    Refresh(#[from] RefreshRefusal),
    /// The address is taken.
    #[error("a user with the address {0} exists already")]
    Taken(String),
    /// A value cannot be taken.
    #[error("{field}: {reason}")]
    Invalid {
        /// Which field.
        field: &'static str,
        /// What is wrong and what was expected.
        reason: &'static str,
    },
    /// The database failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Hashing or signing failed.
    #[error("cryptography: {0}")]
    Crypto(String),
}

impl Users {
    pub(crate) fn new(config: &FleetConfig, store: Store, tokens: Tokens) -> Result<Self, String> {
        Ok(Self {
            store,
            tokens,
            passwords: Passwords::new(config.hashing_threads)?,
            access_ttl: Duration::from_secs(config.access_ttl_s),
            refresh_ttl: Duration::from_secs(config.refresh_ttl_s),
        })
    }

    /// The users of a data directory, without a control plane: to be added to and listed from a
    /// command line, while one runs or not.
    ///
    /// # Errors
    /// [`LoadError`] naming the file that cannot be used.
    pub async fn open(config: &Config) -> Result<Self, LoadError> {
        crate::store::file::make_dir(&config.data_dir)
            .map_err(|source| LoadError::DataDir { path: config.data_dir.clone(), source })?;
        let tokens = Tokens::load(&config.name, &config.data_dir.join("session.key"))?;
        let store = Store::open(&config.data_dir.join("strata.db")).await?;
        Self::new(&config.fleet, store, tokens).map_err(LoadError::Password)
    }

    /// Every user, disabled ones too, oldest first.
    ///
    /// # Errors
    /// [`UserError::Store`].
    pub async fn list(&self) -> Result<Vec<UserEntry>, UserError> {
        let entry = |row: &UserRow| UserEntry { user: view(row), disabled_at: row.disabled_at };
        Ok(self.store.users().await?.iter().map(entry).collect())
    }

    /// Creates a user.
    ///
    /// # Errors
    /// [`UserError::Invalid`] or [`UserError::Taken`].
    pub async fn create(&self, new: NewUser) -> Result<UserView, UserError> {
        let email = checked_email(&new.email)?;
        checked_password(&new.password)?;
        let password_hash = self.passwords.hash(new.password).await.map_err(UserError::Crypto)?;
        let now = crate::clock::wall();
        let id = UserId::generate(now, crate::entropy::bytes());
        let row = UserRow {
            account: new.account.unwrap_or_else(|| id.clone()),
            id,
            email,
            password_hash,
            role: new.role,
            created_at: now,
            disabled_at: None,
            token_epoch: 0,
        };
        match self.store.insert_user(&row).await {
            Err(e) if e.is_unique_violation() => Err(UserError::Taken(row.email)),
            Err(e) => Err(e.into()),
            Ok(()) => {
                self.audit("user.create", &row.id).await?;
                Ok(view(&row))
            }
        }
    }

    /// Whether there is no user yet.
    ///
    /// # Errors
    /// [`UserError::Store`].
    pub async fn is_empty(&self) -> Result<bool, UserError> {
        Ok(self.store.user_count().await? == 0)
    }

    /// Replaces a user's password; every login of the user ends, access tokens included.
    ///
    /// # Errors
    /// [`UserError::NotFound`], [`UserError::Invalid`] for the password.
    pub async fn set_password(&self, email: &str, password: Secret) -> Result<UserView, UserError> {
        checked_password(&password)?;
        let row = self.of_address(email).await?;
        let hash = self.passwords.hash(password).await.map_err(UserError::Crypto)?;
        self.store.set_password(&row.id, &hash, crate::clock::wall()).await?;
        self.audit("user.set_password", &row.id).await?;
        Ok(view(&row))
    }

    /// Lets a user log in no longer; every login of the user ends, access tokens included. One that is
    /// disabled already stays so.
    ///
    /// # Errors
    /// [`UserError::NotFound`].
    pub async fn disable(&self, email: &str) -> Result<UserView, UserError> {
        let row = self.of_address(email).await?;
        if self.store.disable_user(&row.id, crate::clock::wall()).await? {
            self.audit("user.disable", &row.id).await?;
        }
        Ok(view(&row))
    }

    /// Lets a disabled user log in again, with the password it had.
    ///
    /// # Errors
    /// [`UserError::NotFound`].
    pub async fn enable(&self, email: &str) -> Result<UserView, UserError> {
        let row = self.of_address(email).await?;
        if self.store.enable_user(&row.id).await? {
            self.audit("user.enable", &row.id).await?;
        }
        Ok(view(&row))
    }

    /// Whether access tokens that `user` was issued in `epoch` are still good.
    pub(crate) async fn admits(&self, user: &UserId, epoch: u64) -> Result<bool, StoreError> {
        Ok(self.store.token_epoch(user).await? == Some(epoch))
    }

    /// Whose address this is, disabled users included.
    pub(crate) async fn id_of(&self, email: &str) -> Result<Option<UserId>, StoreError> {
        Ok(self.store.user_by_email(&email.trim().to_lowercase()).await?.map(|row| row.id))
    }

    async fn of_address(&self, email: &str) -> Result<UserRow, UserError> {
        let email = email.trim().to_lowercase();
        self.store.user_by_email(&email).await?.ok_or(UserError::NotFound(email))
    }

    /// Whoever may call this steers the control plane itself, not through an account of it.
    async fn audit(&self, action: &str, target: &UserId) -> Result<(), StoreError> {
        let entry = AuditEntry {
            at: crate::clock::wall(),
            actor: "system".to_owned(),
            action: action.to_owned(),
            target: Some(target.to_string()),
            address: None,
            detail: None,
        };
        self.store.audit(&entry).await
    }

    /// Checks address and password. Takes equally long whether the address is known or not.
    ///
    /// # Errors
    /// [`UserError::Credentials`].
    pub async fn login(&self, email: &str, password: Secret) -> Result<LoginTokens, UserError> {
        self.admit(&self.check(email, password).await?).await
    }

    /// The first half of a login: changes nothing, so it can be dropped at any time.
    pub(crate) async fn check(&self, email: &str, password: Secret) -> Result<UserRow, UserError> {
        let row = self.store.user_by_email(&email.trim().to_lowercase()).await?;
        let hash = row.as_ref().map(|row| row.password_hash.clone());
        let fits = self.passwords.verify(password, hash).await.map_err(UserError::Crypto)?;
        row.filter(|row| fits && row.disabled_at.is_none()).ok_or(UserError::Credentials)
    }

    /// The second half: the tokens of a user whose password fits. Checking it takes its time: a user that
    /// was disabled or given another password meanwhile is refused.
    ///
    /// # Errors
    /// [`UserError::Credentials`].
    pub(crate) async fn admit(&self, row: &UserRow) -> Result<LoginTokens, UserError> {
        let now = crate::clock::wall();
        let refresh = new_refresh_token();
        let expires = now.after(self.refresh_ttl);
        let hash = secret_hash(refresh.expose());
        if !self.store.insert_refresh_token(&hash, &row.id, row.token_epoch, now, expires).await? {
            return Err(UserError::Credentials);
        }
        self.tokens_of(row, refresh, now)
    }

    /// Uses a refresh token once and gives new tokens. Reuse revokes all tokens of its login.
    ///
    /// # Errors
    /// [`UserError::Refresh`].
    pub async fn refresh(&self, token: &Secret) -> Result<LoginTokens, UserError> {
        let now = crate::clock::wall();
        let next = new_refresh_token();
        let (hash, next_hash) = (secret_hash(token.expose()), secret_hash(next.expose()));
        let row =
            self.store.rotate_refresh_token(&hash, &next_hash, now, now.after(self.refresh_ttl)).await??;
        self.tokens_of(&row, next, now)
    }

    fn tokens_of(&self, row: &UserRow, refresh: Secret, now: Timestamp) -> Result<LoginTokens, UserError> {
        let claims = Claims {
            sub: row.id.to_string(),
            iss: self.tokens.issuer().to_owned(),
            iat: now.unix_seconds(),
            exp: now.after(self.access_ttl).unix_seconds(),
            role: role_text(row.role).to_owned(),
            owner: Some(row.account.to_string()),
            epoch: row.token_epoch,
        };
        Ok(LoginTokens {
            token: self.tokens.issue(&claims).map_err(|e| UserError::Crypto(e.to_string()))?,
            refresh_token: refresh,
            expires_in_s: self.access_ttl.as_secs(),
            user: view(row),
        })
    }
}

fn view(row: &UserRow) -> UserView {
    UserView { id: row.id.clone(), email: row.email.clone(), role: row.role }
}

fn new_refresh_token() -> Secret {
    let random: [u8; 32] = crate::entropy::bytes();
    Secret::new(format!("rfr_{}", base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(random)))
}

fn checked_email(email: &str) -> Result<String, UserError> {
    let email = email.trim().to_lowercase();
    let parts_fit = email.split_once('@').is_some_and(|(name, host)| !name.is_empty() && !host.is_empty());
    if parts_fit && email.len() <= 254 && !email.contains(char::is_whitespace) {
        return Ok(email);
    }
    Err(UserError::Invalid { field: "email", reason: "expected name@host of at most 254 characters" })
}

fn checked_password(password: &Secret) -> Result<(), UserError> {
    // The upper bound keeps hashing cheap for bodies of any size.
    if (8..=1024).contains(&password.expose().len()) {
        return Ok(());
    }
    Err(UserError::Invalid { field: "password", reason: "expected 8 to 1024 bytes" })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_login_that_was_checked_before_its_tokens_were_revoked_gets_none() {
        let dir = tempfile::tempdir().unwrap();
        let users =
            Users::open(&Config { data_dir: dir.path().to_owned(), ..Config::default() }).await.unwrap();
        let (email, password) = ("ann@example.com", || Secret::new("correct horse"));
        let new =
            NewUser { email: email.to_owned(), password: password(), role: Role::Viewer, account: None };
        users.create(new).await.unwrap();

        let checked = users.check(email, password()).await.unwrap();
        users.set_password(email, Secret::new("another horse")).await.unwrap();
        assert!(matches!(users.admit(&checked).await, Err(UserError::Credentials)));

        let checked = users.check(email, Secret::new("another horse")).await.unwrap();
        users.disable(email).await.unwrap();
        assert!(matches!(users.admit(&checked).await, Err(UserError::Credentials)));
        // Nor when it may log in again: what was revoked stays so.
        users.enable(email).await.unwrap();
        assert!(matches!(users.admit(&checked).await, Err(UserError::Credentials)));
        users.login(email, Secret::new("another horse")).await.unwrap();
    }
}
