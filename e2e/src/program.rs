//! Where the programs are.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};

/// Environment variable that names the directory of the daemons, when they are not beside this program.
pub const BIN_DIR: &str = "STRATA_BIN_DIR";

/// The directory the daemons were built into: that of this program, or its parent for a test.
///
/// # Errors
/// When the path of this program cannot be found.
pub fn bin_dir() -> Result<PathBuf> {
    if let Some(dir) = std::env::var_os(BIN_DIR) {
        return Ok(dir.into());
    }
    let exe = std::env::current_exe().context("where is this program?")?;
    let dir = exe.parent().context("this program is in no directory")?;
    let in_deps = dir.file_name().is_some_and(|name| name == "deps");
    Ok(if in_deps { dir.parent().unwrap_or(dir) } else { dir }.to_owned())
}

/// One of the workspace's programs.
///
/// # Errors
/// When it was not built; the message says how to.
pub fn find(name: &str) -> Result<PathBuf> {
    let path = bin_dir()?.join(name);
    if !path.is_file() {
        bail!("{} is missing: run `cargo build --workspace --bins`, or set {BIN_DIR}", path.display());
    }
    Ok(path)
}

/// A directory for what is made once and used by many runs.
///
/// # Errors
/// When it cannot be made.
pub fn cache_dir() -> Result<PathBuf> {
    let dir = bin_dir()?.join("e2e");
    std::fs::create_dir_all(&dir).with_context(|| dir.display().to_string())?;
    Ok(dir)
}

/// Runs a tool such as `ffmpeg` to its end; gives its stdout and stderr.
///
/// # Errors
/// When it is not installed, or fails; the message holds its last lines.
pub async fn run_tool<S: AsRef<std::ffi::OsStr>>(name: &str, args: &[S]) -> Result<(Vec<u8>, String)> {
    let output = tokio::process::Command::new(name)
        .args(args)
        .stdin(std::process::Stdio::null())
        .kill_on_drop(true)
        .output()
        .await
        .with_context(|| format!("{name} cannot be started; `make setup` installs it"))?;
    let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
    if !output.status.success() {
        bail!("{name} failed ({}): {}", output.status, last_lines(&stderr, 5));
    }
    Ok((output.stdout, stderr))
}

/// The last `n` lines of a text.
#[must_use]
pub fn last_lines(text: &str, n: usize) -> String {
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(n)..].join("\n")
}

/// The last `n` lines of a file, or why it cannot be read.
#[must_use]
pub fn tail(file: &Path, n: usize) -> String {
    match std::fs::read(file) {
        Ok(bytes) => last_lines(&String::from_utf8_lossy(&bytes), n),
        Err(error) => format!("{}: {error}", file.display()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_program_is_named_with_its_remedy() {
        let error = find("strata-nonesuch").unwrap_err().to_string();
        assert!(error.contains("strata-nonesuch is missing: run `cargo build"), "{error}");
    }

    #[tokio::test]
    async fn a_failing_tool_says_why() {
        let error = run_tool("ls", &["/no/such/file"]).await.unwrap_err().to_string();
        assert!(error.starts_with("ls failed (exit status: 2): ") && error.contains("/no/such"), "{error}");
    }

    #[test]
    fn last_lines_are_the_last() {
        assert_eq!(last_lines("a\nb\nc\n", 2), "b\nc");
        assert_eq!(last_lines("a", 2), "a");
    }
}
