//! Questions that only GStreamer can answer: one [`Request`] on stdin, one [`Answer`] per line on stdout, as soon
//! as it is known.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use strata_proto::control::MediaInput;

/// What to look at.
#[derive(Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Request {
    /// Cameras and capture cards.
    #[serde(default)]
    pub inputs: bool,
    /// Files whose duration is wanted.
    #[serde(default)]
    pub files: Vec<PathBuf>,
}

/// One thing that was seen.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Answer {
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
