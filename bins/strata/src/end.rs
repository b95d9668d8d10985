//! How the program ends.

use std::process::ExitCode;

use thiserror::Error;

/// As it should.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    /// By a signal; what was under way is through.
    Signal,
    /// By a second signal of this number, at once.
    Cut(u8),
}

/// Otherwise.
#[derive(Debug, Error)]
pub(crate) enum Failure {
    /// What was asked for cannot be.
    #[error("{0}")]
    Usage(String),
    /// A socket, a link, a file or a name.
    #[error("{0}")]
    Open(String),
    /// Something that happened later.
    #[error("{0}")]
    Running(String),
}

impl From<End> for ExitCode {
    fn from(end: End) -> Self {
        match end {
            End::Signal => Self::SUCCESS,
            // As a shell tells of a process that a signal ended.
            End::Cut(signal) => Self::from(128 + signal),
        }
    }
}

impl From<&Failure> for ExitCode {
    fn from(failure: &Failure) -> Self {
        Self::from(match failure {
            Failure::Running(_) => 1,
            Failure::Usage(_) => 2,
            Failure::Open(_) => 3,
        })
    }
}
