//! The probe's side of [`crate::hardware::probe`]: the process that loads GStreamer to look.

use std::process::ExitCode;

/// Reads one request from stdin, prints what is seen.
pub(crate) fn main() -> ExitCode {
    ExitCode::FAILURE
}
