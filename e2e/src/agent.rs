//! The device: an agent as a process.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};

use crate::daemon::Daemon;

/// A running agent, and how to start it again.
#[derive(Debug)]
pub struct Agent {
    /// The process.
    pub daemon: Daemon,
    name: String,
    dir: PathBuf,
}

impl Agent {
    /// Starts an agent that knows nothing but an enrolment string. Its state and media are below `dir`;
    /// `clip` is copied to its media.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn enroll(name: &str, dir: &Path, uri: &str, clip: &Path) -> Result<Self> {
        let media = dir.join(name).join("media");
        std::fs::create_dir_all(&media)?;
        let file = clip.file_name().context("the clip's name")?;
        std::fs::copy(clip, media.join(file)).with_context(|| clip.display().to_string())?;
        let daemon = spawn(name, dir, Some(uri))?;
        Ok(Self { daemon, name: name.to_owned(), dir: dir.to_owned() })
    }

    /// Starts it again, after it ended: now it knows who it is.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn start_again(&mut self) -> Result<()> {
        self.daemon = spawn(&self.name, &self.dir, None)?;
        Ok(())
    }
}

fn spawn(name: &str, dir: &Path, uri: Option<&str>) -> Result<Daemon> {
    let home = dir.join(name);
    let (state, media) = (home.join("state"), home.join("media"));
    std::fs::create_dir_all(&state)?;
    let mut args = vec!["--state-dir".as_ref(), state.as_os_str(), "--media-dir".as_ref(), media.as_os_str()];
    if let Some(uri) = uri {
        args.extend(["--enroll", uri].map(std::ffi::OsStr::new));
    }
    Daemon::spawn(name, "strata-agent", &args, dir)
}
