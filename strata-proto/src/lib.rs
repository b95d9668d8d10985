//! Wire types of the Strata protocols: what devices, servers, people and programs say to each other.
//!
//! No I/O, no clock, no randomness, no async: identifiers and times are made from values that the
//! caller passes in. Everything decodes from bytes that a stranger may have sent, and says in a
//! typed error which field was wrong and why ([`DecodeError`]).
//!
//! | module | what it holds |
//! |---|---|
//! | [`id`] | typed, prefixed identifiers: `snd_…`, `str_…`, `usr_…` |
//! | [`time`] | UTC time stamps in milliseconds, RFC 3339 |
//! | [`token`] | enrolment tokens and strings, session token claims |
//! | [`control`] | the control protocol: envelope, messages, REST bodies, live WebSocket |

pub mod error;
pub mod id;
pub mod time;
pub mod token;

#[cfg(feature = "control")]
mod range;
#[cfg(feature = "control")]
mod tagged;

#[cfg(feature = "control")]
pub mod control;

pub use error::{DecodeError, DecodeErrorKind};

/// The README's example, compiled.
#[cfg(all(doctest, feature = "control"))]
#[doc = include_str!("../README.md")]
struct Readme;
