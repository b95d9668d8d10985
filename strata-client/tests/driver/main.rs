//! The driver against a real TLS WebSocket server.

#![expect(clippy::unwrap_used, reason = "a test may end where it stands")]

mod server;

mod agent;
mod tls;
mod vectors;
