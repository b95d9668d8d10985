//! A bond under any sequence of operations: payloads, raw RTCP, valid requests for anything, links that come and
//! go, time. It never repeats more than it was given, and a bit.
#![no_main]
#![expect(clippy::disallowed_methods, reason = "any instant will do")]

#[path = "../../strata-media/tests/hostile/operations/mod.rs"]
mod operations;

use std::time::Instant;

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| operations::sender::run(Instant::now(), data));
