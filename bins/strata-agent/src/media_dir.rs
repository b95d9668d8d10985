//! The media directory: the only place on the device's disk that the control plane can reach.

use std::fs;
use std::io;
use std::path::{Component, Path, PathBuf};

use strata_proto::control::FileEntry;
use thiserror::Error;

/// Why a path is not served.
#[derive(Debug, Error)]
#[non_exhaustive]
pub(crate) enum PathError {
    /// The path leads out of the media directory, by `..`, as an absolute path or through a link.
    #[error("{0:?} is outside the media directory")]
    Outside(String),
    /// Nothing is there.
    #[error("{0:?} does not exist below the media directory")]
    Missing(String),
    /// There is something of another kind.
    #[error("{path:?} is not a {expected}")]
    Kind {
        /// The path as given.
        path: String,
        /// What was needed.
        expected: &'static str,
    },
    /// The system says no.
    #[error("{path:?}: {source}")]
    Io {
        /// The path as given.
        path: String,
        /// Why.
        source: io::Error,
    },
}

/// The media directory.
#[derive(Debug, Clone)]
pub(crate) struct MediaDir {
    root: PathBuf,
}

impl MediaDir {
    /// The directory at `root`, which need not exist yet.
    pub(crate) fn new(root: PathBuf) -> Self {
        Self { root }
    }

    /// Where a regular file lies that `path` names: relative to the directory, or absolute and inside it.
    ///
    /// # Errors
    /// [`PathError`], also when the way leads through a link to the outside.
    pub(crate) fn file(&self, path: &str) -> Result<PathBuf, PathError> {
        let found = self.resolve(path)?;
        if found.is_file() { Ok(found) } else { Err(kind(path, "file")) }
    }

    /// What is in the directory that `path` names (the media directory itself when absent): at most
    /// [`MAX_LISTED`] entries, by name. Links are passed over, and so are hidden files.
    ///
    /// # Errors
    /// [`PathError`].
    pub(crate) fn list(&self, path: Option<&str>) -> Result<Vec<FileEntry>, PathError> {
        let shown = path.unwrap_or(".");
        let directory = self.resolve(shown)?;
        if !directory.is_dir() {
            return Err(kind(shown, "directory"));
        }
        let root = self.canonical(shown)?;
        let entries = fs::read_dir(&directory).map_err(|e| failed(shown, e))?;
        let entry = |entry: fs::DirEntry| {
            let name = entry.file_name().into_string().ok().filter(|name| !name.starts_with('.'))?;
            let meta = entry.metadata().ok().filter(|meta| meta.is_dir() || meta.is_file())?;
            let path = entry.path().strip_prefix(&root).ok()?.to_str()?.to_owned();
            let modified = meta.modified().ok().map(Into::into);
            let size_bytes = if meta.is_file() { meta.len() } else { 0 };
            Some(FileEntry { name, path, is_dir: meta.is_dir(), size_bytes, modified })
        };
        let mut files: Vec<_> = entries.flatten().filter_map(entry).take(MAX_LISTED).collect();
        files.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(files)
    }

    /// Deletes the regular file that `path` names. Never a directory, never a link or what it leads to.
    ///
    /// # Errors
    /// [`PathError`].
    pub(crate) fn delete(&self, path: &str) -> Result<(), PathError> {
        let wanted = self.wanted(path)?;
        let name = wanted.file_name().ok_or_else(|| kind(path, "file"))?;
        let parent = self.inside(path, wanted.parent().unwrap_or(&self.root))?;
        let target = parent.join(name);
        let meta = fs::symlink_metadata(&target).map_err(|e| failed(path, e))?;
        if !meta.is_file() {
            return Err(kind(path, "regular file"));
        }
        fs::remove_file(&target).map_err(|e| failed(path, e))
    }

    fn resolve(&self, path: &str) -> Result<PathBuf, PathError> {
        self.inside(path, &self.wanted(path)?)
    }

    /// The path as written, below the root; `..` is refused even where it would lead back inside.
    fn wanted(&self, path: &str) -> Result<PathBuf, PathError> {
        let given = Path::new(path);
        if path.contains('\0') || given.components().any(|c| c == Component::ParentDir) {
            return Err(PathError::Outside(shown(path)));
        }
        Ok(self.root.join(given))
    }

    /// Where `wanted` really leads, if that is below where the root really is.
    fn inside(&self, path: &str, wanted: &Path) -> Result<PathBuf, PathError> {
        let root = self.canonical(path)?;
        // Whether something exists outside is nobody's business.
        if !wanted.starts_with(&self.root) && !wanted.starts_with(&root) {
            return Err(PathError::Outside(shown(path)));
        }
        let found = fs::canonicalize(wanted).map_err(|e| failed(path, e))?;
        if found.starts_with(root) { Ok(found) } else { Err(PathError::Outside(shown(path))) }
    }

    fn canonical(&self, path: &str) -> Result<PathBuf, PathError> {
        fs::canonicalize(&self.root).map_err(|e| failed(path, e))
    }
}

fn kind(path: &str, expected: &'static str) -> PathError {
    PathError::Kind { path: shown(path), expected }
}

fn failed(path: &str, error: io::Error) -> PathError {
    match error.kind() {
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => PathError::Missing(shown(path)),
        _ => PathError::Io { path: shown(path), source: error },
    }
}

fn shown(path: &str) -> String {
    path.chars().take(256).collect()
}

/// Keeps the answer well below the limit of a message.
const MAX_LISTED: usize = 2000;

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    fn tree() -> (tempfile::TempDir, MediaDir) {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().join("media");
        fs::create_dir_all(root.join("sub")).unwrap();
        fs::write(root.join("a.mp4"), "abc").unwrap();
        fs::write(root.join("sub/b.mp4"), "b").unwrap();
        fs::write(root.join(".hidden"), "h").unwrap();
        fs::write(dir.path().join("secret"), "s").unwrap();
        symlink(dir.path().join("secret"), root.join("link")).unwrap();
        symlink(dir.path(), root.join("up")).unwrap();
        (dir, MediaDir::new(root))
    }

    #[test]
    fn files_inside_are_found() {
        let (dir, media) = tree();
        let root = dir.path().join("media");
        assert!(media.file("a.mp4").unwrap().ends_with("media/a.mp4"));
        assert!(media.file("sub/b.mp4").is_ok());
        assert!(media.file(root.join("a.mp4").to_str().unwrap()).is_ok(), "absolute and inside");
    }

    #[test]
    fn every_way_out_is_refused() {
        let (dir, media) = tree();
        let secret = dir.path().join("secret");
        for path in
            ["../secret", "sub/../../secret", "sub/../a.mp4", "link", "up/secret", "/etc/passwd", "a\0"]
        {
            assert!(matches!(media.file(path), Err(PathError::Outside(_))), "{path}");
            assert!(media.delete(path).is_err(), "{path}");
        }
        assert!(matches!(media.file(secret.to_str().unwrap()), Err(PathError::Outside(_))));
        assert!(matches!(media.list(Some("up")), Err(PathError::Outside(_))));
        assert!(matches!(media.file("absent.mp4"), Err(PathError::Missing(_))));
        assert!(matches!(media.file("sub"), Err(PathError::Kind { .. })));
        assert!(matches!(media.list(Some("a.mp4")), Err(PathError::Kind { .. })));
        assert!(secret.exists());
    }

    #[test]
    fn listing_gives_paths_that_can_be_passed_on() {
        let (_dir, media) = tree();
        let names = |path| -> Vec<_> {
            media.list(path).unwrap().into_iter().map(|f| (f.path, f.is_dir, f.size_bytes)).collect()
        };
        assert_eq!(names(None), [("a.mp4".to_owned(), false, 3), ("sub".to_owned(), true, 0)]);
        assert_eq!(names(Some("sub")), [("sub/b.mp4".to_owned(), false, 1)]);
    }

    #[test]
    fn only_regular_files_are_deleted() {
        let (dir, media) = tree();
        media.delete("sub/b.mp4").unwrap();
        assert!(matches!(media.delete("sub/b.mp4"), Err(PathError::Missing(_))));
        assert!(matches!(media.delete("sub"), Err(PathError::Kind { .. })));
        assert!(matches!(media.delete("link"), Err(PathError::Kind { .. })));
        assert!(matches!(media.delete(""), Err(PathError::Outside(_) | PathError::Kind { .. })));
        assert!(dir.path().join("media/link").is_symlink() && dir.path().join("secret").exists());
    }
}
