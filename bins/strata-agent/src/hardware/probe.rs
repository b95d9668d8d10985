//! Questions that only GStreamer can answer, asked in a child process: the agent itself never loads
//! it, and a file that crashes a demuxer crashes only the child.
//!
//! The child gets one [`Request`] as JSON on stdin and prints one [`Answer`] per line on stdout.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use strata_proto::control::MediaInput;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::process::{Child, Command};

/// What to look at.
#[derive(Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Request {
    /// Cameras and capture cards.
    #[serde(default)]
    pub(crate) inputs: bool,
    /// Files whose duration is wanted.
    #[serde(default)]
    pub(crate) files: Vec<PathBuf>,
}

/// One thing that was seen.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Answer {
    /// A camera or capture card.
    Input(MediaInput),
    /// A file.
    File {
        /// As asked.
        path: PathBuf,
        /// Duration, whole seconds; absent when it has none.
        duration_s: Option<u64>,
    },
}

/// Asks a child of `program`. What it said before it crashed or its time was over is kept; the second
/// part tells whether it finished.
pub(crate) async fn ask(program: &Path, request: &Request) -> (Vec<Answer>, bool) {
    let mut answers = Vec::new();
    let finished = match spawn(program) {
        Ok(mut child) => {
            let talk = talk(&mut child, request, &mut answers);
            let finished = match tokio::time::timeout(PATIENCE, talk).await {
                Ok(Ok(())) => child.wait().await.is_ok_and(|status| status.success()),
                Ok(Err(error)) => {
                    tracing::warn!(%error, "the probe's answer is not understood");
                    false
                }
                Err(_) => false,
            };
            let _ = child.kill().await;
            finished
        }
        Err(error) => {
            tracing::warn!(%error, program = %program.display(), "cannot start the probe");
            false
        }
    };
    (answers, finished)
}

fn spawn(program: &Path) -> std::io::Result<Child> {
    Command::new(program)
        .arg("probe")
        .env_clear()
        .envs(super::child_environment())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn()
}

async fn talk(child: &mut Child, request: &Request, answers: &mut Vec<Answer>) -> std::io::Result<()> {
    let (Some(mut stdin), Some(stdout)) = (child.stdin.take(), child.stdout.take()) else { return Ok(()) };
    stdin.write_all(&serde_json::to_vec(request)?).await?;
    drop(stdin);
    let mut lines = BufReader::new(stdout.take(MAX_OUTPUT)).lines();
    while let Some(line) = lines.next_line().await? {
        answers.push(serde_json::from_str(&line)?);
    }
    Ok(())
}

/// Discovering a handful of files takes a second; a camera that hangs is given up.
const PATIENCE: Duration = Duration::from_secs(30);
const MAX_OUTPUT: u64 = 1024 * 1024;
