//! Streams: their lives, the ports they use, the receiver processes that take them in.

mod life;
mod ports;

pub use life::{Gone, Graces, Input, Life, Outcome, Output};
pub use ports::{PortPool, PortsExhausted};
