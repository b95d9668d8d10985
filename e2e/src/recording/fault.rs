//! What can be wrong with a recording.

use std::time::Duration;

use thiserror::Error;

use super::ts::Hole;

/// One thing that is wrong with a recording. Times count from the first keyframe.
#[derive(Debug, Clone, PartialEq, Error)]
pub enum Fault {
    /// There is no video stream.
    #[error("no video")]
    NoVideo,
    /// There is no audio stream, or nothing in it.
    #[error("no audio")]
    NoAudio,
    /// Nothing can be decoded.
    #[error("no keyframe among {frames} pictures")]
    NoKeyframe {
        /// Pictures there are.
        frames: usize,
    },
    /// A part of the file is missing.
    #[error("hole in the transport stream: {0:?}")]
    Hole(Hole),
    /// Pictures are missing, or shown at wrong times.
    #[error("at {at:?} the next picture comes after {found:?}, not {expected:?}")]
    Step {
        /// Time of the picture before.
        at: Duration,
        /// The usual step.
        expected: Duration,
        /// The step that was found.
        found: Duration,
    },
    /// Sound is missing.
    #[error("at {at:?} sound is missing for {length:?}")]
    AudioHole {
        /// When.
        at: Duration,
        /// How much.
        length: Duration,
    },
    /// Sound starts later or ends earlier than the pictures.
    #[error("sound starts {late_start:?} after the pictures and ends {early_end:?} before them")]
    AudioEdge {
        /// How late it starts.
        late_start: Duration,
        /// How early it ends.
        early_end: Duration,
    },
    /// Coded pictures that the decoder did not give.
    #[error("{coded} coded pictures, {decoded} decoded")]
    Decoded {
        /// Coded pictures.
        coded: u64,
        /// Decoded ones.
        decoded: u64,
    },
    /// What the decoder complained about.
    #[error("decoder: {0}")]
    Decoder(String),
    /// The recording is shorter than the broadcast.
    #[error("{found:?} of pictures, expected at least {expected:?}")]
    Short {
        /// What was expected.
        expected: Duration,
        /// What there is.
        found: Duration,
    },
}
