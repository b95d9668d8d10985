//! Why a control plane could not be loaded.

use std::path::PathBuf;

use thiserror::Error;

use crate::config::ConfigError;
use crate::session::token::KeyError;
use crate::store::StoreError;

/// Why [`crate::Server::load`] failed.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum LoadError {
    /// The configuration cannot be served.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The data directory cannot be used.
    #[error("data directory {path}: {source}")]
    DataDir {
        /// The directory.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The database cannot be used.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The key that signs session tokens cannot be used.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// Passwords cannot be hashed.
    #[error("password hashing: {0}")]
    Password(String),
}
