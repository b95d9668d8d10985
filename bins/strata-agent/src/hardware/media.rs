//! Saved media below the media directory, and video device nodes: what is there, without opening it.

use std::collections::BTreeMap;
use std::fs::Metadata;
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use strata_proto::control::SavedMedia;

/// One file as it was when its duration was read; a changed file is another one.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct File {
    /// Absolute path.
    pub(crate) path: PathBuf,
    size: u64,
    modified: Option<SystemTime>,
}

/// One video device node. A new device with an old name has another creation time.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Node {
    /// Such as `/dev/video0`.
    pub(crate) path: PathBuf,
    number: u64,
    created: i64,
}

/// Durations that are known, by file; `None` for files that have none.
pub(crate) type Durations = BTreeMap<File, Option<u64>>;

/// Media files below `root`, by path: at most [`MAX_FILES`], [`MAX_DEPTH`] directories deep. Hidden
/// files and symbolic links are passed over. Nothing when `root` is not there.
pub(crate) fn files(root: &Path) -> Vec<File> {
    let mut found = Vec::new();
    let mut looked_at = 0;
    walk(root, MAX_DEPTH, &mut looked_at, &mut found);
    found.sort();
    found
}

fn walk(directory: &Path, depth: usize, looked_at: &mut usize, found: &mut Vec<File>) {
    let Ok(entries) = std::fs::read_dir(directory) else { return };
    for entry in entries.flatten() {
        *looked_at += 1;
        if found.len() >= MAX_FILES || *looked_at > MAX_ENTRIES {
            return;
        }
        if entry.file_name().as_encoded_bytes().starts_with(b".") {
            continue;
        }
        // Does not follow links, so that nothing outside the root is reported.
        let Ok(meta) = entry.metadata() else { continue };
        let path = entry.path();
        if meta.is_dir() && depth > 0 {
            walk(&path, depth - 1, looked_at, found);
        } else if meta.is_file() && is_media(&path) && path.to_str().is_some() {
            found.push(File { path, size: meta.len(), modified: meta.modified().ok() });
        }
    }
}

fn is_media(path: &Path) -> bool {
    let extension = path.extension().and_then(|e| e.to_str()).unwrap_or_default();
    EXTENSIONS.iter().any(|known| extension.eq_ignore_ascii_case(known))
}

/// The files as `device.status` lists them.
pub(crate) fn report(files: &[File], durations: &Durations) -> Vec<SavedMedia> {
    let saved = |file: &File| SavedMedia {
        path: file.path.to_string_lossy().into_owned(),
        name: file.path.file_name().unwrap_or_default().to_string_lossy().into_owned(),
        size_mb: file.size.saturating_add(500_000) / 1_000_000,
        duration_s: durations.get(file).copied().flatten(),
    };
    files.iter().map(saved).collect()
}

/// Video device nodes in `dev` (`/dev`), by path.
pub(crate) fn video_nodes(dev: &Path) -> Vec<Node> {
    let Ok(entries) = std::fs::read_dir(dev) else { return Vec::new() };
    let node = |meta: &Metadata| meta.file_type().is_char_device();
    let mut nodes: Vec<Node> = entries
        .flatten()
        .filter(|entry| entry.file_name().to_str().is_some_and(is_video_node))
        .filter_map(|entry| Some((entry.path(), entry.metadata().ok().filter(node)?)))
        .map(|(path, meta)| Node { path, number: meta.rdev(), created: meta.ctime() })
        .collect();
    nodes.sort();
    nodes
}

fn is_video_node(name: &str) -> bool {
    name.strip_prefix("video").is_some_and(|n| !n.is_empty() && n.bytes().all(|b| b.is_ascii_digit()))
}

/// Containers that the pipeline's demuxers know.
const EXTENSIONS: [&str; 9] = ["mp4", "mov", "m4v", "mkv", "webm", "ts", "m2ts", "mts", "avi"];
/// Keeps `device.status` well below the limit of a message.
const MAX_FILES: usize = 500;
const MAX_DEPTH: usize = 4;
/// A directory full of something else must not cost a second at each look.
const MAX_ENTRIES: usize = 20_000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_media_and_nothing_else() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().join("media");
        std::fs::create_dir_all(root.join("a/b/c/d/e")).unwrap();
        for (path, size) in [
            ("one.mp4", 1_499_999),
            ("a/two.TS", 500_000),
            ("a/b/c/d/deep.mkv", 0),
            ("a/b/c/d/e/too-deep.mkv", 0),
            ("notes.txt", 1),
            (".hidden.mp4", 1),
        ] {
            std::fs::File::create(root.join(path)).unwrap().set_len(size).unwrap();
        }
        std::fs::write(dir.path().join("outside.mp4"), "x").unwrap();
        std::os::unix::fs::symlink(dir.path().join("outside.mp4"), root.join("link.mp4")).unwrap();
        std::os::unix::fs::symlink(dir.path(), root.join("loop")).unwrap();
        let files = files(&root);
        let durations = Durations::from([(files[1].clone(), Some(7)), (files[2].clone(), None)]);
        let saved = report(&files, &durations);
        let seen: Vec<_> = saved.iter().map(|s| (s.name.as_str(), s.size_mb, s.duration_s)).collect();
        assert_eq!(seen, [("deep.mkv", 0, None), ("two.TS", 1, Some(7)), ("one.mp4", 1, None)]);
        assert!(super::files(&dir.path().join("absent")).is_empty());
    }

    #[test]
    fn node_names() {
        assert!(is_video_node("video0") && is_video_node("video12"));
        assert!(!is_video_node("video") && !is_video_node("video-dec0") && !is_video_node("vbi0"));
        assert!(video_nodes(Path::new("/proc/self")).is_empty());
    }
}
