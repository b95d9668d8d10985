//! The session machine.

mod config;
mod event;

pub use config::Config;
pub use event::{Disconnect, Event};
