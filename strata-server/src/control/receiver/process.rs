//! Processes that may not be our children: after a restart, receivers belong to nobody here.

use std::time::Duration;

use nix::sys::signal::{Signal, kill as send_signal};
use nix::unistd::Pid;
use strata_proto::id::StreamId;
use tokio::process::Child;

/// Ends the process, if it still is the receiver of this stream: numbers are used again.
pub(super) fn kill(pid: u32, stream_id: &StreamId) {
    if !is_receiver(pid, stream_id) {
        return;
    }
    let Ok(number) = i32::try_from(pid) else { return };
    if let Err(error) = send_signal(Pid::from_raw(number), Signal::SIGKILL) {
        tracing::debug!(pid, %error, "receiver process could not be killed");
    }
}

/// Waits until the process is gone, ends it when it lingers, and says how it ended.
pub(super) async fn ended(child: &mut Option<Child>, pid: u32, stream_id: &StreamId) -> String {
    let status = tokio::time::timeout(LINGER, gone(child, pid, stream_id)).await;
    if let Ok(status) = status {
        return status;
    }
    kill(pid, stream_id);
    drop(tokio::time::timeout(LINGER, gone(child, pid, stream_id)).await);
    "its control socket closed, it was killed".to_owned()
}

async fn gone(child: &mut Option<Child>, pid: u32, stream_id: &StreamId) -> String {
    if let Some(child) = child {
        return child.wait().await.map_or_else(|e| e.to_string(), |status| status.to_string());
    }
    while is_receiver(pid, stream_id) {
        tokio::time::sleep(POLL).await;
    }
    "exit status unknown".to_owned()
}

/// Whether the process runs and carries the stream's id on its command line. A zombie has none.
fn is_receiver(pid: u32, stream_id: &StreamId) -> bool {
    let arguments = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    arguments.split(|byte| *byte == 0).any(|argument| argument == stream_id.as_str().as_bytes())
}

/// A process that closed its socket is about to end; what it has to write is written.
const LINGER: Duration = Duration::from_secs(2);
const POLL: Duration = Duration::from_millis(20);
