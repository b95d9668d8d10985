//! Typed faces of a session: what a vendor implements, and what it calls.

pub mod agent;
