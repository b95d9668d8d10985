//! The agent as a process.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Output, Stdio};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

/// A running agent with directories of its own; killed when dropped.
pub(crate) struct Agent {
    child: tokio::process::Child,
    pub(crate) dir: tempfile::TempDir,
}

/// The program, without anything of this process' environment that could configure it.
pub(crate) fn program() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_strata-agent"));
    for (key, _) in std::env::vars_os() {
        if key.as_encoded_bytes().starts_with(b"STRATA_") {
            command.env_remove(key);
        }
    }
    command
}

/// Runs the program to its end.
pub(crate) fn output(args: &[&str]) -> Output {
    program().args(args).stdin(Stdio::null()).output().unwrap()
}

impl Agent {
    /// Starts an agent that knows nothing but an enrolment string.
    pub(crate) fn enroll(uri: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join("media")).unwrap();
        let child = start(dir.path(), &["--enroll".as_ref(), uri.as_ref()]);
        Self { child, dir }
    }

    /// Starts it again, without the string.
    pub(crate) fn start_again(&mut self) {
        self.child = start(self.dir.path(), &[]);
    }

    /// Starts it again, with another string.
    pub(crate) fn enroll_again(&mut self, uri: &str) {
        self.child = start(self.dir.path(), &["--enroll".as_ref(), uri.as_ref()]);
    }

    pub(crate) fn media(&self) -> PathBuf {
        self.dir.path().join("media")
    }

    pub(crate) fn state(&self) -> PathBuf {
        self.dir.path().join("state")
    }

    pub(crate) fn pid(&self) -> Pid {
        pid(self.child.id().expect("the agent runs"))
    }

    pub(crate) fn signal(&self, signal: Signal) {
        kill(self.pid(), signal).unwrap();
    }

    pub(crate) async fn ended(&mut self) -> ExitStatus {
        self.child.wait().await.unwrap()
    }

    /// The process of the media pipeline.
    pub(crate) fn pipeline(&self) -> Pid {
        let mut found = children(self.pid()).into_iter().filter(|child| {
            let args = std::fs::read(format!("/proc/{child}/cmdline")).unwrap_or_default();
            args.split(|b| *b == 0).any(|arg| arg == b"stream")
        });
        found.next().expect("a pipeline runs")
    }

    /// Where the agent's log lies.
    pub(crate) fn log(&self) -> String {
        std::fs::read_to_string(self.dir.path().join("log")).unwrap()
    }
}

fn start(dir: &Path, more: &[&OsStr]) -> tokio::process::Child {
    let (state, media) = (dir.join("state"), dir.join("media"));
    let log = std::fs::OpenOptions::new().create(true).append(true).open(dir.join("log")).unwrap();
    let mut command = program();
    command.arg("--state-dir").arg(state).arg("--media-dir").arg(media).args(more);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log);
    tokio::process::Command::from(command).kill_on_drop(true).spawn().unwrap()
}

fn children(of: Pid) -> Vec<Pid> {
    let text = std::fs::read_to_string(format!("/proc/{of}/task/{of}/children")).unwrap_or_default();
    text.split_ascii_whitespace().map(|id| pid(id.parse().unwrap())).collect()
}

fn pid(id: u32) -> Pid {
    Pid::from_raw(i32::try_from(id).unwrap())
}
