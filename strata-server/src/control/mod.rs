//! Streams, port pool, receiver supervisor.

use serde::Deserialize;

/// The `[streams]` section.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct StreamsConfig {}
