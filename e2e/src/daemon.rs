//! One running program: its output in files, its end by signal.

use std::ffi::OsStr;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tokio::io::AsyncWriteExt as _;
use tokio::process::{Child, Command};
use tokio::time::timeout;

use crate::program;
use crate::wait::eventually;

/// Lines of output shown when something fails.
const TAIL: usize = 15;

/// A program that was started and is killed when this is dropped.
///
/// It has a process group of its own, so that Ctrl-C at the terminal reaches only the harness.
/// stdout and stderr are appended to `NAME.out` and `NAME.log` in a directory.
#[derive(Debug)]
pub struct Daemon {
    name: String,
    child: Child,
    out: PathBuf,
    log: PathBuf,
    out_start: u64,
}

impl Daemon {
    /// Starts the workspace's program `program` with `args`; output goes to files in `dir` named after `name`.
    ///
    /// # Errors
    /// When it is not built or cannot be started.
    pub fn spawn<S: AsRef<OsStr>>(name: &str, program: &str, args: &[S], dir: &Path) -> Result<Self> {
        let (out, log) = (dir.join(format!("{name}.out")), dir.join(format!("{name}.log")));
        let out_file = append(&out)?;
        let out_start = out_file.metadata()?.len();
        let child = Command::new(program::find(program)?)
            .args(args)
            .env("NO_COLOR", "1")
            .stdin(Stdio::null())
            .stdout(out_file)
            .stderr(append(&log)?)
            .process_group(0)
            .kill_on_drop(true)
            .spawn()
            .with_context(|| format!("{name} cannot be started"))?;
        Ok(Self { name: name.to_owned(), child, out, log, out_start })
    }

    /// What it is called.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its process, unless it ended and was waited for.
    #[must_use]
    pub fn pid(&self) -> Option<u32> {
        self.child.id()
    }

    /// How it ended, if it did.
    ///
    /// # Errors
    /// When the operating system does not say.
    pub fn ended(&mut self) -> Result<Option<ExitStatus>> {
        Ok(self.child.try_wait()?)
    }

    /// Waits for a line on stdout that starts with `prefix`, and gives the rest of it.
    ///
    /// # Errors
    /// When it ends first, or the deadline passes; the message holds its last lines.
    pub async fn line(&mut self, prefix: &str, deadline: Duration) -> Result<String> {
        let (out, start) = (self.out.clone(), self.out_start);
        let child = &mut self.child;
        let found = eventually(format!("line {prefix:?} on stdout"), deadline, async || {
            let text = written(&out, start);
            let complete = text.rsplit_once('\n').map_or("", |(lines, _)| lines);
            let line = complete.lines().find_map(|line| line.strip_prefix(prefix)).map(str::to_owned);
            match (line, child.try_wait()) {
                (Some(line), _) => Some(Ok(line)),
                (None, Ok(Some(status))) => Some(Err(status)),
                (None, _) => None,
            }
        });
        match found.await {
            Ok(Ok(line)) => Ok(line),
            Ok(Err(status)) => bail!("{} ended ({status}) before it was ready\n{}", self.name, self.tail()),
            Err(error) => Err(error.context(format!("{}\n{}", self.name, self.tail()))),
        }
    }

    /// Sends a signal.
    ///
    /// # Errors
    /// When it ended already.
    pub fn signal(&self, signal: Signal) -> Result<()> {
        let pid = self.pid().with_context(|| format!("{} ended already", self.name))?;
        kill(Pid::from_raw(i32::try_from(pid)?), signal).with_context(|| format!("{signal} to {}", self.name))
    }

    /// Waits for its end.
    ///
    /// # Errors
    /// When the deadline passes first; it runs on.
    pub async fn wait(&mut self, deadline: Duration) -> Result<ExitStatus> {
        match timeout(deadline, self.child.wait()).await {
            Ok(status) => Ok(status?),
            Err(_) => bail!("{} still runs after {deadline:?}\n{}", self.name, self.tail()),
        }
    }

    /// SIGTERM, and waits for the end.
    ///
    /// # Errors
    /// When it does not end in time; it runs on.
    pub async fn terminate(&mut self, deadline: Duration) -> Result<ExitStatus> {
        if self.pid().is_some() {
            self.signal(Signal::SIGTERM)?;
        }
        self.wait(deadline).await
    }

    /// SIGKILL, and waits for the end.
    ///
    /// # Errors
    /// When it ended already.
    pub async fn kill(&mut self) -> Result<()> {
        self.signal(Signal::SIGKILL)?;
        self.child.wait().await?;
        Ok(())
    }

    /// The file with what it wrote to stderr.
    #[must_use]
    pub fn log(&self) -> &Path {
        &self.log
    }

    /// What it wrote to stdout since it was started.
    #[must_use]
    pub fn output(&self) -> String {
        written(&self.out, self.out_start)
    }

    /// Processes it started that run now.
    #[must_use]
    pub fn children(&self) -> Vec<u32> {
        let Some(pid) = self.pid() else { return Vec::new() };
        let threads = std::fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten();
        let lists = threads.filter_map(|thread| std::fs::read_to_string(thread.path().join("children")).ok());
        lists
            .flat_map(|list| list.split_whitespace().filter_map(|pid| pid.parse().ok()).collect::<Vec<_>>())
            .collect()
    }

    /// Whether its log holds `text`.
    #[must_use]
    pub fn logged(&self, text: &str) -> bool {
        std::fs::read(&self.log).is_ok_and(|log| String::from_utf8_lossy(&log).contains(text))
    }

    /// The last lines of its log, under its name.
    #[must_use]
    pub fn tail(&self) -> String {
        format!("── {} ({})\n{}", self.name, self.log.display(), program::tail(&self.log, TAIL))
    }
}

/// Runs one of the workspace's programs to its end; gives its exit code, stdout and stderr.
///
/// # Errors
/// When it is not built, cannot be started, or does not end by itself within a minute.
pub async fn run<S: AsRef<OsStr>>(program: &str, args: &[S], stdin: &str) -> Result<(i32, String, String)> {
    let mut child = Command::new(program::find(program)?)
        .args(args)
        .env("NO_COLOR", "1")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .with_context(|| format!("{program} cannot be started"))?;
    if let Some(mut pipe) = child.stdin.take() {
        // A program that does not read its input may close it first.
        let _ = pipe.write_all(stdin.as_bytes()).await;
    }
    let Ok(output) = timeout(Duration::from_secs(60), child.wait_with_output()).await else {
        bail!("{program} still runs after a minute");
    };
    let output = output?;
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    Ok((output.status.code().unwrap_or(-1), text(&output.stdout), text(&output.stderr)))
}

fn written(path: &Path, start: u64) -> String {
    let all = std::fs::read(path).unwrap_or_default();
    let new = all.get(usize::try_from(start).unwrap_or(0)..).unwrap_or_default();
    String::from_utf8_lossy(new).into_owned()
}

/// Whether a process runs: it exists and is not a zombie.
#[must_use]
pub fn runs(pid: u32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    // The state follows the name, which is in parentheses and may hold anything.
    stat.rsplit_once(") ").is_some_and(|(_, rest)| !rest.starts_with(['Z', 'X']))
}

fn append(path: &Path) -> Result<File> {
    File::options().create(true).append(true).open(path).with_context(|| path.display().to_string())
}
