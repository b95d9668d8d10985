//! Durable state: SQLite in WAL mode, one connection that writes and a pool that reads.
//!
//! Every table has its own sibling file with the statements on it, as methods of [`Store`]. Statements
//! stay within what SQLite and PostgreSQL share: `$1` placeholders, TEXT and BIGINT columns, guarded
//! `UPDATE … WHERE` instead of read-then-write.

mod audit;
mod enrollment;
pub(crate) mod file;
mod page;
mod senders;
mod streams;
pub(crate) mod users;

use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Duration;

use sqlx::SqlitePool;
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous};
use strata_proto::time::Timestamp;
use thiserror::Error;

pub use audit::AuditEntry;
pub use enrollment::{Binding, DeviceInfo, Enrollment, EnrollmentRefusal};
pub use page::Page;
pub use senders::{LastSeen, SenderRow};
pub use streams::StreamRow;
pub use users::{RefreshRefusal, UserRow};

/// Handle to the database; cheap to clone.
#[derive(Debug, Clone)]
pub struct Store {
    writer: SqlitePool,
    reader: SqlitePool,
}

impl Store {
    /// Opens the database file, creating it when missing, and brings its schema up to date. Nobody but
    /// its owner may read it, whatever the directory allows.
    ///
    /// # Errors
    /// [`StoreError::Open`] or [`StoreError::Migrate`] with the file's path.
    pub async fn open(path: &Path) -> Result<Self, StoreError> {
        let open = |source| StoreError::Open { path: path.to_owned(), source };
        file::make_private(path).map_err(|error| open(error.into()))?;
        // sqlx sets busy_timeout when it opens the file, before journal_mode: switching to WAL takes a
        // lock that another process may hold for a moment.
        let options = SqliteConnectOptions::new()
            .filename(path)
            .create_if_missing(true)
            .busy_timeout(BUSY_TIMEOUT)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Full)
            .foreign_keys(true);
        let writer = SqlitePoolOptions::new()
            .max_connections(1)
            .idle_timeout(None)
            .max_lifetime(None)
            .connect_with(options.clone())
            .await
            .map_err(open)?;
        sqlx::migrate!("./migrations")
            .run(&writer)
            .await
            .map_err(|source| StoreError::Migrate { path: path.to_owned(), source })?;
        let reader = SqlitePoolOptions::new()
            .max_connections(READERS)
            .connect_with(options.pragma("query_only", "ON"))
            .await
            .map_err(open)?;
        Ok(Self { writer, reader })
    }

    /// Waits for running statements and closes the file.
    pub async fn close(&self) {
        self.reader.close().await;
        self.writer.close().await;
    }

    /// Whether the database answers.
    ///
    /// # Errors
    /// [`StoreError::Query`] when it does not.
    pub async fn ping(&self) -> Result<(), StoreError> {
        sqlx::query("SELECT 1").execute(&self.reader).await?;
        Ok(())
    }

    /// The connection that writes; transactions on it are serial.
    pub(crate) fn writer(&self) -> &SqlitePool {
        &self.writer
    }

    /// The pool that reads.
    pub(crate) fn reader(&self) -> &SqlitePool {
        &self.reader
    }
}

/// Why the database did not do what it was asked.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum StoreError {
    /// The file could not be opened or created.
    #[error("cannot open database {path}: {source}")]
    Open {
        /// The file.
        path: PathBuf,
        /// Why.
        source: sqlx::Error,
    },
    /// The schema could not be brought up to date.
    #[error("cannot migrate database {path}: {source}")]
    Migrate {
        /// The file.
        path: PathBuf,
        /// Why.
        source: sqlx::migrate::MigrateError,
    },
    /// A statement failed.
    #[error("database: {0}")]
    Query(#[from] sqlx::Error),
    /// A row holds what this version does not understand.
    #[error("database: column {column} holds an unexpected value: {reason}")]
    Corrupt {
        /// Which column.
        column: &'static str,
        /// What is wrong with it.
        reason: String,
    },
}

impl StoreError {
    /// Whether a `UNIQUE` constraint refused the statement.
    #[must_use]
    pub fn is_unique_violation(&self) -> bool {
        matches!(self, Self::Query(sqlx::Error::Database(e)) if e.is_unique_violation())
    }
}

/// Parses a column that holds text of a typed value.
pub(crate) fn parse<T>(column: &'static str, text: &str) -> Result<T, StoreError>
where
    T: FromStr,
    T::Err: std::fmt::Display,
{
    text.parse().map_err(|e: T::Err| StoreError::Corrupt { column, reason: e.to_string() })
}

/// A time column.
pub(crate) fn time(ms: i64) -> Timestamp {
    Timestamp::from_unix_millis(ms)
}

/// How long a statement waits for another process's lock.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);
/// Connections that read; SQLite reads are short, and each connection costs a thread.
const READERS: u32 = 4;
