//! Where receivers' control sockets and logs are.

use std::fs::DirBuilder;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};

use strata_proto::id::StreamId;

use crate::config::ConfigError;

/// Makes the directory when it is missing; gives its absolute path.
pub(super) fn make(path: &Path) -> Result<PathBuf, ConfigError> {
    check(path)?;
    let path = absolute(path);
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(&path)
        .map_err(|e| ConfigError::new("streams.run_dir", format!("{}: {e}", path.display())))?;
    Ok(path)
}

/// Whether sockets can be in it: their paths must be short.
pub(crate) fn check(path: &Path) -> Result<(), ConfigError> {
    let path = absolute(path);
    let longest = path.as_os_str().len() + 1 + StreamId::PREFIX.len() + 32 + 1 + SOCKET.len();
    if longest <= SOCKET_PATH {
        return Ok(());
    }
    let reason =
        format!("{} is too long: sockets in it would need {longest} bytes of {SOCKET_PATH}", path.display());
    Err(ConfigError::new("streams.run_dir", reason))
}

/// As receivers need it, which may be started in another directory.
pub(super) fn absolute(path: &Path) -> PathBuf {
    std::path::absolute(path).unwrap_or_else(|_| path.to_owned())
}

/// Extension of control sockets.
pub(super) const SOCKET: &str = "sock";
/// Longest path of a Unix socket: `sun_path` without its NUL.
const SOCKET_PATH: usize = 107;
