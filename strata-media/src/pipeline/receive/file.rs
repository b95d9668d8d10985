//! The transport stream as it came, in a file.

use std::fs::{File, OpenOptions};
use std::io::{BufWriter, ErrorKind, Write as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use bytes::Bytes;

use super::worker::Writer;

/// What is written at once: as much as a second of 2 Mbit/s.
const BUFFER: usize = 256 * 1024;

/// After this time what was buffered is written anyway, so that a killed receiver loses little.
const FLUSH_EVERY: Duration = Duration::from_millis(500);

/// Names that are tried when one is taken.
const NAMES: u32 = 1000;

#[derive(Debug)]
pub(super) struct FileWriter {
    file: BufWriter<File>,
    flushed: Instant,
}

impl FileWriter {
    /// Makes the file, and the directories above it; takes another name if this one is taken.
    pub(super) fn create(path: &Path) -> Result<(Self, PathBuf), String> {
        let text = |path: &Path, e: std::io::Error| format!("cannot create {}: {e}", path.display());
        if let Some(parent) = path.parent() {
            std::fs::create_dir_all(parent).map_err(|e| text(parent, e))?;
        }
        for n in 0..NAMES {
            let name = numbered(path, n);
            match OpenOptions::new().write(true).create_new(true).open(&name) {
                Ok(file) => return Ok((Self::new(file), name)),
                Err(e) if e.kind() == ErrorKind::AlreadyExists => {}
                Err(e) => return Err(text(&name, e)),
            }
        }
        Err(format!("{} and {NAMES} numbered names beside it are taken", path.display()))
    }

    /// Goes on with a file that could not be written to for a while, at the end of its last whole packet.
    pub(super) fn resume(path: &Path) -> Result<Self, String> {
        let open = || {
            let file = OpenOptions::new().append(true).create(true).open(path)?;
            let length = file.metadata()?.len();
            file.set_len(length - length % 188)?;
            Ok(file)
        };
        open()
            .map(Self::new)
            .map_err(|e: std::io::Error| format!("cannot go on with {}: {e}", path.display()))
    }

    #[expect(clippy::disallowed_methods, reason = "a driver of a disk has a clock")]
    fn new(file: File) -> Self {
        Self { file: BufWriter::with_capacity(BUFFER, file), flushed: Instant::now() }
    }
}

impl Writer for FileWriter {
    fn write(&mut self, now: Instant, packet: &Bytes) -> Result<(), String> {
        self.file.write_all(packet).map_err(|e| format!("cannot write: {e}"))?;
        self.tick(now)
    }

    fn tick(&mut self, now: Instant) -> Result<(), String> {
        if now.saturating_duration_since(self.flushed) < FLUSH_EVERY {
            return Ok(());
        }
        self.flushed = now;
        self.finish()
    }

    fn finish(&mut self) -> Result<(), String> {
        self.file.flush().map_err(|e| format!("cannot write: {e}"))
    }
}

/// `clip.ts`, `clip-1.ts`, `clip-2.ts` …
fn numbered(path: &Path, n: u32) -> PathBuf {
    if n == 0 {
        return path.to_owned();
    }
    let stem = path.file_stem().unwrap_or_default().to_string_lossy();
    let extension = path.extension().map(|e| format!(".{}", e.to_string_lossy())).unwrap_or_default();
    path.with_file_name(format!("{stem}-{n}{extension}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_existing_file_is_not_touched() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("new/clip.ts");
        let (_, first) = FileWriter::create(&path).unwrap();
        let (_, second) = FileWriter::create(&path).unwrap();
        assert_eq!((first, second), (path, dir.path().join("new/clip-1.ts")));
    }

    #[test]
    fn a_file_goes_on_after_its_last_whole_packet() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("clip.ts");
        std::fs::write(&path, [0x47; 200]).unwrap();
        let mut file = FileWriter::resume(&path).unwrap();
        file.file.write_all(&[0x47; 188]).unwrap();
        file.finish().unwrap();
        assert_eq!(std::fs::metadata(&path).unwrap().len(), 2 * 188);
    }

    #[test]
    fn a_full_disk_is_an_error() {
        let mut full = FileWriter::new(OpenOptions::new().write(true).open("/dev/full").unwrap());
        full.file.write_all(&[0x47; 188]).unwrap();
        let error = full.finish().unwrap_err();
        assert!(error.contains("No space left"), "{error}");
    }
}
