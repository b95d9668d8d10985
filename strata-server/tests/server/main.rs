//! The control plane over real sockets, one file per behaviour.

mod enrollment;
mod live;
mod login;
mod place;
mod restart;
mod roles;
mod senders;
mod session;
mod vectors;
