//! Examples of the Strata SDK; each file under `examples/` is one of them.

/// The README's example, compiled.
#[cfg(doctest)]
#[doc = include_str!("../../README.md")]
struct Readme;
