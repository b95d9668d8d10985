//! The journal's file.

use std::fs;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use crate::Error;
use crate::identity::{file_error, write_private};
use crate::session::Session;

/// Where the journal lies.
#[derive(Debug, Clone)]
pub(super) struct JournalFile {
    path: PathBuf,
}

impl JournalFile {
    pub(super) fn below(directory: &Path) -> Self {
        Self { path: directory.join("journal.jsonl") }
    }

    /// Gives the file's content to the session. What is damaged is set aside for people to look at:
    /// an agent that does not start helps nobody.
    pub(super) fn restore(&self, session: &mut Session, limit: usize) -> Result<(), Error> {
        let file = match fs::File::open(&self.path) {
            Ok(file) => file,
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(e) => return Err(file_error("read", &self.path, e)),
        };
        let mut bytes = Vec::new();
        // Twice the limit leaves room for what JSON adds; more was not written by us.
        let most = u64::try_from(limit.saturating_mul(2)).unwrap_or(u64::MAX);
        file.take(most).read_to_end(&mut bytes).map_err(|e| file_error("read", &self.path, e))?;
        let restored = session.restore(&bytes);
        if restored.damaged > 0 {
            let aside = self.path.with_extension("damaged");
            tracing::warn!(path = %self.path.display(), aside = %aside.display(), damaged = restored.damaged,
                kept = restored.entries, "the journal is damaged; it is set aside");
            fs::rename(&self.path, &aside).map_err(|e| file_error("set aside", &self.path, e))?;
            self.write(&session.journal());
        }
        Ok(())
    }

    /// Writes the whole journal anew. A disk that does not take it is no reason to end.
    pub(super) fn write(&self, bytes: &[u8]) {
        if let Err(error) = write_private(&self.path, bytes) {
            tracing::error!(path = %self.path.display(), %error, "the journal is not saved: it will not survive a restart");
        }
    }
}
