//! Logs: every line goes to stderr, and into a bounded ring for `logs.get`.

use std::collections::VecDeque;
use std::io::{self, Write};
use std::sync::{Arc, Mutex, PoisonError};

use strata_daemon::logs::{self, LogFormat};
use tracing::{Level, Metadata};
use tracing_subscriber::filter::Targets;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::{Registry, reload};

/// The agent's log: what was said lately, and what is said at all.
#[derive(Clone)]
pub(crate) struct Logs {
    ring: Arc<Mutex<Ring>>,
    filter: Option<reload::Handle<Targets, Registry>>,
}

impl std::fmt::Debug for Logs {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Logs").finish_non_exhaustive()
    }
}

#[derive(Debug)]
struct Ring {
    lines: VecDeque<(Level, Box<str>)>,
    limit: usize,
}

impl Logs {
    /// A log of at most `limit` lines that nothing writes to yet.
    pub(crate) fn new(limit: usize) -> Self {
        Self { ring: Arc::new(Mutex::new(Ring { lines: VecDeque::new(), limit })), filter: None }
    }

    /// Makes this the log of the whole process: lines that pass `filter` go to stderr and are kept.
    ///
    /// # Errors
    /// When `filter` does not parse, or the process has a log already.
    pub(crate) fn install(mut self, filter: &str, format: LogFormat) -> anyhow::Result<Self> {
        let (targets, handle) = reload::Layer::new(filter.parse::<Targets>()?);
        self.filter = Some(handle);
        logs::init(targets, format, false, self.clone())?;
        Ok(self)
    }

    /// Changes what is logged from now on.
    ///
    /// # Errors
    /// When `filter` does not parse.
    pub(crate) fn set_filter(&self, filter: &str) -> anyhow::Result<()> {
        let targets = filter.parse::<Targets>()?;
        if let Some(handle) = &self.filter {
            handle.reload(targets)?;
        }
        Ok(())
    }

    /// The newest `count` lines at `level` or worse, oldest first.
    pub(crate) fn newest(&self, count: usize, level: Level) -> Vec<String> {
        let ring = self.ring.lock().unwrap_or_else(PoisonError::into_inner);
        let mut lines: Vec<String> = ring
            .lines
            .iter()
            .rev()
            .filter(|(at, _)| *at <= level)
            .take(count)
            .map(|(_, line)| line.to_string())
            .collect();
        lines.reverse();
        lines
    }

    fn keep(&self, level: Level, line: &str) {
        let mut ring = self.ring.lock().unwrap_or_else(PoisonError::into_inner);
        if ring.lines.len() >= ring.limit {
            ring.lines.pop_front();
        }
        ring.lines.push_back((level, line.into()));
    }
}

/// One event on its way to stderr and into the ring.
#[derive(Debug)]
pub(crate) struct Line {
    logs: Logs,
    level: Level,
    text: Vec<u8>,
}

impl Write for Line {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.text.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        // A closed stderr must not end the agent.
        let _ = io::stderr().lock().write_all(&self.text);
        let kept = &self.text[..self.text.len().min(MAX_LINE)];
        self.logs.keep(self.level, String::from_utf8_lossy(kept).trim_end());
    }
}

impl<'a> MakeWriter<'a> for Logs {
    type Writer = Line;

    fn make_writer(&'a self) -> Line {
        Line { logs: self.clone(), level: Level::INFO, text: Vec::new() }
    }

    fn make_writer_for(&'a self, meta: &Metadata<'_>) -> Line {
        Line { logs: self.clone(), level: *meta.level(), text: Vec::new() }
    }
}

/// Bytes of a line that are kept; with the limit of lines this bounds the ring.
const MAX_LINE: usize = 1024;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ring_is_bounded_and_filtered_by_level() {
        let logs = Logs::new(3);
        for (level, line) in
            [(Level::ERROR, "a"), (Level::INFO, "b"), (Level::WARN, "c"), (Level::DEBUG, "d")]
        {
            logs.keep(level, line);
        }
        assert_eq!(logs.newest(10, Level::TRACE), ["b", "c", "d"]);
        assert_eq!(logs.newest(10, Level::WARN), ["c"]);
        assert_eq!(logs.newest(1, Level::INFO), ["c"]);
    }

    #[test]
    fn long_lines_are_cut() {
        let logs = Logs::new(3);
        drop(Line { logs: logs.clone(), level: Level::INFO, text: vec![b'x'; 5000] });
        assert_eq!(logs.newest(1, Level::INFO)[0].len(), MAX_LINE);
    }
}
