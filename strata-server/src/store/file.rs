//! Who may read the data directory and the database: their owner.

use std::fs::{DirBuilder, OpenOptions, Permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

/// Makes a directory when it is missing; one that is there stays as it is.
pub(crate) fn make_dir(path: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(path)
}

/// Makes the database file before SQLite does, which would leave its mode to the umask. What SQLite
/// puts beside it gets the file's mode; what an earlier run left there is taken from others too.
pub(super) fn make_private(path: &Path) -> io::Result<()> {
    // Only a new one: closing a file that is open elsewhere in this process would end SQLite's locks on it.
    match OpenOptions::new().write(true).create_new(true).mode(0o600).open(path) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
        _ => {}
    }
    for suffix in ["", "-wal", "-shm"] {
        let mut file = path.as_os_str().to_owned();
        file.push(suffix);
        close_to_others(&PathBuf::from(file))?;
    }
    Ok(())
}

fn close_to_others(path: &Path) -> io::Result<()> {
    let mode = match path.metadata() {
        Ok(metadata) => metadata.permissions().mode(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error),
    };
    if mode & 0o077 == 0 {
        return Ok(());
    }
    std::fs::set_permissions(path, Permissions::from_mode(mode & 0o700))
}

#[cfg(test)]
mod tests {
    use super::super::Store;
    use super::*;

    fn modes(dir: &Path) -> Vec<(String, u32)> {
        let entry = |entry: io::Result<std::fs::DirEntry>| {
            let entry = entry.unwrap();
            let mode = entry.metadata().unwrap().permissions().mode() & 0o777;
            (entry.file_name().into_string().unwrap(), mode)
        };
        let mut modes: Vec<_> = std::fs::read_dir(dir).unwrap().map(entry).collect();
        modes.sort();
        modes
    }

    #[tokio::test]
    async fn nobody_else_reads_the_database_in_a_directory_open_to_all() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::set_permissions(dir.path(), Permissions::from_mode(0o755)).unwrap();
        let path = dir.path().join("db");
        let private = ["db", "db-shm", "db-wal"].map(|name| (name.to_owned(), 0o600));
        let store = Store::open(&path).await.unwrap();
        assert_eq!(modes(dir.path()), private);

        // What a version left that did not care.
        for (name, _) in &private {
            std::fs::set_permissions(dir.path().join(name), Permissions::from_mode(0o644)).unwrap();
        }
        let second = Store::open(&path).await.unwrap();
        assert_eq!(modes(dir.path()), private);
        second.close().await;
        store.close().await;
    }

    #[test]
    fn a_new_directory_is_its_owners_alone() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("data");
        make_dir(&path).unwrap();
        assert_eq!(modes(dir.path()), [("data".to_owned(), 0o700)]);
        make_dir(&path).unwrap();
    }
}
