//! Agents' connections.
//!
//! `machine` is sans-IO: it is given text frames and time, and says what to transmit, what to look up
//! and what the agent reported. `connection` is the owner's end of a live connection, fenced by its
//! generation. `driver` is the short loop between a WebSocket, the machine and the fleet;
//! `gate` and `places` keep strangers from taking the room of agents.
//!
//! ```text
//!  WebSocket ──► driver ──► machine ──► Authenticate ──► fleet ──► store
//!      ▲           │ ▲         └──────► Report ────────► fleet ──► Observer (control)
//!      └───────────┘ └── outbox ◄── Connection ◄── Fleet::request
//! ```

pub(crate) mod bucket;
pub(crate) mod connection;
pub(crate) mod driver;
pub(crate) mod gate;
pub(crate) mod machine;
pub(crate) mod places;
pub(crate) mod token;

pub use connection::Close;
pub use token::{TokenRefusal, Tokens};
