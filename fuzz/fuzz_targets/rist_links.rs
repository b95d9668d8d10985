//! A bond whose links come, go, change and are let rest, with parameters that change, under any sequence of operations, while payloads
//! and answers pass. Nothing is sent by a link that is not there or not to be used, and what is kept is bounded.
#![no_main]
#![expect(clippy::disallowed_methods, reason = "any instant will do")]

#[path = "../../strata-media/tests/hostile/operations/mod.rs"]
mod operations;

use std::time::Instant;

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| operations::links::run(Instant::now(), data));
