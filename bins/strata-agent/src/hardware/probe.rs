//! Questions that only GStreamer can answer, asked in a child process: a file that crashes a demuxer crashes only
//! the child.

use std::path::Path;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use strata_agent_protocol::probe::{Answer, Request};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::process::Child;

use crate::pipeline;

/// Asks a child of `program`. What it said before it crashed or its time was over is kept; the second
/// part tells whether it finished.
pub(crate) async fn ask(program: &Path, request: &Request) -> (Vec<Answer>, bool) {
    let mut answers = Vec::new();
    let finished = match spawn(program) {
        Ok(mut child) => {
            let talk = talk(&mut child, request, &mut answers);
            let finished = match tokio::time::timeout(PATIENCE, talk).await {
                Ok(Ok(())) => ended_well(child.wait().await),
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

fn ended_well(end: std::io::Result<ExitStatus>) -> bool {
    match end {
        Ok(status) if status.success() => return true,
        Ok(status) => tracing::warn!(%status, "the probe ended early"),
        Err(error) => tracing::warn!(%error, "the probe's end is not known"),
    }
    false
}

fn spawn(program: &Path) -> std::io::Result<Child> {
    tokio::process::Command::from(pipeline::command(program, "probe"))
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
