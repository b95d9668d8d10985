//! The child's side of [`crate::streams::protocol`]: the process that loads GStreamer to stream.

use std::process::ExitCode;

/// Reads a configuration from stdin and streams until it is told to stop.
pub(crate) fn main() -> ExitCode {
    ExitCode::FAILURE
}
