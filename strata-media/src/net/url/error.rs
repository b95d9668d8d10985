//! What is wrong with a URL.

use thiserror::Error;

use crate::rist::psk::PassphraseError;

/// A URL that cannot be used. Neither message nor fields hold a secret that is a value of `secret` or `password`.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("URL {} ({url}): {field}: {reason}", index + 1)]
#[non_exhaustive]
pub struct UrlError {
    /// Its place in the list, from 0.
    pub index: usize,
    /// The URL up to its parameters.
    pub url: String,
    /// `scheme`, `host`, `port`, or the name of a parameter.
    pub field: String,
    /// What is wrong, and what is expected.
    pub reason: Reason,
}

/// What is wrong with a field of a URL.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum Reason {
    /// Not of the form that is expected.
    #[error("expected {0}")]
    Expected(&'static str),
    /// Not a number, or one that cannot be.
    #[error("{value:?}, {min} to {max} are expected")]
    Range {
        /// What was given.
        value: String,
        /// The least.
        min: i64,
        /// The most.
        max: i64,
    },
    /// Not a parameter.
    #[error("unknown parameter; these are known: {known}")]
    Unknown {
        /// The ones that are.
        known: String,
    },
    /// The same parameter again.
    #[error("given twice in one URL")]
    Twice,
    /// Cannot be a passphrase.
    #[error(transparent)]
    Passphrase(#[from] PassphraseError),
    /// All links of a stream have it in common, and another URL says otherwise.
    #[error("another value than in URL {}; the links of one stream have it in common", first + 1)]
    Conflict {
        /// The place of the other URL, from 0.
        first: usize,
    },
    /// Does not go with what the URL is for.
    #[error("{0}")]
    Misplaced(&'static str),
    /// A name that has no address yet.
    #[error("a name; it has to be resolved first")]
    Unresolved,
    /// A name for which there is no address.
    #[error("cannot be resolved: {0}")]
    Resolve(String),
}
