//! Who calls, under any sequence of operations: what its server answers, what somebody with another key says, changed and repeated
//! datagrams, time. Who has another key is never heard, and what is said is bounded by what came and by time.
#![no_main]
#![expect(clippy::disallowed_methods, reason = "any instant will do")]

#[path = "../../strata-media/tests/hostile/operations/mod.rs"]
mod operations;

use std::time::Instant;

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| operations::client::run(Instant::now(), data));
