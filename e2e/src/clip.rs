//! What is sent: the clip of the user, or one generated with moving picture and tone.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};

use crate::program::{cache_dir, run_tool};

/// Environment variable that names the user's clip.
pub const MEDIA: &str = "MEDIA";

/// A clip to be generated: H.264 and AAC in MP4, pictures with a running counter, a 440 Hz tone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Clip {
    /// Pixels per line.
    pub width: u32,
    /// Lines.
    pub height: u32,
    /// Pictures per second.
    pub fps: u32,
    /// Length, seconds.
    pub seconds: u32,
}

impl Clip {
    /// What the demo sends when the user names nothing: 720p30, 8 s.
    pub const DEMO: Self = Self { width: 1280, height: 720, fps: 30, seconds: 8 };

    /// Small, so that tests running side by side leave each other room; its length is odd, so that
    /// looping is seen.
    pub const SMALL: Self = Self { width: 320, height: 180, fps: 25, seconds: 3 };

    /// The file, made at the first call.
    ///
    /// # Errors
    /// When ffmpeg is missing or fails.
    pub async fn file(self) -> Result<PathBuf> {
        let Self { width, height, fps, seconds } = self;
        let path = cache_dir()?.join(format!("clip-{width}x{height}-{fps}-{seconds}.mp4"));
        if path.is_file() {
            return Ok(path);
        }
        // Tests may do this at the same time: each writes a file of its own and moves it in place.
        let draft = tempfile::Builder::new().suffix(".mp4").tempfile_in(cache_dir()?)?;
        let picture = format!("testsrc2=size={width}x{height}:rate={fps}:duration={seconds}");
        let tone = format!("sine=frequency=440:sample_rate=48000:duration={seconds}");
        let draft_name = draft.path().to_str().context("the target directory's name is not UTF-8")?;
        let args = [
            "-nostdin",
            "-hide_banner",
            "-v",
            "error",
            "-y",
            "-f",
            "lavfi",
            "-i",
            &picture,
            "-f",
            "lavfi",
            "-i",
            &tone,
            "-c:v",
            "libx264",
            "-preset",
            "veryfast",
            "-pix_fmt",
            "yuv420p",
            "-bf",
            "0",
            "-g",
            "50",
            "-b:v",
            "2M",
            "-c:a",
            "aac",
            "-b:a",
            "96k",
            "-shortest",
            draft_name,
        ];
        run_tool("ffmpeg", &args).await?;
        draft.persist(&path)?;
        Ok(path)
    }
}

/// The user's clip, if the environment names one; otherwise `generated`.
///
/// # Errors
/// When the named clip is not a file, or none can be generated.
pub async fn from_environment(generated: Clip) -> Result<PathBuf> {
    match std::env::var_os(MEDIA).filter(|media| !media.is_empty()) {
        Some(media) => named(Path::new(&media)),
        None => generated.file().await,
    }
}

/// A clip by its name.
///
/// # Errors
/// When it is not a file.
pub fn named(path: &Path) -> Result<PathBuf> {
    if !path.is_file() {
        bail!("{MEDIA}={}: there is no such file", path.display());
    }
    Ok(path.canonicalize()?)
}
