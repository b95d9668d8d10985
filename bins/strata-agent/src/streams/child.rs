//! The child process: its pipes, its words, its death.
#![expect(clippy::disallowed_methods, reason = "this is a driver: it limits what a child may log per second")]

use std::os::unix::process::ExitStatusExt as _;
use std::path::Path;
use std::process::{ExitStatus, Stdio};
use std::time::{Duration, Instant};

use strata_agent_protocol::stream::{PipelineCommand, PipelineConfig, PipelineEvent};
use tokio::io::{AsyncBufReadExt as _, AsyncRead, AsyncWriteExt as _, BufReader};
use tokio::process::{ChildStderr, ChildStdin, ChildStdout};

use crate::pipeline;

/// A running pipeline. Dropping it kills it.
#[derive(Debug)]
pub(super) struct Child {
    generation: u64,
    process: tokio::process::Child,
    stdin: Option<ChildStdin>,
    stdout: Lines<ChildStdout>,
    stderr: Lines<ChildStderr>,
    log: Budget,
}

/// What came from the child.
#[derive(Debug)]
pub(super) enum Heard {
    /// It said something.
    Event(PipelineEvent),
    /// It is gone, in words.
    Gone(String),
}

impl Child {
    /// Starts the pipeline's program and gives it its configuration.
    pub(super) async fn spawn(
        program: &Path,
        generation: u64,
        config: &PipelineConfig,
    ) -> std::io::Result<Self> {
        let mut process = tokio::process::Command::from(pipeline::command(program, "stream"))
            // Ctrl-C in a terminal is for the agent, which stops the child in good order.
            .process_group(0)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()?;
        let pipe = || std::io::Error::other("no pipe to the child");
        let mut stdin = process.stdin.take().ok_or_else(pipe)?;
        let stdout = Lines::new(process.stdout.take().ok_or_else(pipe)?);
        let stderr = Lines::new(process.stderr.take().ok_or_else(pipe)?);
        match write_line(&mut stdin, config).await {
            // It has ended already, and its output says why.
            Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => {}
            written => written?,
        }
        Ok(Self { generation, process, stdin: Some(stdin), stdout, stderr, log: Budget::default() })
    }

    /// Which child of the supervision this is.
    pub(super) fn generation(&self) -> u64 {
        self.generation
    }

    /// Writes a command; a child that no longer reads will be noticed by its silence.
    pub(super) async fn tell(&mut self, command: &PipelineCommand) {
        let Some(stdin) = &mut self.stdin else { return };
        let told = tokio::time::timeout(PATIENCE, write_line(stdin, command)).await;
        if !matches!(told, Ok(Ok(()))) {
            // Half a line may be in the pipe; closing it means `stop` to the child.
            self.stdin = None;
        }
    }

    /// Kills the process; [`Child::listen`] tells when it is gone.
    pub(super) fn kill(&mut self) {
        let _ = self.process.start_kill();
    }

    /// The next thing the child says or does; its log lines are passed on meanwhile. May be dropped
    /// and called again without loss.
    pub(super) async fn listen(&mut self) -> Heard {
        loop {
            tokio::select! {
                biased;
                line = self.stdout.next() => match line {
                    Some(line) => match serde_json::from_str(&line) {
                        Ok(event) => return Heard::Event(event),
                        Err(error) => tracing::warn!(%error, "the pipeline said something strange"),
                    },
                    None => return Heard::Gone(self.end().await),
                },
                Some(line) = self.stderr.next() => self.log.pass(&line),
            }
        }
    }

    /// Its stdout is closed: hear its last words and see how it died.
    async fn end(&mut self) -> String {
        let last = async {
            while let Some(line) = self.stderr.next().await {
                self.log.pass(&line);
            }
        };
        let _ = tokio::time::timeout(PATIENCE, last).await;
        match tokio::time::timeout(PATIENCE, self.process.wait()).await {
            Ok(Ok(status)) => describe(status),
            Ok(Err(error)) => error.to_string(),
            Err(_) => {
                let _ = self.process.start_kill();
                "it closed its output and did not exit".to_owned()
            }
        }
    }
}

fn describe(status: ExitStatus) -> String {
    match (status.signal(), status.code()) {
        (Some(signal), _) => match nix::sys::signal::Signal::try_from(signal) {
            Ok(name) => format!("killed by {name}"),
            Err(_) => format!("killed by signal {signal}"),
        },
        (None, Some(code)) => format!("exit code {code}"),
        (None, None) => status.to_string(),
    }
}

async fn write_line(stdin: &mut ChildStdin, value: &impl serde::Serialize) -> std::io::Result<()> {
    let mut line = serde_json::to_vec(value)?;
    line.push(b'\n');
    stdin.write_all(&line).await?;
    stdin.flush().await
}

/// Lines of at most [`MAX_LINE`] bytes; the rest of a longer one is dropped.
#[derive(Debug)]
struct Lines<R> {
    reader: BufReader<R>,
    partial: Vec<u8>,
}

impl<R: AsyncRead + Unpin> Lines<R> {
    fn new(reader: R) -> Self {
        Self { reader: BufReader::new(reader), partial: Vec::new() }
    }

    /// The next line, or `None` at the end. May be dropped and called again without loss.
    async fn next(&mut self) -> Option<String> {
        loop {
            let bytes = self.reader.fill_buf().await.ok().filter(|bytes| !bytes.is_empty());
            let Some(bytes) = bytes else {
                let rest = std::mem::take(&mut self.partial);
                return (!rest.is_empty()).then(|| String::from_utf8_lossy(&rest).into_owned());
            };
            let end = bytes.iter().position(|b| *b == b'\n');
            let line = &bytes[..end.unwrap_or(bytes.len())];
            let room = MAX_LINE.saturating_sub(self.partial.len());
            self.partial.extend_from_slice(&line[..line.len().min(room)]);
            let used = line.len() + usize::from(end.is_some());
            self.reader.consume(used);
            if end.is_some() {
                let line = std::mem::take(&mut self.partial);
                return Some(String::from_utf8_lossy(&line).into_owned());
            }
        }
    }
}

/// Passes a child's log lines on, so many per second.
#[derive(Debug, Default)]
struct Budget {
    second: Option<Instant>,
    passed: u32,
}

impl Budget {
    fn pass(&mut self, line: &str) {
        let now = Instant::now();
        if self.second.is_none_or(|since| now.duration_since(since) >= Duration::from_secs(1)) {
            if self.passed > LINES_PER_SECOND {
                tracing::warn!(target: "pipeline", "{} more lines", self.passed - LINES_PER_SECOND);
            }
            self.second = Some(now);
            self.passed = 0;
        }
        self.passed += 1;
        if self.passed > LINES_PER_SECOND {
            return;
        }
        // The child's own log lines begin with their level; GStreamer's do not.
        match line.trim_start().split_once(' ') {
            Some(("ERROR", text)) => tracing::error!(target: "pipeline", "{}", text.trim_start()),
            Some(("WARN", text)) => tracing::warn!(target: "pipeline", "{}", text.trim_start()),
            Some(("DEBUG", text)) => tracing::debug!(target: "pipeline", "{}", text.trim_start()),
            Some(("INFO", text)) => tracing::info!(target: "pipeline", "{}", text.trim_start()),
            _ => tracing::info!(target: "pipeline", "{line}"),
        }
    }
}

const PATIENCE: Duration = Duration::from_secs(1);
/// Statistics of sixteen links take 5 KB.
const MAX_LINE: usize = 64 * 1024;
const LINES_PER_SECOND: u32 = 50;

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn lines_are_cut_and_the_last_needs_no_end() {
        let text = [b"one\n".as_slice(), &vec![b'x'; MAX_LINE + 10], b"\n\nlast"].concat();
        let mut lines = Lines::new(&text[..]);
        assert_eq!(lines.next().await.as_deref(), Some("one"));
        assert_eq!(lines.next().await.map(|l| l.len()), Some(MAX_LINE));
        assert_eq!(lines.next().await.as_deref(), Some(""));
        assert_eq!(lines.next().await.as_deref(), Some("last"));
        assert_eq!(lines.next().await, None);
    }
}
