//! strata-server.
