//! The agent's other program, `strata-agent-pipeline`: the only one that loads GStreamer.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::Context as _;
use strata_agent_protocol::{PROGRAM, VERSION};

/// Where the program is: beside this one. It is tried out, so that a device that lacks it, or libraries it needs,
/// says so at the start and not when somebody wants to go live.
///
/// # Errors
/// When it is not there, does not run, or is of another version.
pub(crate) fn find() -> anyhow::Result<PathBuf> {
    let own = std::env::current_exe().context("cannot find the agent's own program")?;
    let program = own.with_file_name(PROGRAM);
    let tried = command(&program, "check").stdin(Stdio::null()).output();
    let tried = tried.with_context(|| {
        format!("{}: the media pipeline cannot be started; it belongs beside strata-agent", program.display())
    })?;
    let words = String::from_utf8_lossy(&tried.stderr);
    anyhow::ensure!(tried.status.success(), "{}: {} ({})", program.display(), words.trim(), tried.status);
    Ok(program)
}

/// How the program is started for `task`. It need not know the agent's settings, the enrolment token among them.
pub(crate) fn command(program: &Path, task: &str) -> Command {
    let of_the_agent = |name: &OsString| name.as_encoded_bytes().starts_with(b"STRATA_AGENT_");
    let environment = std::env::vars_os().filter(|(name, _)| !of_the_agent(name));
    let mut command = Command::new(program);
    command.args(["--agent", VERSION, task]).env_clear().envs(environment);
    command
}
