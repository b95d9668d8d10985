//! The receivers' logs: those of clean ends go at once, of the others the newest stay.

use std::path::{Path, PathBuf};
use std::time::SystemTime;

use strata_proto::control::StreamLife;
use strata_proto::id::StreamId;

use super::streams::Shared;
use crate::store::StreamRow;

impl Shared {
    pub(super) fn log(&self, id: &StreamId) -> PathBuf {
        self.run_dir.join(format!("{id}.{LOG}"))
    }

    /// Removes the log of a stream that ended as it should; of the others, those nobody will look into.
    pub(super) fn tidy_log(&self, row: &StreamRow) {
        if row.state == StreamLife::Ended && !row.presumed {
            remove(&self.log(&row.id));
        } else {
            self.tidy_logs();
        }
    }

    /// Removes all but the newest logs of streams that are over.
    pub(super) fn tidy_logs(&self) {
        for log in superfluous(&self.run_dir, |id| self.by_id(id).is_none()) {
            remove(&log);
        }
    }
}

/// The logs of streams that are `over`, without the newest [`KEPT`].
fn superfluous(directory: &Path, over: impl Fn(&StreamId) -> bool) -> Vec<PathBuf> {
    let entries = match std::fs::read_dir(directory) {
        Ok(entries) => entries,
        Err(error) => {
            tracing::warn!(path = %directory.display(), %error, "run directory cannot be read");
            return Vec::new();
        }
    };
    let log = |entry: std::fs::DirEntry| {
        let path = entry.path();
        let id: StreamId = path.file_stem()?.to_str()?.parse().ok()?;
        let ours = path.extension().is_some_and(|extension| extension == LOG) && over(&id);
        let modified = entry.metadata().and_then(|meta| meta.modified()).unwrap_or(SystemTime::UNIX_EPOCH);
        ours.then_some((modified, path))
    };
    let mut logs: Vec<_> = entries.flatten().filter_map(log).collect();
    logs.sort_by(|a, b| b.cmp(a));
    logs.into_iter().skip(KEPT).map(|(_, path)| path).collect()
}

fn remove(log: &Path) {
    if let Err(error) = std::fs::remove_file(log)
        && error.kind() != std::io::ErrorKind::NotFound
    {
        tracing::warn!(path = %log.display(), %error, "log of a receiver stays");
    }
}

const LOG: &str = "log";
/// A failure is looked into within days, while a device that cannot start its stream tries again and
/// again: enough for both, and little on the disk.
const KEPT: usize = 50;

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::time::Duration;

    use super::*;

    #[test]
    fn the_newest_logs_and_those_of_running_streams_stay() {
        let dir = tempfile::tempdir().unwrap();
        let file = |name: &str, age_s: u64| {
            let file = std::fs::File::create(dir.path().join(name)).unwrap();
            file.set_modified(SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000 - age_s)).unwrap();
        };
        for age in 0..53 {
            file(&format!("str_{age:02}.log"), age);
        }
        file("str_running.log", 1000);
        file("str_socket.sock", 1000);
        file("other.log", 1000);
        let running: StreamId = "str_running".parse().unwrap();
        let found: BTreeSet<_> = superfluous(dir.path(), |id| *id != running).into_iter().collect();
        let expected = ["str_50.log", "str_51.log", "str_52.log"].map(|name| dir.path().join(name));
        assert_eq!(found, BTreeSet::from(expected));
    }
}
