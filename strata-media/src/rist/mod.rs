//! RIST (VSF TR-06-1 Simple Profile), without sockets and without a clock.

mod stats;

pub use stats::{PathStats, ReceiverStats};
