//! What Strata's programs have in common with each other, and with nobody who uses its libraries: how they are told to end,
//! and how they log. A library leaves both to the program that it is part of.

pub mod logs;
mod signals;

pub use signals::Signals;
