//! Where a value came from, for whoever has to change it.

use std::path::PathBuf;

use super::environment::variable;

/// Who gave a value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Origin {
    /// The command line.
    Flag,
    /// The environment.
    Environment,
    /// A file.
    File(PathBuf),
}

impl Origin {
    /// What `key` is called there.
    pub(super) fn name(&self, key: &str) -> String {
        match self {
            Self::Flag if key == "enrollment_token" => "--enroll".to_owned(),
            Self::Flag => format!("--{}", key.replace('_', "-")),
            Self::Environment => variable(key),
            Self::File(path) => format!("{}: {key}", path.display()),
        }
    }
}
