//! Why a pipeline cannot run.

use thiserror::Error;

use crate::net::NetError;

/// A pipeline that cannot start or go on.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum PipelineError {
    /// GStreamer cannot be loaded.
    #[error("cannot initialise GStreamer: {0}")]
    Init(String),
    /// A part of GStreamer is not installed.
    #[error("GStreamer has no element {element:?}: install the plugin package that has it")]
    MissingElement {
        /// The element.
        element: String,
    },
    /// The configuration cannot work.
    #[error("invalid {field}: {reason}")]
    Config {
        /// Path of the field, such as `source.path`.
        field: &'static str,
        /// What is wrong and what is expected.
        reason: String,
    },
    /// A file, device or address is not there.
    #[error("{element}: not found: {reason}")]
    NotFound {
        /// The part of the graph.
        element: String,
        /// What GStreamer or the system says.
        reason: String,
    },
    /// A file, device or address is there and cannot be used: busy, or no permission.
    #[error("{element}: cannot be used: {reason}")]
    Unusable {
        /// The part of the graph.
        element: String,
        /// What GStreamer or the system says.
        reason: String,
    },
    /// What comes in is not something that can be read.
    #[error("{element}: unsupported format: {reason}")]
    Unsupported {
        /// The part of the graph.
        element: String,
        /// What GStreamer says.
        reason: String,
    },
    /// Anything else that an element reports.
    #[error("{element}: {reason}")]
    Element {
        /// The part of the graph.
        element: String,
        /// What it says.
        reason: String,
    },
    /// The network half.
    #[error(transparent)]
    Net(#[from] NetError),
    /// The driver of this handle has ended.
    #[error("the driver of this handle has ended")]
    Closed,
}
