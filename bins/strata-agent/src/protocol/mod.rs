//! What `strata-agent` and `strata-agent-pipeline` say to each other.
//!
//! The agent itself never loads GStreamer: it starts the other program, which does, once per stream and once per
//! look at cameras and files. Both are JSON lines on stdin and stdout.
//!
//! ```text
//!   strata-agent ──► strata-agent-pipeline --agent VERSION check    are you there, and of my version?
//!                ──► strata-agent-pipeline --agent VERSION stream   see [`stream`]
//!                ──► strata-agent-pipeline --agent VERSION probe    see [`probe`]
//! ```

pub mod interfaces;
pub mod probe;
pub mod stream;

/// The other program's name; it lies beside the agent's own.
pub const PROGRAM: &str = "strata-agent-pipeline";

/// Version of these messages: that of both programs. A program of another version is refused.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");
