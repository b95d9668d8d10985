#![doc = include_str!("../README.md")]

mod clock;
mod entropy;

pub mod config;
pub mod control;
pub mod error;
pub mod event;
pub mod fleet;
pub mod http;
pub mod session;
pub mod store;
pub mod tls;

mod server;

pub use config::{Config, ConfigError};
pub use error::LoadError;
pub use server::{Driver, Server};
