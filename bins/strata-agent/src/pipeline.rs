//! The agent's other program, `strata-agent-pipeline`: the only one that loads GStreamer.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::Context as _;
use strata_agent_protocol::{PROGRAM, VERSION};

/// Where the program is: beside this one. It is tried out, so that a device that lacks it, or libraries it needs,
/// says so at the start and not when somebody wants to go live.
///
/// # Errors
/// When it is not there, does not run, does not end in time, or is of another version.
pub(crate) async fn find() -> anyhow::Result<PathBuf> {
    let own = std::env::current_exe().context("cannot find the agent's own program")?;
    let program = own.with_file_name(PROGRAM);
    try_out(&program, TRY_OUT_LIMIT).await?;
    Ok(program)
}

async fn try_out(program: &Path, limit: Duration) -> anyhow::Result<()> {
    let mut check = tokio::process::Command::from(command(program, "check"));
    let tried = check.stdin(Stdio::null()).kill_on_drop(true).output();
    let Ok(tried) = tokio::time::timeout(limit, tried).await else {
        anyhow::bail!(
            "{}: the media pipeline was tried out and did not end within {limit:?}",
            program.display()
        );
    };
    let tried = tried.with_context(|| {
        format!("{}: the media pipeline cannot be started; it belongs beside strata-agent", program.display())
    })?;
    let words = String::from_utf8_lossy(&tried.stderr);
    anyhow::ensure!(tried.status.success(), "{}: {} ({})", program.display(), words.trim(), tried.status);
    Ok(())
}

/// How the program is started for `task`. It need not know the agent's settings, the enrolment token among them.
pub(crate) fn command(program: &Path, task: &str) -> Command {
    let of_the_agent = |name: &OsString| name.as_encoded_bytes().starts_with(b"STRATA_AGENT_");
    let environment = std::env::vars_os().filter(|(name, _)| !of_the_agent(name));
    let mut command = Command::new(program);
    command.args(["--agent", VERSION, task]).env_clear().envs(environment);
    command
}

/// Loading GStreamer's libraries from a cold, slow card takes seconds; a program that takes longer hangs.
const TRY_OUT_LIMIT: Duration = Duration::from_secs(10);

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[tokio::test]
    async fn a_pipeline_that_hangs_is_given_up_and_named() {
        let dir = tempfile::tempdir().unwrap();
        let program = dir.path().join(PROGRAM);
        // It waits for its own end.
        std::fs::write(&program, "#!/bin/sh\nexec tail --pid=$$ -f /dev/null").unwrap();
        std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).unwrap();
        let error = try_out(&program, Duration::from_millis(50)).await.unwrap_err().to_string();
        assert!(error.contains(PROGRAM) && error.contains("did not end within 50ms"), "{error}");
    }
}
