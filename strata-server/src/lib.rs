//! strata-server.

pub mod tls;
