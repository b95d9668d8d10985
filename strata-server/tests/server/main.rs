//! The control plane over real sockets, one file per behaviour.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod enrollment;
mod live;
mod login;
mod place;
mod restart;
mod roles;
mod senders;
mod session;
mod vectors;
