//! Where the machine's journal lies on disk.

use std::fs;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use crate::Error;
use crate::identity::{file_error, write_private};
use crate::session::Session;

/// The journal's file: `journal.jsonl` in the device's state directory, mode 0600.
#[derive(Debug, Clone)]
pub struct JournalFile {
    path: PathBuf,
}

impl JournalFile {
    /// The journal in this state directory.
    #[must_use]
    pub fn below(directory: &Path) -> Self {
        Self { path: directory.join("journal.jsonl") }
    }

    #[cfg(feature = "driver")]
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Gives the file's content to the session. What is damaged is set aside for people to look at:
    /// an agent that does not start helps nobody. A file that does not exist is an empty journal.
    ///
    /// # Errors
    /// [`Error::File`] when the file is there and cannot be read, or not be set aside.
    pub fn restore(&self, session: &mut Session) -> Result<(), Error> {
        let file = match fs::File::open(&self.path) {
            Ok(file) => file,
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(e) => return Err(file_error("read", &self.path, e)),
        };
        let mut bytes = Vec::new();
        // Twice the limit leaves room for what JSON adds; more was not written by us.
        let most = u64::try_from(session.journal_limit().saturating_mul(2)).unwrap_or(u64::MAX);
        file.take(most).read_to_end(&mut bytes).map_err(|e| file_error("read", &self.path, e))?;
        let restored = session.restore(&bytes);
        if restored.damaged > 0 {
            let aside = self.path.with_extension("damaged");
            tracing::warn!(path = %self.path.display(), aside = %aside.display(), damaged = restored.damaged,
                kept = restored.entries, "the journal is damaged; it is set aside");
            fs::rename(&self.path, &aside).map_err(|e| file_error("set aside", &self.path, e))?;
            if let Err(error) = self.write(&session.journal()) {
                tracing::error!(%error, "what was kept of the journal will not survive a restart");
            }
        }
        Ok(())
    }

    /// Writes the whole journal anew: beside its place, synced, renamed into it. It is on disk when this returns
    /// `Ok`; otherwise the earlier one is still there.
    ///
    /// A disk that does not take it is no reason to end: the next change writes everything again.
    ///
    /// # Errors
    /// [`Error::File`] when it is not on disk.
    pub fn write(&self, bytes: &[u8]) -> Result<(), Error> {
        write_private(&self.path, bytes).map_err(|e| file_error("write", &self.path, e))
    }
}
